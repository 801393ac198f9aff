/* SPDX-License-Identifier: MIT */
/* gort_shutdown: what is left afterwards (nothing), what is waited for, who may call it, and that all starts afresh. */
#define _GNU_SOURCE
#include "test.h"

#include <fcntl.h>
#include <gort/chan.h>
#include <gort/signal.h>
#include <gort/sync.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static long mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	long n = 0;
	int c;

	if (f == NULL)
		abort();
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

struct all_there_is {
	long threads, files, mappings;
	size_t heap;
};

static struct all_there_is count_all(void)
{
	struct all_there_is a = { test_threads(), test_entries("/proc/self/fd"), mappings(), 0 };

	if (!test_sanitized())
		a.heap = mallinfo2().uordblks;
	return a;
}

/* --- goroutines in every state ------------------------------------------------------------------------------------ */

static gort_chan *never;                /* nobody sends */
static gort_chan *signals;
static gort_timer *timers[10];
static gort_ticker *ticker;
static gort_key keys[3];
static int there;                       /* how many are where they are to be left */

static void waits_for_ever(void *arg)
{
	count_up(&there);
	gort_chan_recv(never, NULL);
}

static void sleeps(void *arg)
{
	count_up(&there);
	gort_sleep(GORT_HOUR);
}

static void selects(void *arg)
{
	gort_case cs[] = { GORT_CASE_RECV(never, NULL), GORT_CASE_SEND(NULL, NULL) };

	count_up(&there);
	gort_select_until(cs, 2, gort_deadline(GORT_HOUR));
}

static void is_locked(void *arg)
{
	gort_lock_os_thread();
	waits_for_ever(NULL);
}

static void never_mind(void *arg)
{
}

static void has_values(void *arg)
{
	for (int i = 0; i < 3; i++)
		gort_set(keys[i], &keys[i]);
	for (int i = 0; i < 10; i++)
		gort_defer(never_mind, NULL);
	waits_for_ever(NULL);
}

static void panics(void *arg)
{
	gort_panic("a message of its own: %s", "it lies in memory of malloc's");
}

static void defers_and_waits(void *arg)
{
	for (int i = 0; i < 10; i++)
		gort_defer(never_mind, NULL);
	gort_defer(waits_for_ever, NULL);
	panics(NULL);
}

static void is_in_flight(void *arg)
{
	gort_panic_info info;

	gort_try(panics, NULL, &info);
	gort_try(defers_and_waits, NULL, &info);
}

static void handler_waits(const gort_panic_info *info, void *ctx)
{
	waits_for_ever(NULL);
}

static void has_a_copy(void *arg)
{
	waits_for_ever(NULL);
}

static void goes_deep(void *arg)
{
	volatile char frame[8192];

	frame[0] = frame[sizeof frame - 1] = 1;
	if (arg != NULL)
		goes_deep((void *)((intptr_t)arg - 1));
	else
		waits_for_ever(NULL);
	frame[1] = 1;
}

static void ends(void *arg)
{
}

static int everything(void *arg)
{
	char block[500] = "";
	gort_attr attr = GORT_ATTR_INIT;
	int waiting = 0, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	set(&there, 0);
	never = gort_chan_new(0, 0);
	signals = gort_chan_new(sizeof(int), 1);
	for (int i = 0; i < 3; i++)
		expect_eq(gort_key_new(&keys[i], NULL), 0);
	gort_set_panic_handler(handler_waits, NULL);
	for (int i = 0; i < 5; i++, waiting += 8) {
		spawn(waits_for_ever, NULL);
		spawn(sleeps, NULL);
		spawn(selects, NULL);
		spawn(has_values, NULL);
		spawn(is_in_flight, NULL);
		spawn(panics, NULL);
		spawn(goes_deep, (void *)10);
		expect_eq(gort_go_copy(has_a_copy, block, sizeof block), 0);
	}
	for (int i = 0; i < 2; i++, waiting++)
		spawn(is_locked, NULL);
	attr.stack_max = 3 << 20;
	attr.arg_size = sizeof block;
	expect_eq(gort_go_attr(&attr, has_a_copy, block), 0);
	waiting++;
	for (int i = 0; i < 100; i++)
		spawn(ends, NULL);
	for (int i = 0; i < 10; i++) {
		timers[i] = gort_timer_after_func(i % 2 ? GORT_HOUR : 0, waits_for_ever, NULL);
		expect(timers[i] != NULL);
		waiting += i % 2 == 0;
		expect_eq(gort_go_after(GORT_HOUR, ends, NULL), 0);
	}
	ticker = gort_ticker_new(GORT_MICROSECOND);
	expect_eq(gort_signal_notify(signals, SIGUSR2), 0);
	await_count(&there, waiting);
	if (arg != NULL) {
		expect_eq(gort_trace_start("/dev/null"), 0);
		gort_yield();
		if (null >= 0)
			expect_eq(gort_traceback(null), 0);
	}
	/* these may or may not have begun when it comes to it */
	for (int i = 0; i < 20; i++) {
		expect_eq(gort_go_copy(ends, block, sizeof block), 0);
		expect_eq(gort_go_attr(&attr, ends, block), 0);
	}
	close(null);
	return 5;
}

static void cycle(bool traces)
{
	expect_eq(gort_run(everything, traces ? &traces : NULL), 5);
	gort_shutdown();
	gort_chan_unref(never);
	gort_chan_unref(signals);
	for (int i = 0; i < 10; i++)
		gort_timer_free(timers[i]);
	expect_eq(gort_num_goroutine(), 0);
	gort_ticker_free(ticker);       /* this starts it once more */
	gort_shutdown();
}

static void cycles(long n, bool traces)
{
	struct all_there_is before, after;

	/* what libc and a sanitizer keep for themselves is there after some */
	for (int i = 0; i < 20; i++)
		cycle(traces);
	before = count_all();
	for (long i = 0; i < n; i++)
		cycle(traces);
	after = count_all();
	expect_eq(after.threads, before.threads);
	expect_eq(after.files, before.files);
	if (!test_sanitized())
		expect(after.mappings < before.mappings + 4 * 16);      /* stacks of threads that libc keeps, and arenas of malloc */
	/* libc keeps some blocks for each thread that was: those of a few more or less */
	expect(after.heap < before.heap + 64 * 1024);
}

THREAD_TEST(a_thousand_cycles_leave_nothing)
{
	cycles(test_scale_min(1000, 20), false);
}

THREAD_TEST(cycles_with_tracebacks_and_traces_leave_nothing)
{
	cycles(test_scale_min(20, 2), true);
}

static int nothing(void *arg)
{
	return 1;
}

#define OURS (SA_SIGINFO | SA_ONSTACK | SA_NODEFER)      /* libc adds one of its own */

/* In a process of its own: what was there before the first call. */
static int leaves_it_as_it_was(void)
{
	struct all_there_is before, after;
	struct sigaction segv, bus, now;
	pthread_t t = thread_start(never_mind, NULL);

	thread_join(t);                 /* libc's own: it keeps the stack of one thread for the next */
	sigaction(SIGSEGV, NULL, &segv);
	sigaction(SIGBUS, NULL, &bus);
	before = count_all();
	cycle(false);
	after = count_all();
	if (after.threads != before.threads || after.files != before.files)
		return 10;
	/* stacks of threads, which libc keeps, and the arenas of its malloc: two mappings each */
	if (!test_sanitized() && after.mappings > before.mappings + 4 * 16)
		return 11;
	sigaction(SIGSEGV, NULL, &now);
	if (now.sa_handler != segv.sa_handler || (now.sa_flags & OURS) != (segv.sa_flags & OURS))
		return 12;
	sigaction(SIGBUS, NULL, &now);
	if (now.sa_handler != bus.sa_handler || (now.sa_flags & OURS) != (bus.sa_flags & OURS))
		return 13;
	return 33;
}

START_TEST(it_leaves_the_process_as_it_was)
{
	test_child_says("leaves_it_as_it_was", NULL, 33, "");
}
END_TEST

/* --- afresh --------------------------------------------------------------------------------------------------------- */

static int note_id(void *arg)
{
	*(uint64_t *)arg = gort_id();
	return gort_maxprocs();
}

static int starts_afresh(void)
{
	uint64_t ids[4];
	gort_stats s;

	gort_shutdown();                /* before anything: nothing */
	for (int i = 0; i < 4; i++) {
		char n[8];

		snprintf(n, sizeof n, "%d", i + 1);
		setenv("GOMAXPROCS", n, 1);
		if (gort_run(note_id, &ids[i]) != i + 1)
			return 10;
		if (i > 0 && ids[i] <= ids[i - 1])
			return 11;
		gort_stats_get(&s, sizeof s);
		if (s.spawns != 1)
			return 12;
		gort_shutdown();
		gort_shutdown();        /* twice is once */
		gort_stats_get(&s, sizeof s);
		if (s.spawns != 0 || s.threads != 0 || s.stack_slots != 0 || gort_num_goroutine() != 0)
			return 13;
	}
	return 33;
}

START_TEST(the_next_call_starts_afresh)
{
	test_child_says("starts_afresh", NULL, 33, "");
}
END_TEST

static int counted;

static void counts(void *arg)
{
	count_up(&counted);
}

THREAD_TEST(any_call_starts_afresh)
{
	gort_mutex m = GORT_MUTEX_INIT;
	gort_chan *c = gort_chan_new(sizeof(int), 1);
	int v = 7;

	set(&counted, 0);
	gort_shutdown();
	expect_eq(gort_go(counts, NULL), 0);
	await_count(&counted, 1);
	gort_shutdown();
	expect(gort_self() != NULL);
	gort_shutdown();
	expect(gort_maxprocs() >= 1);
	gort_shutdown();
	gort_chan_send(c, &v);
	gort_shutdown();
	expect_eq(gort_chan_recv(c, &v), 0);
	expect_eq(gort_chan_recv_until(c, &v, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_shutdown();
	gort_mutex_lock(&m);
	gort_mutex_unlock(&m);
	gort_yield();
	gort_shutdown();
	gort_chan_unref(c);
}

/* Channels and sync objects that nobody was waiting in go on to work. */
static gort_chan *kept;

static int sends_three(void *arg)
{
	for (int i = 1; i <= 3; i++)
		gort_chan_send(kept, &i);
	return 0;
}

static int receives_three(void *arg)
{
	int sum = 0, v;

	for (int i = 0; i < 3; i++) {
		gort_chan_recv(kept, &v);
		sum += v;
	}
	return sum;
}

THREAD_TEST(channels_and_their_values_outlive_it)
{
	kept = gort_chan_new(sizeof(int), 3);
	gort_run(sends_three, NULL);
	gort_shutdown();
	expect_eq(gort_chan_len(kept), 3);
	expect_eq(gort_run(receives_three, NULL), 6);
	gort_shutdown();
	gort_chan_unref(kept);
}

/* A channel is biased to the P that it was made on, which may have a number that is not there any more. */
#define KEPT 32
static gort_chan *many[KEPT];

static void makes_one(void *arg)
{
	uint64_t v = (uintptr_t)arg;

	many[v] = gort_chan_new(sizeof v, 1);
	gort_chan_send(many[v], &v);
	count_up(&there);
	/* its P is not free for the next one yet */
	while (__atomic_load_n(&there, __ATOMIC_RELAXED) < KEPT)
		sched_yield();
}

static int makes_many(void *arg)
{
	gort_set_maxprocs(16);
	set(&there, 0);
	for (uintptr_t i = 0; i < KEPT; i++)
		spawn(makes_one, (void *)i);
	await_count(&there, KEPT);
	return 0;
}

static int uses_many(void *arg)
{
	uint64_t v = 0, sum = 0;

	gort_set_maxprocs(1);
	for (int i = 0; i < KEPT; i++) {
		expect_eq(gort_chan_recv(many[i], &v), 0);
		sum += v;
		gort_chan_send(many[i], &v);
	}
	return (int)sum;
}

THREAD_TEST(channels_outlive_the_ps_they_were_made_on)
{
	int was = gort_maxprocs();

	gort_run(makes_many, NULL);
	gort_shutdown();
	expect_eq(gort_run(uses_many, NULL), KEPT * (KEPT - 1) / 2);
	gort_shutdown();
	for (int i = 0; i < KEPT; i++) {
		uint64_t v;

		/* a plain thread this time */
		expect_eq(gort_chan_try_recv(many[i], &v), 0);
		expect_eq(v, i);
		gort_chan_unref(many[i]);
	}
	gort_set_maxprocs(was);
	gort_shutdown();
}

#define ONCES 2048
static gort_once onces[ONCES];
static int used_onces;          /* enough for each of the table's queues to be met a few times */
static int at_once;

static void never_done(void *arg)
{
	count_up(&at_once);
	gort_chan_recv(never, NULL);
}

static void does_once(void *arg)
{
	gort_once_do(arg, never_done, NULL);
}

static void waits_once(void *arg)
{
	count_up(&at_once);
	gort_once_do(arg, never_done, NULL);
}

static int fills_the_table(void *arg)
{
	set(&at_once, 0);
	for (int i = 0; i < used_onces; i += 2)
		spawn(does_once, &onces[i]);
	await_count(&at_once, used_onces / 2);
	for (int i = 0; i < used_onces; i += 2)
		spawn(waits_once, &onces[i]);
	await_count(&at_once, used_onces);
	return 0;
}

static void slow_once(void *arg)
{
	gort_yield();
	gort_sleep(10 * GORT_MICROSECOND);
	count_up(&at_once);
}

static void does_slowly(void *arg)
{
	gort_once_do(arg, slow_once, NULL);
	count_up(&there);
}

static int uses_the_others(void *arg)
{
	set(&at_once, 0);
	set(&there, 0);
	for (int i = 1; i < used_onces; i += 2) {
		for (int k = 0; k < 3; k++)
			spawn(does_slowly, &onces[i]);
	}
	await_count(&there, 3 * used_onces / 2);
	return get(&at_once);
}

/* Waiters of a once lie in queues that all share, so those that are left are in others' way. */
THREAD_TEST(those_left_in_a_once_are_in_nobodys_way)
{
	never = gort_chan_new(0, 0);
	used_onces = (int)test_scale_min(ONCES, ONCES / 4);
	memset(onces, 0, sizeof onces);
	gort_run(fills_the_table, NULL);
	gort_shutdown();
	expect_eq(gort_run(uses_the_others, NULL), used_onces / 2);
	/* zeroed, they are as new */
	memset(onces, 0, sizeof onces);
	expect_eq(gort_run(uses_the_others, NULL), used_onces / 2);
	gort_shutdown();
	gort_chan_unref(never);
}

static int makes_keys(void *arg)
{
	gort_key *k = arg;
	int r = 0;

	for (int i = 0; i < 3; i++)
		r += gort_key_new(&k[i], NULL);
	return r;
}

THREAD_TEST(keys_are_deleted)
{
	gort_key old[3], new[3];
	int a, b;

	expect_eq(gort_run(makes_keys, old), 0);
	expect_eq(gort_set(old[0], &a), 0);
	gort_shutdown();
	expect(gort_get(old[0]) == NULL);
	expect_eq(gort_set(old[1], &a), -EINVAL);
	expect_eq(gort_key_delete(old[0]), -EINVAL);
	expect_eq(gort_run(makes_keys, new), 0);
	for (int i = 0; i < 9; i++)
		expect(old[i / 3] != new[i % 3]);
	expect(gort_get(new[0]) == NULL);
	expect_eq(gort_set(new[0], &b), 0);
	expect(gort_get(new[0]) == &b);
	gort_shutdown();
}

/* --- what is waited for ---------------------------------------------------------------------------------------------- */

static int fds[2], got;

static void reads(void *arg)
{
	char c = 0;
	ssize_t n;

	count_up(&there);
	n = read(fds[0], &c, 1);
	set(&got, n == 1 ? c : -1);
}

static void computes(void *arg)
{
	long n = test_scale_min(20000000, 1000000);
	uint64_t r = 1;

	count_up(&there);
	for (long i = 0; i < n; i++)
		test_random(&r);
	set(&counted, r != 0 ? 1 : 2);
}

static void pins(void *arg)
{
	gort_preempt_disable();
	computes(NULL);
	gort_preempt_enable();
}

static int begins(void *arg)
{
	void (*fn)(void *arg);

	memcpy(&fn, arg, sizeof fn);
	set(&there, 0);
	spawn(fn, NULL);
	await_count(&there, 1);
	return 0;
}

static void writes(void *arg)
{
	struct timespec ts = { 0, 20 * 1000 * 1000 };

	/* after a while, by when the other thread waits in gort_shutdown, most likely; right either way */
	nanosleep(&ts, NULL);
	if (write(fds[1], "x", 1) != 1)
		abort();
}

THREAD_TEST(a_system_call_is_waited_for)
{
	void (*fn)(void *arg) = reads;
	pthread_t t;

	if (pipe(fds) != 0)
		abort();
	set(&got, 0);
	gort_run(begins, &fn);
	t = thread_start(writes, NULL);
	gort_shutdown();
	expect_eq(get(&got), 'x');
	thread_join(t);
	close(fds[0]);
	close(fds[1]);
}

THREAD_TEST(a_computation_is_waited_for)
{
	void (*fn[])(void *arg) = { computes, pins };

	for (int i = 0; i < 2; i++) {
		set(&counted, 0);
		gort_run(begins, &fn[i]);
		gort_shutdown();
		expect_eq(get(&counted), 1);
	}
}

static void yields_for_ever(void *arg)
{
	count_up(&there);
	for (;;)
		gort_yield();
}

static void yields_locked(void *arg)
{
	gort_lock_os_thread();
	yields_for_ever(NULL);
}

static void spawns_for_ever(void *arg)
{
	count_up(&there);
	for (;;) {
		for (int i = 0; i < 100; i++)
			gort_go(ends, NULL);
		gort_yield();
	}
}

static void sends_for_ever(void *arg)
{
	gort_chan *c = arg;
	int v = 0;

	count_up(&there);
	for (;;)
		gort_chan_send(c, &v);
}

static void receives_for_ever(void *arg)
{
	gort_chan *c = arg;

	count_up(&there);
	for (;;)
		gort_chan_recv(c, NULL);
}

static void sleeps_for_ever(void *arg)
{
	count_up(&there);
	for (;;)
		gort_sleep(GORT_MICROSECOND);
}

static void announces_for_ever(void *arg)
{
	count_up(&there);
	for (;;) {
		gort_syscall_enter();
		gort_syscall_exit();
	}
}

static void changes_procs_for_ever(void *arg)
{
	count_up(&there);
	for (int i = 0;; i++) {
		gort_set_maxprocs(1 + i % 3);
		gort_yield();
	}
}

static int runs_for_ever(void *arg)
{
	return 1;
}

static void nests_for_ever(void *arg)
{
	count_up(&there);
	for (;;)
		gort_run(runs_for_ever, NULL);
}

static void traces_for_ever(void *arg)
{
	count_up(&there);
	for (;;) {
		gort_trace_start("/dev/null");
		gort_trace_stop();
		gort_sleep(GORT_MICROSECOND);
	}
}

static int begins_all(void *arg)
{
	void (*fns[])(void *arg) = { yields_for_ever, yields_locked, sleeps_for_ever, announces_for_ever, changes_procs_for_ever,
		nests_for_ever, traces_for_ever };
	int n = 0;

	set(&there, 0);
	for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++, n++)
		spawn(fns[i], NULL);
	for (int i = 0; i < 4; i++, n++)
		spawn(i % 2 ? sends_for_ever : receives_for_ever, kept);
	spawn(spawns_for_ever, NULL);
	await_count(&there, n + 1);
	return 0;
}

THREAD_TEST(those_who_never_end_are_left_where_they_call_in)
{
	for (long i = 0; i < test_scale_min(30, 3); i++) {
		kept = gort_chan_new(sizeof(int), i % 2 ? 8 : 0);
		gort_run(begins_all, NULL);
		gort_shutdown();
		gort_chan_unref(kept);
	}
}

static void wakes_late(void *arg)
{
	gort_sleep(GORT_MILLISECOND);
	set(&got, 1);
}

static int starts_sleepers(void *arg)
{
	set(&got, 0);
	for (int i = 0; i < 10; i++)
		spawn(wakes_late, NULL);
	return 0;
}

THREAD_TEST(no_deadline_comes_up_afterwards)
{
	int at_the_end;

	gort_run(starts_sleepers, NULL);
	gort_shutdown();
	at_the_end = get(&got);
	gort_run(nothing, NULL);
	gort_sleep(3 * GORT_MILLISECOND);
	expect_eq(get(&got), at_the_end);
	gort_shutdown();
}

/* --- timers and signals ---------------------------------------------------------------------------------------------- */

static void fires(void *arg)
{
	count_up(&counted);
}

static int makes_timers(void *arg)
{
	set(&counted, 0);
	set(&there, 0);
	never = gort_chan_new(0, 0);
	for (int i = 0; i < 10; i++)
		timers[i] = gort_timer_after_func(i == 0 ? 0 : GORT_HOUR, i == 0 ? waits_for_ever : fires, NULL);
	ticker = gort_ticker_new(GORT_HOUR);
	await_count(&there, 1);
	return 0;
}

THREAD_TEST(timers_are_stopped_and_may_be_set_again)
{
	long threads;
	gort_time t;

	gort_run(makes_timers, NULL);
	gort_shutdown();
	threads = test_threads();
	/* these need no scheduler */
	for (int i = 1; i < 10; i++)
		expect(!gort_timer_stop(timers[i]));
	for (int i = 5; i < 10; i++)
		gort_timer_free(timers[i]);
	expect_eq(test_threads(), threads);
	/* its function was under way, and is so no more */
	gort_timer_stop_wait(timers[0]);
	gort_timer_free(timers[0]);
	for (int i = 1; i < 5; i++)
		expect(!gort_timer_reset(timers[i], GORT_MICROSECOND));
	gort_ticker_reset(ticker, GORT_MICROSECOND);
	for (int i = 0; i < 3; i++)
		expect_eq(gort_chan_recv(gort_ticker_chan(ticker), &t), 0);
	await_count(&counted, 4);
	expect_eq(get(&counted), 4);
	for (int i = 1; i < 5; i++)
		gort_timer_free(timers[i]);
	gort_ticker_free(ticker);
	gort_shutdown();
	gort_chan_unref(never);
}

static volatile int usr;

static void on_usr(int signo)
{
	usr++;
}

THREAD_TEST(signals_are_not_asked_for_afterwards)
{
	gort_chan *c = gort_chan_new(sizeof(int), 4);
	struct sigaction sa, was;
	long threads;
	int v;

	memset(&sa, 0, sizeof sa);
	sa.sa_handler = on_usr;
	sigaction(SIGUSR1, &sa, &was);
	gort_run(nothing, NULL);
	gort_shutdown();
	threads = test_threads();
	for (int i = 1; i <= 3; i++) {
		expect_eq(gort_signal_notify(c, SIGUSR1), 0);
		raise(SIGUSR1);
		expect_eq(gort_chan_recv(c, &v), 0);
		expect_eq(v, SIGUSR1);
		gort_shutdown();
		expect_eq(test_threads(), threads);
		expect_eq(gort_signal_stop(c), -EINVAL);
		raise(SIGUSR1);
		expect_eq(usr, i);
	}
	sigaction(SIGUSR1, &was, NULL);
	gort_chan_unref(c);
}

/* --- plain threads --------------------------------------------------------------------------------------------------- */

/* A thread that called in before, and the test's own, take turns. */
struct turns {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int turn;
	gort_key key;
	int deferred, destroyed;
};

static void await_turn(struct turns *t, int turn)
{
	pthread_mutex_lock(&t->lock);
	while (t->turn < turn)
		pthread_cond_wait(&t->cond, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static void give_turn(struct turns *t)
{
	pthread_mutex_lock(&t->lock);
	t->turn++;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static void deferred(void *arg)
{
	count_up((int *)arg);
}

static void tries(void *arg)
{
	struct turns *t = arg;

	gort_defer(deferred, &t->deferred);
	give_turn(t);
	await_turn(t, 6);               /* a shutdown meanwhile */
	expect_eq(gort_run(nothing, NULL), 1);
	gort_panic("after all");
}

static void called_in(void *arg)
{
	struct turns *t = arg;
	gort_panic_info info;

	expect_eq(gort_defer(deferred, &t->deferred), 0);
	expect_eq(gort_run(nothing, NULL), 1);
	give_turn(t);
	await_turn(t, 2);               /* a shutdown meanwhile */
	expect_eq(gort_id(), 0);
	expect_eq(gort_go(deferred, &t->destroyed), 0);
	expect_eq(gort_run(nothing, NULL), 1);
	give_turn(t);
	await_turn(t, 4);               /* another one */
	expect(gort_try(tries, t, &info));
	expect(strcmp(info.message, "after all") == 0);
	gort_syscall_enter();
	give_turn(t);
	await_turn(t, 8);               /* and another */
	gort_syscall_exit();
	give_turn(t);
	await_turn(t, 10);              /* the last */
}

THREAD_TEST(threads_that_called_in_go_on)
{
	struct turns t = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	pthread_t id = thread_start(called_in, &t);
	long threads;

	for (int i = 1; i < 10; i += 2) {
		await_turn(&t, i);
		gort_shutdown();
		threads = test_threads();
		if (i > 1)
			expect(threads <= 3);   /* of the test, and perhaps one of ThreadSanitizer's */
		give_turn(&t);
	}
	thread_join(id);
	expect_eq(get(&t.deferred), 2);
	gort_shutdown();
}

static void calls_and_ends(void *arg)
{
	struct turns *t = arg;

	gort_defer(deferred, &t->deferred);
	gort_run(nothing, NULL);
	give_turn(t);
	await_turn(t, 2);
}

THREAD_TEST(a_thread_may_end_after_it)
{
	struct turns t = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

	for (int i = 0; i < 20; i++) {
		pthread_t id;

		t.turn = 0;
		id = thread_start(calls_and_ends, &t);
		await_turn(&t, 1);
		gort_shutdown();
		if (i % 2)
			gort_run(nothing, NULL);
		give_turn(&t);
		thread_join(id);
		expect_eq(get(&t.deferred), i + 1);
	}
	gort_shutdown();
}

static void shuts(void *arg)
{
	gort_shutdown();
}

THREAD_TEST(any_thread_may_call_it)
{
	for (int i = 0; i < 10; i++) {
		pthread_t t[4];

		gort_run(starts_sleepers, NULL);
		for (int k = 0; k < 4; k++)
			t[k] = thread_start(shuts, NULL);
		for (int k = 0; k < 4; k++)
			thread_join(t[k]);
		expect_eq(gort_num_goroutine(), 0);
	}
}

static void shuts_in_try(void *arg)
{
	gort_shutdown();
	expect_eq(gort_run(nothing, NULL), 1);
	gort_shutdown();
	gort_panic("done");
}

THREAD_TEST(it_may_be_called_inside_a_try)
{
	gort_panic_info info;

	gort_run(nothing, NULL);
	expect(gort_try(shuts_in_try, NULL, &info));
	expect(strcmp(info.message, "done") == 0);
	expect_eq(gort_run(nothing, NULL), 1);
	gort_shutdown();
}

/* --- signal handlers ------------------------------------------------------------------------------------------------- */

static volatile int faults;
static struct sigaction chained;

static void on_fault(int signo, siginfo_t *info, void *uc)
{
	if (++faults > 1)
		_exit(50);
	if (!(chained.sa_flags & SA_SIGINFO))
		_exit(51);
	chained.sa_sigaction(signo, info, uc);  /* libgort's, which puts the default in place and raises it once more */
}

/* Somebody else's handler is put before ours and calls it: neither may be lost, nor go in circles. */
static int chains(void)
{
	struct sigaction sa, now;

	gort_run(nothing, NULL);
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_fault;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, &chained);
	for (int i = 0; i < 3; i++) {
		gort_shutdown();
		sigaction(SIGSEGV, NULL, &now);
		if (now.sa_sigaction != on_fault)
			return 10;
		gort_run(nothing, NULL);
		sigaction(SIGSEGV, NULL, &now);
		if (now.sa_sigaction != on_fault)
			return 11;
	}
	raise(SIGSEGV);
	return 12;
}

/* Ours was the last in place: it is taken out, and put in again. */
static int takes_out(void)
{
	struct sigaction sa, now;

	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_fault;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, NULL);
	for (int i = 0; i < 3; i++) {
		gort_run(nothing, NULL);
		sigaction(SIGSEGV, NULL, &now);
		if (now.sa_sigaction == on_fault)
			return 10;
		gort_shutdown();
		sigaction(SIGSEGV, NULL, &now);
		if (now.sa_sigaction != on_fault)
			return 11;
	}
	gort_run(nothing, NULL);
	raise(SIGSEGV);                 /* by way of ours to the one above */
	return 12;
}

static volatile int quits;

static void on_quit(int signo)
{
	quits++;
}

static int gives_quit_back(void)
{
	signal(SIGQUIT, on_quit);
	for (int i = 0; i < 2; i++) {
		gort_run(nothing, NULL);
		gort_shutdown();
		raise(SIGQUIT);
	}
	return quits == 2 ? 33 : 10;
}

START_TEST(handlers_of_signals_are_given_back)
{
	static const char *const quit[] = { "GORT_DEBUG=traceback=quit", NULL };

	test_child_says("takes_out", NULL, 51, "");
	test_child_says("gives_quit_back", quit, 33, "");
}
END_TEST

START_TEST(handlers_put_before_ours_stay)
{
	static struct child_result r;

	test_run_child(&r, "chains", NULL, 120);
	/* the default is the sanitizer's, where there is one: a report, and a status of its own */
	ck_assert_msg(r.exited ? test_sanitized() && (r.status == 1 || r.status == 66) : r.status == SIGSEGV,
		"exited %d, status %d, stderr: %s", r.exited, r.status, r.err);
}
END_TEST

/* --- misuse ---------------------------------------------------------------------------------------------------------- */

static int in_goroutine_main(void *arg)
{
	gort_shutdown();
	return 0;
}

static int in_locked_main(void *arg)
{
	gort_lock_os_thread();
	gort_shutdown();
	return 0;
}

static bool commits(gort_g *g, void *arg)
{
	gort_shutdown();
	return false;
}

static int parked_main(void *arg)
{
	count_up(&there);
	gort_sleep(GORT_HOUR);
	return 0;
}

static void runs_main(void *arg)
{
	gort_run(parked_main, NULL);
}

static void receives(void *arg)
{
	struct task *t = arg;

	task_here(t);
	gort_chan_recv(NULL, NULL);
}

static int in_goroutine(void) { return gort_run(in_goroutine_main, NULL); }
static int in_locked(void) { return gort_run(in_locked_main, NULL); }

static int in_commit(void)
{
	gort_park(commits, NULL, "test");
	return 0;
}

static int in_syscall(void)
{
	gort_syscall_enter();
	gort_shutdown();
	return 0;
}

static int pinned(void)
{
	gort_preempt_disable();
	gort_shutdown();
	return 0;
}

static int beside_run(void)
{
	thread_start(runs_main, NULL);
	await_count(&there, 1);
	gort_shutdown();
	return 0;
}

static int beside_recv(void)
{
	struct task t = { 0 };

	thread_start(receives, &t);
	await_parked(&t);
	gort_shutdown();
	return 0;
}

START_TEST(misuse_is_fatal)
{
	test_child_says("in_goroutine", NULL, 2, "fatal error: gort_shutdown in a goroutine");
	test_child_says("in_locked", NULL, 2, "fatal error: gort_shutdown in a goroutine");
	test_child_says("in_commit", NULL, 2, "fatal error: gort_shutdown inside a park's commit");
	test_child_says("in_syscall", NULL, 2, "fatal error: gort_shutdown between gort_syscall_enter and gort_syscall_exit");
	test_child_says("pinned", NULL, 2, "fatal error: gort_shutdown between gort_preempt_disable and gort_preempt_enable");
	test_child_says("beside_run", NULL, 2, "fatal error: gort_shutdown while another thread waits in a call of libgort");
	test_child_says("beside_recv", NULL, 2, "fatal error: gort_shutdown while another thread waits in a call of libgort");
}
END_TEST

/* --- forks ----------------------------------------------------------------------------------------------------------- */

static int forks(void)
{
	pid_t pid;

	/* nothing runs: nothing is lost */
	gort_run(nothing, NULL);
	gort_shutdown();
	pid = fork();
	if (pid == 0) {
		set(&counted, 0);
		if (gort_go(counts, NULL) != 0)
			_exit(10);
		await_count(&counted, 1);
		gort_shutdown();
		_exit(test_threads() <= 2 ? 33 : 11);
	}
	if (test_status_of(pid) != 33)
		return 20;
	/* it takes a thread's number for in use still that ended without being joined, before the fork */
	if (TEST_TSAN)
		return 33;
	/* something did: gort_run starts afresh, and that can be shut down too */
	gort_run(nothing, NULL);
	/* the sanitizer's own locks may be held by a thread that runs */
	while (test_sanitized() && !test_others_sleep())
		sched_yield();
	pid = fork();
	if (pid == 0) {
		gort_shutdown();
		for (int i = 0; i < 3; i++) {
			if (gort_run(everything, NULL) != 5)
				_exit(12);
			gort_shutdown();
		}
		_exit(test_threads() <= 2 ? 33 : 13);
	}
	if (test_status_of(pid) != 33)
		return 21;
	gort_shutdown();
	return 33;
}

START_TEST(forked_children_shut_down_too)
{
	test_child_says("forks", NULL, 33, "");
}
END_TEST

/* --- $GORT_DEBUG ----------------------------------------------------------------------------------------------------- */

static bool ends_well(const char *path)
{
	char text[16];
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (f == NULL)
		return false;
	if (fseek(f, -2, SEEK_END) == 0)
		n = fread(text, 1, sizeof text, f);
	fclose(f);
	return n == 2 && memcmp(text, "]\n", 2) == 0;
}

static int traces(void)
{
	const char *path = strrchr(getenv("GORT_DEBUG"), '=') + 1;
	char second[200];

	snprintf(second, sizeof second, "%s.2", path);
	gort_run(nothing, NULL);
	gort_shutdown();
	if (!ends_well(path))
		return 10;
	gort_run(nothing, NULL);
	gort_shutdown();
	if (!ends_well(path) || !ends_well(second))
		return 11;
	unlink(path);
	unlink(second);
	return 33;
}

START_TEST(a_trace_is_complete_afterwards)
{
	char path[] = "/tmp/gort-test-XXXXXX", setting[100];
	const char *env[] = { setting, NULL };
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(setting, sizeof setting, "GORT_DEBUG=trace=%s", path);
	test_child_says("traces", env, 33, "");
}
END_TEST

static const struct test_child children[] = {
	{ "leaves_it_as_it_was", leaves_it_as_it_was },
	{ "starts_afresh", starts_afresh },
	{ "chains", chains },
	{ "takes_out", takes_out },
	{ "gives_quit_back", gives_quit_back },
	{ "in_goroutine", in_goroutine },
	{ "in_locked", in_locked },
	{ "in_commit", in_commit },
	{ "in_syscall", in_syscall },
	{ "pinned", pinned },
	{ "beside_run", beside_run },
	{ "beside_recv", beside_recv },
	{ "forks", forks },
	{ "traces", traces },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "shutdown", children);
	test_add(&s, a_thousand_cycles_leave_nothing);
	test_add(&s, cycles_with_tracebacks_and_traces_leave_nothing);
	test_add(&s, it_leaves_the_process_as_it_was);
	test_add(&s, the_next_call_starts_afresh);
	test_add(&s, any_call_starts_afresh);
	test_add(&s, channels_and_their_values_outlive_it);
	test_add(&s, channels_outlive_the_ps_they_were_made_on);
	test_add(&s, those_left_in_a_once_are_in_nobodys_way);
	test_add(&s, keys_are_deleted);
	test_add(&s, a_system_call_is_waited_for);
	test_add(&s, a_computation_is_waited_for);
	test_add(&s, those_who_never_end_are_left_where_they_call_in);
	test_add(&s, no_deadline_comes_up_afterwards);
	test_add(&s, timers_are_stopped_and_may_be_set_again);
	test_add(&s, signals_are_not_asked_for_afterwards);
	test_add(&s, threads_that_called_in_go_on);
	test_add(&s, a_thread_may_end_after_it);
	test_add(&s, any_thread_may_call_it);
	test_add(&s, it_may_be_called_inside_a_try);
	test_add(&s, handlers_of_signals_are_given_back);
	test_add(&s, handlers_put_before_ours_stay);
	test_add(&s, misuse_is_fatal);
	test_add(&s, forked_children_shut_down_too);
	test_add(&s, a_trace_is_complete_afterwards);
	return test_end(&s);
}
