/* SPDX-License-Identifier: MIT */
/*
 * The storm on biased locks: channels are made on one P and handed to goroutines on others, to plain threads and to pinned
 * goroutines, who use them alone, in selects with others' channels, and free them at once; hogs keep Ps that channels are
 * biased to in the user's code, and maxprocs goes up and down. Every value sent is received, once.
 */
#include "storm.h"

#include <gort/chan.h>

#define SERVERS 6

struct parcel {
	gort_chan *c;
	int n;                  /* values to come through it */
};

static struct {
	gort_chan *mail;        /* of struct parcel */
	long sent, received;    /* sums; atomic */
	int done, stop;
	int rounds;
} st;

/* Takes channels from the mail, empties them, and gives up the last reference but the sender's. */
static void serves(void *arg)
{
	uint64_t r = test_random_init(1000 + (uint64_t)(intptr_t)arg);
	struct parcel p, q;

	while (gort_chan_recv(st.mail, &p) == 0) {
		bool both = test_random(&r) % 4 == 0 && gort_chan_try_recv(st.mail, &q) == 0;
		int left = p.n + (both ? q.n : 0);
		uint64_t a = 0, b = 0;

		if (test_random(&r) % 16 == 0)
			compute(&r, (unsigned)(test_random(&r) % 3000));
		if (!both) {
			for (; left > 0; left--) {
				expect_eq(gort_chan_recv(p.c, &a), 0);
				__atomic_fetch_add(&st.received, (long)a, __ATOMIC_RELAXED);
			}
		} else {
			gort_case cases[] = { GORT_CASE_RECV(p.c, &a), GORT_CASE_RECV(q.c, &b) };
			int n[] = { p.n, q.n };

			while (left > 0) {
				int i = gort_select(cases, 2);

				__atomic_fetch_add(&st.received, (long)(i == 0 ? a : b), __ATOMIC_RELAXED);
				left--;
				if (--n[i] == 0)
					cases[i].chan = NULL;
			}
			gort_chan_unref(q.c);
		}
		gort_chan_unref(p.c);
	}
	count_up(&st.done);
}

static void sends(void *arg)
{
	uint64_t r = test_random_init((uint64_t)(intptr_t)arg);
	bool pinned = test_random(&r) % 4 == 0;

	for (int i = 0; i < st.rounds; i++) {
		struct parcel p = { gort_chan_new(sizeof(uint64_t), test_random(&r) % 3), 1 + (int)(test_random(&r) % 20) };
		unsigned way = (unsigned)(test_random(&r) % 4);

		if (!expect(p.c != NULL))
			break;
		gort_chan_ref(p.c);
		/* some use it before it goes out: it is this P's for certain, and then not */
		if (gort_chan_cap(p.c) > 0 && way == 0) {
			uint64_t v = 7;

			gort_chan_send(p.c, &v);
			expect_eq(gort_chan_recv(p.c, &v), 0);
			expect_eq(v, 7);
		}
		gort_chan_send(st.mail, &p);
		if (pinned)
			gort_preempt_disable();
		for (int k = 0; k < p.n; k++) {
			uint64_t v = test_random(&r) % 1000;

			__atomic_fetch_add(&st.sent, (long)v, __ATOMIC_RELAXED);
			if (way == 1) {
				while (gort_chan_try_send(p.c, &v) != 0)
					gort_yield();
			} else if (way == 2) {
				while (gort_chan_send_until(p.c, &v, gort_deadline(20 * GORT_MICROSECOND)) != 0)
					;
			} else {
				gort_chan_send(p.c, &v);
			}
		}
		if (pinned)
			gort_preempt_enable();
		gort_chan_unref(p.c);
		if (test_random(&r) % 8 == 0)
			compute(&r, (unsigned)(test_random(&r) % 5000));
	}
	count_up(&st.done);
}

START_TEST(channels_change_Ps_storm)
{
	struct changer ch = { &st.stop, 4, 0 };
	int was = gort_maxprocs(), senders = 10;
	pthread_t t[4];

	(void)_i;
	memset(&st, 0, sizeof st);
	st.rounds = (int)test_scale_min(200, 10);
	st.mail = gort_chan_new(sizeof(struct parcel), 4);
	t[0] = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < SERVERS; i++)
		ck_assert_int_eq(gort_go(serves, (void *)i), 0);
	for (intptr_t i = 0; i < senders; i++)
		ck_assert_int_eq(gort_go(sends, (void *)(i + 1)), 0);
	for (intptr_t i = 0; i < 2; i++)
		t[i + 1] = thread_start(sends, (void *)(i + 50));
	t[3] = thread_start(serves, (void *)77);
	await_count(&st.done, senders + 2);
	gort_chan_close(st.mail);
	await_count(&st.done, senders + 2 + SERVERS + 1);
	for (int i = 1; i < 4; i++)
		thread_join(t[i]);
	set(&st.stop, 1);
	thread_join(t[0]);
	gort_set_maxprocs(was);
	ck_assert_int_eq(get(&st.sent), get(&st.received));
	gort_chan_unref(st.mail);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-bias", NULL);
	test_add(&s, channels_change_Ps_storm);
	return test_end(&s);
}
