/* SPDX-License-Identifier: MIT */
/* Address space, guards and their give-back on Linux. */
#include "os/os.h"

#include <gort/sanitize.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL      /* Linux 6.13; older headers lack the word, the kernel decides at run time */
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_process_madvise     /* the same number everywhere but on Alpha */
#define SYS_process_madvise 440
#endif
#ifndef PIDFD_SELF_THREAD_GROUP /* 6.15: this process, without a descriptor that a forked child would take along */
#define PIDFD_SELF_THREAD_GROUP (-10001)
#endif

size_t gort__os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void *gort__os_reserve(size_t size, size_t align)
{
	size_t page = gort__os_page_size();
	size_t extra = align > page ? align : 0;
	int saved = errno;
	/*
	 * First without access: mlockall(MCL_FUTURE) would otherwise touch every page right here. Then unlocked, and only
	 * then readable and writable. Not so on valgrind, whose memcheck looks at every byte that mprotect makes accessible.
	 */
	int prot = GORT__ON_VALGRIND() ? PROT_READ | PROT_WRITE : PROT_NONE;
	char *p, *q;

	if (size + extra < size)
		return NULL;
	p = mmap(NULL, size + extra, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (p == MAP_FAILED)
		goto refused;
	q = (char *)(((uintptr_t)p + extra) & ~(uintptr_t)(extra != 0 ? extra - 1 : 0));
	/* what the alignment leaves over at both ends, so that unmapping the rest leaves nothing */
	if (q > p)
		munmap(p, (size_t)(q - p));
	if (q < p + extra)
		munmap(q + size, (size_t)(p + extra - q));
	munlock(q, size);
	if (prot == PROT_NONE && mprotect(q, size, PROT_READ | PROT_WRITE) != 0) {
		munmap(q, size);
		goto refused;
	}
	/* neither is needed for correctness, so neither may fail us */
	madvise(q, size, MADV_NOHUGEPAGE);
	madvise(q, size, MADV_DONTDUMP);
	errno = saved;
	return q;
refused:
	errno = saved;
	return NULL;
}

void gort__os_unmap(void *p, size_t size)
{
	int saved = errno;

	munmap(p, size);
	errno = saved;
}

void gort__os_discard(void *p, size_t size)
{
	int saved = errno;

	madvise(p, size, MADV_DONTNEED);
	errno = saved;
}

void *gort__os_pages(size_t size)
{
	int saved = errno;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	errno = saved;
	if (p == MAP_FAILED)
		return NULL;
	GORT__LEAK_ROOT(p, size);
	return p;
}

void gort__os_pages_free(void *p, size_t size)
{
	if (p == NULL)
		return;
	GORT__LEAK_ROOT_END(p, size);
	gort__os_unmap(p, size);
}

/* The value behind key in a file of "Key:   n kB" lines, in bytes; -1 when there is none. */
static long long meminfo(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long long kb = -1;

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof line, f) != NULL) {
		size_t n = strlen(key);

		if (strncmp(line, key, n) == 0 && line[n] == ':' && sscanf(line + n + 1, "%lld", &kb) == 1)
			break;
	}
	fclose(f);
	return kb < 0 ? -1 : kb * 1024;
}

size_t gort__os_address_budget(void)
{
	struct rlimit rl;
	size_t budget = SIZE_MAX;
	int saved = errno;
	FILE *f;

	if (getrlimit(RLIMIT_AS, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY) {
		long long used = 0;

		f = fopen("/proc/self/statm", "re");
		if (f != NULL) {
			if (fscanf(f, "%lld", &used) != 1)
				used = 0;
			fclose(f);
		}
		used *= (long long)gort__os_page_size();
		budget = (unsigned long long)used < rl.rlim_cur ? (size_t)rl.rlim_cur - (size_t)used : 0;
	}
	f = fopen("/proc/sys/vm/overcommit_memory", "re");
	if (f != NULL) {
		int mode = 0;

		if (fscanf(f, "%d", &mode) == 1 && mode == 2) {     /* every private writable page counts */
			long long limit = meminfo("CommitLimit");
			long long used = meminfo("Committed_AS");
			size_t left = limit > used ? (size_t)(limit - used) : 0;

			if (limit >= 0 && left < budget)
				budget = left;
		}
		fclose(f);
	}
	errno = saved;
	return budget;
}

enum gort__guard gort__os_guard_best(void)
{
	size_t page = gort__os_page_size();
	void *p = gort__os_pages(page);
	bool works;

	if (p == NULL)
		return GORT__GUARD_MPROTECT;
	works = gort__os_guard(GORT__GUARD_MADVISE, p, page);
	gort__os_pages_free(p, page);
	return works ? GORT__GUARD_MADVISE : GORT__GUARD_MPROTECT;
}

bool gort__os_guard(enum gort__guard how, void *p, size_t size)
{
	int saved = errno;
	bool ok = false;

	if (how == GORT__GUARD_MADVISE) {
		int tries = 0;

		/* EAGAIN: the kernel met a race over and over; it asks to be called again */
		while (!(ok = madvise(p, size, MADV_GUARD_INSTALL) == 0) && errno == EAGAIN && ++tries < 100)
			;
	} else if (how == GORT__GUARD_MPROTECT) {
		ok = mprotect(p, size, PROT_NONE) == 0;
	}
	errno = saved;
	return ok;
}

uint32_t gort__os_guard_many(void *const *at, uint32_t n, size_t size)
{
	struct iovec pieces[GORT__OS_GUARDS];
	int saved = errno;
	long done;

	if (GORT__ON_VALGRIND())        /* which knows the call in its newest versions only */
		return 0;
	for (uint32_t i = 0; i < n; i++)
		pieces[i] = (struct iovec){ at[i], size };
	done = syscall(SYS_process_madvise, PIDFD_SELF_THREAD_GROUP, pieces, (size_t)n, MADV_GUARD_INSTALL, 0);
	errno = saved;
	return done > 0 ? (uint32_t)((size_t)done / size) : 0;
}
