/* SPDX-License-Identifier: MIT */
/* Announced calls, goroutines locked to their threads, and goroutines that keep their P. */
#include "test.h"

#include <gort/chan.h>
#include <gort/sync.h>

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int done, running;

static long tid(void)
{
	return syscall(SYS_gettid);
}

/* --- announced calls --- */

static int ends[2];

static void reads_announced(void *arg)
{
	char b;
	ssize_t n;

	gort_syscall_enter();
	count_up(&running);
	n = read(ends[0], &b, 1);
	gort_syscall_exit();
	expect_eq(n, 1);
	count_up(&done);
}

GO_TEST(announced_calls_leave_the_P_to_others)
{
	int was = gort_set_maxprocs(1);

	expect_eq(pipe(ends), 0);
	set(&running, 0);
	set(&done, 0);
	for (int i = 0; i < 10; i++)
		spawn(reads_announced, NULL);
	await_count(&running, 10);
	for (int i = 0; i < 10; i++)
		expect_eq(write(ends[1], "x", 1), 1);
	await_count(&done, 10);
	close(ends[0]);
	close(ends[1]);
	gort_set_maxprocs(was);
}

GO_TEST(an_announced_call_keeps_its_thread)
{
	for (int i = 0; i < 1000; i++) {
		long before;

		gort_syscall_enter();
		before = tid();
		if (i % 100 == 0)
			sched_yield();
		expect_eq(tid(), before);
		gort_syscall_exit();
		gort_yield();
	}
}

static void *announces(void *arg)
{
	gort_syscall_enter();
	gort_syscall_exit();
	gort_preempt_disable();
	gort_syscall_enter();
	gort_syscall_exit();
	gort_preempt_enable();
	gort_lock_os_thread();
	gort_unlock_os_thread();
	return NULL;
}

THREAD_TEST(plain_threads_may_announce_and_lock_to_no_effect)
{
	pthread_t t;

	announces(NULL);
	pthread_create(&t, NULL, announces, NULL);
	pthread_join(t, NULL);
}

static int reads_one(void *arg)
{
	char b;

	count_up(&running);
	return read(ends[0], &b, 1) == 1 ? b : -1;
}

static void reads_blocking(void *arg)
{
	expect_eq(gort_blocking(reads_one, NULL), 'x');
	count_up(&done);
}

GO_TEST(blocking_hands_the_P_over_and_returns_the_result)
{
	int was = gort_set_maxprocs(1);

	expect_eq(pipe(ends), 0);
	set(&running, 0);
	set(&done, 0);
	for (int i = 0; i < 10; i++)
		spawn(reads_blocking, NULL);
	await_count(&running, 10);
	for (int i = 0; i < 10; i++)
		expect_eq(write(ends[1], "x", 1), 1);
	await_count(&done, 10);
	close(ends[0]);
	close(ends[1]);
	gort_set_maxprocs(was);
}

static void tells(void *arg)
{
	task_done(arg);
}

static int calls_in(void *arg)
{
	gort_yield();
	gort_sleep(GORT_MICROSECOND);
	spawn(tells, arg);
	return 7;
}

GO_TEST(blocking_functions_may_call_the_library)
{
	struct task t = { 0 };

	expect_eq(gort_blocking(calls_in, &t), 7);
	await_done(&t);
}

/* --- locked to a thread --- */

static void stays(void *arg)
{
	gort_chan *c = arg;
	long mine;

	gort_lock_os_thread();
	gort_lock_os_thread();
	gort_unlock_os_thread();
	mine = tid();
	for (int i = 0; i < test_scale_min(500, 50); i++) {
		gort_yield();
		expect_eq(tid(), mine);
		gort_chan_send(c, &i);
		expect_eq(tid(), mine);
		if (i % 50 == 0) {
			gort_sleep(100 * GORT_MICROSECOND);
			expect_eq(tid(), mine);
		}
	}
	gort_unlock_os_thread();
	gort_unlock_os_thread();        /* one too many is nothing */
	count_up(&done);
}

GO_TEST(locked_goroutines_stay_on_their_threads)
{
	gort_chan *c = gort_chan_new(sizeof(int), 2);
	int v;

	set(&done, 0);
	for (int i = 0; i < 5; i++)
		spawn(stays, c);
	for (int i = 0; i < 5 * test_scale_min(500, 50); i++)
		expect_eq(gort_chan_recv(c, &v), 0);
	await_count(&done, 5);
	gort_chan_unref(c);
}

static pthread_key_t key;
static int ended;

static void thread_ends(void *value)
{
	count_up(&ended);
}

static void ends_locked(void *arg)
{
	gort_lock_os_thread();
	pthread_setspecific(key, &key);
	if (arg != NULL)
		gort_yield();
}

GO_TEST(a_goroutine_that_ends_locked_takes_its_thread_along)
{
	pthread_key_create(&key, thread_ends);
	set(&ended, 0);
	for (int i = 0; i < 20; i++) {
		gort_attr a = GORT_ATTR_INIT;

		a.stack_max = i % 2 == 0 ? 0 : 1 << 20;
		expect_eq(gort_go_attr(&a, ends_locked, i % 3 == 0 ? &key : NULL), 0);
	}
	await_count(&ended, 20);
	pthread_key_delete(key);
}

/* Another goroutine's deadline, a P that is taken, set_maxprocs: locked ones live through it all. */
static void locked_storm(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);
	gort_chan *never = gort_chan_new(0, 0);
	long mine;

	gort_lock_os_thread();
	mine = tid();
	for (long i = 0; i < test_scale_min(300, 30); i++) {
		switch (test_random(&r) % 5) {
		case 0:
			gort_yield();
			break;
		case 1:
			gort_sleep((gort_duration)(test_random(&r) % 50000));
			break;
		case 2:
			expect_eq(gort_chan_recv_until(never, NULL, gort_deadline(20 * GORT_MICROSECOND)), -ETIMEDOUT);
			break;
		case 3:
			for (volatile int k = 0; k < 20000; k++)
				;
			break;
		case 4:
			usleep(200);
			break;
		}
		expect_eq(tid(), mine);
	}
	gort_chan_unref(never);
	count_up(&done);
}

GO_TEST(locked_goroutines_in_a_storm)
{
	int was = gort_maxprocs();

	set(&done, 0);
	for (intptr_t i = 0; i < 10; i++)
		spawn(locked_storm, (void *)i);
	for (int i = 0; get(&done) < 10; i++) {
		gort_set_maxprocs(i % 4 + 1);
		gort_sleep(300 * GORT_MICROSECOND);
	}
	gort_set_maxprocs(was);
}

/* --- keeping the P --- */

static int others;

static void counts(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		count_up(&others);
		gort_yield();
	}
	count_up(&done);
}

static int pinned_main(void *arg)
{
	struct timespec from, now;
	long mine = tid();
	int before;

	spawn(counts, NULL);
	gort_yield();
	gort_preempt_disable();
	gort_preempt_disable();
	gort_preempt_enable();
	mine = tid();
	before = get(&others);
	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000000000LL + now.tv_nsec - from.tv_nsec < 200 * 1000 * 1000);
	/* twenty slices, and nobody else has run on the only P */
	if (get(&others) != before)
		return 1;
	gort_sleep(GORT_MILLISECOND);
	if (tid() != mine)
		return 2;
	gort_preempt_enable();
	await_count(&done, 1);
	return 33;
}

static int pinned(void) { return gort_run(pinned_main, NULL); }

/* --- misuse --- */

#define MISUSE(name, ...) \
	static int name##_main(void *arg) { __VA_ARGS__; return 0; } \
	static int name(void) { return gort_run(name##_main, NULL); }

MISUSE(enter_twice, gort_syscall_enter(); gort_syscall_enter())
MISUSE(exit_alone, gort_syscall_exit())
MISUSE(yield_between, gort_syscall_enter(); gort_yield())
MISUSE(send_between, gort_chan *c = gort_chan_new(0, 0); gort_syscall_enter(); gort_chan_send(c, NULL))
MISUSE(ends_between, gort_syscall_enter())
MISUSE(enable_alone, gort_preempt_enable())
static void pins(void *arg) { gort_preempt_disable(); }
MISUSE(ends_pinned, spawn(pins, NULL); gort_sleep(GORT_HOUR))
MISUSE(null_blocking, gort_blocking(NULL, NULL))

static int thread_exit_alone(void) { return gort_syscall_exit(), 0; }
static int thread_between(void) { return gort_syscall_enter(), gort_self() != NULL; }

static const struct test_child children[] = {
	{ "pinned", pinned },
	{ "enter_twice", enter_twice },
	{ "exit_alone", exit_alone },
	{ "yield_between", yield_between },
	{ "send_between", send_between },
	{ "ends_between", ends_between },
	{ "enable_alone", enable_alone },
	{ "ends_pinned", ends_pinned },
	{ "null_blocking", null_blocking },
	{ "thread_exit_alone", thread_exit_alone },
	{ "thread_between", thread_between },
	{ NULL, NULL },
};

START_TEST(a_goroutine_with_preemption_disabled_keeps_P_and_thread)
{
	static const char *const env[] = { "GOMAXPROCS=1", NULL };

	test_child_says("pinned", env, 33, "");
}
END_TEST

START_TEST(misuse_is_fatal_in_words)
{
	test_child_says("enter_twice", NULL, 2, "fatal error: gort_syscall_enter after gort_syscall_enter");
	test_child_says("exit_alone", NULL, 2, "fatal error: gort_syscall_exit without gort_syscall_enter");
	test_child_says("yield_between", NULL, 2, "fatal error: a call of libgort between gort_syscall_enter and gort_syscall_exit");
	test_child_says("send_between", NULL, 2, "fatal error: a call of libgort between");
	test_child_says("ends_between", NULL, 2, "fatal error: a call of libgort between");
	test_child_says("enable_alone", NULL, 2, "fatal error: gort_preempt_enable without gort_preempt_disable");
	test_child_says("ends_pinned", NULL, 2, "fatal error: a goroutine ends with preemption disabled");
	test_child_says("null_blocking", NULL, 2, "fatal error: gort_blocking of nil func value");
	test_child_says("thread_exit_alone", NULL, 2, "fatal error: gort_syscall_exit without gort_syscall_enter");
	test_child_says("thread_between", NULL, 2, "fatal error: a call of libgort between");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "syscall", children);
	test_add(&s, announced_calls_leave_the_P_to_others);
	test_add(&s, an_announced_call_keeps_its_thread);
	test_add(&s, plain_threads_may_announce_and_lock_to_no_effect);
	test_add(&s, blocking_hands_the_P_over_and_returns_the_result);
	test_add(&s, blocking_functions_may_call_the_library);
	test_add(&s, locked_goroutines_stay_on_their_threads);
	test_add(&s, a_goroutine_that_ends_locked_takes_its_thread_along);
	test_add(&s, locked_goroutines_in_a_storm);
	test_add(&s, a_goroutine_with_preemption_disabled_keeps_P_and_thread);
	test_add(&s, misuse_is_fatal_in_words);
	return test_end(&s);
}
