/* SPDX-License-Identifier: MIT */
/* Channels of a mutex and conditions. */
#include "bench.h"

#include <stdlib.h>

struct stream {
	struct chan c, d;
	long n, sum;
};

static void *echoes(void *arg)
{
	struct stream *s = arg;
	long v;

	while (chan_recv(&s->c, &v))
		chan_send(&s->d, v);
	return NULL;
}

static void pingpong(long n)
{
	struct stream s = { .n = n };
	long v, sum = 0;
	pthread_t echo;
	int64_t t;
	double each;

	chan_init(&s.c, 0);
	chan_init(&s.d, 0);
	echo = start(echoes, &s, 0);
	t = now();
	for (long i = 0; i < n; i++) {
		chan_send(&s.c, i);
		chan_recv(&s.d, &v);
		sum += v;
	}
	each = ns(t, n);
	chan_close(&s.c);
	join(echo);
	check(sum == n * (n - 1) / 2, "sum");
	out("pingpong", each, "ns/roundtrip");
}

static void *sends(void *arg)
{
	struct stream *s = arg;

	for (long i = 0; i < s->n; i++)
		chan_send(&s->c, i);
	return NULL;
}

static void one_way(const char *name, long n, long cap)
{
	struct stream s = { .n = n };
	pthread_t sender;
	int64_t t;
	long v, sum = 0;

	chan_init(&s.c, cap);
	t = now();
	sender = start(sends, &s, 0);
	for (long i = 0; i < n; i++) {
		chan_recv(&s.c, &v);
		sum += v;
	}
	check(sum == n * (n - 1) / 2, "sum");
	out(name, ns(t, n), "ns/item");
	join(sender);
}

static void unbuffered(long n)
{
	one_way("unbuffered", n, 0);
}

static void buffered(long n)
{
	one_way("buffered", n, 128);
}

static void *drains(void *arg)
{
	struct stream *s = arg;
	long v, sum = 0;

	while (chan_recv(&s->c, &v))
		sum += v;
	__atomic_fetch_add(&s->sum, sum, __ATOMIC_RELAXED);
	return NULL;
}

static void mpmc(long n)
{
	struct stream s = { .n = n / 4 };
	pthread_t senders[4], receivers[4];
	int64_t t;

	chan_init(&s.c, 128);
	t = now();
	for (int i = 0; i < 4; i++)
		receivers[i] = start(drains, &s, 0);
	for (int i = 0; i < 4; i++)
		senders[i] = start(sends, &s, 0);
	for (int i = 0; i < 4; i++)
		join(senders[i]);
	chan_close(&s.c);
	for (int i = 0; i < 4; i++)
		join(receivers[i]);
	check(s.sum == 4 * (s.n * (s.n - 1) / 2), "sum");
	out("mpmc", ns(t, n), "ns/item");
}

static void fanin100(long n)
{
	struct stream s = { .n = n / 100 };
	pthread_t senders[100];
	int64_t t;
	long v, sum = 0;

	chan_init(&s.c, 0);
	for (int i = 0; i < 100; i++)
		senders[i] = start(sends, &s, 0);
	t = now();
	for (long i = 0; i < s.n * 100; i++) {
		chan_recv(&s.c, &v);
		sum += v;
	}
	check(sum == 100 * (s.n * (s.n - 1) / 2), "sum");
	out("fanin100", ns(t, s.n * 100), "ns/msg");
	for (int i = 0; i < 100; i++)
		join(senders[i]);
}

static void *fills_and_empties(void *arg)
{
	struct stream *s = arg;
	long v;

	for (long i = 0; i < s->n; i++) {
		chan_send(&s->c, i);
		chan_recv(&s->c, &v);
		s->sum += v;
	}
	return NULL;
}

static void chan_buf1_same_g(long n)
{
	struct stream s = { .n = n };
	int64_t t;

	chan_init(&s.c, 1);
	t = now();
	join(start(fills_and_empties, &s, 0));
	check(s.sum == n * (n - 1) / 2, "sum");
	out("chan_buf1_same_g", ns(t, n), "ns/send+recv");
}

static void *looks(void *arg)
{
	struct stream *s = arg;
	long v;

	for (long i = 0; i < s->n; i++)
		s->sum += chan_try_recv(&s->c, &v);
	return NULL;
}

static void select_default_empty(long n)
{
	struct stream s = { .n = n };
	int64_t t;

	chan_init(&s.c, 0);
	t = now();
	join(start(looks, &s, 0));
	check(s.sum == 0, "something came");
	out("select_default_empty", ns(t, n), "ns/op");
}

struct hop {
	struct chan *in, *to;
};

static void *passes_on(void *arg)
{
	struct hop *h = arg;
	long v;

	while (chan_recv(h->in, &v))
		chan_send(h->to, v + 1);
	chan_close(h->to);
	return NULL;
}

static void ring(long n)
{
	enum { R = 1000 };
	struct chan *c = calloc(R, sizeof *c);
	struct hop *h = calloc(R, sizeof *h);
	pthread_t t[R - 1];
	long v = 0, hops = 0;
	int64_t since;
	double each;

	check(c != NULL && h != NULL, "out of memory");
	for (int i = 0; i < R; i++)
		chan_init(&c[i], 0);
	for (int i = 0; i < R - 1; i++) {
		h[i] = (struct hop){ &c[i], &c[i + 1] };
		t[i] = start(passes_on, &h[i], 64);
	}
	since = now();
	while (hops < n) {
		chan_send(&c[0], v);
		chan_recv(&c[R - 1], &v);
		v++;
		hops += R;
	}
	each = ns(since, hops);
	chan_close(&c[0]);
	for (int i = 0; i < R - 1; i++)
		join(t[i]);
	check(v == hops, "hops");
	out("ring", each, "ns/hop");
	free(c);
	free(h);
}

const struct item chan_items[] = {
	{ "pingpong", 200000, pingpong },
	{ "unbuffered", 200000, unbuffered },
	{ "buffered", 10000000, buffered },
	{ "mpmc", 4000000, mpmc },
	{ "fanin100", 200000, fanin100 },
	{ "chan_buf1_same_g", 20000000, chan_buf1_same_g },
	{ "select_default_empty", 50000000, select_default_empty },
	{ "ring", 100000, ring },
	{ 0 },
};
