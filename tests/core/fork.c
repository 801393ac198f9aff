/* SPDX-License-Identifier: MIT */
/* Forking: in the child every call is fatal but gort_run; exec, posix_spawn and system are fine. */
#include "test.h"

#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int n_run;

static void runs(void *arg)
{
	gort_sleep(100 * GORT_MICROSECOND);
	gort_yield();
	count_up(&n_run);
}

static int works(void *arg)
{
	int n = (int)test_scale_min(200, 20);

	set(&n_run, 0);
	for (int i = 0; i < n; i++) {
		if (gort_go(runs, NULL) != 0)
			return 1;
	}
	await_count(&n_run, n);
	return gort_num_goroutine() >= 1 ? 33 : 2;
}

static void do_go(void) { gort_go(runs, NULL); }
static void do_yield(void) { gort_yield(); }
static void do_self(void) { gort_self(); }
static void do_sleep(void) { gort_park_until(NULL, NULL, "test", gort_deadline(GORT_HOUR)); }
static void do_maxprocs(void) { gort_set_maxprocs(2); }

static void (*forbidden)(void);

/*
 * A fork as a program makes it. Under the sanitizers only when all other threads sleep: one that is just starting, say, may
 * hold a lock of the sanitizer's allocator, which then nobody lets go of in the child.
 */
static pid_t fork_now(void)
{
	fflush(NULL);
	while ((TEST_TSAN || TEST_ASAN) && !test_others_sleep())
		sched_yield();
	return fork();
}

/* The forked child inherits stderr; its status is the result. */
static int fork_and(void)
{
	pid_t pid = fork_now();

	if (pid == 0) {
		alarm(60);
		if (forbidden != NULL) {
			forbidden();
			_exit(7);
		}
		_exit(gort_run(works, NULL));
	}
	return test_status_of(pid);
}

static int forks_in_goroutine(void *arg)
{
	return fork_and();
}

static int from_thread(void (*what)(void))
{
	forbidden = what;
	if (gort_run(works, NULL) != 33)
		return 80;
	return fork_and();
}

static int from_goroutine(void (*what)(void))
{
	forbidden = what;
	return gort_run(forks_in_goroutine, NULL);
}

static int thread_go(void) { return from_thread(do_go); }
static int thread_yield(void) { return from_thread(do_yield); }
static int thread_self(void) { return from_thread(do_self); }
static int thread_sleep(void) { return from_thread(do_sleep); }
static int thread_maxprocs(void) { return from_thread(do_maxprocs); }
static int thread_run(void) { return from_thread(NULL); }
static int goroutine_go(void) { return from_goroutine(do_go); }
static int goroutine_yield(void) { return from_goroutine(do_yield); }
static int goroutine_run(void) { return from_goroutine(NULL); }

static int fork_before_start(void)
{
	pid_t pid = fork();

	/* nothing ran yet, so nothing was lost: the child may do as it likes */
	if (pid == 0) {
		gort_yield();
		_exit(gort_run(works, NULL));
	}
	return test_status_of(pid) == 33 ? gort_run(works, NULL) : 70;
}

static int grandchildren(void)
{
	if (gort_run(works, NULL) != 33)
		return 80;
	for (int depth = 0; depth < 4; depth++) {
		pid_t pid = fork_now();

		if (pid != 0)
			return test_status_of(pid);
		alarm(60);
		if (gort_run(works, NULL) != 33)
			_exit(60 + depth);
	}
	_exit(33);
}

static int parent_goes_on(void)
{
	if (gort_run(works, NULL) != 33)
		return 80;
	for (long i = 0; i < test_scale_min(20, 3); i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(5);
		if (gort_run(works, NULL) != 33 || test_status_of(pid) != 5)
			return 81;
	}
	return 33;
}

/* Others run, sleep and end while the fork happens. */
static int stop;

static void busy(void *arg)
{
	while (!get(&stop)) {
		gort_go(runs, NULL);
		gort_sleep(10 * GORT_MICROSECOND);
	}
}

static int busy_main(void *arg)
{
	int result = 33;

	for (int i = 0; i < 4; i++)
		gort_go(busy, NULL);
	for (long i = 0; i < test_scale_min(20, 3) && result == 33; i++)
		result = fork_and();
	set(&stop, 1);
	return result;
}

static int fork_while_busy(void)
{
	forbidden = NULL;
	return gort_run(busy_main, NULL);
}

static int spawns_programs(void *arg)
{
	char sh[] = "/bin/sh", c[] = "-c", script[] = "exit 9";
	char *argv[] = { sh, c, script, NULL };
	pid_t pid;

	if (posix_spawn(&pid, sh, NULL, NULL, argv, environ) != 0 || test_status_of(pid) != 9)
		return 1;
	if (WEXITSTATUS(system("exit 8")) != 8)
		return 2;
	pid = fork();
	if (pid == 0) {
		execv(sh, argv);
		_exit(77);
	}
	if (test_status_of(pid) != 9)
		return 3;
	return works(NULL);
}

static int programs(void)
{
	return gort_run(spawns_programs, NULL);
}

static int ended;

static void looks_on(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		;
	count_up(&ended);
}

/* The caller waits in the kernel, unannounced, while the child has its memory and its stack; and then for the child's end. */
static void vforks(void *arg)
{
	static char sh[] = "/bin/sh", c[] = "-c", script[] = "exit 6";
	char *argv[] = { sh, c, script, NULL };

	for (int i = 0; i < 5; i++) {
		volatile int mine = i;
		pid_t pid = vfork();

		if (pid == 0) {
			execv(sh, argv);
			_exit(77);
		}
		expect(pid > 0);
		expect_eq(test_status_of(pid), 6);
		expect_eq(mine, i);
		gort_yield();
	}
	count_up(&ended);
}

static void posix_spawns(void *arg)
{
	static char sh[] = "/bin/sh", c[] = "-c", script[] = "exit 7";
	char *argv[] = { sh, c, script, NULL };

	for (int i = 0; i < 5; i++) {
		pid_t pid = 0;

		expect_eq(posix_spawn(&pid, sh, NULL, NULL, argv, environ), 0);
		expect_eq(test_status_of(pid), 7);
		gort_sleep(GORT_MICROSECOND);
	}
	count_up(&ended);
}

static void sleeps_along(void *arg)
{
	for (int i = 0; i < 50; i++)
		gort_sleep(200 * GORT_MICROSECOND);
	count_up(&ended);
}

/* On one P, which all of them want, beside a loop that does not give it back. */
static int many_programs_main(void *arg)
{
	set(&stop, 0);
	set(&ended, 0);
	for (int i = 0; i < 4; i++) {
		expect_eq(gort_go(vforks, NULL), 0);
		expect_eq(gort_go(posix_spawns, NULL), 0);
		expect_eq(gort_go(sleeps_along, NULL), 0);
	}
	expect_eq(gort_go(looks_on, NULL), 0);
	await_count(&ended, 12);
	set(&stop, 1);
	await_count(&ended, 13);
	return 33;
}

static int many_programs(void)
{
	return gort_run(many_programs_main, NULL);
}

static const struct test_child children[] = {
	{ "thread_go", thread_go },
	{ "thread_yield", thread_yield },
	{ "thread_self", thread_self },
	{ "thread_sleep", thread_sleep },
	{ "thread_maxprocs", thread_maxprocs },
	{ "thread_run", thread_run },
	{ "goroutine_go", goroutine_go },
	{ "goroutine_yield", goroutine_yield },
	{ "goroutine_run", goroutine_run },
	{ "fork_before_start", fork_before_start },
	{ "grandchildren", grandchildren },
	{ "parent_goes_on", parent_goes_on },
	{ "fork_while_busy", fork_while_busy },
	{ "programs", programs },
	{ "many_programs", many_programs },
	{ NULL, NULL },
};

#define WORDS "fatal error: goroutines are not available in a forked child"

START_TEST(a_call_in_a_forked_child_is_fatal)
{
	test_child_says("thread_go", NULL, 2, WORDS);
	test_child_says("thread_yield", NULL, 2, WORDS);
	test_child_says("thread_self", NULL, 2, WORDS);
	test_child_says("thread_sleep", NULL, 2, WORDS);
	test_child_says("thread_maxprocs", NULL, 2, WORDS);
}
END_TEST

START_TEST(a_call_in_a_child_forked_by_a_goroutine_is_fatal)
{
	test_child_says("goroutine_go", NULL, 2, WORDS);
	test_child_says("goroutine_yield", NULL, 2, WORDS);
}
END_TEST

START_TEST(run_starts_afresh_in_a_forked_child)
{
	test_child_says("thread_run", NULL, 33, "");
}
END_TEST

START_TEST(run_starts_afresh_in_a_child_forked_by_a_goroutine)
{
	test_child_says("goroutine_run", NULL, 33, "");
}
END_TEST

START_TEST(a_fork_before_the_scheduler_starts_changes_nothing)
{
	test_child_says("fork_before_start", NULL, 33, "");
}
END_TEST

START_TEST(children_of_children_start_afresh_too)
{
	test_child_says("grandchildren", NULL, 33, "");
}
END_TEST

START_TEST(the_parent_goes_on_after_forks)
{
	test_child_says("parent_goes_on", NULL, 33, "");
}
END_TEST

START_TEST(a_fork_in_the_midst_of_things_starts_afresh)
{
	test_child_says("fork_while_busy", NULL, 33, "");
}
END_TEST

START_TEST(goroutines_start_programs)
{
	test_child_says("programs", NULL, 33, "");
}
END_TEST

START_TEST(many_goroutines_start_programs_by_vfork_and_posix_spawn)
{
	static const char *const env[] = { "GOMAXPROCS=1", NULL };

	test_child_says("many_programs", env, 33, "");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "fork", children);
	test_add(&s, a_call_in_a_forked_child_is_fatal);
	test_add(&s, a_call_in_a_child_forked_by_a_goroutine_is_fatal);
	test_add(&s, run_starts_afresh_in_a_forked_child);
	test_add(&s, run_starts_afresh_in_a_child_forked_by_a_goroutine);
	test_add(&s, a_fork_before_the_scheduler_starts_changes_nothing);
	test_add(&s, children_of_children_start_afresh_too);
	test_add(&s, the_parent_goes_on_after_forks);
	/* TSan's own locks, and LeakSanitizer's, are in whatever state the other threads left them in */
	if (TEST_TSAN || TEST_ASAN)
		test_skip("a_fork_in_the_midst_of_things_starts_afresh",
			"the sanitizer's own locks may be held by a thread that the child does not have");
	else
		test_add(&s, a_fork_in_the_midst_of_things_starts_afresh);
	test_add(&s, goroutines_start_programs);
	test_add(&s, many_goroutines_start_programs_by_vfork_and_posix_spawn);
	return test_end(&s);
}
