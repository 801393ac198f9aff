/* SPDX-License-Identifier: MIT */
/* What a scheduler with nothing to do costs, and how soon a second processor takes part. */
#include "bench.h"

#include <gort/net.h>

#include <sys/resource.h>

#define PARKED 1000
#define SETTLE (500 * GORT_MILLISECOND)

static void waits_for_ever(void *arg)
{
	(void)arg;
	gort_select(NULL, 0);
}

static void accepts_nobody(void *l)
{
	gort_conn *c;

	bench_check(gort_accept(l, &c) != 0, "somebody has come");
	gort_listener_unref(l);
}

struct ticks {
	gort_ticker *t;
	long n;                 /* atomic */
};

static void counts_ticks(void *arg)
{
	struct ticks *k = arg;

	for (;;) {
		gort_chan_recv(gort_ticker_chan(k->t), NULL);
		__atomic_fetch_add(&k->n, 1, __ATOMIC_RELAXED);
	}
}

struct usage {
	double us;              /* of processors, the kernel's time for us included */
	double switches;        /* threads that went to sleep */
};

static struct usage usage(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (struct usage){
		(double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 + (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec),
		(double)ru.ru_nvcsw,
	};
}

/* n: milliseconds */
static void idle(long n)
{
	static struct ticks ticks;              /* its goroutine outlives us */
	gort_listener *l;
	struct usage before, after;
	double s;
	gort_time t;
	long had;

	for (int i = 0; i < PARKED; i++)
		bench_go(waits_for_ever, NULL);
	bench_check(gort_listen(&l, "tcp", "127.0.0.1:0", NULL) == 0, "no listener");
	bench_go(accepts_nobody, gort_listener_ref(l));
	ticks.t = gort_ticker_new(100 * GORT_MILLISECOND);
	bench_check(ticks.t != NULL, "out of memory");
	bench_go(counts_ticks, &ticks);
	gort_sleep(SETTLE);
	before = usage();
	had = __atomic_load_n(&ticks.n, __ATOMIC_RELAXED);
	t = gort_now();
	gort_sleep(n * GORT_MILLISECOND);
	s = (double)(gort_now() - t) / 1e9;
	after = usage();
	bench_check(n < 1000 || __atomic_load_n(&ticks.n, __ATOMIC_RELAXED) > had, "the ticker stands still");
	bench_out("idle_cpu", (after.us - before.us) / s, "us/s");
	bench_out("idle_ctxsw", (after.switches - before.switches) / s, "1/s");
	bench_out("idle_rss", bench_rss() / 1024, "KiB");
	gort_listener_close(l);
}

/* --- two that compute between hand-offs --- */

struct pair {
	gort_chan *a, *b;
	long n;
	gort_waitgroup wg;
};

static void compute(gort_duration d)
{
	gort_time end = gort_now() + d;

	while (gort_now() < end)
		;
}

static void gives_first(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		compute(15 * GORT_MICROSECOND);
		gort_chan_send(p->a, NULL);
		compute(10 * GORT_MICROSECOND);
		gort_chan_recv(p->b, NULL);
	}
	gort_waitgroup_done(&p->wg);
}

static void takes_first(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		compute(10 * GORT_MICROSECOND);
		gort_chan_recv(p->a, NULL);
		compute(15 * GORT_MICROSECOND);
		gort_chan_send(p->b, NULL);
	}
	gort_waitgroup_done(&p->wg);
}

/* 30 us are ideal, 50 come of one after the other. */
static void wakeup_parallel10us(long n)
{
	struct pair p = { .a = bench_chan_new(0, 0), .b = bench_chan_new(0, 0), .n = n };
	gort_time t = gort_now();

	gort_waitgroup_add(&p.wg, 2);
	bench_go(gives_first, &p);
	bench_go(takes_first, &p);
	gort_waitgroup_wait(&p.wg);
	bench_out("wakeup_parallel10us", bench_ns(t, n) / 1000, "us/iteration");
	gort_chan_unref(p.a);
	gort_chan_unref(p.b);
}

const struct bench_item bench_idle[] = {
	{ "idle", idle, 3000 },
	{ "wakeup_parallel10us", wakeup_parallel10us, 50000 },
	{ 0 },
};
