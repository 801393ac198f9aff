/* SPDX-License-Identifier: MIT */
/* Deferred calls: which scope they belong to, their order, taking them back, and plain threads. */
#include "test.h"

static char trace[256];
static int trace_n;

static void notes(void *arg)
{
	int i = __atomic_fetch_add(&trace_n, 1, __ATOMIC_SEQ_CST);

	if (i < (int)sizeof trace - 1)
		set(&trace[i], (char)(intptr_t)arg);
}

static void trace_reset(void)
{
	for (size_t i = 0; i < sizeof trace; i++)
		set(&trace[i], 0);
	set(&trace_n, 0);
}

/* By atomic reads: that a goroutine is counted no more orders nothing. */
static bool traced(const char *s)
{
	char now[sizeof trace];

	for (size_t i = 0; i < sizeof now; i++)
		now[i] = get(&trace[i]);
	return strcmp(now, s) == 0;
}

static void defers(char c)
{
	expect_eq(gort_defer(notes, (void *)(intptr_t)c), 0);
}

/* Until this goroutine is the only one; the last test's may still be ending when one begins. */
static void await_others(void)
{
	while (gort_num_goroutine() > 1)
		gort_yield();
}

static void defers_three(void *arg)
{
	defers('a');
	gort_yield();
	defers('b');
	gort_yield();
	defers('c');
}

static void at_a_goroutines_end(void)
{
	trace_reset();
	spawn(defers_three, NULL);
	await_others();
	expect(traced("cba"));
}

GO_TEST(the_newest_runs_first_at_the_goroutines_end)
{
	at_a_goroutines_end();
}

GO_TEST(a_try_and_a_call_run_their_own)
{
	trace_reset();
	expect(!gort_try(defers_three, NULL, NULL));
	expect(traced("cba"));
	gort_call(defers_three, NULL);
	expect(traced("cbacba"));
}

static void nests(void *arg)
{
	defers('1');
	gort_call(defers_three, NULL);
	defers('2');
	expect(!gort_try(defers_three, NULL, NULL));
	defers('3');
}

GO_TEST(scopes_nest)
{
	trace_reset();
	gort_call(nests, NULL);
	expect(traced("cbacba321"));
}

static long many_sum;
static long many_last;

static void counts_down(void *arg)
{
	expect_eq((long)(intptr_t)arg, many_last - 1);
	many_last = (long)(intptr_t)arg;
	many_sum += many_last;
}

static void defers_many(void *arg)
{
	long n = (long)(intptr_t)arg;

	for (long i = 0; i < n; i++)
		expect_eq(gort_defer(counts_down, (void *)(intptr_t)i), 0);
	many_last = n;
}

GO_TEST(there_may_be_any_number)
{
	for (long n = 0; n < 20000; n = n * 2 + 1) {
		many_sum = 0;
		gort_call(defers_many, (void *)(intptr_t)n);
		expect_eq(many_sum, n * (n - 1) / 2);
	}
}

static void defers_when_called(void *arg)
{
	notes(arg);
	if ((intptr_t)arg > '0')
		expect_eq(gort_defer(defers_when_called, (void *)((intptr_t)arg - 1)), 0);
}

static void defers_chain(void *arg)
{
	defers('e');
	expect_eq(gort_defer(defers_when_called, (void *)'5'), 0);
}

GO_TEST(a_deferred_call_may_defer)
{
	trace_reset();
	gort_call(defers_chain, NULL);
	expect(traced("543210e"));
	trace_reset();
	spawn(defers_chain, NULL);
	await_others();
	expect(traced("543210e"));
}

static void undefers(void *arg)
{
	gort_undefer(true);             /* nothing of this scope's */
	gort_undefer(false);
	defers_three(NULL);
	defers('d');
	gort_undefer(true);
	expect(traced("d"));
	gort_undefer(false);
	defers('e');
	gort_undefer(false);
	notes((void *)'|');
}

static void undefers_inside(void *arg)
{
	defers('o');
	gort_call(undefers, NULL);
	gort_undefer(true);
	gort_undefer(true);
	notes((void *)'.');
}

GO_TEST(what_is_taken_back_does_not_run_again)
{
	trace_reset();
	gort_call(undefers_inside, NULL);
	expect(traced("d|bao."));
}

START_TEST(a_thread_runs_its_own_when_it_ends)
{
	trace_reset();
	gort_undefer(true);
	thread_join(thread_start(defers_three, NULL));
	ck_assert(traced("cba"));
	thread_join(thread_start(nests, NULL));
	ck_assert(traced("cbacbacba321"));
	trace_reset();
	thread_join(thread_start(defers_chain, NULL));
	ck_assert(traced("543210e"));
	test_assert();
}
END_TEST

static void thread_undefers(void *arg)
{
	gort_undefer(true);
	defers_three(NULL);
	gort_undefer(true);
	gort_undefer(false);
}

START_TEST(a_thread_may_take_them_back)
{
	trace_reset();
	thread_join(thread_start(thread_undefers, NULL));
	ck_assert(traced("ca"));
	test_assert();
}
END_TEST

/* The first user of a stack leaves nothing to the next. */
static int late;

static void counts(void *arg)
{
	count_up(&late);
}

static void defers_one(void *arg)
{
	expect_eq(gort_defer(counts, NULL), 0);
}

static void nothing(void *arg)
{
}

GO_TEST(goroutines_that_share_a_stack_share_nothing)
{
	int n = (int)test_scale_min(3000, 300);

	set(&late, 0);
	for (int i = 0; i < n; i++)
		spawn(i % 3 == 0 ? defers_one : nothing, NULL);
	await_others();
	expect_eq(get(&late), (n + 2) / 3);
}

static int copied_deferred;

static void sees_the_copy(void *arg)
{
	__atomic_add_fetch(&copied_deferred, *(int *)arg, __ATOMIC_SEQ_CST);
}

static void defers_with_copy(void *arg)
{
	expect_eq(gort_defer(sees_the_copy, arg), 0);
}

GO_TEST(a_copied_argument_outlives_deferred_calls)
{
	int big[100] = { 5 }, small = 7;

	set(&copied_deferred, 0);
	expect_eq(gort_go_copy(defers_with_copy, &small, sizeof small), 0);
	await_others();
	expect_eq(get(&copied_deferred), 7);
	set(&copied_deferred, 0);
	expect_eq(gort_go_copy(defers_with_copy, big, sizeof big), 0);
	await_others();
	expect_eq(get(&copied_deferred), 5);
}

/* --- children --- */

static int defer_null(void) { return gort_defer(NULL, NULL); }

static int call_null(void)
{
	gort_call(NULL, NULL);
	return 0;
}

static const struct test_child children[] = { { "defer_null", defer_null }, { "call_null", call_null }, { NULL, NULL } };

START_TEST(null_is_fatal)
{
	test_child_says("defer_null", NULL, 2, "fatal error: gort_defer of nil func value");
	test_child_says("call_null", NULL, 2, "fatal error: gort_call of nil func value");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "defer", children);
	test_add(&s, the_newest_runs_first_at_the_goroutines_end);
	test_add(&s, a_try_and_a_call_run_their_own);
	test_add(&s, scopes_nest);
	test_add(&s, there_may_be_any_number);
	test_add(&s, a_deferred_call_may_defer);
	test_add(&s, what_is_taken_back_does_not_run_again);
	test_add(&s, a_thread_runs_its_own_when_it_ends);
	test_add(&s, a_thread_may_take_them_back);
	test_add(&s, goroutines_that_share_a_stack_share_nothing);
	test_add(&s, a_copied_argument_outlives_deferred_calls);
	test_add(&s, null_is_fatal);
	return test_end(&s);
}
