/* SPDX-License-Identifier: MIT */
/* $GOMAXPROCS and $GORT_DEBUG: what is right takes effect, what is wrong is said once and ignored. */
#include "test.h"

static int n_run;

static void runs(void *arg)
{
	gort_sleep(GORT_MICROSECOND);
	count_up(&n_run);
}

static int works(void *arg)
{
	for (int i = 0; i < 100; i++) {
		if (gort_go(runs, NULL) != 0)
			return 1;
	}
	await_count(&n_run, 100);
	printf("procs %d\n", gort_maxprocs());
	return 0;
}

/* Twice: what was said must not be said again. */
static int program(void)
{
	int a = gort_run(works, NULL);

	set(&n_run, 0);
	return a | gort_run(works, NULL);
}

static int procs_now(void)
{
	printf("procs %d\n", gort_maxprocs());
	return 0;
}

static const struct test_child children[] = { { "program", program }, { "procs_now", procs_now }, { NULL, NULL } };

static struct child_result r;

static int run_with(const char *a, const char *b, const char *child)
{
	const char *env[] = { a, b, NULL };
	int procs = -1;

	test_run_child(&r, child, a != NULL ? env : NULL, 120);
	ck_assert_msg(r.exited && r.status == 0, "with %s: status %d, stderr %s", a, r.status, r.err);
	ck_assert_msg(sscanf(r.out, "procs %d", &procs) == 1, "with %s: %s", a, r.out);
	return procs;
}

static int default_procs(void)
{
	char unset[] = "GOMAXPROCS=";

	return run_with(unset, NULL, "program");
}

START_TEST(gomaxprocs_sets_the_number_of_Ps)
{
	ck_assert_int_eq(run_with("GOMAXPROCS=1", NULL, "program"), 1);
	ck_assert_str_eq(r.err, "");
	ck_assert_int_eq(run_with("GOMAXPROCS=3", NULL, "program"), 3);
	ck_assert_int_eq(run_with("GOMAXPROCS=1024", NULL, "program"), 1024);
	ck_assert_int_eq(run_with("GOMAXPROCS=007", NULL, "program"), 7);
	ck_assert_str_eq(r.err, "");
	ck_assert_int_eq(run_with("GOMAXPROCS=5", NULL, "procs_now"), 5);
}
END_TEST

START_TEST(a_wrong_gomaxprocs_is_said_once_and_ignored)
{
	static const char *const wrong[] = {
		"0", "-1", "100000", "1025", "four", "3x", " 3", "3 ", "1.5", "0x4", "99999999999999999999999", "+2", "-",
	};
	int want = default_procs();
	char env[64];

	ck_assert_str_eq(r.err, "");
	ck_assert_int_ge(want, 1);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(env, sizeof env, "GOMAXPROCS=%s", wrong[i]);
		ck_assert_int_eq(run_with(env, NULL, "program"), want);
		ck_assert_msg(test_count_lines(r.err, "GOMAXPROCS=") == 1, "%s: %s", env, r.err);
		ck_assert_msg(strstr(r.err, wrong[i]) != NULL, "%s: %s", env, r.err);
	}
}
END_TEST

START_TEST(an_endless_gomaxprocs_is_cut_in_the_message)
{
	static char env[5000];

	memset(env, '7', sizeof env - 1);
	memcpy(env, "GOMAXPROCS=", 11);
	run_with(env, NULL, "program");
	ck_assert_int_eq(test_count_lines(r.err, "GOMAXPROCS="), 1);
	ck_assert_uint_lt(strlen(r.err), 300);
}
END_TEST

START_TEST(debug_words_take_effect_quietly)
{
	static const char *const right[] = {
		"guard=none", "guard=mprotect", "stackmax=64K", "stackmax=64k", "stackmax=1M", "stackmax=1G", "stackmax=100000",
		"preempt=auto", "preempt=retake", "preempt=off", "", ",", ",,guard=none,", "guard=none,stackmax=64K,preempt=off",
	};
	char env[128];

	for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
		if (test_valgrind() && strcmp(right[i], "stackmax=1G") == 0) {
			test_skip("stackmax=1G", "valgrind has no room for a hundred stacks of that size");
			continue;
		}
		snprintf(env, sizeof env, "GORT_DEBUG=%s", right[i]);
		run_with(env, NULL, "program");
		ck_assert_msg(r.err[0] == '\0', "%s: %s", env, r.err);
	}
	/* on kernels without it this one may be said to fall back, but the program runs */
	run_with("GORT_DEBUG=guard=madvise", NULL, "program");
}
END_TEST

START_TEST(a_malformed_debug_word_is_said_once_and_ignored)
{
	static const char *const wrong[] = {
		"nonsense", "guard=", "guard=soft", "guard", "=", "=5", "stackmax=", "stackmax=15K", "stackmax=-1", "stackmax=1T",
		"stackmax=1M1", "stackmax=K", "stackmax=99999999999999999999", "stackmax=2000G", "preempt=on",
		"Guard=none", " guard=none", "guard=none ", "threads", "threads=x", "threads=-1",
	};
	char env[128];

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		/* beside right ones, which still count */
		snprintf(env, sizeof env, "GORT_DEBUG=preempt=auto,%s,stackmax=64K", wrong[i]);
		run_with(env, "GOMAXPROCS=2", "program");
		ck_assert_msg(test_count_lines(r.err, "GORT_DEBUG") == 1, "%s: %s", env, r.err);
		ck_assert_msg(strstr(r.err, wrong[i]) != NULL, "%s: %s", env, r.err);
	}
}
END_TEST

START_TEST(each_of_several_malformed_words_is_said)
{
	run_with("GORT_DEBUG=one,two,guard=three", NULL, "program");
	ck_assert_int_eq(test_count_lines(r.err, "GORT_DEBUG"), 3);
}
END_TEST

START_TEST(endless_debug_words_are_cut_in_the_message)
{
	static char env[5000];

	memset(env, 'x', sizeof env - 1);
	memcpy(env, "GORT_DEBUG=", 11);
	run_with(env, NULL, "program");
	ck_assert_int_eq(test_count_lines(r.err, "GORT_DEBUG"), 1);
	ck_assert_uint_lt(strlen(r.err), 300);
	memcpy(env, "GORT_DEBUG=guard=none,stackmax=", 31);
	run_with(env, NULL, "program");
	ck_assert_int_eq(test_count_lines(r.err, "GORT_DEBUG"), 1);
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "env", children);
	test_add(&s, gomaxprocs_sets_the_number_of_Ps);
	test_add(&s, a_wrong_gomaxprocs_is_said_once_and_ignored);
	test_add(&s, an_endless_gomaxprocs_is_cut_in_the_message);
	test_add(&s, debug_words_take_effect_quietly);
	test_add(&s, a_malformed_debug_word_is_said_once_and_ignored);
	test_add(&s, each_of_several_malformed_words_is_said);
	test_add(&s, endless_debug_words_are_cut_in_the_message);
	return test_end(&s);
}
