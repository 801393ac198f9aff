/* SPDX-License-Identifier: MIT */
/*
 * Memory, mappings and threads running out: each call that fails somewhere inside gives a documented error or plain
 * working; nothing is lost, nothing hangs, nothing crashes. The program below is run again and again, with the N-th
 * allocation (mapping, thread) failing, for N = 1, 2, ... until it comes through without meeting that failure; then the same
 * with all from the N-th on.
 */
#include "interpose.h"
#include "test.h"

#include <gort/chan.h>
#include <gort/signal.h>
#include <gort/sync.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

static bool good_error(int r)
{
	return r == -ENOMEM || r == -EAGAIN;
}

static int started, finished;

static void counts(void *arg)
{
	gort_yield();
	count_up(&finished);
}

static void naps(void *arg)
{
	gort_sleep(20 * GORT_MICROSECOND);
	count_up(&finished);
}

static void checks_copy(void *arg)
{
	expect_eq(((unsigned char *)arg)[0], 5);
	expect_eq(((unsigned char *)arg)[199], 6);
	count_up(&finished);
}

static void note(int r)
{
	if (r == 0)
		count_up(&started);
	else
		expect(good_error(r));
}

static void sends(void *arg)
{
	int v = 3;

	gort_chan_send(arg, &v);
	count_up(&finished);
}

static int nested(void *arg)
{
	return 4;
}

/* Everything a program does, waiting for nothing that could not be started. */
static int scenario(void *arg)
{
	unsigned char big[200] = { 5 };
	gort_attr a = GORT_ATTR_INIT;
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	gort_mutex m = GORT_MUTEX_INIT;
	gort_chan *c;
	int r, v = 0;

	big[199] = 6;
	for (int i = 0; i < 300; i++)
		note(gort_go(i % 2 ? counts : naps, NULL));
	for (int i = 0; i < 10; i++) {
		note(gort_go_copy(checks_copy, big, sizeof big));
		a.stack_max = (size_t)1 << 20;
		a.arg_size = sizeof big;
		note(gort_go_attr(&a, checks_copy, big));
		r = gort_waitgroup_go(&wg, counts, NULL);
		note(r);
	}
	gort_set_maxprocs(4);
	await_count(&finished, get(&started));
	gort_waitgroup_wait(&wg);
	c = gort_chan_new(sizeof(int), 0);
	if (c != NULL) {
		for (int i = 0; i < 5; i++) {
			r = gort_go(sends, c);
			note(r);
			if (r == 0) {
				expect_eq(gort_chan_recv_until(c, &v, gort_deadline(GORT_HOUR)), 0);
				expect_eq(v, 3);
			}
			expect_eq(gort_chan_recv_until(c, &v, gort_deadline(50 * GORT_MICROSECOND)), -ETIMEDOUT);
		}
		await_count(&finished, get(&started));
		gort_chan_unref(c);
	}
	gort_mutex_lock(&m);
	expect_eq(gort_mutex_lock_until(&m, gort_deadline(50 * GORT_MICROSECOND)), -ETIMEDOUT);
	gort_mutex_unlock(&m);
	r = gort_run(nested, NULL);
	expect(r == 4 || good_error(r));
	gort_set_maxprocs(2);
	gort_sleep(GORT_MICROSECOND);
	expect_eq(get(&finished), get(&started));
	return 21;
}

static int injected(void)
{
	enum interpose kind = (enum interpose)atoi(getenv("KIND"));
	int n = atoi(getenv("NTH")), r;
	bool all = getenv("ALL") != NULL;

	interpose_fail(kind, n, all);
	r = gort_run(scenario, NULL);
	if (r != 21 && !good_error(r)) {
		fprintf(stderr, "run gave %d\n", r);
		return 4;
	}
	printf("failed %d, run %d\n", interpose_failed(kind), r);
	fflush(stdout);
	/* and when there is memory again, all works */
	interpose_fail(kind, 0, false);
	set(&started, 0);
	set(&finished, 0);
	r = gort_run(scenario, NULL);
	if (r != 21) {
		fprintf(stderr, "run afterwards gave %d\n", r);
		return 5;
	}
	if (get(&started) != 300 + 30 + 5) {
		fprintf(stderr, "only %d were started afterwards\n", get(&started));
		return 6;
	}
	return 0;
}

static void inject(enum interpose kind, bool all)
{
	static struct child_result r;
	int n, failed = 1, outcome;

	for (n = 1; failed > 0; n++) {
		char k[32], nth[32];
		const char *const env[] = { k, nth, "GOMAXPROCS=2", all ? "ALL=1" : NULL, NULL };

		snprintf(k, sizeof k, "KIND=%d", (int)kind);
		snprintf(nth, sizeof nth, "NTH=%d", n);
		test_run_child(&r, "injected", env, 60);
		/* what cannot be returned may be fatal, in words */
		if (r.exited && r.status == 2 && strstr(r.err, "fatal error: out of memory") != NULL)
			continue;
		ck_assert_msg(r.exited && r.status == 0, "kind %d, failure %d%s: %s %d, stderr: %s", (int)kind, n,
			all ? " and on" : "", r.exited ? "status" : "signal", r.status, r.err);
		ck_assert_msg(sscanf(r.out, "failed %d, run %d", &failed, &outcome) == 2, "%s", r.out);
		ck_assert_int_lt(n, 5000);
	}
	fprintf(stderr, "# kind %d%s: %d places\n", (int)kind, all ? ", all from there on" : "", n - 2);
	ck_assert_int_ge(n, 2);
}

START_TEST(each_allocation_may_fail)
{
	inject(INTERPOSE_MALLOC, false);
	inject(INTERPOSE_MALLOC, true);
}
END_TEST

START_TEST(each_mapping_may_fail)
{
	inject(INTERPOSE_MMAP, false);
	inject(INTERPOSE_MMAP, true);
}
END_TEST

START_TEST(each_thread_may_fail)
{
	inject(INTERPOSE_THREAD, false);
	inject(INTERPOSE_THREAD, true);
}
END_TEST

static int many_cases(void)
{
	gort_chan *c = gort_chan_new(0, 1);
	gort_case cs[17];

	for (int i = 0; i < 17; i++)
		cs[i] = (gort_case)GORT_CASE_SEND(c, NULL);
	if (gort_select(cs, 16) < 0)
		return 1;
	interpose_fail(INTERPOSE_MALLOC, 1, true);
	gort_select_try(cs, 16);                /* takes no heap */
	gort_select_try(cs, 17);
	return 1;
}

START_TEST(a_select_of_many_cases_without_memory_is_fatal_in_words)
{
	test_child_says("many_cases", NULL, 2, "fatal error: out of memory");
}
END_TEST

START_TEST(channels_that_cannot_be_had_are_null)
{
	gort_chan *c;

	ck_assert_ptr_nonnull(gort_self());
	interpose_fail(INTERPOSE_MALLOC, 1, true);
	c = gort_chan_new(8, 8);
	interpose_fail(INTERPOSE_MALLOC, 0, false);
	ck_assert_ptr_null(c);
	ck_assert_ptr_null(gort_chan_new(1, (size_t)1 << 46));
}
END_TEST

static void never(void *arg)
{
	(void)expect(false);
}

static int returns_0(void *arg)
{
	return 0;
}

#define MANY 200000

/* Makers of what takes a mapping now and then. */
static void *make_timer(void)
{
	return gort_timer_after_func(GORT_HOUR, never, NULL);
}

static void *make_after(void)
{
	return gort_after(GORT_HOUR);
}

static void *make_ticker(void)
{
	return gort_ticker_new(GORT_HOUR);
}

static const struct {
	void *(*make)(void);
	void (*end)(void *made);
	bool heap;              /* takes malloc's memory, too */
} makers[] = {
	{ make_timer, (void (*)(void *))gort_timer_free, false },
	{ make_after, (void (*)(void *))gort_chan_unref, true },
	{ make_ticker, (void (*)(void *))gort_ticker_free, true },
};

/* Until no mapping can be had; then all is given back, and one can be had again. */
static int timers_refused_main(void *arg)
{
	void **made = calloc(MANY, sizeof *made);

	for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
		int n = 0;

		if (makers[i].heap) {
			interpose_fail(INTERPOSE_MALLOC, 1, true);
			expect(makers[i].make() == NULL);
			interpose_fail(INTERPOSE_MALLOC, 0, false);
		}
		interpose_fail(INTERPOSE_MMAP, 1, true);
		while (n < MANY && (made[n] = makers[i].make()) != NULL)
			n++;
		interpose_fail(INTERPOSE_MMAP, 0, false);
		expect(n < MANY);
		made[n] = makers[i].make();
		expect(made[n] != NULL);
		for (; n >= 0; n--)
			makers[i].end(made[n]);
	}
	free(made);
	return 0;
}

static int timers_refused(void)
{
	return gort_run(timers_refused_main, NULL);
}

/* One that was not started counts neither among those waited for nor against the limit. */
static int group_refused_main(void *arg)
{
	gort_errgroup eg = GORT_ERRGROUP_INIT;
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	int r = 0, n = 0;

	gort_errgroup_set_limit(&eg, 1);
	interpose_fail(INTERPOSE_MMAP, 1, true);
	while (n < MANY && (r = gort_go_after(GORT_HOUR, never, NULL)) == 0)
		n++;
	expect_eq(r, -ENOMEM);
	/* those parked below are what takes all the descriptors there are */
	n = 0;
	while (n < MANY && (r = gort_waitgroup_go(&wg, naps, NULL)) == 0)
		n++;
	expect_eq(r, -ENOMEM);
	expect_eq(gort_errgroup_go(&eg, returns_0, NULL), -ENOMEM);
	interpose_fail(INTERPOSE_MMAP, 0, false);
	gort_waitgroup_wait(&wg);
	expect_eq(gort_errgroup_wait(&eg), 0);
	/* the only place is free: this does not block */
	expect_eq(gort_errgroup_go(&eg, returns_0, NULL), 0);
	expect_eq(gort_errgroup_wait(&eg), 0);
	return 0;
}

static int group_refused(void)
{
	return gort_run(group_refused_main, NULL);
}

START_TEST(timers_and_tickers_that_cannot_be_had_are_null)
{
	test_child_says("timers_refused", NULL, 0, "");
}
END_TEST

START_TEST(groups_do_not_count_what_could_not_be_started)
{
	test_child_says("group_refused", test_one_at_a_time, 0, "");
}
END_TEST

/* --- errors to return --- */

static int deferred, destroyed;

static void runs_later(void *arg)
{
	deferred++;
}

static void destroys(void *value)
{
	destroyed++;
}

/* Fails until there is memory; how many have been deferred is known all the same. */
static void defers(void *arg)
{
	int refused = 0, accepted = 0;

	for (int i = 0; i < 100; i++) {
		int r;

		interpose_fail(INTERPOSE_MALLOC, i % 2, true);
		r = gort_defer(runs_later, NULL);
		interpose_fail(INTERPOSE_MALLOC, 0, false);
		expect(r == 0 || r == -ENOMEM);
		if (i % 2 == 0)
			expect_eq(r, 0);
		refused += r != 0;
		accepted += r == 0;
	}
	/* the first few need no memory, later ones do now and then */
	expect(refused > 0 && accepted >= 50);
	*(int *)arg = accepted;
}

static int defer_refused_main(void *arg)
{
	int accepted = 0;

	deferred = 0;
	gort_call(defers, &accepted);
	expect_eq(deferred, accepted);
	return 0;
}

static int defer_refused(void)
{
	/* in a goroutine, and on a plain thread: there the first one needs memory for the thread too */
	int r = gort_run(defer_refused_main, NULL);

	interpose_fail(INTERPOSE_MALLOC, 1, true);
	expect_eq(gort_defer(runs_later, NULL), -ENOMEM);
	interpose_fail(INTERPOSE_MALLOC, 0, false);
	expect_eq(gort_defer(runs_later, NULL), 0);
	gort_undefer(true);
	return r + defer_refused_main(NULL);
}

START_TEST(a_defer_without_memory_says_so_and_defers_nothing)
{
	test_child_says("defer_refused", NULL, 0, "");
}
END_TEST

static int set_refused_main(void *arg)
{
	gort_key keys[40];
	int value;

	for (int i = 0; i < 40; i++)
		expect_eq(gort_key_new(&keys[i], destroys), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 40; i++) {
			int r;

			interpose_fail(INTERPOSE_MALLOC, 1, true);
			/* no value is where there is none: that needs no memory */
			if (gort_get(keys[i]) == NULL)
				expect_eq(gort_set(keys[i], NULL), 0);
			r = gort_set(keys[i], &value);
			interpose_fail(INTERPOSE_MALLOC, 0, false);
			/* a place that is there is enough, in the second round for all */
			expect(r == 0 || (round == 0 && r == -ENOMEM));
			if (i == 0 && round == 0)
				expect_eq(r, -ENOMEM);
			expect(gort_get(keys[i]) == (r == 0 ? &value : NULL));
			if (r != 0) {
				expect_eq(gort_set(keys[i], &value), 0);
				expect(gort_get(keys[i]) == &value);
			}
			/* those from before are kept */
			for (int k = 0; k < i; k++)
				expect(gort_get(keys[k]) == &value);
		}
	}
	return 0;
}

static void sets_refused(void *arg)
{
	set_refused_main(NULL);
	task_done(arg);
}

static int set_refused_there(void *arg)
{
	struct task t = { 0 };

	destroyed = 0;
	spawn(sets_refused, &t);
	await_done(&t);
	while (gort_num_goroutine() > 1)
		gort_yield();
	expect_eq(destroyed, 40);
	return 0;
}

static int set_refused(void)
{
	struct task t = { 0 };

	expect_eq(gort_run(set_refused_there, NULL), 0);
	destroyed = 0;
	thread_join(thread_start(sets_refused, &t));
	expect_eq(destroyed, 40);
	return 0;
}

START_TEST(a_set_without_memory_says_so_and_keeps_what_was_there)
{
	test_child_says("set_refused", NULL, 0, "");
}
END_TEST

/* --- limits of the process --- */

static gort_g *gone_on[200001];
static int parked_n, woken;

static bool note_parked(gort_g *g, void *arg)
{
	gone_on[(intptr_t)arg] = g;
	count_up(&parked_n);
	return true;
}

static void parks(void *arg)
{
	gort_park(note_parked, arg, "test");
	count_up(&woken);
}

/* As many as there may be, up to 200,000; then all end, and as many can be had again. */
static int fill_up(void *arg)
{
	int first = 0;

	for (int round = 0; round < 3; round++) {
		int n = 0, r = 0;

		set(&parked_n, 0);
		set(&woken, 0);
		while (n < 200000 && (r = gort_go(parks, (void *)(intptr_t)n)) == 0)
			n++;
		if (n < 200000)
			expect_eq(r, -ENOMEM);
		await_count(&parked_n, n);
		for (int i = 0; i < n; i++)
			gort_ready(gone_on[i]);
		await_count(&woken, n);
		while (gort_num_goroutine() > 1)
			gort_yield();
		if (round == 0)
			first = n;
		/* what the caches keep back varies a little */
		expect(n >= first - first / 4 - 64);
	}
	fprintf(stderr, "# %d goroutines\n", first);
	expect(first >= 1);
	return 0;
}

static int limited(void)
{
	size_t mib = (size_t)atoi(getenv("MIB"));
	struct rlimit rl = { mib << 20, mib << 20 };
	int r;

	if (setrlimit(RLIMIT_AS, &rl) != 0)
		return 9;
	r = gort_run(fill_up, NULL);
	if (r != 0)
		fprintf(stderr, "# with %zu MiB: run gave %d\n", mib, r);
	return r == 0 || (good_error(r) && mib < 64) ? 0 : 10;
}

START_TEST(a_small_limit_on_address_space_is_lived_with)
{
	static const int mibs[] = { 8, 16, 24, 32, 48, 64, 100, 256, 1024, 5000, 40000, 200000 };

	for (size_t i = 0; i < sizeof mibs / sizeof mibs[0]; i++) {
		static struct child_result r;
		char mib[32];
		const char *const env[] = { mib, "GOMAXPROCS=2", NULL };

		snprintf(mib, sizeof mib, "MIB=%d", mibs[i]);
		test_run_child(&r, "limited", env, 120);
		/* a process may be too small for any thread of ours, or for its own C library */
		ck_assert_msg(r.exited && (r.status == 0 || mibs[i] < 64), "%s: %s %d, %s", mib, r.exited ? "status" : "signal",
			r.status, r.err);
		ck_assert_msg(r.status == 0 || r.status == 10 || (r.status == 2 && strstr(r.err, "out of memory") != NULL),
			"%s: status %d, %s", mib, r.status, r.err);
	}
}
END_TEST

static int overcommitted(void)
{
	size_t left = (size_t)atoi(getenv("MIB")) << 20;
	int r;

	interpose_overcommit(left);
	r = gort_run(fill_up, NULL);
	if (r != 0)
		fprintf(stderr, "# run gave %d\n", r);
	fprintf(stderr, "# asked for %zu MiB at a time\n", interpose_commit_asked() >> 20);
	/* no step takes so much that the rest of the program is left without */
	return r == 0 && interpose_commit_asked() <= left / 8 ? 0 : 10;
}

START_TEST(without_overcommit_arenas_are_modest)
{
	static const int mibs[] = { 16, 64, 512, 1024, 4096 };

	for (size_t i = 0; i < sizeof mibs / sizeof mibs[0]; i++) {
		static struct child_result r;
		char mib[32];
		const char *const env[] = { mib, "GOMAXPROCS=2", NULL };
		const char *n;

		snprintf(mib, sizeof mib, "MIB=%d", mibs[i]);
		test_run_child(&r, "overcommitted", env, 120);
		ck_assert_msg(r.exited && r.status == 0, "%s: %s %d, %s", mib, r.exited ? "status" : "signal", r.status, r.err);
		/* most of it are stacks, of 64 KiB each */
		n = strstr(r.err, "# ");
		ck_assert_msg(n != NULL && atoi(n + 2) >= mibs[i] * 16 / 2, "%s: %s", mib, r.err);
	}
}
END_TEST

static int locked_main(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		int r = gort_go(counts, NULL);

		if (r != 0) {
			expect(good_error(r));
			break;
		}
		count_up(&started);
	}
	await_count(&finished, get(&started));
	fprintf(stderr, "# %d ran, RSS %ld MiB\n", get(&started), test_rss() >> 20);
	/* the stacks' reservations of many GiB may not have been touched */
	expect(test_rss() < (long)1 << 30);
	return 0;
}

static int locked(void)
{
	int r;

	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
		fprintf(stderr, "# mlockall refused: %s\n", strerror(errno));
		return 0;
	}
	r = gort_run(locked_main, NULL);
	return r == 0 || good_error(r) ? 0 : 10;
}

START_TEST(mlockall_does_not_lock_the_reservations)
{
	test_child_says("locked", NULL, 0, "#");
}
END_TEST

static int threads_limited_main(void *arg)
{
	gort_set_maxprocs(8);
	for (int i = 0; i < 1000; i++) {
		expect_eq(gort_go(i % 2 ? counts : naps, NULL), 0);
		count_up(&started);
	}
	await_count(&finished, 1000);
	return 0;
}

static int threads_limited(void)
{
	/* the monitor and the first thread of ours; no other */
	interpose_fail(INTERPOSE_THREAD, 3, true);
	return gort_run(threads_limited_main, NULL);
}

START_TEST(one_thread_does_it_all_when_there_are_no_more)
{
	test_child_says("threads_limited", NULL, 0, "");
}
END_TEST

static const struct test_child children[] = {
	{ "injected", injected },
	{ "many_cases", many_cases },
	{ "timers_refused", timers_refused }, { "group_refused", group_refused }, { "defer_refused", defer_refused },
	{ "set_refused", set_refused },
	{ "limited", limited },
	{ "overcommitted", overcommitted },
	{ "locked", locked },
	{ "threads_limited", threads_limited },
	{ NULL, NULL },
};

static int asks_without(enum interpose kind, int n, gort_chan *c)
{
	int r;

	interpose_fail(kind, n, true);
	r = gort_signal_notify(c, SIGUSR1);
	interpose_fail(kind, 0, false);
	return r;
}

/* The record of who asks, and what the thread takes that hands signals out. */
GO_TEST(a_signal_is_not_asked_for_without_memory_or_a_thread)
{
	gort_chan *c = gort_chan_new(sizeof(int), 1);
	struct sigaction now;
	int v = 0;

	expect_eq(asks_without(INTERPOSE_MALLOC, 1, c), -ENOMEM);
	expect_eq(asks_without(INTERPOSE_MALLOC, 2, c), -ENOMEM);
	expect_eq(asks_without(INTERPOSE_THREAD, 1, c), -EAGAIN);
	sigaction(SIGUSR1, NULL, &now);
	expect(now.sa_handler == SIG_DFL);
	/* and nothing of these is in the way of the next one */
	expect_eq(gort_signal_stop(c), -EINVAL);
	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	raise(SIGUSR1);
	expect_eq(gort_chan_recv(c, &v), 0);
	expect_eq(v, SIGUSR1);
	expect_eq(gort_signal_stop(c), 0);
	gort_chan_unref(c);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "exhaustion", children);
	if (test_valgrind()) {
		test_skip("without_overcommit_arenas_are_modest", "tens of thousands of stacks, and valgrind looks for each in a list");
		test_skip("each_mapping_may_fail, each_thread_may_fail",
			"many hundred programs, each of which takes valgrind a second to start");
		test_skip("each_allocation_may_fail, a_select_of_many_cases_without_memory_is_fatal_in_words, "
			"channels_that_cannot_be_had_are_null, timers_and_tickers_that_cannot_be_had_are_null, "
			"groups_do_not_count_what_could_not_be_started, a_defer_without_memory_says_so_and_defers_nothing, "
			"a_set_without_memory_says_so_and_keeps_what_was_there, "
			"a_signal_is_not_asked_for_without_memory_or_a_thread", "valgrind puts its own malloc before the one that fails");
		test_skip("a_small_limit_on_address_space_is_lived_with, mlockall_does_not_lock_the_reservations",
			"valgrind and its records are in the same address space and would be limited and locked too");
	} else {
		test_add(&s, each_allocation_may_fail);
		test_add(&s, each_mapping_may_fail);
		test_add(&s, each_thread_may_fail);
		test_add(&s, a_select_of_many_cases_without_memory_is_fatal_in_words);
		test_add(&s, channels_that_cannot_be_had_are_null);
		test_add(&s, timers_and_tickers_that_cannot_be_had_are_null);
		test_add(&s, groups_do_not_count_what_could_not_be_started);
		test_add(&s, a_defer_without_memory_says_so_and_defers_nothing);
		test_add(&s, a_set_without_memory_says_so_and_keeps_what_was_there);
		test_add(&s, a_signal_is_not_asked_for_without_memory_or_a_thread);
		test_add(&s, a_small_limit_on_address_space_is_lived_with);
		test_add(&s, without_overcommit_arenas_are_modest);
		test_add(&s, mlockall_does_not_lock_the_reservations);
	}
	test_add(&s, one_thread_does_it_all_when_there_are_no_more);
	return test_end(&s);
}
