/* SPDX-License-Identifier: MIT */
/* Threads of ours, thread exit, fork, and the way out. */
#define _GNU_SOURCE     /* pthread_setname_np, pthread_getattr_np */
#include "os/linux/signals.h"
#include "os/os.h"

#include <gort/gmp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct start {
	void (*fn)(void *arg);
	void *arg;
	const char *name;
};

static void *thread_main(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	pthread_setname_np(pthread_self(), s.name);
	s.fn(s.arg);
	return NULL;
}

/*
 * Our threads that run goroutines have the signal mask of the thread that started the scheduler, whoever starts them: the
 * monitor has most signals blocked, and a goroutine may have changed its thread's mask.
 */
sigset_t gort__os_start_mask;

void gort__os_signals_init(void)
{
	pthread_sigmask(SIG_SETMASK, NULL, &gort__os_start_mask);
}

/* All but those that tell of a fault of the thread's own: blocked, they would end the process without a word. */
static void block_all(sigset_t *set)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };

	sigfillset(set);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		sigdelset(set, faults[i]);
}

int gort__os_thread(void (*fn)(void *arg), void *arg, size_t stack_size, const char *name, bool block_signals)
{
	struct start *s = malloc(sizeof *s);
	pthread_attr_t attr;
	sigset_t mask = gort__os_start_mask, old;
	pthread_t t;
	int err;

	if (s == NULL)
		return -ENOMEM;
	*s = (struct start){ .fn = fn, .arg = arg, .name = name };
	err = pthread_attr_init(&attr);
	if (err != 0) {
		free(s);
		return -err;
	}
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, stack_size);
	if (block_signals)
		block_all(&mask);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	err = pthread_create(&t, &attr, thread_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (err != 0)
		free(s);
	return -err;
}

/*
 * Reads "TID (name) S ..." of the watched thread; the name may hold anything. 1 or 0; -1: the thread has ended, and the file
 * can be closed; -2: the number is not ours any more, since the program closes what it does not know.
 */
static int read_state(const struct gort__os_watch *w)
{
	char stat[128];
	ssize_t n = pread(w->file, stat, sizeof stat - 1, 0);
	const char *end;

	if (n <= 0)
		return errno == ESRCH ? -1 : -2;
	stat[n] = '\0';
	end = strrchr(stat, ')');
	if (strtoul(stat, NULL, 10) != w->tid || end == NULL || end[1] == '\0' || end[2] == '\0')
		return -2;
	return end[2] == 'S' || end[2] == 'D';
}

int gort__os_thread_blocked(struct gort__os_watch *w, uint32_t tid)
{
	int state = -1, saved = errno;
	char path[64];

	if (w->tid != 0) {
		state = read_state(w);
		if (state >= 0 && w->tid == tid)
			goto out;
		if (state != -2)
			close(w->file);
		w->tid = 0;
		state = -1;
	}
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	w->file = open(path, O_RDONLY | O_CLOEXEC);
	if (w->file >= 0) {
		w->tid = tid;
		state = read_state(w);
	}
out:
	errno = saved;
	return state < 0 ? -1 : state;
}

long gort__os_thread_count(void)
{
	int saved = errno;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	long n = 0;

	if (d == NULL) {
		errno = saved;
		return -1;
	}
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	errno = saved;
	return n;
}

void gort__os_thread_begin(void)
{
	/* sleeps end when asked to, not 50 microseconds later */
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

uint32_t gort__os_tid(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

void gort__os_thread_stack(uintptr_t *lo, uintptr_t *hi)
{
	pthread_attr_t attr;
	void *base = NULL;
	size_t size = 0;

	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstack(&attr, &base, &size);
		pthread_attr_destroy(&attr);
	}
	*lo = (uintptr_t)base;
	*hi = (uintptr_t)base + size;
}

static pthread_key_t exit_key;

int gort__os_at_thread_exit(void (*fn)(void *arg))
{
	return -pthread_key_create(&exit_key, fn);
}

int gort__os_set_thread_exit(void *arg)
{
	return -pthread_setspecific(exit_key, arg);
}

void gort__os_at_fork_child(void (*fn)(void))
{
	pthread_atfork(NULL, NULL, fn);
}

void gort__os_print(const char *s, size_t n)
{
	int saved = errno;

	while (n > 0) {
		ssize_t k = write(STDERR_FILENO, s, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		s += k;
		n -= (size_t)k;
	}
	errno = saved;
}

void gort__os_exit(int status)
{
	_exit(status);
}
