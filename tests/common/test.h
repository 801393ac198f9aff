/* SPDX-License-Identifier: MIT */
/*
 * What all tests share. The rules: a test starts the scheduler in its own body, after Check has forked; goroutines
 * record with expect(), and the test's own thread asserts; nothing waits by sleeping, but for a state (await_parked).
 *
 * Environment: GORT_TEST_SCALE (a factor for counts, default 1, a tenth under sanitizers), GORT_TEST_SEED (of the random
 * numbers; printed), GORT_TEST_ROUNDS (how often a storm is repeated; -n ROUNDS does the same).
 */
#ifndef GORT_TEST_H
#define GORT_TEST_H

#include <check.h>
#include <errno.h>
#include <gort/core.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

GORT_EXTERN_C_BEGIN

#if defined(__SANITIZE_THREAD__)
#  define TEST_TSAN 1
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define TEST_TSAN 1
#  endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#  define TEST_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define TEST_ASAN 1
#  endif
#endif
#ifndef TEST_TSAN
#  define TEST_TSAN 0
#endif
#ifndef TEST_ASAN
#  define TEST_ASAN 0
#endif

/* --- recording and asserting --- */

/* From anywhere: notes the first failure of the test. The value is whether it held. */
#define expect(cond) ((cond) ? true : test_failed(__FILE__, __LINE__, #cond))
/* The same with numbers shown. */
#define expect_eq(a, b) test_equal(__FILE__, __LINE__, #a " == " #b, (long long)(a), (long long)(b))

bool test_failed(const char *file, int line, const char *what);
bool test_equal(const char *file, int line, const char *what, long long a, long long b);

/* Asserts that nothing failed so far. On the test's own thread, like the next two. */
void test_assert(void);
/* Runs body in a goroutine, then asserts. */
void test_go(void (*body)(void));
/* Runs body as a plain function, then asserts. */
void test_here(void (*body)(void));

/* A test whose body is a goroutine. */
#define GO_TEST(name) \
	static void name##_body(void); \
	START_TEST(name) { (void)_i; test_go(name##_body); } \
	END_TEST \
	static void name##_body(void)

/* A test whose body runs on the test's own thread. */
#define THREAD_TEST(name) \
	static void name##_body(void); \
	START_TEST(name) { (void)_i; test_here(name##_body); } \
	END_TEST \
	static void name##_body(void)

/* --- the program --- */

/* What a child process does, by name; its result is the exit status. */
struct test_child {
	const char *name;
	int (*fn)(void);
};

struct test_suite {
	Suite *suite;
	TCase *tcase;
	int rounds;
};

/* Does not return when the program was started as a child (test_run_child). children ends with a NULL name; may be NULL. */
void test_begin(struct test_suite *s, int argc, char **argv, const char *name, const struct test_child *children);
#define test_add(s, t) tcase_add_loop_test((s)->tcase, (t), 0, (s)->rounds)
int test_end(struct test_suite *s);
/* A test that is not run here says why, so that no skip is silent. */
void test_skip(const char *name, const char *why);

/* --- scale and chance --- */

long test_scale(long n);                /* n times the scale, at least 1 */
long test_scale_min(long n, long least);
bool test_sanitized(void);
/* All tests in one process: the scheduler may run already, from an earlier test. */
bool test_no_fork(void);
bool test_valgrind(void);
uint64_t test_seed(void);
/* xorshift: each user has its own state, seeded by test_seed() and its own number */
uint64_t test_random(uint64_t *state);
uint64_t test_random_init(uint64_t n);

/* --- goroutines --- */

/* Starts one; records a failure when that fails. */
void spawn(void (*fn)(void *arg), void *arg);
/* Starts a plain thread that runs fn(arg). */
pthread_t thread_start(void (*fn)(void *arg), void *arg);
void thread_join(pthread_t t);

/* A goroutine or thread that others wait for. */
struct task {
	gort_g *g;              /* set by task_here; atomic */
	int done;               /* set by task_done; atomic */
	bool bound;             /* a plain thread; set by task_here before g */
};
void task_here(struct task *t);
void task_done(struct task *t);
/* Waits, yielding, until the task is parked and off its stack, or done. Only the runtime can tell: this looks inside. */
void await_parked(struct task *t);
void await_done(struct task *t);
/* Yields until *word is at least n; atomic. */
void await_count(int *word, int n);
#define count_up(word) __atomic_add_fetch((word), 1, __ATOMIC_SEQ_CST)
#define get(word) __atomic_load_n((word), __ATOMIC_SEQ_CST)
#define set(word, v) __atomic_store_n((word), (v), __ATOMIC_SEQ_CST)

/* --- child processes --- */

struct child_result {
	bool exited;            /* status is its exit status; else it is the signal that ended it */
	int status;
	char err[256 * 1024];   /* what it wrote to stderr */
	char out[16384];
};

/*
 * Starts this program afresh as the child called name, with more environment ("K=V", NULL at the end; may be NULL), and waits
 * for it. alarm ends it after secs, which is then a signal in the result: a hang.
 */
void test_run_child(struct child_result *r, const char *name, const char *const *env, unsigned secs);
/* The child wrote text to stderr and exited with status. Asserts; on the test's own thread. */
void test_child_says(const char *name, const char *const *env, int status, const char *text);
/* Environment of a child in which exactly one goroutine runs at a time: one P, and nobody takes it away. */
extern const char *const test_one_at_a_time[];
int test_count_lines(const char *text, const char *with);
/* Waits for a forked child, as a plain program does: its exit status, 91 for a signal; 90: there is no such child. */
int test_status_of(pid_t pid);

/* --- the process --- */
long test_rss(void);            /* bytes */
long test_entries(const char *folder);  /* but for those that begin with a dot */
long test_threads(void);        /* entries of the task folder */
/* Context switches of all threads but the caller: one that makes a system call was woken for it, and sleeps again. */
long test_others_switches(void);
/* Do all other threads of this process sleep in the kernel just now? */
bool test_others_sleep(void);

GORT_EXTERN_C_END

#endif
