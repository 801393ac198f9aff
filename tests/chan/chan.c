/* SPDX-License-Identifier: MIT */
/* Channels: sending, receiving, the try and until forms, order, sizes. close.c has what closing does. */
#include "test.h"

#include <gort/chan.h>

static gort_chan *new_chan(size_t elem, size_t cap)
{
	gort_chan *c = gort_chan_new(elem, cap);

	if (c == NULL)
		abort();
	return c;
}

/* One sender or receiver that others look at. */
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

static void sends(void *arg)
{
	struct end *e = arg;

	task_here(&e->task);
	gort_chan_send(e->c, &e->value);
	task_done(&e->task);
}

GO_TEST(an_empty_receive_blocks_until_a_value_comes)
{
	for (size_t cap = 0; cap < 3; cap++) {
		struct end e = { .c = new_chan(sizeof(int), cap), .result = -1 };
		int v = 5;

		spawn(receives, &e);
		await_parked(&e.task);
		expect(!get(&e.task.done));
		gort_chan_send(e.c, &v);
		await_done(&e.task);
		expect_eq(e.result, 0);
		expect_eq(e.value, 5);
		expect_eq(gort_chan_len(e.c), 0);
		gort_chan_unref(e.c);
	}
}

GO_TEST(a_full_send_blocks_until_there_is_room)
{
	for (size_t cap = 0; cap < 3; cap++) {
		struct end e = { .c = new_chan(sizeof(int), cap), .value = 99 };
		int v;

		for (int i = 0; i < (int)cap; i++)
			gort_chan_send(e.c, &i);
		spawn(sends, &e);
		await_parked(&e.task);
		expect(!get(&e.task.done));
		for (int i = 0; i < (int)cap; i++) {
			expect_eq(gort_chan_recv(e.c, &v), 0);
			expect_eq(v, i);
		}
		expect_eq(gort_chan_recv(e.c, &v), 0);
		expect_eq(v, 99);
		await_done(&e.task);
		gort_chan_unref(e.c);
	}
}

GO_TEST(try_forms_return_at_once)
{
	for (size_t cap = 0; cap < 3; cap++) {
		gort_chan *c = new_chan(sizeof(int), cap);
		int v = -1;

		expect_eq(gort_chan_try_recv(c, &v), -EAGAIN);
		expect_eq(v, -1);
		for (int i = 0; i < (int)cap; i++)
			expect_eq(gort_chan_try_send(c, &i), 0);
		expect_eq(gort_chan_try_send(c, &v), -EAGAIN);
		expect_eq(gort_chan_len(c), cap);
		expect_eq(gort_chan_cap(c), cap);
		for (int i = 0; i < (int)cap; i++) {
			expect_eq(gort_chan_try_recv(c, &v), 0);
			expect_eq(v, i);
		}
		expect_eq(gort_chan_try_recv(c, &v), -EAGAIN);
		gort_chan_unref(c);
	}
}

GO_TEST(try_forms_meet_a_waiting_peer)
{
	gort_chan *c = new_chan(sizeof(int), 0);
	struct end r = { .c = c, .result = -1 }, s = { .c = c, .value = 8 };
	int v = 7;

	spawn(receives, &r);
	await_parked(&r.task);
	expect_eq(gort_chan_try_send(c, &v), 0);
	await_done(&r.task);
	expect_eq(r.value, 7);
	expect_eq(r.result, 0);
	spawn(sends, &s);
	await_parked(&s.task);
	expect_eq(gort_chan_try_recv(c, &v), 0);
	expect_eq(v, 8);
	await_done(&s.task);
	expect_eq(gort_chan_try_recv(c, &v), -EAGAIN);
	gort_chan_unref(c);
}

GO_TEST(a_waiting_receiver_gets_the_value_directly)
{
	struct end r = { .c = new_chan(sizeof(int), 4), .result = -1 };
	int v = 3;

	spawn(receives, &r);
	await_parked(&r.task);
	gort_chan_send(r.c, &v);
	/* it is in the receiver's memory already, whether or not it has run */
	expect_eq(r.value, 3);
	expect_eq(gort_chan_len(r.c), 0);
	await_done(&r.task);
	gort_chan_unref(r.c);
}

GO_TEST(a_receive_from_a_full_channel_moves_the_oldest_sender_to_the_tail)
{
	gort_chan *c = new_chan(sizeof(int), 2);
	struct end s[3];
	int v;

	for (int i = 0; i < 2; i++)
		gort_chan_send(c, &i);
	for (int i = 0; i < 3; i++) {
		s[i] = (struct end){ .c = c, .value = 2 + i };
		spawn(sends, &s[i]);
		await_parked(&s[i].task);
	}
	expect_eq(gort_chan_recv(c, &v), 0);
	expect_eq(v, 0);
	expect_eq(gort_chan_len(c), 2);         /* the first sender's value has taken the place */
	await_done(&s[0].task);
	expect(!get(&s[1].task.done));
	for (int i = 1; i < 5; i++) {
		expect_eq(gort_chan_recv(c, &v), 0);
		expect_eq(v, i);
	}
	await_done(&s[1].task);
	await_done(&s[2].task);
	gort_chan_unref(c);
}

struct stream {
	gort_chan *c;
	int n;
	struct task task;
};

static void sends_a_stream(void *arg)
{
	struct stream *s = arg;

	for (int i = 0; i < s->n; i++)
		gort_chan_send(s->c, &i);
	task_done(&s->task);
}

GO_TEST(values_are_first_in_first_out_at_every_capacity)
{
	static const size_t caps[] = { 0, 1, 2, 3, 7, 64, 1000 };

	for (size_t k = 0; k < sizeof caps / sizeof caps[0]; k++) {
		struct stream s = { new_chan(sizeof(int), caps[k]), (int)test_scale(3000), { 0 } };
		int v;

		spawn(sends_a_stream, &s);
		for (int i = 0; i < s.n; i++) {
			if (!expect_eq(gort_chan_recv(s.c, &v), 0) || !expect_eq(v, i))
				break;
		}
		await_done(&s.task);
		gort_chan_unref(s.c);
	}
}

GO_TEST(waiting_receivers_are_served_first_come_first_served)
{
	gort_chan *c = new_chan(sizeof(int), 0);
	struct end r[20];

	for (int i = 0; i < 20; i++) {
		r[i] = (struct end){ .c = c, .value = -1 };
		spawn(receives, &r[i]);
		await_parked(&r[i].task);
	}
	for (int i = 0; i < 20; i++)
		gort_chan_send(c, &i);
	for (int i = 0; i < 20; i++) {
		await_done(&r[i].task);
		expect_eq(r[i].value, i);
	}
	gort_chan_unref(c);
}

GO_TEST(waiting_senders_are_served_first_come_first_served)
{
	gort_chan *c = new_chan(sizeof(int), 0);
	struct end s[20];

	for (int i = 0; i < 20; i++) {
		s[i] = (struct end){ .c = c, .value = i };
		spawn(sends, &s[i]);
		await_parked(&s[i].task);
	}
	for (int i = 0; i < 20; i++) {
		int v = -1;

		expect_eq(gort_chan_recv(c, &v), 0);
		expect_eq(v, i);
	}
	for (int i = 0; i < 20; i++)
		await_done(&s[i].task);
	gort_chan_unref(c);
}

static void signals(void *arg)
{
	struct end *e = arg;

	for (int i = 0; i < 100; i++)
		gort_chan_send(e->c, NULL);
	task_done(&e->task);
}

GO_TEST(zero_size_elements_work_at_capacity_0_1_and_many)
{
	for (size_t cap = 0; cap < 4; cap++) {
		struct end e = { .c = new_chan(0, cap == 3 ? (size_t)1 << 40 : cap) };
		char untouched = 'x';

		spawn(signals, &e);
		for (int i = 0; i < 50; i++)
			expect_eq(gort_chan_recv(e.c, NULL), 0);
		for (int i = 0; i < 50; i++)
			expect_eq(gort_chan_recv(e.c, &untouched), 0);
		expect(untouched == 'x');
		await_done(&e.task);
		expect_eq(gort_chan_try_recv(e.c, NULL), -EAGAIN);
		if (cap == 1 || cap == 2) {
			for (size_t i = 0; i < cap; i++)
				expect_eq(gort_chan_try_send(e.c, NULL), 0);
			expect_eq(gort_chan_try_send(e.c, NULL), -EAGAIN);
		}
		gort_chan_close(e.c);
		gort_chan_unref(e.c);
	}
}

GO_TEST(a_receive_into_null_consumes)
{
	for (size_t cap = 0; cap < 3; cap++) {
		struct stream s = { new_chan(sizeof(int), cap), 4, { 0 } };
		int v = -1;

		spawn(sends_a_stream, &s);
		expect_eq(gort_chan_recv(s.c, NULL), 0);
		expect_eq(gort_chan_recv(s.c, &v), 0);
		expect_eq(v, 1);
		while (gort_chan_try_recv(s.c, NULL) == -EAGAIN)
			gort_yield();
		expect_eq(gort_chan_recv_until(s.c, &v, GORT_FOREVER), 0);
		expect_eq(v, 3);
		await_done(&s.task);
		gort_chan_unref(s.c);
	}
}

struct big {
	unsigned char bytes[100000];
};

static void fill(struct big *b, unsigned n)
{
	for (size_t i = 0; i < sizeof b->bytes; i++)
		b->bytes[i] = (unsigned char)(i * 31 + n);
}

static void sends_big(void *arg)
{
	struct end *e = arg;
	struct big *b = malloc(sizeof *b);

	for (unsigned n = 0; n < 5 && expect(b != NULL); n++) {
		fill(b, n);
		gort_chan_send(e->c, b);
	}
	free(b);
	task_done(&e->task);
}

GO_TEST(large_elements_pass_whole)
{
	for (size_t cap = 0; cap < 3; cap++) {
		struct end e = { .c = new_chan(sizeof(struct big), cap) };
		struct big *got = malloc(sizeof *got), *want = malloc(sizeof *want);

		spawn(sends_big, &e);
		for (unsigned n = 0; n < 5; n++) {
			memset(got, 0, sizeof *got);
			fill(want, n);
			expect_eq(gort_chan_recv(e.c, got), 0);
			expect(memcmp(got, want, sizeof *got) == 0);
		}
		await_done(&e.task);
		gort_chan_unref(e.c);
		free(got);
		free(want);
	}
}

/* Every odd size through every small capacity, with bytes behind the element that nobody may touch. */
GO_TEST(elements_of_every_size_keep_their_bounds)
{
	for (size_t size = 1; size <= 70; size++) {
		gort_chan *c = new_chan(size, 3);
		unsigned char in[72], out[72];

		for (int round = 0; round < 5; round++) {
			for (unsigned k = 0; k < 3; k++) {
				for (size_t i = 0; i < size; i++)
					in[i] = (unsigned char)(size + i + k);
				expect_eq(gort_chan_try_send(c, in), 0);
			}
			for (unsigned k = 0; k < 3; k++) {
				memset(out, 0xEE, sizeof out);
				expect_eq(gort_chan_try_recv(c, out), 0);
				for (size_t i = 0; i < size; i++)
					expect(out[i] == (unsigned char)(size + i + k));
				expect(out[size] == 0xEE && out[71] == 0xEE);
			}
		}
		gort_chan_unref(c);
	}
}

THREAD_TEST(impossible_sizes_are_refused)
{
	expect(gort_chan_new(1, SIZE_MAX) == NULL);
	expect(gort_chan_new(SIZE_MAX, 1) == NULL);
	expect(gort_chan_new(SIZE_MAX, SIZE_MAX) == NULL);
	expect(gort_chan_new((size_t)1 << 33, (size_t)1 << 33) == NULL);
	expect(gort_chan_new(1, SIZE_MAX - 64) == NULL);
	expect(gort_chan_new(1, PTRDIFF_MAX) == NULL);
	expect(gort_chan_new(0, SIZE_MAX) == NULL);
	/* an element that never fits a buffer is fine without one only if it could be had at all */
	expect(gort_chan_new(2, (size_t)PTRDIFF_MAX / 2 + 1) == NULL);
}

GO_TEST(a_passed_deadline_beats_readiness)
{
	gort_chan *c = new_chan(sizeof(int), 1);
	int v = 1;

	expect_eq(gort_chan_send_until(c, &v, gort_now()), -ETIMEDOUT);
	expect_eq(gort_chan_len(c), 0);
	gort_chan_send(c, &v);
	v = -1;
	expect_eq(gort_chan_recv_until(c, &v, gort_now()), -ETIMEDOUT);
	expect_eq(gort_chan_recv_until(c, &v, 0), -ETIMEDOUT);
	expect_eq(gort_chan_recv_until(c, &v, INT64_MIN), -ETIMEDOUT);
	expect_eq(v, -1);
	expect_eq(gort_chan_len(c), 1);
	expect_eq(gort_chan_recv_until(c, &v, gort_deadline(GORT_HOUR)), 0);
	expect_eq(v, 1);
	gort_chan_unref(c);
}

GO_TEST(a_deadline_ends_a_wait_and_is_never_early)
{
	gort_chan *c = new_chan(sizeof(int), 0);
	int v = -1;

	for (int i = 0; i < 5; i++) {
		gort_time until = gort_deadline(2 * GORT_MILLISECOND);

		expect_eq(gort_chan_recv_until(c, &v, until), -ETIMEDOUT);
		expect(gort_now() >= until);
		expect_eq(v, -1);
		until = gort_deadline(2 * GORT_MILLISECOND);
		expect_eq(gort_chan_send_until(c, &v, until), -ETIMEDOUT);
		expect(gort_now() >= until);
		/* nothing of it stays behind */
		expect_eq(gort_chan_try_recv(c, &v), -EAGAIN);
		expect_eq(gort_chan_try_send(c, &v), -EAGAIN);
	}
	gort_chan_unref(c);
}

static void receives_until(void *arg)
{
	struct end *e = arg;

	task_here(&e->task);
	e->result = gort_chan_recv_until(e->c, &e->value, gort_deadline(GORT_HOUR));
	task_done(&e->task);
}

GO_TEST(a_wait_with_a_deadline_takes_the_value)
{
	for (int i = 0; i < 200; i++) {
		struct end e = { .c = new_chan(sizeof(int), 0), .result = -1 };

		spawn(receives_until, &e);
		await_parked(&e.task);
		gort_chan_send(e.c, &i);
		await_done(&e.task);
		expect_eq(e.result, 0);
		expect_eq(e.value, i);
		gort_chan_unref(e.c);
	}
}

GO_TEST(a_timed_out_waiter_is_passed_over)
{
	gort_chan *c = new_chan(sizeof(int), 0);
	struct end r = { .c = c, .result = -1 };
	int v = 4, w = -1;

	expect_eq(gort_chan_recv_until(c, &w, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	spawn(receives, &r);
	await_parked(&r.task);
	gort_chan_send(c, &v);
	await_done(&r.task);
	expect_eq(r.value, 4);
	expect_eq(w, -1);
	gort_chan_unref(c);
}

static void blocks_on_nil(void *arg)
{
	struct end *e = arg;

	task_here(&e->task);
	if (e->value == 0)
		gort_chan_recv(NULL, NULL);
	else
		gort_chan_send(NULL, &e->value);
	task_done(&e->task);
}

GO_TEST(a_null_channel_blocks_for_ever)
{
	static struct end e[2];                 /* outlive the test: they never end */
	int v = 0;

	for (int i = 0; i < 2; i++) {
		e[i] = (struct end){ .value = i };
		spawn(blocks_on_nil, &e[i]);
		await_parked(&e[i].task);
	}
	expect_eq(gort_chan_try_send(NULL, &v), -EAGAIN);
	expect_eq(gort_chan_try_recv(NULL, &v), -EAGAIN);
	expect_eq(gort_chan_len(NULL), 0);
	expect_eq(gort_chan_cap(NULL), 0);
	expect_eq(gort_chan_recv_until(NULL, &v, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	expect_eq(gort_chan_send_until(NULL, &v, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_chan_unref(NULL);
	expect(gort_chan_ref(NULL) == NULL);
	for (int i = 0; i < 1000; i++)
		gort_yield();
	expect(!get(&e[0].task.done) && !get(&e[1].task.done));
}

GO_TEST(references_keep_a_channel)
{
	gort_chan *c = new_chan(sizeof(int), 1);
	int v = 6;

	expect(gort_chan_ref(c) == c);
	gort_chan_unref(c);
	gort_chan_send(c, &v);
	v = 0;
	expect_eq(gort_chan_recv(c, &v), 0);
	expect_eq(v, 6);
	gort_chan_unref(c);
}

static void thread_sends(void *arg)
{
	struct stream *s = arg;

	for (int i = 0; i < s->n; i++)
		gort_chan_send(s->c, &i);
}

GO_TEST(plain_threads_and_goroutines_share_a_channel)
{
	for (size_t cap = 0; cap < 3; cap++) {
		struct stream s = { new_chan(sizeof(int), cap), (int)test_scale(2000), { 0 } };
		pthread_t t = thread_start(thread_sends, &s);
		int v = -1;

		for (int i = 0; i < s.n; i++) {
			expect_eq(gort_chan_recv(s.c, &v), 0);
			expect_eq(v, i);
		}
		thread_join(t);
		gort_chan_unref(s.c);
	}
}

START_TEST(channels_work_between_plain_threads_alone)
{
	struct stream s = { new_chan(sizeof(int), 0), (int)test_scale(2000), { 0 } };
	pthread_t t = thread_start(thread_sends, &s);
	int v = -1;

	for (int i = 0; i < s.n; i++) {
		ck_assert_int_eq(gort_chan_recv(s.c, &v), 0);
		ck_assert_int_eq(v, i);
	}
	thread_join(t);
	ck_assert_int_eq(gort_chan_recv_until(s.c, &v, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_chan_unref(s.c);
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "chan", NULL);
	test_add(&s, an_empty_receive_blocks_until_a_value_comes);
	test_add(&s, a_full_send_blocks_until_there_is_room);
	test_add(&s, try_forms_return_at_once);
	test_add(&s, try_forms_meet_a_waiting_peer);
	test_add(&s, a_waiting_receiver_gets_the_value_directly);
	test_add(&s, a_receive_from_a_full_channel_moves_the_oldest_sender_to_the_tail);
	test_add(&s, values_are_first_in_first_out_at_every_capacity);
	test_add(&s, waiting_receivers_are_served_first_come_first_served);
	test_add(&s, waiting_senders_are_served_first_come_first_served);
	test_add(&s, zero_size_elements_work_at_capacity_0_1_and_many);
	test_add(&s, a_receive_into_null_consumes);
	test_add(&s, large_elements_pass_whole);
	test_add(&s, elements_of_every_size_keep_their_bounds);
	test_add(&s, impossible_sizes_are_refused);
	test_add(&s, a_passed_deadline_beats_readiness);
	test_add(&s, a_deadline_ends_a_wait_and_is_never_early);
	test_add(&s, a_wait_with_a_deadline_takes_the_value);
	test_add(&s, a_timed_out_waiter_is_passed_over);
	test_add(&s, a_null_channel_blocks_for_ever);
	test_add(&s, references_keep_a_channel);
	test_add(&s, plain_threads_and_goroutines_share_a_channel);
	test_add(&s, channels_work_between_plain_threads_alone);
	return test_end(&s);
}
