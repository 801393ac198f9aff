/* SPDX-License-Identifier: MIT */
/*
 * The allocator, the mapping calls and pthread_create, counted and made to fail; wakes, counted; and a system that does not
 * overcommit. interpose.c is linked into the test program itself, whose definitions come before libc's for the libraries
 * too. Not with sanitizers, which do the same.
 */
#ifndef GORT_TEST_INTERPOSE_H
#define GORT_TEST_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>

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
/*
 * As vm.overcommit_memory=2 with so many bytes left to commit: what the /proc files say of it, and mappings and mprotect
 * that go beyond are refused, whether they are reserved only or not. What is unmapped does not come back here.
 */
void interpose_overcommit(size_t left);
/* The most that was asked for at a time since then, granted or not. */
size_t interpose_commit_asked(void);
/* Wakes of sleepers on a futex by the calling thread, if made through syscall(), as the runtime makes its own. */
long interpose_wakes(void);

#endif
