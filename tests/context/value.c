/* SPDX-License-Identifier: MIT */
/* Values. */
#include "test.h"

#include <gort/context.h>

static char red, green, blue;

static gort_context *with(gort_context *parent, const void *key, void *value)
{
	gort_context *ctx = gort_context_with_value(parent, key, value, NULL);

	expect(ctx != NULL);
	return ctx;
}

THREAD_TEST(the_nearest_value_of_a_key_is_found)
{
	int one, two, three;
	gort_context *a = with(gort_context_background(), &red, &one);
	gort_context *b = with(a, &green, &two);
	gort_context *c = gort_context_with_cancel(b);
	gort_context *d = with(c, &red, &three);
	gort_context *e = gort_context_with_timeout(d, GORT_HOUR);
	gort_context *all[] = { a, b, c, d, e };

	expect(gort_context_value(a, &red) == &one);
	expect(gort_context_value(c, &red) == &one);
	expect(gort_context_value(d, &red) == &three);
	expect(gort_context_value(e, &red) == &three);
	expect(gort_context_value(e, &green) == &two);
	expect(gort_context_value(a, &green) == NULL);
	expect(gort_context_value(e, &blue) == NULL);
	expect(gort_context_value(e, NULL) == NULL);
	for (int i = 4; i >= 0; i--)
		gort_context_drop(all[i]);
}

THREAD_TEST(a_null_value_hides_those_above)
{
	gort_context *a = with(gort_context_background(), &red, &red), *b = with(a, &red, NULL);

	expect(gort_context_value(b, &red) == NULL);
	gort_context_unref(a);
	gort_context_unref(b);
}

static int destroyed;

static void counts(void *value)
{
	expect(value == &red);
	count_up(&destroyed);
}

THREAD_TEST(a_value_is_destroyed_once_with_its_context)
{
	gort_context *v, *c, *w;

	set(&destroyed, 0);
	v = gort_context_with_value(gort_context_background(), &red, &red, counts);
	c = gort_context_with_cancel(v);
	w = gort_context_with_value(c, &green, &red, counts);
	gort_context_unref(v);
	gort_context_cancel(c);
	gort_context_unref(c);
	expect_eq(get(&destroyed), 0);
	gort_context_ref(w);
	gort_context_unref(w);
	expect_eq(get(&destroyed), 0);
	gort_context_unref(w);
	expect_eq(get(&destroyed), 2);
}

static gort_context *other;

static void uses_contexts(void *value)
{
	gort_context *c = gort_context_with_cancel(other);

	gort_sleep(GORT_MICROSECOND);           /* it may block */
	gort_context_cancel(other);
	expect(gort_context_is_done(c));
	gort_context_drop(c);
	count_up(&destroyed);
}

GO_TEST(what_destroys_a_value_may_use_contexts_and_block)
{
	gort_context *v = gort_context_with_value(gort_context_background(), &red, NULL, uses_contexts);
	gort_context *c = gort_context_with_cancel(v);

	set(&destroyed, 0);
	other = gort_context_with_cancel(gort_context_background());
	gort_context_unref(v);
	gort_context_drop(c);
	expect_eq(get(&destroyed), 1);
	expect(gort_context_is_done(other));
	gort_context_unref(other);
}

static void without_key(void *ctx)
{
	gort_context_with_value(ctx, NULL, &red, NULL);
}

GO_TEST(a_null_key_panics)
{
	gort_panic_info info;

	expect(gort_try(without_key, gort_context_background(), &info));
	expect(strcmp(info.message, "nil key") == 0);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "value", NULL);
	test_add(&s, the_nearest_value_of_a_key_is_found);
	test_add(&s, a_null_value_hides_those_above);
	test_add(&s, a_value_is_destroyed_once_with_its_context);
	test_add(&s, what_destroys_a_value_may_use_contexts_and_block);
	test_add(&s, a_null_key_panics);
	return test_end(&s);
}
