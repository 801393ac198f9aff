/* SPDX-License-Identifier: MIT */
/* Starting, yielding, sleeping, locks, system calls, deep stacks. */
#include "bench.h"

#include <sched.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void *yields(void *n)
{
	for (long i = 0; i < *(long *)n; i++)
		sched_yield();
	return NULL;
}

static void yield(long n)
{
	long each = n / 2;
	int64_t t = now();
	pthread_t a = start(yields, &each, 0), b = start(yields, &each, 0);

	join(a);
	join(b);
	out("yield", ns(t, n), "ns/switch");
}

static void *nothing(void *arg)
{
	return arg;
}

static void spawn_join(long n)
{
	enum { BATCH = 1000 };
	pthread_t t[BATCH];
	int64_t since = now();

	for (long i = 0; i < n / BATCH; i++) {
		for (int k = 0; k < BATCH; k++)
			t[k] = start(nothing, NULL, 16);
		for (int k = 0; k < BATCH; k++)
			join(t[k]);
	}
	out("spawn_join", ns(since, n / BATCH * BATCH), "ns/goroutine");
}

static void spawn_seq(long n)
{
	int64_t t = now();

	for (long i = 0; i < n; i++)
		join(start(nothing, NULL, 0));
	out("spawn_seq", ns(t, n), "ns/goroutine");
}

static void compute(int64_t us)
{
	int64_t end = now() + us * 1000;

	while (now() < end)
		;
}

struct pair {
	struct chan a, b;
	long n;
};

static void *gives_first(void *arg)
{
	struct pair *p = arg;
	long v;

	for (long i = 0; i < p->n; i++) {
		compute(15);
		chan_send(&p->a, 0);
		compute(10);
		chan_recv(&p->b, &v);
	}
	return NULL;
}

static void *takes_first(void *arg)
{
	struct pair *p = arg;
	long v;

	for (long i = 0; i < p->n; i++) {
		compute(10);
		chan_recv(&p->a, &v);
		compute(15);
		chan_send(&p->b, 0);
	}
	return NULL;
}

static void wakeup_parallel10us(long n)
{
	struct pair p = { .n = n };
	pthread_t a, b;
	int64_t t;

	chan_init(&p.a, 0);
	chan_init(&p.b, 0);
	t = now();
	a = start(gives_first, &p, 0);
	b = start(takes_first, &p, 0);
	join(a);
	join(b);
	out("wakeup_parallel10us", ns(t, n) / 1000, "us/iteration");
}

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sleeps(const char *p50, const char *p99, long n, long d)
{
	double *late = malloc((size_t)n * sizeof *late);
	struct timespec ts = { .tv_nsec = d };

	check(late != NULL, "out of memory");
	for (long i = 0; i < n; i++) {
		int64_t t = now();

		nanosleep(&ts, NULL);
		late[i] = (double)(now() - t - d) / 1000;
	}
	qsort(late, (size_t)n, sizeof *late, less);
	out(p50, late[n / 2], "us");
	out(p99, late[n * 99 / 100], "us");
	free(late);
}

static void sleep1ms(long n)
{
	sleeps("sleep1ms_late_p50", "sleep1ms_late_p99", n, 1000000);
}

static void sleep50us(long n)
{
	sleeps("sleep50us_late_p50", "sleep50us_late_p99", n, 50000);
}

/* --- locks --- */

#define THREADS 8

struct shared {
	pthread_mutex_t m;
	pthread_rwlock_t rw;
	long n, x, sink;
};

static void *increments(void *arg)
{
	struct shared *s = arg;

	for (long i = 0; i < s->n; i++) {
		pthread_mutex_lock(&s->m);
		s->x++;
		pthread_mutex_unlock(&s->m);
	}
	return NULL;
}

static void mutex(long n)
{
	struct shared s = { .m = PTHREAD_MUTEX_INITIALIZER, .n = n };
	pthread_t t[THREADS];
	int64_t since = now();

	for (int i = 0; i < THREADS; i++)
		t[i] = start(increments, &s, 0);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	check(s.x == THREADS * n, "count");
	out("mutex", ns(since, THREADS * n), "ns/op");
}

/* In a thread beside the main one, since the C library's mutex is faster in a process that has but one. */
static void mutex_uncontended(long n)
{
	struct shared s = { .m = PTHREAD_MUTEX_INITIALIZER, .n = n };
	int64_t t = now();

	join(start(increments, &s, 0));
	check(s.x == n, "count");
	out("mutex_uncontended", ns(t, n), "ns/op");
}

struct reader {
	struct shared *s;
	long g;
};

static void *reads_and_writes(void *arg)
{
	struct reader *me = arg;
	struct shared *s = me->s;
	long sum = 0;

	for (long i = 0; i < s->n; i++) {
		if ((i + me->g) % 10 == 0) {
			pthread_rwlock_wrlock(&s->rw);
			s->x++;
		} else {
			pthread_rwlock_rdlock(&s->rw);
			sum += s->x;
		}
		pthread_rwlock_unlock(&s->rw);
	}
	__atomic_fetch_add(&s->sink, sum, __ATOMIC_RELAXED);
	return NULL;
}

static void rwmutex_90_10(long n)
{
	struct shared s = { .rw = PTHREAD_RWLOCK_INITIALIZER, .n = n };
	struct reader readers[THREADS];
	pthread_t t[THREADS];
	int64_t since = now();
	double each;
	long writes = 0;

	for (int g = 0; g < THREADS; g++) {
		readers[g] = (struct reader){ &s, g };
		t[g] = start(reads_and_writes, &readers[g], 0);
	}
	for (int g = 0; g < THREADS; g++)
		join(t[g]);
	each = ns(since, THREADS * n);
	for (long g = 0; g < THREADS; g++) {
		for (long i = 0; i < n; i++)
			writes += (i + g) % 10 == 0;
	}
	check(s.x == writes, "count");
	out("rwmutex_90_10", each, "ns/op");
}

static void once_is_enough(void)
{
}

static void once(long n)
{
	pthread_once_t o = PTHREAD_ONCE_INIT;
	int64_t t = now();

	for (long i = 0; i < n; i++)
		pthread_once(&o, once_is_enough);
	out("once", ns(t, n), "ns/op");
}

#define WAITERS 100

struct rounds {
	pthread_mutex_t m;
	pthread_cond_t next, done;
	long rounds, round, seen;
};

static void *sees_each_round(void *arg)
{
	struct rounds *r = arg;

	pthread_mutex_lock(&r->m);
	for (long mine = 0; mine < r->rounds; mine++) {
		while (r->round == mine)
			pthread_cond_wait(&r->next, &r->m);
		if (++r->seen == WAITERS)
			pthread_cond_signal(&r->done);
	}
	pthread_mutex_unlock(&r->m);
	return NULL;
}

static void cond_broadcast(long n)
{
	struct rounds r = {
		.m = PTHREAD_MUTEX_INITIALIZER, .next = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER, .rounds = n,
	};
	pthread_t t[WAITERS];
	int64_t since;

	for (int i = 0; i < WAITERS; i++)
		t[i] = start(sees_each_round, &r, 0);
	since = now();
	pthread_mutex_lock(&r.m);
	for (long i = 0; i < n; i++) {
		r.seen = 0;
		r.round++;
		pthread_cond_broadcast(&r.next);
		while (r.seen != WAITERS)
			pthread_cond_wait(&r.done, &r.m);
	}
	pthread_mutex_unlock(&r.m);
	for (int i = 0; i < WAITERS; i++)
		join(t[i]);
	out("cond_broadcast", ns(since, n * WAITERS), "ns/wakeup");
}

/* --- system calls, deep stacks --- */

static void *naps(void *arg)
{
	struct timespec ts = { .tv_nsec = 10 * 1000 * 1000 };

	nanosleep(&ts, NULL);
	return arg;
}

static void syscall_block(long n)
{
	pthread_t t[100];
	int64_t since = now();

	(void)n;
	for (int i = 0; i < 100; i++)
		t[i] = start(naps, NULL, 0);
	for (int i = 0; i < 100; i++)
		join(t[i]);
	out("syscall_block", ms(since), "ms");
}

static void syscall_getppid(long n)
{
	int64_t t = now();

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	out("syscall_getppid", ns(t, n), "ns/call");
}

static __attribute__((noinline)) long deep(long n, volatile char *p)
{
	volatile char buf[64];

	buf[n & 63] = *p;
	if (n == 0)
		return buf[0];
	return deep(n - 1, &buf[n & 63]) + 1;
}

static void *dives(void *arg)
{
	long n = *(long *)arg, sum;
	char byte = 0;
	int64_t t = now();

	sum = deep(n, &byte);
	out("deep_rec", ms(t), "ms");
	t = now();
	sum += deep(n, &byte);
	out("deep_rec_warm", ms(t), "ms");
	check(sum == 2 * n, "depth");
	return NULL;
}

static void deep_rec(long n)
{
	join(start(dives, &n, 1024 * 1024));
}

const struct item thread_items[] = {
	{ "yield", 10000000, yield },
	{ "spawn_join", 100000, spawn_join },
	{ "spawn_seq", 100000, spawn_seq },
	{ "wakeup_parallel10us", 50000, wakeup_parallel10us },
	{ "sleep1ms", 1000, sleep1ms },
	{ "sleep50us", 2000, sleep50us },
	{ "mutex", 500000, mutex },
	{ "mutex_uncontended", 50000000, mutex_uncontended },
	{ "rwmutex_90_10", 500000, rwmutex_90_10 },
	{ "once", 100000000, once },
	{ "cond_broadcast", 2000, cond_broadcast },
	{ "syscall_block", 1, syscall_block },
	{ "syscall_getppid", 5000000, syscall_getppid },
	{ "deep_rec", 1000000, deep_rec },
	{ 0 },
};
