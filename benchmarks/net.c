/* SPDX-License-Identifier: MIT */
/* TCP over loopback, both ends in this process. */
#include "bench.h"

#include <gort/net.h>

#include <stdlib.h>

#define CONNS 64
#define DIALLERS 8
#define MESSAGE 64

static void echoes(void *arg)
{
	char b[MESSAGE];
	ptrdiff_t n;

	while ((n = gort_read(arg, b, sizeof b)) > 0 && gort_write(arg, b, (size_t)n) == n)
		;
	gort_conn_close(arg);
}

struct server {
	gort_listener *l;
	void (*serve)(void *conn);
};

static void accepts(void *arg)
{
	struct server *s = arg;
	gort_conn *c;

	while (gort_accept(s->l, &c) == 0)
		bench_go(s->serve, c);
	gort_listener_unref(s->l);
}

/* address has room for one. */
static gort_listener *listen_here(void (*serve)(void *conn), char *address, size_t size)
{
	struct server s = { .serve = serve };

	bench_check(gort_listen(&s.l, "tcp", "127.0.0.1:0", NULL) == 0, "no listener");
	bench_check(gort_listener_addr(s.l, address, size) > 0, "no address");
	gort_listener_ref(s.l);
	bench_check(gort_go_copy(accepts, &s, sizeof s) == 0, "out of memory");
	return s.l;
}

struct client {
	gort_conn *conn;
	const char *address;
	long n;
	gort_waitgroup *wg;
};

static void asks(void *arg)
{
	struct client *me = arg;
	char b[MESSAGE] = { 0 };

	for (long i = 0; i < me->n; i++) {
		bench_check(gort_write(me->conn, b, sizeof b) == sizeof b, "a message was not sent");
		bench_check(gort_read_full(me->conn, b, sizeof b) == sizeof b, "a message has not come back");
	}
	gort_waitgroup_done(me->wg);
}

static void tcp_echo(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct client me = { .n = n / CONNS, .wg = &wg };
	gort_conn *conns[CONNS];
	char address[64];
	gort_listener *l = listen_here(echoes, address, sizeof address);
	gort_time t;

	for (int i = 0; i < CONNS; i++)
		bench_check(gort_dial(&conns[i], "tcp", address, GORT_FOREVER) == 0, "no connection");
	t = gort_now();
	gort_waitgroup_add(&wg, CONNS);
	for (int i = 0; i < CONNS; i++) {
		me.conn = conns[i];
		bench_check(gort_go_copy(asks, &me, sizeof me) == 0, "out of memory");
	}
	gort_waitgroup_wait(&wg);
	bench_out("tcp_echo", (double)(me.n * CONNS) / ((double)(gort_now() - t) / 1e9), "msg/s");
	for (int i = 0; i < CONNS; i++)
		gort_conn_close(conns[i]);
	gort_listener_close(l);
}

static void answers(void *arg)
{
	char b[MESSAGE];
	ptrdiff_t n = gort_read(arg, b, sizeof b);

	if (n > 0)
		gort_write(arg, b, (size_t)n);
	gort_read(arg, b, sizeof b);
	gort_conn_close(arg);
}

static void dials(void *arg)
{
	struct client *me = arg;
	char b[MESSAGE] = { 0 };

	for (long i = 0; i < me->n; i++) {
		gort_conn *c;

		bench_check(gort_dial(&c, "tcp", me->address, GORT_FOREVER) == 0, "no connection");
		gort_write(c, b, sizeof b);
		bench_check(gort_read_full(c, b, sizeof b) == sizeof b, "a message has not come back");
		gort_conn_set_linger(c, 0);
		gort_conn_close(c);
	}
	gort_waitgroup_done(me->wg);
}

static void tcp_conn_churn(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	char address[64];
	struct client me = { .n = n / DIALLERS, .wg = &wg, .address = address };
	gort_listener *l = listen_here(answers, address, sizeof address);
	gort_time t = gort_now();

	gort_waitgroup_add(&wg, DIALLERS);
	for (int i = 0; i < DIALLERS; i++)
		bench_check(gort_go_copy(dials, &me, sizeof me) == 0, "out of memory");
	gort_waitgroup_wait(&wg);
	bench_out("tcp_conn_churn", (double)(me.n * DIALLERS) / ((double)(gort_now() - t) / 1e9), "conn/s");
	gort_listener_close(l);
}

const struct bench_item bench_net[] = {
	{ "tcp_conn_churn", tcp_conn_churn, 10000 },
	{ "tcp_echo", tcp_echo, 200000 },
	{ 0 },
};
