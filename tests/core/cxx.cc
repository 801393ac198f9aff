/* SPDX-License-Identifier: MIT */
/* C++ in goroutines: exceptions and parks, destructors run by a panic and by gort_goexit, exceptions past gort_try. */
#include <csignal>
#include <exception>
#include <stdexcept>
#include <string>

#include "test.h"

/* Zero: what a compiler would otherwise warn of is that a function ends by panicking only. */
static int never;

/* --- a record of what ran --- */

static char trace[256];
static int trace_n;

static void note(char c)
{
	int i = __atomic_fetch_add(&trace_n, 1, __ATOMIC_SEQ_CST);

	if (i < (int)sizeof trace - 1)
		set(&trace[i], c);
}

static void trace_reset()
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

static void notes(void *arg)
{
	note((char)(intptr_t)arg);
}

struct noted {
	char c;

	explicit noted(char c_) : c(c_) {}
	~noted()
	{
		gort_yield();
		note(c);
	}
};

/* Until this goroutine is the only one; the last test's may still be ending when one begins. */
static void await_others()
{
	while (gort_num_goroutine() > 1)
		gort_yield();
}

static bool in_exception()
{
	return std::uncaught_exceptions() != 0 || std::current_exception() != nullptr;
}

/* --- exceptions and parks --- */

static int done;

static void parks_at_random(uint64_t *random)
{
	switch (test_random(random) % 4) {
	case 0:
		gort_sleep((gort_duration)(test_random(random) % 50) * GORT_MICROSECOND);
		break;
	case 1:
		break;
	default:
		gort_yield();
	}
}

struct parks {
	uint64_t *random;
	int expected;

	~parks()
	{
		if (std::uncaught_exceptions() != expected)
			test_failed(__FILE__, __LINE__, "uncaught exceptions in a destructor");
		parks_at_random(random);
		if (std::uncaught_exceptions() != expected)
			test_failed(__FILE__, __LINE__, "uncaught exceptions after a park");
	}
};

static int throws(int n, uint64_t *random)
{
	parks p{ random, 1 };

	parks_at_random(random);
	if (n == 0)
		throw std::to_string(*random);
	return throws(n - 1, random) + 1;
}

/* Catches, parks in the handler, throws and catches another one inside, rethrows the first, all in one goroutine. */
static void exceptional(void *arg)
{
	uint64_t random = test_random_init((uint64_t)(uintptr_t)arg);

	for (long i = 0; i < test_scale_min(100, 10); i++) {
		std::string first;

		try {
			try {
				throws((int)(test_random(&random) % 5), &random);
			} catch (std::string &s) {
				first = s;
				parks_at_random(&random);
				try {
					throw std::runtime_error(first);
				} catch (std::exception &e) {
					parks_at_random(&random);
					expect(first == e.what());
				}
				expect(first == s);
				expect(std::current_exception() != nullptr);
				parks_at_random(&random);
				throw;
			}
		} catch (std::string &s) {
			expect(first == s);
			parks_at_random(&random);
			expect(first == s);
		}
		expect(!in_exception());
		parks_at_random(&random);
		expect(!in_exception());
	}
	count_up(&done);
}

GO_TEST(exceptions_belong_to_goroutines)
{
	set(&done, 0);
	for (intptr_t i = 0; i < 40; i++)
		spawn(exceptional, (void *)i);
	await_count(&done, 40);
}

static void is_clean(void *)
{
	expect(!in_exception());
	count_up(&done);
}

GO_TEST(a_new_goroutine_begins_outside_of_all_exceptions)
{
	set(&done, 0);
	try {
		throw 1;
	} catch (int) {
		for (int i = 0; i < 100; i++)
			spawn(is_clean, nullptr);
		await_count(&done, 100);
		expect(std::current_exception() != nullptr);
	}
	expect(!in_exception());
}

/* --- destructors --- */

static void panics_deep(int n)
{
	noted d((char)('0' + n));

	gort_yield();
	if (n > 0)
		panics_deep(n - 1);
	else if (!get(&never))
		gort_panic("deep");
}

static void panics(void *)
{
	noted d('p');

	gort_defer(notes, (void *)'d');
	panics_deep(3);
}

GO_TEST(a_panic_runs_destructors)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(panics, nullptr, &info));
	expect(strcmp(info.message, "deep") == 0);
	expect(traced("0123pd"));
	expect(!in_exception());
}

static void exits(void *)
{
	noted d('e');

	gort_try([](void *) {
		noted t('t');

		gort_defer(notes, (void *)'d');
		gort_goexit();
	}, nullptr, nullptr);
	note('!');
}

GO_TEST(goexit_runs_destructors)
{
	trace_reset();
	spawn(exits, nullptr);
	await_others();
	expect(traced("tde"));
}

static void panics_in_handler(void *)
{
	try {
		throw std::string("an exception");
	} catch (std::string &) {
		noted d('h');

		gort_panic("in a handler");
	}
}

GO_TEST(a_panic_out_of_a_catch_block_ends_the_exception)
{
	trace_reset();
	expect(gort_try(panics_in_handler, nullptr, nullptr));
	expect(!in_exception());
	expect(traced("h"));
	gort_set_panic_handler([](const gort_panic_info *, void *) {
		expect(!in_exception());
		note('H');
	}, nullptr);
	spawn(panics_in_handler, nullptr);
	await_others();
	gort_set_panic_handler(nullptr, nullptr);
	expect(traced("hhH"));
	set(&done, 0);
	for (int i = 0; i < 100; i++)
		spawn(is_clean, nullptr);
	await_count(&done, 100);
}

static void rethrows_all(void *)
{
	try {
		gort_panic("through");
	} catch (...) {
		note('c');
		throw;
	}
}

GO_TEST(a_catch_all_may_rethrow_a_panic)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(rethrows_all, nullptr, &info));
	expect(strcmp(info.message, "through") == 0);
	expect(traced("c"));
	expect(!in_exception());
}

static void tries_in_destructor(void *)
{
	struct tries {
		~tries()
		{
			int n = std::uncaught_exceptions();

			expect(gort_try(panics, nullptr, nullptr));
			expect_eq(std::uncaught_exceptions(), n);
		}
	};

	try {
		tries t;

		throw 1;
	} catch (int) {
		tries t;

		note('c');
	}
	expect(!in_exception());
	tries t;
	gort_panic("outer");
}

GO_TEST(a_destructor_may_catch_panics)
{
	gort_panic_info info;

	trace_reset();
	expect(gort_try(tries_in_destructor, nullptr, &info));
	expect(strcmp(info.message, "outer") == 0);
	expect(traced("0123pdc0123pd0123pd"));
}

/* --- exceptions that come past --- */

static void throws_past(void *)
{
	gort_defer(notes, (void *)'d');
	noted d('t');
	throw std::string("past");
}

static void throws_past_two(void *)
{
	gort_defer(notes, (void *)'o');
	gort_call(throws_past, nullptr);
}

GO_TEST(an_exception_may_leave_a_try_and_a_call)
{
	for (int i = 0; i < 100; i++) {
		gort_panic_info info;

		trace_reset();
		try {
			gort_try(throws_past_two, nullptr, nullptr);
			note('!');
		} catch (std::string &s) {
			expect(s == "past");
			note('c');
		}
		expect(traced("tdoc"));
		/* the scopes are gone: the next ones are where they belong */
		expect(gort_try(panics, nullptr, &info));
		expect(!in_exception());
	}
}

/* --- children --- */

static int leaves_goroutine_main(void *)
{
	throw std::runtime_error("nobody catches this");
}

static int leaves_goroutine() { return gort_run(leaves_goroutine_main, nullptr); }

static int swallows_main(void *)
{
	try {
		gort_panic("swallowed");
	} catch (...) {
	}
	return 0;
}

static int swallows() { return gort_run(swallows_main, nullptr); }

static int panics_in_noexcept_main(void *)
{
	struct panics_at_end {
		~panics_at_end() { gort_panic("out of a destructor"); }
	} p;

	return 0;
}

static int panics_in_noexcept() { return gort_run(panics_in_noexcept_main, nullptr); }

static int uncaught_main(void *)
{
	noted d('d');

	gort_panic("uncaught");
}

static int uncaught() { return gort_run(uncaught_main, nullptr); }

static const struct test_child children[] = {
	{ "leaves_goroutine", leaves_goroutine }, { "swallows", swallows }, { "panics_in_noexcept", panics_in_noexcept },
	{ "uncaught", uncaught }, { nullptr, nullptr },
};

static void is_aborted(const char *name, const char *text)
{
	static struct child_result r;

	test_run_child(&r, name, nullptr, 120);
	ck_assert_msg(r.exited ? r.status != 0 : r.status == SIGABRT, "%s: %d, %s", name, r.status, r.err);
	ck_assert_msg(strstr(r.err, text) != nullptr, "%s: no \"%s\" in stderr: %s", name, text, r.err);
}

START_TEST(what_no_handler_is_for_ends_the_program)
{
	is_aborted("leaves_goroutine", "nobody catches this");
	is_aborted("panics_in_noexcept", "terminate called");
	test_child_says("swallows", nullptr, 2, "fatal error: a C++ catch (...) did not rethrow");
	test_child_says("uncaught", nullptr, 2, "panic: uncaught\n\ngoroutine ");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "cxx", children);
	test_add(&s, exceptions_belong_to_goroutines);
	test_add(&s, a_new_goroutine_begins_outside_of_all_exceptions);
	test_add(&s, a_panic_runs_destructors);
	test_add(&s, goexit_runs_destructors);
	test_add(&s, a_panic_out_of_a_catch_block_ends_the_exception);
	test_add(&s, a_catch_all_may_rethrow_a_panic);
	test_add(&s, a_destructor_may_catch_panics);
	test_add(&s, an_exception_may_leave_a_try_and_a_call);
	test_add(&s, what_no_handler_is_for_ends_the_program);
	return test_end(&s);
}
