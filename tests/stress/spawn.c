/* SPDX-License-Identifier: MIT */
/* The storm on spawning: trees and droves, small and large arguments, stacks of all kinds, from everywhere. */
#include "storm.h"

static int done, stop, sum;

struct node {
	int depth;
	uint64_t seed;
	unsigned char pad[40];  /* with it an argument that is carried in the descriptor; more takes a block */
};

static void grows(void *arg)
{
	struct node n = *(struct node *)arg;
	unsigned char big[300];
	gort_attr a = GORT_ATTR_INIT;

	if (n.depth-- == 0) {
		count_up(&sum);
		return;
	}
	for (int i = 0; i < 2; i++) {
		test_random(&n.seed);
		switch (n.seed % 4) {
		case 0:
			memcpy(big, &n, sizeof n);
			expect_eq(gort_go_copy(grows, big, sizeof big), 0);
			break;
		case 1:
			a.arg_size = sizeof n;
			a.name = "grows";
			/* each with a mapping of its own costs system calls: few of them */
			a.stack_max = n.depth < 3 ? 0 : (size_t)1 << 20;
			expect_eq(gort_go_attr(&a, grows, &n), 0);
			break;
		default:
			expect_eq(gort_go_copy(grows, &n, sizeof n), 0);
		}
		if (n.seed % 32 == 0)
			gort_yield();
	}
}

static void plants(void *arg)
{
	int depth = test_sanitized() ? 6 : 10;

	for (int i = 0; i < 4; i++) {
		struct node n = { .depth = depth, .seed = test_random_init((uintptr_t)arg * 4 + (unsigned)i) };

		expect_eq(gort_go_copy(grows, &n, sizeof n), 0);
	}
	count_up(&done);
}

START_TEST(spawn_storm)
{
	struct changer ch = { &stop, 6, 0 };
	int was = gort_maxprocs(), leaves = test_sanitized() ? 1 << 6 : 1 << 10;
	size_t before = gort_num_goroutine();
	pthread_t t[3], changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	set(&sum, 0);
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < 3; i++)
		t[i] = thread_start(plants, (void *)i);
	for (intptr_t i = 0; i < 3; i++)
		ck_assert_int_eq(gort_go(plants, (void *)(i + 3)), 0);
	await_count(&done, 6);
	await_count(&sum, 6 * 4 * leaves);
	set(&stop, 1);
	thread_join(changer);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	while (gort_num_goroutine() > before)
		gort_yield();
	expect_eq(get(&sum), 6 * 4 * leaves);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

/* --- droves that block half-way, so that stacks go round between Ps and pool --- */

static int gate;

static void blocks_then_ends(void *arg)
{
	count_up(&sum);
	while (!get(&gate))
		gort_sleep(100 * GORT_MICROSECOND);
	count_up(&done);
}

START_TEST(drove_storm)
{
	int n = (int)test_scale_min(TEST_TSAN ? 3000 : 5000, 50);

	(void)_i;
	for (int round = 0; round < 4; round++) {
		set(&gate, 0);
		set(&sum, 0);
		set(&done, 0);
		for (int i = 0; i < n; i++)
			ck_assert_int_eq(gort_go(blocks_then_ends, NULL), 0);
		await_count(&sum, n);
		set(&gate, 1);
		await_count(&done, n);
	}
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-spawn", NULL);
	test_add(&s, spawn_storm);
	test_add(&s, drove_storm);
	return test_end(&s);
}
