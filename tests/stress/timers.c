/* SPDX-License-Identifier: MIT */
/* The storm on timers: sleeps and deadlines of all lengths, most called off, while Ps come and go with their heaps. */
#include "storm.h"

#include <gort/chan.h>

static int done, stop;
static int rounds;

static void sleeps(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);

	for (int i = 0; i < rounds; i++) {
		gort_duration d = (gort_duration)(test_random(&r) % 300000);
		gort_time before = gort_now();

		gort_sleep(d);
		expect(gort_now() - before >= d);
	}
	count_up(&done);
}

struct duel {
	gort_chan *c;
	int sent, timed_out, received;
};

/* Deadlines an hour away, each called off by a value: the heaps fill with dead entries. */
static void calls_off(void *arg)
{
	struct duel *d = arg;
	int v;

	for (int i = 0; i < rounds * 20; i++) {
		expect_eq(gort_chan_recv_until(d->c, &v, gort_deadline(GORT_HOUR)), 0);
		expect_eq(v, i);
	}
	count_up(&done);
}

static void feeds(void *arg)
{
	struct duel *d = arg;

	for (int i = 0; i < rounds * 20; i++)
		expect_eq(gort_chan_send_until(d->c, &i, gort_deadline(GORT_HOUR)), 0);
	count_up(&done);
}

/* Deadlines and values about as fast as each other: both win now and then. */
static void duels(void *arg)
{
	struct duel *d = arg;
	uint64_t r = test_random_init((uintptr_t)arg);
	int v;

	while (get(&d->sent) == 0) {
		gort_duration span = (gort_duration)(test_random(&r) % 60000);
		gort_time until = gort_deadline(span);
		int res = gort_chan_recv_until(d->c, &v, until);

		if (res == -ETIMEDOUT) {
			expect(gort_now() >= until);
			d->timed_out++;
		} else {
			expect_eq(res, 0);
			d->received++;
		}
	}
	count_up(&done);
}

static void sends_now_and_then(void *arg)
{
	struct duel *d = arg;
	uint64_t r = test_random_init((uintptr_t)arg + 1);
	int n = 0, v = 1;

	for (int i = 0; i < rounds; i++) {
		n += gort_chan_send_until(d->c, &v, gort_deadline((gort_duration)(test_random(&r) % 60000))) == 0;
		if (i % 4 == 0)
			gort_sleep((gort_duration)(test_random(&r) % 60000));
	}
	set(&d->sent, n + 1);
	count_up(&done);
}

START_TEST(timer_storm)
{
	struct changer ch = { &stop, 6, 0 };
	int was = gort_maxprocs(), n = 0;
	struct duel call[4], duel[4];
	pthread_t t[2], changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	rounds = (int)test_scale_min(400, 20);
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < 100; i++, n++)
		ck_assert_int_eq(gort_go(sleeps, (void *)i), 0);
	for (int i = 0; i < 4; i++, n += 4) {
		call[i] = (struct duel){ gort_chan_new(sizeof(int), 0), 0, 0, 0 };
		duel[i] = (struct duel){ gort_chan_new(sizeof(int), 0), 0, 0, 0 };
		ck_assert_int_eq(gort_go(calls_off, &call[i]), 0);
		ck_assert_int_eq(gort_go(feeds, &call[i]), 0);
		if (i < 2)
			t[i] = thread_start(duels, &duel[i]);
		else
			ck_assert_int_eq(gort_go(duels, &duel[i]), 0);
		ck_assert_int_eq(gort_go(sends_now_and_then, &duel[i]), 0);
	}
	await_count(&done, n);
	set(&stop, 1);
	thread_join(changer);
	for (int i = 0; i < 2; i++)
		thread_join(t[i]);
	for (int i = 0; i < 4; i++) {
		/* each value that was sent arrived, whoever's deadline was near */
		expect_eq(duel[i].received, duel[i].sent - 1);
		gort_chan_unref(call[i].c);
		gort_chan_unref(duel[i].c);
	}
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-timers", NULL);
	test_add(&s, timer_storm);
	return test_end(&s);
}
