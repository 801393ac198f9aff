/* SPDX-License-Identifier: MIT */
/* Spawning, yielding, stacks. */
#include "bench.h"

#include <gort/gmp.h>

struct yielder {
	long n;
	gort_waitgroup *wg;
};

static void yields(void *arg)
{
	struct yielder *y = arg;

	for (long i = 0; i < y->n; i++)
		gort_yield();
	gort_waitgroup_done(y->wg);
}

static void yield(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct yielder y = { n / 2, &wg };
	gort_time t = gort_now();

	gort_waitgroup_add(&wg, 2);
	bench_go(yields, &y);
	bench_go(yields, &y);
	gort_waitgroup_wait(&wg);
	bench_out("yield", bench_ns(t, n), "ns/switch");
}

static void just_done(void *arg)
{
	gort_waitgroup_done(arg);
}

static void spawn_join(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	const int batch = 1000;
	gort_time t = gort_now();

	for (long i = 0; i < n / batch; i++) {
		gort_waitgroup_add(&wg, batch);
		for (int j = 0; j < batch; j++)
			bench_go(just_done, &wg);
		gort_waitgroup_wait(&wg);
	}
	bench_out("spawn_join", bench_ns(t, n / batch * batch), "ns/goroutine");
}

static void spawn_seq(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	gort_time t = gort_now();

	for (long i = 0; i < n; i++) {
		gort_waitgroup_add(&wg, 1);
		bench_go(just_done, &wg);
		gort_waitgroup_wait(&wg);
	}
	bench_out("spawn_seq", bench_ns(t, n), "ns/goroutine");
}

/* What a goroutine costs that has not run yet: needs P=1, since an idle P would run some. */
static void spawn1m_unrun(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	double before, after;

	gort_waitgroup_add(&wg, (int)n);
	before = bench_rss();
	for (long i = 0; i < n; i++)
		bench_go(just_done, &wg);
	after = bench_rss();
	gort_waitgroup_wait(&wg);
	bench_out("spawn1m_unrun", (after - before) / (double)n, "B/goroutine");
}

static __attribute__((noinline)) long deep(long n, volatile char *p)
{
	volatile char buf[64];

	buf[n & 63] = *p;
	if (n == 0)
		return buf[0];
	return deep(n - 1, &buf[n & 63]) + 1;
}

struct dive {
	long n, result;
	double cold, warm;
	gort_waitgroup wg;
};

static void dive(void *arg)
{
	struct dive *d = arg;
	char byte = 0;
	gort_time t = gort_now();

	d->result = deep(d->n, &byte);
	d->cold = bench_ms(t);
	t = gort_now();
	d->result += deep(d->n, &byte);
	d->warm = bench_ms(t);
	gort_waitgroup_done(&d->wg);
}

static void deep_rec(long n)
{
	struct dive d = { .n = n };

	gort_waitgroup_add(&d.wg, 1);
	bench_go(dive, &d);
	gort_waitgroup_wait(&d.wg);
	bench_check(d.result == 2 * n, "depth");
	bench_out("deep_rec", d.cold, "ms");
	bench_out("deep_rec_warm", d.warm, "ms");
}

/* What every call into the library begins and ends with. */
static void entry(long n)
{
	gort_time t = gort_now();

	for (long i = 0; i < n; i++) {
		gort__m *mp = gort__enter();

		__asm__ volatile("" : : "r"(mp) : "memory");
		gort__leave(mp);
	}
	bench_out("entry", bench_ns(t, n), "ns/op");
}

const struct bench_item bench_sched[] = {
	{ "yield", yield, 10000000 },
	{ "spawn_join", spawn_join, 1000000 },
	{ "spawn_seq", spawn_seq, 1000000 },
	{ "spawn1m_unrun", spawn1m_unrun, 1000000 },
	{ "deep_rec", deep_rec, 1000000 },
	{ "entry", entry, 200000000 },
	{ 0 },
};
