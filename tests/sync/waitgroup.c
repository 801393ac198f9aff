/* SPDX-License-Identifier: MIT */
/* The wait group. */
#include "test.h"

#include <gort/sync.h>

struct job {
	gort_waitgroup *wg;
	int *n;
};

static void works(void *arg)
{
	struct job *j = arg;

	for (int i = 0; i < 3; i++)
		gort_yield();
	__atomic_fetch_add(j->n, 1, __ATOMIC_RELAXED);
	gort_waitgroup_done(j->wg);
}

GO_TEST(wait_is_never_early_and_the_group_is_reusable)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	int n = 0;
	struct job j = { &wg, &n };

	for (long round = 1; round <= test_scale(500); round++) {
		gort_waitgroup_add(&wg, 10);
		for (int i = 0; i < 10; i++)
			spawn(works, &j);
		gort_waitgroup_wait(&wg);
		/* relaxed: done and wait order it */
		expect_eq(__atomic_load_n(&n, __ATOMIC_RELAXED), 10 * round);
	}
}

THREAD_TEST(the_struct_has_its_promised_size_and_zero_is_an_empty_group)
{
	gort_waitgroup a = { 0 }, b = GORT_WAITGROUP_INIT;

	expect_eq(sizeof(gort_waitgroup), 24);
	expect(memcmp(&a, &b, sizeof a) == 0);
	gort_waitgroup_wait(&a);
	gort_waitgroup_add(&a, 0);
	gort_waitgroup_wait(&a);
}

struct waits {
	struct task task;
	gort_waitgroup *wg;
	gort_time deadline;
	int result;
	int *ready;
};

static void waits(void *arg)
{
	struct waits *w = arg;

	task_here(&w->task);
	w->result = gort_waitgroup_wait_until(w->wg, w->deadline);
	if (w->result == 0)
		expect(get(w->ready));
	task_done(&w->task);
}

GO_TEST(all_waiters_are_woken)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	static struct waits w[100];
	pthread_t t[4];
	int ready = 0;

	gort_waitgroup_add(&wg, 2);
	for (int i = 0; i < 100; i++) {
		w[i] = (struct waits){ .wg = &wg, .deadline = i % 2 ? GORT_FOREVER : gort_deadline(GORT_HOUR), .result = -1,
			.ready = &ready };
		if (i < 4)
			t[i] = thread_start(waits, &w[i]);
		else
			spawn(waits, &w[i]);
		await_parked(&w[i].task);
	}
	gort_waitgroup_done(&wg);
	gort_yield();
	set(&ready, 1);
	gort_waitgroup_done(&wg);
	for (int i = 0; i < 100; i++) {
		await_done(&w[i].task);
		expect_eq(w[i].result, 0);
	}
	for (int i = 0; i < 4; i++)
		thread_join(t[i]);
}

GO_TEST(a_wait_with_a_deadline_gives_up_and_is_never_early)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	gort_time until;

	expect_eq(gort_waitgroup_wait_until(&wg, gort_now()), -ETIMEDOUT);      /* beats a count of 0 */
	expect_eq(gort_waitgroup_wait_until(&wg, gort_deadline(GORT_HOUR)), 0);
	gort_waitgroup_add(&wg, 1);
	for (int i = 0; i < 5; i++) {
		until = gort_deadline(2 * GORT_MILLISECOND);
		expect_eq(gort_waitgroup_wait_until(&wg, until), -ETIMEDOUT);
		expect(gort_now() >= until);
	}
	/* those who gave up are no waiters any more: a new round may begin */
	gort_waitgroup_done(&wg);
	gort_waitgroup_add(&wg, 1);
	gort_waitgroup_done(&wg);
	gort_waitgroup_wait(&wg);
}

GO_TEST(add_may_be_negative)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;

	gort_waitgroup_add(&wg, 5);
	gort_waitgroup_add(&wg, -4);
	expect_eq(gort_waitgroup_wait_until(&wg, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_waitgroup_add(&wg, -1);
	gort_waitgroup_wait(&wg);
}

static void counts(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
}

GO_TEST(go_counts_what_it_starts)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	int n = 0;

	for (int i = 0; i < 1000; i++)
		expect_eq(gort_waitgroup_go(&wg, counts, &n), 0);
	gort_waitgroup_wait(&wg);
	expect_eq(__atomic_load_n(&n, __ATOMIC_RELAXED), 1000);
}

static void just_done(void *arg)
{
	gort_waitgroup_done(arg);
}

static void counts_late(void *arg)
{
	gort_yield();
	count_up((int *)arg);
}

static void panics(void *arg)
{
	gort_defer(counts_late, arg);
	gort_panic("in a counted goroutine");
}

static void exits(void *arg)
{
	gort_defer(counts_late, arg);
	gort_goexit();
}

static void ignores(const gort_panic_info *info, void *ctx)
{
	count_up((int *)ctx);
}

GO_TEST(however_a_counted_goroutine_ends_it_is_taken_off)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	static int told;
	int late = 0;

	set(&told, 0);
	gort_set_panic_handler(ignores, &told);
	for (int i = 0; i < 20; i++)
		expect_eq(gort_waitgroup_go(&wg, i % 2 ? panics : exits, &late), 0);
	gort_waitgroup_wait(&wg);
	expect_eq(get(&late), 20);
	await_count(&told, 10);
	gort_set_panic_handler(NULL, NULL);
}

static void goes_negative(void *arg)
{
	gort_waitgroup_done(arg);
}

GO_TEST(misuse_can_be_caught)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	gort_panic_info info;

	expect(gort_try(goes_negative, &wg, &info));
	expect(strcmp(info.message, "sync: negative WaitGroup counter") == 0);
}

GO_TEST(a_group_may_be_freed_once_wait_has_returned)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		gort_waitgroup *wg = calloc(1, sizeof *wg);

		gort_waitgroup_add(wg, 2);
		spawn(just_done, wg);
		spawn(just_done, wg);
		if (i % 2 == 0)
			gort_yield();
		gort_waitgroup_wait(wg);
		memset(wg, 0xFF, sizeof *wg);
		free(wg);
	}
}

START_TEST(a_plain_thread_waits_with_the_group_on_its_stack)
{
	for (long i = 0; i < test_scale(2000); i++) {
		gort_waitgroup wg = GORT_WAITGROUP_INIT;

		gort_waitgroup_add(&wg, 1);
		ck_assert_int_eq(gort_go(just_done, &wg), 0);
		gort_waitgroup_wait(&wg);
		memset(&wg, 0xFF, sizeof wg);
	}
}
END_TEST

static int negative(void)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;

	gort_waitgroup_add(&wg, 1);
	gort_waitgroup_done(&wg);
	gort_waitgroup_done(&wg);
	return 0;
}

static int negative_at_once(void)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;

	gort_waitgroup_add(&wg, INT32_MIN);
	return 0;
}

static gort_waitgroup abused = GORT_WAITGROUP_INIT;

/* The word as it is between the last done and the wake-up of the waiters; then somebody adds. */
static int add_beside_wait(void)
{
	abused.state = 1;
	gort_waitgroup_add(&abused, 1);
	return 0;
}

static void waits_abused(void *arg)
{
	gort_waitgroup_wait(&abused);
}

static int reuse_main(void *arg)
{
	gort_waitgroup_add(&abused, 1);
	gort_go(waits_abused, NULL);
	gort_yield();                   /* one at a time: it waits now */
	gort_waitgroup_done(&abused);
	gort_waitgroup_add(&abused, 1); /* and cannot have returned yet */
	for (int i = 0; i < 10; i++)
		gort_yield();
	return 0;
}

static int reuse(void)
{
	abused = (gort_waitgroup)GORT_WAITGROUP_INIT;
	return gort_run(reuse_main, NULL);
}

static int null_fn(void)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;

	return gort_waitgroup_go(&wg, NULL, NULL);
}

static const struct test_child children[] = {
	{ "negative", negative },
	{ "negative_at_once", negative_at_once },
	{ "add_beside_wait", add_beside_wait },
	{ "null_fn", null_fn },
	{ "reuse", reuse },
	{ NULL, NULL },
};

START_TEST(a_negative_counter_panics)
{
	test_child_says("negative", NULL, 2, "panic: sync: negative WaitGroup counter");
	test_child_says("negative_at_once", NULL, 2, "panic: sync: negative WaitGroup counter");
}
END_TEST

START_TEST(an_add_beside_wait_at_zero_panics)
{
	test_child_says("add_beside_wait", NULL, 2, "panic: sync: WaitGroup misuse: Add called concurrently with Wait");
}
END_TEST

/* A panic that nobody catches ends the goroutine only, and says so. */
START_TEST(reuse_before_wait_has_returned_panics)
{
	test_child_says("reuse", test_one_at_a_time, 0, "panic: sync: WaitGroup is reused before previous Wait has returned");
}
END_TEST

START_TEST(go_of_null_is_fatal)
{
	test_child_says("null_fn", NULL, 2, "fatal error: go of nil func value");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "waitgroup", children);
	test_add(&s, wait_is_never_early_and_the_group_is_reusable);
	test_add(&s, the_struct_has_its_promised_size_and_zero_is_an_empty_group);
	test_add(&s, all_waiters_are_woken);
	test_add(&s, a_wait_with_a_deadline_gives_up_and_is_never_early);
	test_add(&s, add_may_be_negative);
	test_add(&s, go_counts_what_it_starts);
	test_add(&s, however_a_counted_goroutine_ends_it_is_taken_off);
	test_add(&s, misuse_can_be_caught);
	test_add(&s, a_group_may_be_freed_once_wait_has_returned);
	test_add(&s, a_plain_thread_waits_with_the_group_on_its_stack);
	test_add(&s, a_negative_counter_panics);
	test_add(&s, an_add_beside_wait_at_zero_panics);
	test_add(&s, reuse_before_wait_has_returned_panics);
	test_add(&s, go_of_null_is_fatal);
	return test_end(&s);
}
