/* SPDX-License-Identifier: MIT */
/* Signals as values. */
#include "test.h"

#include <gort/chan.h>
#include <gort/signal.h>
#include <signal.h>
#include <sys/wait.h>

static gort_chan *ints(size_t room)
{
	gort_chan *c = gort_chan_new(sizeof(int), room);

	expect(c != NULL);
	return c;
}

static void expect_signal(gort_chan *c, int signo)
{
	int v = 0;

	expect_eq(gort_chan_recv_until(c, &v, gort_deadline(GORT_MINUTE)), 0);
	expect_eq(v, signo);
}

GO_TEST(a_signal_arrives)
{
	gort_chan *c = ints(1);

	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	for (int i = 0; i < 20; i++) {
		/* to any thread; ThreadSanitizer's handler would wait until that thread wakes, which is at the test's end */
		if (!TEST_TSAN) {
			kill(getpid(), SIGUSR1);
			expect_signal(c, SIGUSR1);
		}
		raise(SIGUSR1);
		expect_signal(c, SIGUSR1);
	}
	expect_eq(gort_signal_stop(c), 0);
	gort_chan_unref(c);
}

THREAD_TEST(a_plain_thread_gets_signals_too)
{
	gort_chan *c = ints(1);

	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	raise(SIGUSR1);
	expect_signal(c, SIGUSR1);
	expect_eq(gort_signal_stop(c), 0);
	gort_chan_unref(c);
}

static void raises(void *arg)
{
	raise((int)(intptr_t)arg);
}

GO_TEST(a_signal_arrives_whichever_thread_takes_it)
{
	gort_chan *c = ints(4);

	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	expect_eq(gort_signal_notify(c, SIGUSR2), 0);
	thread_join(thread_start(raises, (void *)(intptr_t)SIGUSR2));
	expect_signal(c, SIGUSR2);
	spawn(raises, (void *)(intptr_t)SIGUSR1);
	expect_signal(c, SIGUSR1);
	expect_eq(gort_signal_stop(c), 0);
	gort_chan_unref(c);
}

GO_TEST(each_channel_gets_what_it_has_asked_for)
{
	gort_chan *a = ints(2), *b = ints(2);

	expect_eq(gort_signal_notify(a, SIGUSR1), 0);
	expect_eq(gort_signal_notify(b, SIGUSR1), 0);
	expect_eq(gort_signal_notify(b, SIGUSR2), 0);
	raise(SIGUSR1);
	expect_signal(a, SIGUSR1);
	expect_signal(b, SIGUSR1);
	raise(SIGUSR2);
	expect_signal(b, SIGUSR2);
	expect_eq(gort_chan_len(a), 0);
	expect_eq(gort_signal_stop(b), 0);
	/* the other one has still asked for it */
	raise(SIGUSR1);
	expect_signal(a, SIGUSR1);
	expect_eq(gort_chan_len(b), 0);
	expect_eq(gort_signal_stop(a), 0);
	gort_chan_unref(a);
	gort_chan_unref(b);
}

GO_TEST(what_finds_the_channel_full_is_lost)
{
	gort_chan *c = ints(1), *all = ints(100), *none = ints(0);

	/* in this order they get it */
	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	expect_eq(gort_signal_notify(none, SIGUSR1), 0);
	expect_eq(gort_signal_notify(all, SIGUSR1), 0);
	for (int i = 0; i < 10; i++) {
		raise(SIGUSR1);
		expect_signal(all, SIGUSR1);
	}
	expect_eq(gort_chan_len(c), 1);
	expect_signal(c, SIGUSR1);
	expect_eq(gort_chan_len(c), 0);
	expect_eq(gort_signal_stop(c), 0);
	expect_eq(gort_signal_stop(all), 0);
	expect_eq(gort_signal_stop(none), 0);
	gort_chan_unref(c);
	gort_chan_unref(all);
	gort_chan_unref(none);
}

static int handled;

static void handles(int signo)
{
	count_up(&handled);
}

THREAD_TEST(the_last_stop_restores_what_was_there)
{
	struct sigaction own = { .sa_handler = handles }, now;
	gort_chan *a = ints(1), *b = ints(1);

	sigaction(SIGUSR1, &own, NULL);
	signal(SIGUSR2, SIG_IGN);
	set(&handled, 0);
	for (int i = 0; i < 5; i++) {
		expect_eq(gort_signal_notify(a, SIGUSR1), 0);
		expect_eq(gort_signal_notify(b, SIGUSR1), 0);
		expect_eq(gort_signal_notify(b, SIGUSR2), 0);
		raise(SIGUSR1);
		expect_signal(a, SIGUSR1);
		expect_signal(b, SIGUSR1);
		expect_eq(gort_signal_stop(a), 0);
		raise(SIGUSR1);
		expect_signal(b, SIGUSR1);
		raise(SIGUSR2);
		expect_signal(b, SIGUSR2);
		expect_eq(get(&handled), i);
		expect_eq(gort_signal_stop(b), 0);
		raise(SIGUSR1);
		while (get(&handled) < i + 1)
			;
		raise(SIGUSR2);
		sigaction(SIGUSR2, NULL, &now);
		expect(now.sa_handler == SIG_IGN);
		sigaction(SIGUSR1, NULL, &now);
		expect(now.sa_handler == handles);
	}
	expect_eq(gort_chan_len(a) + gort_chan_len(b), 0);
	gort_chan_unref(a);
	gort_chan_unref(b);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

GO_TEST(what_came_before_the_stop_is_in_the_channel)
{
	gort_chan *c = ints(1000);

	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < 200; i++) {
		expect_eq(gort_signal_notify(c, SIGUSR1), 0);
		raise(SIGUSR1);                 /* handled when this returns, on this very thread */
		expect_eq(gort_signal_stop(c), 0);
		expect_signal(c, SIGUSR1);
		expect_eq(gort_chan_len(c), 0);
	}
	signal(SIGUSR1, SIG_DFL);
	gort_chan_unref(c);
}

GO_TEST(the_channel_is_held_while_it_has_signals)
{
	gort_chan *c = ints(1);

	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	gort_chan_unref(c);
	raise(SIGUSR1);
	expect_signal(c, SIGUSR1);
	expect_eq(gort_signal_stop(c), 0);
}

GO_TEST(a_channel_that_is_closed_gets_nothing)
{
	gort_chan *c = ints(1), *d = ints(1);

	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	expect_eq(gort_signal_notify(d, SIGUSR1), 0);
	gort_chan_close(c);
	raise(SIGUSR1);
	expect_signal(d, SIGUSR1);
	expect_eq(gort_chan_recv(c, NULL), -EPIPE);
	expect_eq(gort_signal_stop(c), 0);
	expect_eq(gort_signal_stop(d), 0);
	gort_chan_unref(c);
	gort_chan_unref(d);
}

GO_TEST(what_cannot_be_asked_for_is_refused)
{
	static const int bad[] = { 0, -1, 65, 1000, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, 32 };
	gort_chan *c = ints(1), *bytes = gort_chan_new(1, 1), *signals = gort_chan_new(0, 1);
	struct sigaction now;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		expect_eq(gort_signal_notify(c, bad[i]), -EINVAL);
	expect_eq(gort_signal_notify(NULL, SIGUSR1), -EINVAL);
	expect_eq(gort_signal_notify(bytes, SIGUSR1), -EINVAL);
	expect_eq(gort_signal_notify(signals, SIGUSR1), -EINVAL);
	expect_eq(gort_signal_stop(c), -EINVAL);
	expect_eq(gort_signal_stop(NULL), -EINVAL);
	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	expect_eq(gort_signal_stop(c), 0);
	expect_eq(gort_signal_stop(c), -EINVAL);
	sigaction(SIGUSR1, NULL, &now);
	expect(now.sa_handler == SIG_DFL);
	gort_chan_unref(c);
	gort_chan_unref(bytes);
	gort_chan_unref(signals);
}

GO_TEST(in_a_forked_child_nothing_is_asked_for)
{
	gort_chan *c = ints(1);
	struct sigaction now;
	int status = 0;
	pid_t pid;

	expect_eq(gort_signal_notify(c, SIGUSR1), 0);
	pid = fork();
	if (pid == 0) {
		sigaction(SIGUSR1, NULL, &now);
		_exit(now.sa_handler == SIG_DFL ? 7 : 8);
	}
	expect(waitpid(pid, &status, 0) == pid);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	raise(SIGUSR1);
	expect_signal(c, SIGUSR1);
	expect_eq(gort_signal_stop(c), 0);
	gort_chan_unref(c);
}

/* --- waiting for signals only --- */

static int waits_for_alarm_main(void *arg)
{
	gort_chan *c = gort_chan_new(sizeof(int), 1);
	int v = 0;

	gort_signal_notify(c, SIGALRM);
	alarm(1);
	gort_chan_recv(c, &v);
	exit(v == SIGALRM ? 7 : 8);
}

static int waits_after_stop_main(void *arg)
{
	gort_chan *c = gort_chan_new(sizeof(int), 1);

	gort_signal_notify(c, SIGUSR1);
	gort_signal_stop(c);
	gort_chan_recv(c, NULL);
	return 0;
}

static int waits_for_alarm(void) { return gort_run(waits_for_alarm_main, NULL); }
static int waits_after_stop(void) { return gort_run(waits_after_stop_main, NULL); }

START_TEST(waiting_for_a_signal_is_no_deadlock)
{
	test_child_says("waits_for_alarm", NULL, 7, "");
}
END_TEST

START_TEST(waiting_when_nothing_is_asked_for_any_more_is_a_deadlock)
{
	test_child_says("waits_after_stop", NULL, 2, "fatal error: all goroutines are asleep - deadlock!");
}
END_TEST

/* --- storms --- */

static int done, n_sent;

static void sends_many(void *arg)
{
	for (int i = 0; i < n_sent; i++)
		raise(SIGRTMIN + 1);
	count_up(&done);
}

/* Those that the system queues are not merged, and none is lost while there is room. */
GO_TEST(queued_signals_all_arrive)
{
	gort_chan *c;
	pthread_t t[4];

	n_sent = (int)test_scale(2000);
	c = ints((size_t)n_sent * 4);
	expect_eq(gort_signal_notify(c, SIGRTMIN + 1), 0);
	set(&done, 0);
	for (int i = 0; i < 4; i++)
		t[i] = thread_start(sends_many, NULL);
	for (int i = 0; i < n_sent * 4; i++)
		expect_signal(c, SIGRTMIN + 1);
	for (int i = 0; i < 4; i++)
		thread_join(t[i]);
	expect_eq(gort_chan_len(c), 0);
	expect_eq(gort_signal_stop(c), 0);
	gort_chan_unref(c);
}

static int storm_stop;

static void comes_and_goes(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);
	gort_chan *c = ints(1);
	long n = test_scale_min(300, 20);

	for (long i = 0; i < n; i++) {
		expect_eq(gort_signal_notify(c, SIGUSR1), 0);
		if (test_random(&r) % 2)
			expect_eq(gort_signal_notify(c, SIGUSR2), 0);
		if (test_random(&r) % 2)
			gort_yield();
		expect_eq(gort_signal_stop(c), 0);
		while (gort_chan_try_recv(c, NULL) == 0)
			;
	}
	gort_chan_unref(c);
	count_up(&done);
}

static void bombards(void *arg)
{
	while (!get(&storm_stop)) {
		kill(getpid(), SIGUSR1);
		raise(SIGUSR2);
		gort_yield();
	}
}

START_TEST(channels_come_and_go_under_fire)
{
	pthread_t t[2];

	(void)_i;
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	set(&done, 0);
	set(&storm_stop, 0);
	t[0] = thread_start(bombards, NULL);
	t[1] = thread_start(comes_and_goes, (void *)1);
	for (intptr_t i = 2; i < 6; i++)
		ck_assert_int_eq(gort_go(comes_and_goes, (void *)i), 0);
	await_count(&done, 5);
	set(&storm_stop, 1);
	thread_join(t[0]);
	thread_join(t[1]);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	test_assert();
}
END_TEST

static const struct test_child children[] = {
	{ "waits_for_alarm", waits_for_alarm }, { "waits_after_stop", waits_after_stop }, { NULL, NULL },
};

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "signal", children);
	test_add(&s, a_signal_arrives);
	test_add(&s, a_plain_thread_gets_signals_too);
	test_add(&s, a_signal_arrives_whichever_thread_takes_it);
	test_add(&s, each_channel_gets_what_it_has_asked_for);
	test_add(&s, what_finds_the_channel_full_is_lost);
	test_add(&s, the_last_stop_restores_what_was_there);
	if (test_valgrind())
		test_skip("what_came_before_the_stop_is_in_the_channel",
			"valgrind takes a goroutine's stack for unused after a handler on the alternate stack, and reports its next writes");
	else
		test_add(&s, what_came_before_the_stop_is_in_the_channel);
	test_add(&s, the_channel_is_held_while_it_has_signals);
	test_add(&s, a_channel_that_is_closed_gets_nothing);
	test_add(&s, what_cannot_be_asked_for_is_refused);
	test_add(&s, in_a_forked_child_nothing_is_asked_for);
	if (TEST_TSAN) {
		test_skip("waiting_for_a_signal_is_no_deadlock, waiting_when_nothing_is_asked_for_any_more_is_a_deadlock",
			"ThreadSanitizer's own thread counts as one of the program's, and sleeping threads handle no signal");
	} else {
		test_add(&s, waiting_for_a_signal_is_no_deadlock);
		test_add(&s, waiting_when_nothing_is_asked_for_any_more_is_a_deadlock);
	}
	test_add(&s, queued_signals_all_arrive);
	test_add(&s, channels_come_and_go_under_fire);
	return test_end(&s);
}
