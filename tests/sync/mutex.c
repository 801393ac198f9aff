/* SPDX-License-Identifier: MIT */
/* The mutex. */
#include "test.h"

#include <gort/sync.h>

struct shared {
	gort_mutex m;
	long n;                 /* plain: the mutex guards it */
	int inside;
	int done;
	int rounds;
};

static void adds_under_lock(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < s->rounds; i++) {
		gort_mutex_lock(&s->m);
		expect_eq(++s->inside, 1);
		s->n++;
		if (i % 64 == 0)
			gort_yield();           /* holding it */
		s->inside--;
		gort_mutex_unlock(&s->m);
	}
	count_up(&s->done);
}

GO_TEST(only_one_is_inside)
{
	struct shared s = { .rounds = (int)test_scale(5000) };

	for (int i = 0; i < 8; i++)
		spawn(adds_under_lock, &s);
	await_count(&s.done, 8);
	expect_eq(s.n, 8L * s.rounds);
}

GO_TEST(goroutines_and_threads_exclude_each_other)
{
	struct shared s = { .m = GORT_MUTEX_INIT, .rounds = (int)test_scale(3000) };
	pthread_t t[3];

	for (int i = 0; i < 3; i++) {
		t[i] = thread_start(adds_under_lock, &s);
		spawn(adds_under_lock, &s);
	}
	await_count(&s.done, 6);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	expect_eq(s.n, 6L * s.rounds);
}

THREAD_TEST(the_struct_has_its_promised_size_and_zero_is_a_mutex)
{
	gort_mutex m = { 0 }, n = GORT_MUTEX_INIT;

	expect_eq(sizeof(gort_mutex), 16);
	expect(memcmp(&m, &n, sizeof m) == 0);
	gort_mutex_lock(&m);
	gort_mutex_unlock(&m);
	expect(memcmp(&m, &n, sizeof m) == 0);
}

THREAD_TEST(the_calls_are_functions_too)
{
	void (*lock)(gort_mutex *m) = gort_mutex_lock, (*unlock)(gort_mutex *m) = gort_mutex_unlock;
	gort_mutex m = GORT_MUTEX_INIT;

	lock(&m);
	expect(!gort_mutex_try_lock(&m));
	unlock(&m);
	expect(gort_mutex_try_lock(&m));
	gort_mutex_unlock(&m);
}

GO_TEST(try_lock_takes_a_free_one_only)
{
	gort_mutex m = GORT_MUTEX_INIT;

	expect(gort_mutex_try_lock(&m));
	expect(!gort_mutex_try_lock(&m));
	gort_mutex_unlock(&m);
	expect(gort_mutex_try_lock(&m));
	gort_mutex_unlock(&m);
}

struct waiter {
	struct task task;
	gort_mutex *m;
	gort_time deadline;
	int result;
	int *order;
	int turn;
};

static void locks(void *arg)
{
	struct waiter *w = arg;

	task_here(&w->task);
	w->result = gort_mutex_lock_until(w->m, w->deadline);
	if (w->result == 0) {
		w->turn = (*w->order)++;
		gort_mutex_unlock(w->m);
	}
	task_done(&w->task);
}

GO_TEST(a_lock_with_a_deadline_gives_up_and_is_never_early)
{
	gort_mutex m = GORT_MUTEX_INIT;
	gort_time until;

	expect_eq(gort_mutex_lock_until(&m, gort_now()), -ETIMEDOUT);   /* beats a free one */
	expect_eq(gort_mutex_lock_until(&m, INT64_MIN), -ETIMEDOUT);
	expect(gort_mutex_try_lock(&m));
	for (int i = 0; i < 5; i++) {
		until = gort_deadline(2 * GORT_MILLISECOND);
		expect_eq(gort_mutex_lock_until(&m, until), -ETIMEDOUT);
		expect(gort_now() >= until);
	}
	gort_mutex_unlock(&m);
	expect_eq(gort_mutex_lock_until(&m, gort_deadline(GORT_HOUR)), 0);
	gort_mutex_unlock(&m);
	expect_eq(gort_mutex_lock_until(&m, GORT_FOREVER), 0);
	gort_mutex_unlock(&m);
	expect(gort_mutex_try_lock(&m));
}

GO_TEST(a_waiter_with_a_deadline_gets_it_when_it_is_free)
{
	gort_mutex m = GORT_MUTEX_INIT;
	int order = 0;

	for (int i = 0; i < 100; i++) {
		struct waiter w = { .m = &m, .deadline = gort_deadline(GORT_HOUR), .result = -1, .order = &order };

		gort_mutex_lock(&m);
		spawn(locks, &w);
		await_parked(&w.task);
		gort_mutex_unlock(&m);
		await_done(&w.task);
		expect_eq(w.result, 0);
	}
	expect(gort_mutex_try_lock(&m));
}

GO_TEST(a_waiter_that_timed_out_is_passed_over)
{
	gort_mutex m = GORT_MUTEX_INIT;
	int order = 0;
	struct waiter a = { .m = &m, .deadline = gort_deadline(10 * GORT_MILLISECOND), .order = &order };
	struct waiter b = { .m = &m, .deadline = GORT_FOREVER, .order = &order };

	gort_mutex_lock(&m);
	spawn(locks, &a);
	spawn(locks, &b);
	await_done(&a.task);
	await_parked(&b.task);
	expect_eq(a.result, -ETIMEDOUT);
	gort_mutex_unlock(&m);
	await_done(&b.task);
	expect_eq(b.result, 0);
	expect(gort_mutex_try_lock(&m));
}

static void unlocks(void *arg)
{
	struct waiter *w = arg;

	gort_mutex_unlock(w->m);
	task_done(&w->task);
}

GO_TEST(another_goroutine_may_unlock)
{
	gort_mutex m = GORT_MUTEX_INIT;
	struct waiter w = { .m = &m };

	gort_mutex_lock(&m);
	spawn(unlocks, &w);
	gort_mutex_lock(&m);            /* waits for that */
	await_done(&w.task);
	expect(!gort_mutex_try_lock(&m));
	gort_mutex_unlock(&m);
}

struct greedy {
	gort_mutex m;
	int stop;
	int rounds;
	struct task task;
};

/* Has it all the time but for an instant: in normal mode a waiter would lose each race for it. */
static void greedy(void *arg)
{
	struct greedy *g = arg;

	while (!get(&g->stop)) {
		gort_time until = gort_now() + 200 * GORT_MICROSECOND;

		gort_mutex_lock(&g->m);
		while (gort_now() < until)
			;
		gort_mutex_unlock(&g->m);
		count_up(&g->rounds);
	}
	task_done(&g->task);
}

GO_TEST(a_waiter_of_more_than_a_millisecond_gets_direct_hand_off)
{
	struct greedy g = { .m = GORT_MUTEX_INIT };
	int before, worst = 0;

	spawn(greedy, &g);
	await_count(&g.rounds, 1);
	for (int i = 0; i < 20; i++) {
		before = get(&g.rounds);
		gort_mutex_lock(&g.m);
		if (get(&g.rounds) - before > worst)
			worst = get(&g.rounds) - before;
		gort_mutex_unlock(&g.m);
		gort_yield();
	}
	set(&g.stop, 1);
	await_done(&g.task);
	/* some 5 rounds pass in the millisecond and one more wins the first race; without hand-off it is thousands */
	expect(worst < 500);
}

GO_TEST(starvation_mode_ends_by_itself)
{
	struct greedy g = { .m = GORT_MUTEX_INIT };
	gort_mutex zero = GORT_MUTEX_INIT;

	spawn(greedy, &g);
	await_count(&g.rounds, 1);
	for (int i = 0; i < 5; i++) {
		gort_mutex_lock(&g.m);
		gort_mutex_unlock(&g.m);
	}
	set(&g.stop, 1);
	await_done(&g.task);
	/* and the mutex is as if new: a try finds it free */
	expect(gort_mutex_try_lock(&g.m));
	gort_mutex_unlock(&g.m);
	expect(memcmp(&g.m, &zero, sizeof zero) == 0);
}

struct short_lived {
	gort_mutex m;
	int a;
};

static void unlocks_last(void *arg)
{
	struct short_lived *s = arg;

	gort_mutex_lock(&s->m);
	s->a = 1;
	gort_mutex_unlock(&s->m);
}

/* The other one may still be on its way out of unlock: nobody may touch it afterwards. ASan is the judge. */
GO_TEST(a_mutex_may_be_freed_once_lock_has_returned)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		struct short_lived *s = calloc(1, sizeof *s);
		int a;

		spawn(unlocks_last, s);
		if (i % 2 == 0)
			gort_yield();
		do {
			gort_mutex_lock(&s->m);
			a = s->a;
			gort_mutex_unlock(&s->m);
			if (a == 0)
				gort_yield();
		} while (a == 0);
		memset(s, 0xFF, sizeof *s);     /* a late touch would make a mess of it, or find one */
		free(s);
	}
}

static int unlock_unlocked(void)
{
	gort_mutex m = GORT_MUTEX_INIT;

	gort_mutex_unlock(&m);
	return 0;
}

static int unlock_twice_main(void *arg)
{
	gort_mutex m = GORT_MUTEX_INIT;

	gort_mutex_lock(&m);
	gort_mutex_unlock(&m);
	gort_mutex_unlock(&m);
	return 0;
}

static int unlock_twice(void)
{
	return gort_run(unlock_twice_main, NULL);
}

static const struct test_child children[] = {
	{ "unlock_unlocked", unlock_unlocked }, { "unlock_twice", unlock_twice }, { NULL, NULL },
};

START_TEST(unlocking_an_unlocked_one_is_fatal)
{
	test_child_says("unlock_unlocked", NULL, 2, "fatal error: sync: unlock of unlocked mutex");
	test_child_says("unlock_twice", NULL, 2, "fatal error: sync: unlock of unlocked mutex");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "mutex", children);
	test_add(&s, only_one_is_inside);
	test_add(&s, goroutines_and_threads_exclude_each_other);
	test_add(&s, the_struct_has_its_promised_size_and_zero_is_a_mutex);
	test_add(&s, the_calls_are_functions_too);
	test_add(&s, try_lock_takes_a_free_one_only);
	test_add(&s, a_lock_with_a_deadline_gives_up_and_is_never_early);
	test_add(&s, a_waiter_with_a_deadline_gets_it_when_it_is_free);
	test_add(&s, a_waiter_that_timed_out_is_passed_over);
	test_add(&s, another_goroutine_may_unlock);
	test_add(&s, a_waiter_of_more_than_a_millisecond_gets_direct_hand_off);
	test_add(&s, starvation_mode_ends_by_itself);
	test_add(&s, a_mutex_may_be_freed_once_lock_has_returned);
	test_add(&s, unlocking_an_unlocked_one_is_fatal);
	return test_end(&s);
}
