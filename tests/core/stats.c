/* SPDX-License-Identifier: MIT */
/* The numbers about the scheduler. */
#include "test.h"

#include <gort/chan.h>

#include <string.h>

static gort_stats now(void)
{
	gort_stats s;

	memset(&s, 0xff, sizeof s);
	expect_eq(gort_stats_get(&s, sizeof s), 0);
	return s;
}

static int stop, running, done;

static void waits(void *arg)
{
	count_up(&running);
	gort_chan_recv(arg, NULL);
	count_up(&done);
}

GO_TEST(counts_are_those_of_what_was_done)
{
	gort_chan *c = gort_chan_new(0, 0);
	gort_stats a = now(), b;

	set(&running, 0);
	set(&done, 0);
	for (int i = 0; i < 100; i++)
		spawn(waits, c);
	await_count(&running, 100);
	do {
		gort_yield();
		b = now();
		/* a goroutine says that it waits a moment before it is counted as parked */
	} while (b.waiting < 100 || b.parks < a.parks + 100);
	expect(b.goroutines >= a.goroutines + 100);
	expect(b.spawns >= a.spawns + 100);
	expect(b.switches >= a.switches + 100);
	expect(b.stacks >= 100 && b.stack_slots >= b.stacks && b.stack_bytes >= b.stack_slots * 64 * 1024);
	expect_eq(b.procs, gort_maxprocs());
	expect(b.idle_procs < b.procs && b.threads >= 1 && b.idle_threads < b.threads);
	gort_chan_close(c);
	await_count(&done, 100);
	while (now().goroutines > a.goroutines)
		gort_yield();
	gort_chan_unref(c);
}

static void loops(void *arg)
{
	count_up(&running);
	/* relaxed, as in sysmon.c */
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		;
	count_up(&done);
}

GO_TEST(a_P_taken_from_a_loop_is_a_preemption_and_its_thread_is_detached)
{
	int was = gort_set_maxprocs(1);
	gort_stats a = now();

	set(&stop, 0);
	set(&running, 0);
	set(&done, 0);
	spawn(loops, NULL);
	await_count(&running, 1);
	while (now().detached_threads == 0)
		gort_yield();
	expect(now().preemptions > a.preemptions);
	set(&stop, 1);
	await_count(&done, 1);
	while (now().detached_threads > 0)
		gort_yield();
	gort_set_maxprocs(was);
}

THREAD_TEST(sizes_of_older_and_newer_programs_are_fine)
{
	struct { gort_stats s; uint64_t more[4]; } newer;
	uint64_t older[2] = { 77, 77 };

	memset(&newer, 0xff, sizeof newer);
	expect_eq(gort_stats_get(&newer.s, sizeof newer), 0);
	for (int i = 0; i < 4; i++)
		expect_eq(newer.more[i], 0);
	expect_eq(gort_stats_get((gort_stats *)(void *)older, sizeof older[0]), 0);
	expect_eq(older[1], 77);
	expect_eq(gort_stats_get(NULL, sizeof(gort_stats)), -EINVAL);
	expect_eq(gort_stats_get(&newer.s, 0), -EINVAL);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stats", NULL);
	test_add(&s, counts_are_those_of_what_was_done);
	test_add(&s, a_P_taken_from_a_loop_is_a_preemption_and_its_thread_is_detached);
	test_add(&s, sizes_of_older_and_newer_programs_are_fine);
	return test_end(&s);
}
