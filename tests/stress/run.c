/* SPDX-License-Identifier: MIT */
/* The storm on gort_run, nested and from threads, while Ps are taken away at every moment. */
#include "storm.h"

static int done, stop;
static int rounds;

static int three_deep(void *arg)
{
	intptr_t depth = (intptr_t)arg;

	if (depth == 0)
		return 1;
	return 1 + gort_run(three_deep, (void *)(depth - 1));
}

static void nests(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);

	for (int i = 0; i < rounds; i++) {
		intptr_t depth = (intptr_t)(test_random(&r) % 4);

		expect_eq(gort_run(three_deep, (void *)depth), depth + 1);
	}
	count_up(&done);
}

static void hogs(void *arg)
{
	uint64_t r = test_random_init(99);

	while (!get(&stop)) {
		compute(&r, 2000);
		gort_yield();
	}
	count_up(&done);
}

START_TEST(run_storm)
{
	struct changer ch = { &stop, 4, 0 };
	int was = gort_maxprocs();
	pthread_t t[4], changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	rounds = (int)test_scale_min(2000, 50);
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < 12; i++)
		ck_assert_int_eq(gort_go(nests, (void *)i), 0);
	for (intptr_t i = 0; i < 4; i++)
		t[i] = thread_start(nests, (void *)(i + 20));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(gort_go(hogs, NULL), 0);
	await_count(&done, 16);
	set(&stop, 1);
	for (int i = 0; i < 4; i++)
		thread_join(t[i]);
	thread_join(changer);
	await_count(&done, 18);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-run", NULL);
	test_add(&s, run_storm);
	return test_end(&s);
}
