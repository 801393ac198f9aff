/* SPDX-License-Identifier: MIT */
/* gort_shutdown with a network: what is left afterwards (nothing but what the program holds), and that all goes on. */
#include "net.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- goroutines that wait in every kind of call ---------------------------------------------------------------------- */

static struct held {
	gort_listener *tcp, *local;
	gort_conn *pair[2], *idle[2], *closed[2];
	gort_packet_conn *udp;
	gort_fd *f;
	int event;
	int full;                       /* a listener whose backlog is full, of the system's own; its clients */
	int clients[8];
	char full_at[64], path[64];
} held;
static struct task tasks[16];
static int ntasks;

static void reads_for_ever(void *arg)
{
	char b[8];

	task_here(arg);
	gort_read(held.pair[0], b, sizeof b);
}

static void writes_for_ever(void *arg)
{
	static char block[1 << 16];

	task_here(arg);
	for (;;)
		gort_write(held.pair[1], block, sizeof block);
}

static void accepts_for_ever(void *arg)
{
	gort_conn *c;

	task_here(arg);
	gort_accept(held.tcp, &c);
}

static void receives_for_ever(void *arg)
{
	char b[8];

	task_here(arg);
	gort_recv_from(held.udp, b, sizeof b, NULL);
}

static void waits_for_ever(void *arg)
{
	task_here(arg);
	gort_fd_wait(held.f, GORT_READABLE, GORT_FOREVER);
}

static void dials_for_ever(void *arg)
{
	gort_conn *c;

	task_here(arg);
	gort_dial(&c, "tcp", held.full_at, GORT_FOREVER);
}

/* Two addresses: a race of goroutines. */
static void races_for_ever(void *arg)
{
	gort_conn *c;
	char at[80];

	task_here(arg);
	snprintf(at, sizeof at, "localhost%s", strrchr(held.full_at, ':'));
	gort_dial(&c, "tcp4", at, GORT_FOREVER);
}

/* A listener that takes no connection any more, so that a connect to it does not come to an end. */
static void listen_full(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof a;
	int n = 0;

	held.full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	expect(held.full >= 0);
	expect_eq(bind(held.full, (struct sockaddr *)&a, sizeof a), 0);
	expect_eq(listen(held.full, 0), 0);
	expect_eq(getsockname(held.full, (struct sockaddr *)&a, &len), 0);
	snprintf(held.full_at, sizeof held.full_at, "127.0.0.1:%u", ntohs(a.sin_port));
	for (int i = 0; i < 8; i++) {
		held.clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		expect(held.clients[i] >= 0);
		n += connect(held.clients[i], (struct sockaddr *)&a, sizeof a) != 0;
	}
	expect(n > 0);
}

static void waiter(void (*fn)(void *arg))
{
	struct task *t = &tasks[ntasks++];

	memset(t, 0, sizeof *t);
	spawn(fn, t);
	await_parked(t);
}

static int everything(void *arg)
{
	gort_addr found[8];
	gort_conn *c;
	char addr[64];

	(void)arg;
	ntasks = 0;
	held.tcp = listen_tcp(addr);
	snprintf(held.path, sizeof held.path, "/tmp/gort-shutdown-%ld", (long)getpid());
	expect_eq(gort_listen(&held.local, "unix", held.path, NULL), 0);
	expect(tcp_pair(held.pair) && tcp_pair(held.idle) && tcp_pair(held.closed));
	expect_eq(gort_packet_listen(&held.udp, "udp", "127.0.0.1:0"), 0);
	held.event = eventfd(0, EFD_CLOEXEC);
	expect_eq(gort_fd_open(&held.f, held.event), 0);
	expect_eq(gort_dial(&c, "tcp", addr, GORT_FOREVER), 0);
	expect_eq(gort_conn_close(c), 0);
	expect_eq(gort_accept(held.tcp, &c), 0);
	expect_eq(gort_conn_close(c), 0);
	expect(gort_resolve("localhost", "1", found, 8) > 0);
	listen_full();
	for (int i = 0; i < 2; i++) {
		/* of each two: one waits for an edge, the other for its turn */
		waiter(reads_for_ever);
		waiter(accepts_for_ever);
		waiter(receives_for_ever);
		waiter(waits_for_ever);
		waiter(dials_for_ever);
		waiter(races_for_ever);
	}
	waiter(writes_for_ever);
	return 5;
}

static void give_up_all(void)
{
	expect_eq(gort_listener_close(held.tcp), 0);
	expect_eq(gort_listener_close(held.local), 0);
	for (int i = 0; i < 2; i++) {
		expect_eq(gort_conn_close(held.pair[i]), 0);
		gort_conn_unref(held.idle[i]);
		expect_eq(gort_conn_close(held.closed[i]), 0);
	}
	expect_eq(gort_packet_close(held.udp), 0);
	expect_eq(gort_fd_close(held.f), 0);
	close(held.event);
	close(held.full);
	for (int i = 0; i < 8; i++)
		close(held.clients[i]);
}

static void cycle(void)
{
	long threads;

	expect_eq(gort_run(everything, NULL), 5);
	gort_shutdown();
	threads = test_threads();
	/* needs no scheduler, and starts none */
	give_up_all();
	expect_eq(test_threads(), threads);
	expect(access(held.path, F_OK) != 0);
}

THREAD_TEST(cycles_leave_nothing)
{
	long threads, before;
	size_t heap = 0;

	/* what libc and a sanitizer keep for themselves is there after some */
	for (int i = 0; i < 5; i++)
		cycle();
	before = test_entries("/proc/self/fd");
	threads = test_threads();
	if (!test_sanitized())
		heap = mallinfo2().uordblks;
	for (long i = 0, n = test_scale_min(100, 5); i < n; i++)
		cycle();
	expect_eq(test_entries("/proc/self/fd"), before);
	expect_eq(test_threads(), threads);
	/* of libc's, a few more or less */
	if (!test_sanitized())
		expect(mallinfo2().uordblks < heap + 64 * 1024);
}

static void never_mind(void *arg)
{
	(void)arg;
}

/* In a process of its own: what was there before the first call. */
static int leaves_it_as_it_was(void)
{
	long before, threads;
	pthread_t t = thread_start(never_mind, NULL);

	thread_join(t);                 /* a sanitizer's own thread is there after the first */
	before = test_entries("/proc/self/fd");
	threads = test_threads();
	cycle();
	return test_entries("/proc/self/fd") != before + TEST_POLLER_KEEPS ? 10 : test_threads() != threads ? 11 : 33;
}

START_TEST(it_leaves_the_process_as_it_was)
{
	test_child_says("leaves_it_as_it_was", NULL, 33, "");
}
END_TEST

/* --- what the program holds goes on ---------------------------------------------------------------------------------- */

static gort_listener *kept;
static char kept_at[64];
static gort_conn *ends[2];
static gort_fd *watched;
static int event;
static struct reader left;              /* in the middle of a read, or just woken from it */
static struct task closer;

static int opens(void *arg)
{
	(void)arg;
	kept = listen_tcp(kept_at);
	expect(tcp_pair(ends));
	event = eventfd(0, EFD_CLOEXEC);
	expect_eq(gort_fd_open(&watched, event), 0);
	return 1;
}

static void dials(void *arg)
{
	struct task *t = arg;
	gort_conn *c;

	task_here(t);
	if (expect_eq(gort_dial(&c, "tcp", kept_at, GORT_FOREVER), 0)) {
		expect_eq(gort_write(c, "hello", 5), 5);
		gort_conn_close(c);
	}
	task_done(t);
}

static int uses(void *arg)
{
	struct reader r;
	struct task t = { 0 };
	gort_conn *c;
	char b[8];
	uint64_t one = 1;

	(void)arg;
	start_read(&r, ends[0]);
	expect_eq(gort_write(ends[1], "ab", 2), 2);
	expect_eq(end_read(&r), 2);
	expect_eq(gort_fd_wait(watched, GORT_READABLE, gort_deadline(0)), -ETIMEDOUT);
	expect_eq(gort_fd_wait(watched, GORT_READABLE, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	expect_eq(write(event, &one, sizeof one), sizeof one);
	expect_eq(gort_fd_wait(watched, GORT_READABLE, GORT_FOREVER), GORT_READABLE);
	expect_eq(read(event, &one, sizeof one), sizeof one);
	spawn(dials, &t);
	if (expect_eq(gort_accept(kept, &c), 0)) {
		expect_eq(gort_read_full(c, b, 5), 5);
		expect_eq(gort_read(c, b, 1), 0);
		gort_conn_close(c);
	}
	await_done(&t);
	/* one left in the middle of a read, and the direction is free again afterwards */
	start_read(&left, ends[0]);
	return 2;
}

THREAD_TEST(what_is_open_goes_on_to_work)
{
	long before;
	int fd;

	gort_shutdown();
	poller_once();
	before = test_entries("/proc/self/fd");
	expect_eq(gort_run(opens, NULL), 1);
	for (int i = 0; i < 3; i++) {
		gort_shutdown();
		expect_eq(gort_run(uses, NULL), 2);
	}
	gort_shutdown();
	/* a plain thread is the first to call in */
	expect_eq(gort_write(ends[1], "x", 1), 1);
	gort_conn_set_read_deadline(ends[1], gort_deadline(GORT_MILLISECOND));
	expect_eq(gort_read(ends[1], &(char){ 0 }, 1), -ETIMEDOUT);
	gort_shutdown();
	expect_eq(gort_conn_set_linger(ends[1], 0), 0);
	gort_shutdown();
	fd = gort_conn_fd(ends[1]);
	expect_eq(gort_conn_release_fd(ends[1]), fd);
	close(fd);
	expect_eq(gort_conn_close(ends[0]), 0);
	expect_eq(gort_listener_close(kept), 0);
	expect_eq(gort_fd_close(watched), 0);
	close(event);
	expect_eq(test_entries("/proc/self/fd"), before);
}

/* --- half a close ---------------------------------------------------------------------------------------------------- */

static void closes(void *arg)
{
	struct task *t = arg;

	task_here(t);
	gort_conn_close(ends[0]);
	task_done(t);
}

static int closes_beside_a_read(void *arg)
{
	(void)arg;
	closer = (struct task){ 0 };
	expect(tcp_pair(ends));
	start_read(&left, ends[0]);
	gort_conn_ref(ends[0]);
	spawn(closes, &closer);
	/* one has been woken by the other, and neither has ended, or both have, or one */
	return 3;
}

THREAD_TEST(a_close_is_finished_by_shutdown)
{
	long before;

	gort_shutdown();
	poller_once();
	before = test_entries("/proc/self/fd");
	for (long i = 0, n = test_scale_min(200, 20); i < n; i++) {
		expect_eq(gort_run(closes_beside_a_read, NULL), 3);
		gort_shutdown();
		/* either it had come to close, or not */
		gort_conn_close(ends[0]);
		expect_eq(gort_conn_close(ends[1]), 0);
		expect_eq(test_entries("/proc/self/fd"), before);
	}
}

/* --- forked children ------------------------------------------------------------------------------------------------- */

static int works_in_child(void *arg)
{
	char b[4];

	(void)arg;
	/* the parent's */
	expect_eq(gort_read(ends[0], b, 1), -EBADF);
	expect_eq(gort_conn_close(ends[0]), 0);
	return opens(NULL);
}

static int in_child(void)
{
	long open;

	if (gort_run(works_in_child, NULL) != 1)
		return 10;
	gort_shutdown();
	if (gort_run(uses, NULL) != 2)
		return 11;
	gort_shutdown();
	open = test_entries("/proc/self/fd");
	for (int i = 0; i < 2; i++)
		gort_conn_close(ends[i]);
	gort_listener_close(kept);
	gort_fd_close(watched);
	close(event);
	return test_entries("/proc/self/fd") == open - 4 ? 33 : 12;
}

THREAD_TEST(a_child_forked_after_shutdown_or_before_starts_afresh)
{
	for (int after = 0; after < 2; after++) {
		gort_conn *mine[2];
		pid_t child;
		int status;

		expect_eq(gort_run(opens, NULL), 1);
		mine[0] = ends[0];
		mine[1] = ends[1];
		if (after)
			gort_shutdown();
		child = fork();
		if (child == 0) {
			alarm(200);
			_exit(in_child());
		}
		expect_eq(waitpid(child, &status, 0), child);
		expect(WIFEXITED(status) && WEXITSTATUS(status) == 33);
		/* and the child has done nothing to ours */
		expect_eq(gort_run(uses, NULL), 2);
		gort_shutdown();
		for (int i = 0; i < 2; i++)
			expect_eq(gort_conn_close(mine[i]), 0);
		expect_eq(gort_listener_close(kept), 0);
		expect_eq(gort_fd_close(watched), 0);
		close(event);
	}
}

int main(int argc, char **argv)
{
	static const struct test_child children[] = {
		{ "leaves_it_as_it_was", leaves_it_as_it_was },
		{ 0 },
	};
	struct test_suite s;

	test_begin(&s, argc, argv, "net shutdown", children);
	test_add(&s, cycles_leave_nothing);
	test_add(&s, it_leaves_the_process_as_it_was);
	test_add(&s, what_is_open_goes_on_to_work);
	test_add(&s, a_close_is_finished_by_shutdown);
	if (TEST_TSAN)
		test_skip("a_child_forked_after_shutdown_or_before_starts_afresh",
			"ThreadSanitizer lets no threads start in a forked child");
	else
		test_add(&s, a_child_forked_after_shutdown_or_before_starts_afresh);
	return test_end(&s);
}
