/* SPDX-License-Identifier: MIT */
/* The count of senders that closes a channel with the last one. */
#include "test.h"

#include <gort/chan.h>

GO_TEST(the_last_sender_closes)
{
	gort_chan *c = gort_chan_new(sizeof(int), 4);
	int v = 1;

	gort_chan_add_sender(c, 3);
	gort_chan_sender_done(c);
	gort_chan_sender_done(c);
	expect_eq(gort_chan_try_recv(c, &v), -EAGAIN);
	gort_chan_send(c, &v);
	gort_chan_sender_done(c);
	expect_eq(gort_chan_recv(c, &v), 0);
	expect_eq(gort_chan_recv(c, &v), -EPIPE);
	gort_chan_unref(c);
}

GO_TEST(adding_a_negative_number_takes_senders_off)
{
	gort_chan *c = gort_chan_new(0, 0);

	gort_chan_add_sender(c, 5);
	gort_chan_add_sender(c, -4);
	expect_eq(gort_chan_try_recv(c, NULL), -EAGAIN);
	gort_chan_add_sender(c, -1);
	expect_eq(gort_chan_try_recv(c, NULL), -EPIPE);
	gort_chan_unref(c);
}

GO_TEST(adding_none_closes_nothing)
{
	gort_chan *c = gort_chan_new(0, 0);

	gort_chan_add_sender(c, 0);
	expect_eq(gort_chan_try_recv(c, NULL), -EAGAIN);
	gort_chan_unref(c);
}

static void produces(void *arg)
{
	gort_chan *c = arg;

	for (int i = 1; i <= 100; i++)
		gort_chan_send(c, &i);
	gort_chan_sender_done(c);
	gort_chan_unref(c);
}

GO_TEST(many_senders_and_a_loop_that_ends_by_itself)
{
	for (size_t cap = 0; cap < 3; cap++) {
		gort_chan *c = gort_chan_new(sizeof(int), cap);
		long sum = 0;
		int v;

		gort_chan_add_sender(c, 20);
		for (int i = 0; i < 20; i++)
			spawn(produces, gort_chan_ref(c));
		while (gort_chan_recv(c, &v) == 0)
			sum += v;
		expect_eq(sum, 20 * 5050);
		gort_chan_unref(c);
	}
}

static int one_too_many(void)
{
	gort_chan *c = gort_chan_new(0, 0);

	gort_chan_add_sender(c, 1);
	gort_chan_sender_done(c);
	gort_chan_sender_done(c);
	return 0;
}

static int below_at_once(void)
{
	gort_chan *c = gort_chan_new(0, 0);

	gort_chan_add_sender(c, -1);
	return 0;
}

static const struct test_child children[] = {
	{ "one_too_many", one_too_many }, { "below_at_once", below_at_once }, { NULL, NULL },
};

START_TEST(one_done_too_many_panics)
{
	test_child_says("one_too_many", NULL, 2, "panic: gort: negative sender count");
	test_child_says("below_at_once", NULL, 2, "panic: gort: negative sender count");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "senders", children);
	test_add(&s, the_last_sender_closes);
	test_add(&s, adding_a_negative_number_takes_senders_off);
	test_add(&s, adding_none_closes_nothing);
	test_add(&s, many_senders_and_a_loop_that_ends_by_itself);
	test_add(&s, one_done_too_many_panics);
	return test_end(&s);
}
