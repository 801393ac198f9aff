/* SPDX-License-Identifier: MIT */
/* Memory running out: NULL from whoever makes something, and nothing lost. */
#include "interpose.h"
#include "test.h"

#include <gort/context.h>
#include <malloc.h>

static char key;
static int destroyed;

static void counts(void *value)
{
	count_up((int *)value);
}

static gort_context *root;

static void *make_cancel(void)
{
	return gort_context_with_cancel(root);
}

static void *make_deadline(void)
{
	return gort_context_with_timeout(root, GORT_HOUR);
}

static void *make_past(void)
{
	return gort_context_with_timeout(root, -1);
}

static void *make_value(void)
{
	return gort_context_with_value(root, &key, &destroyed, counts);
}

static void *make_without(void)
{
	return gort_context_without_cancel(root);
}

static void *make_hook(void)
{
	return gort_context_after_func(root, counts, &destroyed);
}

static void end_context(void *ctx)
{
	gort_context_unref(ctx);
}

static void end_hook(void *h)
{
	gort_context_hook_stop(h);
	gort_context_hook_free(h);
}

static const struct {
	void *(*make)(void);
	void (*end)(void *made);
	bool value;
} makers[] = {
	{ make_cancel, end_context, false },
	{ make_deadline, end_context, false },
	{ make_past, end_context, false },
	{ make_value, end_context, true },
	{ make_without, end_context, false },
	{ make_hook, end_hook, false },
};

/* Of the whole process: the runtime's threads have their own in it, and one that begins takes more. */
static size_t in_use(void)
{
	return mallinfo2().uordblks;
}

/* Tries to make one with all allocations from the n-th on failing. */
static void *make_failing(size_t maker, int n)
{
	void *made;

	interpose_fail(INTERPOSE_MALLOC, n, true);
	made = makers[maker].make();
	interpose_fail(INTERPOSE_MALLOC, 0, false);
	return made;
}

/*
 * Of one that was not made nothing is left, and its value is the caller's still. What is lost is lost each time; what one of
 * the runtime's threads takes for itself, it takes once. It may also have met the failure in our stead: then one is made.
 */
static bool leaves_nothing(size_t maker, int n)
{
	for (int tries = 0; tries < 100; tries++) {
		size_t before = in_use();

		for (int k = 0; k < 10; k++) {
			void *made = make_failing(maker, n);

			expect_eq(get(&destroyed), 0);
			if (made != NULL)
				makers[maker].end(made);
			set(&destroyed, 0);
		}
		if (in_use() <= before)
			return true;
	}
	return false;
}

/* The n-th allocation fails, for all n until none is met. */
GO_TEST(each_allocation_that_fails_gives_null_and_leaves_nothing_behind)
{
	for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
		int failed = 0, elsewhere = 0;

		root = gort_context_with_cancel(gort_context_background());
		/* once for what is allocated once: the scheduler's own */
		makers[i].end(makers[i].make());
		set(&destroyed, 0);
		for (int n = 1;; n++) {
			int was = interpose_failed(INTERPOSE_MALLOC);
			void *made = make_failing(i, n);

			expect_eq(get(&destroyed), 0);
			if (made != NULL && interpose_failed(INTERPOSE_MALLOC) == was) {
				makers[i].end(made);
				break;
			}
			if (made != NULL) {
				/* one of the runtime's threads has met the failure */
				makers[i].end(made);
				set(&destroyed, 0);
				n--;
				if (!expect(++elsewhere < 100))
					break;
				continue;
			}
			expect(leaves_nothing(i, n));
			failed++;
		}
		expect(failed > 0);
		expect_eq(get(&destroyed), makers[i].value);
		gort_context_drop(root);
	}
}

/* The words are lost then, and nothing else. */
GO_TEST(cancelling_works_without_memory)
{
	gort_context *child;
	const char *why = "";

	root = gort_context_with_cancel(gort_context_background());
	child = gort_context_with_timeout(root, GORT_HOUR);
	interpose_fail(INTERPOSE_MALLOC, 1, true);
	gort_context_cancel_cause(root, -EIO, "words");
	interpose_fail(INTERPOSE_MALLOC, 0, false);
	expect_eq(gort_context_cause(child, &why), -EIO);
	expect(why == NULL);
	expect(gort_context_is_done(root));
	gort_context_unref(child);
	gort_context_unref(root);
}

/* Timers and goroutines come out of mappings: until one of those fails, and all of them are given back. */
GO_TEST(mappings_that_fail_give_null)
{
	void **made = calloc(1000000, sizeof *made);

	for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
		int n = 0;

		if (makers[i].make != make_deadline && makers[i].make != make_hook)
			continue;
		root = gort_context_with_cancel(gort_context_background());
		interpose_fail(INTERPOSE_MMAP, 1, true);
		while (n < 1000000 && (made[n] = makers[i].make()) != NULL)
			n++;
		interpose_fail(INTERPOSE_MMAP, 0, false);
		expect(n < 1000000);
		made[n] = makers[i].make();
		expect(made[n] != NULL);
		for (; n >= 0; n--)
			makers[i].end(made[n]);
		gort_context_drop(root);
	}
	free(made);
}

static int parked_go, parked;

static void parks(void *arg)
{
	gort_chan_recv(arg, NULL);
	count_up(&parked);
}

/* Hooks have their goroutines, and a deadline with thousands of descendants does without one. */
GO_TEST(no_more_goroutines_can_be_had_when_the_deadline_comes)
{
	int n = 3000, ran = 0;
	gort_chan *c = gort_chan_new(0, 0), *done;
	gort_context **ctx = calloc((size_t)n, sizeof *ctx);
	gort_context_hook *h;

	root = gort_context_with_timeout(gort_context_background(), 20 * GORT_MILLISECOND);
	done = gort_context_done(root);
	for (int i = 0; i < n; i++)
		ctx[i] = gort_context_with_cancel(root);
	h = gort_context_after_func(root, counts, &ran);
	interpose_fail(INTERPOSE_MMAP, 1, true);
	parked_go = 0;
	set(&parked, 0);
	while (gort_go(parks, c) == 0)
		parked_go++;
	gort_chan_recv(done, NULL);
	for (int i = 0; i < n; i++)
		gort_chan_recv(gort_context_done(ctx[i]), NULL);
	await_count(&ran, 1);
	interpose_fail(INTERPOSE_MMAP, 0, false);
	gort_chan_close(c);
	await_count(&parked, parked_go);
	for (int i = 0; i < n; i++) {
		expect_eq(gort_context_err(ctx[i]), -ETIMEDOUT);
		gort_context_unref(ctx[i]);
	}
	gort_context_hook_free(h);
	gort_context_unref(root);
	gort_chan_unref(c);
	free(ctx);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "memory", NULL);
	if (test_valgrind()) {
		test_skip("each_allocation_that_fails_gives_null_and_leaves_nothing_behind, cancelling_works_without_memory",
			"valgrind puts its own malloc before the one that fails");
	} else {
		test_add(&s, each_allocation_that_fails_gives_null_and_leaves_nothing_behind);
		test_add(&s, cancelling_works_without_memory);
	}
	test_add(&s, mappings_that_fail_give_null);
	test_add(&s, no_more_goroutines_can_be_had_when_the_deadline_comes);
	return test_end(&s);
}
