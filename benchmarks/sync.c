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

struct readers {
	gort_rwmutex m;
	long x, n;
	long sink;                      /* atomic */
	gort_waitgroup wg;
};

struct reader {
	struct readers *r;
	long g;
};

static void reads_and_writes(void *arg)
{
	struct reader *a = arg;
	struct readers *r = a->r;
	long s = 0;

	for (long i = 0; i < r->n; i++) {
		if ((i + a->g) % 10 == 0) {
			gort_rwmutex_lock(&r->m);
			r->x++;
			gort_rwmutex_unlock(&r->m);
		} else {
			gort_rwmutex_rlock(&r->m);
			s += r->x;
			gort_rwmutex_runlock(&r->m);
		}
	}
	__atomic_fetch_add(&r->sink, s, __ATOMIC_RELAXED);
	gort_waitgroup_done(&r->wg);
}

static void rwmutex_90_10(long n)
{
	struct readers r = { .n = n };
	struct reader readers[8];
	long writes = 0;
	gort_time t = gort_now();

	gort_waitgroup_add(&r.wg, 8);
	for (int g = 0; g < 8; g++) {
		readers[g] = (struct reader){ &r, g };
		bench_go(reads_and_writes, &readers[g]);
	}
	gort_waitgroup_wait(&r.wg);
	bench_out("rwmutex_90_10", bench_ns(t, 8 * n), "ns/op");
	for (long g = 0; g < 8; g++) {
		for (long i = 0; i < n; i++)
			writes += (i + g) % 10 == 0;
	}
	bench_check(r.x == writes, "count");
}

#define COND_WAITERS 100

struct rounds {
	gort_mutex m;
	gort_cond c, done;
	long rounds, round, seen;
	gort_waitgroup wg;
};

static void sees_each_round(void *arg)
{
	struct rounds *r = arg;
	long mine = 0;

	gort_mutex_lock(&r->m);
	while (mine < r->rounds) {
		while (r->round == mine)
			gort_cond_wait(&r->c, &r->m);
		mine++;
		r->seen++;
		if (r->seen == COND_WAITERS)
			gort_cond_signal(&r->done);
	}
	gort_mutex_unlock(&r->m);
	gort_waitgroup_done(&r->wg);
}

static void cond_broadcast(long n)
{
	struct rounds r = { .rounds = n };
	gort_time t;

	for (int i = 0; i < COND_WAITERS; i++) {
		gort_waitgroup_add(&r.wg, 1);
		bench_go(sees_each_round, &r);
	}
	t = gort_now();
	gort_mutex_lock(&r.m);
	for (long i = 0; i < n; i++) {
		r.seen = 0;
		r.round++;
		gort_cond_broadcast(&r.c);
		while (r.seen != COND_WAITERS)
			gort_cond_wait(&r.done, &r.m);
	}
	gort_mutex_unlock(&r.m);
	gort_waitgroup_wait(&r.wg);
	bench_out("cond_broadcast", bench_ns(t, n * COND_WAITERS), "ns/wakeup");
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
	{ "rwmutex_90_10", rwmutex_90_10, 500000 },
	{ "once", once, 100000000 },
	{ "cond_broadcast", cond_broadcast, 20000 },
	{ 0 },
};
