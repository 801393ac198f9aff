/* SPDX-License-Identifier: MIT */
/* Threads of ours, thread exit, fork, and the way out. */
#define _GNU_SOURCE     /* pthread_setname_np, pthread_getattr_np */
#include "os/linux/signals.h"
#include "os/os.h"

#include <gort/gmp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/*
 * Threads of ours. None is detached: a detached one can be known to be about to end, but not to have ended, and code must not
 * be unloaded before that. One that ends joins the one that ended before it, so that there is never more than one, the last,
 * that nobody has joined; and who has joined that one knows that all have ended.
 */
static struct {
	pthread_mutex_t lock;
	uint32_t live;                  /* started, and not through with fn; a futex. Release and acquire */
	bool ended;                     /* last is to be joined; under lock */
	bool nobody;                    /* will join any: the process ends; under lock */
	pthread_t last;                 /* under lock */
} threads = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local bool ours;

/* In place of the last one: the caller, or nobody. */
static void join_last(bool replace)
{
	pthread_t before;
	bool some;

	pthread_mutex_lock(&threads.lock);
	some = threads.ended;
	before = threads.last;
	threads.ended = replace && !threads.nobody;
	threads.last = pthread_self();
	if (replace && threads.nobody)
		pthread_detach(threads.last);
	pthread_mutex_unlock(&threads.lock);
	if (some)
		pthread_join(before, NULL);
}

static void count_out(void)
{
	gort__add_release(&threads.live, -1u);          /* pairs with the acquire in gort__os_threads_wait */
	gort__os_futex_wake(&threads.live, INT_MAX);
}

static void *thread_main(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	ours = true;
	pthread_setname_np(pthread_self(), s.name);
	s.fn(s.arg);
	join_last(true);
	count_out();
	return NULL;
}

/* Called anew for each look, and never made part of its caller: a goroutine may change threads. */
__attribute__((noinline)) bool gort__os_thread_ours(void)
{
	bool yes = ours;

	__asm__ volatile("" : "+r"(yes) : : "memory");
	return yes;
}

void gort__os_threads_wait(uint32_t most)
{
	uint32_t n;

	while ((n = gort__load_acquire(&threads.live)) > most)          /* pairs with the release in count_out */
		gort__os_futex_wait(&threads.live, n, GORT_FOREVER);
}

void gort__os_threads_join(void)
{
	gort__os_threads_wait(0);
	join_last(false);
}

void gort__os_threads_forget(void)
{
	pthread_mutex_init(&threads.lock, NULL);
	threads.live = 0;
	threads.ended = false;
	ours = false;
}

/* At the end of the process, or unloaded after gort_shutdown: nobody is left unjoined, for who looks for that. */
static __attribute__((destructor)) void unloaded(void)
{
	pthread_mutex_lock(&threads.lock);
	threads.nobody = true;
	pthread_mutex_unlock(&threads.lock);
	join_last(false);
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
	pthread_attr_setstacksize(&attr, stack_size);
	if (block_signals)
		block_all(&mask);
	gort__add_relaxed(&threads.live, 1);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	err = pthread_create(&t, &attr, thread_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (err != 0) {
		free(s);
		count_out();
	}
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

void gort__os_watch_end(struct gort__os_watch *w)
{
	int saved = errno;

	/* a number that is the program's by now is not ours to close */
	if (w->tid != 0 && read_state(w) != -2)
		close(w->file);
	w->tid = 0;
	errno = saved;
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
static bool no_exit_key;                /* atomic */

int gort__os_at_thread_exit(void (*fn)(void *arg))
{
	return -pthread_key_create(&exit_key, fn);
}

int gort__os_set_thread_exit(void *arg)
{
	/* a thread that calls in while the process ends */
	if (gort__load_relaxed(&no_exit_key))
		return 0;
	return -pthread_setspecific(exit_key, arg);
}

void gort__os_no_thread_exit(void)
{
	gort__store_relaxed(&no_exit_key, true);
	pthread_key_delete(exit_key);
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
