/* SPDX-License-Identifier: MIT */
/* The scheduler's start, its restart in a forked child, and the environment: $GOMAXPROCS and $GORT_DEBUG. */
#include "runtime.h"

#include "clock.h"
#include "panic.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gort__options gort__options;

uint32_t gort__cpus;

uint32_t gort__phase_word;              /* enum gort__phase; release and acquire; written under start_lock */
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;  /* held by gort_shutdown as long as it takes */
static pthread_mutex_t look_lock = PTHREAD_MUTEX_INITIALIZER;   /* held for moments only: nobody waits under it */
uint32_t gort__life;
static bool forked;                     /* in a child that has not called gort_run; written by the child's only thread */
static bool once_per_process;           /* under start_lock */

void gort__say(const char *fmt, ...)
{
	char line[256] = "gort: ";
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + 6, sizeof line - 7, fmt, ap);
	va_end(ap);
	n = strlen(line);
	line[n] = '\n';
	gort__os_print(line, n + 1);
}

static void say(const char *what, const char *value, const char *why)
{
	gort__say("%s%.100s ignored: %s", what, value, why);
}

/* A decimal number up to max, all of s; -1 when it is none. */
static long long number(const char *s, long long max)
{
	long long n = 0;

	if (*s == '\0')
		return -1;
	for (; *s != '\0'; s++) {
		if (!isdigit((unsigned char)*s) || n > (max - (*s - '0')) / 10)
			return -1;
		n = n * 10 + (*s - '0');
	}
	return n;
}

/* Bytes, or K, M, G of them; -1 when it is no size. */
static long long size(const char *s)
{
	char digits[24];
	size_t n = strlen(s);
	int shift = 0;
	long long v;

	if (n == 0 || n >= sizeof digits)
		return -1;
	switch (s[n - 1]) {
	case 'k': case 'K': shift = 10; break;
	case 'm': case 'M': shift = 20; break;
	case 'g': case 'G': shift = 30; break;
	}
	memcpy(digits, s, n + 1);
	if (shift != 0)
		digits[n - 1] = '\0';
	v = number(digits, (1LL << 40) >> shift);
	return v < 0 ? -1 : v << shift;
}

static void read_procs(void)
{
	const char *s = getenv("GOMAXPROCS");
	long long n;

	gort__store_relaxed(&gort__cpus, gort__os_cpus());
	gort__options.procs = 0;
	if (s != NULL && *s != '\0') {
		n = number(s, GORT__MAX_PROCS);
		if (n >= 1)
			gort__options.procs = (uint32_t)n;
		else
			say("GOMAXPROCS=", s, "not a number from 1 to 1024; using the processors there are");
	}
	if (gort__options.procs == 0) {
		gort__options.procs = gort__cpus;
		if (gort__options.procs > GORT__MAX_PROCS)
			gort__options.procs = GORT__MAX_PROCS;
	}
}

/* One word of $GORT_DEBUG. What is wrong with it, or NULL. */
static const char *read_word(char *word)
{
	char *value = strchr(word, '=');
	long long n;

	if (value == NULL)
		return "not of the form name=value";
	*value++ = '\0';
	if (strcmp(word, "stackmax") == 0) {
		n = size(value);
		if (n < 16 * 1024)
			return "not a size from 16K to 1024G";
		gort__options.stack_max = (size_t)n;
		return NULL;
	}
	if (strcmp(word, "guard") == 0) {
		if (strcmp(value, "madvise") == 0)
			gort__options.guard = GORT__GUARD_MADVISE;
		else if (strcmp(value, "mprotect") == 0)
			gort__options.guard = GORT__GUARD_MPROTECT;
		else if (strcmp(value, "none") == 0)
			gort__options.guard = GORT__GUARD_NONE;
		else
			return "not madvise, mprotect or none";
		return NULL;
	}
	if (strcmp(word, "preempt") == 0) {
		if (strcmp(value, "off") != 0 && strcmp(value, "signal") != 0 && strcmp(value, "auto") != 0 &&
		    strcmp(value, "retake") != 0)
			return "not auto, retake, signal or off";
		gort__options.retake = strcmp(value, "off") != 0;
		gort__options.signal = strcmp(value, "signal") == 0;
		return NULL;
	}
	if (strcmp(word, "threads") == 0) {
		n = number(value, 1000000);
		if (n < 1)
			return "not a number from 1 to 1000000";
		gort__options.threads = (uint32_t)n;
		return NULL;
	}
	if (strcmp(word, "traceback") == 0) {
		if (strcmp(value, "quit") != 0)
			return "not quit";
		gort__options.quit = true;
		return NULL;
	}
	if (strcmp(word, "schedtrace") == 0) {
		n = number(value, 24LL * 3600 * 1000);
		if (n < 1)
			return "not a number of milliseconds, up to a day";
		gort__options.schedtrace = n * GORT_MILLISECOND;
		return NULL;
	}
	if (strcmp(word, "trace") == 0) {
		if (strlen(value) >= sizeof gort__options.trace || *value == '\0')
			return "not a path";
		strcpy(gort__options.trace, value);
		return NULL;
	}
	return "unknown; known are guard, preempt, schedtrace, stackmax, threads, trace, traceback";
}

static void read_debug(void)
{
	const char *s = getenv("GORT_DEBUG");
	char word[128], shown[128];

	while (s != NULL && *s != '\0') {
		size_t n = strcspn(s, ",");
		const char *wrong;

		if (n > 0) {
			snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), s);
			memcpy(shown, word, sizeof shown);
			wrong = n < sizeof word ? read_word(word) : "too long";
			if (wrong != NULL)
				say("GORT_DEBUG word ", shown, wrong);
		}
		s += n + (s[n] == ',');
	}
}

static void in_child(void)
{
	bool lost = gort__load_relaxed(&gort__phase_word) != GORT__DOWN;

	/* the other threads are gone, whatever they held */
	gort__fence_forget();
	gort__trace_forget();
	pthread_mutex_init(&start_lock, NULL);
	pthread_mutex_init(&look_lock, NULL);
	gort__os_threads_forget();
	gort__siblings_forked();
	gort__panic_in_child();
	gort__keys_in_child();
	gort__m_in_child(lost);
	if (lost) {
		/* nothing of the old scheduler may be touched again */
		gort__store_relaxed(&forked, true);
		gort__tls = NULL;
		gort__timer_in_child();
		gort__store_relaxed(&gort__life, gort__life + 1);
		gort__store_relaxed(&gort__phase_word, GORT__DOWN);
	}
}

static int start(void)
{
	gort__p *pp;
	int err;

	gort__options = (struct gort__options){ .retake = true, .threads = 10000 };
	read_procs();
	read_debug();
	gort__fence_init();
	gort__os_signals_init();
	gort__sched_init();
	gort__g_init();
	gort__m_init();
	gort__timer_init();
	gort__clock_init();
	err = gort__stack_init();
	if (err == 0 && !once_per_process) {
		err = gort__m_thread_exit_init();
		if (err == 0) {
			gort__os_at_fork_child(in_child);
			once_per_process = true;
		}
	}
	if (err == 0)
		err = gort__fault_init();
	if (err == 0 && gort__options.signal) {
		const char *why = gort__preempt_init();

		if (why != NULL) {
			gort__options.signal = false;
			say("GORT_DEBUG word ", "preempt=signal", why);
		}
	}
	if (err == 0 && gort__options.quit)
		err = gort__traceback_on_quit();
	if (err == 0)
		err = gort__p_init(gort__options.procs);
	if (err == 0)
		err = gort__sysmon_start();
	if (err == 0) {
		/* the first thread, which must be had: later ones only make it faster */
		gort__lock_lock(&gort__sched.lock);
		pp = gort__p_from_idle(0);
		gort__lock_unlock(&gort__sched.lock);
		if (!gort__m_start(pp, false, NULL))
			err = -EAGAIN;
	}
	if (err != 0) {
		gort__sysmon_stop();
		gort__os_threads_join();
		gort__dismantle();
	}
	return err;
}

/* GORT_DEBUG=trace=PATH. After a gort_shutdown to PATH.2, and so on: what was written before is kept. */
static void start_trace(uint32_t nth)
{
	char path[sizeof gort__options.trace + 12];
	int err;

	snprintf(path, sizeof path, nth > 1 ? "%s.%u" : "%s", gort__options.trace, (unsigned)nth);
	err = gort_trace_start(path);
	if (err != 0)
		gort__say("no trace to %s: %s", path, gort_strerror(err));
}

int gort__start(void)
{
	static uint32_t nth;            /* under start_lock */
	uint32_t trace = 0;
	int err = 0;

	if (gort__likely(gort__load_acquire(&gort__phase_word) == GORT__UP))       /* pairs with the release below */
		return 0;
	/* a goroutine that gort_shutdown waits for, say: it has a scheduler still */
	if (gort__load_relaxed(&gort__phase_word) == GORT__CLOSING && gort__os_thread_ours())
		return 0;
	if (gort__load_relaxed(&forked))
		gort__fatal("goroutines are not available in a forked child: call gort_run first, or exec");
	pthread_mutex_lock(&start_lock);
	if (gort__load_relaxed(&gort__phase_word) == GORT__DOWN) {
		err = start();
		if (err == 0) {
			gort__store_release(&gort__phase_word, GORT__UP);
			nth++;
			trace = gort__options.trace[0] != '\0' ? nth : 0;
		}
	}
	pthread_mutex_unlock(&start_lock);
	if (trace != 0)
		start_trace(trace);
	return err;
}

bool gort__started(void)
{
	return gort__load_acquire(&gort__phase_word) != GORT__DOWN;
}

bool gort__look_begin(void)
{
	if (gort__os_thread_ours())             /* as long as one of these runs it is there */
		return gort__started();
	pthread_mutex_lock(&look_lock);
	if (gort__started())
		return true;
	pthread_mutex_unlock(&look_lock);
	return false;
}

void gort__look_end(void)
{
	if (!gort__os_thread_ours())
		pthread_mutex_unlock(&look_lock);
}

bool gort__close_begin(void)
{
	pthread_mutex_lock(&start_lock);
	if (gort__load_relaxed(&gort__phase_word) != GORT__UP)
		return false;
	gort__store_relaxed(&gort__phase_word, GORT__CLOSING);
	gort__fence_seq_cst();                  /* pairs with the one in gort__hold_settle: see enter.c */
	return true;
}

void gort__close_look(void)
{
	pthread_mutex_lock(&look_lock);
	gort__store_relaxed(&gort__life, gort__life + 1);
	gort__store_relaxed(&gort__phase_word, GORT__DOWN);
	pthread_mutex_unlock(&look_lock);
}

void gort__close_end(void)
{
	pthread_mutex_unlock(&start_lock);
}

/* Unloaded after gort_shutdown, or at the end of a process without a scheduler: a thread that ends later calls nothing here. */
static __attribute__((destructor)) void unloaded(void)
{
	if (gort__phase() == GORT__DOWN && once_per_process)
		gort__os_no_thread_exit();
}

int gort__start_afresh(void)
{
	if (gort__load_relaxed(&forked))
		gort__store_relaxed(&forked, false);
	return gort__start();
}
