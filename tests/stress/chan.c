/* SPDX-License-Identifier: MIT */
/*
 * The storm on channels: many producers and consumers over channels of several capacities, by plain calls, by select, with
 * deadlines and try forms, from goroutines and threads, and a close at the end. Each value arrives exactly once.
 */
#include "storm.h"

#include <gort/chan.h>

#define CHANS 4
#define PRODUCERS 6
#define CONSUMERS 6

static struct {
	gort_chan *c[CHANS];
	unsigned char *seen;    /* how often each value arrived; atomic */
	int each;               /* values of a producer */
	int done;
	int received;
	int stop;
} st;

static void arrived(int v)
{
	if (expect(v >= 0 && v < PRODUCERS * st.each)) {
		expect_eq(__atomic_fetch_add(&st.seen[v], 1, __ATOMIC_RELAXED), 0);
		count_up(&st.received);
	}
}

static void produces(void *arg)
{
	intptr_t me = (intptr_t)arg;
	uint64_t r = test_random_init((uint64_t)me);

	for (int i = 0; i < st.each; i++) {
		int v = (int)me * st.each + i, k = (int)(test_random(&r) % CHANS);
		gort_case cs[CHANS];

		switch (test_random(&r) % 6) {
		case 0:
			gort_chan_send(st.c[k], &v);
			break;
		case 1:
			while (gort_chan_try_send(st.c[k], &v) != 0)
				gort_yield();
			break;
		case 2:
			while (gort_chan_send_until(st.c[k], &v, gort_deadline((gort_duration)(test_random(&r) % 20000))) != 0)
				;
			break;
		case 3:
		case 4:
			for (int j = 0; j < CHANS; j++)
				cs[j] = (gort_case)GORT_CASE_SEND(st.c[(j + k) % CHANS], &v);
			if (test_random(&r) % 2) {
				gort_select(cs, CHANS);
			} else {
				while (gort_select_until(cs, CHANS, gort_deadline((gort_duration)(test_random(&r) % 20000))) < 0)
					;
			}
			break;
		default:
			for (int j = 0; j < CHANS; j++)
				cs[j] = (gort_case)GORT_CASE_SEND(j % 2 ? st.c[(j + k) % CHANS] : NULL, &v);
			while (gort_select_try(cs, CHANS) < 0)
				gort_yield();
		}
	}
	count_up(&st.done);
}

/* True: a value or a time-out; false: closed. */
static bool receives_one(uint64_t *r, gort_chan *own)
{
	int k = (int)(test_random(r) % CHANS), v[CHANS + 1], res, n = CHANS;
	gort_case cs[CHANS + 1];

	switch (test_random(r) % 5) {
	case 0:
		/* alone on one channel only with a deadline: its producers may all have gone elsewhere */
		res = gort_chan_recv_until(st.c[k], v, gort_deadline((gort_duration)(test_random(r) % 50000)));
		break;
	case 1:
		res = gort_chan_try_recv(st.c[k], v);
		break;
	default:
		for (int j = 0; j < CHANS; j++)
			cs[j] = (gort_case)GORT_CASE_RECV(st.c[(j + k) % CHANS], &v[j]);
		/* a channel on which nothing ever comes, twice */
		cs[CHANS] = (gort_case)GORT_CASE_RECV(own, &v[CHANS]);
		n = test_random(r) % 2 ? CHANS + 1 : CHANS;
		if (test_random(r) % 2)
			k = gort_select(cs, (size_t)n);
		else
			k = gort_select_until(cs, (size_t)n, gort_deadline((gort_duration)(test_random(r) % 50000)));
		if (k < 0) {
			expect_eq(k, -ETIMEDOUT);
			return true;
		}
		expect(k < CHANS);
		res = cs[k].result;
		v[0] = v[k];
	}
	if (res == 0)
		arrived(v[0]);
	return res != -EPIPE;
}

static void consumes(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg + 50);
	gort_chan *own = gort_chan_new(sizeof(int), 0);

	while (receives_one(&r, own))
		;
	gort_chan_unref(own);
	count_up(&st.done);
}

START_TEST(channel_storm)
{
	static const size_t caps[CHANS] = { 0, 0, 1, 7 };
	struct changer ch = { &st.stop, 4, 0 };
	int was = gort_maxprocs();
	pthread_t t[4], changer;

	(void)_i;
	memset(&st, 0, sizeof st);
	st.each = (int)test_scale_min(4000, 100);
	st.seen = calloc((size_t)(PRODUCERS * st.each), 1);
	for (int i = 0; i < CHANS; i++)
		st.c[i] = gort_chan_new(sizeof(int), caps[i]);
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < PRODUCERS; i++) {
		if (i < 2)
			t[i] = thread_start(produces, (void *)i);
		else
			ck_assert_int_eq(gort_go(produces, (void *)i), 0);
	}
	for (intptr_t i = 0; i < CONSUMERS; i++) {
		if (i < 2)
			t[2 + i] = thread_start(consumes, (void *)i);
		else
			ck_assert_int_eq(gort_go(consumes, (void *)i), 0);
	}
	await_count(&st.done, PRODUCERS);
	/* what the buffers hold is still to come, then closed */
	for (int i = 0; i < CHANS; i++)
		gort_chan_close(st.c[i]);
	await_count(&st.done, PRODUCERS + CONSUMERS);
	set(&st.stop, 1);
	thread_join(changer);
	for (int i = 0; i < 4; i++)
		thread_join(t[i]);
	/* a consumer ends at the first closed channel it meets: others may hold a rest */
	for (int i = 0; i < CHANS; i++) {
		int v;

		while (gort_chan_try_recv(st.c[i], &v) == 0)
			arrived(v);
	}
	expect_eq(st.received, PRODUCERS * st.each);
	for (int i = 0; i < PRODUCERS * st.each; i++)
		expect_eq(st.seen[i], 1);
	for (int i = 0; i < CHANS; i++)
		gort_chan_unref(st.c[i]);
	free(st.seen);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

/* A channel that lives for a few operations: references, closes and wake-ups race its end. ASan and the allocator watch. */
static int short_done;

static void short_sender(void *arg)
{
	gort_chan *c = arg;

	for (int i = 0; i < 3; i++)
		gort_chan_send(c, &i);
	gort_chan_sender_done(c);
	gort_chan_unref(c);
}

static void short_receiver(void *arg)
{
	gort_chan *c = arg;
	int v, n = 0;

	while (gort_chan_recv(c, &v) == 0)
		n++;
	gort_chan_unref(c);
	__atomic_fetch_add(&short_done, n + 1000, __ATOMIC_SEQ_CST);
}

START_TEST(short_lived_channel_storm)
{
	int n = (int)test_scale_min(5000, 100);

	(void)_i;
	set(&short_done, 0);
	for (int i = 0; i < n; i++) {
		gort_chan *c = gort_chan_new(sizeof(int), (size_t)(i % 3));

		gort_chan_add_sender(c, 2);
		ck_assert_int_eq(gort_go(short_receiver, gort_chan_ref(c)), 0);
		ck_assert_int_eq(gort_go(short_receiver, gort_chan_ref(c)), 0);
		ck_assert_int_eq(gort_go(short_sender, gort_chan_ref(c)), 0);
		ck_assert_int_eq(gort_go(short_sender, c), 0);
	}
	await_count(&short_done, n * 2006);
	ck_assert_int_eq(get(&short_done), n * 2006);
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-chan", NULL);
	test_add(&s, channel_storm);
	test_add(&s, short_lived_channel_storm);
	return test_end(&s);
}
