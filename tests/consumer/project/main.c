/* SPDX-License-Identifier: MIT */
/* A user's program, in C and in C++: the sum of what goroutines send, and a pipe that it goes through. */
#include <gort/chan.h>
#include <gort/context.h>
#include <gort/net.h>
#include <gort/sync.h>

#include <stdio.h>

struct shared {
	gort_chan *c;
	gort_waitgroup wg;
	gort_mutex m;
	long sent;
	gort_context *ctx;
};

static void send(void *arg)
{
	struct shared *s = (struct shared *)arg;

	for (long i = 1; i <= 100; i++)
		gort_chan_send(s->c, &i);
	gort_mutex_lock(&s->m);
	s->sent += 100;
	gort_mutex_unlock(&s->m);
	gort_waitgroup_done(&s->wg);
}

static void finish(void *arg)
{
	struct shared *s = (struct shared *)arg;

	gort_waitgroup_wait(&s->wg);
	gort_context_cancel(s->ctx);
	gort_chan_recv(gort_context_done(s->ctx), NULL);
	gort_chan_close(s->c);
}

static long through_pipe(long v)
{
	gort_conn *ends[2];
	long got = 0;

	if (gort_pipe(ends) != 0 || gort_write(ends[1], &v, sizeof v) != sizeof v || gort_read(ends[0], &got, sizeof got) != sizeof got)
		return -1;
	gort_conn_close(ends[0]);
	gort_conn_close(ends[1]);
	return got;
}

GORT_MAIN(argc, argv)
{
	struct shared s = { gort_chan_new(sizeof(long), 4), GORT_WAITGROUP_INIT, GORT_MUTEX_INIT, 0, NULL };
	long v, sum = 0;

	(void)argc;
	(void)argv;
	s.ctx = gort_context_with_cancel(gort_context_background());
	gort_waitgroup_add(&s.wg, 10);
	for (int i = 0; i < 10; i++) {
		if (gort_go(send, &s) != 0)
			return 1;
	}
	if (gort_go(finish, &s) != 0)
		return 1;
	while (gort_chan_recv(s.c, &v) == 0)
		sum += v;
	gort_chan_unref(s.c);
	gort_context_unref(s.ctx);
	printf("%s %ld %ld\n", gort_version(), s.sent, through_pipe(sum));
	return 0;
}
