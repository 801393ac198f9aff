/* SPDX-License-Identifier: MIT */
/* What the runtime does not do: system calls while idle, allocation while waiting, waking a thread for one goroutine. */
#include "interpose.h"
#include "test.h"

#include <gort/chan.h>
#include <gort/sync.h>

static struct task parked[6];
static gort_chan *never;

static void parks(void *arg)
{
	intptr_t i = (intptr_t)arg;

	task_here(&parked[i]);
	switch (i) {
	case 0: gort_chan_recv(never, NULL); break;
	case 1: gort_sleep(1000 * GORT_HOUR); break;
	case 2: gort_sleep(GORT_FOREVER); break;
	case 3: gort_select(NULL, 0); break;
	case 4: gort_chan_recv_until(never, NULL, gort_deadline(1000 * GORT_HOUR)); break;
	default: gort_park(NULL, NULL, "test"); break;
	}
}

static int some_done;

static void works(void *arg)
{
	for (int i = 0; i < 100; i++) {
		gort_yield();
		if (i % 10 == 0)
			gort_sleep(10 * GORT_MICROSECOND);
	}
	count_up(&some_done);
}

/* Settled: a whole window without a switch. A busy machine delays that, and nothing bounds it but the alarm. */
static int settles(void)
{
	const gort_duration window = 3 * GORT_SECOND;

	for (int i = 0; i < 20; i++) {
		long before = test_others_switches(), after;

		gort_sleep(window);             /* a plain thread's: clock_nanosleep */
		after = test_others_switches();
		fprintf(stderr, "# %ld switches in 3 s\n", after - before);
		if (after == before)
			return 0;
	}
	return 1;
}

static int ends[2];

static void reads(void *arg)
{
	char b;

	count_up(&some_done);
	(void)!read(ends[0], &b, 1);
	if (arg != NULL) {
		count_up(&some_done);
		(void)!read(ends[0], &b, 1);
	}
	gort_yield();
	count_up(&some_done);
}

/*
 * A goroutine sits in a read that nobody announced, on the only P, and others wait for it: the program is at rest all the
 * same. When the read returns the scheduler is back.
 */
static int blocked(void)
{
	int r;

	gort_set_maxprocs(1);
	if (pipe(ends) != 0)
		return 2;
	never = gort_chan_new(0, 0);
	spawn(parks, NULL);
	await_parked(&parked[0]);
	spawn(reads, &ends);
	await_count(&some_done, 1);
	r = settles();
	/* it makes itself runnable and blocks again, with the monitor asleep in between */
	if (write(ends[1], "x", 1) != 1)
		return 3;
	await_count(&some_done, 2);
	r |= settles();
	spawn(reads, NULL);             /* from a plain thread, while the only P's holder is in the kernel */
	await_count(&some_done, 3);
	if (write(ends[1], "xy", 2) != 2)
		return 4;
	await_count(&some_done, 5);
	return r;
}

static int idle(void)
{
	gort_set_maxprocs(4);
	never = gort_chan_new(0, 0);
	for (int i = 0; i < 100; i++)
		spawn(works, NULL);
	for (intptr_t i = 0; i < 6; i++) {
		spawn(parks, (void *)i);
		await_parked(&parked[i]);
	}
	await_count(&some_done, 100);
	return settles();
}

/* --- allocation --- */

struct duo {
	gort_chan *a, *b;
	gort_mutex m;
	gort_waitgroup wg;
	int rounds;
	int done;
};

static void one_side(void *arg)
{
	struct duo *d = arg;
	int v = 1;
	gort_case cs[] = { GORT_CASE_SEND(d->a, &v), GORT_CASE_RECV(d->b, &v) };

	for (int i = 0; i < d->rounds; i++) {
		gort_chan_send(d->a, &v);
		gort_chan_recv(d->b, &v);
		gort_select(cs, 1);
		gort_chan_send_until(d->a, &v, gort_deadline(GORT_HOUR));
		gort_mutex_lock(&d->m);
		gort_yield();
		gort_mutex_unlock(&d->m);
		gort_sleep(GORT_MICROSECOND);
		gort_chan_recv_until(d->b, &v, gort_deadline(GORT_HOUR));
		gort_waitgroup_done(&d->wg);
		gort_chan_recv(d->b, &v);
	}
	count_up(&d->done);
}

static void other_side(void *arg)
{
	struct duo *d = arg;
	int v = 2;

	for (int i = 0; i < d->rounds; i++) {
		gort_case cs[] = { GORT_CASE_RECV(d->a, &v), GORT_CASE_RECV(NULL, NULL) };

		gort_waitgroup_add(&d->wg, 1);
		gort_chan_recv(d->a, &v);
		gort_chan_send(d->b, &v);
		gort_select_until(cs, 2, gort_deadline(GORT_HOUR));
		gort_chan_recv(d->a, &v);
		gort_mutex_lock(&d->m);
		gort_yield();
		gort_mutex_unlock(&d->m);
		gort_chan_send(d->b, &v);
		gort_waitgroup_wait(&d->wg);
		gort_chan_send(d->b, &v);
	}
	count_up(&d->done);
}

static void play(struct duo *d, int rounds)
{
	d->rounds = rounds;
	d->done = 0;
	spawn(one_side, d);
	spawn(other_side, d);
	await_count(&d->done, 2);
}

static int allocates_nothing_main(void *arg)
{
	struct duo d = { .a = gort_chan_new(sizeof(int), 0), .b = gort_chan_new(sizeof(int), 0) };
	long before, after = 0;

	/* the timer heaps get their first memory in the first rounds */
	for (int i = 0; i < 50; i++)
		play(&d, 20);
	/* a heap may grow once more where many deadlines lie dead: the second or third time nothing may be left to grow */
	for (int i = 0; i < 5; i++) {
		before = interpose_calls(INTERPOSE_MALLOC);
		play(&d, 500);
		after = interpose_calls(INTERPOSE_MALLOC) - before;
		fprintf(stderr, "# %ld allocations\n", after);
		if (after == 0)
			return 0;
	}
	return 1;
}

static int allocates_nothing(void)
{
	return gort_run(allocates_nothing_main, NULL);
}

/* --- wakes --- */

static int met;

/* On two threads at once, so that from then on there is a second one to be woken. */
static void meets(void *arg)
{
	count_up(&met);
	while (get(&met) < 2)
		;
}

static void waits(void *arg)
{
	task_here(arg);
	gort_park(NULL, NULL, "test");
	task_done(arg);
}

/* How many threads the caller wakes or starts to make the first n of t ready, all other threads being asleep. */
static long wakes_for(struct task *t, int n)
{
	long wakes;

	memset(t, 0, (size_t)n * sizeof *t);
	for (int i = 0; i < n; i++) {
		spawn(waits, &t[i]);
		await_parked(&t[i]);
	}
	/* the second P is idle then, and nobody looks for work: who wants help has to wake somebody */
	while (!test_others_sleep())
		;
	wakes = interpose_wakes() + interpose_calls(INTERPOSE_THREAD);
	for (int i = 0; i < n; i++)
		gort_ready(t[i].g);
	wakes = interpose_wakes() + interpose_calls(INTERPOSE_THREAD) - wakes;
	for (int i = 0; i < n; i++)
		await_done(&t[i]);
	return wakes;
}

static int wakes_nobody_main(void *arg)
{
	struct task t[2];

	spawn(meets, NULL);
	spawn(meets, NULL);
	await_count(&met, 2);
	/* that a wake is seen at all: two are more than a lone one, sooner or later also where they were calm before */
	while (wakes_for(t, 2) == 0)
		;
	for (long i = 0; i < test_scale_min(200, 20); i++)
		expect_eq(wakes_for(t, 1), 0);
	return 0;
}

static int wakes_nobody(void)
{
	return gort_run(wakes_nobody_main, NULL);
}

static const struct test_child children[] = {
	{ "idle", idle }, { "blocked", blocked }, { "allocates_nothing", allocates_nothing }, { "wakes_nobody", wakes_nobody },
	{ NULL, NULL },
};

START_TEST(an_idle_program_makes_no_system_calls)
{
	test_child_says("idle", NULL, 0, "");
}
END_TEST

START_TEST(a_program_at_rest_behind_a_blocked_thread_makes_no_system_calls)
{
	test_child_says("blocked", NULL, 0, "");
}
END_TEST

START_TEST(blocking_operations_allocate_nothing)
{
	test_child_says("allocates_nothing", NULL, 0, "");
}
END_TEST

START_TEST(making_one_goroutine_ready_wakes_no_thread)
{
	/* a P is idle, and none is taken away: what is made ready stays where it is */
	static const char *const env[] = { "GOMAXPROCS=2", "GORT_DEBUG=preempt=off", NULL };

	test_child_says("wakes_nobody", env, 0, "");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "quiet", children);
	test_add(&s, an_idle_program_makes_no_system_calls);
	test_add(&s, a_program_at_rest_behind_a_blocked_thread_makes_no_system_calls);
	test_add(&s, making_one_goroutine_ready_wakes_no_thread);
	if (test_valgrind())
		test_skip("blocking_operations_allocate_nothing", "valgrind puts its own malloc before the one that counts");
	else
		test_add(&s, blocking_operations_allocate_nothing);
	return test_end(&s);
}
