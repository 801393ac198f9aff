/* SPDX-License-Identifier: MIT */
/* interpose.h says what this is. glibc's allocator is also there under names of its own, so nothing has to be looked up. */
#define _GNU_SOURCE
#include "interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static struct {
	int countdown;          /* calls until the failing one; 0: off; atomic */
	bool all;
	int failed;             /* atomic */
	long calls;             /* atomic */
} kinds[INTERPOSE_KINDS];

void interpose_fail(enum interpose kind, int n, bool all)
{
	kinds[kind].all = all;
	__atomic_store_n(&kinds[kind].countdown, n, __ATOMIC_SEQ_CST);
}

int interpose_failed(enum interpose kind)
{
	return __atomic_load_n(&kinds[kind].failed, __ATOMIC_SEQ_CST);
}

long interpose_calls(enum interpose kind)
{
	return __atomic_load_n(&kinds[kind].calls, __ATOMIC_SEQ_CST);
}

static bool fails(enum interpose kind)
{
	int n = __atomic_load_n(&kinds[kind].countdown, __ATOMIC_RELAXED);

	__atomic_fetch_add(&kinds[kind].calls, 1, __ATOMIC_RELAXED);
	if (n == 0)
		return false;
	do {
		if (n == 0)
			return false;
	} while (!__atomic_compare_exchange_n(&kinds[kind].countdown, &n, n == 1 && kinds[kind].all ? 1 : n - 1, false,
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	if (n > 1)
		return false;
	__atomic_fetch_add(&kinds[kind].failed, 1, __ATOMIC_SEQ_CST);
	return true;
}

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

void *malloc(size_t n)
{
	return fails(INTERPOSE_MALLOC) ? no_memory() : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(INTERPOSE_MALLOC) ? no_memory() : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(INTERPOSE_MALLOC) ? no_memory() : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails(INTERPOSE_MALLOC) ? no_memory() : __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	*p = fails(INTERPOSE_MALLOC) ? NULL : __libc_memalign(align, n);
	return *p != NULL ? 0 : ENOMEM;
}

/* --- commit space --- */

#define USED 1000000                    /* KiB: what others have committed */

static struct {
	bool on;
	size_t left;                    /* atomic */
	size_t asked;                   /* atomic */
	char meminfo[128];
} commit;

void interpose_overcommit(size_t left)
{
	snprintf(commit.meminfo, sizeof commit.meminfo, "MemTotal:  1 kB\nCommitLimit:  %zu kB\nCommitted_AS:  %d kB\n",
		left / 1024 + USED, USED);
	commit.left = left;
	commit.on = true;
}

size_t interpose_commit_asked(void)
{
	return __atomic_load_n(&commit.asked, __ATOMIC_RELAXED);
}

/* n bytes become writable: is there so much left? */
static bool commits(size_t n, int prot)
{
	size_t was = __atomic_load_n(&commit.asked, __ATOMIC_RELAXED);
	size_t left = __atomic_load_n(&commit.left, __ATOMIC_RELAXED);

	if (!commit.on || !(prot & PROT_WRITE))
		return true;
	while (n > was && !__atomic_compare_exchange_n(&commit.asked, &was, n, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	do {
		if (left < n)
			return false;
	} while (!__atomic_compare_exchange_n(&commit.left, &left, left - n, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

#undef fopen
#undef fopen64
FILE *gort_test_fopen(const char *path, const char *mode) __asm__("fopen");
FILE *gort_test_fopen64(const char *path, const char *mode) __asm__("fopen64");

FILE *gort_test_fopen(const char *path, const char *mode)
{
	static FILE *(*real)(const char *path, const char *mode);
	static char two[] = "2\n";

	if (commit.on && strcmp(path, "/proc/sys/vm/overcommit_memory") == 0)
		return fmemopen(two, strlen(two), "r");
	if (commit.on && strcmp(path, "/proc/meminfo") == 0)
		return fmemopen(commit.meminfo, strlen(commit.meminfo), "r");
	if (real == NULL) {
		void *sym = dlsym(RTLD_NEXT, "fopen");

		__builtin_memcpy(&real, &sym, sizeof real);
	}
	return real(path, mode);
}

FILE *gort_test_fopen64(const char *path, const char *mode)
{
	return gort_test_fopen(path, mode);
}

/* Under both names: which one a program calls is decided by _FILE_OFFSET_BITS. */
static void *map(void *addr, size_t n, int prot, int flags, int fd, off_t off)
{
	if (fails(INTERPOSE_MMAP) || ((flags & MAP_PRIVATE) && !commits(n, prot))) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, addr, n, prot, flags, fd, off);
}

#undef mmap
#undef mmap64
void *gort_test_mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off) __asm__("mmap");
void *gort_test_mmap64(void *addr, size_t n, int prot, int flags, int fd, off_t off) __asm__("mmap64");

void *gort_test_mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off)
{
	return map(addr, n, prot, flags, fd, off);
}

void *gort_test_mmap64(void *addr, size_t n, int prot, int flags, int fd, off_t off)
{
	return map(addr, n, prot, flags, fd, off);
}

int mprotect(void *addr, size_t n, int prot)
{
	if (fails(INTERPOSE_MMAP) || !commits(n, prot)) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_mprotect, addr, n, prot);
}

int madvise(void *addr, size_t n, int advice)
{
	if (fails(INTERPOSE_MMAP)) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_madvise, addr, n, advice);
}

static __thread long wakes;

long interpose_wakes(void)
{
	return wakes;
}

long syscall(long number, ...)
{
	static long (*real)(long number, ...);
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);        /* as libc's does: those that were not passed are of no interest to the kernel */
	va_end(ap);
	if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAKE)
		wakes++;
	if (real == NULL) {
		void *sym = dlsym(RTLD_NEXT, "syscall");

		__builtin_memcpy(&real, &sym, sizeof real);
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg)
{
	static int (*real)(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg);

	if (fails(INTERPOSE_THREAD))
		return EAGAIN;
	if (real == NULL) {
		void *sym = dlsym(RTLD_NEXT, "pthread_create");

		__builtin_memcpy(&real, &sym, sizeof real);
	}
	return real(t, attr, fn, arg);
}
