/* SPDX-License-Identifier: MIT */
/*
 * A TCP echo server and its client.
 *
 *     echo serve ADDRESS               prints the address it listens at (":0" takes a free port), then serves for ever
 *     echo talk ADDRESS CONNS LINES    CONNS connections at once send LINES lines each and check what comes back
 *
 * A goroutine for each connection, written as if it were the only one. A client that is silent for a minute is let go.
 */
#include <gort/net.h>
#include <gort/sync.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE GORT_MINUTE

static void serve(void *arg)
{
	gort_conn *c = arg;
	char buf[4096];
	ptrdiff_t n;

	for (;;) {
		gort_conn_set_deadline(c, gort_deadline(SILENCE));
		n = gort_read(c, buf, sizeof buf);
		if (n <= 0 || gort_write(c, buf, (size_t)n) != n)
			break;
	}
	gort_conn_close(c);
}

static int serve_all(const char *address)
{
	gort_listener *l;
	gort_conn *c;
	char at[128];
	int err = gort_listen(&l, "tcp", address, NULL);

	if (err != 0) {
		fprintf(stderr, "echo: %s: %s\n", address, gort_strerror(err));
		return 1;
	}
	gort_listener_addr(l, at, sizeof at);
	printf("%s\n", at);
	fflush(stdout);
	while ((err = gort_accept(l, &c)) == 0) {
		if (gort_go(serve, c) != 0)
			gort_conn_close(c);             /* no memory for one more */
	}
	fprintf(stderr, "echo: accept: %s\n", gort_strerror(err));
	gort_listener_close(l);
	return 1;
}

struct talk {
	const char *address;
	long conn, lines;
	long *right;                    /* lines that came back as they were; atomic */
	gort_waitgroup *wg;
};

static void talk(void *arg)
{
	struct talk *t = arg;
	gort_conn *c;
	char line[64], back[64];
	int err = gort_dial(&c, "tcp", t->address, gort_deadline(GORT_MINUTE));

	if (err != 0) {
		fprintf(stderr, "echo: %s: %s\n", t->address, gort_strerror(err));
	} else {
		for (long i = 0; i < t->lines; i++) {
			int n = snprintf(line, sizeof line, "connection %ld, line %ld\n", t->conn, i);

			if (gort_write(c, line, (size_t)n) != n || gort_read_full(c, back, (size_t)n) != n ||
			    memcmp(line, back, (size_t)n) != 0)
				break;
			__atomic_fetch_add(t->right, 1, __ATOMIC_RELAXED);
		}
		gort_conn_close(c);
	}
	gort_waitgroup_done(t->wg);
}

static int talk_all(const char *address, long conns, long lines)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	long right = 0;
	struct talk t = { .address = address, .lines = lines, .right = &right, .wg = &wg };

	for (t.conn = 0; t.conn < conns; t.conn++) {
		gort_waitgroup_add(&wg, 1);
		if (gort_go_copy(talk, &t, sizeof t) != 0) {
			fprintf(stderr, "echo: out of memory\n");
			gort_waitgroup_done(&wg);
			break;
		}
	}
	gort_waitgroup_wait(&wg);
	printf("%ld of %ld lines came back\n", right, conns * lines);
	return right == conns * lines ? 0 : 1;
}

GORT_MAIN(argc, argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve_all(argv[2]);
	if (argc == 5 && strcmp(argv[1], "talk") == 0)
		return talk_all(argv[2], strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10));
	fprintf(stderr, "usage: echo serve ADDRESS | echo talk ADDRESS CONNS LINES\n");
	return 2;
}
