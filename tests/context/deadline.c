/* SPDX-License-Identifier: MIT */
/* Deadlines. */
#include "test.h"

#include "node.h"

static void is_timed_out(gort_context *ctx)
{
	const char *why = "";

	expect(gort_context_is_done(ctx));
	expect_eq(gort_context_err(ctx), -ETIMEDOUT);
	expect_eq(gort_context_cause(ctx, &why), -ETIMEDOUT);
	expect(why == NULL);
	expect_eq(gort_chan_try_recv(gort_context_done(ctx), NULL), -EPIPE);
}

static gort_timer *timer_of(gort_context *ctx)
{
	return node_of(ctx)->timer;
}

static gort_time deadline_of(gort_context *ctx)
{
	gort_time t = -1;

	expect(gort_context_deadline(ctx, &t));
	expect(gort_context_deadline(ctx, NULL));
	return t;
}

GO_TEST(a_context_times_out_and_never_early)
{
	for (int i = 0; i < 20; i++) {
		gort_time t = gort_now() + i * 100 * GORT_MICROSECOND;
		gort_context *ctx = gort_context_with_deadline(gort_context_background(), t);

		expect_eq(deadline_of(ctx), t);
		expect_eq(gort_chan_recv(gort_context_done(ctx), NULL), -EPIPE);
		expect(gort_now() >= t);
		is_timed_out(ctx);
		gort_context_drop(ctx);
	}
}

THREAD_TEST(one_on_a_plain_thread_too)
{
	gort_context *ctx = gort_context_with_timeout(gort_context_background(), GORT_MILLISECOND);

	expect_eq(gort_chan_recv(gort_context_done(ctx), NULL), -EPIPE);
	is_timed_out(ctx);
	gort_context_unref(ctx);
}

THREAD_TEST(a_past_deadline_is_over_at_once)
{
	static const gort_duration spans[] = { 0, -1, -GORT_HOUR, INT64_MIN };
	static const gort_time times[] = { 0, 1, -1, INT64_MIN };

	for (int i = 0; i < 4; i++) {
		gort_context *a = gort_context_with_timeout(gort_context_background(), spans[i]);
		gort_context *b = gort_context_with_deadline(gort_context_background(), times[i]);

		is_timed_out(a);
		is_timed_out(b);
		expect_eq(deadline_of(b), times[i]);
		expect(timer_of(a) == NULL);
		gort_context_drop(a);
		gort_context_drop(b);
	}
}

GO_TEST(for_ever_is_no_deadline)
{
	gort_context *a = gort_context_with_deadline(gort_context_background(), GORT_FOREVER);
	gort_context *b = gort_context_with_timeout(gort_context_background(), INT64_MAX);
	gort_context *c = gort_context_with_timeout(b, INT64_MAX - 1);

	expect(!gort_context_deadline(a, NULL));
	expect(!gort_context_deadline(b, NULL));
	expect(!gort_context_deadline(c, NULL));
	expect(timer_of(b) == NULL);
	expect(!gort_context_is_done(a) && !gort_context_is_done(b) && !gort_context_is_done(c));
	gort_context_drop(a);
	gort_context_drop(b);
	gort_context_drop(c);
}

THREAD_TEST(the_earlier_deadline_counts_and_the_later_needs_no_timer)
{
	gort_time t = gort_deadline(GORT_HOUR);
	gort_context *root = gort_context_with_deadline(gort_context_background(), t);
	gort_context *later = gort_context_with_deadline(root, t + 1), *same = gort_context_with_deadline(root, t);
	gort_context *earlier = gort_context_with_deadline(root, t - 1), *plain = gort_context_with_cancel(earlier);
	gort_context *below = gort_context_with_deadline(plain, t);

	expect_eq(deadline_of(root), t);
	expect_eq(deadline_of(later), t);
	expect_eq(deadline_of(same), t);
	expect_eq(deadline_of(earlier), t - 1);
	expect_eq(deadline_of(plain), t - 1);
	expect_eq(deadline_of(below), t - 1);
	expect(timer_of(root) != NULL && timer_of(earlier) != NULL);
	expect(timer_of(later) == NULL && timer_of(same) == NULL && timer_of(plain) == NULL && timer_of(below) == NULL);
	gort_context_drop(later);
	gort_context_drop(same);
	gort_context_drop(below);
	gort_context_drop(plain);
	gort_context_drop(earlier);
	expect(!gort_context_is_done(root));
	gort_context_drop(root);
}

GO_TEST(the_parents_deadline_ends_a_child_with_a_later_one)
{
	gort_context *root = gort_context_with_timeout(gort_context_background(), GORT_MILLISECOND);
	gort_context *child = gort_context_with_timeout(root, GORT_HOUR);

	expect_eq(gort_chan_recv(gort_context_done(child), NULL), -EPIPE);
	is_timed_out(child);
	is_timed_out(root);
	gort_context_unref(child);
	gort_context_unref(root);
}

GO_TEST(a_childs_deadline_leaves_its_parent_alone)
{
	gort_context *root = gort_context_with_timeout(gort_context_background(), GORT_HOUR);
	gort_context *child = gort_context_with_timeout(root, GORT_MILLISECOND);

	expect_eq(gort_chan_recv(gort_context_done(child), NULL), -EPIPE);
	is_timed_out(child);
	expect(!gort_context_is_done(root));
	gort_context_unref(child);
	expect(root->node->children == NULL);
	gort_context_drop(root);
}

GO_TEST(cancel_stops_the_timer)
{
	gort_context *root = gort_context_with_cancel(gort_context_background());
	gort_context *ctx = gort_context_with_timeout(root, 5 * GORT_MILLISECOND);
	gort_context *child = gort_context_with_timeout(ctx, 4 * GORT_MILLISECOND);

	gort_context_cancel_cause(ctx, -EIO, "first");
	/* stopping it once more finds nothing to stop */
	expect(gort_context_err(ctx) == -ETIMEDOUT || timer_of(ctx) == NULL || !gort_timer_stop(timer_of(ctx)));
	/* on a slow machine the child's deadline is the later one, and has no timer */
	expect(gort_context_err(child) == -ETIMEDOUT || timer_of(child) == NULL || !gort_timer_stop(timer_of(child)));
	gort_context_drop(ctx);
	gort_context_drop(child);

	ctx = gort_context_with_timeout(root, GORT_HOUR);
	child = gort_context_with_timeout(ctx, GORT_MINUTE);
	gort_context_cancel_cause(root, -EIO, "first");
	expect(!gort_timer_stop(timer_of(ctx)));
	expect(!gort_timer_stop(timer_of(child)));
	expect_eq(gort_context_cause(child, NULL), -EIO);
	gort_context_unref(child);
	gort_context_unref(ctx);
	gort_context_unref(root);
}

/* The deadline passes after the cancellation: it has lost. */
GO_TEST(a_deadline_that_comes_second_changes_nothing)
{
	gort_time t = gort_now() + 20 * GORT_MILLISECOND;
	gort_context *ctx = gort_context_with_deadline(gort_context_background(), t);
	bool first;

	gort_context_cancel(ctx);
	first = gort_now() < t;         /* else the machine is slow, and it may have been the deadline */
	gort_sleep(30 * GORT_MILLISECOND);
	expect(!first || gort_context_err(ctx) == -ECANCELED);
	gort_context_unref(ctx);
}

GO_TEST(a_pending_deadline_has_no_goroutine)
{
	gort_context *ctx[100];

	/* those of earlier tests may be on their way out, where all are in one process */
	while (gort_num_goroutine() > 1)
		gort_yield();
	for (int i = 0; i < 100; i++)
		ctx[i] = gort_context_with_timeout(gort_context_background(), GORT_HOUR);
	expect_eq(gort_num_goroutine(), 1);
	for (int i = 0; i < 100; i++)
		gort_context_unref(ctx[i]);
}

static char key;
static int destroyed, ran;

static void counts(void *value)
{
	count_up((int *)value);
}

GO_TEST(the_last_reference_stops_the_timer)
{
	gort_context *v = gort_context_with_value(gort_context_background(), &key, &destroyed, counts);
	gort_context *ctx = gort_context_with_timeout(v, GORT_HOUR);
	gort_chan *done = gort_chan_ref(gort_context_done(ctx));

	set(&destroyed, 0);
	gort_context_unref(v);
	gort_context_unref(ctx);
	expect_eq(get(&destroyed), 1);
	expect_eq(gort_chan_try_recv(done, NULL), -EAGAIN);
	gort_chan_unref(done);
}

/* More than a timer's function does by itself, in width and in depth, hooks and values among them. */
GO_TEST(a_deadline_reaches_thousands_of_descendants)
{
	int n = (int)test_scale_min(5000, 1500);
	gort_context *root = gort_context_with_deadline(gort_context_background(), gort_deadline(GORT_HOUR));
	gort_context **c = calloc((size_t)n, sizeof *c), *deep = gort_context_ref(root);

	set(&ran, 0);
	set(&destroyed, 0);
	for (int i = 0; i < n; i++) {
		gort_context *v = gort_context_with_value(deep, &key, &destroyed, counts), *next = gort_context_with_cancel(v);

		gort_context_unref(v);
		gort_context_unref(deep);
		deep = next;
		c[i] = gort_context_with_cancel(root);
		gort_context_hook_free(gort_context_after_func(i % 2 ? c[i] : deep, counts, &ran));
	}
	/* its time has come */
	gort__timer_set(timer_of(root), gort_now(), 0);
	await_count(&ran, n);
	for (int i = 0; i < n; i++) {
		gort_chan_recv(gort_context_done(c[i]), NULL);
		is_timed_out(c[i]);
		gort_context_unref(c[i]);
	}
	gort_chan_recv(gort_context_done(deep), NULL);
	is_timed_out(deep);
	gort_context_unref(deep);
	gort_context_unref(root);
	await_count(&destroyed, n);
	free(c);
}

GO_TEST(a_cancelled_parent_beats_a_past_deadline)
{
	gort_context *root = gort_context_with_cancel(gort_context_background()), *child;

	gort_context_cancel_cause(root, -EIO, "before");
	child = gort_context_with_timeout(root, -1);
	expect_eq(gort_context_err(child), -ECANCELED);
	expect_eq(gort_context_cause(child, NULL), -EIO);
	gort_context_unref(child);
	gort_context_unref(root);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "deadline", NULL);
	test_add(&s, a_context_times_out_and_never_early);
	test_add(&s, one_on_a_plain_thread_too);
	test_add(&s, a_past_deadline_is_over_at_once);
	test_add(&s, for_ever_is_no_deadline);
	test_add(&s, the_earlier_deadline_counts_and_the_later_needs_no_timer);
	test_add(&s, the_parents_deadline_ends_a_child_with_a_later_one);
	test_add(&s, a_childs_deadline_leaves_its_parent_alone);
	test_add(&s, cancel_stops_the_timer);
	test_add(&s, a_deadline_that_comes_second_changes_nothing);
	test_add(&s, a_pending_deadline_has_no_goroutine);
	test_add(&s, the_last_reference_stops_the_timer);
	test_add(&s, a_deadline_reaches_thousands_of_descendants);
	test_add(&s, a_cancelled_parent_beats_a_past_deadline);
	return test_end(&s);
}
