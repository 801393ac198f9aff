/* SPDX-License-Identifier: MIT */
/*
 * A system that refuses things, by a seccomp filter as sandboxes have them: the heavy fence from the start, threads from some
 * moment on. The programs below run in children, a filter being for ever.
 */
#define _GNU_SOURCE     /* CLONE_THREAD */
#include "test.h"

#include <gort/chan.h>
#include <gort/sync.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int stop, done, running;

/* Relaxed, as in sysmon.c. */
static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* --- filters --- */

#define OF(field) ((uint32_t)offsetof(struct seccomp_data, field))
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define SAY(err) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)(err))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void install(struct sock_filter *f, size_t n)
{
	struct sock_fprog prog = { .len = (unsigned short)n, .filter = f };

	/* on every thread there is */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0) {
		fprintf(stderr, "no filter: %s\n", strerror(errno));
		_exit(77);
	}
}

static void refuse_membarrier(int err)
{
	struct sock_filter f[] = {
		LOAD(OF(nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		SAY(err),
		ALLOW,
	};

	install(f, sizeof f / sizeof f[0]);
}

/* New processes may be made, new threads not. What clone3 is asked for a filter cannot see, so libc has to use clone. */
static void refuse_threads(void)
{
	struct sock_filter f[] = {
		LOAD(OF(nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		SAY(ENOSYS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		LOAD(OF(args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
		SAY(EAGAIN),
		ALLOW,
	};

	install(f, sizeof f / sizeof f[0]);
}

/* --- work of all kinds --- */

static void sends(void *arg)
{
	for (int i = 0; i < 100; i++)
		gort_chan_send(arg, &i);
	count_up(&done);
}

static void channels(size_t cap)
{
	gort_chan *c = gort_chan_new(sizeof(int), cap);
	long sum = 0;
	int v = 0;

	set(&done, 0);
	for (int i = 0; i < 20; i++)
		spawn(sends, c);
	for (int i = 0; i < 20 * 100; i++) {
		gort_case cs[] = { GORT_CASE_RECV(NULL, NULL), GORT_CASE_RECV(c, &v) };

		if (i % 2 == 0)
			expect_eq(gort_chan_recv(c, &v), 0);
		else
			expect_eq(gort_select(cs, 2), 1);
		sum += v;
	}
	expect_eq(sum, 20 * 4950);
	await_count(&done, 20);
	expect_eq(gort_chan_recv_until(c, &v, gort_deadline(GORT_MICROSECOND)), -ETIMEDOUT);
	gort_chan_unref(c);
}

/* A tree: more goroutines than a ring holds, and the other Ps have theirs from stealing. */
static void branches(void *arg)
{
	intptr_t depth = (intptr_t)arg;

	if (depth > 0) {
		spawn(branches, (void *)(depth - 1));
		spawn(branches, (void *)(depth - 1));
		if (depth % 3 == 0)
			gort_yield();
	} else {
		for (volatile int i = 0; i < 200; i++)
			;
	}
	count_up(&done);
}

static void tree(void)
{
	int depth = test_sanitized() ? 8 : 12;

	set(&done, 0);
	spawn(branches, (void *)(intptr_t)depth);
	await_count(&done, (2 << depth) - 1);
}

static void loops(void *arg)
{
	count_up(&running);
	while (!stopped())
		;
	count_up(&done);
}

/* Time of the thread's own: what others on the machine do counts not. */
static void compute(gort_duration d)
{
	struct timespec from, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((now.tv_sec - from.tv_sec) * GORT_SECOND + now.tv_nsec - from.tv_nsec < d && !stopped());
}

/* Its calls need a P, but neither give way nor wait by themselves. arg: how long it computes between them. */
static void computes_and_calls(void *arg)
{
	gort_chan *c = gort_chan_new(0, 1);
	gort_duration d = *(gort_duration *)arg;

	count_up(&running);
	while (!stopped()) {
		compute(d);
		gort_chan_send(c, NULL);
		expect_eq(gort_chan_recv(c, NULL), 0);
	}
	gort_chan_unref(c);
	count_up(&done);
}

static gort_duration short_time = 200 * GORT_MICROSECOND, long_time = 15 * GORT_MILLISECOND;

static void beside(void (*fn)(void *arg), void *arg, int n)
{
	set(&stop, 0);
	set(&done, 0);
	set(&running, 0);
	for (int i = 0; i < n; i++)
		spawn(fn, arg);
	await_count(&running, n);
	for (int i = 0; i < 5; i++)
		gort_sleep(GORT_MILLISECOND);
	expect_eq(get(&done), 0);
	set(&stop, 1);
	await_count(&done, n);
}

static int ends[2];

static void reads(void *arg)
{
	char b;

	count_up(&running);
	expect_eq(read(ends[0], &b, 1), 1);
	count_up(&done);
}

static void blocked(int n)
{
	expect_eq(pipe(ends), 0);
	set(&running, 0);
	set(&done, 0);
	for (int i = 0; i < n; i++)
		spawn(reads, NULL);
	await_count(&running, n);
	for (int i = 0; i < n; i++)
		expect_eq(write(ends[1], "x", 1), 1);
	await_count(&done, n);
	close(ends[0]);
	close(ends[1]);
}

static gort_mutex guard;
static long guarded;

static void locks(void *arg)
{
	for (int i = 0; i < 200; i++) {
		gort_mutex_lock(&guard);
		guarded++;
		if (i % 50 == 0)
			gort_yield();
		gort_mutex_unlock(&guard);
	}
	count_up(&done);
}

static void mutexes(void)
{
	pthread_t t[2];

	set(&done, 0);
	guarded = 0;
	for (int i = 0; i < 10; i++)
		spawn(locks, NULL);
	for (int i = 0; i < 2; i++)
		t[i] = thread_start(locks, NULL);
	await_count(&done, 12);
	for (int i = 0; i < 2; i++)
		thread_join(t[i]);
	gort_mutex_lock(&guard);
	expect_eq(guarded, 12 * 200);
	gort_mutex_unlock(&guard);
}

static void sleeps(void *arg)
{
	for (int i = 0; i < 10; i++)
		gort_sleep((i % 3) * 100 * GORT_MICROSECOND + 1);
	count_up(&done);
}

static void sleepers(void)
{
	set(&done, 0);
	for (int i = 0; i < 50; i++)
		spawn(sleeps, NULL);
	await_count(&done, 50);
}

/* --- without the heavy fence --- */

static int fenced_main(void *arg)
{
	gort_stats s;

	expect_eq(gort_stats_get(&s, sizeof s), 0);
	expect_eq(s.fence, GORT_FENCE_FULL);
	for (int procs = 1; procs <= 4; procs++) {
		gort_set_maxprocs(procs);
		channels(0);
		channels(3);
		tree();
		beside(loops, NULL, 3);
		beside(computes_and_calls, &short_time, 3);
		blocked(5);
		mutexes();
		sleepers();
	}
	/* and asleep between: whoever goes idle misses nothing */
	for (int i = 0; i < test_scale_min(200, 20); i++) {
		gort_sleep(50 * GORT_MICROSECOND);
		set(&done, 0);
		spawn(branches, (void *)(intptr_t)3);
		await_count(&done, 15);
	}
	return 0;
}

static int fenced(void)
{
	refuse_membarrier(getenv("ERR") != NULL ? atoi(getenv("ERR")) : EPERM);
	return gort_run(fenced_main, NULL);
}

START_TEST(without_a_heavy_fence_all_works_and_the_stats_say_so)
{
	static const int errs[] = { EPERM, ENOSYS };

	for (int i = 0; i < 2; i++) {
		char err[16];
		const char *const env[] = { err, NULL };

		snprintf(err, sizeof err, "ERR=%d", errs[i]);
		test_child_says("fenced", env, 0, "");
	}
}
END_TEST

/* --- without more threads --- */

#define WORDS "gort: no more threads to be had"

static void nothing(void *arg)
{
	count_up(&done);
}

static int threadless_main(void *arg)
{
	gort_stats s;

	/* this goroutine's thread, and perhaps one that goes idle now */
	gort_set_maxprocs(4);
	refuse_threads();
	set(&done, 0);
	for (int i = 0; i < 1000; i++)
		spawn(i % 3 == 0 ? sleeps : nothing, NULL);
	await_count(&done, 1000);
	channels(0);
	channels(3);
	tree();
	sleepers();
	/* nobody can have their P, so they must give way where they call */
	for (int procs = 1; procs <= 2; procs++) {
		gort_set_maxprocs(procs);
		beside(computes_and_calls, &short_time, 4);
	}
	expect_eq(gort_stats_get(&s, sizeof s), 0);
	expect(s.threads_refused > 0);
	return 0;
}

static int threadless(void)
{
	return gort_run(threadless_main, NULL);
}

START_TEST(without_more_threads_goroutines_go_on_on_those_there_are)
{
	static const char *const env[] = { "GOMAXPROCS=1", NULL };
	static struct child_result r;

	test_run_child(&r, "threadless", env, 120);
	ck_assert_msg(r.exited && r.status == 0, "status %d, stderr: %s", r.status, r.err);
	ck_assert_int_eq(test_count_lines(r.err, WORDS), 1);
}
END_TEST

/* The same past the bound: hogs that call in give way to the others. */
static int bounded_main(void *arg)
{
	beside(computes_and_calls, &short_time, 4);
	return 0;
}

static int bounded(void)
{
	return gort_run(bounded_main, NULL);
}

START_TEST(past_the_bound_on_threads_whoever_computes_gives_way_when_it_calls)
{
	static const char *const env[] = { "GOMAXPROCS=1", "GORT_DEBUG=threads=1", NULL };

	test_child_says("bounded", env, 0, "gort: no more than 1 threads");
}
END_TEST

static int one_thread_main(void *arg)
{
	struct timespec ts = { .tv_nsec = 50 * 1000 * 1000 };

	refuse_threads();
	/* longer than it takes until the system is asked again, every time */
	beside(computes_and_calls, &long_time, 2);
	set(&done, 0);
	spawn(sleeps, NULL);
	gort_yield();
	/* whoever blocks keeps the thread from the others, and they run when it is back */
	for (int i = 0; i < 5; i++) {
		expect_eq(nanosleep(&ts, NULL), 0);
		expect(gort_self() != NULL);
	}
	await_count(&done, 1);
	gort_blocking((int (*)(void *))(void *)sched_yield, NULL);
	set(&done, 0);
	spawn(nothing, NULL);
	await_count(&done, 1);
	return 0;
}

static int one_thread(void)
{
	return gort_run(one_thread_main, NULL);
}

START_TEST(with_one_thread_whoever_computes_or_blocks_comes_back_to_the_others)
{
	static const char *const env[] = { "GOMAXPROCS=1", NULL };

	test_child_says("one_thread", env, 0, "");
}
END_TEST

static const struct test_child children[] = {
	{ "fenced", fenced },
	{ "threadless", threadless },
	{ "bounded", bounded },
	{ "one_thread", one_thread },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "refused", children);
	if (test_valgrind()) {
		test_skip("all but one", "valgrind does not know seccomp(2)");
	} else {
		test_add(&s, without_a_heavy_fence_all_works_and_the_stats_say_so);
		test_add(&s, without_more_threads_goroutines_go_on_on_those_there_are);
		test_add(&s, with_one_thread_whoever_computes_or_blocks_comes_back_to_the_others);
	}
	test_add(&s, past_the_bound_on_threads_whoever_computes_gives_way_when_it_calls);
	return test_end(&s);
}
