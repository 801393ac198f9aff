/* SPDX-License-Identifier: MIT */
/* Other people's descriptors: level semantics, many waiters, and hands off everything that is theirs. And fork. */
#include "net.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BOTH (GORT_READABLE | GORT_WRITABLE)

struct waiter {
	struct task t;
	gort_fd *f;
	int events, result;
	gort_time deadline;
	int begun;
};

static void waits(void *arg)
{
	struct waiter *w = arg;

	task_here(&w->t);
	w->result = gort_fd_wait(w->f, w->events, w->deadline);
	(void)get(&w->begun);           /* ThreadSanitizer does not see what an event says about who was before whom */
	task_done(&w->t);
}

static void start_wait(struct waiter *w, gort_fd *f, int events)
{
	*w = (struct waiter){ .f = f, .events = events, .deadline = GORT_FOREVER };
	spawn(waits, w);
	await_parked(&w->t);
	set(&w->begun, 1);
}

static int end_wait(struct waiter *w)
{
	await_done(&w->t);
	return w->result;
}

GO_TEST(what_is_ready_is_said_as_long_as_it_is)
{
	int p[2];
	gort_fd *f;
	char b[8];

	expect_eq(pipe(p), 0);
	expect_eq(gort_fd_open(&f, p[0]), 0);
	expect_eq(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);        /* no flag is changed */
	expect_eq(gort_fd_wait(f, GORT_READABLE, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	expect_eq(write(p[1], "abc", 3), 3);
	expect_eq(gort_fd_wait(f, GORT_READABLE, 1), -ETIMEDOUT);       /* past, though it is ready */
	for (int i = 0; i < 3; i++) {                           /* bytes are left unread: it stays ready */
		expect_eq(gort_fd_wait(f, GORT_READABLE, GORT_FOREVER), GORT_READABLE);
		expect_eq(read(p[0], b, 1), 1);
	}
	expect_eq(gort_fd_wait(f, GORT_READABLE, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	close(p[1]);
	expect_eq(gort_fd_wait(f, GORT_READABLE, GORT_FOREVER), GORT_READABLE);
	expect_eq(gort_fd_wait(f, BOTH, GORT_FOREVER), BOTH);   /* a hang-up is everything */
	expect_eq(gort_fd_wait(f, 0, GORT_FOREVER), -EINVAL);
	expect_eq(gort_fd_wait(f, 4, GORT_FOREVER), -EINVAL);
	expect_eq(gort_fd_close(f), 0);
	expect(fcntl(p[0], F_GETFD) >= 0);
	close(p[0]);
}

GO_TEST(a_wait_sees_what_comes_later)
{
	int e = eventfd(0, EFD_CLOEXEC);
	struct waiter w;
	uint64_t n = 1;
	gort_fd *f;

	expect_eq(gort_fd_open(&f, e), 0);
	for (int i = 0; i < 200; i++) {
		start_wait(&w, f, GORT_READABLE);
		expect_eq(write(e, &n, sizeof n), sizeof n);
		expect_eq(end_wait(&w), GORT_READABLE);
		expect_eq(read(e, &n, sizeof n), sizeof n);
		expect_eq(n, 1);
	}
	gort_fd_close(f);
	close(e);
}

GO_TEST(each_waiter_gets_what_it_asked_for)
{
	static char block[1 << 16];
	struct waiter r, w, both, r2;
	int s[2];
	gort_fd *f;

	expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0);
	expect_eq(gort_fd_open(&f, s[0]), 0);
	expect_eq(gort_fd_wait(f, BOTH, GORT_FOREVER), GORT_WRITABLE);
	while (write(s[0], block, sizeof block) > 0)
		;
	start_wait(&r, f, GORT_READABLE);
	start_wait(&w, f, GORT_WRITABLE);
	start_wait(&both, f, BOTH);
	start_wait(&r2, f, GORT_READABLE);
	expect_eq(write(s[1], "x", 1), 1);
	expect_eq(end_wait(&r), GORT_READABLE);
	expect_eq(end_wait(&both), GORT_READABLE);
	expect_eq(end_wait(&r2), GORT_READABLE);
	expect_eq(get(&w.t.done), 0);
	while (read(s[1], block, sizeof block) > 0)
		;
	expect_eq(end_wait(&w), GORT_WRITABLE);
	gort_fd_close(f);
	close(s[0]);
	close(s[1]);
}

GO_TEST(close_wakes_waiters_and_their_deadlines_end_them)
{
	int e = eventfd(0, EFD_CLOEXEC), before;
	struct waiter w[5];
	gort_fd *f, *again;

	expect_eq(gort_fd_open(&f, e), 0);
	expect_eq(gort_fd_open(&again, e), -EEXIST);
	for (int i = 0; i < 5; i++)
		start_wait(&w[i], f, GORT_READABLE);
	expect_eq(gort_fd_close(f), 0);
	for (int i = 0; i < 5; i++)
		expect_eq(end_wait(&w[i]), -ECANCELED);
	expect_eq(gort_fd_open(&f, e), 0);
	for (int i = 0; i < 5; i++) {
		w[i] = (struct waiter){ .f = f, .events = GORT_READABLE, .deadline = gort_deadline(i * GORT_MILLISECOND) };
		spawn(waits, &w[i]);
	}
	for (int i = 0; i < 5; i++)
		expect_eq(end_wait(&w[i]), -ETIMEDOUT);
	expect_eq(gort_fd_close(f), 0);
	before = e;
	close(e);
	expect_eq(gort_fd_open(&f, before), -EBADF);
	e = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	expect_eq(gort_fd_open(&f, e), -EPERM);
	close(e);
}

/* --- fork --- */

static gort_conn *inherited[2];
static gort_listener *inherited_listener;

static int in_child_main(void *arg)
{
	gort_conn *c[2];
	struct reader r;
	char b[8];

	(void)arg;
	/* what was open is the parent's */
	if (gort_read(inherited[0], b, 1) != -EBADF || gort_write(inherited[0], b, 1) != -EBADF ||
	    gort_conn_set_deadline(inherited[0], 1) != -EBADF)
		return 2;
	if (gort_conn_close(inherited[0]) != 0 || gort_listener_close(inherited_listener) != 0)
		return 3;
	/* and there is a network of its own */
	if (!tcp_pair(c))
		return 4;
	start_read(&r, c[1]);
	if (gort_write(c[0], "abc", 3) != 3 || end_read(&r) != 3)
		return 5;
	close_pair(c);
	return gort_resolve("localhost", "http", NULL, 0);
}

GO_TEST(a_reference_outlives_close)
{
	int p[2];
	gort_fd *f, *again;
	char b;

	expect_eq(pipe(p), 0);
	expect_eq(gort_fd_open(&f, p[0]), 0);
	expect(gort_fd_ref(f) == f);
	expect_eq(write(p[1], "a", 1), 1);
	expect_eq(gort_fd_wait(f, GORT_READABLE, GORT_FOREVER), GORT_READABLE);
	expect_eq(gort_fd_close(f), 0);
	/* what is waited for by others now is nothing to who came late */
	expect_eq(gort_fd_open(&again, p[0]), 0);
	expect_eq(gort_fd_wait(f, GORT_READABLE, GORT_FOREVER), -ECANCELED);
	gort_fd_ref(f);
	expect_eq(gort_fd_close(f), -EBADF);
	gort_fd_unref(f);
	gort_fd_unref(NULL);
	expect_eq(gort_fd_wait(again, GORT_READABLE, GORT_FOREVER), GORT_READABLE);
	/* the last one leaves it to others, but does not close the number */
	gort_fd_unref(gort_fd_ref(again));
	expect_eq(gort_fd_wait(again, GORT_READABLE, GORT_FOREVER), GORT_READABLE);
	gort_fd_unref(again);
	expect_eq(read(p[0], &b, 1), 1);
	expect_eq(gort_fd_open(&again, p[0]), 0);
	gort_fd_unref(again);
	close(p[0]);
	close(p[1]);
}

THREAD_TEST(a_forked_child_has_a_network_of_its_own)
{
	char addr[64], b[8];
	int status = 0;
	pid_t child;

	inherited_listener = listen_tcp(addr);
	if (!tcp_pair(inherited))
		return;
	while (test_sanitized() && !test_others_sleep())
		;
	child = fork();
	if (child == 0)
		_exit(gort_run(in_child_main, NULL));
	expect_eq(waitpid(child, &status, 0), child);
	expect(WIFEXITED(status));
	expect_eq(WEXITSTATUS(status), 0);
	/* the parent's go on */
	expect_eq(gort_write(inherited[0], "abc", 3), 3);
	expect_eq(gort_read(inherited[1], b, sizeof b), 3);
	close_pair(inherited);
	gort_listener_close(inherited_listener);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "fd", NULL);
	test_add(&s, what_is_ready_is_said_as_long_as_it_is);
	test_add(&s, a_wait_sees_what_comes_later);
	test_add(&s, each_waiter_gets_what_it_asked_for);
	test_add(&s, close_wakes_waiters_and_their_deadlines_end_them);
	test_add(&s, a_reference_outlives_close);
	if (TEST_TSAN)
		test_skip("a_forked_child_has_a_network_of_its_own", "ThreadSanitizer lets no threads start in a forked child");
	else
		test_add(&s, a_forked_child_has_a_network_of_its_own);
	return test_end(&s);
}
