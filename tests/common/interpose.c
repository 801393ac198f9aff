/* SPDX-License-Identifier: MIT */
/* interpose.h says what this is. glibc's allocator is also there under names of its own, so nothing has to be looked up. */
#define _GNU_SOURCE
#include "interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
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

/* Under both names: which one a program calls is decided by _FILE_OFFSET_BITS. */
static void *map(void *addr, size_t n, int prot, int flags, int fd, off_t off)
{
	if (fails(INTERPOSE_MMAP)) {
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
	if (fails(INTERPOSE_MMAP)) {
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
