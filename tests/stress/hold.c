/* SPDX-License-Identifier: MIT */
/*
 * The storm on the hold: hogs that compute, goroutines that call in as fast as they can, maxprocs going up and down, and plain
 * threads, all at once, so that Ps are taken, borrowed and won back at every point. Each adds up what it did: nothing may be
 * lost, run twice, or be in two places.
 */
#include "storm.h"

#include <gort/chan.h>
#include <gort/sync.h>

#define NODES 64

struct storm {
	gort_mutex m;
	gort_chan *c;
	long locked;            /* guarded by m */
	long sent, received;    /* atomic */
	int done;
	int stop;
	int where[NODES];       /* who is in this goroutine right now; atomic */
	int rounds;
};

static struct storm st;

/* A goroutine that is run by two threads at once would see itself. */
static void enter_self(int me)
{
	expect_eq(__atomic_exchange_n(&st.where[me], 1, __ATOMIC_ACQ_REL), 0);
}

static void leave_self(int me)
{
	expect_eq(__atomic_exchange_n(&st.where[me], 0, __ATOMIC_ACQ_REL), 1);
}

static void hog(void *arg)
{
	int me = (int)(intptr_t)arg;
	uint64_t r = test_random_init((uint64_t)me);

	for (int i = 0; i < st.rounds; i++) {
		enter_self(me);
		compute(&r, 500 + (unsigned)(test_random(&r) % 20000));
		leave_self(me);
		gort_yield();
	}
	count_up(&st.done);
}

static void spawned(void *arg)
{
	__atomic_fetch_add(&st.received, (intptr_t)arg, __ATOMIC_RELAXED);
}

static void caller(void *arg)
{
	int me = (int)(intptr_t)arg;
	uint64_t r = test_random_init((uint64_t)me);

	for (int i = 0; i < st.rounds * 20; i++) {
		int v = 1 + (int)(test_random(&r) % 100), got;

		enter_self(me);
		switch (test_random(&r) % 8) {
		case 0:
			leave_self(me);
			gort_yield();
			enter_self(me);
			break;
		case 1:
			gort_mutex_lock(&st.m);
			st.locked++;
			gort_mutex_unlock(&st.m);
			__atomic_fetch_add(&st.sent, 1, __ATOMIC_RELAXED);
			__atomic_fetch_add(&st.received, 1, __ATOMIC_RELAXED);
			break;
		case 2:
			gort_sleep((gort_duration)(test_random(&r) % 20000));
			break;
		case 3:
			__atomic_fetch_add(&st.sent, v, __ATOMIC_RELAXED);
			expect_eq(gort_go(spawned, (void *)(intptr_t)v), 0);
			break;
		case 4:
			if (gort_chan_try_recv(st.c, &got) == 0)
				__atomic_fetch_add(&st.received, got, __ATOMIC_RELAXED);
			break;
		case 5:
			if (gort_chan_send_until(st.c, &v, gort_deadline(30 * GORT_MICROSECOND)) == 0)
				__atomic_fetch_add(&st.sent, v, __ATOMIC_RELAXED);
			break;
		case 6:
			if (gort_chan_recv_until(st.c, &got, gort_deadline(30 * GORT_MICROSECOND)) == 0)
				__atomic_fetch_add(&st.received, got, __ATOMIC_RELAXED);
			break;
		default:
			compute(&r, (unsigned)(test_random(&r) % 1000));
		}
		leave_self(me);
	}
	count_up(&st.done);
}

START_TEST(hold_and_retake_storm)
{
	struct changer ch = { &st.stop, 6, 0 };
	int was = gort_maxprocs(), callers = 12, hogs = 6, threads = 3, v;
	pthread_t t[4];

	(void)_i;
	memset(&st, 0, sizeof st);
	st.rounds = (int)test_scale_min(150, 10);
	st.c = gort_chan_new(sizeof(int), 3);
	t[3] = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < callers; i++)
		ck_assert_int_eq(gort_go(caller, (void *)i), 0);
	for (intptr_t i = 0; i < hogs; i++)
		ck_assert_int_eq(gort_go(hog, (void *)(i + 20)), 0);
	for (intptr_t i = 0; i < threads; i++)
		t[i] = thread_start(caller, (void *)(i + 40));
	await_count(&st.done, callers + hogs + threads);
	for (int i = 0; i < threads; i++)
		thread_join(t[i]);
	set(&st.stop, 1);
	thread_join(t[3]);
	while (gort_chan_try_recv(st.c, &v) == 0)
		st.received += v;
	/* the spawned ones may still be on their way */
	while (__atomic_load_n(&st.sent, __ATOMIC_SEQ_CST) != __atomic_load_n(&st.received, __ATOMIC_SEQ_CST))
		gort_yield();
	gort_set_maxprocs(was);
	gort_chan_unref(st.c);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-hold", NULL);
	test_add(&s, hold_and_retake_storm);
	return test_end(&s);
}
