/* SPDX-License-Identifier: MIT */
/* Stacks: depth, overflow, guards, give-back, and a million of them. */
#include "test.h"

#include <signal.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define GiB ((size_t)1 << 30)

/* A frame that the compiler can neither drop nor turn into a loop. */
static __attribute__((noinline)) long recurse(long n, void (*at_bottom)(void))
{
	volatile char frame[16];

	frame[0] = (char)n;
	if (n == 0) {
		if (at_bottom != NULL)
			at_bottom();
		return frame[0];
	}
	return recurse(n - 1, at_bottom) + 1 + frame[0] - (char)n;
}

/* The same in steps of a page. */
static __attribute__((noinline)) long recurse_pages(long n, void (*each)(void))
{
	volatile char frame[4096];

	frame[0] = frame[4095] = (char)n;
	if (each != NULL)
		each();
	if (n == 0)
		return 0;
	return recurse_pages(n - 1, each) + 1 + frame[0] - frame[4095];
}

/* TSan keeps a record of calls of its own, of 64 Ki entries; valgrind is slow and has little address space. */
static long million(void)
{
	return TEST_TSAN ? 30000 : test_valgrind() ? 20000 : 1000000;
}

GO_TEST(an_ordinary_goroutine_recurses_a_million_frames_deep)
{
	expect_eq(recurse(million(), NULL), million());
	expect_eq(recurse(million(), gort_yield), million());
}

/* --- deep stacks come back --- */

static int deep_done;
static long deep_pages;

static void goes_deep(void *arg)
{
	expect_eq(recurse_pages(deep_pages, NULL), deep_pages);
	count_up(&deep_done);
}

static int back_below(void)
{
	gort_time start, now;
	long peak;

	await_count(&deep_done, 1);
	start = gort_now();
	peak = test_rss();
	/* the runtime gives it back in some seconds; what is bounded here is that it does at all */
	while (test_rss() > (long)(300 * MiB) && gort_now() - start < 60 * GORT_SECOND)
		gort_sleep(20 * GORT_MILLISECOND);
	now = gort_now();
	fprintf(stderr, "# RSS %ld MiB at the end, %ld MiB %ld ms later\n", peak >> 20, test_rss() >> 20,
		(long)((now - start) / GORT_MILLISECOND));
	return test_rss() <= (long)(300 * MiB) ? 0 : 1;
}

static int deep_of_its_own(void)
{
	gort_attr a = GORT_ATTR_INIT;

	deep_pages = test_sanitized() ? 1500 : (long)(512 * MiB / 4200);
	a.stack_max = GiB;
	a.name = "deep";
	if (gort_go_attr(&a, goes_deep, NULL) != 0)
		return 2;
	return back_below();
}

static int deep_ordinary(void)
{
	deep_pages = test_sanitized() ? 1500 : (long)(512 * MiB / 4200);
	if (gort_go(goes_deep, NULL) != 0)
		return 2;
	return back_below();
}

START_TEST(half_a_GiB_deep_and_memory_comes_back)
{
	test_child_says("deep_of_its_own", NULL, 0, "");
	test_child_says("deep_ordinary", NULL, 0, "");
}
END_TEST

/* --- overflow --- */

static int parked_n;
static gort_g *parked_g[2000];

static bool note(gort_g *g, void *arg)
{
	set(&parked_g[(intptr_t)arg], g);
	count_up(&parked_n);
	return true;
}

static void parks(void *arg)
{
	gort_park(note, arg, "test");
}

static void overflows(void *arg)
{
	gort_set_name("too deep");
	recurse_pages(1L << 40, arg != NULL ? gort_yield : NULL);
}

static int for_ever(void)
{
	while (get(&parked_n) >= 0)
		gort_sleep(GORT_SECOND);
	return 0;
}

static int overflow_small_main(void *arg)
{
	/* the large stacks are all in use now */
	for (intptr_t i = 0; i < 1100; i++)
		spawn(parks, (void *)i);
	await_count(&parked_n, 1100);
	spawn(overflows, arg);
	return for_ever();
}

static int overflow_small(void)
{
	return gort_run(overflow_small_main, NULL);
}

static int overflow_small_yielding(void)
{
	return gort_run(overflow_small_main, &parked_n);
}

static int overflow_own_main(void *arg)
{
	gort_attr a = GORT_ATTR_INIT;

	a.stack_max = MiB;
	a.name = "own";
	gort_go_attr(&a, overflows, arg);
	return for_ever();
}

static int overflow_own(void)
{
	return gort_run(overflow_own_main, NULL);
}

static int overflow_own_yielding(void)
{
	return gort_run(overflow_own_main, &parked_n);
}

/* The check at parks sees the stack pointer; the page below the stack is not to be written meanwhile, so small frames. */
static void overflows_slowly(void *arg)
{
	gort_set_name("too deep");
	for (long n = 100;; n += 10)
		recurse(n, gort_yield);
}

static int overflow_slowly_main(void *arg)
{
	gort_attr a = GORT_ATTR_INIT;

	a.stack_max = MiB;
	gort_go_attr(&a, overflows_slowly, NULL);
	return for_ever();
}

static int overflow_slowly(void)
{
	return gort_run(overflow_slowly_main, NULL);
}

static void says_overflow(const char *child, const char *env, const char *why)
{
	const char *const e[] = { env, NULL };

	test_child_says(child, env != NULL ? e : NULL, 2, "fatal error: stack overflow");
	test_child_says(child, env != NULL ? e : NULL, 2, why);
	test_child_says(child, env != NULL ? e : NULL, 2, "exceeds its stack of ");
}

START_TEST(overflow_of_a_small_stack_is_fatal_and_says_why)
{
	says_overflow("overflow_small", NULL, "all but the first 1,024 stacks");
	says_overflow("overflow_small", NULL, "too deep");
	says_overflow("overflow_small_yielding", NULL, "all but the first 1,024 stacks");
}
END_TEST

START_TEST(overflow_of_stack_max_is_fatal_and_says_why)
{
	says_overflow("overflow_own", NULL, "its stack_max");
	says_overflow("overflow_own_yielding", NULL, "its stack_max");
}
END_TEST

START_TEST(overflow_of_the_debug_stackmax_is_fatal_and_says_why)
{
	says_overflow("overflow_small", "GORT_DEBUG=stackmax=64K", "GORT_DEBUG=stackmax");
	says_overflow("overflow_small", "GORT_DEBUG=stackmax=1M", "GORT_DEBUG=stackmax");
}
END_TEST

START_TEST(overflow_is_found_with_guards_by_mprotect)
{
	says_overflow("overflow_small", "GORT_DEBUG=guard=mprotect", "its guard page");
	says_overflow("overflow_own", "GORT_DEBUG=guard=mprotect", "its guard page");
}
END_TEST

START_TEST(overflow_is_found_at_a_park_without_guards)
{
	says_overflow("overflow_slowly", "GORT_DEBUG=guard=none", "the check at a park");
}
END_TEST

/* --- faults that are not ours --- */

static void *volatile nowhere = (void *)8;

static void writes_nowhere(void *arg)
{
	*(volatile int *)nowhere = 1;
}

static int null_write_main(void *arg)
{
	spawn(writes_nowhere, NULL);
	return for_ever();
}

static int null_write(void)
{
	return gort_run(null_write_main, NULL);
}

START_TEST(a_bad_access_ends_the_process_as_ever)
{
	static struct child_result r;

	test_run_child(&r, "null_write", NULL, 120);
	ck_assert_ptr_null(strstr(r.err, "stack overflow"));
	if (TEST_ASAN || TEST_TSAN)
		ck_assert(r.exited && r.status != 0 && strstr(r.err, "SEGV") != NULL);
	else
		ck_assert_msg(!r.exited && r.status == SIGSEGV, "status %d: %s", r.status, r.err);
}
END_TEST

static void on_segv(int signo, siginfo_t *info, void *uc)
{
	_exit(info->si_addr == (void *)8 ? 44 : 45);
}

static int own_handler(void)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaction(SIGSEGV, &sa, NULL);
	return gort_run(null_write_main, NULL);
}

START_TEST(a_handler_from_before_gets_the_faults_that_are_not_ours)
{
	test_child_says("own_handler", NULL, 44, "");
}
END_TEST

/* --- guards --- */

static int guard_modes(void)
{
	/* spawned, parked and woken under each mode; more than the first, large ones */
	set(&parked_n, 0);
	for (intptr_t i = 0; i < 2000; i++)
		spawn(parks, (void *)i);
	await_count(&parked_n, 2000);
	for (int i = 0; i < 2000; i++)
		gort_ready(get(&parked_g[i]));
	while (gort_num_goroutine() > 0)
		gort_sleep(GORT_MILLISECOND);
	return 0;
}

START_TEST(programs_run_under_every_guard_mode)
{
	static const char *const modes[] = { "madvise", "mprotect", "none" };

	for (int i = 0; i < 3; i++) {
		char word[64];
		const char *const env[] = { word, NULL };

		snprintf(word, sizeof word, "GORT_DEBUG=guard=%s", modes[i]);
		test_child_says("guard_modes", env, 0, "");
	}
}
END_TEST

/* --- a million --- */

static int million_gate, million_n, million_out;
static gort_g **million_g;

static bool note_million(gort_g *g, void *arg)
{
	million_g[(intptr_t)arg] = g;
	count_up(&million_n);
	return true;
}

static void parks_million(void *arg)
{
	gort_park(note_million, arg, "test");
	count_up(&million_out);
}

static long available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long kb = 0;

	while (f != NULL && fgets(line, sizeof line, f) != NULL && sscanf(line, "MemAvailable: %ld", &kb) != 1)
		;
	if (f != NULL)
		fclose(f);
	return kb * 1024;
}

static int million_parked(void)
{
	long n = TEST_TSAN ? 3000 : TEST_ASAN ? 100000 : test_scale(1000000);
	long before;
	double each;

	if (available() < n * 6000) {
		n = available() / 8000;
		fprintf(stderr, "# only %ld goroutines: not enough memory for a million\n", n);
	}
	million_g = calloc((size_t)n, sizeof *million_g);
	if (million_g == NULL || gort_go(parks, NULL) != 0)
		return 1;
	before = test_rss();
	for (intptr_t i = 0; i < n; i++) {
		if (gort_go(parks_million, (void *)i) != 0)
			return 2;
	}
	await_count(&million_n, (int)n);
	each = (double)(test_rss() - before) / (double)n;
	fprintf(stderr, "# %ld parked, %.0f bytes of RSS each\n", n, each);
	if (n >= 100000 && !test_sanitized() && each > 4950)
		return 3;
	set(&million_gate, 1);
	for (long i = 0; i < n; i++)
		gort_ready(million_g[i]);
	await_count(&million_out, (int)n);
	return 0;
}

START_TEST(a_million_goroutines_park_and_go_on)
{
	static struct child_result r;

	test_run_child(&r, "million_parked", NULL, 350);
	fprintf(stderr, "%s", r.err);
	ck_assert_msg(r.exited && r.status == 0, "%s %d: %s", r.exited ? "status" : "signal", r.status, r.err);
}
END_TEST

static int fresh_out;

static void runs_at_last(void *arg)
{
	count_up(&fresh_out);
}

static int spawn_fresh_main(void *arg)
{
	long n = TEST_TSAN ? 100000 : test_scale(1000000), before;
	double each;

	spawn(runs_at_last, NULL);
	await_count(&fresh_out, 1);
	before = test_rss();
	for (long i = 0; i < n; i++)
		expect_eq(gort_go(runs_at_last, NULL), 0);
	each = (double)(test_rss() - before) / (double)n;
	fprintf(stderr, "# %ld not yet run, %.0f bytes of RSS each\n", n, each);
	if (n >= 100000 && !test_sanitized())
		expect(each <= 320);
	await_count(&fresh_out, (int)n + 1);
	return 0;
}

static int spawn_fresh(void)
{
	return gort_run(spawn_fresh_main, NULL);
}

START_TEST(a_million_not_yet_run_are_descriptors_only)
{
	/* on one P that nobody takes away, so that none runs before all are there */
	static const char *const env[] = { "GOMAXPROCS=1", "GORT_DEBUG=preempt=off", NULL };

	test_child_says("spawn_fresh", env, 0, "not yet run");
}
END_TEST

static const struct test_child children[] = {
	{ "deep_of_its_own", deep_of_its_own },
	{ "deep_ordinary", deep_ordinary },
	{ "overflow_small", overflow_small },
	{ "overflow_small_yielding", overflow_small_yielding },
	{ "overflow_own", overflow_own },
	{ "overflow_own_yielding", overflow_own_yielding },
	{ "overflow_slowly", overflow_slowly },
	{ "null_write", null_write },
	{ "own_handler", own_handler },
	{ "guard_modes", guard_modes },
	{ "million_parked", million_parked },
	{ "spawn_fresh", spawn_fresh },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stack", children);
	test_add(&s, an_ordinary_goroutine_recurses_a_million_frames_deep);
	test_add(&s, half_a_GiB_deep_and_memory_comes_back);
	test_add(&s, overflow_of_a_small_stack_is_fatal_and_says_why);
	test_add(&s, overflow_of_stack_max_is_fatal_and_says_why);
	test_add(&s, overflow_of_the_debug_stackmax_is_fatal_and_says_why);
	test_add(&s, overflow_is_found_with_guards_by_mprotect);
	test_add(&s, overflow_is_found_at_a_park_without_guards);
	test_add(&s, a_bad_access_ends_the_process_as_ever);
	if (test_valgrind())
		test_skip("a_handler_from_before_gets_the_faults_that_are_not_ours",
			"its bad access is what valgrind reports as an error");
	else
		test_add(&s, a_handler_from_before_gets_the_faults_that_are_not_ours);
	test_add(&s, programs_run_under_every_guard_mode);
	test_add(&s, a_million_goroutines_park_and_go_on);
	test_add(&s, a_million_not_yet_run_are_descriptors_only);
	return test_end(&s);
}
