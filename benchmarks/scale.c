/* SPDX-License-Identifier: MIT */
/*
 * How single operations grow with what there is of something: here the size says how many, and the number of operations
 * is about the same for each. benchmarks/scaling runs these; compare leaves them out.
 */
#include "bench.h"

#include <stdlib.h>

#define OPERATIONS 200000L

/* --- goroutines --- */

static void just_done(void *arg)
{
	gort_waitgroup_done(arg);
}

/* n at a time, none of which has run before all are there, as far as one P goes */
static void scale_spawn(long n)
{
	long rounds = n < OPERATIONS ? OPERATIONS / n : 1;
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	gort_time t = gort_now();

	for (long r = 0; r < rounds; r++) {
		gort_waitgroup_add(&wg, (int)n);
		for (long i = 0; i < n; i++)
			bench_go(just_done, &wg);
		gort_waitgroup_wait(&wg);
	}
	bench_out("scale_spawn", bench_ns(t, n * rounds), "ns/goroutine");
}

struct crowd {
	gort_chan *c;
	long ready;             /* atomic */
	long n;                 /* what each is to do */
	long sum;               /* atomic */
	gort_waitgroup wg;
};

static void gather(struct crowd *all, long n, void (*fn)(void *arg))
{
	gort_waitgroup_add(&all->wg, (int)n);
	for (long i = 0; i < n; i++)
		bench_go(fn, all);
	while (__atomic_load_n(&all->ready, __ATOMIC_RELAXED) != n)
		gort_yield();
}

static void stands(void *arg)
{
	struct crowd *all = arg;

	__atomic_fetch_add(&all->ready, 1, __ATOMIC_RELAXED);
	gort_chan_recv(all->c, NULL);
	gort_waitgroup_done(&all->wg);
}

static void scale_park(long n)
{
	struct crowd all = { .c = bench_chan_new(0, 0) };
	double before = bench_rss(), made;
	gort_time t = gort_now();

	gather(&all, n, stands);
	made = bench_ns(t, n);
	bench_out("scale_park_bytes", (bench_rss() - before) / (double)n, "B/goroutine");
	t = gort_now();
	gort_chan_close(all.c);
	gort_waitgroup_wait(&all.wg);
	bench_out("scale_park_create", made, "ns/goroutine");
	bench_out("scale_park_release", bench_ns(t, n), "ns/goroutine");
	gort_chan_unref(all.c);
}

/* --- waiters on one channel --- */

static void takes(void *arg)
{
	struct crowd *all = arg;
	long v, sum = 0;

	__atomic_fetch_add(&all->ready, 1, __ATOMIC_RELAXED);
	while (gort_chan_recv(all->c, &v) == 0)
		sum += v;
	__atomic_fetch_add(&all->sum, sum, __ATOMIC_RELAXED);
	gort_waitgroup_done(&all->wg);
}

static void scale_receivers(long n)
{
	struct crowd all = { .c = bench_chan_new(sizeof(long), 0) };
	const long items = 2 * OPERATIONS;
	gort_time t;
	double each;

	gather(&all, n, takes);
	t = gort_now();
	for (long i = 0; i < items; i++)
		gort_chan_send(all.c, &i);
	each = bench_ns(t, items);
	gort_chan_close(all.c);
	gort_waitgroup_wait(&all.wg);
	bench_check(all.sum == items * (items - 1) / 2, "sum");
	bench_out("scale_receivers", each, "ns/item");
	gort_chan_unref(all.c);
}

static void gives(void *arg)
{
	struct crowd *all = arg;

	__atomic_fetch_add(&all->ready, 1, __ATOMIC_RELAXED);
	for (long i = 0; i < all->n; i++)
		gort_chan_send(all->c, &(long){ 1 });
	gort_waitgroup_done(&all->wg);
}

/* n senders parked on a buffer of 16, which then gets a receiver */
static void scale_senders(long n)
{
	struct crowd all = { .c = bench_chan_new(sizeof(long), 16), .n = n < OPERATIONS ? OPERATIONS / n : 1 };
	long sum = 0, v;
	gort_time t;

	gather(&all, n, gives);
	t = gort_now();
	for (long i = 0; i < n * all.n; i++) {
		gort_chan_recv(all.c, &v);
		sum += v;
	}
	bench_check(sum == n * all.n, "sum");
	bench_out("scale_senders", bench_ns(t, n * all.n), "ns/item");
	gort_waitgroup_wait(&all.wg);
	gort_chan_unref(all.c);
}

/* --- cases of one select --- */

struct fan {
	gort_chan **c;
	long n, items;
	gort_waitgroup wg;
};

static void sends_in_turn(void *arg)
{
	struct fan *f = arg;

	for (long i = 0; i < f->items; i++)
		gort_chan_send(f->c[i % f->n], &i);
	gort_waitgroup_done(&f->wg);
}

static void scale_select(long n)
{
	struct fan f = { .c = malloc((size_t)n * sizeof *f.c), .n = n };
	gort_case *cases = malloc((size_t)n * sizeof *cases);
	long v, sum = 0;
	gort_time t;

	bench_check(f.c != NULL && cases != NULL, "out of memory");
	f.items = OPERATIONS / (n < 20 ? 1 : n / 10);
	for (long i = 0; i < n; i++)
		f.c[i] = bench_chan_new(sizeof(long), 0);
	gort_waitgroup_add(&f.wg, 1);
	t = gort_now();
	bench_go(sends_in_turn, &f);
	for (long i = 0; i < f.items; i++) {
		for (long k = 0; k < n; k++)
			cases[k] = (gort_case)GORT_CASE_RECV(f.c[k], &v);
		gort_select(cases, (size_t)n);
		sum += v;
	}
	bench_check(sum == f.items * (f.items - 1) / 2, "sum");
	bench_out("scale_select", bench_ns(t, f.items), "ns/select");
	gort_waitgroup_wait(&f.wg);
	for (long i = 0; i < n; i++)
		gort_chan_unref(f.c[i]);
	free(f.c);
	free(cases);
}

/* --- timers --- */

static void never(void *arg)
{
	(void)arg;
	bench_check(false, "a timer of an hour has fired");
}

static uint64_t xorshift(uint64_t *r)
{
	*r ^= *r << 13;
	*r ^= *r >> 7;
	*r ^= *r << 17;
	return *r;
}

/* n timers at random within the second hour; then one more among them comes and goes; then all are stopped */
static void scale_timers(long n)
{
	gort_timer **all = malloc((size_t)n * sizeof *all);
	uint64_t r = 42;
	gort_time t = gort_now();

	bench_check(all != NULL, "out of memory");
	for (long i = 0; i < n; i++) {
		all[i] = gort_timer_after_func(GORT_HOUR + (gort_duration)(xorshift(&r) % GORT_HOUR), never, NULL);
		bench_check(all[i] != NULL, "out of memory");
	}
	bench_out("scale_timers_create", bench_ns(t, n), "ns/timer");
	t = gort_now();
	for (long i = 0; i < OPERATIONS; i++) {
		gort_timer *tm = gort_timer_after_func(GORT_HOUR + (gort_duration)(xorshift(&r) % GORT_HOUR), never, NULL);

		bench_check(tm != NULL && gort_timer_stop(tm), "a timer of an hour was not pending");
		gort_timer_free(tm);
	}
	bench_out("scale_timers_churn", bench_ns(t, OPERATIONS), "ns/create+stop");
	t = gort_now();
	for (long i = 0; i < n; i++) {
		bench_check(gort_timer_stop(all[i]), "a timer of an hour was not pending");
		gort_timer_free(all[i]);
	}
	bench_out("scale_timers_stop", bench_ns(t, n), "ns/timer");
	free(all);
}

const struct bench_item bench_scale[] = {
	{ "scale_spawn", scale_spawn, 1000000 },
	{ "scale_park", scale_park, 100000 },
	{ "scale_receivers", scale_receivers, 1024 },
	{ "scale_senders", scale_senders, 100000 },
	{ "scale_select", scale_select, 100 },
	{ "scale_timers", scale_timers, 100000 },
	{ 0 },
};
