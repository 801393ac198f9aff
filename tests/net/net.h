/* SPDX-License-Identifier: MIT */
/* What the tests of libgort-net share: pairs of connections, and who echoes. Only loopback addresses are ever used. */
#ifndef TEST_NET_H
#define TEST_NET_H

#include "test.h"

#include <gort/net.h>

#define LONG_TIME (100 * GORT_SECOND)           /* never comes in a test that passes */

/* A listener at a free port of this machine; its address to addr. */
static inline gort_listener *listen_tcp(char addr[64])
{
	gort_listener *l = NULL;

	if (expect_eq(gort_listen(&l, "tcp", "127.0.0.1:0", NULL), 0))
		expect(gort_listener_addr(l, addr, 64) > 0);
	return l;
}

/* Two ends of a TCP connection. */
static inline bool tcp_pair(gort_conn *ends[2])
{
	char addr[64];
	gort_listener *l = listen_tcp(addr);
	bool ok = l != NULL && expect_eq(gort_dial(&ends[0], "tcp", addr, GORT_FOREVER), 0) &&
		expect_eq(gort_accept(l, &ends[1]), 0);

	if (l != NULL)
		expect_eq(gort_listener_close(l), 0);
	return ok;
}

static inline void close_pair(gort_conn *ends[2])
{
	gort_conn_close(ends[0]);
	gort_conn_close(ends[1]);
}

/* A call that blocks, in a goroutine of its own. */
struct reader {
	struct task t;
	gort_conn *c;
	char buf[256];
	size_t n;               /* how much to ask for; 0: all of buf */
	ptrdiff_t result;
	int begun;              /* for ThreadSanitizer, which does not see that an end was before who reads it */
};

static inline void reads(void *arg)
{
	struct reader *r = arg;

	task_here(&r->t);
	r->result = gort_read(r->c, r->buf, r->n != 0 ? r->n : sizeof r->buf);
	(void)get(&r->begun);
	task_done(&r->t);
}

static inline void start_read(struct reader *r, gort_conn *c)
{
	memset(r, 0, sizeof *r);
	r->c = c;
	spawn(reads, r);
	await_parked(&r->t);
	set(&r->begun, 1);
}

static inline ptrdiff_t end_read(struct reader *r)
{
	await_done(&r->t);
	return r->result;
}

/*
 * The descriptors that the poller's library keeps for as long as the process lives, TEST_POLLER_KEEPS of them, are there
 * afterwards, and nothing else is. Outside goroutines.
 */
static inline void poller_once(void)
{
	char addr[64];
	gort_listener *l = listen_tcp(addr);

	if (l != NULL)
		expect_eq(gort_listener_close(l), 0);
	gort_shutdown();
}

/* Fills the way to the peer until a write of one byte more would wait. */
static inline void fill_up(gort_conn *c)
{
	static char block[1 << 16];
	gort_time t = gort_deadline(50 * GORT_MILLISECOND);

	expect_eq(gort_conn_set_write_deadline(c, t), 0);
	while (gort_write(c, block, sizeof block) > 0)
		gort_conn_set_write_deadline(c, gort_deadline(50 * GORT_MILLISECOND));
	expect_eq(gort_conn_set_write_deadline(c, GORT_FOREVER), 0);
}

#endif
