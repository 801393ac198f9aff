/* SPDX-License-Identifier: MIT */
/*
 * GORT_DEBUG=preempt=signal: goroutines that compute are interrupted, and give way on the threads there are. Each test runs a
 * child with that setting; what would wait for a P that never comes back hangs until an alarm ends it.
 */
#define _GNU_SOURCE
#include "regs.h"
#include "test.h"

#include <gort/chan.h>
#include <gort/sync.h>

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int stop, done, running;

/* Relaxed, as in sysmon.c. */
static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void begin(void)
{
	set(&stop, 0);
	set(&done, 0);
	set(&running, 0);
}

static gort_stats now(void)
{
	gort_stats s;

	expect_eq(gort_stats_get(&s, sizeof s), 0);
	return s;
}

static void beside(void (*fn)(void *arg), void *arg, int n)
{
	begin();
	for (int i = 0; i < n; i++)
		spawn(fn, arg);
	await_count(&running, n);
	for (int i = 0; i < 10; i++)
		gort_sleep(GORT_MILLISECOND);
	expect_eq(get(&done), 0);
	set(&stop, 1);
	await_count(&done, n);
}

/* --- loops without calls --- */

static void loops(void *arg)
{
	count_up(&running);
	while (!stopped())
		;
	count_up(&done);
}

static int loops_main(void *arg)
{
	uint64_t threads = now().threads;

	for (int round = 0; round < 2; round++) {
		begin();
		for (int i = 0; i < 10; i++)
			spawn(loops, NULL);
		await_count(&running, 10);
		for (int i = 0; i < 10; i++)
			gort_sleep(GORT_MILLISECOND);
		/* all of them on the threads there were */
		expect_eq(now().threads, threads);
		expect_eq(now().detached_threads, 0);
		expect(now().preemptions >= 10);
		set(&stop, 1);
		await_count(&done, 10);
	}
	expect_eq(test_threads(), 2 + (long)threads);   /* the first one, and the monitor */
	return 0;
}

static int loops_child(void) { return gort_run(loops_main, NULL); }

/* --- in libraries --- */

static void mallocs(void *arg)
{
	uint64_t r = test_random_init(1);

	count_up(&running);
	while (!stopped()) {
		char *p = malloc(test_random(&r) % 5000 + 1);

		if (p != NULL)
			p[0] = 1;
		free(p);
	}
	count_up(&done);
}

static FILE *sink;

static void prints(void *arg)
{
	count_up(&running);
	while (!stopped()) {
		fprintf(sink, "%d %s\n", 42, "lines of one FILE, whose lock others want too");
		for (volatile int i = 0; i < 200; i++)
			;
	}
	count_up(&done);
}

static int by_value(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static void sorts(void *arg)
{
	uint64_t r = test_random_init(2);
	int a[1000];

	count_up(&running);
	while (!stopped()) {
		for (int i = 0; i < 1000; i++)
			a[i] = (int)(test_random(&r) % 1000000);
		qsort(a, 1000, sizeof a[0], by_value);
		for (int i = 1; i < 1000; i++)
			expect(a[i - 1] <= a[i]);
	}
	count_up(&done);
}

static int libraries_main(void *arg)
{
	sink = fopen("/dev/null", "we");
	beside(mallocs, NULL, 4);
	beside(prints, NULL, 4);
	beside(sorts, NULL, 4);
	fclose(sink);
	return 0;
}

static int libraries(void) { return gort_run(libraries_main, NULL); }

/* --- what a thread has --- */

static __thread int mine __attribute__((tls_model("initial-exec")));

/* Spins without calls; the address of a thread's variable, taken before, has to be good after. */
static void stays(void *arg)
{
	long tid = syscall(SYS_gettid);
	int *at = &mine;

	count_up(&running);
	while (!stopped()) {
		for (volatile int i = 0; i < 1000000; i++)
			;
		expect(at == &mine);
	}
	expect_eq(syscall(SYS_gettid), tid);
	count_up(&done);
}

static int held;

static void holds_registers(void *arg)
{
	uint64_t n = (uintptr_t)arg;
	struct regs in, out;

	count_up(&running);
	for (; !stopped(); n += 1000) {
		regs_fill(&in, n);
		errno = (int)n;
		regs_hold(&in, &out, 3000000);
		expect_eq(errno, (int)n);
		for (int i = 0; i < REGS_GENERAL; i++)
			expect(in.general[i] == out.general[i]);
		for (int i = 0; i < REGS_RED; i++)
			expect(in.red[i] == out.red[i]);
		expect_eq(in.flags, out.flags);
		expect_eq(in.mxcsr, out.mxcsr);
		expect_eq(in.x87cw, out.x87cw);
		expect_eq(memcmp(in.vector, out.vector, sizeof in.vector), 0);
		expect_eq(memcmp(in.x87, out.x87, sizeof in.x87), 0);
		count_up(&held);
	}
	count_up(&done);
}

static int registers_main(void *arg)
{
	uint64_t before;

	begin();
	set(&held, 0);
	before = now().preemptions;
	for (intptr_t i = 1; i <= 4; i++) {
		spawn(holds_registers, (void *)i);
		spawn(stays, NULL);
	}
	await_count(&running, 8);
	while (now().preemptions < before + 100 || get(&held) < 20)
		gort_sleep(100 * GORT_MICROSECOND);
	set(&stop, 1);
	await_count(&done, 8);
	return 0;
}

static int registers(void) { return gort_run(registers_main, NULL); }

/* --- waiting in the kernel --- */

static int ends[2];

/* Was interrupted, and is on its way in a queue for a thread that may be about to block. */
static void writes_late(void *arg)
{
	uint64_t before = now().preemptions;

	count_up(&running);
	while (now().preemptions < before + 3) {
		for (volatile int i = 0; i < 100000; i++)
			;
	}
	expect_eq(write(ends[1], "xxx", 3), 3);
	count_up(&done);
}

static void reads_announced(void *arg)
{
	char b;

	count_up(&running);
	gort_syscall_enter();
	expect_eq(read(ends[0], &b, 1), 1);
	gort_syscall_exit();
	count_up(&done);
}

static int reads_one(void *arg)
{
	char b;

	return (int)read(ends[0], &b, 1);
}

static void reads_blocking(void *arg)
{
	count_up(&running);
	expect_eq(gort_blocking(reads_one, NULL), 1);
	count_up(&done);
}

static void reads_locked(void *arg)
{
	long tid;

	count_up(&running);
	gort_lock_os_thread();
	tid = syscall(SYS_gettid);
	expect_eq(reads_one(NULL), 1);
	gort_yield();
	expect_eq(syscall(SYS_gettid), tid);
	gort_unlock_os_thread();
	count_up(&done);
}

static int blocks_main(void *arg)
{
	for (int round = 0; round < 10; round++) {
		begin();
		expect_eq(pipe(ends), 0);
		/* the reader is on the one P's thread when the others have been interrupted on it */
		spawn(writes_late, NULL);
		spawn(loops, NULL);
		await_count(&running, 2);
		while (now().preemptions == 0)
			gort_yield();
		spawn(reads_announced, NULL);
		spawn(reads_blocking, NULL);
		spawn(reads_locked, NULL);
		await_count(&done, 4);
		set(&stop, 1);
		await_count(&done, 5);
		close(ends[0]);
		close(ends[1]);
	}
	return 0;
}

static int blocks(void) { return gort_run(blocks_main, NULL); }

static void reads(void *arg)
{
	count_up(&running);
	expect_eq(reads_one(NULL), 1);
	count_up(&done);
}

/* Whoever blocks unannounced loses its P as ever. */
static int unannounced_main(void *arg)
{
	begin();
	expect_eq(pipe(ends), 0);
	for (int i = 0; i < 10; i++)
		spawn(reads, NULL);
	await_count(&running, 10);
	expect_eq(write(ends[1], "xxxxxxxxxx", 10), 10);
	await_count(&done, 10);
	return 0;
}

static int unannounced(void) { return gort_run(unannounced_main, NULL); }

/* --- where it may not be --- */

static int pinned_main(void *arg)
{
	struct timespec from, t;
	uint64_t before;

	begin();
	spawn(loops, NULL);
	gort_preempt_disable();
	before = now().preemptions;
	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &t);
	while ((t.tv_sec - from.tv_sec) * 1000000000LL + t.tv_nsec - from.tv_nsec < 100 * 1000 * 1000);
	expect_eq(get(&running), 0);
	expect_eq(now().preemptions, before);
	gort_preempt_enable();
	await_count(&running, 1);
	set(&stop, 1);
	await_count(&done, 1);
	return 0;
}

static int pinned(void) { return gort_run(pinned_main, NULL); }

/* Nearly at the end of its stack: there is no room for the registers, and it goes on. */
static __attribute__((noinline)) void deep(uintptr_t from)
{
	volatile char frame[512];

	frame[0] = 1;
	if (from - (uintptr_t)&frame < 57 * 1024) {
		deep(from);
		frame[1] = 1;
		return;
	}
	count_up(&running);
	for (volatile int i = 0; i < 30000000; i++)
		;
}

static void computes_deep(void *arg)
{
	deep((uintptr_t)__builtin_frame_address(0));
	count_up(&done);
}

static int deep_main(void *arg)
{
	begin();
	spawn(computes_deep, NULL);
	spawn(loops, NULL);
	await_count(&running, 2);
	await_count(&done, 1);
	set(&stop, 1);
	await_count(&done, 2);
	return 0;
}

static int deep_child(void) { return gort_run(deep_main, NULL); }

static int handled, urgent;

/* Signals of the program's are handled on whatever stack; while they are nothing is switched. */
static void handles(int signo)
{
	long tid = syscall(SYS_gettid);
	volatile int n = 0;

	(void)signo;
	for (int i = 0; i < 3000000; i++)
		n = n + 1;
	expect_eq(syscall(SYS_gettid), tid);
	expect_eq(n, 3000000);
	count_up(&handled);
}

static void on_urgent(int signo)
{
	(void)signo;
	count_up(&urgent);
}

static int signals_main(void *arg)
{
	struct sigaction sa = { .sa_handler = handles, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &sa, NULL);
	begin();
	spawn(mallocs, NULL);
	spawn(mallocs, NULL);
	spawn(loops, NULL);
	await_count(&running, 3);
	for (int i = 0; i < 20; i++) {
		expect_eq(kill(getpid(), SIGUSR1), 0);
		gort_sleep(GORT_MILLISECOND);
	}
	await_count(&handled, 1);
	/* the signal that is used is still the program's too */
	while (get(&urgent) == 0) {
		expect_eq(kill(getpid(), SIGURG), 0);
		gort_sleep(GORT_MILLISECOND);
	}
	expect_eq(gort_traceback(STDERR_FILENO), 0);
	set(&stop, 1);
	await_count(&done, 3);
	signal(SIGUSR1, SIG_IGN);
	return 0;
}

static int signals(void)
{
	struct sigaction sa = { .sa_handler = on_urgent, .sa_flags = SA_RESTART };

	sigaction(SIGURG, &sa, NULL);
	return gort_run(signals_main, NULL);
}

/* --- a storm --- */

static void sends(void *arg)
{
	for (int i = 0; i < 300; i++) {
		gort_chan_send(arg, &i);
		for (volatile int k = 0; k < 2000; k++)
			;
	}
	count_up(&done);
}

static gort_mutex m;
static long guarded;

static void locks(void *arg)
{
	for (int i = 0; i < 300; i++) {
		gort_mutex_lock(&m);
		for (volatile int k = 0; k < 3000; k++)
			;
		guarded++;
		gort_mutex_unlock(&m);
		if (i % 50 == 0)
			gort_sleep(10 * GORT_MICROSECOND);
	}
	count_up(&done);
}

static void computes(void *arg)
{
	for (int i = 0; i < 5; i++) {
		long tid = syscall(SYS_gettid);

		for (volatile int k = 0; k < 4000000; k++)
			;
		expect_eq(syscall(SYS_gettid), tid);
		gort_yield();
	}
	count_up(&done);
}

static void naps(void *arg)
{
	for (int i = 0; i < 10; i++) {
		struct timespec ts = { .tv_nsec = 500000 };

		gort_syscall_enter();
		nanosleep(&ts, NULL);
		gort_syscall_exit();
		for (volatile int k = 0; k < 200000; k++)
			;
	}
	count_up(&done);
}

static int storm_main(void *arg)
{
	uint64_t r = test_random_init(7);
	gort_chan *c = gort_chan_new(sizeof(int), 2);
	long sum = 0;
	int v;

	for (long round = 0; round < test_scale_min(5, 1); round++) {
		begin();
		sum = guarded = 0;
		for (int i = 0; i < 8; i++) {
			spawn(sends, c);
			spawn(locks, NULL);
			spawn(computes, NULL);
			spawn(naps, NULL);
		}
		for (int i = 0; i < 8 * 300; i++) {
			expect_eq(gort_chan_recv(c, &v), 0);
			sum += v;
			if (i % 100 == 0)
				gort_set_maxprocs(1 + (int)(test_random(&r) % 4));
		}
		await_count(&done, 32);
		expect_eq(sum, 8 * (299 * 300 / 2));
		expect_eq(guarded, 8 * 300);
	}
	gort_chan_unref(c);
	return 0;
}

static int storm(void) { return gort_run(storm_main, NULL); }

static const struct test_child children[] = {
	{ "loops", loops_child },
	{ "libraries", libraries },
	{ "registers", registers },
	{ "blocks", blocks },
	{ "unannounced", unannounced },
	{ "pinned", pinned },
	{ "deep", deep_child },
	{ "signals", signals },
	{ "storm", storm },
	{ NULL, NULL },
};

static const char *const one_p[] = { "GOMAXPROCS=1", "GORT_DEBUG=preempt=signal", NULL };
static const char *const two_ps[] = { "GOMAXPROCS=2", "GORT_DEBUG=preempt=signal", NULL };

START_TEST(loops_share_the_threads_there_are)
{
	test_child_says("loops", one_p, 0, "");
}
END_TEST

START_TEST(loops_in_libraries_do_not_deadlock)
{
	test_child_says("libraries", one_p, 0, "");
	test_child_says("libraries", two_ps, 0, "");
}
END_TEST

START_TEST(registers_and_the_thread_are_kept)
{
	test_child_says("registers", one_p, 0, "");
	test_child_says("registers", two_ps, 0, "");
}
END_TEST

START_TEST(nobody_waits_for_a_thread_that_is_in_an_announced_call_or_locked)
{
	test_child_says("blocks", one_p, 0, "");
}
END_TEST

START_TEST(whoever_blocks_loses_its_P_as_ever)
{
	test_child_says("unannounced", one_p, 0, "");
}
END_TEST

START_TEST(with_preemption_disabled_nothing_is_interrupted)
{
	test_child_says("pinned", one_p, 0, "");
}
END_TEST

START_TEST(without_room_on_the_stack_nothing_is_interrupted)
{
	static const char *const env[] = { "GOMAXPROCS=1", "GORT_DEBUG=preempt=signal,stackmax=64K", NULL };

	test_child_says("deep", env, 0, "");
}
END_TEST

START_TEST(signals_of_the_program_and_tracebacks_go_on_working)
{
	test_child_says("signals", one_p, 0, "loops(");
}
END_TEST

START_TEST(a_storm)
{
	test_child_says("storm", one_p, 0, "");
	test_child_says("storm", two_ps, 0, "");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "preempt", children);
	if (!TEST_SIGNAL || test_sanitized()) {
		test_skip("all", "preempt=signal needs a shared libgort and this processor's switch, and no sanitizer or valgrind");
		return test_end(&s);
	}
	test_add(&s, loops_share_the_threads_there_are);
	test_add(&s, loops_in_libraries_do_not_deadlock);
	test_add(&s, registers_and_the_thread_are_kept);
	test_add(&s, nobody_waits_for_a_thread_that_is_in_an_announced_call_or_locked);
	test_add(&s, whoever_blocks_loses_its_P_as_ever);
	test_add(&s, with_preemption_disabled_nothing_is_interrupted);
	test_add(&s, without_room_on_the_stack_nothing_is_interrupted);
	test_add(&s, signals_of_the_program_and_tracebacks_go_on_working);
	test_add(&s, a_storm);
	return test_end(&s);
}
