/* SPDX-License-Identifier: MIT */
/* Mutexes and the like. */
#include "bench.h"

struct shared {
	gort_mutex m;
	long x, n;
	gort_waitgroup wg;
};

static void increment(void *arg)
{
	struct shared *s = arg;

	for (long i = 0; i < s->n; i++) {
		gort_mutex_lock(&s->m);
		s->x++;
		gort_mutex_unlock(&s->m);
	}
	gort_waitgroup_done(&s->wg);
}

static void mutex(long n)
{
	struct shared s = { .n = n };
	gort_time t = gort_now();

	gort_waitgroup_add(&s.wg, 8);
	for (int i = 0; i < 8; i++)
		bench_go(increment, &s);
	gort_waitgroup_wait(&s.wg);
	bench_check(s.x == 8 * n, "count");
	bench_out("mutex", bench_ns(t, 8 * n), "ns/op");
}

static void mutex_uncontended(long n)
{
	struct shared s = { .n = n };
	gort_time t = gort_now();

	gort_waitgroup_add(&s.wg, 1);
	increment(&s);
	bench_check(s.x == n, "count");
	bench_out("mutex_uncontended", bench_ns(t, n), "ns/op");
}

static void nothing(void *arg)
{
	(void)arg;
}

static void once(long n)
{
	gort_once o = GORT_ONCE_INIT;
	gort_time t = gort_now();

	for (long i = 0; i < n; i++)
		gort_once_do(&o, nothing, NULL);
	bench_out("once", bench_ns(t, n), "ns/op");
}

const struct bench_item bench_sync[] = {
	{ "mutex", mutex, 500000 },
	{ "mutex_uncontended", mutex_uncontended, 50000000 },
	{ "once", once, 100000000 },
	{ 0 },
};
