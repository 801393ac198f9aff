/* SPDX-License-Identifier: MIT */
/*
 * Programs that have a handler for bad accesses of their own, and go on after them: as garbage collectors, debuggers and
 * tests do. What becomes of accesses that nobody repairs is in stack.c.
 */
#include "test.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 64

static char *area;
static size_t page;
static int faults, done, running;

/* The page of a bad access is made writable: the access is then made again. */
static void repair(int signo, siginfo_t *info, void *uc)
{
	char *at = info->si_addr;

	(void)signo;
	(void)uc;
	if (at < area || at >= area + PAGES * page)
		_exit(45);
	count_up(&faults);
	if (mprotect(area + (size_t)(at - area) / page * page, page, PROT_READ | PROT_WRITE) != 0)
		_exit(46);
}

static void handle(int flags, void (*fn)(int signo, siginfo_t *info, void *uc))
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	sigaction(SIGSEGV, &sa, NULL);
}

static void map(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	area = mmap(NULL, PAGES * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		_exit(47);
}

/* Several may fault on one page at once: the later ones find it repaired. */
static void writes(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);

	count_up(&running);
	for (long i = 0; i < 200; i++) {
		size_t k = test_random(&r) % PAGES;

		if (i % 10 == 0)
			mprotect(area + k * page, page, PROT_NONE);
		__atomic_store_n(&area[k * page + (uintptr_t)arg], (char)i, __ATOMIC_RELAXED);
		if (i % 7 == 0)
			gort_yield();
		/* long enough for the monitor */
		for (volatile int n = 0; n < 20000; n++)
			;
	}
	count_up(&done);
}

static int writes_main(void *arg)
{
	pthread_t t[2];

	for (intptr_t i = 0; i < 8; i++)
		spawn(writes, (void *)i);
	for (intptr_t i = 0; i < 2; i++)
		t[i] = thread_start(writes, (void *)(i + 8));
	await_count(&done, 10);
	for (int i = 0; i < 2; i++)
		thread_join(t[i]);
	expect(get(&faults) > 0);
	return get(&faults) > 0 ? 33 : 1;
}

/* Known to the scheduler, which passes the faults on. */
static int before_start(void)
{
	map();
	handle(SA_ONSTACK, repair);
	return gort_run(writes_main, NULL);
}

static int nothing(void *arg)
{
	return 0;
}

/* In place of the scheduler's, which is not asked any more. */
static int after_start(void)
{
	map();
	if (gort_run(nothing, NULL) != 0)
		return 1;
	handle(SA_ONSTACK, repair);
	return gort_run(writes_main, NULL);
}

/* It runs on the goroutine's own stack then. */
static int on_the_stack(void)
{
	map();
	if (gort_run(nothing, NULL) != 0)
		return 1;
	handle(0, repair);
	return gort_run(writes_main, NULL);
}

static void repair_plain(int signo)
{
	(void)signo;
	count_up(&faults);
	if (mprotect(area, PAGES * page, PROT_READ | PROT_WRITE) != 0)
		_exit(46);
}

static int without_info(void)
{
	struct sigaction sa = { .sa_handler = repair_plain, .sa_flags = SA_ONSTACK };

	map();
	sigaction(SIGSEGV, &sa, NULL);
	return gort_run(writes_main, NULL);
}

/* --- leaving the handler by a jump --- */

static __thread sigjmp_buf *landing __attribute__((tls_model("initial-exec")));

static void jump(int signo, siginfo_t *info, void *uc)
{
	(void)signo;
	(void)info;
	(void)uc;
	siglongjmp(*landing, 1);
}

static void probes(void *arg)
{
	for (volatile long i = 0; i < 100; i = i + 1) {
		sigjmp_buf here;

		/* from here to there the goroutine stays on its thread: it makes no call */
		if (sigsetjmp(here, 1) == 0) {
			landing = &here;
			*(volatile char *)&area[(size_t)i % PAGES * page] = 1;
			_exit(48);
		}
		count_up(&faults);
		gort_yield();
	}
	count_up(&done);
}

static int jumps_main(void *arg)
{
	for (intptr_t i = 0; i < 8; i++)
		spawn(probes, (void *)i);
	await_count(&done, 8);
	expect_eq(get(&faults), 800);
	return 33;
}

static int jumps(void)
{
	map();
	handle(SA_ONSTACK, jump);
	return gort_run(jumps_main, NULL);
}

/* --- a goroutine's overflow is still found when the program has a handler --- */

static __attribute__((noinline)) int deep(int n)
{
	volatile char frame[1024];

	frame[0] = (char)n;
	if (n == 0)
		return frame[0];
	return deep(n + 1) + frame[0];
}

static void overflows(void *arg)
{
	deep(1);
}

static int overflow_main(void *arg)
{
	gort_attr a = GORT_ATTR_INIT;

	a.stack_max = 512 * 1024;
	if (gort_go_attr(&a, overflows, NULL) != 0)
		return 1;
	gort_sleep(GORT_HOUR);
	return 1;
}

static int overflow(void)
{
	map();
	handle(SA_ONSTACK, repair);
	return gort_run(overflow_main, NULL);
}

static const struct test_child children[] = {
	{ "before_start", before_start },
	{ "after_start", after_start },
	{ "on_the_stack", on_the_stack },
	{ "without_info", without_info },
	{ "jumps", jumps },
	{ "overflow", overflow },
	{ NULL, NULL },
};

START_TEST(a_handler_from_before_the_start_repairs_accesses_of_goroutines)
{
	test_child_says("before_start", NULL, 33, "");
	test_child_says("without_info", NULL, 33, "");
}
END_TEST

START_TEST(a_handler_from_after_the_start_repairs_accesses_of_goroutines)
{
	test_child_says("after_start", NULL, 33, "");
	test_child_says("on_the_stack", NULL, 33, "");
}
END_TEST

START_TEST(a_handler_may_be_left_by_a_jump)
{
	test_child_says("jumps", NULL, 33, "");
}
END_TEST

START_TEST(an_overflow_is_reported_beside_a_handler_of_the_program)
{
	test_child_says("overflow", NULL, 2, "fatal error: stack overflow");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "fault", children);
	if (test_valgrind()) {
		test_skip("all but one", "valgrind reports the bad accesses themselves");
	} else {
		test_add(&s, a_handler_from_before_the_start_repairs_accesses_of_goroutines);
		test_add(&s, a_handler_from_after_the_start_repairs_accesses_of_goroutines);
		test_add(&s, a_handler_may_be_left_by_a_jump);
	}
	test_add(&s, an_overflow_is_reported_beside_a_handler_of_the_program);
	return test_end(&s);
}
