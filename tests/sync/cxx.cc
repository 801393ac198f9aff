/* SPDX-License-Identifier: MIT */
/* C++ exceptions that leave the functions which once, singleflight and groups call. */
#include <csignal>
#include <stdexcept>
#include <string>

#include "test.h"

#include <gort/sync.h>

/* Zero: what a compiler would otherwise warn of is that a function ends by throwing only. */
static int never;

static bool is_text(const std::exception &e, const char *text)
{
	return strcmp(e.what(), text) == 0;
}

/* --- once --- */

struct throwing {
	gort_once once;
	int calls;              /* atomic, as all of these */
	int caught;
	int deferred;
	int back;
	int go_on;
	struct task running;
	void (*fn)(void *arg);
};

static void defers(void *arg)
{
	struct throwing *t = (struct throwing *)arg;

	/* it is not done yet: others still wait */
	expect_eq(get(&t->back), 0);
	count_up(&t->deferred);
}

static void throws(void *arg)
{
	struct throwing *t = (struct throwing *)arg;

	count_up(&t->calls);
	gort_defer(defers, t);
	set(&t->running.done, 1);
	while (!get(&t->go_on))
		gort_yield();
	throw std::runtime_error("in once");
}

static void catches(void *arg)
{
	struct throwing *t = (struct throwing *)arg;

	try {
		gort_once_do(&t->once, t->fn, t);
	} catch (std::runtime_error &e) {
		expect(is_text(e, "in once"));
		count_up(&t->caught);
	}
}

struct caller {
	struct task task;
	struct throwing *t;
};

static void calls(void *arg)
{
	struct caller *c = (struct caller *)arg;

	task_here(&c->task);
	gort_once_do(&c->t->once, c->t->fn, c->t);
	count_up(&c->t->back);
	task_done(&c->task);
}

static void throws_in_once(bool thread)
{
	struct throwing t = {};
	struct caller c[10] = {};
	pthread_t id = {};

	t.fn = throws;
	if (thread)
		id = thread_start(catches, &t);
	else
		spawn(catches, &t);
	await_done(&t.running);
	for (struct caller &one : c) {
		one.t = &t;
		spawn(calls, &one);
		await_parked(&one.task);
	}
	set(&t.go_on, 1);
	for (struct caller &one : c)
		await_done(&one.task);
	await_count(&t.caught, 1);
	if (thread)
		thread_join(id);
	/* and it stays done */
	gort_once_do(&t.once, throws, &t);
	expect_eq(get(&t.calls), 1);
	expect_eq(get(&t.deferred), 1);
	expect_eq(get(&t.caught), 1);
}

GO_TEST(once_is_done_after_an_exception)
{
	throws_in_once(false);
}

GO_TEST(and_after_one_on_a_plain_thread)
{
	throws_in_once(true);
}

static void panics(void *)
{
	if (!get(&never))
		gort_panic("instead");
}

static void throws_and_panics(void *arg)
{
	count_up(&((struct throwing *)arg)->calls);
	gort_defer(panics, nullptr);
	throw std::runtime_error("in once");
}

GO_TEST(a_deferred_panic_takes_the_exceptions_place)
{
	struct throwing t = {};
	gort_panic_info info;

	t.fn = throws_and_panics;
	expect(gort_try(catches, &t, &info));
	expect(strcmp(info.message, "instead") == 0);
	expect_eq(get(&t.caught), 0);
	catches(&t);
	expect_eq(get(&t.calls), 1);
}

static void throws_late(void *)
{
	if (!get(&never))
		throw std::runtime_error("in once");
}

static void defers_throwing(void *arg)
{
	count_up(&((struct throwing *)arg)->calls);
	gort_defer(defers, arg);
	gort_defer(throws_late, nullptr);
}

GO_TEST(a_deferred_call_may_throw)
{
	struct throwing t = {};

	t.fn = defers_throwing;
	for (int i = 0; i < 2; i++)
		catches(&t);
	expect_eq(get(&t.calls), 1);
	expect_eq(get(&t.caught), 1);
	expect_eq(get(&t.deferred), 1);
}

static void is_nested(void *arg)
{
	struct throwing *outer = (struct throwing *)arg;
	struct throwing inner = {};

	count_up(&outer->calls);
	set(&inner.go_on, 1);
	try {
		gort_once_do(&inner.once, throws, &inner);
	} catch (std::runtime_error &) {
		gort_once_do(&inner.once, throws, &inner);
		expect_eq(get(&inner.calls), 1);
		throw;
	}
}

GO_TEST(an_exception_may_leave_several)
{
	struct throwing t = {};

	t.fn = is_nested;
	for (int i = 0; i < 2; i++)
		catches(&t);
	expect_eq(get(&t.calls), 1);
	expect_eq(get(&t.caught), 1);
}

/* A thread that ends in there: the C library unwinds as it does for an exception. */
static void ends_thread(void *arg)
{
	count_up(&((struct throwing *)arg)->calls);
	pthread_exit(nullptr);
}

static void does(void *arg)
{
	struct throwing *t = (struct throwing *)arg;

	gort_once_do(&t->once, t->fn, t);
}

GO_TEST(once_is_done_after_its_threads_end)
{
	struct throwing t = {};
	pthread_t id;

	t.fn = ends_thread;
	id = thread_start(does, &t);
	thread_join(id);
	expect_eq(get(&t.calls), 1);
	t.fn = throws_late;
	does(&t);
}

/* --- singleflight --- */

struct load {
	gort_singleflight *s;
	int calls;
	int caught;
	int go_on;
};

struct loader {
	struct task task;
	struct load *l;
	int result;
};

static int throws_value(void *arg, void **)
{
	struct load *l = (struct load *)arg;

	count_up(&l->calls);
	await_count(&l->go_on, 1);
	throw std::string("no page");
}

static int returns_value(void *arg, void **value)
{
	*value = arg;
	return 7;
}

static void loads(void *arg)
{
	struct loader *c = (struct loader *)arg;

	task_here(&c->task);
	try {
		c->result = gort_singleflight_do(c->l->s, "page", throws_value, c->l, nullptr, nullptr);
	} catch (std::string &s) {
		expect(s == "no page");
		count_up(&c->l->caught);
	}
	task_done(&c->task);
}

GO_TEST(an_exception_cancels_what_others_wait_for)
{
	struct load l = {};
	struct loader c[5] = {};
	void *value = nullptr;
	bool shared = true;

	l.s = gort_singleflight_new();
	for (struct loader &one : c) {
		one.l = &l;
		spawn(loads, &one);
		if (&one == c)
			await_count(&l.calls, 1);
		else
			await_parked(&one.task);
	}
	set(&l.go_on, 1);
	for (struct loader &one : c)
		await_done(&one.task);
	expect_eq(get(&l.calls), 1);
	expect_eq(get(&l.caught), 1);
	for (int i = 1; i < 5; i++)
		expect_eq(c[i].result, -ECANCELED);
	/* the key is free again */
	expect_eq(gort_singleflight_do(l.s, "page", returns_value, &l, &value, &shared), 7);
	expect(value == &l);
	expect(!shared);
	gort_singleflight_free(l.s);
}

/* --- children --- */

/* A goroutine's function has nothing around it that could catch. */
static void leaves(void *)
{
	throw std::runtime_error("out of the group");
}

static int in_waitgroup_main(void *)
{
	gort_waitgroup wg = {};

	gort_waitgroup_go(&wg, leaves, nullptr);
	gort_waitgroup_wait(&wg);
	return 0;
}

static int in_waitgroup() { return gort_run(in_waitgroup_main, nullptr); }

static int leaves_task(void *)
{
	throw std::runtime_error("out of the group");
}

static int in_errgroup_main(void *)
{
	gort_errgroup eg = {};

	gort_errgroup_go(&eg, leaves_task, nullptr);
	gort_errgroup_wait(&eg);
	return 0;
}

static int in_errgroup() { return gort_run(in_errgroup_main, nullptr); }

static void throws_twice(void *)
{
	gort_defer(throws_late, nullptr);
	throw std::string("the first");
}

static int two_at_once_main(void *)
{
	gort_once once = {};

	try {
		gort_once_do(&once, throws_twice, nullptr);
	} catch (std::exception &) {
	} catch (std::string &) {
	}
	return 0;
}

static int two_at_once() { return gort_run(two_at_once_main, nullptr); }

static const struct test_child children[] = {
	{ "in_waitgroup", in_waitgroup }, { "in_errgroup", in_errgroup }, { "two_at_once", two_at_once }, { nullptr, nullptr },
};

static void is_aborted(const char *name, const char *text)
{
	static struct child_result r;

	test_run_child(&r, name, nullptr, 120);
	ck_assert_msg(r.exited ? r.status != 0 : r.status == SIGABRT, "%s: %d, %s", name, r.status, r.err);
	ck_assert_msg(strstr(r.err, text) != nullptr, "%s: no \"%s\" in stderr: %s", name, text, r.err);
}

START_TEST(an_exception_out_of_a_goroutine_ends_the_program)
{
	is_aborted("in_waitgroup", "out of the group");
	is_aborted("in_errgroup", "out of the group");
}
END_TEST

START_TEST(two_exceptions_at_once_end_the_program)
{
	test_child_says("two_at_once", nullptr, 2, "fatal error: a C++ exception left a deferred call");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "sync-cxx", children);
	test_add(&s, once_is_done_after_an_exception);
	test_add(&s, and_after_one_on_a_plain_thread);
	test_add(&s, a_deferred_panic_takes_the_exceptions_place);
	test_add(&s, a_deferred_call_may_throw);
	test_add(&s, an_exception_may_leave_several);
	test_add(&s, once_is_done_after_its_threads_end);
	test_add(&s, an_exception_cancels_what_others_wait_for);
	test_add(&s, an_exception_out_of_a_goroutine_ends_the_program);
	test_add(&s, two_exceptions_at_once_end_the_program);
	return test_end(&s);
}
