/* SPDX-License-Identifier: MIT */
/* GORT_MUTEX_SCOPE. Built twice: with -fexceptions and without any tables for cleanups. */
#include "test.h"

#include <gort/sync.h>

static bool is_free(gort_mutex *m)
{
	if (!gort_mutex_try_lock(m))
		return false;
	gort_mutex_unlock(m);
	return true;
}

static int returns_early(gort_mutex *m, bool early)
{
	GORT_MUTEX_SCOPE(m);
	expect(!is_free(m));
	if (early)
		return 1;
	{
		gort_mutex inner = GORT_MUTEX_INIT;

		GORT_MUTEX_SCOPE(&inner);
		expect(!is_free(&inner));
	}
	expect(!is_free(m));
	return 2;
}

static void loops(gort_mutex *m)
{
	for (int i = 0; i < 10; i++) {
		GORT_MUTEX_SCOPE(m);
		expect(!is_free(m));
		if (i == 3)
			continue;
		if (i == 7)
			break;
	}
}

static void leaves_in_the_plain_ways(void)
{
	gort_mutex m = GORT_MUTEX_INIT;

	expect_eq(returns_early(&m, true), 1);
	expect(is_free(&m));
	expect_eq(returns_early(&m, false), 2);
	expect(is_free(&m));
	loops(&m);
	expect(is_free(&m));
}

GO_TEST(it_unlocks_at_the_end_of_the_scope)
{
	leaves_in_the_plain_ways();
}

THREAD_TEST(it_unlocks_on_a_plain_thread)
{
	leaves_in_the_plain_ways();
}

struct three {
	gort_mutex a, b, c;
	char order[4];          /* of unlocking, as the deferred call sees it: it comes after them */
	int deferred;
	bool exits;
};

static void sees_all_free(void *arg)
{
	struct three *t = arg;

	expect(is_free(&t->a));
	expect(is_free(&t->b));
	expect(is_free(&t->c));
	t->deferred++;
}

static __attribute__((noinline)) void innermost(struct three *t)
{
	GORT_MUTEX_SCOPE(&t->c);
	expect(!is_free(&t->a) && !is_free(&t->b) && !is_free(&t->c));
	if (t->exits)
		gort_goexit();
	gort_panic("under three locks");
}

static __attribute__((noinline)) void middle(struct three *t)
{
	GORT_MUTEX_SCOPE(&t->b);
	innermost(t);
	(void)expect(false);
}

static void outermost(void *arg)
{
	struct three *t = arg;

	expect_eq(gort_defer(sees_all_free, t), 0);
	GORT_MUTEX_SCOPE(&t->a);
	middle(t);
	(void)expect(false);
}

static void panics_under_three(void)
{
	struct three t = { .deferred = 0 };
	gort_panic_info info = { .message = "" };

	for (int i = 1; i <= 3; i++) {
		expect(gort_try(outermost, &t, &info));
		expect(strcmp(info.message, "under three locks") == 0);
		expect_eq(t.deferred, i);
		sees_all_free(&t);
		t.deferred = i;
	}
}

GO_TEST(it_unlocks_when_a_panic_comes_through)
{
	panics_under_three();
}

THREAD_TEST(and_on_a_plain_thread_too)
{
	panics_under_three();
}

static void exits_under_three(void *arg)
{
	outermost(arg);
}

GO_TEST(it_unlocks_when_an_exit_comes_through)
{
	struct three t = { .exits = true };
	gort_waitgroup wg = GORT_WAITGROUP_INIT;

	gort_waitgroup_go(&wg, exits_under_three, &t);
	gort_waitgroup_wait(&wg);
	expect_eq(t.deferred, 1);
	sees_all_free(&t);
}

struct nested {
	gort_mutex outer, inner;
};

static void locks_inner(void *arg)
{
	struct nested *n = arg;

	GORT_MUTEX_SCOPE(&n->inner);
	gort_panic("inner");
}

static void tries_inside(void *arg)
{
	struct nested *n = arg;

	GORT_MUTEX_SCOPE(&n->outer);
	expect(gort_try(locks_inner, n, NULL));
	/* only what was inside of the try */
	expect(is_free(&n->inner));
	expect(!is_free(&n->outer));
	gort_call(locks_inner, n);
	(void)expect(false);
}

GO_TEST(a_panic_that_is_caught_unlocks_what_is_inside_of_the_try_only)
{
	struct nested n = { .outer = GORT_MUTEX_INIT };

	expect(gort_try(tries_inside, &n, NULL));
	expect(is_free(&n.inner));
	expect(is_free(&n.outer));
}

struct crowd {
	gort_mutex m;
	long n;
	int done;
	int rounds;
};

static void adds(struct crowd *c, bool panics)
{
	GORT_MUTEX_SCOPE(&c->m);
	c->n++;
	if (c->n % 32 == 0)
		gort_yield();           /* and go on in another thread */
	if (panics)
		gort_panic("counted");
}

static void adds_and_panics(void *arg)
{
	adds(arg, true);
}

static void member(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < c->rounds; i++) {
		if (i % 4 == 0)
			expect(gort_try(adds_and_panics, c, NULL));
		else
			adds(c, false);
	}
	count_up(&c->done);
}

GO_TEST(a_crowd_that_panics_now_and_then)
{
	struct crowd c = { .rounds = (int)test_scale(500) };
	pthread_t t = thread_start(member, &c);

	for (int i = 0; i < 5; i++)
		spawn(member, &c);
	await_count(&c.done, 6);
	thread_join(t);
	expect_eq(c.n, 6L * c.rounds);
	expect(is_free(&c.m));
}

static void defers_and_locks(void *arg)
{
	struct three *t = arg;

	/* the newest deferred call is the user's own, whatever a scope did in between */
	gort_defer(sees_all_free, t);
	{
		GORT_MUTEX_SCOPE(&t->a);
	}
	gort_undefer(true);
	expect_eq(t->deferred, 1);
	gort_undefer(true);
	expect_eq(t->deferred, 1);
}

GO_TEST(the_users_deferred_calls_are_left_alone)
{
	struct three t = { .deferred = 0 };

	gort_call(defers_and_locks, &t);
	expect_eq(t.deferred, 1);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, SCOPE_NAME, NULL);
	test_add(&s, it_unlocks_at_the_end_of_the_scope);
	test_add(&s, it_unlocks_on_a_plain_thread);
	test_add(&s, it_unlocks_when_a_panic_comes_through);
	test_add(&s, and_on_a_plain_thread_too);
	test_add(&s, it_unlocks_when_an_exit_comes_through);
	test_add(&s, a_panic_that_is_caught_unlocks_what_is_inside_of_the_try_only);
	test_add(&s, a_crowd_that_panics_now_and_then);
	test_add(&s, the_users_deferred_calls_are_left_alone);
	return test_end(&s);
}
