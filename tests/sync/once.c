/* SPDX-License-Identifier: MIT */
/* Once. */
#include "test.h"

#include <gort/sync.h>

static void counts(void *arg)
{
	++*(int *)arg;
}

GO_TEST(only_the_first_call_runs)
{
	gort_once once = GORT_ONCE_INIT;
	int a = 0, b = 0;

	for (int i = 0; i < 10; i++) {
		gort_once_do(&once, counts, &a);
		gort_once_do(&once, counts, &b);
	}
	expect_eq(a, 1);
	expect_eq(b, 0);
	expect_eq(sizeof once, 8);
}

struct slow {
	gort_once once;
	int calls;              /* plain: once orders it */
	int finished;
	int go_on;
	int done;
	struct task running;
};

static void slow(void *arg)
{
	struct slow *s = arg;

	s->calls++;
	set(&s->running.done, 1);
	while (!get(&s->go_on))
		gort_yield();
	s->finished = 1;
}

struct caller {
	struct task task;
	struct slow *s;
};

static void calls(void *arg)
{
	struct caller *c = arg;

	task_here(&c->task);
	gort_once_do(&c->s->once, slow, c->s);
	expect_eq(c->s->finished, 1);
	expect_eq(c->s->calls, 1);
	task_done(&c->task);
}

GO_TEST(callers_wait_for_the_running_call)
{
	struct slow s = { .once = GORT_ONCE_INIT };
	struct caller c[20];
	pthread_t t;

	memset(c, 0, sizeof c);
	for (int i = 0; i < 20; i++)
		c[i].s = &s;
	spawn(calls, &c[0]);
	await_done(&s.running);
	for (int i = 1; i < 19; i++)
		spawn(calls, &c[i]);
	t = thread_start(calls, &c[19]);
	for (int i = 1; i < 20; i++) {
		await_parked(&c[i].task);
		expect(!get(&c[i].task.done));
	}
	set(&s.go_on, 1);
	for (int i = 0; i < 20; i++)
		await_done(&c[i].task);
	thread_join(t);
	expect_eq(s.calls, 1);
}

/* Waiters of all onces share the table's queues: each must be woken by its own. */
#define MANY 500

struct many {
	gort_once once[MANY];
	int value[MANY];
	int done;
};

static void calls_all(void *arg)
{
	struct many *m = arg;

	for (int i = 0; i < MANY; i++) {
		gort_once_do(&m->once[i], counts, &m->value[i]);
		expect_eq(m->value[i], 1);
	}
	count_up(&m->done);
}

GO_TEST(many_onces_and_many_callers)
{
	for (long round = 0; round < test_scale(20); round++) {
		struct many *m = calloc(1, sizeof *m);

		for (int i = 0; i < 10; i++)
			spawn(calls_all, m);
		await_count(&m->done, 10);
		free(m);
	}
}

static gort_once outer = GORT_ONCE_INIT, inner = GORT_ONCE_INIT;
static int nested;

static void calls_another(void *arg)
{
	gort_once_do(&inner, counts, &nested);
}

GO_TEST(one_once_may_call_another)
{
	gort_once_do(&outer, calls_another, NULL);
	expect_eq(nested, 1);
}

static void panics(void *arg)
{
	count_up((int *)arg);
	gort_panic("in once");
}

static void exits(void *arg)
{
	count_up((int *)arg);
	gort_goexit();
}

struct ending {
	gort_once once;
	int calls;
	int back;
	void (*fn)(void *arg);
};

static void does(void *arg)
{
	struct ending *e = arg;

	gort_once_do(&e->once, e->fn, &e->calls);
	count_up(&e->back);
}

GO_TEST(a_panic_and_an_exit_count_as_done)
{
	struct ending e = { .fn = panics };
	gort_panic_info info;

	expect(gort_try(does, &e, &info));
	expect(strcmp(info.message, "in once") == 0);
	expect_eq(get(&e.back), 0);
	does(&e);
	expect_eq(get(&e.calls), 1);
	expect_eq(get(&e.back), 1);

	e = (struct ending){ .fn = exits };
	spawn(does, &e);
	while (gort_num_goroutine() > 1)
		gort_yield();
	does(&e);
	expect_eq(get(&e.calls), 1);
	expect_eq(get(&e.back), 1);
}

static void defers_count(void *arg)
{
	expect_eq(gort_defer(counts, arg), 0);
	expect_eq(*(int *)arg, 0);
}

GO_TEST(what_it_defers_runs_at_its_end)
{
	gort_once once = GORT_ONCE_INIT;
	int n = 0;

	gort_once_do(&once, defers_count, &n);
	expect_eq(n, 1);
}

struct short_lived {
	gort_once once;
	int running;
};

static void runs(void *arg)
{
	struct short_lived *s = arg;

	set(&s->running, 1);
}

static void runs_once(void *arg)
{
	struct short_lived *s = arg;

	gort_once_do(&s->once, runs, s);
}

static void never(void *arg)
{
	(void)expect(false);
}

/* The one that ran it may still be on its way out. */
GO_TEST(it_may_be_freed_once_do_has_returned)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		struct short_lived *s = calloc(1, sizeof *s);

		spawn(runs_once, s);
		await_count(&s->running, 1);
		gort_once_do(&s->once, never, s);
		memset(s, 0xFF, sizeof *s);
		free(s);
	}
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "once", NULL);
	test_add(&s, only_the_first_call_runs);
	test_add(&s, callers_wait_for_the_running_call);
	test_add(&s, many_onces_and_many_callers);
	test_add(&s, one_once_may_call_another);
	test_add(&s, a_panic_and_an_exit_count_as_done);
	test_add(&s, what_it_defers_runs_at_its_end);
	test_add(&s, it_may_be_freed_once_do_has_returned);
	return test_end(&s);
}
