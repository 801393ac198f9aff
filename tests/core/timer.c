/* SPDX-License-Identifier: MIT */
/* Timers with a function: gort_timer_after_func and its kin, and gort_go_after. */
#include "test.h"

#include <gort/chan.h>
#include <sched.h>

/* --- a function that counts, and can be held --- */

struct calls {
	int begun, ended;               /* atomic */
	gort_time first;                /* when it was begun first; atomic */
	gort_timer *t;
	gort_chan *hold;                /* if not NULL, each call waits for a value */
};

static void calls(void *arg)
{
	struct calls *c = arg;
	int64_t none = 0, now = gort_now();

	__atomic_compare_exchange_n(&c->first, &none, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	count_up(&c->begun);
	if (c->hold != NULL)
		gort_chan_recv(c->hold, NULL);
	count_up(&c->ended);
}

static void let_one_end(struct calls *c)
{
	gort_chan_send(c->hold, NULL);
}

static gort_timer *after(gort_duration d, struct calls *c)
{
	gort_timer *t = gort_timer_after_func(d, calls, c);

	expect(t != NULL);
	return t;
}

/* Enough scheduling, and time, for what is due to have begun. */
static void let_others_run(void)
{
	gort_time until = gort_deadline(2 * GORT_MILLISECOND);

	while (gort_now() < until)
		gort_yield();
}

GO_TEST(a_timer_calls_its_function_once_and_never_early)
{
	static const gort_duration ds[] = { INT64_MIN, -1, 0, 1, 50 * GORT_MICROSECOND, 3 * GORT_MILLISECOND };

	for (size_t i = 0; i < sizeof ds / sizeof ds[0]; i++) {
		struct calls c = { 0 };
		gort_time before = gort_now();
		gort_timer *t = after(ds[i], &c);

		await_count(&c.ended, 1);
		expect(c.first >= before + (ds[i] > 0 ? ds[i] : 0));
		let_others_run();
		expect_eq(get(&c.begun), 1);
		expect(!gort_timer_stop(t));
		gort_timer_free(t);
	}
}

static uint64_t first_id, second_id;

static void notes_first_id(void *arg)
{
	set(&first_id, gort_id());
	gort_goexit();
}

static void notes_second_id(void *arg)
{
	set(&second_id, gort_id());
	count_up((int *)arg);
}

GO_TEST(the_function_runs_in_a_goroutine_of_its_own)
{
	gort_timer *t = gort_timer_after_func(1, notes_first_id, NULL);
	int done = 0;
	size_t before;

	while (get(&first_id) == 0)
		gort_yield();
	while (gort_num_goroutine() != 1)
		gort_yield();
	before = gort_num_goroutine();
	gort_timer_free(t);
	t = gort_timer_after_func(GORT_HOUR, notes_second_id, &done);
	/* one that waits is no goroutine */
	expect_eq(gort_num_goroutine(), before);
	expect(gort_timer_reset(t, 1));
	await_count(&done, 1);
	expect(first_id != gort_id() && second_id != gort_id() && first_id != second_id);
	gort_timer_free(t);
}

GO_TEST(stop_is_true_once_and_a_stopped_timer_never_fires)
{
	struct calls c = { 0 }, late = { 0 };
	gort_timer *t = after(2 * GORT_MILLISECOND, &c), *u;

	/* a slow machine may be too late for the first one; then there is nothing to see */
	if (gort_timer_stop(t)) {
		expect(!gort_timer_stop(t));
		u = after(4 * GORT_MILLISECOND, &late);
		await_count(&late.ended, 1);
		let_others_run();
		expect_eq(get(&c.begun), 0);
		gort_timer_free(u);
	}
	gort_timer_free(t);
	t = after(GORT_HOUR, &late);
	expect(gort_timer_stop(t));
	expect(!gort_timer_stop(t));
	gort_timer_free(t);
	expect_eq(get(&late.begun), 1);
}

GO_TEST(reset_tells_whether_it_was_pending)
{
	struct calls c = { 0 };
	gort_timer *t = after(GORT_HOUR, &c);

	expect(gort_timer_reset(t, 2 * GORT_HOUR));
	expect(gort_timer_reset(t, GORT_MINUTE));
	expect(gort_timer_stop(t));
	expect(!gort_timer_reset(t, GORT_HOUR));
	expect(gort_timer_reset(t, 1));
	await_count(&c.ended, 1);
	expect(!gort_timer_reset(t, 1));
	await_count(&c.ended, 2);
	expect(!gort_timer_stop(t));
	expect(!gort_timer_reset(t, GORT_HOUR));
	expect(gort_timer_stop(t));
	gort_timer_free(t);
	expect_eq(get(&c.begun), 2);
}

GO_TEST(a_timer_that_is_put_off_does_not_fire_at_its_old_time)
{
	struct calls c = { 0 };
	gort_timer *t = after(GORT_MILLISECOND, &c);
	gort_time due = 0;
	bool pending = true;

	for (int i = 0; i < 30 && pending; i++) {
		gort_time before = gort_now();

		pending = gort_timer_reset(t, 4 * GORT_MILLISECOND);
		due = before + 4 * GORT_MILLISECOND;
		if (pending)
			gort_sleep(200 * GORT_MICROSECOND);
	}
	if (pending) {
		await_count(&c.ended, 1);
		expect(c.first >= due);
	}
	gort_timer_stop_wait(t);
	gort_timer_free(t);
}

GO_TEST(a_timer_that_is_brought_forward_fires_once)
{
	struct calls c = { 0 };
	gort_timer *t = after(GORT_HOUR, &c);

	for (int i = 0; i < 1000; i++)
		expect(gort_timer_reset(t, GORT_HOUR - i * GORT_SECOND));
	expect(gort_timer_reset(t, GORT_MILLISECOND));
	await_count(&c.ended, 1);
	let_others_run();
	expect_eq(get(&c.begun), 1);
	gort_timer_free(t);
}

/* --- inside the function --- */

static int in_fn, in_fn_wrong;

static void resets_itself(void *arg)
{
	gort_timer *t = *(gort_timer *volatile *)arg;

	if (gort_timer_stop(t) || gort_timer_reset(t, GORT_HOUR) || !gort_timer_reset(t, GORT_MINUTE) || !gort_timer_stop(t))
		set(&in_fn_wrong, 1);
	if (get(&in_fn) < 100)
		gort_timer_reset(t, get(&in_fn) % 3);
	count_up(&in_fn);
}

GO_TEST(stop_and_reset_work_inside_the_function)
{
	gort_timer *t = gort_timer_after_func(GORT_HOUR, resets_itself, &t);

	set(&in_fn, 0);
	gort_timer_reset(t, 0);
	await_count(&in_fn, 101);
	let_others_run();
	expect_eq(get(&in_fn), 101);
	expect_eq(get(&in_fn_wrong), 0);
	gort_timer_free(t);
}

static void frees_itself(void *arg)
{
	gort_timer *t = *(gort_timer *volatile *)arg;

	gort_timer_free(t);
	gort_yield();
	count_up(&in_fn);
}

GO_TEST(free_works_inside_the_function)
{
	set(&in_fn, 0);
	for (int i = 0; i < 100; i++) {
		gort_timer *t = gort_timer_after_func(GORT_HOUR, frees_itself, &t);

		gort_timer_reset(t, i % 3);
		await_count(&in_fn, i + 1);
	}
}

GO_TEST(free_calls_off_and_lets_the_function_go_on)
{
	struct calls c = { .hold = gort_chan_new(0, 0) }, never = { 0 };
	gort_timer *t = after(0, &c), *u = after(GORT_MILLISECOND, &never);

	gort_timer_free(u);
	await_count(&c.begun, 1);
	gort_timer_free(t);
	expect_eq(get(&c.ended), 0);
	let_one_end(&c);
	await_count(&c.ended, 1);
	gort_sleep(3 * GORT_MILLISECOND);
	/* it may have begun before it was freed on a slow machine; it is not in the way of anything */
	expect(get(&never.begun) <= 1);
	gort_chan_unref(c.hold);
	gort_timer_free(NULL);
}

GO_TEST(a_timer_that_is_set_while_its_function_runs_does_not_wait_for_it)
{
	struct calls c = { .hold = gort_chan_new(0, 0) };
	gort_timer *t = after(0, &c);

	for (int i = 1; i <= 5; i++) {
		await_count(&c.begun, i);
		expect_eq(get(&c.ended), 0);
		if (i < 5)
			expect(!gort_timer_reset(t, i));
	}
	for (int i = 0; i < 5; i++)
		let_one_end(&c);
	await_count(&c.ended, 5);
	gort_timer_free(t);
	gort_chan_unref(c.hold);
}

/* --- stop_wait --- */

struct waits {
	struct task task;
	gort_timer *t;
	struct calls *c;
	int ended;                      /* calls that had ended by the time it returned */
};

static void stop_waits(void *arg)
{
	struct waits *w = arg;

	task_here(&w->task);
	gort_timer_stop_wait(w->t);
	w->ended = get(&w->c->ended);
	task_done(&w->task);
}

GO_TEST(stop_wait_waits_for_the_function)
{
	struct calls c = { .hold = gort_chan_new(0, 0) };
	struct waits w[3] = { 0 };
	pthread_t thread;

	c.t = after(0, &c);
	await_count(&c.begun, 1);
	gort_timer_reset(c.t, 0);
	await_count(&c.begun, 2);
	gort_timer_reset(c.t, GORT_HOUR);
	for (int i = 0; i < 3; i++) {
		w[i].t = c.t;
		w[i].c = &c;
	}
	spawn(stop_waits, &w[0]);
	spawn(stop_waits, &w[1]);
	thread = thread_start(stop_waits, &w[2]);
	for (int i = 0; i < 3; i++)
		await_parked(&w[i].task);
	expect(!gort_timer_stop(c.t));
	let_one_end(&c);
	await_count(&c.ended, 1);
	let_others_run();
	for (int i = 0; i < 3; i++)
		expect_eq(get(&w[i].task.done), 0);
	let_one_end(&c);
	for (int i = 0; i < 3; i++) {
		await_done(&w[i].task);
		expect_eq(w[i].ended, 2);
	}
	thread_join(thread);
	/* and returns at once when there is nothing to wait for */
	gort_timer_stop_wait(c.t);
	gort_timer_reset(c.t, GORT_HOUR);
	gort_timer_stop_wait(c.t);
	expect(!gort_timer_stop(c.t));
	gort_timer_free(c.t);
	gort_chan_unref(c.hold);
}

static void sets_itself_again(void *arg)
{
	struct calls *c = arg;

	count_up(&c->begun);
	gort_chan_recv(c->hold, NULL);
	gort_timer_reset(c->t, 0);
	gort_timer_reset(c->t, GORT_HOUR);
	count_up(&c->ended);
}

GO_TEST(stop_wait_calls_off_what_the_function_sets_meanwhile)
{
	struct calls c = { .hold = gort_chan_new(0, 0) };
	struct waits w = { .c = &c };

	w.t = c.t = gort_timer_after_func(GORT_HOUR, sets_itself_again, &c);
	gort_timer_reset(c.t, 0);
	await_count(&c.begun, 1);
	spawn(stop_waits, &w);
	await_parked(&w.task);
	let_one_end(&c);
	await_done(&w.task);
	expect_eq(w.ended, 1);
	expect(!gort_timer_stop(c.t));
	let_others_run();
	expect_eq(get(&c.begun), 1);
	gort_timer_free(c.t);
	gort_chan_unref(c.hold);
}

static void ends_early(void *arg)
{
	count_up(&in_fn);
	if (get(&in_fn) % 2)
		gort_goexit();
	gort_panic("in a timer");
}

static void says_nothing(const gort_panic_info *info, void *ctx)
{
}

GO_TEST(a_function_that_exits_or_panics_has_ended)
{
	gort_timer *t = gort_timer_after_func(GORT_HOUR, ends_early, NULL);

	gort_set_panic_handler(says_nothing, NULL);
	set(&in_fn, 0);
	for (int i = 1; i <= 20; i++) {
		gort_timer_reset(t, 0);
		await_count(&in_fn, i);
		gort_timer_stop_wait(t);
	}
	gort_timer_free(t);
	gort_set_panic_handler(NULL, NULL);
}

static gort_timer *volatile self_timer;

static void stop_waits_for_itself(void *arg)
{
	gort_timer_stop_wait(self_timer);
}

static int stop_wait_inside_main(void *arg)
{
	self_timer = gort_timer_after_func(GORT_HOUR, stop_waits_for_itself, NULL);
	gort_timer_reset(self_timer, 0);
	gort_sleep(GORT_HOUR);
	return 0;
}

static int stop_wait_inside(void)
{
	return gort_run(stop_wait_inside_main, NULL);
}

START_TEST(stop_wait_inside_the_function_is_fatal)
{
	test_child_says("stop_wait_inside", NULL, 2, "fatal error: gort_timer_stop_wait inside the timer's own function");
}
END_TEST

static int free_twice(void)
{
	struct calls c = { 0 };
	gort_timer *t = gort_timer_after_func(GORT_HOUR, calls, &c);

	gort_timer_free(t);
	gort_timer_free(t);
	return 0;
}

START_TEST(a_timer_that_is_freed_twice_is_fatal)
{
	test_child_says("free_twice", NULL, 2, "fatal error: a timer is freed twice");
}
END_TEST

static int reset_freed(void)
{
	struct calls c = { 0 };
	gort_timer *t = gort_timer_after_func(GORT_HOUR, calls, &c);

	gort_timer_free(t);
	gort_timer_reset(t, 1);
	return 0;
}

START_TEST(a_timer_that_is_set_after_it_was_freed_is_fatal)
{
	test_child_says("reset_freed", NULL, 2, "fatal error: a timer is set after gort_timer_free");
}
END_TEST

static int no_function(void)
{
	gort_timer_after_func(GORT_HOUR, NULL, NULL);
	return 0;
}

static int go_after_no_function(void)
{
	gort_go_after(GORT_HOUR, NULL, NULL);
	return 0;
}

START_TEST(a_timer_without_a_function_is_fatal)
{
	test_child_says("no_function", NULL, 2, "fatal error: go of nil func value");
	test_child_says("go_after_no_function", NULL, 2, "fatal error: go of nil func value");
}
END_TEST

static void stops_null(void *arg) { gort_timer_stop(NULL); }
static void resets_null(void *arg) { gort_timer_reset(NULL, 1); }
static void stop_waits_null(void *arg) { gort_timer_stop_wait(NULL); }

GO_TEST(a_null_timer_panics_in_gos_words)
{
	gort_panic_info info;

	expect(gort_try(stops_null, NULL, &info));
	expect(strcmp(info.message, "time: Stop called on uninitialized Timer") == 0);
	expect(gort_try(resets_null, NULL, &info));
	expect(strcmp(info.message, "time: Reset called on uninitialized Timer") == 0);
	expect(gort_try(stop_waits_null, NULL, &info));
	expect(strcmp(info.message, "time: Stop called on uninitialized Timer") == 0);
}

/* --- many, in order, long, and beside others --- */

static int many;

static void counts(void *arg)
{
	count_up(&many);
}

GO_TEST(of_a_million_timers_without_delay_none_is_missed)
{
	int n = (int)test_scale(1000000), batch = 10000, made = 0;
	gort_timer **t = malloc((size_t)batch * sizeof(gort_timer *));

	set(&many, 0);
	while (made < n) {
		int k = n - made < batch ? n - made : batch;

		for (int i = 0; i < k; i++) {
			t[i] = gort_timer_after_func(0, counts, NULL);
			expect(t[i] != NULL);
		}
		made += k;
		await_count(&many, made);
		for (int i = 0; i < k; i++)
			gort_timer_free(t[i]);
	}
	expect_eq(get(&many), n);
	free(t);
}

GO_TEST(of_a_million_goroutines_without_delay_none_is_missed)
{
	int n = (int)test_scale(1000000);

	set(&many, 0);
	for (int i = 0; i < n; i++) {
		expect_eq(gort_go_after(i % 2, counts, NULL), 0);
		if (i % 1000 == 999)
			await_count(&many, i - 500);
	}
	await_count(&many, n);
	expect_eq(get(&many), n);
}

GO_TEST(a_goroutine_starts_after_its_time)
{
	struct calls c = { 0 };
	gort_time before = gort_now();

	expect_eq(gort_go_after(2 * GORT_MILLISECOND, calls, &c), 0);
	await_count(&c.ended, 1);
	expect(c.first >= before + 2 * GORT_MILLISECOND);
	expect_eq(gort_go_after(GORT_FOREVER, calls, &c), 0);
	expect_eq(gort_go_after(INT64_MIN, calls, &c), 0);
	await_count(&c.ended, 2);
}

static int order[200], ordered;

static void notes_order(void *arg)
{
	order[ordered++] = (int)(intptr_t)arg;
}

/* A time before the clock's beginning is its beginning: all of these are due at the same instant. */
static int same_instant_main(void *arg)
{
	gort_timer *t[100];

	for (intptr_t i = 0; i < 100; i++) {
		if (i % 2)
			t[i] = gort_timer_after_func(INT64_MIN, notes_order, (void *)i);
		else
			t[i] = gort_timer_after_func(GORT_HOUR, notes_order, (void *)i);
		/* setting counts, and not making */
		if (i % 2 == 0)
			gort_timer_reset(t[i], INT64_MIN);
	}
	while (ordered < 100)
		gort_yield();
	for (int i = 0; i < 100; i++) {
		expect_eq(order[i], i);
		gort_timer_free(t[i]);
	}
	return 0;
}

static int same_instant(void)
{
	int r = gort_run(same_instant_main, NULL);

	test_assert();
	return r;
}

static int by_time_main(void *arg)
{
	gort_timer *t[50];
	bool in_time = false;

	/* too slow a machine to set all before the first fires, or one of them within a step: once more with more time */
	for (gort_duration step = GORT_MILLISECOND; !in_time; step *= 2) {
		gort_time base = gort_deadline(50 * step);

		ordered = 0;
		in_time = true;
		for (intptr_t i = 0; i < 50; i++) {
			gort_time now = gort_now();

			t[i] = gort_timer_after_func(base - now + i * 17 % 50 * step, notes_order, (void *)i);
			in_time &= gort_now() - now < step;
		}
		in_time &= gort_now() < base;
		while (ordered < 50)
			gort_sleep(GORT_MILLISECOND);
		for (int i = 0; i < 50; i++) {
			if (in_time)
				expect_eq(order[i] * 17 % 50, i);
			gort_timer_free(t[i]);
		}
	}
	return 0;
}

static int by_time(void)
{
	int r = gort_run(by_time_main, NULL);

	test_assert();
	return r;
}

START_TEST(timers_of_the_same_instant_fire_in_the_order_of_their_setting)
{
	test_child_says("same_instant", test_one_at_a_time, 0, "");
}
END_TEST

START_TEST(timers_fire_in_the_order_of_their_times)
{
	test_child_says("by_time", test_one_at_a_time, 0, "");
}
END_TEST

GO_TEST(the_longest_timers_overflow_nothing)
{
	static const gort_duration ds[] = { GORT_FOREVER, GORT_FOREVER - 1, INT64_MAX / 2, 292 * 365 * 24 * GORT_HOUR };
	struct calls never = { 0 }, c = { 0 };
	gort_timer *t[4], *u = after(GORT_HOUR, &c);

	for (int i = 0; i < 4; i++)
		t[i] = after(ds[i], &never);
	for (int i = 0; i < 20; i++) {
		gort_timer_reset(u, 100 * GORT_MICROSECOND);
		await_count(&c.ended, i + 1);
	}
	for (int i = 0; i < 4; i++) {
		expect(gort_timer_reset(t[i], ds[3 - i]));
		expect(gort_timer_stop(t[i]));
		gort_timer_free(t[i]);
	}
	gort_timer_free(u);
	expect_eq(get(&never.begun), 0);
}

static void plays(void *arg)
{
	gort_chan **c = arg;
	int v;

	while (gort_chan_recv(c[0], &v) == 0)
		gort_chan_send(c[1], &v);
	gort_chan_close(c[1]);
}

GO_TEST(a_timer_fires_although_two_goroutines_play_ping_pong_on_the_only_P)
{
	int was = gort_set_maxprocs(1), v = 0;
	gort_chan *c[2] = { gort_chan_new(sizeof(int), 0), gort_chan_new(sizeof(int), 0) };
	struct calls k = { 0 };
	gort_timer *t;

	spawn(plays, c);
	t = after(GORT_MICROSECOND, &k);
	/* neither ever waits for anybody but the other */
	while (get(&k.ended) == 0) {
		gort_chan_send(c[0], &v);
		gort_chan_recv(c[1], &v);
	}
	gort_chan_close(c[0]);
	gort_chan_recv(c[1], &v);
	gort_timer_free(t);
	gort_chan_unref(c[0]);
	gort_chan_unref(c[1]);
	gort_set_maxprocs(was);
}

static int hog_stop, hogs_out;

static void hogs(void *arg)
{
	count_up((int *)arg);
	while (!get(&hog_stop))
		;
	count_up(&hogs_out);
}

GO_TEST(timers_of_a_P_whose_goroutine_computes_fire)
{
	int was = gort_set_maxprocs(2), in = 0;
	struct calls c[10] = { 0 };
	gort_timer *t[10];

	set(&hog_stop, 0);
	set(&hogs_out, 0);
	for (int i = 0; i < 10; i++)
		t[i] = after(i * 300 * GORT_MICROSECOND, &c[i]);
	spawn(hogs, &in);
	spawn(hogs, &in);
	for (int i = 0; i < 10; i++) {
		await_count(&c[i].ended, 1);
		gort_timer_free(t[i]);
	}
	expect_eq(get(&hogs_out), 0);
	await_count(&in, 2);
	set(&hog_stop, 1);
	await_count(&hogs_out, 2);
	gort_set_maxprocs(was);
}

/* --- threads without a P --- */

static void await_thread(int *word, int n)
{
	while (get(word) < n)
		sched_yield();
}

THREAD_TEST(timers_of_plain_threads_work)
{
	struct calls c = { 0 };
	gort_time before = gort_now();
	gort_timer *t = after(2 * GORT_MILLISECOND, &c);

	await_thread(&c.ended, 1);
	expect(!gort_timer_stop(t));
	expect(!gort_timer_reset(t, GORT_HOUR));
	for (int i = 0; i < 100; i++)
		expect(gort_timer_reset(t, GORT_HOUR + (i % 2 ? i : -i) * GORT_SECOND));
	expect(gort_timer_stop(t));
	expect(!gort_timer_reset(t, 1));
	await_thread(&c.ended, 2);
	gort_timer_stop_wait(t);
	gort_timer_free(t);
	expect(c.first >= before);
	/* on its way to a P, it may be called off, set and given up as well */
	for (int i = 0; i < 1000; i++) {
		t = after(i % 3 ? GORT_HOUR : 0, &c);
		if (i % 2)
			gort_timer_stop(t);
		if (i % 5 == 0)
			gort_timer_reset(t, GORT_MINUTE);
		gort_timer_free(t);
	}
	before = gort_now();
	set(&c.first, 0);
	set(&c.ended, 0);
	expect_eq(gort_go_after(GORT_MILLISECOND, calls, &c), 0);
	await_thread(&c.ended, 1);
}

static void makes_one_while_all_compute(void *arg)
{
	struct calls *c = arg;

	c->t = after(GORT_MILLISECOND, c);
	await_thread(&c->ended, 1);
	gort_timer_reset(c->t, GORT_MILLISECOND);
	await_thread(&c->ended, 2);
	gort_timer_free(c->t);
	set(&hog_stop, 1);
}

GO_TEST(timers_of_plain_threads_fire_while_every_P_computes)
{
	int was = gort_set_maxprocs(2), in = 0;
	struct calls c = { 0 };
	pthread_t t;

	set(&hog_stop, 0);
	set(&hogs_out, 0);
	spawn(hogs, &in);
	spawn(hogs, &in);
	await_count(&in, 2);
	t = thread_start(makes_one_while_all_compute, &c);
	while (!get(&hog_stop))
		;
	thread_join(t);
	await_count(&hogs_out, 2);
	gort_set_maxprocs(was);
}

/* --- Ps that come and go --- */

struct maker {
	struct calls c[100];
	gort_timer *t[100];
	int done;
};

static void makes_many(void *arg)
{
	struct maker *m = arg;

	for (int i = 0; i < 100; i++) {
		m->t[i] = after(i % 4 ? (1 + i % 5) * GORT_MILLISECOND : GORT_HOUR, &m->c[i]);
		if (i % 10 == 0)
			gort_yield();
	}
	set(&m->done, 1);
}

GO_TEST(timers_outlive_their_Ps)
{
	int was = gort_maxprocs();

	for (int round = 0; round < 10; round++) {
		static struct maker m[8];

		memset(m, 0, sizeof m);
		gort_set_maxprocs(8);
		for (int i = 0; i < 8; i++)
			spawn(makes_many, &m[i]);
		for (int i = 0; i < 8; i++)
			await_count(&m[i].done, 1);
		gort_set_maxprocs(1);
		for (int i = 0; i < 8; i++) {
			for (int k = 0; k < 100; k += 4)
				expect(k % 8 ? gort_timer_stop(m[i].t[k]) : gort_timer_reset(m[i].t[k], GORT_MICROSECOND));
		}
		if (round % 2)
			gort_set_maxprocs(4);
		for (int i = 0; i < 8; i++) {
			for (int k = 0; k < 100; k++) {
				if (k % 4 || k % 8 == 0)
					await_count(&m[i].c[k].ended, 1);
				gort_timer_free(m[i].t[k]);
				expect_eq(get(&m[i].c[k].begun), k % 4 || k % 8 == 0);
			}
		}
	}
	gort_set_maxprocs(was);
}

/* --- deadlock --- */

static void exits(void *arg)
{
	exit(7);
}

static int pending_main(void *arg)
{
	gort_timer_after_func(300 * GORT_MILLISECOND, exits, NULL);
	gort_chan_recv(NULL, NULL);
	return 0;
}

static int go_after_main(void *arg)
{
	gort_go_after(300 * GORT_MILLISECOND, exits, NULL);
	gort_chan_recv(NULL, NULL);
	return 0;
}

static int called_off_main(void *arg)
{
	gort_timer *t = gort_timer_after_func(GORT_HOUR, exits, NULL);
	struct calls c = { 0 };

	gort_timer_reset(t, 2 * GORT_HOUR);
	gort_timer_stop(t);
	gort_timer_free(gort_timer_after_func(GORT_HOUR, exits, NULL));
	gort_timer_after_func(0, calls, &c);
	gort_chan_recv(NULL, NULL);
	return 0;
}

static int pending(void) { return gort_run(pending_main, NULL); }
static int go_after(void) { return gort_run(go_after_main, NULL); }
static int called_off(void) { return gort_run(called_off_main, NULL); }

START_TEST(a_timer_that_is_pending_is_no_deadlock)
{
	test_child_says("pending", NULL, 7, "");
	test_child_says("go_after", NULL, 7, "");
}
END_TEST

START_TEST(timers_that_were_called_off_do_not_hide_a_deadlock)
{
	test_child_says("called_off", NULL, 2, "fatal error: all goroutines are asleep - deadlock!");
}
END_TEST

static const struct test_child children[] = {
	{ "stop_wait_inside", stop_wait_inside },
	{ "free_twice", free_twice },
	{ "reset_freed", reset_freed },
	{ "no_function", no_function },
	{ "go_after_no_function", go_after_no_function },
	{ "same_instant", same_instant },
	{ "by_time", by_time },
	{ "pending", pending },
	{ "go_after", go_after },
	{ "called_off", called_off },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "timer", children);
	test_add(&s, a_timer_calls_its_function_once_and_never_early);
	test_add(&s, the_function_runs_in_a_goroutine_of_its_own);
	test_add(&s, stop_is_true_once_and_a_stopped_timer_never_fires);
	test_add(&s, reset_tells_whether_it_was_pending);
	test_add(&s, a_timer_that_is_put_off_does_not_fire_at_its_old_time);
	test_add(&s, a_timer_that_is_brought_forward_fires_once);
	test_add(&s, stop_and_reset_work_inside_the_function);
	test_add(&s, free_works_inside_the_function);
	test_add(&s, free_calls_off_and_lets_the_function_go_on);
	test_add(&s, a_timer_that_is_set_while_its_function_runs_does_not_wait_for_it);
	test_add(&s, stop_wait_waits_for_the_function);
	test_add(&s, stop_wait_calls_off_what_the_function_sets_meanwhile);
	test_add(&s, a_function_that_exits_or_panics_has_ended);
	test_add(&s, stop_wait_inside_the_function_is_fatal);
	test_add(&s, a_timer_that_is_freed_twice_is_fatal);
	test_add(&s, a_timer_that_is_set_after_it_was_freed_is_fatal);
	test_add(&s, a_timer_without_a_function_is_fatal);
	test_add(&s, a_null_timer_panics_in_gos_words);
	test_add(&s, of_a_million_timers_without_delay_none_is_missed);
	test_add(&s, of_a_million_goroutines_without_delay_none_is_missed);
	test_add(&s, a_goroutine_starts_after_its_time);
	test_add(&s, timers_of_the_same_instant_fire_in_the_order_of_their_setting);
	test_add(&s, timers_fire_in_the_order_of_their_times);
	test_add(&s, the_longest_timers_overflow_nothing);
	test_add(&s, a_timer_fires_although_two_goroutines_play_ping_pong_on_the_only_P);
	test_add(&s, timers_of_a_P_whose_goroutine_computes_fire);
	test_add(&s, timers_of_plain_threads_work);
	test_add(&s, timers_of_plain_threads_fire_while_every_P_computes);
	test_add(&s, timers_outlive_their_Ps);
	test_add(&s, a_timer_that_is_pending_is_no_deadlock);
	if (TEST_TSAN)
		test_skip("timers_that_were_called_off_do_not_hide_a_deadlock",
			"ThreadSanitizer's own thread counts as one of the program's");
	else
		test_add(&s, timers_that_were_called_off_do_not_hide_a_deadlock);
	return test_end(&s);
}
