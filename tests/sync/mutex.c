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

	spawn(greedy, &g);
	await_count(&g.rounds, 1);
	for (int i = 0; i < 5; i++) {
		gort_mutex_lock(&g.m);
		gort_mutex_unlock(&g.m);
	}
	set(&g.stop, 1);
	await_done(&g.task);
	/* and nothing is left of it: a try finds it free */
	expect(gort_mutex_try_lock(&g.m));
	gort_mutex_unlock(&g.m);
	expect_eq(g.m.state, 0);
	expect(g.m.waiters == NULL);
}

/* --- plain, full, and plain again: turn.c --- */

/* Somebody waits for it, parked. */
static void contend(gort_mutex *m)
{
	int order = 0;
	struct waiter w = { .m = m, .deadline = GORT_FOREVER, .order = &order };

	gort_mutex_lock(m);
	spawn(locks, &w);
	await_parked(&w.task);
	gort_mutex_unlock(m);
	await_done(&w.task);
	expect_eq(w.result, 0);
}

/* Where there is no heavy fence (valgrind has none) all are full from the beginning, and nothing says so. */
static bool turns(void)
{
	gort_stats s;

	expect_eq(gort_stats_get(&s, sizeof s), 0);
	return s.fence == GORT_FENCE_ASYMMETRIC;
}

static void calm(gort_mutex *m)
{
	for (int i = 0; i < 33000; i++) {
		gort_mutex_lock(m);
		gort_mutex_unlock(m);
	}
}

GO_TEST(after_a_wait_and_a_long_calm_it_is_as_new)
{
	gort_mutex m = GORT_MUTEX_INIT, zero = GORT_MUTEX_INIT;

	for (int i = 0; i < 5; i++) {
		contend(&m);
		expect(!turns() || memcmp(&m, &zero, sizeof m) != 0);
		contend(&m);
		calm(&m);
		expect(memcmp(&m, &zero, sizeof m) == 0);
	}
}

GO_TEST(waits_keep_it_from_being_as_new)
{
	gort_mutex m = GORT_MUTEX_INIT, zero = GORT_MUTEX_INIT;

	for (int i = 0; i < 5; i++) {
		contend(&m);
		for (int k = 0; k < 20000; k++) {
			gort_mutex_lock(&m);
			gort_mutex_unlock(&m);
		}
		expect(!turns() || memcmp(&m, &zero, sizeof m) != 0);
	}
}

GO_TEST(when_all_who_waited_have_given_up_it_is_as_new)
{
	gort_mutex m = GORT_MUTEX_INIT, zero = GORT_MUTEX_INIT;
	int order = 0;

	for (int n = 1; n < 4; n++) {
		struct waiter w[3];

		memset(w, 0, sizeof w);
		gort_mutex_lock(&m);
		for (int i = 0; i < n; i++) {
			w[i] = (struct waiter){ .m = &m, .deadline = gort_deadline((1 + (i + n) % 3) * GORT_MILLISECOND), .order = &order };
			spawn(locks, &w[i]);
		}
		for (int i = 0; i < n; i++) {
			await_done(&w[i].task);
			expect_eq(w[i].result, -ETIMEDOUT);
		}
		gort_mutex_unlock(&m);
		expect(memcmp(&m, &zero, sizeof m) == 0);
	}
	expect_eq(order, 0);
}

/* Each of those who wait may be the one that gives up. */
GO_TEST(of_several_who_wait_any_may_give_up)
{
	gort_mutex m = GORT_MUTEX_INIT;

	for (int gives_up = 0; gives_up < 3; gives_up++) {
		struct waiter w[3];
		int order = 0;

		memset(w, 0, sizeof w);
		gort_mutex_lock(&m);
		for (int i = 0; i < 3; i++) {
			w[i] = (struct waiter){ .m = &m, .deadline = GORT_FOREVER, .order = &order };
			if (i == gives_up)
				w[i].deadline = gort_deadline(100 * GORT_MILLISECOND);
			spawn(locks, &w[i]);
			if (i != gives_up)
				await_parked(&w[i].task);
			else
				gort_yield();
		}
		await_done(&w[gives_up].task);
		expect_eq(w[gives_up].result, -ETIMEDOUT);
		gort_mutex_unlock(&m);
		for (int i = 0; i < 3; i++) {
			await_done(&w[i].task);
			expect_eq(w[i].result, i == gives_up ? -ETIMEDOUT : 0);
		}
		expect_eq(order, 2);
		calm(&m);
	}
}

struct pair {
	gort_mutex m;
	gort_cond c;
	bool set;
	struct task task;
};

static void waits_for_it(void *arg)
{
	struct pair *p = arg;

	task_here(&p->task);
	gort_mutex_lock(&p->m);
	while (!p->set)
		gort_cond_wait(&p->c, &p->m);
	p->set = false;
	gort_mutex_unlock(&p->m);
	task_done(&p->task);
}

/* By a signal that comes when the mutex has been calm for long, and nobody has it. */
GO_TEST(who_waits_for_a_condition_gets_it_after_any_calm)
{
	struct pair p = { .m = GORT_MUTEX_INIT };

	for (int i = 0; i < 5; i++) {
		memset(&p.task, 0, sizeof p.task);
		spawn(waits_for_it, &p);
		await_parked(&p.task);
		calm(&p.m);
		gort_mutex_lock(&p.m);
		p.set = true;
		gort_mutex_unlock(&p.m);
		gort_cond_signal(&p.c);
		await_done(&p.task);
		contend(&p.m);
	}
}

/* Many that are held, with somebody waiting, in the same buckets of the table as one that is not. */
GO_TEST(mutexes_that_are_waited_for_do_not_disturb_others)
{
	static gort_mutex held[600], others[600];
	static struct waiter w[600];
	static int orders[600];

	for (int i = 0; i < 600; i++) {
		w[i] = (struct waiter){ .m = &held[i], .deadline = GORT_FOREVER, .order = &orders[i] };
		gort_mutex_lock(&held[i]);
		spawn(locks, &w[i]);
	}
	for (int i = 0; i < 600; i++)
		await_parked(&w[i].task);
	for (int i = 0; i < 600; i++) {
		contend(&others[i]);
		gort_mutex_lock(&others[i]);
		expect(!gort_mutex_try_lock(&others[i]));
		gort_mutex_unlock(&others[i]);
	}
	for (int i = 600; i-- > 0; )
		gort_mutex_unlock(&held[i]);
	for (int i = 0; i < 600; i++) {
		await_done(&w[i].task);
		expect_eq(w[i].result, 0);
	}
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

static int unlock_full_main(void *arg)
{
	gort_mutex m = GORT_MUTEX_INIT;

	contend(&m);
	gort_mutex_unlock(&m);
	return 0;
}

static int unlock_full(void)
{
	return gort_run(unlock_full_main, NULL);
}

static int unlock_kept_main(void *arg)
{
	gort_mutex m = GORT_MUTEX_INIT;
	gort_cond c = GORT_COND_INIT;

	gort_mutex_lock(&m);
	expect_eq(gort_cond_wait_until(&c, &m, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_mutex_unlock(&m);
	gort_mutex_unlock(&m);
	return 0;
}

static int unlock_kept(void)
{
	return gort_run(unlock_kept_main, NULL);
}

/* Locked and unlocked, and waited for, before anything else of the library was called; by plain threads only. */
static struct {
	gort_mutex m;
	int n, done;
} early;

static void adds_early(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		gort_mutex_lock(&early.m);
		early.n++;
		gort_mutex_unlock(&early.m);
	}
	count_up(&early.done);
}

static int plain_threads(void)
{
	pthread_t t[3];

	gort_mutex_lock(&early.m);
	for (int i = 0; i < 3; i++)
		t[i] = thread_start(adds_early, NULL);
	gort_mutex_unlock(&early.m);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	return early.n == 3000 && early.done == 3 ? 0 : 1;
}

static const struct test_child children[] = {
	{ "unlock_unlocked", unlock_unlocked }, { "unlock_twice", unlock_twice },
	{ "unlock_full", unlock_full }, { "unlock_kept", unlock_kept },
	{ "plain_threads", plain_threads }, { NULL, NULL },
};

START_TEST(unlocking_an_unlocked_one_is_fatal)
{
	test_child_says("unlock_unlocked", NULL, 2, "fatal error: sync: unlock of unlocked mutex");
	test_child_says("unlock_twice", NULL, 2, "fatal error: sync: unlock of unlocked mutex");
	test_child_says("unlock_full", NULL, 2, "fatal error: sync: unlock of unlocked mutex");
	test_child_says("unlock_kept", NULL, 2, "fatal error: sync: unlock of unlocked mutex");
}
END_TEST

START_TEST(it_may_be_the_first_that_plain_threads_call)
{
	test_child_says("plain_threads", NULL, 0, "");
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
	test_add(&s, after_a_wait_and_a_long_calm_it_is_as_new);
	test_add(&s, waits_keep_it_from_being_as_new);
	test_add(&s, when_all_who_waited_have_given_up_it_is_as_new);
	test_add(&s, of_several_who_wait_any_may_give_up);
	test_add(&s, who_waits_for_a_condition_gets_it_after_any_calm);
	test_add(&s, mutexes_that_are_waited_for_do_not_disturb_others);
	test_add(&s, unlocking_an_unlocked_one_is_fatal);
	test_add(&s, it_may_be_the_first_that_plain_threads_call);
	return test_end(&s);
}
