/* SPDX-License-Identifier: MIT */
/*
 * A keep-alive HTTP server of the smallest kind: each request that ends with an empty line gets the same answer. wrk, a
 * process of its own, asks; what it counts is the result.
 */
#define _GNU_SOURCE             /* memmem */
#include "bench.h"

#include <gort/net.h>

#include <stdio.h>
#include <string.h>

static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world";

/* How many requests end in b, which has len bytes; what is left of the last one moves to the front. */
static int requests(char *b, size_t *len)
{
	char *from = b, *end;
	int n = 0;

	while ((end = memmem(from, *len, "\r\n\r\n", 4)) != NULL) {
		end += 4;
		*len -= (size_t)(end - from);
		from = end;
		n++;
	}
	memmove(b, from, *len);
	return n;
}

static void greets(void *conn)
{
	char b[4096];
	size_t len = 0;
	ptrdiff_t n;

	while ((n = gort_read(conn, b + len, sizeof b - len)) > 0) {
		len += (size_t)n;
		for (int k = requests(b, &len); k > 0; k--) {
			if (gort_write(conn, hello, sizeof hello - 1) != sizeof hello - 1)
				break;
		}
		if (len == sizeof b)
			break;          /* no end of a request in sight */
	}
	gort_conn_close(conn);
}

static void accepts(void *l)
{
	gort_conn *c;

	while (gort_accept(l, &c) == 0)
		bench_go(greets, c);
	gort_listener_unref(l);
}

struct load {
	char command[256];
	double rate;
	bool failed;            /* some request was answered wrong, or not at all */
	int status;
};

static int run_wrk(void *arg)
{
	struct load *w = arg;
	FILE *f = popen(w->command, "re");
	char line[256];

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof line, f) != NULL) {
		sscanf(line, "Requests/sec: %lf", &w->rate);
		if (strstr(line, "Socket errors") != NULL || strstr(line, "Non-2xx") != NULL)
			w->failed = true;
	}
	w->status = pclose(f);
	return 0;
}

static void http(const char *name, int connections, long seconds)
{
	struct load w = { .status = -1 };
	gort_listener *l;
	char address[64];

	bench_check(gort_listen(&l, "tcp", "127.0.0.1:0", NULL) == 0, "no listener");
	bench_check(gort_listener_addr(l, address, sizeof address) > 0, "no address");
	bench_go(accepts, gort_listener_ref(l));
	snprintf(w.command, sizeof w.command, "exec wrk -t1 -c%d -d%lds http://%s/", connections, seconds, address);
	bench_check(gort_blocking(run_wrk, &w) == 0 && w.status == 0, "wrk has not run");
	bench_check(!w.failed && w.rate > 0, "some requests have failed");
	bench_out(name, w.rate, "req/s");
	gort_listener_close(l);
}

static void http_hello(long n)
{
	http("http_hello", 64, n);
}

static void http_hello_1000(long n)
{
	http("http_hello_1000", 1000, n);
}

const struct bench_item bench_http[] = {
	{ "http_hello", http_hello, 5 },
	{ "http_hello_1000", http_hello_1000, 5 },
	{ 0 },
};
