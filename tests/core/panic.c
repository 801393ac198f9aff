/* SPDX-License-Identifier: MIT */
/* Panics, caught and not, and gort_goexit: what runs on the way, what is told, who goes on. */
#include "test.h"

#include "bare.h"

#include <signal.h>

/* Zero: what a compiler would otherwise warn of is that a function ends by panicking only. */
static int never;

/* --- a record of what ran, in order --- */

static char trace[256];
static int trace_n;

static void note(char c)
{
	int i = __atomic_fetch_add(&trace_n, 1, __ATOMIC_SEQ_CST);

	if (i < (int)sizeof trace - 1)
		set(&trace[i], c);
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
	if (strcmp(now, s) == 0)
		return true;
	fprintf(stderr, "# trace \"%s\", not \"%s\"\n", now, s);
	return false;
}

static void notes(void *arg)
{
	note((char)(intptr_t)arg);
}

static void defers(char c)
{
	expect_eq(gort_defer(notes, (void *)(intptr_t)c), 0);
}

/* -fexceptions is what lets an unwinder run these; tests/core/meson.build asks for it */
static void noted(char *c)
{
	note(*c);
}

#define CLEANUP(c) __attribute__((cleanup(noted), unused)) char cleanup_##c = #c[0]

/* Until this goroutine is the only one; the last test's may still be ending when one begins. */
static void await_others(void)
{
	while (gort_num_goroutine() > 1)
		gort_yield();
}

/* --- what is caught --- */

static void returns(void *arg)
{
	note('r');
}

static void panics(void *arg)
{
	gort_panic("%s, %d", "a message", 42);
}

static void panics_with_value(void *arg)
{
	gort_panic_value(arg, "a value");
}

GO_TEST(a_function_that_returns_has_not_panicked)
{
	gort_panic_info info = { .message = "untouched" };

	trace_reset();
	expect(!gort_try(returns, NULL, &info));
	expect(!gort_try(returns, NULL, NULL));
	expect(strcmp(info.message, "untouched") == 0);
	expect(traced("rr"));
}

static void catches_all(void)
{
	gort_panic_info info;
	int value;

	expect(gort_try(panics, NULL, &info));
	expect(strcmp(info.message, "a message, 42") == 0);
	expect(info.value == NULL);
	expect(info.goroutine == gort_id());
	expect(gort_try(panics_with_value, &value, &info));
	expect(strcmp(info.message, "a value") == 0);
	expect(info.value == &value);
	expect(gort_try(panics, NULL, NULL));
}

GO_TEST(a_panic_is_caught_with_message_value_and_goroutine)
{
	catches_all();
}

START_TEST(a_plain_thread_catches_too)
{
	catches_all();
	gort_yield();
	catches_all();
	test_assert();
}
END_TEST

static void panics_at_length(void *arg)
{
	gort_panic("%0*d", *(int *)arg, 7);
}

GO_TEST(messages_of_any_length_are_whole)
{
	for (int n = 1; n <= 100000; n = n * 3 + 1) {
		gort_panic_info info;

		expect(gort_try(panics_at_length, &n, &info));
		expect_eq(strlen(info.message), n);
		expect(info.message[n - 1] == '7');
	}
}

static void panics_with_words_that_end(void *arg)
{
	char words[20] = "on the stack";

	gort_panic_value(arg, words);
}

static void panics_without_words(void *arg)
{
	gort_panic_value(arg, NULL);
}

GO_TEST(words_are_copied)
{
	gort_panic_info info;

	expect(gort_try(panics_with_words_that_end, NULL, &info));
	gort_yield();
	expect(strcmp(info.message, "on the stack") == 0);
	expect(gort_try(panics_without_words, NULL, &info));
	expect(info.message != NULL);
}

static void panics_with_the_last_ones_words(void *arg)
{
	gort_panic_info *last = arg;

	gort_panic("again: %s", last->message);
}

GO_TEST(a_message_may_be_made_of_the_one_before)
{
	gort_panic_info info;

	expect(gort_try(panics, NULL, &info));
	expect(gort_try(panics_with_the_last_ones_words, &info, &info));
	expect(gort_try(panics_with_the_last_ones_words, &info, &info));
	expect(strcmp(info.message, "again: again: a message, 42") == 0);
}

static void catches_and_repanics(void *arg)
{
	gort_panic_info info;

	expect(gort_try(panics_with_value, arg, &info));
	note('i');
	gort_repanic(&info);
}

GO_TEST(a_repanic_keeps_all)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(catches_and_repanics, &info, &info));
	expect(strcmp(info.message, "a value") == 0);
	expect(info.value == &info);
	expect(info.goroutine == gort_id());
	expect(traced("i"));
}

static struct {
	gort_panic_info info;
	char message[64];
	int done;
} elsewhere;

static void catches_elsewhere(void *arg)
{
	expect(gort_try(panics_with_value, &elsewhere, &elsewhere.info));
	snprintf(elsewhere.message, sizeof elsewhere.message, "%s", elsewhere.info.message);
	elsewhere.info.message = elsewhere.message;
	set(&elsewhere.done, 1);
}

static void repanics_elsewhere(void *arg)
{
	gort_repanic(&elsewhere.info);
}

GO_TEST(a_panic_carried_to_another_goroutine_tells_where_it_began)
{
	gort_panic_info info;

	set(&elsewhere.done, 0);
	spawn(catches_elsewhere, NULL);
	await_count(&elsewhere.done, 1);
	expect(gort_try(repanics_elsewhere, NULL, &info));
	expect(info.goroutine == elsewhere.info.goroutine && info.goroutine != gort_id());
	expect(info.value == &elsewhere);
}

static void catches_inside(void *arg)
{
	gort_panic_info info;

	expect(gort_try(panics, NULL, &info));
	note('i');
}

GO_TEST(the_innermost_try_catches)
{
	trace_reset();
	expect(!gort_try(catches_inside, NULL, NULL));
	expect(traced("i"));
}

/* --- what runs on the way --- */

static void inner_frames(int depth)
{
	CLEANUP(f);

	gort_yield();
	if (depth > 0)
		inner_frames(depth - 1);
	else if (!get(&never))
		gort_panic("deep");
	gort_yield();
}

static void leaves_frames(void *arg)
{
	CLEANUP(g);

	defers('d');
	inner_frames(2);
}

GO_TEST(cleanups_run_then_deferred_calls)
{
	trace_reset();
	expect(gort_try(leaves_frames, NULL, NULL));
	expect(traced("fffgd"));
}

static void calls_scopes(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	CLEANUP(c);

	defers((char)('0' + depth));
	if (depth > 0)
		gort_call(calls_scopes, (void *)(depth - 1));
	else
		gort_panic("inside");
	note('!');
}

GO_TEST(each_scope_runs_its_own_as_it_is_left)
{
	trace_reset();
	expect(gort_try(calls_scopes, (void *)2, NULL));
	expect(traced("c0c1c2"));
}

static void deferred_panics(void *arg)
{
	note((char)(intptr_t)arg);
	gort_panic("deferred %c", (char)(intptr_t)arg);
}

static void panics_and_defers_panics(void *arg)
{
	defers('x');
	gort_defer(deferred_panics, (void *)'a');
	defers('y');
	gort_defer(deferred_panics, (void *)'b');
	defers('z');
	if (arg != NULL)
		gort_panic("first");
}

GO_TEST(a_panic_in_a_deferred_call_takes_the_first_ones_place)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(panics_and_defers_panics, trace, &info));
	expect(strcmp(info.message, "deferred a") == 0);
	expect(traced("zbyax"));
	trace_reset();
	expect(gort_try(panics_and_defers_panics, NULL, &info));
	expect(strcmp(info.message, "deferred a") == 0);
	expect(traced("zbyax"));
}

static void calls_panicking_scope(void *arg)
{
	defers('o');
	gort_call(panics_and_defers_panics, arg);
}

GO_TEST(it_does_in_a_call_as_well)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(calls_panicking_scope, trace, &info));
	expect(strcmp(info.message, "deferred a") == 0);
	expect(traced("zbyaxo"));
}

static void deferred_catches(void *arg)
{
	gort_panic_info info;

	expect(gort_try(panics, NULL, &info));
	expect(strcmp(info.message, "a message, 42") == 0);
	note('c');
}

static void panics_over_catching_deferred(void *arg)
{
	gort_defer(deferred_catches, NULL);
	gort_panic("outer %d", 1);
}

GO_TEST(a_panic_caught_in_a_deferred_call_leaves_the_first_one_alone)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(panics_over_catching_deferred, NULL, &info));
	expect(strcmp(info.message, "outer 1") == 0);
	expect(traced("c"));
}

#ifdef __clang__
#  define CLEANUPS_MAY_PANIC false
#else
#  define CLEANUPS_MAY_PANIC true
#endif

static void cleanup_catches(char *c)
{
	expect(gort_try(panics, NULL, NULL));
	gort_yield();
	note(*c);
}

static void cleanup_panics(char *c)
{
	note(*c);
	gort_panic("cleanup");
}

static void panics_through_catching_cleanup(void *arg)
{
	CLEANUP(o);
	__attribute__((cleanup(cleanup_catches), unused)) char c = 'c';
	CLEANUP(i);

	gort_panic("outer");
}

static void panics_through_panicking_cleanup(void *arg)
{
	CLEANUP(o);
	__attribute__((cleanup(cleanup_panics), unused)) char c = 'p';
	CLEANUP(i);

	gort_panic("outer");
}

GO_TEST(a_cleanup_may_catch)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(panics_through_catching_cleanup, NULL, &info));
	expect(strcmp(info.message, "outer") == 0);
	expect(traced("ico"));
}

GO_TEST(a_cleanup_may_panic)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(panics_through_panicking_cleanup, NULL, &info));
	expect(strcmp(info.message, "cleanup") == 0);
	expect(traced("ipo"));
}

static void panics_below_bare(void *arg)
{
	CLEANUP(b);

	gort_panic("below");
}

static void calls_bare(void *arg)
{
	defers('d');
	bare(panics_below_bare, NULL);
}

GO_TEST(frames_without_tables_are_jumped_over)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(calls_bare, NULL, &info));
	expect(strcmp(info.message, "below") == 0);
	expect(traced("bd"));
}

static int compares_and_panics(const void *a, const void *b)
{
	gort_panic("in a callback of libc");
}

static void sorts(void *arg)
{
	int a[4] = { 3, 1, 2, 0 };

	qsort(a, 4, sizeof a[0], compares_and_panics);
}

GO_TEST(a_panic_passes_other_libraries)
{
	gort_panic_info info;

	expect(gort_try(sorts, NULL, &info));
	expect(strcmp(info.message, "in a callback of libc") == 0);
}

static int deep_down(int n)
{
	volatile char room[512];

	room[0] = (char)n;
	if (n == 0 && !get(&never))
		gort_panic("bottom");
	return n < 0 ? 0 : deep_down(n - 1) + room[0];
}

static void goes_deep(void *arg)
{
	deep_down((int)(intptr_t)arg);
}

GO_TEST(a_panic_from_deep_below_is_caught)
{
	for (intptr_t n = 1; n <= 4096; n *= 8)
		expect(gort_try(goes_deep, (void *)n, NULL));
}

/* --- while others run, on changing threads --- */

static int storm_done;

static void storms_deep(int n, uint64_t *random)
{
	CLEANUP(x);

	if (test_random(random) % 4 == 0)
		gort_yield();
	if (n > 0)
		storms_deep(n - 1, random);
	if (!get(&never))
		gort_panic("%d", n);
}

struct storm {
	uint64_t random;
	int depth;
};

static void yields(void *arg)
{
	gort_yield();
	count_up((int *)arg);
}

static void storm_fn(void *arg)
{
	struct storm *s = arg;

	storms_deep(s->depth, &s->random);
}

static void storms(void *arg)
{
	struct storm s = { .random = test_random_init((uint64_t)(uintptr_t)arg) };
	int ran = 0;

	for (long i = 0; i < test_scale_min(200, 10); i++) {
		gort_panic_info info;

		s.depth = (int)(test_random(&s.random) % 20);
		expect_eq(gort_defer(yields, &ran), 0);
		expect(gort_try(storm_fn, &s, &info));
		expect(strcmp(info.message, "0") == 0);
		expect(info.goroutine == gort_id());
		gort_undefer(true);
		expect_eq(ran, i + 1);
	}
	count_up(&storm_done);
}

GO_TEST(many_panic_while_changing_threads)
{
	set(&storm_done, 0);
	for (intptr_t i = 0; i < 50; i++)
		spawn(storms, (void *)i);
	await_count(&storm_done, 50);
}

/* --- gort_goexit --- */

static void exits_deep(int n)
{
	CLEANUP(f);

	gort_yield();
	if (n > 0)
		exits_deep(n - 1);
	if (!get(&never))
		gort_goexit();
}

static void exits_in_try(void *arg)
{
	defers('2');
	exits_deep(2);
}

static void exits_in_call(void *arg)
{
	defers('1');
	expect(!gort_try(exits_in_try, NULL, NULL));
	note('!');
}

static void exits(void *arg)
{
	defers('0');
	gort_call(exits_in_call, NULL);
	note('!');
}

GO_TEST(goexit_runs_all_that_is_deferred_and_is_not_caught)
{
	trace_reset();
	spawn(exits, NULL);
	await_others();
	expect(traced("fff210"));
}

static int exits_run(void *arg)
{
	spawn(returns, NULL);
	gort_defer(notes, (void *)'d');
	gort_goexit();
}

static int exits_late(void *arg)
{
	gort_defer((void (*)(void *))gort_goexit, NULL);
	return 7;
}

START_TEST(run_returns_0_when_its_goroutine_exits)
{
	trace_reset();
	ck_assert_int_eq(gort_run(exits_run, NULL), 0);
	while (gort_num_goroutine() > 0)
		gort_yield();
	ck_assert(traced("dr") || traced("rd"));
	ck_assert_int_eq(gort_run(exits_late, NULL), 0);
	test_assert();
}
END_TEST

static void exits_alone(void *arg)
{
	gort_goexit();
}

static void panics_and_exits(void *arg)
{
	defers('a');
	gort_defer(exits_alone, NULL);
	gort_panic("dropped");
}

static void handler_notes(const gort_panic_info *info, void *ctx)
{
	expect(ctx == trace);
	note('H');
}

GO_TEST(goexit_in_a_deferred_call_drops_the_panic)
{
	trace_reset();
	gort_set_panic_handler(handler_notes, trace);
	spawn(panics_and_exits, NULL);
	await_others();
	gort_set_panic_handler(NULL, NULL);
	expect(traced("a"));
}

static void exits_over_panicking_deferred(void *arg)
{
	defers('a');
	gort_defer(deferred_panics, (void *)'p');
	gort_goexit();
}

static void tries_that(void *arg)
{
	defers('b');
	gort_try(exits_over_panicking_deferred, NULL, NULL);
	note('!');
}

static void tries_that_in_a_call(void *arg)
{
	gort_call(exits_over_panicking_deferred, NULL);
	note('!');
}

static void tries_that_further_out(void *arg)
{
	defers('b');
	gort_try(tries_that_in_a_call, NULL, NULL);
	note('!');
}

GO_TEST(an_exit_goes_on_when_a_deferred_calls_panic_is_caught)
{
	trace_reset();
	spawn(tries_that, NULL);
	await_others();
	expect(traced("pab"));
	trace_reset();
	spawn(tries_that_further_out, NULL);
	await_others();
	expect(traced("pab"));
}

static void exits_at_depth(void *arg)
{
	volatile char room[300];

	room[0] = 1;
	gort_yield();
	expect_eq(room[0], 1);
	if ((intptr_t)arg > 0)
		exits_at_depth((void *)((intptr_t)arg - 1));
	if (!get(&never))
		gort_goexit();
}

/* Their stacks are used again at once, by goroutines that end in the usual way. */
GO_TEST(stacks_of_those_that_exited_are_good)
{
	gort_attr a = GORT_ATTR_INIT;

	a.stack_max = (size_t)1 << 20;
	for (intptr_t i = 0; i < test_scale_min(5000, 500); i++) {
		trace_reset();
		spawn(exits_at_depth, (void *)(i % 20));
		spawn(returns, NULL);
		if (i % 50 == 0)
			expect_eq(gort_go_attr(&a, exits_at_depth, (void *)(i % 20)), 0);
		if (i % 100 == 0)
			await_others();
	}
	await_others();
}

/* --- panics that nobody catches --- */

static struct {
	char message[64];
	void *value;
	uint64_t goroutine;
	uint64_t id;
	int times;
} handled;

static void handler(const gort_panic_info *info, void *ctx)
{
	expect(ctx == &handled);
	gort_yield();
	snprintf(handled.message, sizeof handled.message, "%s", info->message);
	handled.value = info->value;
	handled.goroutine = info->goroutine;
	handled.id = gort_id();
	note('H');
	count_up(&handled.times);
}

static void panics_alone(void *arg)
{
	CLEANUP(c);

	defers('a');
	gort_call(panics_with_value, arg);
}

GO_TEST(the_handler_is_told_and_others_go_on)
{
	trace_reset();
	set(&handled.times, 0);
	gort_set_panic_handler(handler, &handled);
	spawn(panics_alone, &handled);
	await_others();
	await_count(&handled.times, 1);
	expect(traced("caH"));
	expect(strcmp(handled.message, "a value") == 0);
	expect(handled.value == &handled);
	expect(handled.goroutine != gort_id() && handled.goroutine == handled.id);
	trace_reset();
	spawn(panics_and_defers_panics, trace);
	await_others();
	await_count(&handled.times, 2);
	expect(traced("zbyaxH"));
	expect(strcmp(handled.message, "deferred a") == 0);
	gort_set_panic_handler(NULL, NULL);
}

static void handler_that_tries(const gort_panic_info *info, void *ctx)
{
	gort_panic_info second;

	expect(gort_try(panics, NULL, &second));
	expect(strcmp(second.message, "a message, 42") == 0);
	expect(strcmp(info->message, "a value") == 0);
	note('H');
}

static void handler_that_exits(const gort_panic_info *info, void *ctx)
{
	note('E');
	gort_goexit();
}

GO_TEST(a_handler_may_catch_and_may_exit)
{
	trace_reset();
	gort_set_panic_handler(handler_that_tries, NULL);
	spawn(panics_alone, NULL);
	await_others();
	expect(traced("caH"));
	trace_reset();
	gort_set_panic_handler(handler_that_exits, NULL);
	spawn(panics_alone, NULL);
	await_others();
	expect(traced("caE"));
	gort_set_panic_handler(NULL, NULL);
}

static void handler_counts(const gort_panic_info *info, void *ctx)
{
	count_up((int *)ctx);
}

GO_TEST(thousands_may_panic)
{
	int n = (int)test_scale_min(2000, 200), told = 0;

	gort_set_panic_handler(handler_counts, &told);
	for (int i = 0; i < n; i++)
		spawn(i % 2 ? panics : goes_deep, (void *)(intptr_t)(i % 50));
	await_others();
	expect_eq(get(&told), n);
	gort_set_panic_handler(NULL, NULL);
}

/* --- children --- */

static void says(void *arg)
{
	fprintf(stderr, "%s\n", (char *)arg);
}

static int uncaught_main(void *arg)
{
	gort_defer(says, (void *)(uintptr_t)"deferred");
	gort_panic("nobody %s", "catches this");
}

static int uncaught_in_run(void) { return gort_run(uncaught_main, NULL); }
static int uncaught_on_thread(void) { return uncaught_main(NULL); }

static int uncaught_at_once(void)
{
	gort_panic("before anything else");
}

static void handler_says(const gort_panic_info *info, void *ctx)
{
	fprintf(stderr, "handler: %s\n", info->message);
}

static int handled_in_run(void)
{
	gort_set_panic_handler(handler_says, NULL);
	return gort_run(uncaught_main, NULL);
}

static void handler_panics(const gort_panic_info *info, void *ctx)
{
	gort_panic("in the handler");
}

static int panics_and_waits(void *arg)
{
	spawn(panics, NULL);
	while (!get(&never))
		gort_yield();
	return 0;
}

static int handler_that_panics(void)
{
	gort_set_panic_handler(handler_panics, NULL);
	return gort_run(panics_and_waits, NULL);
}

static int handler_that_panics_on_thread(void)
{
	gort_set_panic_handler(handler_panics, NULL);
	gort_yield();
	return uncaught_main(NULL);
}

static int goes_on(void *arg)
{
	spawn(panics, NULL);
	await_others();
	return 5;
}

static int others_go_on(void) { return gort_run(goes_on, NULL); }

static int deferred_panic_main(void *arg)
{
	gort_defer(deferred_panics, (void *)'q');
	gort_panic("first");
}

static int deferred_panic_in_run(void) { return gort_run(deferred_panic_main, NULL); }
static int deferred_panic_on_thread(void) { return deferred_panic_main(NULL); }

static int goexit_on_thread(void)
{
	gort_goexit();
}

static int goexit_on_known_thread(void)
{
	gort_yield();
	gort_goexit();
}

static bool commit_panics(gort_g *g, void *arg)
{
	gort_panic("held");
}

static int panic_in_commit_main(void *arg)
{
	gort_park(commit_panics, NULL, "test");
	return 0;
}

static int panic_in_commit(void) { return gort_run(panic_in_commit_main, NULL); }

static int panic_announced_main(void *arg)
{
	gort_syscall_enter();
	gort_panic("announced");
	return 0;
}

static int panic_announced(void) { return gort_run(panic_announced_main, NULL); }

static int repanic_null(void) { gort_repanic(NULL); }
static int try_null(void) { return gort_try(NULL, NULL, NULL); }

static void end_of_thread_panics(void *arg)
{
	gort_defer(panics, NULL);
}

static int panic_at_thread_end(void)
{
	thread_join(thread_start(end_of_thread_panics, NULL));
	return 0;
}

static const struct test_child children[] = {
	{ "uncaught_in_run", uncaught_in_run }, { "uncaught_on_thread", uncaught_on_thread },
	{ "uncaught_at_once", uncaught_at_once }, { "handled_in_run", handled_in_run },
	{ "handler_that_panics", handler_that_panics }, { "others_go_on", others_go_on },
	{ "handler_that_panics_on_thread", handler_that_panics_on_thread },
	{ "deferred_panic_in_run", deferred_panic_in_run }, { "deferred_panic_on_thread", deferred_panic_on_thread },
	{ "goexit_on_thread", goexit_on_thread }, { "goexit_on_known_thread", goexit_on_known_thread },
	{ "panic_in_commit", panic_in_commit }, { "panic_announced", panic_announced },
	{ "repanic_null", repanic_null }, { "try_null", try_null }, { "panic_at_thread_end", panic_at_thread_end },
	{ NULL, NULL },
};

START_TEST(an_uncaught_panic_of_a_run_or_thread_is_fatal)
{
	test_child_says("uncaught_in_run", NULL, 2, "deferred\npanic: nobody catches this\n\ngoroutine ");
	test_child_says("uncaught_on_thread", NULL, 2, "deferred\npanic: nobody catches this\n\nthread ");
	test_child_says("uncaught_at_once", NULL, 2, "panic: before anything else\n\ngoroutine 0 [running]\n");
	test_child_says("panic_at_thread_end", NULL, 2, "panic: a message, 42\n");
}
END_TEST

START_TEST(the_handler_is_told_of_fatal_ones)
{
	test_child_says("handled_in_run", NULL, 2, "deferred\nhandler: nobody catches this\npanic: nobody catches this\n");
}
END_TEST

START_TEST(a_handler_that_panics_is_fatal)
{
	test_child_says("handler_that_panics", NULL, 2, "panic: a message, 42\n\tpanic: in the handler\n");
	test_child_says("handler_that_panics_on_thread", NULL, 2, "panic: nobody catches this\n\tpanic: in the handler\n");
}
END_TEST

START_TEST(without_a_handler_it_is_printed_and_others_go_on)
{
	test_child_says("others_go_on", NULL, 5, "panic: a message, 42\n\ngoroutine ");
}
END_TEST

START_TEST(a_deferred_calls_panic_is_the_one_that_is_told)
{
	test_child_says("deferred_panic_in_run", NULL, 2, "panic: deferred q\n");
	test_child_says("deferred_panic_on_thread", NULL, 2, "panic: deferred q\n");
}
END_TEST

START_TEST(goexit_on_a_plain_thread_is_fatal)
{
	test_child_says("goexit_on_thread", NULL, 2, "fatal error: gort_goexit on a thread that is no goroutine");
	test_child_says("goexit_on_known_thread", NULL, 2, "fatal error: gort_goexit on a thread that is no goroutine");
}
END_TEST

START_TEST(a_panic_where_none_may_be_is_fatal)
{
	test_child_says("panic_in_commit", NULL, 2, "panic: held\n");
	test_child_says("panic_in_commit", NULL, 2, "fatal error: panic inside a park's commit");
	test_child_says("panic_announced", NULL, 2, "fatal error: panic between gort_syscall_enter and gort_syscall_exit");
}
END_TEST

START_TEST(null_is_fatal)
{
	test_child_says("repanic_null", NULL, 2, "fatal error: gort_repanic of nil info");
	test_child_says("try_null", NULL, 2, "fatal error: gort_try of nil func value");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "panic", children);
	test_add(&s, a_function_that_returns_has_not_panicked);
	test_add(&s, a_panic_is_caught_with_message_value_and_goroutine);
	test_add(&s, a_plain_thread_catches_too);
	test_add(&s, messages_of_any_length_are_whole);
	test_add(&s, words_are_copied);
	test_add(&s, a_message_may_be_made_of_the_one_before);
	test_add(&s, a_repanic_keeps_all);
	test_add(&s, a_panic_carried_to_another_goroutine_tells_where_it_began);
	test_add(&s, the_innermost_try_catches);
	test_add(&s, cleanups_run_then_deferred_calls);
	test_add(&s, each_scope_runs_its_own_as_it_is_left);
	test_add(&s, a_panic_in_a_deferred_call_takes_the_first_ones_place);
	test_add(&s, it_does_in_a_call_as_well);
	test_add(&s, a_panic_caught_in_a_deferred_call_leaves_the_first_one_alone);
	test_add(&s, a_cleanup_may_catch);
	if (CLEANUPS_MAY_PANIC)
		test_add(&s, a_cleanup_may_panic);
	else
		test_skip("a_cleanup_may_panic", "this compiler has a cleanup that is left by unwinding call abort, in C too");
	test_add(&s, frames_without_tables_are_jumped_over);
	test_add(&s, a_panic_passes_other_libraries);
	test_add(&s, a_panic_from_deep_below_is_caught);
	test_add(&s, many_panic_while_changing_threads);
	test_add(&s, goexit_runs_all_that_is_deferred_and_is_not_caught);
	test_add(&s, run_returns_0_when_its_goroutine_exits);
	test_add(&s, goexit_in_a_deferred_call_drops_the_panic);
	test_add(&s, an_exit_goes_on_when_a_deferred_calls_panic_is_caught);
	test_add(&s, stacks_of_those_that_exited_are_good);
	test_add(&s, the_handler_is_told_and_others_go_on);
	test_add(&s, a_handler_may_catch_and_may_exit);
	test_add(&s, thousands_may_panic);
	test_add(&s, an_uncaught_panic_of_a_run_or_thread_is_fatal);
	test_add(&s, the_handler_is_told_of_fatal_ones);
	test_add(&s, a_handler_that_panics_is_fatal);
	test_add(&s, without_a_handler_it_is_printed_and_others_go_on);
	test_add(&s, a_deferred_calls_panic_is_the_one_that_is_told);
	test_add(&s, goexit_on_a_plain_thread_is_fatal);
	test_add(&s, a_panic_where_none_may_be_is_fatal);
	test_add(&s, null_is_fatal);
	return test_end(&s);
}
