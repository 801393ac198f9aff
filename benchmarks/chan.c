/* SPDX-License-Identifier: MIT */
/* Channels and select. */
#include "bench.h"

struct stream {
	gort_chan *c, *d;
	long n;
	long sum;
	gort_waitgroup *wg;
};

static void echo(void *arg)
{
	struct stream *s = arg;
	long v;

	while (gort_chan_recv(s->c, &v) == 0)
		gort_chan_send(s->d, &v);
	gort_chan_close(s->d);
	gort_waitgroup_done(s->wg);
}

static void pingpong(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct stream s = { .c = bench_chan_new(sizeof(long), 0), .d = bench_chan_new(sizeof(long), 0), .wg = &wg };
	long v, sum = 0;
	gort_time t;
	double ns;

	gort_waitgroup_add(&wg, 1);
	bench_go(echo, &s);
	t = gort_now();
	for (long i = 0; i < n; i++) {
		gort_chan_send(s.c, &i);
		gort_chan_recv(s.d, &v);
		sum += v;
	}
	ns = bench_ns(t, n);
	gort_chan_close(s.c);
	bench_check(gort_chan_recv(s.d, &v) != 0 && sum == n * (n - 1) / 2, "sum");
	bench_out("pingpong", ns, "ns/roundtrip");
	gort_waitgroup_wait(&wg);
	gort_chan_unref(s.c);
	gort_chan_unref(s.d);
}

static void produce(void *arg)
{
	struct stream *s = arg;

	for (long i = 0; i < s->n; i++)
		gort_chan_send(s->c, &i);
	gort_chan_close(s->c);
	gort_waitgroup_done(s->wg);
}

static void one_way(const char *name, long n, size_t cap)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct stream s = { .c = bench_chan_new(sizeof(long), cap), .n = n, .wg = &wg };
	gort_time t = gort_now();
	long sum = 0, v;

	gort_waitgroup_add(&wg, 1);
	bench_go(produce, &s);
	while (gort_chan_recv(s.c, &v) == 0)
		sum += v;
	bench_check(sum == n * (n - 1) / 2, "sum");
	bench_out(name, bench_ns(t, n), "ns/item");
	gort_waitgroup_wait(&wg);
	gort_chan_unref(s.c);
}

static void unbuffered(long n)
{
	one_way("unbuffered", n, 0);
}

static void buffered(long n)
{
	one_way("buffered", n, 128);
}

static void send_n(void *arg)
{
	struct stream *s = arg;

	for (long i = 0; i < s->n; i++)
		gort_chan_send(s->c, &i);
	if (s->wg != NULL)
		gort_waitgroup_done(s->wg);
}

static void drain(void *arg)
{
	struct stream *s = arg;
	long sum = 0, v;

	while (gort_chan_recv(s->c, &v) == 0)
		sum += v;
	__atomic_add_fetch(&s->sum, sum, __ATOMIC_RELAXED);
	gort_waitgroup_done((gort_waitgroup *)(void *)s->d);
}

static void mpmc(long n)
{
	gort_waitgroup senders = GORT_WAITGROUP_INIT, receivers = GORT_WAITGROUP_INIT;
	struct stream s = { .c = bench_chan_new(sizeof(long), 128), .n = n / 4, .wg = &senders };
	gort_time t = gort_now();

	s.d = (gort_chan *)(void *)&receivers;
	gort_waitgroup_add(&receivers, 4);
	gort_waitgroup_add(&senders, 4);
	for (int i = 0; i < 4; i++)
		bench_go(drain, &s);
	for (int i = 0; i < 4; i++)
		bench_go(send_n, &s);
	gort_waitgroup_wait(&senders);
	gort_chan_close(s.c);
	gort_waitgroup_wait(&receivers);
	bench_check(s.sum == 4 * (s.n * (s.n - 1) / 2), "sum");
	bench_out("mpmc", bench_ns(t, n), "ns/item");
	gort_chan_unref(s.c);
}

static void fanin100(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct stream s = { .c = bench_chan_new(sizeof(long), 0), .n = n / 100, .wg = &wg };
	gort_time t;
	long v, sum = 0;

	gort_waitgroup_add(&wg, 100);
	for (int i = 0; i < 100; i++)
		bench_go(send_n, &s);
	t = gort_now();
	for (long i = 0; i < s.n * 100; i++) {
		gort_chan_recv(s.c, &v);
		sum += v;
	}
	bench_check(sum == 100 * (s.n * (s.n - 1) / 2), "sum");
	bench_out("fanin100", bench_ns(t, s.n * 100), "ns/msg");
	gort_waitgroup_wait(&wg);       /* they still look at s, and at the channel */
	gort_chan_unref(s.c);
}

static void send_one(void *arg)
{
	struct stream *s = arg;

	gort_chan_send(s->c, &(long){ 1 });
	gort_waitgroup_done(s->wg);
}

static void fanin1m(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct stream s = { .c = bench_chan_new(sizeof(long), 16), .wg = &wg };
	gort_time t = gort_now();
	long sum = 0, v;

	gort_waitgroup_add(&wg, (int)n);
	for (long i = 0; i < n; i++)
		bench_go(send_one, &s);
	for (long i = 0; i < n; i++) {
		gort_chan_recv(s.c, &v);
		sum += v;
	}
	bench_check(sum == n, "sum");
	bench_out("fanin1m", bench_ms(t), "ms");
	gort_waitgroup_wait(&wg);
	gort_chan_unref(s.c);
}

static void chan_buf1_same_g(long n)
{
	gort_chan *c = bench_chan_new(sizeof(long), 1);
	gort_time t = gort_now();
	long v, sum = 0;

	for (long i = 0; i < n; i++) {
		gort_chan_send(c, &i);
		gort_chan_recv(c, &v);
		sum += v;
	}
	bench_check(sum == n * (n - 1) / 2, "sum");
	bench_out("chan_buf1_same_g", bench_ns(t, n), "ns/send+recv");
	gort_chan_unref(c);
}

static void select4(long n)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct stream s[4];
	gort_time t;
	long v, sum = 0;

	for (int i = 0; i < 4; i++)
		s[i] = (struct stream){ .c = bench_chan_new(sizeof(long), 0), .n = n / 4, .wg = &wg };
	gort_waitgroup_add(&wg, 4);
	t = gort_now();
	for (int i = 0; i < 4; i++)
		bench_go(send_n, &s[i]);
	for (long i = 0; i < n / 4 * 4; i++) {
		gort_case cases[] = {
			GORT_CASE_RECV(s[0].c, &v), GORT_CASE_RECV(s[1].c, &v), GORT_CASE_RECV(s[2].c, &v), GORT_CASE_RECV(s[3].c, &v),
		};

		gort_select(cases, 4);
		sum += v;
	}
	bench_check(sum == 4 * (s[0].n * (s[0].n - 1) / 2), "sum");
	bench_out("select4", bench_ns(t, n / 4 * 4), "ns/msg");
	gort_waitgroup_wait(&wg);
	for (int i = 0; i < 4; i++)
		gort_chan_unref(s[i].c);
}

static void select_default_empty(long n)
{
	gort_chan *c = bench_chan_new(sizeof(long), 0);
	gort_time t = gort_now();
	long v, got = 0;

	for (long i = 0; i < n; i++)
		got += gort_chan_try_recv(c, &v) == 0;
	bench_check(got == 0, "something came");
	bench_out("select_default_empty", bench_ns(t, n), "ns/op");
	gort_chan_unref(c);
}

struct node {
	gort_chan *out;
	long num, size;
	size_t cap;
};

static void skynode(void *arg)
{
	struct node *self = arg;
	gort_chan *c;
	long sum = 0, v;

	if (self->size == 1) {
		gort_chan_send(self->out, &self->num);
		gort_chan_unref(self->out);
		return;
	}
	c = bench_chan_new(sizeof(long), self->cap);
	for (int i = 0; i < 10; i++) {
		struct node child = { gort_chan_ref(c), self->num + i * (self->size / 10), self->size / 10, self->cap };

		bench_check(gort_go_copy(skynode, &child, sizeof child) == 0, "out of memory");
	}
	for (int i = 0; i < 10; i++) {
		gort_chan_recv(c, &v);
		sum += v;
	}
	gort_chan_unref(c);
	gort_chan_send(self->out, &sum);
	gort_chan_unref(self->out);
}

static void skynet(const char *name, const char *rss, long n, size_t cap)
{
	struct node root = { bench_chan_new(sizeof(long), 0), 0, n, cap };
	gort_time t = gort_now();
	long sum;

	gort_chan_ref(root.out);
	bench_go(skynode, &root);
	gort_chan_recv(root.out, &sum);
	bench_check(sum == n * (n - 1) / 2, "sum");
	bench_out(name, bench_ms(t), "ms");
	bench_out(rss, bench_maxrss(), "MiB");
	gort_chan_unref(root.out);
}

static void skynet_unbuf(long n)
{
	skynet("skynet_unbuf", "skynet_unbuf_maxrss", n, 0);
}

static void skynet_buf(long n)
{
	skynet("skynet_buf", "skynet_buf_maxrss", n, 10);
}

struct gate {
	gort_chan *c;
	long ready;
	gort_waitgroup wg;
};

static void stand(void *arg)
{
	struct gate *g = arg;

	__atomic_add_fetch(&g->ready, 1, __ATOMIC_RELAXED);
	gort_chan_recv(g->c, NULL);
	gort_waitgroup_done(&g->wg);
}

static void park1m(long n)
{
	struct gate g = { .c = bench_chan_new(0, 0) };
	double before = bench_rss(), after, made;
	gort_time t = gort_now();

	gort_waitgroup_add(&g.wg, (int)n);
	for (long i = 0; i < n; i++)
		bench_go(stand, &g);
	while (__atomic_load_n(&g.ready, __ATOMIC_RELAXED) != n)
		gort_yield();
	made = bench_ms(t);
	after = bench_rss();
	t = gort_now();
	gort_chan_close(g.c);
	gort_waitgroup_wait(&g.wg);
	bench_out("park1m_bytes", (after - before) / (double)n, "B/goroutine");
	bench_out("park1m_create", made, "ms");
	bench_out("park1m_release", bench_ms(t), "ms");
	gort_chan_unref(g.c);
}

struct hop {
	gort_chan *in, *out;
};

static void pass_on(void *arg)
{
	struct hop *h = arg;
	long v;

	while (gort_chan_recv(h->in, &v) == 0) {
		v++;
		gort_chan_send(h->out, &v);
	}
	gort_chan_close(h->out);
}

static void ring(long n)
{
	enum { R = 1000 };
	gort_chan *first = bench_chan_new(sizeof(long), 0), *in = first;
	long hops = 0, v = 0;
	gort_time t;
	double ns;

	for (int i = 0; i < R - 1; i++) {
		struct hop h = { in, bench_chan_new(sizeof(long), 0) };

		bench_check(gort_go_copy(pass_on, &h, sizeof h) == 0, "out of memory");
		in = h.out;
	}
	t = gort_now();
	for (;;) {
		gort_chan_send(first, &v);
		gort_chan_recv(in, &v);
		v++;
		hops += R;
		if (hops >= n)
			break;
	}
	ns = bench_ns(t, hops);
	gort_chan_close(first);
	bench_check(gort_chan_recv(in, NULL) != 0 && v == hops, "hops");
	bench_out("ring", ns, "ns/hop");
}

static void generate(void *arg)
{
	for (long i = 2;; i++)
		gort_chan_send(arg, &i);
}

struct sieve_stage {
	gort_chan *in, *out;
	long prime;
};

static void filter(void *arg)
{
	struct sieve_stage *s = arg;
	long v;

	for (;;) {
		gort_chan_recv(s->in, &v);
		if (v % s->prime != 0)
			gort_chan_send(s->out, &v);
	}
}

static void sieve(long n)
{
	gort_time t = gort_now();
	gort_chan *c = bench_chan_new(sizeof(long), 0);
	long p = 0;

	bench_go(generate, c);
	for (long i = 0; i < n; i++) {
		struct sieve_stage s;

		gort_chan_recv(c, &p);
		s = (struct sieve_stage){ c, bench_chan_new(sizeof(long), 0), p };
		bench_check(gort_go_copy(filter, &s, sizeof s) == 0, "out of memory");
		c = s.out;
	}
	bench_check(n != 2000 || p == 17389, "prime");
	bench_out("sieve", bench_ms(t), "ms");
}

const struct bench_item bench_chan[] = {
	{ "pingpong", pingpong, 2000000 },
	{ "unbuffered", unbuffered, 2000000 },
	{ "buffered", buffered, 10000000 },
	{ "mpmc", mpmc, 4000000 },
	{ "fanin100", fanin100, 2000000 },
	{ "fanin1m", fanin1m, 1000000 },
	{ "chan_buf1_same_g", chan_buf1_same_g, 20000000 },
	{ "select4", select4, 1000000 },
	{ "select_default_empty", select_default_empty, 50000000 },
	{ "ring", ring, 1000000 },
	{ "sieve", sieve, 2000 },
	{ "skynet_unbuf", skynet_unbuf, 1000000 },
	{ "skynet_buf", skynet_buf, 1000000 },
	{ "park1m", park1m, 1000000 },
	{ 0 },
};
