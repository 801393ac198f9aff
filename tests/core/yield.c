/* SPDX-License-Identifier: MIT */
/* Yielding and fairness: who runs next, and that nobody starves anybody. */
#include "test.h"

#include <gort/chan.h>

struct turn {
	int *order;
	int *next;
	int me;
	int *done;
};

static void takes_turns(void *arg)
{
	struct turn *t = arg;

	for (int i = 0; i < 3; i++) {
		t->order[__atomic_fetch_add(t->next, 1, __ATOMIC_SEQ_CST)] = t->me;
		gort_yield();
	}
	count_up(t->done);
}

static int rounds_main(void *arg)
{
	int order[15], next = 0, done = 0;
	struct turn t[5];

	for (int i = 0; i < 5; i++) {
		t[i] = (struct turn){ order, &next, i, &done };
		spawn(takes_turns, &t[i]);
	}
	while (get(&done) < 5)
		gort_yield();
	/* in each round of five everybody has exactly one turn */
	for (int r = 0; r < 3; r++) {
		int seen = 0;

		for (int i = 0; i < 5; i++)
			seen |= 1 << order[r * 5 + i];
		expect_eq(seen, 31);
	}
	return 0;
}

static int rounds(void)
{
	return gort_run(rounds_main, NULL);
}

/* --- more than a P's ring holds --- */

#define CROWD 1000
#define TURNS 100

static int crowd_turns, crowd_first, crowd_done;

static void one_of_a_crowd(void *arg)
{
	(void)arg;
	for (int i = 0; i < TURNS; i++) {
		crowd_turns++;
		gort_yield();
	}
	if (crowd_done++ == 0)
		crowd_first = crowd_turns;
}

static int crowd_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < CROWD; i++)
		spawn(one_of_a_crowd, NULL);
	while (crowd_done < CROWD)
		gort_yield();
	/* whoever is through first has not had his turns before the others had most of theirs */
	expect(crowd_first > CROWD * TURNS * 3 / 4);
	return 0;
}

static int crowd(void)
{
	return gort_run(crowd_main, NULL);
}

static gort_chan *to_many;
static int woken, order_off;

static void waits_for_one(void *arg)
{
	int v, off;

	(void)arg;
	count_up(&crowd_done);
	expect_eq(gort_chan_recv(to_many, &v), 0);
	off = woken > v ? woken - v : v - woken;
	woken++;
	/* the last one was made ready by a sender that then parked: it goes first */
	if (v != 2 * CROWD - 1 && off > order_off)
		order_off = off;
}

static int queue_main(void *arg)
{
	(void)arg;
	to_many = gort_chan_new(sizeof(int), 0);
	for (int i = 0; i < 2 * CROWD; i++)
		spawn(waits_for_one, NULL);
	await_count(&crowd_done, 2 * CROWD);
	gort_yield();
	for (int i = 0; i < 2 * CROWD; i++)
		gort_chan_send(to_many, &i);
	while (woken < 2 * CROWD)
		gort_yield();
	/* but for the few that are taken out of turn so that nobody waits for ever */
	expect(order_off < CROWD / 2);
	gort_chan_unref(to_many);
	return 0;
}

static int queue(void)
{
	return gort_run(queue_main, NULL);
}

static const struct test_child children[] = { { "rounds", rounds }, { "crowd", crowd }, { "queue", queue }, { NULL, NULL } };

START_TEST(a_crowd_larger_than_the_ring_takes_turns)
{
	test_child_says("crowd", test_one_at_a_time, 0, "");
}
END_TEST

START_TEST(those_woken_run_in_their_order_however_many)
{
	test_child_says("queue", test_one_at_a_time, 0, "");
}
END_TEST

START_TEST(on_one_P_a_yield_lets_all_others_run_first)
{
	test_child_says("rounds", test_one_at_a_time, 0, "");
}
END_TEST

GO_TEST(a_lone_yield_returns)
{
	for (int i = 0; i < 1000; i++)
		gort_yield();
	expect(gort_id() != 0);
}

static int stop, hogs_in, hogs_out;

static void hogs(void *arg)
{
	count_up(&hogs_in);
	while (!get(&stop))
		;
	count_up(&hogs_out);
}

static int light_done;

static void light(void *arg)
{
	for (int i = 0; i < 100; i++)
		gort_yield();
	count_up(&light_done);
}

GO_TEST(tight_loops_do_not_stop_others_on_one_P)
{
	int was = gort_set_maxprocs(1);

	set(&stop, 0);
	set(&hogs_in, 0);
	set(&hogs_out, 0);
	set(&light_done, 0);
	for (int i = 0; i < 3; i++)
		spawn(hogs, NULL);
	for (int i = 0; i < 10; i++)
		spawn(light, NULL);
	/* all hogs run, and all light ones to their end, while the hogs go on */
	await_count(&hogs_in, 3);
	await_count(&light_done, 10);
	expect_eq(get(&hogs_out), 0);
	set(&stop, 1);
	await_count(&hogs_out, 3);
	gort_set_maxprocs(was);
}

static void sleeps_a_little(void *arg)
{
	gort_sleep(GORT_MILLISECOND);
	count_up(&light_done);
}

GO_TEST(tight_loops_do_not_stop_timers_on_one_P)
{
	int was = gort_set_maxprocs(1);

	set(&stop, 0);
	set(&hogs_in, 0);
	set(&hogs_out, 0);
	set(&light_done, 0);
	for (int i = 0; i < 10; i++)
		spawn(sleeps_a_little, NULL);
	spawn(hogs, NULL);
	await_count(&hogs_in, 1);
	await_count(&light_done, 10);
	expect_eq(get(&hogs_out), 0);
	set(&stop, 1);
	await_count(&hogs_out, 1);
	gort_set_maxprocs(was);
}

struct pair {
	gort_chan *to, *back;
	int rounds;
};

static void pings(void *arg)
{
	struct pair *p = arg;
	int v = 0;

	while (!get(&stop)) {
		gort_chan_send(p->to, &v);
		gort_chan_recv(p->back, &v);
		count_up(&p->rounds);
	}
	gort_chan_close(p->to);
	count_up(&hogs_out);
}

static void pongs(void *arg)
{
	struct pair *p = arg;
	int v;

	while (gort_chan_recv(p->to, &v) == 0)
		gort_chan_send(p->back, &v);
	count_up(&hogs_out);
}

static void play(struct pair *p)
{
	*p = (struct pair){ gort_chan_new(sizeof(int), 0), gort_chan_new(sizeof(int), 0), 0 };
	spawn(pings, p);
	spawn(pongs, p);
	await_count(&p->rounds, 10);
}

static void end_play(struct pair *p)
{
	set(&stop, 1);
	await_count(&hogs_out, 2);
	gort_chan_unref(p->to);
	gort_chan_unref(p->back);
}

GO_TEST(two_at_ping_pong_do_not_starve_the_others_on_one_P)
{
	int was = gort_set_maxprocs(1);
	struct pair p;

	set(&stop, 0);
	set(&hogs_out, 0);
	set(&light_done, 0);
	play(&p);
	for (int i = 0; i < 10; i++)
		spawn(light, NULL);
	await_count(&light_done, 10);
	end_play(&p);
	gort_set_maxprocs(was);
}

GO_TEST(two_at_ping_pong_do_not_starve_timers_on_one_P)
{
	int was = gort_set_maxprocs(1);
	struct pair p;

	set(&stop, 0);
	set(&hogs_out, 0);
	set(&light_done, 0);
	play(&p);
	for (int i = 0; i < 10; i++)
		spawn(sleeps_a_little, NULL);
	await_count(&light_done, 10);
	gort_sleep(GORT_MICROSECOND);
	end_play(&p);
	gort_set_maxprocs(was);
}

static int gate[2];

static void meets(void *arg)
{
	intptr_t me = (intptr_t)arg;

	/* without yielding: both must be running at the same time, or this never ends */
	set(&gate[me], 1);
	while (!get(&gate[1 - me]))
		;
	count_up(&light_done);
}

GO_TEST(parallel_again_after_all_have_slept)
{
	int was = gort_set_maxprocs(3);

	for (int round = 0; round < 20; round++) {
		set(&gate[0], 0);
		set(&gate[1], 0);
		set(&light_done, 0);
		gort_sleep(2 * GORT_MILLISECOND);
		spawn(meets, (void *)0);
		spawn(meets, (void *)1);
		await_count(&light_done, 2);
	}
	gort_set_maxprocs(was);
}

static void spawner(void *arg)
{
	spawn(light, NULL);
	/* the new one is this P's next, and this goroutine never gives the P away by itself */
	while (get(&light_done) == 0)
		;
	count_up(&hogs_out);
}

GO_TEST(one_spawned_by_a_tight_loop_runs)
{
	for (int procs = 1; procs <= 3; procs++) {
		int was = gort_set_maxprocs(procs);

		set(&light_done, 0);
		set(&hogs_out, 0);
		spawn(spawner, NULL);
		await_count(&hogs_out, 1);
		gort_set_maxprocs(was);
	}
}

static int crowd_in;

static void stands(void *arg)
{
	count_up(&crowd_in);
	gort_chan_recv(arg, NULL);
	count_up(&light_done);
}

static void yields(void *arg)
{
	(void)arg;
	while (!get(&stop))
		gort_yield();
	count_up(&light_done);
}

static uint64_t switches(void)
{
	gort_stats s;

	gort_stats_get(&s, sizeof s);
	return s.switches;
}

/*
 * Its P is taken from it, since another waits; so what it starts goes through the global queue. Its thread may be off the
 * processor for long before it queues up: so some of several times it must not have waited for the half of them.
 */
static void starts_many(void *arg)
{
	gort_chan *c = arg;
	int n = (int)test_scale_min(20000, 2000), all = 0;
	gort_stats s;
	uint64_t before, was;

	do {
		expect(all < 20 * n);
		await_count(&crowd_in, all);
		gort_stats_get(&s, sizeof s);
		for (was = s.preemptions; s.preemptions == was;)
			gort_stats_get(&s, sizeof s);
		for (int i = 0; i < n; i++)
			spawn(stands, c);
		all += n;
		before = switches();
		gort_yield();
	} while (switches() - before >= (uint64_t)n / 2);
	set(&stop, 1);
	await_count(&crowd_in, all);
	gort_chan_close(c);
	await_count(&light_done, all + 1);
	count_up(&hogs_out);
}

GO_TEST(who_lost_its_P_does_not_wait_behind_all_it_has_started)
{
	int was = gort_set_maxprocs(1);
	gort_chan *c = gort_chan_new(0, 0);

	set(&stop, 0);
	set(&hogs_out, 0);
	set(&light_done, 0);
	set(&crowd_in, 0);
	spawn(yields, NULL);
	spawn(starts_many, c);
	await_count(&hogs_out, 1);
	gort_chan_unref(c);
	gort_set_maxprocs(was);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "yield", children);
	test_add(&s, on_one_P_a_yield_lets_all_others_run_first);
	test_add(&s, a_crowd_larger_than_the_ring_takes_turns);
	test_add(&s, those_woken_run_in_their_order_however_many);
	test_add(&s, a_lone_yield_returns);
	test_add(&s, tight_loops_do_not_stop_others_on_one_P);
	test_add(&s, tight_loops_do_not_stop_timers_on_one_P);
	test_add(&s, two_at_ping_pong_do_not_starve_the_others_on_one_P);
	test_add(&s, two_at_ping_pong_do_not_starve_timers_on_one_P);
	test_add(&s, parallel_again_after_all_have_slept);
	test_add(&s, one_spawned_by_a_tight_loop_runs);
	test_add(&s, who_lost_its_P_does_not_wait_behind_all_it_has_started);
	return test_end(&s);
}
