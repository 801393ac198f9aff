/* SPDX-License-Identifier: MIT */
/* Storms of the network: numbers reused at once, closers and deadlines against readers, and very many connections. */
#include "storm.h"

#include "../net/net.h"

#include <gort/sync.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORKERS 8

static gort_waitgroup wg;

/* --- a number is somebody else's as soon as it can be --- */

struct churner {
	int i;
	long n;
};

/* The same with somebody else's number: it is ready when it is, whatever was said of the one before it. */
static bool churn_foreign(uint64_t x)
{
	int e = eventfd(x % 2, EFD_CLOEXEC | EFD_NONBLOCK);
	gort_fd *f;
	bool ok;

	if (!expect(e >= 0) || !expect_eq(gort_fd_open(&f, e), 0))
		return false;
	if (x % 2)
		ok = expect_eq(gort_fd_wait(f, GORT_READABLE, GORT_FOREVER), GORT_READABLE);
	else
		ok = expect_eq(gort_fd_wait(f, GORT_READABLE, gort_deadline((gort_duration)(x % 20) * GORT_MICROSECOND)), -ETIMEDOUT);
	ok = expect_eq(gort_fd_close(f), 0) && ok;
	close(e);
	return ok;
}

/*
 * Opens and closes pairs of sockets, each with a message of its own, with other ends left unread, closed early, or closed
 * while somebody reads: what belongs to an earlier use of a number must neither wake nor feed a later one.
 */
static void churns(void *arg)
{
	struct churner *me = arg;
	uint64_t r = test_random_init((uint64_t)me->i);

	for (long k = 0; k < me->n; k++) {
		uint64_t out = test_random(&r), in = 0;
		gort_conn *a, *b;
		int s[2];

		if (out >> 32 & 1 && out >> 33 & 1) {
			if (!churn_foreign(out >> 34))
				break;
			continue;
		}
		if (!expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0) ||
		    !expect_eq(gort_conn_from_fd(&a, s[0]), 0) || !expect_eq(gort_conn_from_fd(&b, s[1]), 0))
			break;
		switch (out % 4) {
		case 0:         /* an edge that nobody takes */
			gort_write(a, &out, sizeof out);
			break;
		case 1:         /* the last thing that happens to it is an event */
			gort_write(a, &out, sizeof out);
			gort_conn_close(a);
			a = NULL;
			break;
		default:
			if (out % 8 < 4)
				gort_yield();
			expect_eq(gort_write(a, &out, sizeof out), sizeof out);
			expect_eq(gort_read_full(b, &in, sizeof in), sizeof in);
			if (!expect(in == out))
				k = me->n;
			break;
		}
		if (a != NULL)
			gort_conn_close(a);
		gort_conn_close(b);
	}
	gort_waitgroup_done(&wg);
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++) {
		socklen_t len = sizeof(int);
		int type;

		n += getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
	}
	return n;
}

GO_TEST(numbers_are_reused_at_once)
{
	struct churner me = { .n = test_scale_min(1000000 / WORKERS, 100) };
	int before = descriptors();

	gort_waitgroup_add(&wg, WORKERS);
	for (me.i = 0; me.i < WORKERS; me.i++)
		expect_eq(gort_go_copy(churns, &me, sizeof me), 0);
	gort_waitgroup_wait(&wg);
	expect_eq(descriptors(), before);
}

/* --- readers, writers, closers, deadlines: all at one connection --- */

struct shared {
	gort_conn *c, *peer;
	int stop;
};

static void reads_until_closed(void *arg)
{
	struct shared *s = arg;
	char b[64];

	for (;;) {
		ptrdiff_t n = gort_read(s->c, b, sizeof b);

		if (n == -ECANCELED)
			break;
		if (n == -ETIMEDOUT)
			gort_yield();
		else if (!expect(n > 0))
			break;
	}
	gort_conn_unref(s->c);
	gort_waitgroup_done(&wg);
}

static void feeds(void *arg)
{
	struct shared *s = arg;
	uint64_t r = test_random_init(77);
	char b[16] = "";

	while (!get(&s->stop)) {
		if (gort_write(s->peer, b, 1 + test_random(&r) % sizeof b) < 0)
			break;
		if (test_random(&r) % 4 == 0)
			gort_yield();
		compute(&r, (unsigned)(test_random(&r) % 2000));
	}
	gort_waitgroup_done(&wg);
}

static void sets_deadlines(void *arg)
{
	struct shared *s = arg;
	uint64_t r = test_random_init(78);

	while (!get(&s->stop)) {
		uint64_t x = test_random(&r);
		gort_time t = x % 4 == 0 ? GORT_FOREVER : x % 4 == 1 ? 1 : gort_deadline((gort_duration)(x / 4 % 50) * GORT_MICROSECOND);

		gort_conn_set_read_deadline(s->c, t);
		compute(&r, (unsigned)(test_random(&r) % 1000));
		if (x / 4 % 3 == 0)
			gort_yield();
	}
	gort_waitgroup_done(&wg);
}

GO_TEST(readers_deadlines_and_a_closer)
{
	uint64_t r = test_random_init(79);

	for (long i = 0; i < test_scale_min(300, 20); i++) {
		struct shared s = { 0 };
		gort_conn *c[2];
		unsigned readers = 1 + (unsigned)(test_random(&r) % 4);

		if (!tcp_pair(c))
			return;
		s.c = c[0];
		s.peer = c[1];
		gort_waitgroup_add(&wg, (int)readers + 2);
		for (unsigned k = 0; k < readers; k++) {
			gort_conn_ref(c[0]);
			spawn(reads_until_closed, &s);
		}
		spawn(feeds, &s);
		spawn(sets_deadlines, &s);
		for (uint64_t k = test_random(&r) % 50; k > 0; k--)
			gort_sleep((gort_duration)(test_random(&r) % 20) * GORT_MICROSECOND);
		expect_eq(gort_conn_close(gort_conn_ref(c[0])), 0);
		set(&s.stop, 1);
		gort_waitgroup_wait(&wg);
		gort_conn_unref(c[0]);
		gort_conn_close(c[1]);
	}
}

/* --- processors that come and go, goroutines that compute and block, and everybody talks --- */

static int astray;              /* how many processors to choose from; 0: the truth */

/* Where packets come in, made up: goroutines are mailed from everywhere to everywhere (home.c). */
int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	static uint64_t made_up;

	if (get(&astray) == 0 || level != SOL_SOCKET || name != SO_INCOMING_CPU)
		return (int)syscall(SYS_getsockopt, fd, level, name, value, len);
	*(int *)value = (int)(__atomic_fetch_add(&made_up, 1, __ATOMIC_RELAXED) * 0x9e3779b97f4a7c15u >> 33) % get(&astray);
	return 0;
}

static void talks(void *arg)
{
	gort_conn *c = arg;
	uint64_t r = test_random_init((uint64_t)(uintptr_t)arg);
	char b[8];

	while (gort_read_full(c, b, sizeof b) == sizeof b) {
		compute(&r, (unsigned)(test_random(&r) % (test_random(&r) % 64 == 0 ? 300000 : 3000)));
		if (gort_write(c, b, sizeof b) != sizeof b)
			break;
	}
	gort_conn_close(c);
	gort_waitgroup_done(&wg);
}

struct talker {
	gort_conn *c;
	long n;
};

static void begins(void *arg)
{
	struct talker *me = arg;
	char b[8] = "1234567", a[8];

	for (long i = 0; i < me->n; i++) {
		b[0] = (char)i;
		expect_eq(gort_write(me->c, b, sizeof b), sizeof b);
		if (!expect_eq(gort_read_full(me->c, a, sizeof a), sizeof a) || !expect(memcmp(a, b, sizeof a) == 0))
			break;
	}
	gort_conn_close(me->c);
	gort_waitgroup_done(&wg);
}

static void everybody_talks(void)
{
	int stop = 0, was = gort_maxprocs();
	struct changer ch = { .stop = &stop, .most = 6 };
	pthread_t t = thread_start(storm_changes_procs, &ch);

	gort_waitgroup_add(&wg, 64);
	for (int i = 0; i < 32; i++) {
		struct talker me = { .n = test_scale_min(500, 20) };
		gort_conn *c[2];

		if (!tcp_pair(c))
			return;
		me.c = c[0];
		spawn(talks, c[1]);
		expect_eq(gort_go_copy(begins, &me, sizeof me), 0);
	}
	gort_waitgroup_wait(&wg);
	set(&stop, 1);
	thread_join(t);
	gort_set_maxprocs(was);
}

GO_TEST(everybody_talks_while_processors_come_and_go)
{
	everybody_talks();
}

GO_TEST(everybody_talks_and_is_sent_astray)
{
	set(&astray, (int)sysconf(_SC_NPROCESSORS_CONF));
	everybody_talks();
	set(&astray, 0);
}

/* --- very many --- */

static int waiting;

static void waits_for_one(void *arg)
{
	char b;

	count_up(&waiting);
	if (expect_eq(gort_read(arg, &b, 1), 1))
		expect_eq(gort_write(arg, &b, 1), 1);
	expect_eq(gort_read(arg, &b, 1), 0);
	gort_conn_close(arg);
	gort_waitgroup_done(&wg);
}

GO_TEST(ten_thousand_connections_at_once)
{
	struct rlimit limit;
	int n = (int)test_scale_min(10000, 200);
	gort_conn **c;
	char addr[64], b;
	gort_listener *l;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < (rlim_t)n * 2 + 100) {
		n = (int)(limit.rlim_cur - 100) / 2;
		fprintf(stderr, "# only %d: so many descriptors are allowed\n", n);
	}
	c = malloc((size_t)n * sizeof(*c));
	set(&waiting, 0);
	l = listen_tcp(addr);
	gort_waitgroup_add(&wg, n);
	for (int i = 0; i < n; i++) {
		gort_conn *s;

		if (!expect_eq(gort_dial(&c[i], "tcp", addr, GORT_FOREVER), 0) || !expect_eq(gort_accept(l, &s), 0))
			return;
		spawn(waits_for_one, s);
	}
	await_count(&waiting, n);
	for (int i = 0; i < n; i++)
		expect_eq(gort_write(c[i], "x", 1), 1);
	for (int i = 0; i < n; i++)
		expect_eq(gort_read(c[i], &b, 1), 1);
	for (int i = 0; i < n; i++)
		gort_conn_close(c[i]);
	gort_waitgroup_wait(&wg);
	gort_listener_close(l);
	free(c);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "storm-net", NULL);
	test_add(&s, numbers_are_reused_at_once);
	test_add(&s, readers_deadlines_and_a_closer);
	test_add(&s, everybody_talks_while_processors_come_and_go);
	test_add(&s, everybody_talks_and_is_sent_astray);
	test_add(&s, ten_thousand_connections_at_once);
	return test_end(&s);
}
