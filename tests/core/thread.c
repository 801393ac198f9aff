/* SPDX-License-Identifier: MIT */
/* Plain pthreads: every call, from any thread, before, during and outside gort_run. */
#include "test.h"

#include <gort/chan.h>
#include <gort/sync.h>

struct all {
	gort_chan *in, *out;
	gort_mutex m;
	gort_waitgroup wg;
	gort_once once;
	long locked;
	int onced;
	int spawned;
};

static void counts(void *arg)
{
	count_up((int *)arg);
}

static void once(void *arg)
{
	++*(int *)arg;
}

static int one(void *arg)
{
	return 1;
}

static bool no(gort_g *g, void *arg)
{
	return false;
}

/* The goroutine at the other end: gives back one more than it gets. */
static void echoes(void *arg)
{
	struct all *a = arg;
	int v;

	while (gort_chan_recv(a->in, &v) == 0) {
		v++;
		gort_chan_send(a->out, &v);
	}
	gort_chan_sender_done(a->out);
}

static void everything(struct all *a, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		gort_attr attr = GORT_ATTR_INIT;
		int v = i, w = -1;
		gort_case cs[] = { GORT_CASE_RECV(NULL, &w), GORT_CASE_RECV(a->out, &w) };

		expect_eq(gort_id(), 0);
		gort_set_name("plain");
		gort_yield();
		gort_sleep(GORT_MICROSECOND);
		gort_chan_send(a->in, &v);
		/* somebody's answer */
		if (i % 2)
			expect_eq(gort_select(cs, 2), 1);
		else
			expect_eq(gort_chan_recv_until(a->out, &w, gort_deadline(GORT_HOUR)), 0);
		expect(w > 0 && w <= rounds);
		gort_mutex_lock(&a->m);
		a->locked++;
		gort_mutex_unlock(&a->m);
		gort_once_do(&a->once, once, &a->onced);
		expect_eq(a->onced, 1);
		expect_eq(gort_waitgroup_go(&a->wg, counts, &a->spawned), 0);
		expect_eq(gort_go(counts, &a->spawned), 0);
		attr.name = "of a thread";
		expect_eq(gort_go_attr(&attr, counts, &a->spawned), 0);
		expect_eq(gort_park_until(no, NULL, "test", gort_deadline(GORT_HOUR)), 0);
		expect_eq(gort_park_until(NULL, NULL, "test", gort_deadline(GORT_MICROSECOND)), -ETIMEDOUT);
		if (i % 16 == 0)
			expect_eq(gort_run(one, NULL), 1);
		expect(gort_num_goroutine() < 1000000);
		expect(gort_maxprocs() >= 1);
	}
}

static void thread_everything(void *arg)
{
	everything(arg, 100);
}

START_TEST(threads_make_every_call)
{
	struct all a = { .in = gort_chan_new(sizeof(int), 0), .out = gort_chan_new(sizeof(int), 4) };
	pthread_t t[4];

	gort_chan_add_sender(a.out, 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gort_go(echoes, &a), 0);
	for (int i = 0; i < 4; i++)
		t[i] = thread_start(thread_everything, &a);
	for (int i = 0; i < 4; i++)
		thread_join(t[i]);
	gort_waitgroup_wait(&a.wg);
	while (get(&a.spawned) < 4 * 300)
		gort_yield();
	ck_assert_int_eq(get(&a.spawned), 4 * 300);
	ck_assert_int_eq(a.locked, 400);
	gort_chan_close(a.in);
	ck_assert_int_eq(gort_chan_recv(a.out, NULL), -EPIPE);  /* the last echo closed it */
	gort_chan_unref(a.in);
	gort_chan_unref(a.out);
	test_assert();
}
END_TEST

static void first_call_new_chan(void *arg) { gort_chan_unref(gort_chan_new(4, 4)); }
static void first_call_self(void *arg) { expect(gort_self() != NULL); }
static void first_call_sleep(void *arg) { gort_sleep(GORT_MICROSECOND); }
static void first_call_yield(void *arg) { gort_yield(); }
static void first_call_name(void *arg) { gort_set_name("x"); }
static void first_call_procs(void *arg) { expect(gort_maxprocs() >= 1); }
static void first_call_set_procs(void *arg) { expect(gort_set_maxprocs(3) >= 1); }
static void first_call_count(void *arg) { expect_eq(gort_num_goroutine(), 0); }

static void first_call_lock(void *arg)
{
	gort_mutex m = GORT_MUTEX_INIT;

	gort_mutex_lock(&m);
	expect_eq(gort_mutex_lock_until(&m, gort_deadline(GORT_MICROSECOND)), -ETIMEDOUT);
	gort_mutex_unlock(&m);
}

static void (*const first_calls[])(void *arg) = {
	first_call_new_chan, first_call_self, first_call_sleep, first_call_yield, first_call_name, first_call_procs,
	first_call_set_procs, first_call_count, first_call_lock,
};

#define FIRST_CALLS (int)(sizeof first_calls / sizeof first_calls[0])

START_TEST(any_call_may_be_the_first)
{
	first_calls[_i](NULL);
	test_assert();
}
END_TEST

static int starting;

static void starts_at_once(void *arg)
{
	intptr_t i = (intptr_t)arg;

	count_up(&starting);
	while (get(&starting) < 8)
		;
	if (i % 2)
		expect_eq(gort_run(one, NULL), 1);
	else
		gort_yield();
}

START_TEST(many_threads_start_the_scheduler_at_once)
{
	pthread_t t[8];

	set(&starting, 0);
	for (intptr_t i = 0; i < 8; i++)
		t[i] = thread_start(starts_at_once, (void *)i);
	for (int i = 0; i < 8; i++)
		thread_join(t[i]);
	test_assert();
}
END_TEST

static void comes_and_goes(void *arg)
{
	gort_chan *c = arg;
	int v = 1;

	expect(gort_self() != NULL);
	gort_chan_send(c, &v);
}

/* A thread's descriptors are given back when it ends: thousands of threads, one after another and in droves. */
GO_TEST(threads_that_come_and_go_leave_nothing)
{
	gort_chan *c = gort_chan_new(sizeof(int), 0);
	int v;

	/* that of the test before, in the same process, may be on its way out */
	while (gort_num_goroutine() > 1)
		gort_yield();
	for (long i = 0; i < test_scale(200); i++) {
		pthread_t t[10];

		for (int k = 0; k < 10; k++)
			t[k] = thread_start(comes_and_goes, c);
		for (int k = 0; k < 10; k++)
			expect_eq(gort_chan_recv(c, &v), 0);
		for (int k = 0; k < 10; k++)
			thread_join(t[k]);
	}
	expect_eq(gort_num_goroutine(), 1);
	gort_chan_unref(c);
}

struct passers {
	gort_chan *c;           /* from the threads */
	gort_chan *back;        /* and to them */
	gort_mutex m;
	long passed;            /* guarded by m */
	int stop, done;
};

static void passes_by(void *arg)
{
	struct passers *a = arg;
	int v = 1, w = 0;

	gort_chan_send(a->c, &v);
	expect_eq(gort_chan_recv(a->back, &w), 0);
	expect_eq(w, 2);
	gort_mutex_lock(&a->m);
	a->passed++;
	gort_mutex_unlock(&a->m);
}

static void serves(void *arg)
{
	struct passers *a = arg;
	int v;

	while (gort_chan_recv(a->c, &v) == 0) {
		v++;
		gort_chan_send(a->back, &v);
	}
	count_up(&a->done);
}

static void works_along(void *arg)
{
	struct passers *a = arg;
	gort_chan *c = gort_chan_new(sizeof(int), 1);

	for (int i = 0; !get(&a->stop); i++) {
		int v;

		gort_chan_send(c, &i);
		gort_yield();
		expect_eq(gort_chan_recv(c, &v), 0);
		expect_eq(v, i);
		if (i % 64 == 0)
			gort_sleep(GORT_MICROSECOND);
	}
	gort_chan_unref(c);
	count_up(&a->done);
}

/* Ten thousand in all, a wave of them at a time, while goroutines and channels work. */
GO_TEST(waves_of_threads_come_and_go_while_goroutines_work)
{
	struct passers a = { .m = GORT_MUTEX_INIT };
	long waves = test_scale_min(50, 3), wave = test_sanitized() ? 40 : 200;
	size_t before = gort_num_goroutine();

	a.c = gort_chan_new(sizeof(int), 0);
	a.back = gort_chan_new(sizeof(int), 4);
	for (int i = 0; i < 3; i++) {
		spawn(serves, &a);
		spawn(works_along, &a);
	}
	for (long i = 0; i < waves; i++) {
		static pthread_t t[200];

		for (long k = 0; k < wave; k++)
			t[k] = thread_start(passes_by, &a);
		for (long k = 0; k < wave; k++)
			thread_join(t[k]);
	}
	gort_mutex_lock(&a.m);
	expect_eq(a.passed, waves * wave);
	gort_mutex_unlock(&a.m);
	set(&a.stop, 1);
	gort_chan_close(a.c);
	await_count(&a.done, 6);
	while (gort_num_goroutine() > before)
		gort_yield();
	gort_chan_unref(a.c);
	gort_chan_unref(a.back);
}

static pthread_key_t late_key;
static int late;

static void calls_late(void *arg)
{
	/* from another key's destructor, perhaps after ours has run */
	gort_yield();
	expect(gort_self() != NULL);
	count_up(&late);
}

static void sets_key(void *arg)
{
	pthread_setspecific(late_key, arg);
	expect(gort_self() != NULL);
}

START_TEST(a_call_while_the_thread_ends_works)
{
	set(&late, 0);
	ck_assert_int_eq(pthread_key_create(&late_key, calls_late), 0);
	for (int i = 0; i < 20; i++)
		thread_join(thread_start(sets_key, &late));
	ck_assert_int_eq(get(&late), 20);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "thread", NULL);
	test_add(&s, threads_make_every_call);
	tcase_add_loop_test(s.tcase, any_call_may_be_the_first, 0, test_no_fork() ? 7 : FIRST_CALLS);
	test_add(&s, many_threads_start_the_scheduler_at_once);
	test_add(&s, threads_that_come_and_go_leave_nothing);
	test_add(&s, waves_of_threads_come_and_go_while_goroutines_work);
	test_add(&s, a_call_while_the_thread_ends_works);
	return test_end(&s);
}
