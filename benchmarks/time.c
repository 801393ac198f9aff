/* SPDX-License-Identifier: MIT */
/* Timers and sleeping. */
#include "bench.h"

#include <stdlib.h>

/* --- a multitude that sleeps --- */

struct sleepers {
	gort_waitgroup wg;
	int64_t late;                   /* all of them together; atomic */
};

struct sleeper {
	struct sleepers *all;
	gort_duration d;
};

static void sleeps(void *arg)
{
	struct sleeper *s = arg;
	gort_time t = gort_now();

	gort_sleep(s->d);
	t = gort_now() - t - s->d;
	bench_check(t >= 0, "woken early");
	__atomic_fetch_add(&s->all->late, t, __ATOMIC_RELAXED);
	gort_waitgroup_done(&s->all->wg);
}

static void timers(long n)
{
	struct sleepers all = { .late = 0 };
	gort_duration *d = malloc((size_t)n * sizeof *d);
	uint64_t r = 42;
	gort_time t;

	bench_check(d != NULL, "out of memory");
	for (long i = 0; i < n; i++) {
		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		d[i] = (gort_duration)(1 + r % 100) * GORT_MILLISECOND;
	}
	gort_waitgroup_add(&all.wg, (int)n);
	t = gort_now();
	for (long i = 0; i < n; i++) {
		struct sleeper s = { &all, d[i] };

		bench_check(gort_go_copy(sleeps, &s, sizeof s) == 0, "out of memory");
	}
	gort_waitgroup_wait(&all.wg);
	bench_out("timers_total", bench_ms(t), "ms");
	bench_out("timers_late_mean", (double)all.late / (double)n / 1000, "us");
	free(d);
}

/* --- timers that never fire --- */

static void never(void *arg)
{
	(void)arg;
	bench_check(false, "a timer of an hour has fired");
}

static void timer_churn(long n)
{
	gort_time t = gort_now();

	for (long i = 0; i < n; i++) {
		gort_timer *tm = gort_timer_after_func(GORT_HOUR, never, NULL);

		bench_check(tm != NULL && gort_timer_stop(tm), "a timer of an hour was not pending");
		gort_timer_free(tm);
	}
	bench_out("timer_churn", bench_ns(t, n), "ns/create+stop");
}

static void timer_reset(long n)
{
	gort_timer *tm = gort_timer_after_func(GORT_HOUR, never, NULL);
	gort_time t;

	bench_check(tm != NULL, "out of memory");
	t = gort_now();
	for (long i = 0; i < n; i++)
		bench_check(gort_timer_reset(tm, GORT_HOUR), "a timer of an hour was not pending");
	bench_out("timer_reset", bench_ns(t, n), "ns/reset");
	bench_check(gort_timer_stop(tm), "a timer of an hour was not pending");
	gort_timer_free(tm);
}

/* --- how late one sleeper is on an idle scheduler --- */

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void lateness(long n, gort_duration d, const char *p50, const char *p99)
{
	double *late = malloc((size_t)n * sizeof *late);

	bench_check(late != NULL, "out of memory");
	for (long i = 0; i < n; i++) {
		gort_time t = gort_now();

		gort_sleep(d);
		late[i] = (double)(gort_now() - t - d) / 1000;
		bench_check(late[i] >= 0, "woken early");
	}
	qsort(late, (size_t)n, sizeof *late, less);
	bench_out(p50, late[n / 2], "us");
	bench_out(p99, late[n * 99 / 100], "us");
	free(late);
}

static void sleep1ms(long n)
{
	lateness(n, GORT_MILLISECOND, "sleep1ms_late_p50", "sleep1ms_late_p99");
}

static void sleep50us(long n)
{
	lateness(n, 50 * GORT_MICROSECOND, "sleep50us_late_p50", "sleep50us_late_p99");
}

const struct bench_item bench_time[] = {
	{ "sleep1ms", sleep1ms, 1000 },
	{ "sleep50us", sleep50us, 2000 },
	{ "timer_churn", timer_churn, 2000000 },
	{ "timer_reset", timer_reset, 5000000 },
	{ "timers", timers, 100000 },
	{ 0 },
};
