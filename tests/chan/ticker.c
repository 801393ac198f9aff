/* SPDX-License-Identifier: MIT */
/* gort_after and tickers. */
#include "test.h"

#include <gort/chan.h>

static gort_ticker *ticker(gort_duration d)
{
	gort_ticker *t = gort_ticker_new(d);

	expect(t != NULL);
	return t;
}

/* Yields until there is a value in the channel. */
static void await_value(gort_chan *c)
{
	while (gort_chan_len(c) == 0)
		gort_yield();
}

static void spin(gort_duration d)
{
	gort_time until = gort_deadline(d);

	while (gort_now() < until)
		gort_yield();
}

GO_TEST(after_sends_the_time_once_and_never_early)
{
	static const gort_duration ds[] = { INT64_MIN, -1, 0, 1, 70 * GORT_MICROSECOND, 3 * GORT_MILLISECOND };

	for (size_t i = 0; i < sizeof ds / sizeof ds[0]; i++) {
		gort_time before = gort_now(), when = 0;
		gort_chan *c = gort_after(ds[i]);

		expect(c != NULL);
		expect_eq(gort_chan_cap(c), 1);
		expect_eq(gort_chan_recv(c, &when), 0);
		expect(when >= before + (ds[i] > 0 ? ds[i] : 0));
		expect(when <= gort_now());
		expect_eq(gort_chan_recv_until(c, &when, gort_deadline(200 * GORT_MICROSECOND)), -ETIMEDOUT);
		gort_chan_unref(c);
	}
}

THREAD_TEST(a_plain_thread_waits_for_after_and_for_ticks)
{
	gort_time before = gort_now(), when = 0;
	gort_chan *c = gort_after(2 * GORT_MILLISECOND);
	gort_ticker *t;

	expect_eq(gort_chan_recv(c, &when), 0);
	expect(when >= before + 2 * GORT_MILLISECOND);
	gort_chan_unref(c);
	t = ticker(GORT_MILLISECOND);
	for (int i = 0; i < 3; i++)
		expect_eq(gort_chan_recv(gort_ticker_chan(t), NULL), 0);
	gort_ticker_reset(t, 500 * GORT_MICROSECOND);
	expect_eq(gort_chan_recv(gort_ticker_chan(t), NULL), 0);
	gort_ticker_stop(t);
	gort_ticker_free(t);
}

GO_TEST(an_after_that_nobody_waits_for_is_gone_with_its_last_reference)
{
	long n = test_scale(300000), before = 0;

	for (long i = 0; i < n; i++) {
		gort_chan *c = gort_after(i % 100 == 0 ? i % 7 : GORT_HOUR);

		expect(c != NULL);
		if (i % 3 == 0)
			gort_yield();
		gort_chan_unref(c);
		if (i == n / 10)
			before = test_rss();
	}
	/* a channel takes a hundred bytes and more */
	if (!test_sanitized() && !test_valgrind())
		expect(test_rss() - before < n * 50);
}

GO_TEST(after_in_a_select_is_a_timeout)
{
	gort_chan *never = gort_chan_new(0, 0), *late = gort_after(GORT_MILLISECOND);
	gort_case cases[] = { GORT_CASE_RECV(never, NULL), GORT_CASE_RECV(late, NULL) };

	expect_eq(gort_select(cases, 2), 1);
	expect_eq(cases[1].result, 0);
	gort_chan_unref(never);
	gort_chan_unref(late);
}

GO_TEST(a_ticker_ticks_and_never_early)
{
	gort_time before, last = 0, when;
	gort_ticker *t;

	/* that of the test before, in the same process, may be on its way out */
	while (gort_num_goroutine() > 1)
		gort_yield();
	before = gort_now();
	t = ticker(GORT_MILLISECOND);
	for (int i = 1; i <= 20; i++) {
		expect_eq(gort_chan_recv(gort_ticker_chan(t), &when), 0);
		/* some may have been left out, none is added */
		expect(when >= before + i * GORT_MILLISECOND);
		expect(when > last);
		last = when;
	}
	/* there is no goroutine behind it */
	expect_eq(gort_num_goroutine(), 1);
	gort_ticker_free(t);
	gort_ticker_free(NULL);
}

GO_TEST(ticks_are_left_out_for_a_slow_reader)
{
	gort_ticker *t = ticker(GORT_MILLISECOND);
	gort_chan *c = gort_ticker_chan(t);
	gort_time start, when = 0;
	int64_t got = 0;

	expect_eq(gort_chan_cap(c), 1);
	for (int round = 0; round < 5; round++) {
		spin(20 * GORT_MILLISECOND);
		expect(gort_chan_len(c) <= 1);
	}
	start = gort_now();
	while (gort_chan_try_recv(c, &when) == 0)
		got++;
	/* one was kept, and time goes on */
	expect(got >= 1 && got <= 2 + (gort_now() - start) / GORT_MILLISECOND);
	gort_ticker_free(t);
}

GO_TEST(after_a_stop_no_stale_tick_arrives)
{
	for (int i = 0; i < 20; i++) {
		gort_ticker *t = ticker(50 * GORT_MICROSECOND);
		gort_chan *c = gort_ticker_chan(t);

		await_value(c);
		gort_ticker_stop(t);
		expect_eq(gort_chan_len(c), 0);
		expect_eq(gort_chan_recv_until(c, NULL, gort_deadline(300 * GORT_MICROSECOND)), -ETIMEDOUT);
		gort_ticker_stop(t);
		gort_ticker_free(t);
	}
}

GO_TEST(after_a_reset_no_stale_tick_arrives)
{
	gort_ticker *t = ticker(50 * GORT_MICROSECOND);
	gort_chan *c = gort_ticker_chan(t);
	gort_time before, when = 0;

	for (int i = 0; i < 20; i++) {
		await_value(c);
		before = gort_now();
		gort_ticker_reset(t, GORT_MILLISECOND);
		expect_eq(gort_chan_recv(c, &when), 0);
		expect(when >= before + GORT_MILLISECOND);
		gort_ticker_reset(t, 50 * GORT_MICROSECOND);
	}
	await_value(c);
	gort_ticker_reset(t, GORT_HOUR);
	expect_eq(gort_chan_len(c), 0);
	expect_eq(gort_chan_recv_until(c, NULL, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	/* it goes on after a stop */
	gort_ticker_stop(t);
	gort_ticker_reset(t, 100 * GORT_MICROSECOND);
	for (int i = 0; i < 5; i++)
		expect_eq(gort_chan_recv(c, NULL), 0);
	gort_ticker_free(t);
}

GO_TEST(the_longest_and_the_shortest_periods_work)
{
	gort_ticker *longest = ticker(GORT_FOREVER), *shortest = ticker(1);
	gort_time last = 0, when = 0;

	for (int i = 0; i < 1000; i++) {
		expect_eq(gort_chan_recv(gort_ticker_chan(shortest), &when), 0);
		expect(when > last);
		last = when;
	}
	expect_eq(gort_chan_len(gort_ticker_chan(longest)), 0);
	gort_ticker_reset(longest, 1);
	expect_eq(gort_chan_recv(gort_ticker_chan(longest), NULL), 0);
	gort_ticker_reset(longest, GORT_FOREVER - 1);
	expect_eq(gort_chan_len(gort_ticker_chan(longest)), 0);
	gort_ticker_free(longest);
	gort_ticker_free(shortest);
}

static void makes_ticker(void *d)
{
	gort_ticker_new((gort_duration)(intptr_t)d);
}

static void resets_ticker(void *t)
{
	gort_ticker_reset(t, 0);
}

GO_TEST(a_period_of_0_or_less_panics_in_gos_words)
{
	gort_ticker *t = ticker(GORT_HOUR);
	gort_panic_info info;

	expect(gort_try(makes_ticker, NULL, &info));
	expect(strcmp(info.message, "non-positive interval for NewTicker") == 0);
	expect(gort_try(makes_ticker, (void *)(intptr_t)-5, &info));
	expect(strcmp(info.message, "non-positive interval for NewTicker") == 0);
	expect(gort_try(resets_ticker, t, &info));
	expect(strcmp(info.message, "non-positive interval for Ticker.Reset") == 0);
	gort_ticker_free(t);
}

GO_TEST(the_channel_may_outlive_its_ticker_and_be_closed)
{
	gort_ticker *t = ticker(100 * GORT_MICROSECOND);
	gort_chan *c = gort_chan_ref(gort_ticker_chan(t));

	await_value(c);
	gort_ticker_free(t);
	expect_eq(gort_chan_len(c), 0);
	expect_eq(gort_chan_recv_until(c, NULL, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_chan_unref(c);

	t = ticker(100 * GORT_MICROSECOND);
	await_value(gort_ticker_chan(t));
	gort_chan_close(gort_ticker_chan(t));
	expect_eq(gort_chan_recv(gort_ticker_chan(t), NULL), 0);
	expect_eq(gort_chan_recv(gort_ticker_chan(t), NULL), -EPIPE);
	spin(GORT_MILLISECOND);
	expect_eq(gort_chan_recv(gort_ticker_chan(t), NULL), -EPIPE);
	gort_ticker_free(t);
}

static void plays(void *arg)
{
	gort_chan **c = arg;
	int v;

	while (gort_chan_recv(c[0], &v) == 0)
		gort_chan_send(c[1], &v);
	gort_chan_close(c[1]);
}

GO_TEST(ticks_arrive_although_two_goroutines_play_ping_pong_on_the_only_P)
{
	int was = gort_set_maxprocs(1), v = 0;
	gort_chan *c[2] = { gort_chan_new(sizeof(int), 0), gort_chan_new(sizeof(int), 0) };
	gort_ticker *t = ticker(GORT_MICROSECOND);

	spawn(plays, c);
	for (int ticks = 0; ticks < 100;) {
		gort_chan_send(c[0], &v);
		gort_chan_recv(c[1], &v);
		ticks += gort_chan_try_recv(gort_ticker_chan(t), NULL) == 0;
	}
	gort_chan_close(c[0]);
	gort_chan_recv(c[1], &v);
	gort_ticker_free(t);
	gort_chan_unref(c[0]);
	gort_chan_unref(c[1]);
	gort_set_maxprocs(was);
}

/* --- order: one goroutine at a time --- */

static int order[10], ordered;

struct waits {
	int i;
	gort_chan *c;
};

static void waits_in_line(void *arg)
{
	struct waits *w = arg;

	gort_chan_recv(w->c, NULL);
	order[ordered++] = w->i;
}

/* All of them are due before anybody looks; whom they wake runs in their order. */
static int in_line_main(void *arg)
{
	static struct waits w[10];

	for (int i = 0; i < 10; i++) {
		w[i].i = i;
		w[i].c = gort_after(20 * GORT_MILLISECOND + i);
		gort_go(waits_in_line, &w[i]);
	}
	gort_sleep(GORT_MILLISECOND);
	for (gort_time until = gort_deadline(40 * GORT_MILLISECOND); gort_now() < until;)
		;
	gort_sleep(GORT_MILLISECOND);
	for (int i = 0; i < 10; i++) {
		expect_eq(order[i], i);
		gort_chan_unref(w[i].c);
	}
	return 0;
}

static int in_line(void)
{
	int r = gort_run(in_line_main, NULL);

	test_assert();
	return r;
}

START_TEST(whom_timers_wake_run_in_the_order_of_the_timers)
{
	test_child_says("in_line", test_one_at_a_time, 0, "");
}
END_TEST

/* --- deadlock --- */

static int ticking_main(void *arg)
{
	gort_ticker *t = gort_ticker_new(100 * GORT_MILLISECOND);

	for (int i = 0; i < 5; i++)
		gort_chan_recv(gort_ticker_chan(t), NULL);
	gort_ticker_stop(t);
	exit(gort_chan_recv_until(gort_ticker_chan(t), NULL, gort_deadline(300 * GORT_MILLISECOND)) == -ETIMEDOUT ? 7 : 8);
}

static int stopped_main(void *arg)
{
	gort_ticker *t = gort_ticker_new(GORT_HOUR);

	gort_ticker_stop(t);
	gort_chan_recv(gort_ticker_chan(t), NULL);
	return 0;
}

static int ticking(void) { return gort_run(ticking_main, NULL); }
static int stopped(void) { return gort_run(stopped_main, NULL); }

START_TEST(waiting_for_ticks_is_no_deadlock)
{
	test_child_says("ticking", NULL, 7, "");
}
END_TEST

START_TEST(waiting_for_a_ticker_that_was_stopped_is_a_deadlock)
{
	test_child_says("stopped", NULL, 2, "fatal error: all goroutines are asleep - deadlock!");
}
END_TEST

/* --- storms --- */

static int done, stop;

static void resets_and_stops(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);
	gort_ticker *t = ticker(GORT_HOUR);
	gort_chan *c = gort_ticker_chan(t);
	long n = test_scale_min(2000, 100);

	for (long i = 0; i < n; i++) {
		gort_time before = gort_now(), when;
		gort_duration d = 1 + (gort_duration)(test_random(&r) % 20000);

		gort_ticker_reset(t, d);
		for (unsigned k = (unsigned)(test_random(&r) % 4); k > 0; k--)
			gort_yield();
		if (gort_chan_try_recv(c, &when) == 0)
			expect(when >= before + d);
		if (test_random(&r) % 2) {
			gort_ticker_stop(t);
			expect_eq(gort_chan_len(c), 0);
			for (unsigned k = (unsigned)(test_random(&r) % 8); k > 0; k--)
				gort_yield();
			expect_eq(gort_chan_try_recv(c, NULL), -EAGAIN);
		}
	}
	gort_ticker_free(t);
	count_up(&done);
}

static void afters(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg + 100);
	long n = test_scale_min(3000, 100);

	for (long i = 0; i < n; i++) {
		gort_duration d = (gort_duration)(test_random(&r) % 30000);
		gort_time before = gort_now(), when;
		gort_chan *c = gort_after(d);

		expect(c != NULL);
		if (test_random(&r) % 2) {
			expect_eq(gort_chan_recv(c, &when), 0);
			expect(when >= before + d);
		} else if (test_random(&r) % 2) {
			gort_yield();
		}
		gort_chan_unref(c);
	}
	count_up(&done);
}

static void changes_procs(void *arg)
{
	uint64_t r = test_random_init(4711);

	while (!get(&stop)) {
		gort_set_maxprocs(1 + (int)(test_random(&r) % 5));
		for (unsigned k = (unsigned)(test_random(&r) % 20000); k > 0; k--)
			test_random(&r);
	}
}

START_TEST(no_stale_value_arrives_however_tickers_are_set_and_stopped)
{
	int was = gort_maxprocs();
	pthread_t t[3];

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	t[0] = thread_start(changes_procs, NULL);
	t[1] = thread_start(resets_and_stops, (void *)1);
	t[2] = thread_start(afters, (void *)2);
	for (intptr_t i = 3; i < 8; i++) {
		ck_assert_int_eq(gort_go(resets_and_stops, (void *)i), 0);
		ck_assert_int_eq(gort_go(afters, (void *)i), 0);
	}
	await_count(&done, 12);
	set(&stop, 1);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

static const struct test_child children[] = {
	{ "in_line", in_line }, { "ticking", ticking }, { "stopped", stopped }, { NULL, NULL },
};

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "ticker", children);
	test_add(&s, after_sends_the_time_once_and_never_early);
	test_add(&s, a_plain_thread_waits_for_after_and_for_ticks);
	test_add(&s, an_after_that_nobody_waits_for_is_gone_with_its_last_reference);
	test_add(&s, after_in_a_select_is_a_timeout);
	test_add(&s, a_ticker_ticks_and_never_early);
	test_add(&s, ticks_are_left_out_for_a_slow_reader);
	test_add(&s, after_a_stop_no_stale_tick_arrives);
	test_add(&s, after_a_reset_no_stale_tick_arrives);
	test_add(&s, the_longest_and_the_shortest_periods_work);
	test_add(&s, a_period_of_0_or_less_panics_in_gos_words);
	test_add(&s, the_channel_may_outlive_its_ticker_and_be_closed);
	test_add(&s, ticks_arrive_although_two_goroutines_play_ping_pong_on_the_only_P);
	test_add(&s, whom_timers_wake_run_in_the_order_of_the_timers);
	test_add(&s, waiting_for_ticks_is_no_deadlock);
	if (TEST_TSAN)
		test_skip("waiting_for_a_ticker_that_was_stopped_is_a_deadlock",
			"ThreadSanitizer's own thread counts as one of the program's");
	else
		test_add(&s, waiting_for_a_ticker_that_was_stopped_is_a_deadlock);
	test_add(&s, no_stale_value_arrives_however_tickers_are_set_and_stopped);
	return test_end(&s);
}
