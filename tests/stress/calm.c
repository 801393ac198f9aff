/* SPDX-License-Identifier: MIT */
/*
 * The storm on what is done to keep goroutines together: crowds larger than a P's ring on one channel, which several Ps fight
 * for, so that it becomes calm and one P gives way; with others that compute beside it, start goroutines or yield, and Ps
 * that come and go. Each value arrives exactly once, and everybody comes to an end.
 */
#include "storm.h"

#include <gort/chan.h>

static struct {
	gort_chan *c;
	int each;               /* values of a sender */
	int done;
	int stop;
	int64_t sum;
	int received;
} st;

static void sends(void *arg)
{
	uint64_t r = test_random_init((uint64_t)(intptr_t)arg);

	for (int i = 0; i < st.each; i++) {
		int64_t v = (intptr_t)arg;

		gort_chan_send(st.c, &v);
		if (test_random(&r) % 16 == 0)
			gort_yield();
	}
	count_up(&st.done);
}

static void receives(void *arg)
{
	int64_t v, sum = 0;
	int n = 0;

	(void)arg;
	for (; gort_chan_recv(st.c, &v) == 0; n++)
		sum += v;
	__atomic_fetch_add(&st.sum, sum, __ATOMIC_RELAXED);
	__atomic_fetch_add(&st.received, n, __ATOMIC_RELAXED);
	count_up(&st.done);
}

static void nothing(void *arg)
{
	(void)arg;
	count_up(&st.received);
}

static void meanwhile(void *arg)
{
	uint64_t r = test_random_init((uint64_t)(intptr_t)arg);
	int started = 0;

	while (!get(&st.stop)) {
		switch (test_random(&r) % 3) {
		case 0:
			compute(&r, (unsigned)(test_random(&r) % 20000));
			break;
		case 1:
			for (int i = 0; i < 20 && started < 2000; i++, started++)
				spawn(nothing, NULL);
			break;
		default:
			gort_yield();
		}
	}
	__atomic_fetch_add(&st.received, -started, __ATOMIC_SEQ_CST);
	count_up(&st.done);
}

static void storm(int procs, int senders, int receivers, size_t capacity, int others, bool change)
{
	int was = gort_set_maxprocs(procs);
	struct changer ch = { .stop = &st.stop, .most = procs };
	int64_t sum = 0;

	memset(&st, 0, sizeof st);
	st.c = gort_chan_new(sizeof(int64_t), capacity);
	st.each = (int)test_scale_min(40000, 4000) / senders + 1;
	for (int i = 0; i < others; i++)
		spawn(meanwhile, (void *)(intptr_t)(1000000 + i));
	for (int i = 1; i <= senders || i <= receivers; i++) {
		if (i <= senders) {
			sum += (int64_t)i * st.each;
			spawn(sends, (void *)(intptr_t)i);
		}
		if (i <= receivers)
			spawn(receives, NULL);
	}
	if (change) {
		pthread_t t = thread_start(storm_changes_procs, &ch);

		await_count(&st.done, senders);
		set(&st.stop, 1);
		thread_join(t);
	} else {
		await_count(&st.done, senders);
		set(&st.stop, 1);
	}
	gort_chan_close(st.c);
	await_count(&st.done, senders + receivers + others);
	/* those started meanwhile counted up, and down again by who had started them */
	while (get(&st.received) != senders * st.each)
		gort_yield();
	expect_eq(st.sum, sum);
	gort_chan_unref(st.c);
	gort_set_maxprocs(was);
}

GO_TEST(a_crowd_of_senders)
{
	for (int procs = 2; procs <= 4; procs++)
		storm(procs, (int)test_scale_min(3000, 400), 1, 16, 0, false);
}

GO_TEST(a_crowd_of_receivers)
{
	for (int procs = 2; procs <= 4; procs++)
		storm(procs, 1, (int)test_scale_min(3000, 400), 0, 0, false);
}

GO_TEST(crowds_with_others_beside_them)
{
	storm(2, (int)test_scale_min(1000, 300), 3, 1, 2, false);
	storm(3, (int)test_scale_min(1000, 300), (int)test_scale_min(1000, 300), 0, 2, false);
}

GO_TEST(crowds_while_Ps_come_and_go)
{
	storm(4, (int)test_scale_min(1000, 300), 2, 16, 1, true);
	storm(4, 2, (int)test_scale_min(1000, 300), 0, 1, true);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-calm", NULL);
	test_add(&s, a_crowd_of_senders);
	test_add(&s, a_crowd_of_receivers);
	test_add(&s, crowds_with_others_beside_them);
	test_add(&s, crowds_while_Ps_come_and_go);
	return test_end(&s);
}
