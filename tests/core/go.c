/* SPDX-License-Identifier: MIT */
/* Spawning: go, go_copy, go_attr. */
#include "test.h"

static int n_run;

static void counts(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
	count_up(&n_run);
}

GO_TEST(every_goroutine_runs_once)
{
	int n = (int)test_scale(20000), sum = 0;

	set(&n_run, 0);
	for (int i = 0; i < n; i++)
		spawn(counts, &sum);
	await_count(&n_run, n);
	for (int i = 0; i < 100; i++)
		gort_yield();
	expect_eq(get(&n_run), n);
	expect_eq(__atomic_load_n(&sum, __ATOMIC_RELAXED), n);
}

START_TEST(a_plain_thread_may_spawn_before_any_run)
{
	int sum = 0;

	set(&n_run, 0);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(gort_go(counts, &sum), 0);
	while (get(&n_run) < 1000)
		gort_yield();
	ck_assert_int_eq(__atomic_load_n(&sum, __ATOMIC_RELAXED), 1000);
}
END_TEST

struct tree {
	int depth;
	int *leaves;
};

static void grows(void *arg)
{
	struct tree t = *(struct tree *)arg;

	if (t.depth == 0) {
		count_up(t.leaves);
		return;
	}
	t.depth--;
	expect_eq(gort_go_copy(grows, &t, sizeof t), 0);
	expect_eq(gort_go_copy(grows, &t, sizeof t), 0);
}

GO_TEST(goroutines_spawn_goroutines)
{
	int leaves = 0, depth = test_sanitized() ? 8 : 13;
	struct tree t = { depth, &leaves };

	expect_eq(gort_go_copy(grows, &t, sizeof t), 0);
	await_count(&leaves, 1 << depth);
}

/* --- copies --- */

struct sized {
	size_t size;
	int *good;
};

static void checks_copy(void *arg)
{
	struct sized s;
	const unsigned char *p = arg;
	bool ok = (uintptr_t)arg % 16 == 0;

	memcpy(&s, p, sizeof s);
	for (size_t i = sizeof s; i < s.size; i++)
		ok = ok && p[i] == (unsigned char)(i * 7 + s.size);
	gort_yield();                   /* it is the goroutine's for all its life */
	for (size_t i = sizeof s; i < s.size; i++)
		ok = ok && p[i] == (unsigned char)(i * 7 + s.size);
	if (expect(ok))
		count_up(s.good);
}

GO_TEST(copies_of_any_size_are_private_and_aligned)
{
	static const size_t sizes[] = { 16, 17, 24, 63, 64, 65, 100, 128, 1000, 4096, 100000 };
	int good = 0, n = sizeof sizes / sizeof sizes[0];

	for (int k = 0; k < n; k++) {
		unsigned char *block = malloc(sizes[k]);
		struct sized s = { sizes[k], &good };

		for (size_t i = 0; i < sizes[k]; i++)
			block[i] = (unsigned char)(i * 7 + sizes[k]);
		memcpy(block, &s, sizeof s);
		expect_eq(gort_go_copy(checks_copy, block, sizes[k]), 0);
		memset(block, 0xAA, sizes[k]);
		free(block);
	}
	await_count(&good, n);
}

static void is_null(void *arg)
{
	expect(arg == NULL);
	count_up(&n_run);
}

GO_TEST(a_copy_of_nothing_passes_the_pointer)
{
	set(&n_run, 0);
	expect_eq(gort_go_copy(is_null, NULL, 0), 0);
	await_count(&n_run, 1);
}

GO_TEST(a_copy_from_null_is_refused)
{
	expect_eq(gort_go_copy(is_null, NULL, 1), -EINVAL);
	expect_eq(gort_go_copy(is_null, NULL, 1000), -EINVAL);
}

GO_TEST(a_copy_that_cannot_be_had_is_refused)
{
	static char byte;

	/* no object is so large: refused before the first byte is read */
	expect_eq(gort_go_copy(counts, &byte, (size_t)PTRDIFF_MAX), -ENOMEM);
	expect_eq(gort_go_copy(counts, &byte, SIZE_MAX), -ENOMEM);
}

/* --- attributes --- */

GO_TEST(attributes_are_optional)
{
	gort_attr a = GORT_ATTR_INIT;

	set(&n_run, 0);
	expect_eq(gort_go_attr(NULL, is_null, NULL), 0);
	expect_eq(gort_go_attr(&a, is_null, NULL), 0);
	a.name = "a name of more than thirty-one bytes is cut";
	expect_eq(gort_go_attr(&a, is_null, NULL), 0);
	a.name = "";
	a.stack_max = 1;
	expect_eq(gort_go_attr(&a, is_null, NULL), 0);
	await_count(&n_run, 4);
}

GO_TEST(settings_of_size_0_are_refused)
{
	gort_attr a = GORT_ATTR_INIT;

	a.size = 0;
	expect_eq(gort_go_attr(&a, is_null, NULL), -EINVAL);
}

GO_TEST(settings_of_an_older_program_are_taken)
{
	gort_attr a = GORT_ATTR_INIT;

	/* what lies beyond its size is not looked at */
	set(&n_run, 0);
	a.size = offsetof(gort_attr, stack_max);
	a.stack_max = SIZE_MAX;
	a.arg_size = SIZE_MAX;
	expect_eq(gort_go_attr(&a, is_null, NULL), 0);
	a.size = sizeof a.size;
	a.name = (const char *)1;
	expect_eq(gort_go_attr(&a, is_null, NULL), 0);
	await_count(&n_run, 2);
}

GO_TEST(settings_of_a_newer_program_are_taken_while_zero)
{
	struct {
		gort_attr a;
		char more[37];
	} newer = { .a = GORT_ATTR_INIT };

	set(&n_run, 0);
	newer.a.size = sizeof newer;
	expect_eq(gort_go_attr(&newer.a, is_null, NULL), 0);
	newer.more[36] = 1;
	expect_eq(gort_go_attr(&newer.a, is_null, NULL), -E2BIG);
	newer.more[36] = 0;
	newer.more[0] = 1;
	expect_eq(gort_go_attr(&newer.a, is_null, NULL), -E2BIG);
	await_count(&n_run, 1);
}

GO_TEST(a_stack_beyond_a_tebibyte_is_refused)
{
	gort_attr a = GORT_ATTR_INIT;

	a.stack_max = GORT_STACK_MAX + 1;
	expect_eq(gort_go_attr(&a, is_null, NULL), -EINVAL);
	a.stack_max = SIZE_MAX;
	expect_eq(gort_go_attr(&a, is_null, NULL), -EINVAL);
}

GO_TEST(a_null_argument_cannot_be_copied)
{
	gort_attr a = GORT_ATTR_INIT;

	a.arg_size = 8;
	expect_eq(gort_go_attr(&a, is_null, NULL), -EINVAL);
}

GO_TEST(refused_spawns_leave_no_count)
{
	size_t before = gort_num_goroutine();
	gort_attr a = GORT_ATTR_INIT;
	char byte = 0;

	a.stack_max = SIZE_MAX;
	for (int i = 0; i < 100; i++) {
		gort_go_attr(&a, is_null, NULL);
		gort_go_copy(is_null, &byte, SIZE_MAX);
	}
	/* where tests share a process an earlier one's goroutine may end meanwhile, but a leak would count 200 */
	expect(gort_num_goroutine() <= before);
}

static void copied_on_own_stack(void *arg)
{
	expect_eq(*(int *)arg, 77);
	count_up(&n_run);
}

GO_TEST(a_copy_and_a_stack_of_its_own_go_together)
{
	gort_attr a = GORT_ATTR_INIT;
	int v = 77;

	set(&n_run, 0);
	a.arg_size = sizeof v;
	a.name = "both";
	for (size_t size = 16 << 10; size <= 64 << 20; size *= 4) {
		a.stack_max = size;
		for (int i = 0; i < 20; i++)
			expect_eq(gort_go_attr(&a, copied_on_own_stack, &v), 0);
	}
	await_count(&n_run, 7 * 20);
}

/* --- children --- */

static int go_null(void) { return gort_go(NULL, NULL); }
static int go_copy_null(void) { return gort_go_copy(NULL, "x", 1); }
static int go_attr_null(void) { return gort_go_attr(NULL, NULL, NULL); }

static const struct test_child children[] = {
	{ "go_null", go_null }, { "go_copy_null", go_copy_null }, { "go_attr_null", go_attr_null }, { NULL, NULL },
};

START_TEST(a_null_function_is_fatal)
{
	test_child_says("go_null", NULL, 2, "fatal error: go of nil func value");
	test_child_says("go_copy_null", NULL, 2, "fatal error: go of nil func value");
	test_child_says("go_attr_null", NULL, 2, "fatal error: go of nil func value");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "go", children);
	test_add(&s, every_goroutine_runs_once);
	test_add(&s, a_plain_thread_may_spawn_before_any_run);
	test_add(&s, goroutines_spawn_goroutines);
	test_add(&s, copies_of_any_size_are_private_and_aligned);
	test_add(&s, a_copy_of_nothing_passes_the_pointer);
	test_add(&s, a_copy_from_null_is_refused);
	test_add(&s, a_copy_that_cannot_be_had_is_refused);
	test_add(&s, attributes_are_optional);
	test_add(&s, settings_of_size_0_are_refused);
	test_add(&s, settings_of_an_older_program_are_taken);
	test_add(&s, settings_of_a_newer_program_are_taken_while_zero);
	test_add(&s, a_stack_beyond_a_tebibyte_is_refused);
	test_add(&s, a_null_argument_cannot_be_copied);
	test_add(&s, refused_spawns_leave_no_count);
	test_add(&s, a_copy_and_a_stack_of_its_own_go_together);
	test_add(&s, a_null_function_is_fatal);
	return test_end(&s);
}
