/* SPDX-License-Identifier: MIT */
/*
 * portscan HOST [FIRST-LAST] - which TCP ports of a host somebody listens on
 *
 * All ports unless given. Workers take ports from a channel, each dials one at a time and waits for a second at most, so as
 * many connections are under way as there are workers, whatever the number of ports. Scan your own machines only.
 */
#include <gort/chan.h>
#include <gort/net.h>
#include <gort/sync.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 200
#define PATIENCE GORT_SECOND

enum outcome { CLOSED, OPEN, SILENT, UNKNOWN };

struct scan {
	char host[80];                  /* as a number, in brackets if it has colons */
	gort_chan *ports;               /* int */
	gort_waitgroup wg;
	unsigned char outcome[65536];   /* each written by the worker that has the port */
};

static enum outcome try_port(const struct scan *s, int port)
{
	char address[96];
	gort_conn *c;
	int err;

	snprintf(address, sizeof address, "%s:%d", s->host, port);
	/* descriptors come back when others are through */
	while ((err = gort_dial(&c, "tcp", address, gort_deadline(PATIENCE))) == -EMFILE || err == -ENFILE)
		gort_sleep(10 * GORT_MILLISECOND);
	switch (err) {
	case 0: gort_conn_close(c); return OPEN;
	case -ECONNREFUSED: case -ECONNRESET: return CLOSED;
	case -ETIMEDOUT: return SILENT;
	default: return UNKNOWN;
	}
}

static void work(void *arg)
{
	struct scan *s = arg;
	int port;

	while (gort_chan_recv(s->ports, &port) == 0)
		s->outcome[port] = (unsigned char)try_port(s, port);
	gort_waitgroup_done(&s->wg);
}

/* The host's first address, written as a number, without a port. */
static int find_host(struct scan *s, const char *host)
{
	gort_addr a;
	int n = gort_resolve(host, "1", &a, 1);

	if (n < 0)
		return n;
	n = gort_addr_format(&a, s->host, sizeof s->host);
	if (n < 0)
		return n;
	*strrchr(s->host, ':') = '\0';
	return 0;
}

static int scan(struct scan *s, int first, int last)
{
	int started = 0, count[4] = { 0 };

	s->ports = gort_chan_new(sizeof(int), WORKERS);
	if (s->ports == NULL)
		return -ENOMEM;
	for (; started < WORKERS && started <= last - first; started++) {
		gort_waitgroup_add(&s->wg, 1);
		if (gort_go(work, s) != 0) {
			gort_waitgroup_done(&s->wg);
			break;
		}
	}
	for (int port = first; port <= last && started > 0; port++)
		gort_chan_send(s->ports, &port);
	gort_chan_close(s->ports);
	gort_waitgroup_wait(&s->wg);
	gort_chan_unref(s->ports);
	if (started == 0)
		return -ENOMEM;
	for (int port = first; port <= last; port++) {
		count[s->outcome[port]]++;
		if (s->outcome[port] == OPEN)
			printf("%d\n", port);
	}
	fprintf(stderr, "%s: %d open, %d closed, %d silent, %d not reached\n", s->host, count[OPEN], count[CLOSED],
		count[SILENT], count[UNKNOWN]);
	return 0;
}

/* "FIRST-LAST", or one port. */
static bool read_range(const char *text, int *first, int *last)
{
	char *end;
	long a = strtol(text, &end, 10), b = a;

	if (end != text && *end == '-') {
		text = end + 1;
		b = strtol(text, &end, 10);
	}
	if (end == text || *end != '\0' || a < 1 || b > 65535 || a > b)
		return false;
	*first = (int)a;
	*last = (int)b;
	return true;
}

GORT_MAIN(argc, argv)
{
	static struct scan s;
	int first = 1, last = 65535, err;

	if (argc < 2 || argc > 3 || (argc == 3 && !read_range(argv[2], &first, &last))) {
		fprintf(stderr, "usage: portscan HOST [FIRST-LAST]    ports from 1 to 65535\n");
		return 2;
	}
	err = find_host(&s, argv[1]);
	if (err == 0)
		err = scan(&s, first, last);
	if (err != 0)
		fprintf(stderr, "portscan: %s: %s\n", argv[1], gort_strerror(err));
	return err != 0;
}
