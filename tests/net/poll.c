/* SPDX-License-Identifier: MIT */
/* The scheduler with a poller: nobody is forgotten, whoever computes, blocks or sleeps meanwhile; and nothing is done at rest. */
#include "net.h"

#include <sys/eventfd.h>

/* --- with others that keep the processors --- */

struct echo {
	gort_conn *c;
	int rounds;
	int done;
};

static void echoes(void *arg)
{
	struct echo *e = arg;
	char b[16];
	ptrdiff_t n;

	while ((n = gort_read(e->c, b, sizeof b)) > 0 && expect_eq(gort_write(e->c, b, (size_t)n), n))
		;
	count_up(&e->done);
}

static void asks(gort_conn *c, int rounds)
{
	char b[16];

	for (int i = 0; i < rounds; i++) {
		expect_eq(gort_write(c, "0123", 4), 4);
		expect_eq(gort_read_full(c, b, 4), 4);
	}
}

static int stop, out;

static void computes(void *arg)
{
	(void)arg;
	while (!get(&stop))
		;
	count_up(&out);
}

static void yields(void *arg)
{
	(void)arg;
	while (!get(&stop))
		gort_yield();
	count_up(&out);
}

static int block_pipe[2];

static void blocks(void *arg)
{
	char b;

	(void)arg;
	(void)!read(block_pipe[0], &b, 1);
	count_up(&out);
}

static void with_others(void (*other)(void *arg), int n, int rounds)
{
	gort_conn *c[2];
	struct echo e = { 0 };

	set(&stop, 0);
	set(&out, 0);
	if (!tcp_pair(c))
		return;
	e.c = c[1];
	spawn(echoes, &e);
	for (int i = 0; i < n; i++)
		spawn(other, NULL);
	asks(c[0], rounds);
	set(&stop, 1);
	for (int i = 0; i < n && other == blocks; i++)
		expect_eq(write(block_pipe[1], "x", 1), 1);
	await_count(&out, n);
	gort_conn_close(c[0]);
	await_count(&e.done, 1);
	gort_conn_close(c[1]);
}

GO_TEST(goroutines_that_compute_do_not_hold_up_descriptors)
{
	for (int procs = 1; procs <= 2; procs++) {
		gort_set_maxprocs(procs);
		with_others(computes, procs, (int)test_scale_min(20, 3));
	}
}

GO_TEST(goroutines_that_yield_do_not_hold_up_descriptors)
{
	for (int procs = 1; procs <= 4; procs *= 2) {
		gort_set_maxprocs(procs);
		with_others(yields, 4, (int)test_scale_min(500, 20));
	}
}

GO_TEST(goroutines_that_block_do_not_hold_up_descriptors)
{
	expect_eq(pipe(block_pipe), 0);
	for (int procs = 1; procs <= 2; procs++) {
		gort_set_maxprocs(procs);
		with_others(blocks, procs, (int)test_scale_min(100, 10));
	}
}

static void sleeps(void *arg)
{
	(void)arg;
	while (!get(&stop))
		gort_sleep(100 * GORT_MICROSECOND);
	count_up(&out);
}

GO_TEST(sleepers_and_descriptors_get_on_beside_each_other)
{
	for (int procs = 1; procs <= 4; procs *= 2) {
		gort_set_maxprocs(procs);
		with_others(sleeps, 3, (int)test_scale_min(500, 20));
	}
}

static void changes(void *arg)
{
	uint64_t r = test_random_init(5);

	(void)arg;
	while (!get(&stop)) {
		gort_set_maxprocs(1 + (int)(test_random(&r) % 6));
		gort_sleep(50 * GORT_MICROSECOND);
	}
	count_up(&out);
}

GO_TEST(processors_come_and_go)
{
	with_others(changes, 1, (int)test_scale_min(5000, 200));
}

/* --- asleep and awake --- */

struct meeting {
	gort_conn *c;
	int *met;
};

static void meets(void *arg)
{
	struct meeting *m = arg;
	char b;

	expect_eq(gort_read(m->c, &b, 1), 1);
	count_up(m->met);
	while (get(m->met) < 2)         /* that is: on two threads at once */
		;
	count_up(m->met);
}

static int in_parallel_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < (int)test_scale_min(100, 10); i++) {
		gort_conn *a[2], *b[2];
		int met = 0;
		struct meeting ma = { .met = &met }, mb = { .met = &met };

		if (!tcp_pair(a) || !tcp_pair(b))
			return 1;
		ma.c = a[1];
		mb.c = b[1];
		spawn(meets, &ma);
		spawn(meets, &mb);
		gort_sleep(GORT_MILLISECOND);           /* all are asleep, most of the time */
		gort_write(a[0], "x", 1);
		gort_write(b[0], "x", 1);
		await_count(&met, 4);
		close_pair(a);
		close_pair(b);
	}
	return 0;
}

/* None is taken back: they have to be on two Ps. */
static int in_parallel(void)
{
	return gort_run(in_parallel_main, NULL);
}

/* A plain thread makes work while all Ms sleep, one of them in the poller. */
static void counts(void *arg)
{
	count_up((int *)arg);
}

THREAD_TEST(who_sleeps_in_the_poller_is_woken_for_work)
{
	gort_conn *c[2];
	int n = 0, rounds = (int)test_scale_min(2000, 100);

	gort_set_maxprocs(2);
	if (!tcp_pair(c))
		return;
	for (int i = 1; i <= rounds; i++) {
		spawn(counts, &n);
		for (int k = 0; get(&n) < i; k++)
			sched_yield();
	}
	close_pair(c);
}

/* --- deadlock --- */

static int waits_for_ever_main(void *arg)
{
	gort_park(NULL, NULL, "test");
	return 0;
}

static gort_conn *dead[2];

/* Descriptors are open, and nobody waits for one. */
static int deadlock_main(void *arg)
{
	if (!tcp_pair(dead))
		return 1;
	return waits_for_ever_main(arg);
}

static int deadlock(void)
{
	return gort_run(deadlock_main, NULL);
}

/* Somebody waits for a descriptor, for much longer than it takes to find a deadlock: another process writes at last. */
static int waiter_main(void *arg)
{
	gort_conn *c;
	char b;

	(void)arg;
	if (gort_conn_from_fd(&c, block_pipe[0]) != 0)
		return 3;
	return gort_read(c, &b, 1) == 1 ? 0 : 4;
}

static int no_deadlock(void)
{
	pid_t child;

	if (pipe(block_pipe) != 0 || (child = fork()) < 0)
		return 2;
	if (child == 0) {
		sleep(2);
		_exit(write(block_pipe[1], "x", 1) != 1);
	}
	return gort_run(waiter_main, NULL);
}

/* --- rest --- */

static void reads_for_ever(void *arg)
{
	char b;

	gort_read(arg, &b, 1);
	count_up(&out);
}

/*
 * Ready, and nobody waits any more: a connection with bytes that nobody reads, one end of it waited for to be written, an
 * event of somebody else's, and one whose number has been given up while a copy keeps it ready.
 */
static bool leave_ready(void)
{
	int event = eventfd(0, EFD_CLOEXEC), copy = dup(event);
	uint64_t one = 1;
	gort_conn *c[2];
	gort_fd *f, *g;
	char b;

	if (!tcp_pair(c) || gort_fd_open(&f, event) != 0 || gort_fd_open(&g, copy) != 0)
		return false;
	/* each has been waited for in vain once, and is asked for from then on */
	gort_conn_set_read_deadline(c[1], gort_deadline(GORT_MILLISECOND));
	if (gort_read(c[1], &b, 1) != -ETIMEDOUT)
		return false;
	for (int i = 0; i < 2; i++) {
		if (gort_fd_wait(i ? f : g, GORT_READABLE, gort_deadline(GORT_MILLISECOND)) != -ETIMEDOUT)
			return false;
	}
	if (gort_write(c[0], "abc", 3) != 3 || write(event, &one, sizeof one) != sizeof one)
		return false;
	gort_fd_close(g);
	close(copy);
	copy = dup(event);
	/* and its number is somebody else's, who is at rest as well */
	return dup2(block_pipe[0], copy) == copy && gort_fd_open(&g, copy) == 0 &&
		gort_fd_wait(g, GORT_READABLE, gort_deadline(GORT_MILLISECOND)) == -ETIMEDOUT;
}

static int at_rest_main(void *arg)
{
	gort_conn *c[2];

	if (pipe(block_pipe) != 0 || !leave_ready() || !tcp_pair(c) || !tcp_pair(dead))
		return 1;
	asks(c[0], 0);
	spawn(reads_for_ever, c[0]);
	spawn(reads_for_ever, c[1]);
	spawn(reads_for_ever, dead[0]);
	gort_conn_set_read_deadline(dead[0], gort_deadline(1000 * GORT_HOUR));
	return 0;
}

/* As tests/core/quiet.c has it: a whole window without a switch of any other thread. */
static int at_rest(void)
{
	if (gort_run(at_rest_main, NULL) != 0)
		return 2;
	for (int i = 0; i < 20; i++) {
		long before = test_others_switches(), after;

		gort_sleep(3 * GORT_SECOND);            /* a plain thread's */
		after = test_others_switches();
		fprintf(stderr, "# %ld switches in 3 s\n", after - before);
		if (after == before)
			return 0;
	}
	return 1;
}

static const struct test_child children[] = {
	{ "in_parallel", in_parallel }, { "deadlock", deadlock }, { "no_deadlock", no_deadlock }, { "at_rest", at_rest },
	{ NULL, NULL },
};

START_TEST(parallel_again_after_all_have_slept)
{
	static const char *const env[] = { "GOMAXPROCS=2", "GORT_DEBUG=preempt=off", NULL };

	test_child_says("in_parallel", env, 0, "");
}
END_TEST

START_TEST(a_deadlock_beside_open_descriptors_is_found)
{
	test_child_says("deadlock", NULL, 2, "fatal error: all goroutines are asleep - deadlock!");
}
END_TEST

START_TEST(who_waits_for_a_descriptor_is_no_deadlock)
{
	test_child_says("no_deadlock", NULL, 0, "");
}
END_TEST

START_TEST(connections_at_rest_make_no_system_calls)
{
	test_child_says("at_rest", NULL, 0, "");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "poll", children);
	test_add(&s, goroutines_that_compute_do_not_hold_up_descriptors);
	test_add(&s, goroutines_that_yield_do_not_hold_up_descriptors);
	test_add(&s, goroutines_that_block_do_not_hold_up_descriptors);
	test_add(&s, sleepers_and_descriptors_get_on_beside_each_other);
	test_add(&s, processors_come_and_go);
	test_add(&s, who_sleeps_in_the_poller_is_woken_for_work);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		test_add(&s, parallel_again_after_all_have_slept);
	else
		test_skip("parallel_again_after_all_have_slept", "one processor");
	if (TEST_TSAN)
		test_skip("a_deadlock_beside_open_descriptors_is_found", "ThreadSanitizer's own thread counts as one of the program's");
	else
		test_add(&s, a_deadlock_beside_open_descriptors_is_found);
	test_add(&s, who_waits_for_a_descriptor_is_no_deadlock);
	if (test_sanitized())
		test_skip("connections_at_rest_make_no_system_calls", "a sanitizer's own thread does");
	else
		test_add(&s, connections_at_rest_make_no_system_calls);
	return test_end(&s);
}
