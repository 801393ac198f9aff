/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that compute beside others: those that call the library now and then, a crowd of them, and all kinds of
 * goroutines at once while maxprocs goes up and down. And what a computing thread has in its registers when its P goes. As in
 * sysmon.c whatever would wait for a P that never comes back hangs here, and there are no time limits besides.
 */
#include "regs.h"
#include "test.h"

#include <gort/chan.h>
#include <gort/sync.h>

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

/* Time of the thread's own: what others on the machine do counts not. */
static void compute(gort_duration d)
{
	struct timespec from, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((now.tv_sec - from.tv_sec) * GORT_SECOND + now.tv_nsec - from.tv_nsec < d && !stopped());
}

/* --- calling every 50 ms --- */

#define CALLERS 8

static int turns[CALLERS];

static void calls_now_and_then(void *arg)
{
	int me = (int)(intptr_t)arg;
	gort_chan *never = gort_chan_new(0, 0);

	count_up(&running);
	while (!stopped()) {
		compute(50 * GORT_MILLISECOND);
		/* calls that give way, calls that only pass through, and one that waits */
		switch (me % 4) {
		case 0:
			gort_yield();
			break;
		case 1:
			expect(gort_self() != NULL);
			break;
		case 2:
			expect_eq(gort_chan_try_recv(never, NULL), -EAGAIN);
			expect(gort_self() != NULL);
			break;
		default:
			gort_sleep(GORT_MICROSECOND);
		}
		count_up(&turns[me]);
	}
	gort_chan_unref(never);
	count_up(&done);
}

static void call_now_and_then(int procs)
{
	int was = gort_set_maxprocs(procs);

	begin();
	for (intptr_t i = 0; i < CALLERS; i++) {
		set(&turns[i], 0);
		spawn(calls_now_and_then, (void *)i);
	}
	await_count(&running, CALLERS);
	for (int i = 0; i < 20; i++)
		gort_sleep(GORT_MILLISECOND);
	expect_eq(get(&done), 0);
	for (int i = 0; i < CALLERS; i++)
		await_count(&turns[i], 2);
	set(&stop, 1);
	await_count(&done, CALLERS);
	gort_set_maxprocs(was);
}

GO_TEST(hogs_that_call_every_50_ms_and_sleepers_all_get_on)
{
	call_now_and_then(1);
	call_now_and_then(2);
}

/* --- a crowd --- */

static int slept;

static void loops(void *arg)
{
	count_up(&running);
	while (!stopped())
		;
	count_up(&done);
}

static void sleeps(void *arg)
{
	for (int i = 0; i < 5; i++) {
		gort_time t = gort_now();

		gort_sleep(GORT_MILLISECOND);
		expect(gort_now() - t >= GORT_MILLISECOND);
	}
	count_up(&slept);
}

GO_TEST(sleepers_beside_as_many_hogs_all_get_on)
{
	int n = test_sanitized() ? 20 : 200;
	gort_stats s;

	begin();
	set(&slept, 0);
	for (int i = 0; i < n; i++) {
		spawn(loops, NULL);
		spawn(sleeps, NULL);
	}
	await_count(&slept, n);
	await_count(&running, n);
	expect_eq(get(&done), 0);
	expect_eq(gort_stats_get(&s, sizeof s), 0);
	/*
	 * Every loop is on a thread of its own by now, and those that have a P are few. Some may have been taken for blocked:
	 * while a page is fetched, say, or on valgrind, whose threads wait for each other.
	 */
	expect(s.threads >= (uint64_t)n && s.retakes + s.preemptions + s.procs >= (uint64_t)n);
	expect(s.blocked_threads + s.detached_threads + s.procs >= (uint64_t)n);
	set(&stop, 1);
	await_count(&done, n);
}

/* --- registers --- */

/* Another thread's errno: compilers keep its address over calls. */
static __attribute__((noinline)) int *errno_now(void)
{
	int *at = &errno;

	__asm__ volatile("" : "+r"(at) : : "memory");
	return at;
}

static int held;

static void holds_registers(void *arg)
{
	uint64_t n = (uintptr_t)arg;
	struct regs in, out;

	count_up(&running);
	for (; !stopped(); n += 1000) {
		regs_fill(&in, n);
		*errno_now() = (int)n;
		regs_hold(&in, &out, test_valgrind() ? 1000000 : 10000000);
		expect_eq(memcmp(&in, &out, sizeof in), 0);
		expect_eq(*errno_now(), (int)n);
		gort_yield();
		expect_eq(*errno_now(), (int)n);
		count_up(&held);
	}
	count_up(&done);
}

GO_TEST(registers_and_errno_are_kept_when_the_P_goes_and_comes_back)
{
	int was = gort_set_maxprocs(1);
	uint64_t n = (uint64_t)test_scale_min(20, 4);
	gort_stats before, after;

	begin();
	set(&held, 0);
	for (intptr_t i = 1; i <= 4; i++)
		spawn(holds_registers, (void *)i);
	await_count(&running, 4);
	expect_eq(gort_stats_get(&before, sizeof before), 0);
	do {
		gort_sleep(100 * GORT_MICROSECOND);
		expect_eq(gort_stats_get(&after, sizeof after), 0);
	} while (after.retakes + after.preemptions < before.retakes + before.preemptions + n || get(&held) < (int)n);
	set(&stop, 1);
	await_count(&done, 4);
	gort_set_maxprocs(was);
}

/* --- all at once --- */

static int ends[2];

static void reads(void *arg)
{
	char b = 0;

	while (read(ends[0], &b, 1) == 1 && b == 'x')
		gort_yield();
	expect_eq(b, 'e');
	count_up(&done);
}

static void writes(void *arg)
{
	while (!stopped()) {
		expect_eq(write(ends[1], "x", 1), 1);
		gort_sleep(100 * GORT_MICROSECOND);
	}
	count_up(&done);
}

static void naps(void *arg)
{
	struct timespec ts = { .tv_nsec = 2000000 }, left = { 0, 0 };

	while (!stopped()) {
		if ((intptr_t)arg % 2)
			gort_syscall_enter();
		expect_eq(nanosleep(&ts, &left), 0);
		if ((intptr_t)arg % 2)
			gort_syscall_exit();
		gort_yield();
	}
	count_up(&done);
}

static void sleeps_on(void *arg)
{
	while (!stopped())
		gort_sleep(GORT_MILLISECOND / 2);
	count_up(&done);
}

struct pair {
	gort_chan *a, *b;
};

static struct pair pairs[3];

static void answers(void *arg)
{
	struct pair *p = arg;
	int v;

	while (gort_chan_recv(p->a, &v) == 0)
		gort_chan_send(p->b, &v);
	count_up(&done);
}

static void asks(void *arg)
{
	struct pair *p = arg;
	int i = 0, v;

	while (!stopped()) {
		gort_chan_send(p->a, &i);
		expect_eq(gort_chan_recv(p->b, &v), 0);
		expect_eq(v, i++);
	}
	gort_chan_close(p->a);
	count_up(&done);
}

static void holds_the_lock(void *arg)
{
	while (!stopped()) {
		gort_mutex_lock(arg);
		for (volatile int i = 0; i < 3000; i++)
			;
		gort_mutex_unlock(arg);
	}
	count_up(&done);
}

static void stays_on_its_thread(void *arg)
{
	pthread_t self;

	gort_lock_os_thread();
	self = pthread_self();
	while (!stopped()) {
		compute(2 * GORT_MILLISECOND);
		gort_yield();
		expect(pthread_equal(self, pthread_self()));
		gort_sleep(GORT_MICROSECOND);
		expect(pthread_equal(self, pthread_self()));
	}
	gort_unlock_os_thread();
	count_up(&done);
}

GO_TEST(maxprocs_goes_up_and_down_under_all_of_it)
{
	uint64_t r = test_random_init(4);
	int was = gort_maxprocs(), n = 0;
	gort_mutex m = GORT_MUTEX_INIT;

	begin();
	set(&held, 0);
	expect_eq(pipe(ends), 0);
	for (intptr_t i = 0; i < 3; i++) {
		pairs[i].a = gort_chan_new(sizeof(int), (size_t)i);
		pairs[i].b = gort_chan_new(sizeof(int), 0);
		spawn(answers, &pairs[i]);
		spawn(asks, &pairs[i]);
		spawn(loops, NULL);
		spawn(calls_now_and_then, (void *)i);
		spawn(holds_registers, (void *)(i + 1));
		spawn(reads, NULL);
		spawn(writes, NULL);
		spawn(naps, (void *)i);
		spawn(sleeps_on, NULL);
		spawn(holds_the_lock, &m);
		spawn(stays_on_its_thread, NULL);
		n += 11;
	}
	for (long i = 0; i < test_scale_min(200, 20) || get(&held) < 10; i++) {
		gort_set_maxprocs(1 + (int)(test_random(&r) % 6));
		gort_sleep((gort_duration)(test_random(&r) % 2000000));
	}
	gort_set_maxprocs(was);
	set(&stop, 1);
	await_count(&done, n - 3);              /* all but those that read */
	expect_eq(write(ends[1], "eee", 3), 3);
	await_count(&done, n);
	close(ends[0]);
	close(ends[1]);
	for (int i = 0; i < 3; i++) {
		gort_chan_unref(pairs[i].a);
		gort_chan_unref(pairs[i].b);
	}
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "hogs", NULL);
	test_add(&s, hogs_that_call_every_50_ms_and_sleepers_all_get_on);
	test_add(&s, sleepers_beside_as_many_hogs_all_get_on);
	test_add(&s, registers_and_errno_are_kept_when_the_P_goes_and_comes_back);
	test_add(&s, maxprocs_goes_up_and_down_under_all_of_it);
	return test_end(&s);
}
