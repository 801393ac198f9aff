/* SPDX-License-Identifier: MIT */
/* Sleeping: timers of goroutines and of threads. */
#include "test.h"

static void check_sleep(gort_duration d)
{
	gort_time before = gort_now();

	gort_sleep(d);
	expect(gort_now() - before >= d);
}

GO_TEST(a_sleep_is_never_early)
{
	for (int i = 0; i < 20; i++) {
		check_sleep(1);
		check_sleep(50 * GORT_MICROSECOND);
		check_sleep(999 * GORT_MICROSECOND);
		check_sleep(3 * GORT_MILLISECOND);
	}
}

THREAD_TEST(a_plain_threads_sleep_is_never_early)
{
	for (int i = 0; i < 10; i++) {
		check_sleep(1);
		check_sleep(50 * GORT_MICROSECOND);
		check_sleep(3 * GORT_MILLISECOND);
	}
}

GO_TEST(a_sleep_of_0_or_less_returns_at_once)
{
	gort_time before = gort_now();

	for (int i = 0; i < 1000; i++) {
		gort_sleep(0);
		gort_sleep(-1);
		gort_sleep(INT64_MIN);
	}
	/* no one of them may take the hour that a wrong sign would give */
	expect(gort_now() - before < GORT_HOUR);
}

static int ran;

static void runs(void *arg)
{
	set(&ran, 1);
}

GO_TEST(a_sleep_of_0_lets_others_run)
{
	int was = gort_set_maxprocs(1);

	set(&ran, 0);
	spawn(runs, NULL);
	for (int i = 0; i < 100 && !get(&ran); i++)
		gort_sleep(0);
	expect(get(&ran));
	gort_set_maxprocs(was);
}

static struct task forever[4];

static void sleeps_forever(void *arg)
{
	static const gort_duration d[] = { GORT_FOREVER, GORT_FOREVER - 1, INT64_MAX / 2, 292 * 365 * 24 * GORT_HOUR };
	intptr_t i = (intptr_t)arg;

	task_here(&forever[i]);
	gort_sleep(d[i]);
	task_done(&forever[i]);
}

GO_TEST(the_longest_sleeps_overflow_nothing)
{
	memset(forever, 0, sizeof forever);
	for (intptr_t i = 0; i < 4; i++)
		spawn(sleeps_forever, (void *)i);
	for (int i = 0; i < 4; i++)
		await_parked(&forever[i]);
	/* others' timers go on beside them */
	for (int i = 0; i < 20; i++)
		gort_sleep(100 * GORT_MICROSECOND);
	for (int i = 0; i < 4; i++)
		expect(!get(&forever[i].done));
}

/* --- order: one goroutine at a time, so that what each notes is the order in which they were woken --- */

struct timed {
	struct task task;
	gort_time until;
	int order;
};

static int next_order;

static void parks_until(void *arg)
{
	struct timed *t = arg;

	task_here(&t->task);
	expect_eq(gort_park_until(NULL, NULL, "test", t->until), -ETIMEDOUT);
	t->order = next_order++;
	task_done(&t->task);
}

/* times[i] is when the i-th one created shall wake, in ms; 0 when the order was right. */
static int wake_order(struct timed *t, int n, int (*ms)(int i))
{
	for (int64_t lead = 100 * GORT_MILLISECOND;; lead *= 2) {
		gort_time base = gort_deadline(lead);
		bool in_time;

		memset(t, 0, (size_t)n * sizeof *t);
		for (int i = 0; i < n; i++) {
			t[i].until = base + ms(i) * GORT_MILLISECOND;
			spawn(parks_until, &t[i]);
			await_parked(&t[i].task);
		}
		/* too slow a machine: some were made after their time, so once more with more of it */
		in_time = gort_now() < base;
		for (int i = 0; i < n; i++)
			await_done(&t[i].task);
		if (in_time)
			break;
	}
	for (int i = 0; i < n; i++) {
		for (int k = 0; k < i; k++)
			expect((t[k].until <= t[i].until) == (t[k].order < t[i].order));
	}
	return 0;
}

static int tangled(int i) { return i * 17 % 50; }
static int the_same(int i) { return 0; }

static int order_by_time_main(void *arg)
{
	static struct timed t[50];

	return wake_order(t, 50, tangled);
}

static int order_by_creation_main(void *arg)
{
	static struct timed t[100];

	return wake_order(t, 100, the_same);
}

static int order_by_time(void) { return gort_run(order_by_time_main, NULL); }
static int order_by_creation(void) { return gort_run(order_by_creation_main, NULL); }

static const struct test_child children[] = {
	{ "order_by_time", order_by_time }, { "order_by_creation", order_by_creation }, { NULL, NULL },
};

START_TEST(sleepers_wake_in_the_order_of_their_times)
{
	test_child_says("order_by_time", test_one_at_a_time, 0, "");
}
END_TEST

START_TEST(timers_of_the_same_instant_go_off_in_order_of_creation)
{
	test_child_says("order_by_creation", test_one_at_a_time, 0, "");
}
END_TEST

static void naps(void *arg)
{
	gort_sleep((gort_duration)(intptr_t)arg);
	count_up(&ran);
}

GO_TEST(none_of_a_multitude_of_timers_is_missed)
{
	int n = (int)test_scale(TEST_TSAN ? 20000 : 100000);

	set(&ran, 0);
	for (int i = 0; i < n; i++)
		spawn(naps, (void *)(intptr_t)(i % 7 == 0 ? 0 : (i * 7919L % 20) * GORT_MILLISECOND + 1));
	await_count(&ran, n);
	expect_eq(get(&ran), n);
}

static void naps_short(void *arg)
{
	for (int i = 0; i < 200; i++)
		gort_sleep(1);
	count_up(&ran);
}

GO_TEST(the_shortest_sleeps_from_many_goroutines_all_end)
{
	set(&ran, 0);
	for (int i = 0; i < 50; i++)
		spawn(naps_short, NULL);
	await_count(&ran, 50);
}

/* Sub-millisecond sleeps are microseconds late, not a millisecond: the best of many shows what the clock can do. */
GO_TEST(a_short_sleep_is_not_rounded_up_to_a_millisecond)
{
	gort_duration best = GORT_HOUR;

	for (int i = 0; i < 500 && best > 600 * GORT_MICROSECOND; i++) {
		gort_time before = gort_now();

		gort_sleep(50 * GORT_MICROSECOND);
		if (gort_now() - before < best)
			best = gort_now() - before;
	}
	expect(best < 600 * GORT_MICROSECOND);
}

static int hog_stop, hog_out;

static void hogs(void *arg)
{
	while (!get(&hog_stop))
		;
	count_up(&hog_out);
}

GO_TEST(sleepers_of_a_busy_P_are_woken)
{
	int was = gort_set_maxprocs(2);

	set(&hog_stop, 0);
	set(&hog_out, 0);
	set(&ran, 0);
	for (int i = 0; i < 20; i++)
		spawn(naps, (void *)(intptr_t)(i * 100 * GORT_MICROSECOND + 1));
	spawn(hogs, NULL);
	spawn(hogs, NULL);
	await_count(&ran, 20);
	expect_eq(get(&hog_out), 0);
	set(&hog_stop, 1);
	await_count(&hog_out, 2);
	gort_set_maxprocs(was);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "sleep", children);
	test_add(&s, a_sleep_is_never_early);
	test_add(&s, a_plain_threads_sleep_is_never_early);
	test_add(&s, a_sleep_of_0_or_less_returns_at_once);
	test_add(&s, a_sleep_of_0_lets_others_run);
	test_add(&s, the_longest_sleeps_overflow_nothing);
	test_add(&s, sleepers_wake_in_the_order_of_their_times);
	test_add(&s, timers_of_the_same_instant_go_off_in_order_of_creation);
	test_add(&s, none_of_a_multitude_of_timers_is_missed);
	test_add(&s, the_shortest_sleeps_from_many_goroutines_all_end);
	test_add(&s, a_short_sleep_is_not_rounded_up_to_a_millisecond);
	test_add(&s, sleepers_of_a_busy_P_are_woken);
	return test_end(&s);
}
