/* SPDX-License-Identifier: MIT */
/* The number of Ps: at start, up and down at run time. */
#include "test.h"


THREAD_TEST(setting_returns_the_old_value_and_reads_below_one)
{
	int was = gort_maxprocs();

	expect(was >= 1);
	expect_eq(gort_set_maxprocs(0), was);
	expect_eq(gort_set_maxprocs(-5), was);
	expect_eq(gort_set_maxprocs(INT32_MIN), was);
	expect_eq(gort_maxprocs(), was);
	expect_eq(gort_set_maxprocs(7), was);
	expect_eq(gort_maxprocs(), 7);
	expect_eq(gort_set_maxprocs(1), 7);
	expect_eq(gort_maxprocs(), 1);
	expect_eq(gort_set_maxprocs(was), 1);
}

GO_TEST(more_than_the_most_count_as_the_most)
{
	int was = gort_set_maxprocs(INT32_MAX);

	expect_eq(gort_maxprocs(), 1024);
	expect_eq(gort_set_maxprocs(was), 1024);
	expect_eq(gort_maxprocs(), was);
}

static int inside, most, done, stop;

/* Without a call into the library in between, so that only a P's holder can be here. */
static void overlaps(void *arg)
{
	for (int i = 0; i < 300; i++) {
		int now = count_up(&inside), seen = get(&most);

		while (now > seen && !__atomic_compare_exchange_n(&most, &seen, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		for (volatile int k = 0; k < 100; k++)
			;
		__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
		gort_yield();
	}
	count_up(&done);
}

static int one_at_a_time_main(void *arg)
{
	for (int i = 0; i < 10; i++)
		spawn(overlaps, NULL);
	await_count(&done, 10);
	expect_eq(get(&most), 1);
	return 0;
}

static int one_at_a_time(void)
{
	return gort_run(one_at_a_time_main, NULL);
}

static const struct test_child children[] = { { "one_at_a_time", one_at_a_time }, { NULL, NULL } };

START_TEST(one_P_runs_one_at_a_time)
{
	test_child_says("one_at_a_time", test_one_at_a_time, 0, "");
}
END_TEST

static int gate;

static void meets(void *arg)
{
	count_up(&gate);
	while (get(&gate) < 4)
		;
	count_up(&done);
}

GO_TEST(more_Ps_take_effect_at_once)
{
	int was = gort_set_maxprocs(1);

	set(&gate, 0);
	set(&done, 0);
	for (int i = 0; i < 4; i++)
		spawn(meets, NULL);
	gort_set_maxprocs(5);
	await_count(&done, 4);
	gort_set_maxprocs(was);
}

static void computes(void *arg)
{
	while (!get(&stop))
		;
	count_up(&done);
}

GO_TEST(fewer_Ps_while_all_compute)
{
	int was = gort_set_maxprocs(4);

	set(&stop, 0);
	set(&done, 0);
	for (int i = 0; i < 4; i++)
		spawn(computes, NULL);
	gort_yield();
	expect_eq(gort_set_maxprocs(1), 4);
	expect_eq(gort_maxprocs(), 1);
	set(&stop, 1);
	await_count(&done, 4);
	gort_set_maxprocs(was);
}

struct work {
	int n;
	int out;
	int slept;
};

static void leaf(void *arg)
{
	struct work *w = arg;

	gort_yield();
	count_up(&w->out);
}

static void branch(void *arg)
{
	struct work *w = arg;

	for (int i = 0; i < w->n; i++) {
		spawn(leaf, w);
		if (i % 16 == 0)
			gort_yield();
	}
	count_up(&w->slept);
}

static void sleeper(void *arg)
{
	struct work *w = arg;

	for (int i = 0; i < 20; i++)
		gort_sleep((i % 5) * 200 * GORT_MICROSECOND + 1);
	count_up(&w->slept);
}

GO_TEST(up_and_down_under_spawns_and_sleeps_loses_nothing)
{
	struct work w = { .n = (int)test_scale(2000) };
	int was = gort_maxprocs();
	uint64_t r = test_random_init(1);

	for (int i = 0; i < 10; i++) {
		spawn(branch, &w);
		spawn(sleeper, &w);
	}
	while (get(&w.out) < 10 * w.n || get(&w.slept) < 20) {
		gort_set_maxprocs(1 + (int)(test_random(&r) % 8));
		gort_yield();
	}
	gort_set_maxprocs(was);
	expect_eq(get(&w.out), 10 * w.n);
}

static void changes(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);

	for (long i = 0; i < test_scale_min(200, 20); i++)
		gort_set_maxprocs(1 + (int)(test_random(&r) % 6));
	count_up(&done);
}

GO_TEST(changes_from_goroutines_and_threads_at_once)
{
	int was = gort_maxprocs();
	pthread_t t[3];

	set(&done, 0);
	for (intptr_t i = 0; i < 3; i++) {
		spawn(changes, (void *)i);
		t[i] = thread_start(changes, (void *)(i + 3));
	}
	await_count(&done, 6);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	expect(gort_maxprocs() >= 1 && gort_maxprocs() <= 6);
	gort_set_maxprocs(was);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "maxprocs", children);
	test_add(&s, setting_returns_the_old_value_and_reads_below_one);
	test_add(&s, more_than_the_most_count_as_the_most);
	test_add(&s, one_P_runs_one_at_a_time);
	test_add(&s, more_Ps_take_effect_at_once);
	test_add(&s, fewer_Ps_while_all_compute);
	test_add(&s, up_and_down_under_spawns_and_sleeps_loses_nothing);
	test_add(&s, changes_from_goroutines_and_threads_at_once);
	return test_end(&s);
}
