/* SPDX-License-Identifier: MIT */
/* Cancelling, and the tree that it goes along. */
#include "test.h"

#include "node.h"

static gort_context *with_cancel(gort_context *parent)
{
	gort_context *ctx = gort_context_with_cancel(parent);

	expect(ctx != NULL);
	return ctx;
}

/* How many children ctx has on its list. Nobody changes it meanwhile. */
static int listed(gort_context *ctx)
{
	int n = 0;

	for (struct ctx_node *c = ctx->node->children; c != NULL; c = c->next)
		n++;
	return n;
}

static bool done_is_closed(gort_context *ctx)
{
	return gort_chan_try_recv(gort_context_done(ctx), NULL) == -EPIPE;
}

static void is_cancelled(gort_context *ctx, int cause, const char *why)
{
	const char *got = "";

	expect(gort_context_is_done(ctx));
	expect(done_is_closed(ctx));
	expect_eq(gort_context_err(ctx), -ECANCELED);
	expect_eq(gort_context_cause(ctx, &got), cause);
	expect_eq(gort_context_cause(ctx, NULL), cause);
	if (why == NULL)
		expect(got == NULL);
	else
		expect(got != NULL && strcmp(got, why) == 0);
}

static void is_open(gort_context *ctx)
{
	const char *why = "";

	expect(!gort_context_is_done(ctx));
	expect_eq(gort_chan_try_recv(gort_context_done(ctx), NULL), -EAGAIN);
	expect_eq(gort_context_err(ctx), 0);
	expect_eq(gort_context_cause(ctx, &why), 0);
	expect(why == NULL);
}

/* Without the scheduler: nothing of this needs it. */
THREAD_TEST(the_roots_are_never_done)
{
	gort_context *roots[] = { gort_context_background(), gort_context_todo() };

	expect(roots[0] != roots[1]);
	for (int i = 0; i < 2; i++) {
		gort_time t;

		expect(gort_context_done(roots[i]) == NULL);
		is_open(roots[i]);
		expect(!gort_context_deadline(roots[i], &t));
		expect(gort_context_value(roots[i], &t) == NULL);
		expect(gort_context_ref(roots[i]) == roots[i]);
		for (int k = 0; k < 10; k++)
			gort_context_unref(roots[i]);
		is_open(roots[i]);
	}
	expect(gort_context_background() == roots[0]);
}

THREAD_TEST(cancelling_closes_done_and_says_why)
{
	gort_context *ctx = with_cancel(gort_context_background());

	is_open(ctx);
	expect(gort_context_done(ctx) != NULL);
	expect(gort_context_done(ctx) == gort_context_done(ctx));
	gort_context_cancel(ctx);
	is_cancelled(ctx, -ECANCELED, NULL);
	gort_context_cancel(ctx);
	is_cancelled(ctx, -ECANCELED, NULL);
	expect_eq(gort_chan_recv(gort_context_done(ctx), NULL), -EPIPE);
	gort_context_unref(ctx);
}

THREAD_TEST(the_first_cause_wins_and_its_words_are_copied)
{
	gort_context *ctx = with_cancel(gort_context_background());
	gort_context *child = with_cancel(ctx), *own = with_cancel(ctx);
	char words[] = "the disk is full";
	const char *why;

	gort_context_cancel_cause(own, -EIO, "own");
	gort_context_cancel_cause(ctx, -ENOSPC, words);
	memset(words, 'x', sizeof words - 1);
	gort_context_cancel_cause(ctx, -EPIPE, "too late");
	gort_context_cancel(ctx);
	gort_context_cancel_cause(child, -EPIPE, "too late");
	is_cancelled(ctx, -ENOSPC, "the disk is full");
	is_cancelled(child, -ENOSPC, "the disk is full");
	is_cancelled(own, -EIO, "own");
	/* they live as long as the context, also one that did not say them */
	gort_context_cause(child, &why);
	gort_context_unref(ctx);
	expect(strcmp(why, "the disk is full") == 0);
	gort_context_unref(child);
	gort_context_unref(own);
}

THREAD_TEST(a_cause_without_an_error_is_that_of_cancelling)
{
	gort_context *ctx = with_cancel(gort_context_background());

	gort_context_cancel_cause(ctx, 0, "enough");
	is_cancelled(ctx, -ECANCELED, "enough");
	gort_context_unref(ctx);
	ctx = with_cancel(gort_context_background());
	gort_context_cancel_cause(ctx, -EIO, NULL);
	is_cancelled(ctx, -EIO, NULL);
	gort_context_drop(ctx);
}

static char key;

THREAD_TEST(it_reaches_all_descendants_through_value_nodes_too)
{
	gort_context *root = with_cancel(gort_context_todo());
	gort_context *v = gort_context_with_value(root, &key, &key, NULL), *w = gort_context_with_value(v, &v, &key, NULL);
	gort_context *a = with_cancel(w), *b = gort_context_with_value(a, &root, &key, NULL), *c = with_cancel(b);
	gort_context *all[] = { root, v, w, a, b, c };

	for (int i = 0; i < 6; i++)
		is_open(all[i]);
	expect_eq(listed(root), 1);
	gort_context_cancel_cause(root, -EINTR, "all of it");
	for (int i = 0; i < 6; i++)
		is_cancelled(all[i], -EINTR, "all of it");
	/* those above first: the others hold them */
	for (int i = 0; i < 6; i++)
		gort_context_unref(all[i]);
}

THREAD_TEST(a_value_node_has_its_parents_cancellation)
{
	gort_context *root = with_cancel(gort_context_background());
	gort_context *v = gort_context_with_value(root, &key, &key, NULL);
	gort_context *bare = gort_context_with_value(gort_context_background(), &key, &key, NULL);

	expect(gort_context_done(v) == gort_context_done(root));
	expect(gort_context_done(bare) == NULL);
	is_open(bare);
	/* dropping it is no more than giving it up */
	gort_context_drop(v);
	gort_context_drop(bare);
	is_open(root);
	gort_context_drop(root);
}

THREAD_TEST(a_child_that_is_cancelled_leaves_its_parent_alone_and_its_list)
{
	gort_context *root = with_cancel(gort_context_background());
	gort_context *c[5];

	for (int i = 0; i < 5; i++)
		c[i] = with_cancel(root);
	expect_eq(listed(root), 5);
	gort_context_cancel(c[2]);
	is_cancelled(c[2], -ECANCELED, NULL);
	is_open(root);
	is_open(c[1]);
	is_open(c[3]);
	expect_eq(listed(root), 4);
	gort_context_cancel(c[4]);              /* the last that came, and the first */
	gort_context_cancel(c[0]);
	expect_eq(listed(root), 2);
	/* one that was never cancelled leaves it too */
	gort_context_unref(c[1]);
	expect_eq(listed(root), 1);
	gort_context_drop(c[3]);
	expect_eq(listed(root), 0);
	is_open(root);
	gort_context_cancel(root);
	is_cancelled(c[0], -ECANCELED, NULL);
	gort_context_unref(c[0]);
	gort_context_unref(c[2]);
	gort_context_unref(c[4]);
	gort_context_unref(root);
}

/* Who cancels the parent has just taken its children off the list, to go through them, when one is cancelled by itself. */
THREAD_TEST(a_child_that_is_cancelled_stays_on_the_list_of_who_has_taken_it)
{
	gort_context *root = with_cancel(gort_context_background());
	gort_context *c[3], *below[3];
	struct ctx_node *taken, *n;
	int left = 0;

	for (int i = 0; i < 3; i++) {
		c[i] = with_cancel(root);
		below[i] = with_cancel(c[i]);
	}
	gort__lock_lock(&root->node->lock);
	taken = ctx_take(root->node, 3);
	gort__lock_unlock(&root->node->lock);
	for (int i = 0; i < 3; i++) {
		gort_context_cancel(c[i]);
		is_cancelled(below[i], -ECANCELED, NULL);
	}
	for (n = taken; n != NULL; n = taken) {
		taken = n->taken;
		gort_context_unref(&n->ctx);
		left++;
	}
	expect_eq(left, 3);
	for (int i = 0; i < 3; i++) {
		gort_context_unref(c[i]);
		gort_context_unref(below[i]);
	}
	gort_context_drop(root);
}

THREAD_TEST(a_child_of_a_cancelled_parent_is_cancelled)
{
	gort_context *root = with_cancel(gort_context_background()), *child, *timed;

	gort_context_cancel_cause(root, -EIO, "before");
	child = with_cancel(root);
	is_cancelled(child, -EIO, "before");
	timed = gort_context_with_timeout(child, GORT_HOUR);
	is_cancelled(timed, -EIO, "before");
	expect_eq(listed(root), 0);
	gort_context_unref(root);
	gort_context_drop(child);
	gort_context_drop(timed);
}

THREAD_TEST(without_cancel_keeps_values_only)
{
	gort_context *v, *root, *wc, *child, *timed = gort_context_with_timeout(gort_context_background(), GORT_HOUR);

	v = gort_context_with_value(timed, &key, &root, NULL);
	root = with_cancel(v);
	wc = gort_context_without_cancel(root);
	child = with_cancel(wc);
	expect(gort_context_value(wc, &key) == &root);
	expect(gort_context_value(child, &key) == &root);
	expect(gort_context_done(wc) == NULL);
	expect(gort_context_deadline(root, NULL));
	expect(!gort_context_deadline(wc, NULL));
	expect(!gort_context_deadline(child, NULL));
	gort_context_cancel(root);
	is_open(wc);
	is_open(child);
	gort_context_cancel(child);
	is_cancelled(child, -ECANCELED, NULL);
	gort_context_unref(child);
	gort_context_drop(wc);
	gort_context_drop(root);
	gort_context_unref(v);
	gort_context_drop(timed);
}

/* --- ends --- */

static int destroyed;

static void counts(void *value)
{
	__atomic_fetch_add((int *)value, 1, __ATOMIC_SEQ_CST);
}

THREAD_TEST(the_last_reference_cancels_nobody)
{
	gort_context *root = with_cancel(gort_context_background()), *mid = with_cancel(root), *leaf = with_cancel(mid);
	gort_chan *done = gort_chan_ref(gort_context_done(leaf));

	gort_context_unref(mid);
	is_open(leaf);
	gort_context_unref(leaf);
	expect_eq(gort_chan_try_recv(done, NULL), -EAGAIN);
	gort_chan_unref(done);
	expect_eq(listed(root), 0);
	is_open(root);
	gort_context_unref(root);
}

THREAD_TEST(a_child_holds_its_parent)
{
	gort_context *v, *root, *leaf;

	destroyed = 0;
	v = gort_context_with_value(gort_context_background(), &key, &destroyed, counts);
	root = with_cancel(v);
	leaf = with_cancel(root);
	gort_context_unref(v);
	gort_context_ref(root);
	gort_context_unref(root);
	gort_context_unref(root);
	expect_eq(destroyed, 0);
	expect_eq(*(int *)gort_context_value(leaf, &key), 0);
	/* the leaf's is the only one left, and so is the way to its parent */
	gort_context_cancel(root);
	is_cancelled(leaf, -ECANCELED, NULL);
	gort_context_unref(leaf);
	expect_eq(destroyed, 1);
}

THREAD_TEST(null_is_accepted_where_it_is_said_to_be)
{
	expect(gort_context_with_cancel(NULL) == NULL);
	expect(gort_context_with_deadline(NULL, 1) == NULL);
	expect(gort_context_with_timeout(NULL, 1) == NULL);
	expect(gort_context_with_value(NULL, &key, NULL, NULL) == NULL);
	expect(gort_context_without_cancel(NULL) == NULL);
	expect(gort_context_ref(NULL) == NULL);
	gort_context_unref(NULL);
	gort_context_drop(NULL);
	gort_context_hook_free(NULL);
}

/* --- the size of trees --- */

static int depth;
static int finished;

/* On a stack of 16 KiB, where recursion would not get far. */
static void goes_deep(void *arg)
{
	gort_context *root = with_cancel(gort_context_background()), *leaf = gort_context_ref(root);

	destroyed = 0;
	for (int i = 0; i < depth; i++) {
		gort_context *next = i % 3 == 2 ? gort_context_with_value(leaf, &key, &destroyed, counts) : with_cancel(leaf);

		gort_context_unref(leaf);
		leaf = next;
	}
	is_open(leaf);
	gort_context_cancel_cause(root, -EIO, "from far");
	is_cancelled(leaf, -EIO, "from far");
	gort_context_unref(root);
	gort_context_unref(leaf);
	expect_eq(destroyed, depth / 3);
	set(&finished, 1);
}

GO_TEST(a_hundred_thousand_generations)
{
	gort_attr a = GORT_ATTR_INIT;

	depth = (int)test_scale(100000);
	set(&finished, 0);
	/* sanitizers want larger frames */
	a.stack_max = test_sanitized() ? 64 << 10 : 16 << 10;
	expect_eq(gort_go_attr(&a, goes_deep, NULL), 0);
	await_count(&finished, 1);
}

struct waiter {
	gort_context *ctx;
	struct task task;
	int result;
};

static void waits(void *arg)
{
	struct waiter *w = arg;

	task_here(&w->task);
	w->result = gort_chan_recv(gort_context_done(w->ctx), NULL);
	expect_eq(gort_context_err(w->ctx), -ECANCELED);
	task_done(&w->task);
	count_up(&finished);
}

GO_TEST(a_hundred_thousand_children_with_a_waiter_each)
{
	/* ThreadSanitizer knows some 8,000 stacks */
	int n = (int)test_scale(TEST_TSAN ? 20000 : 100000);
	gort_context *root = with_cancel(gort_context_background());
	struct waiter *w = calloc((size_t)n, sizeof *w);

	set(&finished, 0);
	for (int i = 0; i < n; i++) {
		w[i].ctx = with_cancel(root);
		spawn(waits, &w[i]);
	}
	for (int i = 0; i < n; i++)
		await_parked(&w[i].task);
	expect_eq(listed(root), n);
	gort_context_cancel(root);
	for (int i = 0; i < n; i++)
		expect(gort_context_is_done(w[i].ctx));
	expect_eq(listed(root), 0);
	await_count(&finished, n);
	for (int i = 0; i < n; i++) {
		expect_eq(w[i].result, -EPIPE);
		gort_context_drop(w[i].ctx);
	}
	gort_context_drop(root);
	free(w);
}

/* Every waiter of one, in goroutines and threads. */
GO_TEST(all_who_wait_on_one_context_are_woken)
{
	gort_context *ctx = with_cancel(gort_context_background());
	struct waiter w[20];
	pthread_t t[2];

	memset(w, 0, sizeof w);
	for (int i = 0; i < 20; i++) {
		w[i].ctx = ctx;
		if (i < 2)
			t[i] = thread_start(waits, &w[i]);
		else
			spawn(waits, &w[i]);
	}
	for (int i = 0; i < 20; i++)
		await_parked(&w[i].task);
	gort_context_cancel(ctx);
	for (int i = 0; i < 20; i++) {
		await_done(&w[i].task);
		expect_eq(w[i].result, -EPIPE);
	}
	thread_join(t[0]);
	thread_join(t[1]);
	gort_context_unref(ctx);
}

static void selects(void *arg)
{
	struct waiter *w = arg;
	gort_chan *never = gort_chan_new(0, 0);
	gort_case cases[] = { GORT_CASE_RECV(never, NULL), GORT_CASE_RECV(gort_context_done(w->ctx), NULL) };

	task_here(&w->task);
	expect_eq(gort_select(cases, 2), 1);
	w->result = cases[1].result;
	gort_chan_unref(never);
	task_done(&w->task);
}

GO_TEST(a_select_sees_it)
{
	struct waiter w = { .ctx = with_cancel(gort_context_background()) };

	spawn(selects, &w);
	await_parked(&w.task);
	gort_context_cancel(w.ctx);
	await_done(&w.task);
	expect_eq(w.result, -EPIPE);
	gort_context_unref(w.ctx);
}

/* --- misuse --- */

static void cancels(void *ctx)
{
	gort_context_cancel(ctx);
}

static void cancels_with_cause(void *ctx)
{
	gort_context_cancel_cause(ctx, -EIO, "no");
}

static void drops(void *ctx)
{
	gort_context_drop(ctx);
}

static void panics(void (*fn)(void *ctx), gort_context *ctx, const char *words)
{
	gort_panic_info info = { .message = "" };

	expect(gort_try(fn, ctx, &info));
	expect(strcmp(info.message, words) == 0);
}

GO_TEST(cancelling_a_root_panics)
{
	void (*fns[])(void *ctx) = { cancels, cancels_with_cause, drops };

	for (int i = 0; i < 3; i++) {
		panics(fns[i], gort_context_background(), "cancel of context.Background");
		panics(fns[i], gort_context_todo(), "cancel of context.TODO");
	}
}

GO_TEST(so_does_cancelling_what_has_no_cancellation_of_its_own)
{
	gort_context *root = with_cancel(gort_context_background());
	gort_context *v = gort_context_with_value(root, &key, NULL, NULL), *wc = gort_context_without_cancel(root);

	panics(cancels, v, "cancel of context.WithValue");
	panics(cancels_with_cause, wc, "cancel of context.WithoutCancel");
	is_open(root);
	gort_context_unref(v);
	gort_context_unref(wc);
	gort_context_drop(root);
}

static int cancel_background(void)
{
	gort_context_cancel(gort_context_background());
	return 0;
}

static const struct test_child children[] = {
	{ "cancel_background", cancel_background },
	{ NULL, NULL },
};

START_TEST(a_panic_that_nobody_catches_ends_the_process)
{
	test_child_says("cancel_background", NULL, 2, "panic: cancel of context.Background");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "cancel", children);
	test_add(&s, the_roots_are_never_done);
	test_add(&s, cancelling_closes_done_and_says_why);
	test_add(&s, the_first_cause_wins_and_its_words_are_copied);
	test_add(&s, a_cause_without_an_error_is_that_of_cancelling);
	test_add(&s, it_reaches_all_descendants_through_value_nodes_too);
	test_add(&s, a_value_node_has_its_parents_cancellation);
	test_add(&s, a_child_that_is_cancelled_leaves_its_parent_alone_and_its_list);
	test_add(&s, a_child_that_is_cancelled_stays_on_the_list_of_who_has_taken_it);
	test_add(&s, a_child_of_a_cancelled_parent_is_cancelled);
	test_add(&s, without_cancel_keeps_values_only);
	test_add(&s, the_last_reference_cancels_nobody);
	test_add(&s, a_child_holds_its_parent);
	test_add(&s, null_is_accepted_where_it_is_said_to_be);
	test_add(&s, a_hundred_thousand_generations);
	test_add(&s, a_hundred_thousand_children_with_a_waiter_each);
	test_add(&s, all_who_wait_on_one_context_are_woken);
	test_add(&s, a_select_sees_it);
	test_add(&s, cancelling_a_root_panics);
	test_add(&s, so_does_cancelling_what_has_no_cancellation_of_its_own);
	test_add(&s, a_panic_that_nobody_catches_ends_the_process);
	return test_end(&s);
}
