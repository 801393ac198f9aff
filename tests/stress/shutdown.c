/* SPDX-License-Identifier: MIT */
/*
 * The storm on gort_shutdown: goroutines that do one of everything, one after the other and by chance, and the end in the
 * midst of it; again and again. Plain threads call in between the rounds, some of which live through all of them.
 */
#include "storm.h"

#include <gort/chan.h>
#include <gort/sync.h>
#include <time.h>

#define GOROUTINES 24
#define CHANS 4
#define TIMERS 1000

/* What a round has: made anew for each, since goroutines that were left may be in the way. */
static struct {
	gort_chan *chan[CHANS];
	gort_mutex mutex;
	gort_waitgroup group;
	gort_once once;
	gort_key key;
	long shared;            /* under mutex */
	int steps, wanderers;
	gort_timer *timer[TIMERS];      /* of the first ones; the others' may be lost */
} now;

static void nothing(void *arg)
{
}

static int returns_one(void *arg)
{
	return 1;
}

static int sleeps_in_kernel(void *arg)
{
	struct timespec ts = { 0, *(long *)arg };

	nanosleep(&ts, NULL);
	return 0;
}

static void panics(void *arg)
{
	gort_panic("number %d", *(int *)arg);
}

static void defers_and_panics(void *arg)
{
	for (int i = 0; i < 5; i++)
		gort_defer(nothing, NULL);
	panics(arg);
}

static void wanders(void *arg);

/* *t is the caller's. */
static void step(uint64_t *r, gort_timer **t)
{
	gort_chan *c = now.chan[test_random(r) % CHANS];
	long ns = (long)(test_random(r) % 100000);
	char block[200] = "";
	gort_panic_info info;
	uint64_t v = 1, w;
	int n = 5;

	switch (test_random(r) % 20) {
	case 0: gort_yield(); break;
	case 1: gort_sleep(ns); break;
	case 2: gort_chan_send(c, &v); break;
	case 3: gort_chan_recv(c, &v); break;
	case 4: gort_chan_recv_until(c, &v, gort_deadline(ns)); break;
	case 5: {
		gort_case cs[] = { GORT_CASE_SEND(c, &v), GORT_CASE_RECV(now.chan[test_random(r) % CHANS], &w) };

		gort_select_until(cs, 2, gort_deadline(ns));
		break;
	}
	case 6:
		gort_mutex_lock(&now.mutex);
		now.shared++;
		if (test_random(r) % 8 == 0)
			gort_sleep(ns);
		gort_mutex_unlock(&now.mutex);
		break;
	case 7: gort_go(nothing, NULL); break;
	case 8: gort_go_copy(nothing, block, sizeof block); break;
	case 9: compute(r, (unsigned)ns / 8); break;
	case 10: sleeps_in_kernel(&ns); break;
	case 11: gort_blocking(sleeps_in_kernel, &ns); break;
	case 12:
		gort_syscall_enter();
		sleeps_in_kernel(&ns);
		gort_syscall_exit();
		break;
	case 13: gort_set_maxprocs(1 + (int)(ns % 4)); break;
	case 14: gort_run(returns_one, NULL); break;
	case 15:
		gort_set(now.key, &now);
		expect(gort_try(defers_and_panics, &n, &info));
		break;
	case 16: gort_once_do(&now.once, nothing, NULL); break;
	case 17:
		if (*t == NULL)
			*t = gort_timer_after_func(ns, nothing, NULL);
		else
			gort_timer_reset(*t, ns);
		break;
	case 18: gort_go_after(ns, nothing, NULL); break;
	case 19:
		if (ns % 4 == 0) {
			gort_attr attr = GORT_ATTR_INIT;

			attr.stack_max = 1 << 20;
			attr.arg_size = sizeof *r;
			gort_go_attr(&attr, wanders, r);
		}
		break;
	}
	count_up(&now.steps);
}

static void wanders(void *arg)
{
	uint64_t r = *(uint64_t *)arg ^ gort_id() << 20;
	int mine = count_up(&now.wanderers) - 1;
	gort_timer *none = NULL, **t = mine < TIMERS ? &now.timer[mine] : &none;

	if (test_random(&r) % 4 == 0)
		gort_lock_os_thread();
	if (test_random(&r) % 4 == 0)
		gort_defer(nothing, NULL);
	while (test_random(&r) % 1000 != 0)
		step(&r, t);
	gort_timer_free(none);
}

static int begins(void *arg)
{
	uint64_t *r = arg;

	for (int i = 0; i < GOROUTINES; i++) {
		uint64_t seed = test_random(r) | 1;

		expect_eq(gort_go_copy(wanders, &seed, sizeof seed), 0);
	}
	/* some rounds end before anything, others when much is under way */
	await_count(&now.steps, (int)(test_random(r) % 400));
	return 7;
}

/* A thread that lives through it all: calls in when a round is over, and not while one is. */
struct guest {
	pthread_mutex_t lock;   /* held by the storm while a shutdown may be under way */
	int stop;
	long calls;
};

static void visits(void *arg)
{
	struct guest *g = arg;
	uint64_t r = test_random_init(77);

	while (!get(&g->stop)) {
		pthread_mutex_lock(&g->lock);
		gort_set(now.key, &r);
		expect_eq(gort_run(returns_one, NULL), 1);
		expect_eq(gort_go(nothing, NULL), 0);
		g->calls++;
		pthread_mutex_unlock(&g->lock);
		compute(&r, 5000);
		sched_yield();
	}
}

START_TEST(shutdown_storm)
{
	struct guest g = { .lock = PTHREAD_MUTEX_INITIALIZER };
	uint64_t r = test_random_init(1);
	pthread_t guest[2];
	long rounds = test_scale_min(300, 20), threads = 0;

	(void)_i;
	for (int i = 0; i < 2; i++)
		guest[i] = thread_start(visits, &g);
	for (long i = 0; i < rounds; i++) {
		pthread_mutex_lock(&g.lock);
		memset(&now, 0, sizeof now);
		for (int k = 0; k < CHANS; k++)
			now.chan[k] = gort_chan_new(k % 2 ? sizeof(uint64_t) : 8, (size_t)k);
		expect_eq(gort_key_new(&now.key, NULL), 0);
		expect_eq(gort_run(begins, &r), 7);
		gort_shutdown();
		for (int k = 0; k < CHANS; k++)
			gort_chan_unref(now.chan[k]);
		for (int k = 0; k < TIMERS; k++)
			gort_timer_free(now.timer[k]);
		expect_eq(gort_num_goroutine(), 0);
		if (i == 0)
			threads = test_threads();
		expect_eq(test_threads(), threads);
		pthread_mutex_unlock(&g.lock);
		test_assert();
	}
	set(&g.stop, 1);
	for (int i = 0; i < 2; i++)
		thread_join(guest[i]);
	gort_shutdown();
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-shutdown", NULL);
	test_add(&s, shutdown_storm);
	return test_end(&s);
}
