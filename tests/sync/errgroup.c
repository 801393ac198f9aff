/* SPDX-License-Identifier: MIT */
/* The error group. */
#include "test.h"

#include <gort/sync.h>

static int returns(void *arg)
{
	return (int)(intptr_t)arg;
}

GO_TEST(the_struct_has_its_promised_size_and_zero_is_an_empty_group)
{
	gort_errgroup a = { 0 }, b = GORT_ERRGROUP_INIT;

	expect_eq(sizeof(gort_errgroup), 64);
	expect(memcmp(&a, &b, sizeof a) == 0);
	expect_eq(gort_errgroup_wait(&a), 0);
	expect_eq(gort_errgroup_err(&a), 0);
}

GO_TEST(wait_returns_the_first_result_that_is_not_zero)
{
	gort_errgroup eg = GORT_ERRGROUP_INIT;

	for (intptr_t i = 0; i < 10; i++)
		expect_eq(gort_errgroup_go(&eg, returns, (void *)0), 0);
	expect_eq(gort_errgroup_wait(&eg), 0);
	expect_eq(gort_errgroup_go(&eg, returns, (void *)(intptr_t)-EIO), 0);
	expect_eq(gort_errgroup_wait(&eg), -EIO);
	/* and it stays */
	expect_eq(gort_errgroup_go(&eg, returns, (void *)(intptr_t)7), 0);
	expect_eq(gort_errgroup_wait(&eg), -EIO);
	expect_eq(gort_errgroup_err(&eg), -EIO);
}

struct limited {
	gort_errgroup eg;
	int active, most;
};

static int counts_active(void *arg)
{
	struct limited *l = arg;
	int n = count_up(&l->active);
	int most = get(&l->most);

	while (n > most && !__atomic_compare_exchange_n(&l->most, &most, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	gort_yield();
	gort_yield();
	__atomic_sub_fetch(&l->active, 1, __ATOMIC_SEQ_CST);
	return 0;
}

GO_TEST(no_more_than_the_limit_are_active)
{
	struct limited l = { .eg = GORT_ERRGROUP_INIT };

	for (int limit = 1; limit <= 4; limit++) {
		set(&l.most, 0);
		gort_errgroup_set_limit(&l.eg, limit);
		for (int i = 0; i < 100; i++)
			expect_eq(gort_errgroup_go(&l.eg, counts_active, &l), 0);
		expect_eq(gort_errgroup_wait(&l.eg), 0);
		expect(get(&l.most) <= limit);
		expect_eq(get(&l.most) >= 1, true);
	}
	gort_errgroup_set_limit(&l.eg, -1);
	for (int i = 0; i < 100; i++)
		expect_eq(gort_errgroup_go(&l.eg, counts_active, &l), 0);
	expect_eq(gort_errgroup_wait(&l.eg), 0);
}

static int waits_for(void *arg)
{
	await_count(arg, 1);
	return 0;
}

static void changes_limit(void *arg)
{
	gort_errgroup_set_limit(arg, 3);
}

GO_TEST(changing_the_limit_of_active_ones_panics)
{
	gort_errgroup eg = GORT_ERRGROUP_INIT;
	gort_panic_info info = { .message = "" };
	int go = 0;

	expect_eq(gort_errgroup_go(&eg, waits_for, &go), 0);
	expect_eq(gort_errgroup_go(&eg, waits_for, &go), 0);
	expect(gort_try(changes_limit, &eg, &info));
	expect(strcmp(info.message, "errgroup: modify limit while 2 goroutines in the group are still active") == 0);
	set(&go, 1);
	expect_eq(gort_errgroup_wait(&eg), 0);
	gort_errgroup_set_limit(&eg, 3);
}

static int panics(void *arg)
{
	gort_panic("in a group");
}

static int exits(void *arg)
{
	gort_goexit();
}

static void ignores(const gort_panic_info *info, void *ctx)
{
	count_up((int *)ctx);
}

GO_TEST(one_that_does_not_return_counts_as_cancelled)
{
	static int told;

	set(&told, 0);
	gort_set_panic_handler(ignores, &told);
	for (int i = 0; i < 2; i++) {
		gort_errgroup eg = GORT_ERRGROUP_INIT;

		expect_eq(gort_errgroup_go(&eg, i == 0 ? panics : exits, NULL), 0);
		expect_eq(gort_errgroup_wait(&eg), -ECANCELED);
	}
	await_count(&told, 1);
	gort_set_panic_handler(NULL, NULL);
}

struct stopper {
	gort_errgroup eg;
};

static int works_until_error(void *arg)
{
	struct stopper *s = arg;

	while (gort_errgroup_err(&s->eg) == 0)
		gort_yield();
	return 0;
}

GO_TEST(those_at_work_see_the_error_of_another)
{
	struct stopper s = { .eg = GORT_ERRGROUP_INIT };

	for (int i = 0; i < 5; i++)
		expect_eq(gort_errgroup_go(&s.eg, works_until_error, &s), 0);
	expect_eq(gort_errgroup_go(&s.eg, returns, (void *)(intptr_t)-EPIPE), 0);
	expect_eq(gort_errgroup_wait(&s.eg), -EPIPE);
}

GO_TEST(it_may_be_freed_once_wait_has_returned)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		gort_errgroup *eg = calloc(1, sizeof *eg);

		if (i % 2 == 0)
			gort_errgroup_set_limit(eg, 1 + (int)(i / 2 % 2));
		for (int k = 0; k < 3; k++)
			expect_eq(gort_errgroup_go(eg, returns, (void *)(intptr_t)k), 0);
		expect(gort_errgroup_wait(eg) != 0);
		memset(eg, 0xFF, sizeof *eg);
		free(eg);
	}
}

static int null_fn(void)
{
	gort_errgroup eg = GORT_ERRGROUP_INIT;

	return gort_errgroup_go(&eg, NULL, NULL);
}

static const struct test_child children[] = {
	{ "null_fn", null_fn }, { NULL, NULL },
};

START_TEST(go_of_null_is_fatal)
{
	test_child_says("null_fn", NULL, 2, "fatal error: go of nil func value");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "errgroup", children);
	test_add(&s, the_struct_has_its_promised_size_and_zero_is_an_empty_group);
	test_add(&s, wait_returns_the_first_result_that_is_not_zero);
	test_add(&s, no_more_than_the_limit_are_active);
	test_add(&s, changing_the_limit_of_active_ones_panics);
	test_add(&s, one_that_does_not_return_counts_as_cancelled);
	test_add(&s, those_at_work_see_the_error_of_another);
	test_add(&s, it_may_be_freed_once_wait_has_returned);
	test_add(&s, go_of_null_is_fatal);
	return test_end(&s);
}
