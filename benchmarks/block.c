/* SPDX-License-Identifier: MIT */
/* Calls that block and loops that do not end: what the monitor is for. */
#include "bench.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCKED 100

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 10 * 1000 * 1000 };

	bench_check(nanosleep(&ts, NULL) == 0, "a nanosleep was cut short");
}

static void naps_announced(void *wg)
{
	gort_syscall_enter();
	nap();
	gort_syscall_exit();
	gort_waitgroup_done(wg);
}

static void naps(void *wg)
{
	nap();
	gort_waitgroup_done(wg);
}

static void block(const char *name, void (*fn)(void *wg))
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	gort_time t = gort_now();

	gort_waitgroup_add(&wg, BLOCKED);
	for (int i = 0; i < BLOCKED; i++)
		bench_go(fn, &wg);
	gort_waitgroup_wait(&wg);
	bench_out(name, bench_ms(t), "ms");
}

static void syscall_block(long n)
{
	(void)n;
	block("syscall_block", naps_announced);
}

static void syscall_block_plain(long n)
{
	(void)n;
	block("syscall_block_plain", naps);
}

static void syscall_getppid(long n)
{
	gort_time t = gort_now();

	for (long i = 0; i < n; i++) {
		gort_syscall_enter();
		syscall(SYS_getppid);
		gort_syscall_exit();
	}
	bench_out("syscall_getppid", bench_ns(t, n), "ns/call");
	t = gort_now();
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	bench_out("syscall_getppid_raw", bench_ns(t, n), "ns/call");
	t = gort_now();
	for (long i = 0; i < n; i++) {
		gort_syscall_enter();
		gort_syscall_exit();
	}
	bench_out("syscall_enter_exit", bench_ns(t, n), "ns/call");
	t = gort_now();
	for (long i = 0; i < n; i++)
		gort_self();
	bench_out("enter_leave", bench_ns(t, n), "ns/call");
}

static void loops(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
		;
}

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void preempt(long n)
{
	double *late = malloc((size_t)n * sizeof *late);

	bench_check(late != NULL, "out of memory");
	for (long i = 0; i < n; i++) {
		int stop = 0;
		gort_time t;

		bench_go(loops, &stop);
		gort_yield();
		t = gort_now();
		gort_sleep(GORT_MILLISECOND);
		late[i] = (double)(gort_now() - t - GORT_MILLISECOND) / 1e6;
		__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
		gort_sleep(GORT_MILLISECOND);
		while (gort_num_goroutine() > 1)        /* stop is gone with this round */
			gort_yield();
	}
	qsort(late, (size_t)n, sizeof *late, less);
	bench_out("preempt_late_p50", late[n / 2], "ms");
	bench_out("preempt_late_p99", late[n * 99 / 100], "ms");
	bench_out("preempt_late_max", late[n - 1], "ms");
	free(late);
}

/* How much of their throughput 50 goroutines that give way keep beside 4 that do not. */
struct coop {
	int stop;
	long turns[50];
};

struct cooperator {
	struct coop *c;
	int i;
};

static void gives_way(void *arg)
{
	struct cooperator *me = arg;

	while (!__atomic_load_n(&me->c->stop, __ATOMIC_RELAXED)) {
		for (volatile int k = 0; k < 100; k++)
			;
		me->c->turns[me->i]++;
		gort_yield();
	}
}

static double turns(int hogs, gort_duration d)
{
	struct coop c = { 0 };
	int stop = 0;
	double sum = 0;

	for (int i = 0; i < 50; i++) {
		struct cooperator me = { &c, i };

		bench_check(gort_go_copy(gives_way, &me, sizeof me) == 0, "out of memory");
	}
	for (int i = 0; i < hogs; i++)
		bench_go(loops, &stop);
	gort_sleep(d);
	__atomic_store_n(&c.stop, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	while (gort_num_goroutine() > 1)
		gort_yield();
	for (int i = 0; i < 50; i++)
		sum += (double)c.turns[i];
	return sum;
}

static void coop_beside_hogs(long n)
{
	gort_duration d = n * GORT_MILLISECOND;
	double alone = turns(0, d);
	double beside = turns(4, d);
	double again = turns(0, d);

	/* of the better one: it may run on one P for long, which is no merit of the hogs */
	alone = alone > again ? alone : again;
	bench_out("coop_turns_alone", alone / (double)d * 1e3, "per us");
	bench_out("coop_turns_beside_hogs", beside / (double)d * 1e3, "per us");
	bench_out("coop_beside_hogs", 100 * beside / alone, "%");
}

const struct bench_item bench_block[] = {
	{ "coop_beside_hogs", coop_beside_hogs, 1000 },
	{ "preempt", preempt, 200 },
	{ "syscall_block", syscall_block, 1 },
	{ "syscall_block_plain", syscall_block_plain, 1 },
	{ "syscall_getppid", syscall_getppid, 5000000 },
	{ 0 },
};
