/* SPDX-License-Identifier: MIT */
/* A function that an unwinder cannot get past. */
#ifndef GORT_TEST_BARE_H
#define GORT_TEST_BARE_H

/* Calls fn(arg). */
void bare(void (*fn)(void *arg), void *arg);

#endif
