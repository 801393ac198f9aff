/* SPDX-License-Identifier: MIT */
/*
 * The allocator, the mapping calls and pthread_create, counted and made to fail. interpose.c is linked into the test program
 * itself, whose definitions come before libc's for the libraries too. Not with sanitizers, which do the same.
 */
#ifndef GORT_TEST_INTERPOSE_H
#define GORT_TEST_INTERPOSE_H

#include <stdbool.h>

enum interpose {
	INTERPOSE_MALLOC,       /* malloc, calloc, realloc, aligned_alloc, posix_memalign */
	INTERPOSE_MMAP,         /* mmap, mprotect and madvise */
	INTERPOSE_THREAD,       /* pthread_create */
	INTERPOSE_KINDS,
};

/* From now on the n-th call of a kind fails (1 is the next one), and with all set those after it too. 0: none. */
void interpose_fail(enum interpose kind, int n, bool all);
/* How many have failed. */
int interpose_failed(enum interpose kind);
/* Calls by anybody since the program's start. */
long interpose_calls(enum interpose kind);

#endif
