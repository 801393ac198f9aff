/* SPDX-License-Identifier: MIT */
/*
 * The monitor: goroutines that compute for ever or block in the kernel, unannounced, do not hold up the others; a deadlock
 * is reported, and nothing else is. Whatever would have to wait for a P that never comes back hangs here, until Check or
 * an alarm ends it: there are no time limits besides.
 */
#include "test.h"

#include <gort/chan.h>
#include <gort/sync.h>

#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int stop, done, running;

/* Relaxed: ThreadSanitizer's stronger loads lock the word for reading, and enough readers in loops keep its writer out. */
static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* Runs fn beside a goroutine that sleeps a millisecond ten times, on one P; then ends it by stop. */
static void beside(void (*fn)(void *arg), int n)
{
	int was = gort_set_maxprocs(1);

	set(&stop, 0);
	set(&running, 0);
	set(&done, 0);
	for (int i = 0; i < n; i++)
		spawn(fn, NULL);
	await_count(&running, n);
	for (int i = 0; i < 10; i++)
		gort_sleep(GORT_MILLISECOND);
	expect_eq(get(&done), 0);
	set(&stop, 1);
	await_count(&done, n);
	gort_set_maxprocs(was);
}

static void loops(void *arg)
{
	count_up(&running);
	while (!stopped())
		;
	count_up(&done);
}

GO_TEST(an_endless_loop_without_calls_does_not_stop_a_sleeper)
{
	beside(loops, 1);
}

GO_TEST(many_endless_loops_do_not_stop_a_sleeper)
{
	beside(loops, 20);
}

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

GO_TEST(loops_in_malloc_do_not_stop_others_from_calling_malloc)
{
	beside(mallocs, 4);
}

static FILE *sink;

static void prints(void *arg)
{
	count_up(&running);
	while (!stopped())
		fprintf(sink, "%d %s\n", 42, "lines of one FILE, whose lock others want too");
	count_up(&done);
}

GO_TEST(loops_in_printf_to_one_file_do_not_stop_others)
{
	sink = fopen("/dev/null", "we");
	beside(prints, 4);
	fclose(sink);
}

static pthread_mutex_t wanted = PTHREAD_MUTEX_INITIALIZER;
static long guarded;

static void holds(void *arg)
{
	count_up(&running);
	while (!stopped()) {
		pthread_mutex_lock(&wanted);
		guarded++;
		for (volatile int i = 0; i < 1000; i++)
			;
		pthread_mutex_unlock(&wanted);
	}
	count_up(&done);
}

GO_TEST(a_pthread_mutex_that_is_held_when_the_P_goes_is_let_go_of_again)
{
	beside(holds, 4);
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

GO_TEST(loops_in_the_callback_of_qsort_do_not_stop_others)
{
	beside(sorts, 2);
}

/* A goroutine that has computed without its P for a while comes back and goes on as any other. */
static void computes_then_calls(void *arg)
{
	gort_chan *c = arg;

	for (int i = 0; i < 3; i++) {
		struct timespec from, now;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		do
			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
		while ((now.tv_sec - from.tv_sec) * 1000000000L + now.tv_nsec - from.tv_nsec < 20 * 1000 * 1000);
		gort_chan_send(c, &i);
	}
	count_up(&done);
}

GO_TEST(hogs_that_call_now_and_then_get_all_their_turns)
{
	gort_chan *c = gort_chan_new(sizeof(int), 0);
	long hogs = test_scale_min(40, 8);
	int v, sum = 0;

	set(&done, 0);
	for (long i = 0; i < hogs; i++)
		spawn(computes_then_calls, c);
	for (long i = 0; i < 3 * hogs; i++) {
		expect_eq(gort_chan_recv(c, &v), 0);
		sum += v;
	}
	expect_eq(sum, 3 * hogs);
	await_count(&done, (int)hogs);
	gort_chan_unref(c);
}

/* --- blocked in the kernel --- */

static int ends[2];

static void reads(void *arg)
{
	char b;

	count_up(&running);
	expect_eq(read(ends[0], &b, 1), 1);
	expect_eq(b, 'x');
	count_up(&done);
}

static void wait_for_reads(int n)
{
	expect_eq(pipe(ends), 0);
	set(&running, 0);
	set(&done, 0);
	for (int i = 0; i < n; i++)
		spawn(reads, NULL);
	await_count(&running, n);
	for (int i = 0; i < 5; i++)
		gort_sleep(GORT_MILLISECOND);
	expect_eq(get(&done), 0);
	for (int i = 0; i < n; i++)
		expect_eq(write(ends[1], "x", 1), 1);
	await_count(&done, n);
	close(ends[0]);
	close(ends[1]);
}

GO_TEST(a_read_that_nobody_announced_does_not_stop_the_others)
{
	int was = gort_set_maxprocs(1);

	wait_for_reads(1);
	gort_set_maxprocs(was);
}

GO_TEST(many_reads_that_nobody_announced_do_not_stop_the_others)
{
	wait_for_reads(test_sanitized() ? 20 : 200);
}

static void naps(void *arg)
{
	struct timespec ts = { .tv_nsec = 30 * 1000 * 1000 }, left = { 0, 0 };
	gort_time t = gort_now();

	expect_eq(nanosleep(&ts, &left), 0);
	expect(gort_now() - t >= 30 * GORT_MILLISECOND);
	count_up(&done);
}

GO_TEST(a_nanosleep_has_its_full_length_and_is_never_interrupted)
{
	set(&done, 0);
	for (int i = 0; i < 50; i++)
		spawn(naps, NULL);
	await_count(&done, 50);
}

static char lock_path[64];

static void flocks(void *arg)
{
	int fd = open(lock_path, O_RDWR | O_CLOEXEC);

	expect(fd >= 0);
	count_up(&running);
	expect_eq(flock(fd, LOCK_EX), 0);
	close(fd);
	count_up(&done);
}

GO_TEST(a_goroutine_in_flock_waits_for_one_that_holds_it)
{
	int was = gort_set_maxprocs(1), fd;

	snprintf(lock_path, sizeof lock_path, "/tmp/gort-flock-XXXXXX");
	fd = mkstemp(lock_path);
	expect(fd >= 0);
	expect_eq(flock(fd, LOCK_EX), 0);
	set(&running, 0);
	set(&done, 0);
	spawn(flocks, NULL);
	await_count(&running, 1);
	gort_sleep(5 * GORT_MILLISECOND);
	expect_eq(get(&done), 0);
	expect_eq(flock(fd, LOCK_UN), 0);
	await_count(&done, 1);
	close(fd);
	unlink(lock_path);
	gort_set_maxprocs(was);
}

static void looks_up(void *arg)
{
	struct addrinfo *ai = NULL;

	expect_eq(getaddrinfo("localhost", "80", NULL, &ai), 0);
	freeaddrinfo(ai);
	count_up(&done);
}

GO_TEST(getaddrinfo_runs_on_goroutines)
{
	set(&done, 0);
	for (int i = 0; i < 20; i++)
		spawn(looks_up, NULL);
	await_count(&done, 20);
}

static void runs_programs(void *arg)
{
	expect_eq(system("exit 3") >> 8, 3);
	count_up(&done);
}

GO_TEST(system_runs_on_goroutines)
{
	set(&done, 0);
	for (int i = 0; i < 4; i++)
		spawn(runs_programs, NULL);
	await_count(&done, 4);
}

/* --- what a thread has, stays --- */

/* Compilers keep errno's address over calls, and the thread may be another one after them. */
static __attribute__((noinline)) int *errno_now(void)
{
	int *at = &errno;

	__asm__ volatile("" : "+r"(at) : : "memory");
	return at;
}

static void keeps_errno(void *arg)
{
	int mine = (int)(intptr_t)arg;

	*errno_now() = mine;
	while (!stopped()) {
		gort_yield();
		expect_eq(*errno_now(), mine);
	}
	count_up(&done);
}

static void keeps_registers(void *arg)
{
	double seed = (double)(intptr_t)arg;
	volatile double a = seed, b = seed * 3;
	volatile long double c = seed / 7;

	while (!stopped()) {
		double x = a * 1.5, y = b + x, z = y / 3.25;
		long double w = c * 3;

		gort_yield();
		expect(x == a * 1.5 && y == b + x && z == y / 3.25 && w == c * 3);
	}
	count_up(&done);
}

GO_TEST(errno_and_floating_point_are_kept_while_Ps_come_and_go)
{
	int was = gort_maxprocs();

	set(&stop, 0);
	set(&done, 0);
	set(&running, 0);
	for (intptr_t i = 1; i <= 10; i++) {
		spawn(keeps_errno, (void *)(i + 100));
		spawn(keeps_registers, (void *)i);
	}
	spawn(loops, NULL);
	spawn(mallocs, NULL);
	for (int i = 0; i < test_scale_min(200, 20); i++) {
		gort_set_maxprocs(i % 5 + 1);
		gort_sleep(200 * GORT_MICROSECOND);
	}
	gort_set_maxprocs(was);
	set(&stop, 1);
	await_count(&done, 22);
}

static int signals;

static void on_signal(int signo)
{
	(void)signo;
	count_up(&signals);
}

static void sends(void *arg)
{
	for (long i = 0; i < test_scale_min(20000, 2000); i++)
		gort_chan_send(arg, &i);
	count_up(&done);
}

static void storm_of_signals(void)
{
	gort_chan *c = gort_chan_new(sizeof(long), 3);
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	long n = 4 * test_scale_min(20000, 2000), v, kills = test_scale_min(10000, 500);

	sigaction(SIGUSR1, &sa, NULL);
	set(&done, 0);
	set(&signals, 0);
	for (int i = 0; i < 4; i++)
		spawn(sends, c);
	for (long i = 0; i < n; i++) {
		expect_eq(gort_chan_recv(c, &v), 0);
		if (i % (n / kills) == 0)
			kill(getpid(), SIGUSR1);
	}
	await_count(&done, 4);
	/* they go to any thread, which may have to wait for a processor first; on TSan a sleeping one handles it when it wakes */
	if (!TEST_TSAN)
		await_count(&signals, 1);
	signal(SIGUSR1, SIG_IGN);       /* some may be on their way still */
	gort_chan_unref(c);
}

static int nothing(void *arg)
{
	return 0;
}

/* The thread that waits in gort_run takes no signals, or the kernel would give it nearly all of them. */
START_TEST(a_storm_of_signals_from_outside_disturbs_nothing)
{
	sigset_t usr1;

	ck_assert_int_eq(gort_run(nothing, NULL), 0);   /* our threads' mask is the one at the scheduler's start */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	test_go(storm_of_signals);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
}
END_TEST

/* --- the bound on threads --- */

static int few_threads_main(void *arg)
{
	expect_eq(pipe(ends), 0);
	for (int i = 0; i < 3; i++)
		spawn(reads, NULL);
	/* four threads at most, and all Ps blocked behind them: this one goes on */
	await_count(&running, 3);
	for (int i = 0; i < 3; i++)
		expect_eq(write(ends[1], "x", 1), 1);
	await_count(&done, 3);
	return 0;
}

static int few_threads(void)
{
	return gort_run(few_threads_main, NULL);
}

static int one_thread_main(void *arg)
{
	int fds[2];
	char b;

	if (pipe(fds) != 0)
		return 1;
	set(&running, 0);
	set(&stop, 0);
	spawn(loops, NULL);
	gort_yield();                   /* never comes back before stop: there is no thread for it */
	(void)!read(fds[0], &b, 0);
	return get(&stop) ? 0 : 2;
}

static void *ends_the_loop(void *arg)
{
	struct timespec ts = { .tv_nsec = 100 * 1000 * 1000 };

	while (!get(&running))
		sched_yield();
	nanosleep(&ts, NULL);           /* time for the monitor to ask in vain, nothing else */
	set(&stop, 1);
	return NULL;
}

static int one_thread(void)
{
	pthread_t t;
	int r;

	pthread_create(&t, NULL, ends_the_loop, NULL);
	r = gort_run(one_thread_main, NULL);
	pthread_join(t, NULL);
	return r;
}

START_TEST(past_the_bound_on_threads_nothing_is_taken_and_that_is_said_once)
{
	static const char *const env[] = { "GOMAXPROCS=1", "GORT_DEBUG=threads=1", NULL };
	struct child_result r;

	test_run_child(&r, "one_thread", env, 120);
	ck_assert_msg(r.exited && r.status == 0, "status %d, stderr: %s", r.status, r.err);
	ck_assert_int_eq(test_count_lines(r.err, "gort: no more than 1 threads"), 1);
}
END_TEST

START_TEST(with_threads_enough_for_all_that_block_nothing_is_said)
{
	static const char *const env[] = { "GOMAXPROCS=2", "GORT_DEBUG=threads=5", NULL };
	struct child_result r;

	test_run_child(&r, "few_threads", env, 120);
	ck_assert_msg(r.exited && r.status == 0, "status %d, stderr: %s", r.status, r.err);
	ck_assert_str_eq(r.err, "");
}
END_TEST

/* --- deadlock --- */

#define WORDS "fatal error: all goroutines are asleep - deadlock!"

static int receives_for_ever(void *arg)
{
	gort_chan *c = gort_chan_new(1, 0);

	gort_chan_recv(c, NULL);
	return 0;
}

static int deadlock_recv(void) { return gort_run(receives_for_ever, NULL); }

static void waits_for_ever(void *arg) { gort_waitgroup_wait(arg); }

static int deadlock_many_main(void *arg)
{
	static gort_waitgroup wg;
	gort_mutex m = GORT_MUTEX_INIT;

	gort_waitgroup_add(&wg, 1);
	for (int i = 0; i < 100; i++)
		spawn(waits_for_ever, &wg);
	gort_mutex_lock(&m);
	gort_mutex_lock(&m);
	return 0;
}

static int deadlock_many(void) { return gort_run(deadlock_many_main, NULL); }

static int deadlock_select_main(void *arg)
{
	gort_select(NULL, 0);
	return 0;
}

static int deadlock_select(void) { return gort_run(deadlock_select_main, NULL); }

static void *thread_receives(void *arg)
{
	gort_chan_recv(arg, NULL);
	return NULL;
}

/* Plain threads that wait for ever count too. */
static int deadlock_threads(void)
{
	gort_chan *c = gort_chan_new(1, 0);
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, thread_receives, c);
	gort_chan_recv(c, NULL);
	return 0;
}

static int deadlock_locked_main(void *arg)
{
	gort_lock_os_thread();
	return receives_for_ever(arg);
}

static int deadlock_locked(void) { return gort_run(deadlock_locked_main, NULL); }

static int deadlock_later_main(void *arg)
{
	gort_chan *c = gort_chan_new(1, 0);

	/* a deadline that was not needed lies in the heap for an hour */
	spawn((void (*)(void *))gort_chan_close, c);
	gort_chan_recv_until(c, NULL, gort_deadline(GORT_HOUR));
	gort_sleep(20 * GORT_MILLISECOND);
	return receives_for_ever(NULL);
}

static int deadlock_later(void) { return gort_run(deadlock_later_main, NULL); }

static void *computes(void *arg)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec - from.tv_sec < 2);
	gort_chan_send(arg, NULL);
	return NULL;
}

/* A thread of the program's own computes for two seconds before its first call. */
static int foreign_thread(void)
{
	gort_chan *c = gort_chan_new(0, 0);
	pthread_t t;

	pthread_create(&t, NULL, computes, c);
	gort_chan_recv(c, NULL);
	pthread_join(t, NULL);
	return 33;
}

static void *sleeps_then_closes(void *arg)
{
	struct timespec ts = { .tv_sec = 1 };

	gort_syscall_enter();
	nanosleep(&ts, NULL);
	gort_syscall_exit();
	gort_chan_close(arg);
	return NULL;
}

static void closes_after_block(void *arg) { sleeps_then_closes(arg); }

static int announced_main(void *arg)
{
	gort_chan *c = gort_chan_new(0, 0);

	spawn(closes_after_block, c);
	gort_chan_recv(c, NULL);
	return 33;
}

static int announced(void) { return gort_run(announced_main, NULL); }

static void naps_then_closes(void *arg)
{
	struct timespec ts = { .tv_sec = 1 };

	nanosleep(&ts, NULL);
	gort_chan_close(arg);
}

static int detached_main(void *arg)
{
	gort_chan *c = gort_chan_new(0, 0);

	spawn(naps_then_closes, c);
	gort_chan_recv(c, NULL);
	return 33;
}

static int detached(void) { return gort_run(detached_main, NULL); }

static int timer_main(void *arg)
{
	gort_chan *c = gort_chan_new(0, 0);

	expect_eq(gort_chan_recv_until(c, NULL, gort_deadline(GORT_SECOND)), -ETIMEDOUT);
	return 33;
}

static int timer(void) { return gort_run(timer_main, NULL); }

/* The same on a plain thread, with a deadline of its own. */
static int thread_timer(void)
{
	gort_chan *c = gort_chan_new(0, 0);

	return gort_chan_recv_until(c, NULL, gort_deadline(GORT_SECOND)) == -ETIMEDOUT ? 33 : 1;
}

static const struct test_child children[] = {
	{ "one_thread", one_thread },
	{ "few_threads", few_threads },
	{ "deadlock_recv", deadlock_recv },
	{ "deadlock_many", deadlock_many },
	{ "deadlock_select", deadlock_select },
	{ "deadlock_threads", deadlock_threads },
	{ "deadlock_locked", deadlock_locked },
	{ "deadlock_later", deadlock_later },
	{ "foreign_thread", foreign_thread },
	{ "announced", announced },
	{ "detached", detached },
	{ "timer", timer },
	{ "thread_timer", thread_timer },
	{ NULL, NULL },
};

START_TEST(a_deadlock_is_reported)
{
	test_child_says("deadlock_recv", NULL, 2, WORDS);
	test_child_says("deadlock_many", NULL, 2, WORDS);
	test_child_says("deadlock_select", NULL, 2, WORDS);
}
END_TEST

START_TEST(a_deadlock_is_reported_after_a_deadline_that_was_called_off)
{
	test_child_says("deadlock_later", NULL, 2, WORDS);
}
END_TEST

START_TEST(a_deadlock_of_plain_threads_is_reported)
{
	test_child_says("deadlock_threads", NULL, 2, WORDS);
}
END_TEST

START_TEST(a_deadlock_of_a_goroutine_locked_to_its_thread_is_reported)
{
	test_child_says("deadlock_locked", NULL, 2, WORDS);
}
END_TEST

START_TEST(a_thread_that_computes_before_its_first_call_is_no_deadlock)
{
	test_child_says("foreign_thread", NULL, 33, "");
}
END_TEST

START_TEST(a_blocked_goroutine_is_no_deadlock)
{
	test_child_says("announced", NULL, 33, "");
	test_child_says("detached", NULL, 33, "");
}
END_TEST

START_TEST(a_timer_is_no_deadlock)
{
	test_child_says("timer", NULL, 33, "");
	test_child_says("thread_timer", NULL, 33, "");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "sysmon", children);
	test_add(&s, an_endless_loop_without_calls_does_not_stop_a_sleeper);
	test_add(&s, many_endless_loops_do_not_stop_a_sleeper);
	test_add(&s, loops_in_malloc_do_not_stop_others_from_calling_malloc);
	test_add(&s, loops_in_printf_to_one_file_do_not_stop_others);
	test_add(&s, a_pthread_mutex_that_is_held_when_the_P_goes_is_let_go_of_again);
	test_add(&s, loops_in_the_callback_of_qsort_do_not_stop_others);
	test_add(&s, hogs_that_call_now_and_then_get_all_their_turns);
	test_add(&s, a_read_that_nobody_announced_does_not_stop_the_others);
	test_add(&s, many_reads_that_nobody_announced_do_not_stop_the_others);
	test_add(&s, a_nanosleep_has_its_full_length_and_is_never_interrupted);
	test_add(&s, a_goroutine_in_flock_waits_for_one_that_holds_it);
	test_add(&s, getaddrinfo_runs_on_goroutines);
	test_add(&s, system_runs_on_goroutines);
	test_add(&s, errno_and_floating_point_are_kept_while_Ps_come_and_go);
	test_add(&s, a_storm_of_signals_from_outside_disturbs_nothing);
	test_add(&s, past_the_bound_on_threads_nothing_is_taken_and_that_is_said_once);
	test_add(&s, with_threads_enough_for_all_that_block_nothing_is_said);
	if (TEST_TSAN) {
		/* it has a thread of its own in every process, which nobody can vouch for */
		test_skip("a_deadlock_is_reported, and three more", "ThreadSanitizer's own thread counts as one of the program's");
	} else {
		test_add(&s, a_deadlock_is_reported);
		test_add(&s, a_deadlock_is_reported_after_a_deadline_that_was_called_off);
		test_add(&s, a_deadlock_of_plain_threads_is_reported);
		test_add(&s, a_deadlock_of_a_goroutine_locked_to_its_thread_is_reported);
	}
	test_add(&s, a_thread_that_computes_before_its_first_call_is_no_deadlock);
	test_add(&s, a_blocked_goroutine_is_no_deadlock);
	test_add(&s, a_timer_is_no_deadlock);
	return test_end(&s);
}
