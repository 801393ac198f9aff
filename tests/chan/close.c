/* SPDX-License-Identifier: MIT */
/* Closing channels: what receivers get, who wakes, who panics. */
#include "test.h"

#include <gort/chan.h>

struct end {
	struct task task;
	gort_chan *c;
	int value;
	int result;
};

static void receives(void *arg)
{
	struct end *e = arg;

	task_here(&e->task);
	e->result = gort_chan_recv(e->c, &e->value);
	task_done(&e->task);
}

GO_TEST(buffered_values_come_out_in_order_then_closed_for_ever)
{
	for (size_t cap = 0; cap < 5; cap++) {
		gort_chan *c = gort_chan_new(sizeof(int), cap);
		int v;

		for (int i = 0; i < (int)cap; i++)
			gort_chan_send(c, &i);
		gort_chan_close(c);
		for (int i = 0; i < (int)cap; i++) {
			v = -1;
			expect_eq(i % 2 ? gort_chan_recv(c, &v) : gort_chan_try_recv(c, &v), 0);
			expect_eq(v, i);
		}
		for (int i = 0; i < 3; i++) {
			v = -1;
			expect_eq(gort_chan_recv(c, &v), -EPIPE);
			expect_eq(v, 0);        /* zeroed */
			v = -1;
			expect_eq(gort_chan_try_recv(c, &v), -EPIPE);
			expect_eq(v, 0);
			v = -1;
			expect_eq(gort_chan_recv_until(c, &v, gort_deadline(GORT_HOUR)), -EPIPE);
			expect_eq(v, 0);
			expect_eq(gort_chan_recv_until(c, &v, gort_now()), -ETIMEDOUT);
			expect_eq(gort_chan_recv(c, NULL), -EPIPE);
		}
		gort_chan_unref(c);
	}
}

GO_TEST(close_wakes_all_parked_receivers)
{
	gort_chan *c = gort_chan_new(sizeof(int), 1);
	static struct end e[300];

	for (int i = 0; i < 300; i++) {
		e[i] = (struct end){ .c = c, .value = -1 };
		spawn(receives, &e[i]);
	}
	for (int i = 0; i < 300; i++)
		await_parked(&e[i].task);
	gort_chan_close(c);
	for (int i = 0; i < 300; i++) {
		await_done(&e[i].task);
		expect_eq(e[i].result, -EPIPE);
		expect_eq(e[i].value, 0);
	}
	gort_chan_unref(c);
}

GO_TEST(close_wakes_parked_threads_too)
{
	gort_chan *c = gort_chan_new(sizeof(int), 0);
	struct end e[4];
	pthread_t t[4];

	for (int i = 0; i < 4; i++) {
		e[i] = (struct end){ .c = c, .value = -1 };
		t[i] = thread_start(receives, &e[i]);
		await_parked(&e[i].task);
	}
	gort_chan_close(c);
	for (int i = 0; i < 4; i++) {
		thread_join(t[i]);
		expect_eq(e[i].result, -EPIPE);
		expect_eq(e[i].value, 0);
	}
	gort_chan_unref(c);
}

struct race {
	gort_chan *c;
	int go;
	int done;
};

static void sends_then_closes(void *arg)
{
	struct race *r = arg;
	int v = 1;

	while (!get(&r->go))
		gort_yield();
	gort_chan_try_send(r->c, &v);
	gort_chan_close(r->c);
	count_up(&r->done);
}

/* The value lies there before the close: whoever sees "closed" must have been given the value before. */
GO_TEST(a_try_receive_racing_a_close_does_not_miss_the_buffered_value)
{
	for (long i = 0; i < test_scale(3000); i++) {
		struct race r = { .c = gort_chan_new(sizeof(int), 1) };
		pthread_t t = 0;
		bool thread = i % 50 == 0;
		int v = 0, k;

		if (thread)
			t = thread_start(sends_then_closes, &r);
		else
			spawn(sends_then_closes, &r);
		gort_yield();
		set(&r.go, 1);
		while ((k = gort_chan_try_recv(r.c, &v)) == -EAGAIN)
			gort_yield();
		if (!expect_eq(k, 0) || !expect_eq(v, 1))
			i = INT32_MAX;
		expect_eq(gort_chan_recv(r.c, &v), -EPIPE);
		await_count(&r.done, 1);
		if (thread)
			thread_join(t);
		gort_chan_unref(r.c);
	}
}

struct flood {
	gort_chan *c;
	int n;
	int done;
};

static void looks_for_empty(void *arg)
{
	struct flood *f = arg;
	int v, r;

	/* first values, then the close, for ever: at no moment is there nothing to be had */
	for (int i = 0; i < f->n; i++) {
		r = gort_chan_try_recv(f->c, &v);
		if (!expect(r != -EAGAIN))
			break;
	}
	count_up(&f->done);
}

GO_TEST(a_closed_channel_is_never_empty_to_try_receive)
{
	struct flood f = { gort_chan_new(sizeof(int), 8), (int)test_scale(20000), 0 };
	int v = 1;

	while (gort_chan_try_send(f.c, &v) == 0)
		;
	gort_chan_close(f.c);
	for (int i = 0; i < 4; i++)
		spawn(looks_for_empty, &f);
	await_count(&f.done, 4);
	expect_eq(gort_chan_recv(f.c, &v), -EPIPE);
	gort_chan_unref(f.c);
}

/* --- panics: each in a process of its own --- */

static int send_closed(void)
{
	gort_chan *c = gort_chan_new(sizeof(int), 1);
	int v = 0;

	gort_chan_close(c);
	gort_chan_send(c, &v);
	return 0;
}

static int try_send_closed(void)
{
	gort_chan *c = gort_chan_new(sizeof(int), 0);
	int v = 0;

	gort_chan_close(c);
	gort_chan_try_send(c, &v);
	return 0;
}

static int send_until_closed(void)
{
	gort_chan *c = gort_chan_new(sizeof(int), 0);
	int v = 0;

	gort_chan_close(c);
	gort_chan_send_until(c, &v, gort_deadline(GORT_HOUR));
	return 0;
}

static int select_send_closed(void)
{
	gort_chan *c = gort_chan_new(sizeof(int), 1), *d = gort_chan_new(sizeof(int), 0);
	int v = 0;
	gort_case cs[] = { GORT_CASE_RECV(d, &v), GORT_CASE_SEND(c, &v) };

	gort_chan_close(c);
	gort_select(cs, 2);
	return 0;
}

static int select_try_send_closed(void)
{
	gort_chan *c = gort_chan_new(sizeof(int), 0);
	int v = 0;
	gort_case cs[] = { GORT_CASE_SEND(c, &v) };

	gort_chan_close(c);
	gort_select_try(cs, 1);
	return 0;
}

static int close_twice(void)
{
	gort_chan *c = gort_chan_new(0, 0);

	gort_chan_close(c);
	gort_chan_close(c);
	return 0;
}

static int close_null(void)
{
	gort_chan_close(NULL);
	return 0;
}

static struct end parked = { .value = 1 };

static void sends_for_ever(void *arg)
{
	(void)arg;
	task_here(&parked.task);
	gort_chan_send(parked.c, &parked.value);
	set(&parked.result, 1);
}

static void selects_for_ever(void *arg)
{
	gort_case cs[] = { GORT_CASE_SEND(parked.c, &parked.value) };

	(void)arg;
	task_here(&parked.task);
	gort_select(cs, 1);
	set(&parked.result, 1);
}

static void (*parked_fn)(void *arg);

static void panics_parked(void *arg)
{
	gort_panic_info info = { .message = "" };

	expect(gort_try(parked_fn, NULL, &info));
	expect(strcmp(info.message, "send on closed channel") == 0);
	task_done(&parked.task);
}

static void close_over(void (*fn)(void *arg))
{
	memset(&parked, 0, sizeof parked);
	parked.value = 1;
	parked.c = gort_chan_new(sizeof(int), 0);
	parked_fn = fn;
	spawn(panics_parked, NULL);
	await_parked(&parked.task);
	gort_chan_close(parked.c);
	await_done(&parked.task);
	expect_eq(parked.result, 0);
	gort_chan_unref(parked.c);
}

static void sends_to_closed(void *arg)
{
	gort_case cs[20];
	int v = 0;

	/* more cases than find room on the stack: what they lie in is freed */
	for (int i = 0; i < 20; i++)
		cs[i] = (gort_case)GORT_CASE_SEND(arg, &v);
	gort_select(cs, 20);
}

static void closes(void *arg)
{
	gort_chan_close(arg);
}

GO_TEST(the_panics_can_be_caught)
{
	gort_chan *c = gort_chan_new(sizeof(int), 0);
	gort_panic_info info;

	expect(!gort_try(closes, c, &info));
	expect(gort_try(closes, c, &info));
	expect(strcmp(info.message, "close of closed channel") == 0);
	expect(gort_try(closes, NULL, &info));
	expect(strcmp(info.message, "close of nil channel") == 0);
	expect(gort_try(sends_to_closed, c, &info));
	expect(strcmp(info.message, "send on closed channel") == 0);
	gort_chan_unref(c);
}

GO_TEST(parked_senders_wake_and_panic)
{
	close_over(sends_for_ever);
	close_over(selects_for_ever);
}

static int close_over_thread(void)
{
	parked.c = gort_chan_new(sizeof(int), 0);
	thread_start(sends_for_ever, NULL);
	await_parked(&parked.task);
	gort_chan_close(parked.c);
	while (!get(&parked.result))
		gort_yield();
	return 0;
}

static int send_closed_in_goroutine_main(void *arg)
{
	return send_closed();
}

static int send_closed_in_goroutine(void)
{
	return gort_run(send_closed_in_goroutine_main, NULL);
}

static const struct test_child children[] = {
	{ "send_closed", send_closed },
	{ "try_send_closed", try_send_closed },
	{ "send_until_closed", send_until_closed },
	{ "select_send_closed", select_send_closed },
	{ "select_try_send_closed", select_try_send_closed },
	{ "close_over_thread", close_over_thread },
	{ "send_closed_in_goroutine", send_closed_in_goroutine },
	{ "close_twice", close_twice },
	{ "close_null", close_null },
	{ NULL, NULL },
};

START_TEST(a_send_on_a_closed_channel_panics)
{
	test_child_says("send_closed", NULL, 2, "panic: send on closed channel");
	test_child_says("try_send_closed", NULL, 2, "panic: send on closed channel");
	test_child_says("send_until_closed", NULL, 2, "panic: send on closed channel");
	test_child_says("send_closed_in_goroutine", NULL, 2, "panic: send on closed channel");
}
END_TEST

START_TEST(a_select_that_sends_on_a_closed_channel_panics)
{
	test_child_says("select_send_closed", NULL, 2, "panic: send on closed channel");
	test_child_says("select_try_send_closed", NULL, 2, "panic: send on closed channel");
}
END_TEST

START_TEST(a_parked_thread_wakes_and_panics)
{
	test_child_says("close_over_thread", NULL, 2, "panic: send on closed channel");
}
END_TEST

START_TEST(closing_twice_panics)
{
	test_child_says("close_twice", NULL, 2, "panic: close of closed channel");
}
END_TEST

START_TEST(closing_null_panics)
{
	test_child_says("close_null", NULL, 2, "panic: close of nil channel");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "close", children);
	test_add(&s, buffered_values_come_out_in_order_then_closed_for_ever);
	test_add(&s, close_wakes_all_parked_receivers);
	test_add(&s, close_wakes_parked_threads_too);
	test_add(&s, a_try_receive_racing_a_close_does_not_miss_the_buffered_value);
	test_add(&s, a_closed_channel_is_never_empty_to_try_receive);
	test_add(&s, a_send_on_a_closed_channel_panics);
	test_add(&s, a_select_that_sends_on_a_closed_channel_panics);
	test_add(&s, the_panics_can_be_caught);
	test_add(&s, parked_senders_wake_and_panic);
	test_add(&s, a_parked_thread_wakes_and_panics);
	test_add(&s, closing_twice_panics);
	test_add(&s, closing_null_panics);
	return test_end(&s);
}
