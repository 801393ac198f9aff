/* SPDX-License-Identifier: MIT */
/* Functions that run on cancellation. */
#include "test.h"

#include <gort/context.h>

static gort_context *with_cancel(void)
{
	gort_context *ctx = gort_context_with_cancel(gort_context_background());

	expect(ctx != NULL);
	return ctx;
}

struct run {
	int ran;
	uint64_t id;
	gort_context *ctx;
	gort_context_hook *h;
	int stopped;
};

static void runs(void *arg)
{
	struct run *r = arg;

	r->id = gort_id();
	count_up(&r->ran);
}

static gort_context_hook *after(gort_context *ctx, struct run *r)
{
	gort_context_hook *h = gort_context_after_func(ctx, runs, r);

	expect(h != NULL);
	return h;
}

/* Until there is nobody but the caller: what was to run has. */
static void settle(void)
{
	while (gort_num_goroutine() > 1)
		gort_yield();
}

GO_TEST(it_runs_once_in_a_goroutine_of_its_own)
{
	gort_context *ctx = with_cancel();
	struct run r = { 0 };
	gort_context_hook *h;

	settle();
	h = after(ctx, &r);
	/* until then it is no goroutine */
	expect_eq(gort_num_goroutine(), 1);
	gort_context_cancel(ctx);
	gort_context_cancel(ctx);
	await_count(&r.ran, 1);
	settle();
	expect_eq(get(&r.ran), 1);
	expect(r.id != 0 && r.id != gort_id());
	expect(!gort_context_hook_stop(h));
	gort_context_hook_free(h);
	gort_context_unref(ctx);
}

GO_TEST(it_runs_at_once_when_the_context_is_done)
{
	gort_context *ctx = with_cancel();
	struct run r = { 0 };
	gort_context_hook *h;

	gort_context_cancel(ctx);
	h = after(ctx, &r);
	expect(!gort_context_hook_stop(h));
	await_count(&r.ran, 1);
	gort_context_hook_free(h);
	gort_context_unref(ctx);
}

GO_TEST(stop_is_true_once_and_then_it_never_runs)
{
	gort_context *ctx = with_cancel(), *child = gort_context_with_cancel(ctx);
	struct run r[3] = { { 0 } };
	gort_context_hook *h[3];

	for (int i = 0; i < 3; i++)
		h[i] = after(child, &r[i]);
	/* the one in the middle of the list, and its head */
	expect(gort_context_hook_stop(h[1]));
	expect(!gort_context_hook_stop(h[1]));
	expect(gort_context_hook_stop(h[2]));
	gort_context_cancel(ctx);
	await_count(&r[0].ran, 1);
	settle();
	expect_eq(r[1].ran, 0);
	expect_eq(r[2].ran, 0);
	for (int i = 0; i < 3; i++) {
		expect(!gort_context_hook_stop(h[i]));
		gort_context_hook_free(h[i]);
	}
	gort_context_unref(child);
	gort_context_unref(ctx);
}

static char key;
static int destroyed;

static void counts(void *value)
{
	count_up((int *)value);
}

/* Of what is never done it never runs. */
GO_TEST(on_a_root_there_is_only_stopping_it)
{
	gort_context *v = gort_context_with_value(gort_context_background(), &key, &destroyed, counts);
	struct run r = { 0 };
	gort_context_hook *h = after(gort_context_background(), &r);

	set(&destroyed, 0);
	expect(gort_context_hook_stop(h));
	expect(!gort_context_hook_stop(h));
	gort_context_hook_free(h);
	h = after(v, &r);
	gort_context_unref(v);
	expect_eq(get(&destroyed), 0);
	gort_context_hook_free(h);
	expect_eq(get(&destroyed), 1);
	expect_eq(r.ran, 0);
}

GO_TEST(freeing_it_does_not_stop_it)
{
	gort_context *ctx = with_cancel(), *v = gort_context_with_value(ctx, &key, &destroyed, counts);
	struct run r = { 0 };

	set(&destroyed, 0);
	gort_context_hook_free(after(v, &r));
	gort_context_unref(v);
	expect_eq(get(&destroyed), 0);          /* it still holds its context */
	gort_context_cancel(ctx);
	await_count(&r.ran, 1);
	await_count(&destroyed, 1);
	gort_context_unref(ctx);
}

GO_TEST(it_holds_its_context)
{
	gort_context *v = gort_context_with_value(gort_context_background(), &key, &destroyed, counts);
	gort_context *ctx = gort_context_with_cancel(v);
	struct run r = { 0 };
	gort_context_hook *h = after(ctx, &r);

	set(&destroyed, 0);
	gort_context_unref(v);
	gort_context_unref(ctx);
	expect_eq(get(&destroyed), 0);
	expect(gort_context_hook_stop(h));
	expect_eq(get(&destroyed), 0);
	gort_context_hook_free(h);
	expect_eq(get(&destroyed), 1);
}

static void looks_at_itself(void *arg)
{
	struct run *r = arg;

	while (get(&r->h) == NULL)
		gort_yield();
	r->stopped = gort_context_hook_stop(r->h);
	expect(gort_context_is_done(r->ctx));
	gort_context_hook_free(r->h);
	gort_context_drop(r->ctx);
	count_up(&r->ran);
}

GO_TEST(it_may_be_stopped_and_freed_from_inside)
{
	struct run r = { .ctx = with_cancel() };
	gort_context *ctx = gort_context_ref(r.ctx);

	set(&r.h, gort_context_after_func(ctx, looks_at_itself, &r));
	gort_context_drop(ctx);
	await_count(&r.ran, 1);
	expect_eq(r.stopped, 0);
	settle();
}

static void panics(void *arg)
{
	count_up((int *)arg);
	gort_panic("in a hook");
}

static void exits(void *arg)
{
	count_up((int *)arg);
	gort_goexit();
}

static void says_nothing(const gort_panic_info *info, void *ctx)
{
	count_up((int *)ctx);
}

GO_TEST(a_panic_or_an_exit_in_it_ends_that_goroutine_only)
{
	gort_context *v = gort_context_with_value(gort_context_background(), &key, &destroyed, counts);
	gort_context *ctx = gort_context_with_cancel(v);
	int ran = 0, reported = 0;

	set(&destroyed, 0);
	gort_set_panic_handler(says_nothing, &reported);
	gort_context_hook_free(gort_context_after_func(ctx, panics, &ran));
	gort_context_hook_free(gort_context_after_func(ctx, exits, &ran));
	gort_context_unref(v);
	gort_context_drop(ctx);
	await_count(&destroyed, 1);             /* and lets go of the context */
	settle();
	expect_eq(get(&ran), 2);
	expect_eq(get(&reported), 1);
	gort_set_panic_handler(NULL, NULL);
}

GO_TEST(thousands_all_run)
{
	int n = (int)test_scale(5000), ran = 0, stopped = 0;
	gort_context *ctx = with_cancel();
	gort_context_hook **h = calloc((size_t)n, sizeof *h);

	for (int i = 0; i < n; i++)
		h[i] = gort_context_after_func(ctx, counts, &ran);
	for (int i = 0; i < n; i += 7)
		stopped += gort_context_hook_stop(h[i]);
	gort_context_cancel(ctx);
	await_count(&ran, n - stopped);
	settle();
	expect_eq(get(&ran), n - stopped);
	expect_eq(stopped, (n + 6) / 7);
	for (int i = 0; i < n; i++)
		gort_context_hook_free(h[i]);
	gort_context_unref(ctx);
	free(h);
}

/* From a thread that is no goroutine. */
THREAD_TEST(a_plain_thread_may_do_all_of_it)
{
	gort_context *ctx = with_cancel();
	struct run r = { 0 }, s = { 0 };
	gort_context_hook *h = after(ctx, &r), *k = after(ctx, &s);

	expect(gort_context_hook_stop(k));
	gort_context_cancel(ctx);
	await_count(&r.ran, 1);
	expect(r.id != 0);
	gort_context_hook_free(h);
	gort_context_hook_free(k);
	gort_context_unref(ctx);
	expect_eq(s.ran, 0);
}

/* The goroutines that were reserved for them went with their scheduler. */
THREAD_TEST(hooks_made_before_a_shutdown_are_good_after_it)
{
	struct run r[4] = { { 0 } };
	gort_context *ctx = with_cancel(), *timed;
	gort_context_hook *h[4];

	for (int i = 0; i < 4; i++)
		h[i] = after(ctx, &r[i]);
	timed = gort_context_with_timeout(ctx, GORT_HOUR);
	gort_shutdown();
	expect(gort_context_hook_stop(h[0]));
	gort_context_hook_free(h[1]);
	gort_context_cancel(ctx);
	for (int i = 1; i < 4; i++)
		await_count(&r[i].ran, 1);
	expect_eq(gort_context_err(timed), -ECANCELED);
	gort_shutdown();
	for (int i = 0; i < 4; i++) {
		expect_eq(r[i].ran, i > 0);
		if (i != 1)
			gort_context_hook_free(h[i]);
	}
	gort_context_unref(timed);
	gort_context_unref(ctx);
}

static int null_fn(void)
{
	gort_context_after_func(gort_context_background(), NULL, NULL);
	return 0;
}

static const struct test_child children[] = {
	{ "null_fn", null_fn },
	{ NULL, NULL },
};

START_TEST(a_null_function_is_fatal)
{
	test_child_says("null_fn", NULL, 2, "fatal error: go of nil func value");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "hook", children);
	test_add(&s, it_runs_once_in_a_goroutine_of_its_own);
	test_add(&s, it_runs_at_once_when_the_context_is_done);
	test_add(&s, stop_is_true_once_and_then_it_never_runs);
	test_add(&s, on_a_root_there_is_only_stopping_it);
	test_add(&s, freeing_it_does_not_stop_it);
	test_add(&s, it_holds_its_context);
	test_add(&s, it_may_be_stopped_and_freed_from_inside);
	test_add(&s, a_panic_or_an_exit_in_it_ends_that_goroutine_only);
	test_add(&s, thousands_all_run);
	test_add(&s, a_plain_thread_may_do_all_of_it);
	test_add(&s, hooks_made_before_a_shutdown_are_good_after_it);
	test_add(&s, a_null_function_is_fatal);
	return test_end(&s);
}
