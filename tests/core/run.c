/* SPDX-License-Identifier: MIT */
/* gort_run, GORT_MAIN's function, ids, names, counts, time, error texts. */
#include "test.h"

static int returns_seven(void *arg)
{
	*(uint64_t *)arg = gort_id();
	return 7;
}

START_TEST(run_returns_the_functions_result)
{
	uint64_t id = 0;

	ck_assert_int_eq(gort_run(returns_seven, &id), 7);
	ck_assert_uint_ne(id, 0);
}
END_TEST

START_TEST(run_can_be_called_again)
{
	uint64_t a = 0, b = 0;

	ck_assert_int_eq(gort_run(returns_seven, &a), 7);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(gort_run(returns_seven, &b), 7);
		ck_assert_uint_ne(a, b);
	}
}
END_TEST

static int runs_inside(void *arg)
{
	uint64_t inner = 0;
	int r = gort_run(returns_seven, &inner);

	*(bool *)arg = inner != gort_id() && inner != 0;
	return r + 1;
}

START_TEST(run_works_inside_a_goroutine)
{
	bool other = false;

	ck_assert_int_eq(gort_run(runs_inside, &other), 8);
	ck_assert(other);
}
END_TEST

static int results[8];

static void run_from_thread(void *arg)
{
	for (int i = 0; i < 50; i++) {
		uint64_t id = 0;

		results[(intptr_t)arg] += gort_run(returns_seven, &id) == 7 && id != 0;
	}
}

START_TEST(run_works_from_several_threads_at_once)
{
	pthread_t t[8];

	for (intptr_t i = 0; i < 8; i++)
		t[i] = thread_start(run_from_thread, (void *)i);
	for (int i = 0; i < 8; i++)
		thread_join(t[i]);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(results[i], 50);
}
END_TEST

static int left_behind;

static void outlives(void *arg)
{
	while (!get(&left_behind))
		gort_yield();
	set(&left_behind, 2);
}

static int leaves(void *arg)
{
	return gort_go(outlives, NULL);
}

START_TEST(others_go_on_when_run_returns)
{
	ck_assert_int_eq(gort_run(leaves, NULL), 0);
	set(&left_behind, 1);
	while (get(&left_behind) != 2)
		gort_yield();
}
END_TEST

/* Nested from many goroutines while Ps come and go: a caller may lose its P between its spawn and its park. */
static int nested_done;

static int nothing(void *arg)
{
	return (int)(intptr_t)arg;
}

static void nest(void *arg)
{
	for (int i = 0; i < 200; i++)
		expect_eq(gort_run(nothing, (void *)(intptr_t)i), i);
	count_up(&nested_done);
}

GO_TEST(nested_runs_survive_changes_of_maxprocs)
{
	int was = gort_maxprocs(), n = 16;

	set(&nested_done, 0);
	for (int i = 0; i < n; i++)
		spawn(nest, NULL);
	for (int k = 1; get(&nested_done) < n; k = k % 4 + 1) {
		gort_set_maxprocs(k);
		gort_yield();
	}
	gort_set_maxprocs(was);
}

#define IDS 4000
static uint64_t ids[IDS];
static int ids_n;

static void notes_its_id(void *arg)
{
	ids[(intptr_t)arg] = gort_id();
	count_up(&ids_n);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

GO_TEST(ids_are_never_given_twice)
{
	set(&ids_n, 0);
	for (intptr_t i = 0; i < IDS; i++)
		spawn(notes_its_id, (void *)i);
	await_count(&ids_n, IDS);
	qsort(ids, IDS, sizeof ids[0], by_value);
	expect(ids[0] != 0);
	for (int i = 1; i < IDS; i++)
		expect(ids[i] != ids[i - 1]);
}

GO_TEST(an_id_stays_over_parks)
{
	uint64_t id = gort_id();

	for (int i = 0; i < 100; i++) {
		gort_yield();
		expect(gort_id() == id);
	}
	gort_sleep(GORT_MILLISECOND);
	expect(gort_id() == id);
}

START_TEST(id_of_a_plain_thread_is_zero)
{
	ck_assert_uint_eq(gort_id(), 0);
	gort_yield();
	ck_assert_uint_eq(gort_id(), 0);
	ck_assert_ptr_nonnull(gort_self());
	ck_assert_uint_eq(gort_id(), 0);
}
END_TEST

static int go_on;

static void waits_to_go_on(void *arg)
{
	while (!get(&go_on))
		gort_yield();
}

GO_TEST(num_goroutine_counts_the_caller_and_its_like)
{
	size_t before;

	/* that of the test before, in the same process, may be on its way out */
	while (gort_num_goroutine() > 1)
		gort_yield();
	before = gort_num_goroutine();
	expect_eq(before, 1);
	set(&go_on, 0);
	for (int i = 0; i < 10; i++)
		spawn(waits_to_go_on, NULL);
	expect_eq(gort_num_goroutine(), before + 10);
	set(&go_on, 1);
	/* an ended one is counted no more; nothing else bounds this but the test's time limit */
	while (gort_num_goroutine() > before)
		gort_yield();
}

GO_TEST(names_of_any_length_are_taken)
{
	gort_set_name("a name");
	gort_set_name("a name that is far longer than the thirty-one bytes that are kept of it");
	gort_set_name("");
	gort_set_name(NULL);
	expect(gort_id() != 0);
}

START_TEST(time_never_goes_back_and_deadlines_saturate)
{
	gort_time a = gort_now(), b;

	for (int i = 0; i < 10000; i++) {
		b = gort_now();
		ck_assert(b >= a);
		a = b;
	}
	ck_assert(gort_deadline(INT64_MAX) == GORT_FOREVER);
	ck_assert(gort_deadline(GORT_FOREVER - 1) == GORT_FOREVER);
	ck_assert(gort_deadline(INT64_MIN) <= gort_now());
	ck_assert(gort_deadline(INT64_MIN) >= 0);
	ck_assert(gort_deadline(0) >= a);
	a = gort_now();
	b = gort_deadline(GORT_HOUR);
	ck_assert(b - a >= GORT_HOUR);
	ck_assert(gort_deadline(-GORT_SECOND) < gort_now());
}
END_TEST

START_TEST(strerror_knows_errnos_and_our_codes)
{
	ck_assert_str_eq(gort_strerror(GORT_ENOHOST), "no such host");
	ck_assert_str_eq(gort_strerror(GORT_EHOSTAGAIN), "the name server did not answer; try again");
	ck_assert_str_eq(gort_strerror(GORT_ESERVICE), "no such service or port");
	ck_assert_str_eq(gort_strerror(-EPIPE), strerror(EPIPE));
	ck_assert_str_eq(gort_strerror(ENOMEM), strerror(ENOMEM));
	ck_assert_ptr_nonnull(gort_strerror(0));
	ck_assert_ptr_nonnull(strstr(gort_strerror(-10500), "10500"));
	ck_assert_ptr_nonnull(strstr(gort_strerror(INT32_MIN), "2147483648"));
	ck_assert_ptr_nonnull(strstr(gort_strerror(INT32_MAX), "2147483647"));
}
END_TEST

START_TEST(version_is_the_projects)
{
	ck_assert_str_eq(gort_version(), GORT_TEST_VERSION);
}
END_TEST

/* --- children --- */

static int null_run(void)
{
	return gort_run(NULL, NULL);
}

static int program(int argc, char **argv)
{
	spawn(waits_to_go_on, NULL);            /* does not keep the process */
	return argc == 2 && strcmp(argv[1], "x") == 0 && gort_id() != 0 ? 41 : 1;
}

static int as_main(void)
{
	char zero[] = "prog", one[] = "x";
	char *argv[] = { zero, one, NULL };

	return gort__run_main(program, 2, argv);
}

START_TEST(run_of_null_is_fatal)
{
	test_child_says("null_run", NULL, 2, "fatal error: go of nil func value");
}
END_TEST

START_TEST(mains_result_ends_the_process)
{
	test_child_says("as_main", NULL, 41, "");
}
END_TEST

static const struct test_child children[] = { { "null_run", null_run }, { "as_main", as_main }, { NULL, NULL } };

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "run", children);
	test_add(&s, run_returns_the_functions_result);
	test_add(&s, run_can_be_called_again);
	test_add(&s, run_works_inside_a_goroutine);
	test_add(&s, run_works_from_several_threads_at_once);
	test_add(&s, others_go_on_when_run_returns);
	test_add(&s, nested_runs_survive_changes_of_maxprocs);
	test_add(&s, ids_are_never_given_twice);
	test_add(&s, an_id_stays_over_parks);
	test_add(&s, id_of_a_plain_thread_is_zero);
	test_add(&s, num_goroutine_counts_the_caller_and_its_like);
	test_add(&s, names_of_any_length_are_taken);
	test_add(&s, time_never_goes_back_and_deadlines_saturate);
	test_add(&s, strerror_knows_errnos_and_our_codes);
	test_add(&s, version_is_the_projects);
	test_add(&s, run_of_null_is_fatal);
	test_add(&s, mains_result_ends_the_process);
	return test_end(&s);
}
