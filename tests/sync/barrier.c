/* SPDX-License-Identifier: MIT */
/* The barrier. */
#include "test.h"

#include <gort/sync.h>

#define N 5

struct meeting {
	gort_barrier *b;
	int rounds;
	int arrived;            /* atomic */
	int firsts;             /* atomic */
	int done;
};

static void meets(void *arg)
{
	struct meeting *m = arg;

	for (int i = 1; i <= m->rounds; i++) {
		count_up(&m->arrived);
		if (gort_barrier_wait(m->b))
			count_up(&m->firsts);
		/* all of this round have arrived, and nobody can be further than the next */
		expect(get(&m->arrived) >= i * N);
		expect(get(&m->arrived) <= (i + 1) * N);
	}
	count_up(&m->done);
}

GO_TEST(all_arrive_before_any_goes_on_and_one_is_told)
{
	struct meeting m = { .b = gort_barrier_new(N), .rounds = (int)test_scale(2000) };
	pthread_t t;

	expect(m.b != NULL);
	t = thread_start(meets, &m);
	for (int i = 1; i < N; i++)
		spawn(meets, &m);
	await_count(&m.done, N);
	thread_join(t);
	expect_eq(m.firsts, m.rounds);
	gort_barrier_free(m.b);
}

GO_TEST(a_barrier_for_one_never_waits)
{
	gort_barrier *b = gort_barrier_new(1);

	for (int i = 0; i < 10; i++)
		expect(gort_barrier_wait(b));
	gort_barrier_free(b);
	gort_barrier_free(NULL);
}

static void frees_if_told(void *arg)
{
	gort_barrier *b = arg;

	if (gort_barrier_wait(b))
		gort_barrier_free(b);
}

static void waits(void *arg)
{
	gort_barrier_wait(arg);
}

GO_TEST(any_of_them_may_free_it_at_once)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		gort_barrier *b = gort_barrier_new(3);

		if (i % 2 == 0) {
			spawn(frees_if_told, b);
			spawn(frees_if_told, b);
			frees_if_told(b);
		} else {
			spawn(waits, b);
			spawn(waits, b);
			gort_barrier_wait(b);
			gort_barrier_free(b);
		}
	}
}

static void makes_none(void *arg)
{
	gort_barrier_new(0);
}

static void frees(void *arg)
{
	gort_barrier_free(arg);
}

struct waiter {
	struct task task;
	gort_barrier *b;
};

static void waits_there(void *arg)
{
	struct waiter *w = arg;

	task_here(&w->task);
	gort_barrier_wait(w->b);
	task_done(&w->task);
}

GO_TEST(bad_use_panics)
{
	struct waiter w = { .b = gort_barrier_new(2) };
	gort_panic_info info = { .message = "" };

	expect(gort_try(makes_none, NULL, &info));
	expect(strcmp(info.message, "barrier: fewer than one to wait for") == 0);
	spawn(waits_there, &w);
	await_parked(&w.task);
	expect(gort_try(frees, w.b, &info));
	expect(strcmp(info.message, "barrier: freed while goroutines wait at it") == 0);
	expect(gort_barrier_wait(w.b));
	await_done(&w.task);
	gort_barrier_free(w.b);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "barrier", NULL);
	test_add(&s, all_arrive_before_any_goes_on_and_one_is_told);
	test_add(&s, a_barrier_for_one_never_waits);
	test_add(&s, any_of_them_may_free_it_at_once);
	test_add(&s, bad_use_panics);
	return test_end(&s);
}
