/* SPDX-License-Identifier: MIT */
/* Deadlines and close: of calls that wait, that come later, and that are under way beside each other. */
#include "net.h"

#include <fcntl.h>
#include <sys/socket.h>

#define PAST 1

GO_TEST(a_past_deadline_fails_even_with_data_ready)
{
	gort_conn *c[2];
	char b[4];

	if (!tcp_pair(c))
		return;
	expect_eq(gort_write(c[0], "abc", 3), 3);
	expect_eq(gort_conn_set_read_deadline(c[1], PAST), 0);
	expect_eq(gort_read(c[1], b, sizeof b), -ETIMEDOUT);
	expect_eq(gort_read(c[1], b, sizeof b), -ETIMEDOUT);    /* sticky */
	expect_eq(gort_write(c[1], "x", 1), 1);                 /* the other direction has its own */
	expect_eq(gort_conn_set_read_deadline(c[1], GORT_FOREVER), 0);
	expect_eq(gort_read(c[1], b, sizeof b), 3);
	expect_eq(gort_conn_set_write_deadline(c[1], PAST), 0);
	expect_eq(gort_write(c[1], "x", 1), -ETIMEDOUT);
	expect_eq(gort_read(c[0], b, sizeof b), 1);
	expect_eq(gort_conn_set_deadline(c[1], PAST), 0);
	expect_eq(gort_read(c[1], b, sizeof b), -ETIMEDOUT);
	expect_eq(gort_conn_set_deadline(c[1], gort_deadline(LONG_TIME)), 0);
	expect_eq(gort_write(c[1], "x", 1), 1);
	close_pair(c);
}

GO_TEST(a_read_ends_at_its_deadline_and_not_before)
{
	gort_conn *c[2];
	char b[4];

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < 20; i++) {
		gort_time t = gort_deadline(i * 100 * GORT_MICROSECOND);

		gort_conn_set_read_deadline(c[1], t);
		expect_eq(gort_read(c[1], b, sizeof b), -ETIMEDOUT);
		expect(gort_now() >= t);
	}
	/* extended, it reads again */
	gort_conn_set_read_deadline(c[1], gort_deadline(LONG_TIME));
	expect_eq(gort_write(c[0], "abc", 3), 3);
	expect_eq(gort_read(c[1], b, sizeof b), 3);
	close_pair(c);
}

GO_TEST(a_deadline_set_while_a_call_waits_ends_it)
{
	gort_conn *c[2];
	struct reader r;

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < 50; i++) {
		start_read(&r, c[1]);
		expect_eq(gort_conn_set_read_deadline(c[1], i % 2 ? PAST : gort_deadline(100 * GORT_MICROSECOND)), 0);
		expect_eq(end_read(&r), -ETIMEDOUT);
		expect_eq(gort_conn_set_read_deadline(c[1], GORT_FOREVER), 0);
	}
	close_pair(c);
}

/* A read waits with a deadline of soon, which is put off before it passes; then it does. On a slow machine, a later one. */
static void read_put_off(struct reader *r, gort_conn *c, gort_time until)
{
	gort_time soon;

	for (gort_duration d = 10 * GORT_MILLISECOND;; d *= 2) {
		soon = gort_deadline(d);
		gort_conn_set_read_deadline(c, soon);
		start_read(r, c);
		gort_conn_set_read_deadline(c, until);
		if (gort_now() < soon)
			break;
		if (get(&r->t.done) != 0)
			continue;
		gort_conn_set_read_deadline(c, PAST);
		end_read(r);
	}
	while (gort_now() <= soon + GORT_MILLISECOND)
		gort_yield();
	await_parked(&r->t);
}

GO_TEST(a_deadline_put_off_while_a_call_waits_holds)
{
	gort_conn *c[2];
	struct reader r;

	if (!tcp_pair(c))
		return;
	read_put_off(&r, c[1], gort_deadline(LONG_TIME));
	expect_eq(get(&r.t.done), 0);
	/* the write deadline has nothing to do with it */
	gort_conn_set_write_deadline(c[1], PAST);
	await_parked(&r.t);
	expect_eq(get(&r.t.done), 0);
	expect_eq(gort_write(c[0], "abc", 3), 3);
	expect_eq(end_read(&r), 3);
	/* off */
	read_put_off(&r, c[1], GORT_FOREVER);
	expect_eq(get(&r.t.done), 0);
	expect_eq(gort_write(c[0], "abc", 3), 3);
	expect_eq(end_read(&r), 3);
	close_pair(c);
}

struct writer {
	struct task t;
	gort_conn *c;
	ptrdiff_t result;
};

static void writes(void *arg)
{
	struct writer *w = arg;
	static char block[100000];

	task_here(&w->t);
	w->result = gort_write(w->c, block, sizeof block);
	task_done(&w->t);
}

GO_TEST(a_write_that_waits_ends_too)
{
	gort_conn *c[2];
	struct writer w;

	for (int i = 0; i < 3; i++) {
		if (!tcp_pair(c))
			return;
		fill_up(c[0]);
		w = (struct writer){ .c = c[0] };
		spawn(writes, &w);
		await_parked(&w.t);
		if (i == 0)
			gort_conn_set_write_deadline(c[0], PAST);
		else if (i == 1)
			gort_conn_set_write_deadline(c[0], gort_deadline(GORT_MILLISECOND));
		else
			gort_conn_close(gort_conn_ref(c[0]));
		await_done(&w.t);
		expect(w.result == (i < 2 ? -ETIMEDOUT : -ECANCELED) || (w.result > 0 && w.result < 100000));
		gort_conn_unref(c[0]);
		gort_conn_close(c[1]);
	}
}

/* Two directions of one connection, and several calls in each. */
GO_TEST(readers_are_served_in_turn)
{
	enum { N = 10 };
	gort_conn *c[2];
	struct reader r[N];

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < N; i++) {
		memset(&r[i], 0, sizeof r[i]);
		r[i].c = c[1];
		r[i].n = 1;
		spawn(reads, &r[i]);
		await_parked(&r[i].t);
	}
	for (int i = 0; i < N; i++) {
		char b = (char)('a' + i);

		expect_eq(gort_write(c[0], &b, 1), 1);
		expect_eq(end_read(&r[i]), 1);
		expect_eq(r[i].buf[0], b);
	}
	/* all end at a deadline, those in the queue too */
	for (int i = 0; i < N; i++)
		start_read(&r[i], c[1]);
	gort_conn_set_read_deadline(c[1], gort_deadline(GORT_MILLISECOND));
	for (int i = 0; i < N; i++)
		expect_eq(end_read(&r[i]), -ETIMEDOUT);
	gort_conn_set_read_deadline(c[1], GORT_FOREVER);
	/* and at close */
	for (int i = 0; i < N; i++)
		start_read(&r[i], c[1]);
	expect_eq(gort_conn_close(gort_conn_ref(c[1])), 0);
	for (int i = 0; i < N; i++)
		expect_eq(end_read(&r[i]), -ECANCELED);
	close_pair(c);
}

GO_TEST(one_reads_while_another_writes)
{
	gort_conn *c[2];
	struct reader r;
	char b[4];

	if (!tcp_pair(c))
		return;
	start_read(&r, c[0]);
	expect_eq(gort_write(c[0], "abc", 3), 3);
	expect_eq(gort_read(c[1], b, sizeof b), 3);
	expect_eq(gort_write(c[1], "de", 2), 2);
	expect_eq(end_read(&r), 2);
	close_pair(c);
}

/* --- close --- */

GO_TEST(close_ends_a_read_with_the_closed_error)
{
	gort_conn *c[2];
	struct reader r;
	char b;

	if (!tcp_pair(c))
		return;
	gort_conn_set_deadline(c[1], gort_deadline(LONG_TIME));
	gort_conn_ref(c[1]);
	start_read(&r, c[1]);
	expect_eq(gort_conn_close(c[1]), 0);
	expect_eq(end_read(&r), -ECANCELED);
	/* later ones, through another reference */
	expect_eq(gort_read(c[1], &b, 1), -ECANCELED);
	expect_eq(gort_write(c[1], &b, 1), -ECANCELED);
	expect_eq(gort_read(c[1], &b, 0), -ECANCELED);
	expect_eq(gort_conn_set_deadline(c[1], PAST), -ECANCELED);
	expect_eq(gort_conn_shutdown_write(c[1]), -ECANCELED);
	expect_eq(gort_conn_local_addr(c[1], &b, 1), -ECANCELED);
	expect_eq(gort_conn_close(c[1]), -EBADF);
	gort_conn_close(c[0]);
}

static void accepts(void *arg)
{
	struct reader *r = arg;
	gort_conn *c;

	task_here(&r->t);
	r->result = gort_accept((gort_listener *)r->c, &c);
	task_done(&r->t);
}

GO_TEST(close_ends_accept_and_so_does_a_deadline)
{
	char addr[64];
	gort_listener *l = listen_tcp(addr);
	struct reader r = { .c = (gort_conn *)l };
	gort_conn *c;

	spawn(accepts, &r);
	await_parked(&r.t);
	expect_eq(gort_listener_set_deadline(l, PAST), 0);
	await_done(&r.t);
	expect_eq(r.result, -ETIMEDOUT);
	expect_eq(gort_accept(l, &c), -ETIMEDOUT);
	gort_listener_set_deadline(l, GORT_FOREVER);
	r = (struct reader){ .c = (gort_conn *)l };
	spawn(accepts, &r);
	await_parked(&r.t);
	gort_listener_ref(l);
	expect_eq(gort_listener_close(l), 0);
	await_done(&r.t);
	expect_eq(r.result, -ECANCELED);
	expect_eq(gort_accept(l, &c), -ECANCELED);
	/* the port is free the moment that close has returned */
	expect(gort_dial(&c, "tcp", addr, GORT_FOREVER) == -ECONNREFUSED);
	expect_eq(gort_listener_close(l), -EBADF);
}

/* The number is given up by the time that close returns, and not before the last call has left. */
GO_TEST(the_number_is_free_when_close_returns)
{
	gort_conn *c[2];
	struct reader r;

	for (int i = 0; i < 100; i++) {
		int fd;

		if (!tcp_pair(c))
			return;
		fd = gort_conn_fd(c[1]);
		start_read(&r, c[1]);
		expect_eq(gort_conn_close(c[1]), 0);
		expect(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
		expect_eq(end_read(&r), -ECANCELED);
		gort_conn_close(c[0]);
	}
}

GO_TEST(the_last_reference_closes)
{
	gort_conn *c[2];
	char b;
	int fd;

	if (!tcp_pair(c))
		return;
	fd = gort_conn_fd(c[0]);
	gort_conn_unref(gort_conn_ref(c[0]));
	expect(fcntl(fd, F_GETFD) >= 0);
	gort_conn_unref(c[0]);
	expect(fcntl(fd, F_GETFD) < 0);
	expect_eq(gort_read(c[1], &b, 1), 0);
	gort_conn_close(c[1]);
	gort_conn_unref(NULL);
	gort_listener_unref(NULL);
	gort_packet_unref(NULL);
}

/* --- threads --- */

static void thread_reads(void *arg)
{
	reads(arg);
}

THREAD_TEST(plain_threads_read_and_write_too)
{
	gort_conn *c[2];
	struct reader r = { 0 };
	pthread_t t;
	char b[4];

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < 20; i++) {
		memset(&r, 0, sizeof r);
		r.c = c[1];
		t = thread_start(thread_reads, &r);
		await_parked(&r.t);
		expect_eq(gort_write(c[0], "abc", 3), 3);
		thread_join(t);
		expect_eq(r.result, 3);
	}
	gort_conn_set_read_deadline(c[1], gort_deadline(GORT_MILLISECOND));
	expect_eq(gort_read(c[1], b, sizeof b), -ETIMEDOUT);
	gort_conn_set_read_deadline(c[1], GORT_FOREVER);
	memset(&r, 0, sizeof r);
	r.c = c[1];
	t = thread_start(thread_reads, &r);
	await_parked(&r.t);
	expect_eq(gort_conn_close(gort_conn_ref(c[1])), 0);
	thread_join(t);
	expect_eq(r.result, -ECANCELED);
	close_pair(c);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "deadline", NULL);
	test_add(&s, a_past_deadline_fails_even_with_data_ready);
	test_add(&s, a_read_ends_at_its_deadline_and_not_before);
	test_add(&s, a_deadline_set_while_a_call_waits_ends_it);
	test_add(&s, a_deadline_put_off_while_a_call_waits_holds);
	test_add(&s, a_write_that_waits_ends_too);
	test_add(&s, readers_are_served_in_turn);
	test_add(&s, one_reads_while_another_writes);
	test_add(&s, close_ends_a_read_with_the_closed_error);
	test_add(&s, close_ends_accept_and_so_does_a_deadline);
	test_add(&s, the_number_is_free_when_close_returns);
	test_add(&s, the_last_reference_closes);
	test_add(&s, plain_threads_read_and_write_too);
	return test_end(&s);
}
