/* SPDX-License-Identifier: MIT */
/* The tests' shared part; test.h says what each is for. */
#define _GNU_SOURCE
#include "test.h"

#include <dirent.h>
#include <gort/gmp.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#ifdef TEST_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* --- recording --- */

static struct {
	int failed;             /* atomic: the first to set it writes the rest */
	int written;
	const char *file;
	int line;
	char what[256];
} record;

static bool first_failure(void)
{
	return __atomic_exchange_n(&record.failed, 1, __ATOMIC_SEQ_CST) == 0;
}

bool test_failed(const char *file, int line, const char *what)
{
	if (first_failure()) {
		record.file = file;
		record.line = line;
		snprintf(record.what, sizeof record.what, "%s", what);
		set(&record.written, 1);
	}
	return false;
}

bool test_equal(const char *file, int line, const char *what, long long a, long long b)
{
	if (a == b)
		return true;
	if (first_failure()) {
		record.file = file;
		record.line = line;
		snprintf(record.what, sizeof record.what, "%s: %lld, %lld", what, a, b);
		set(&record.written, 1);
	}
	return false;
}

static bool child;

void test_assert(void)
{
	char what[sizeof record.what];
	const char *file;

	if (!get(&record.failed) || child)
		return;                 /* a child tells its parent, at its end */
	while (!get(&record.written))
		sched_yield();
	memcpy(what, record.what, sizeof what);
	file = strrchr(record.file, '/');
	file = file != NULL ? file + 1 : record.file;
	set(&record.written, 0);
	set(&record.failed, 0);
	ck_abort_msg("%s:%d: %s (seed %llu)", file, record.line, what, (unsigned long long)test_seed());
}

static int call_body(void *arg)
{
	void (*body)(void);

	memcpy(&body, arg, sizeof body);
	body();
	return 0;
}

void test_go(void (*body)(void))
{
	int r = gort_run(call_body, &body);

	test_assert();
	ck_assert_int_eq(r, 0);
}

void test_here(void (*body)(void))
{
	body();
	test_assert();
}

/* --- the program --- */

static char self[4096];
static const struct test_child *known_children;

bool test_no_fork(void)
{
	const char *s = getenv("CK_FORK");

	/* a sanitizer or valgrind sees a leak or a race only in a process that ends in the usual way */
	return s != NULL ? strcmp(s, "no") == 0 : test_sanitized();
}

/*
 * The sanitizers' options, where the environment says nothing else: an allocation of an impossible size is refused as
 * everywhere, and a program with threads may fork, since that is what the fork tests are for. Children end by _exit, before
 * the last thread that has ended is joined, which is done at exit.
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1:die_after_fork=0:report_thread_leaks=0";
}

/*
 * A forked child does not have what only the registers of its parent's other threads pointed to: on valgrind nobody looks for
 * leaks in it.
 */
static void no_leaks_in_child(void)
{
#ifdef VALGRIND_CLO_CHANGE
	VALGRIND_CLO_CHANGE("--leak-check=no");
#endif
}

void test_begin(struct test_suite *s, int argc, char **argv, const char *name, const struct test_child *children)
{
	const char *rounds = getenv("GORT_TEST_ROUNDS");

	known_children = children;
	if (test_valgrind())
		pthread_atfork(NULL, NULL, no_leaks_in_child);
	if (realpath(argv[0], self) == NULL) {
		perror(argv[0]);
		exit(99);
	}
	if (argc == 3 && strcmp(argv[1], "--child") == 0) {
		child = true;
		for (const struct test_child *c = children; c != NULL && c->name != NULL; c++) {
			if (strcmp(c->name, argv[2]) == 0) {
				int r = c->fn();

				if (get(&record.failed)) {
					fprintf(stderr, "child: %s:%d: %s\n", record.file, record.line, record.what);
					r = 3;
				}
				fflush(NULL);
				_exit(r);
			}
		}
		fprintf(stderr, "no child called %s\n", argv[2]);
		_exit(98);
	}
	s->rounds = rounds != NULL ? atoi(rounds) : 1;
	if (argc == 3 && strcmp(argv[1], "-n") == 0)
		s->rounds = atoi(argv[2]);
	if (s->rounds < 1)
		s->rounds = 1;
	s->suite = suite_create(name);
	s->tcase = tcase_create(name);
	/* Check's own limit is for hangs only: some minutes, for a machine that is slow and busy */
	tcase_set_timeout(s->tcase, 400);
	suite_add_tcase(s->suite, s->tcase);
	fprintf(stderr, "# seed %llu, scale %ld/1000%s\n", (unsigned long long)test_seed(), test_scale(1000),
		test_no_fork() ? ", one process" : "");
}

int test_end(struct test_suite *s)
{
	SRunner *sr = srunner_create(s->suite);
	int failed;

	srunner_set_fork_status(sr, test_no_fork() ? CK_NOFORK : CK_FORK);
	srunner_set_tap(sr, "-");
	srunner_run_all(sr, CK_SILENT);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	/* what the tests of this one process have left; whoever looks for leaks at the end then finds none of ours, or all */
	gort_shutdown();
	return failed == 0 ? 0 : 1;
}

void test_skip(const char *name, const char *why)
{
	fprintf(stderr, "# not run: %s: %s\n", name, why);
}

/* --- scale and chance --- */

bool test_valgrind(void)
{
	const char *s = getenv("GORT_TEST_VALGRIND");

	return s != NULL && *s == '1';
}

bool test_sanitized(void)
{
	return TEST_TSAN || TEST_ASAN || test_valgrind();
}

static double scale(void)
{
	const char *s = getenv("GORT_TEST_SCALE");
	double x = s != NULL ? atof(s) : 0;

	return x > 0 ? x : test_valgrind() ? 0.01 : test_sanitized() ? 0.1 : 1;
}

long test_scale(long n)
{
	return test_scale_min(n, 1);
}

long test_scale_min(long n, long least)
{
	long m = (long)((double)n * scale());

	return m > least ? m : least;
}

uint64_t test_seed(void)
{
	static uint64_t seed;

	if (seed == 0) {
		const char *s = getenv("GORT_TEST_SEED");

		seed = s != NULL ? strtoull(s, NULL, 10) : (uint64_t)gort_now() % 1000000007u;
		if (seed == 0)
			seed = 1;
	}
	return seed;
}

uint64_t test_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545F4914F6CDD1Dull >> 16;
}

uint64_t test_random_init(uint64_t n)
{
	uint64_t x = (test_seed() + 1) * 0x9E3779B97F4A7C15ull ^ (n + 1) * 0xBF58476D1CE4E5B9ull;

	x ^= x >> 31;
	return x != 0 ? x : 1;
}

/* --- goroutines --- */

void spawn(void (*fn)(void *arg), void *arg)
{
	expect_eq(gort_go(fn, arg), 0);
}

struct thread {
	void (*fn)(void *arg);
	void *arg;
};

static void *thread_main(void *arg)
{
	struct thread t = *(struct thread *)arg;

	free(arg);
	t.fn(t.arg);
	return NULL;
}

pthread_t thread_start(void (*fn)(void *arg), void *arg)
{
	struct thread *t = malloc(sizeof *t);
	pthread_t id;

	if (t == NULL)
		abort();
	*t = (struct thread){ fn, arg };
	if (pthread_create(&id, NULL, thread_main, t) != 0)
		abort();
	return id;
}

void thread_join(pthread_t t)
{
	pthread_join(t, NULL);
}

void task_here(struct task *t)
{
	gort_g *g = gort_self();

	t->bound = (g->flags & GORT__G_BOUND) != 0;
	set(&t->g, g);
}

void task_done(struct task *t)
{
	set(&t->done, 1);
}

/* On a plain thread a yield in a loop would keep the processor from the one that is waited for. */
static void breathe(int i)
{
	gort_yield();
	if (i % 64 == 63)
		gort_sleep(100 * GORT_MICROSECOND);
}

void await_parked(struct task *t)
{
	for (int i = 0;; i++) {
		gort_g *g = get(&t->g);

		if (get(&t->done))
			return;         /* on a slow machine a deadline may have ended the wait already */
		if (g != NULL && gort__load_acquire(&g->status) == GORT__G_WAITING &&
		    (t->bound || gort__load_acquire(&g->ctx.running) == 0))
			return;
		breathe(i);
	}
}

void await_done(struct task *t)
{
	for (int i = 0; !get(&t->done); i++)
		breathe(i);
}

void await_count(int *word, int n)
{
	for (int i = 0; get(word) < n; i++)
		breathe(i);
}

/* --- child processes --- */

static void collect(int fd, char *to, size_t size, size_t *n, bool *open)
{
	char drop[4096];
	ssize_t k = *n + 1 < size ? read(fd, to + *n, size - 1 - *n) : read(fd, drop, sizeof drop);

	if (k <= 0) {
		*open = false;
		return;
	}
	if (*n + 1 < size)
		*n += (size_t)k;
	to[*n] = '\0';
}

void test_run_child(struct child_result *r, const char *name, const char *const *env, unsigned secs)
{
	int out[2], err[2], status;
	size_t nout = 0, nerr = 0;
	bool more_out = true, more_err = true;
	pid_t pid;

	memset(r, 0, sizeof *r);
	ck_assert_int_eq(pipe(out), 0);
	ck_assert_int_eq(pipe(err), 0);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(out[1], 1);
		dup2(err[1], 2);
		close(out[0]);
		close(err[0]);
		close(out[1]);
		close(err[1]);
		unsetenv("VALGRIND_OPTS");      /* the search for leaks: see tests/meson.build */
		for (; env != NULL && *env != NULL; env++)
			putenv((char *)(uintptr_t)*env);
		alarm(secs);            /* kept over exec */
		execl(self, self, "--child", name, (char *)NULL);
		_exit(97);
	}
	close(out[1]);
	close(err[1]);
	while (more_out || more_err) {
		struct pollfd p[2] = { { more_out ? out[0] : -1, POLLIN, 0 }, { more_err ? err[0] : -1, POLLIN, 0 } };

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents != 0)
			collect(out[0], r->out, sizeof r->out, &nout, &more_out);
		if (p[1].revents != 0)
			collect(err[0], r->err, sizeof r->err, &nerr, &more_err);
	}
	close(out[0]);
	close(err[0]);
	while (waitpid(pid, &status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	r->exited = WIFEXITED(status);
	r->status = r->exited ? WEXITSTATUS(status) : WTERMSIG(status);
}

int test_status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 90;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 91;
}

void test_child_says(const char *name, const char *const *env, int status, const char *text)
{
	static struct child_result r;

	test_run_child(&r, name, env, 120);
	ck_assert_msg(r.exited, "%s ended by signal %d, stderr: %s", name, r.status, r.err);
	ck_assert_msg(r.status == status, "%s exited with %d, stderr: %s", name, r.status, r.err);
	ck_assert_msg(strstr(r.err, text) != NULL, "%s: no \"%s\" in stderr: %s", name, text, r.err);
}

const char *const test_one_at_a_time[] = { "GOMAXPROCS=1", "GORT_DEBUG=preempt=off", NULL };

int test_count_lines(const char *text, const char *with)
{
	int n = 0;

	while ((text = strstr(text, with)) != NULL) {
		n++;
		text = strchr(text, '\n');
		if (text == NULL)
			break;
	}
	return n;
}

/* --- the process --- */

long test_rss(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size = 0, resident = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

long test_entries(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	long n = 0;

	if (d == NULL)
		abort();
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

long test_threads(void)
{
	return test_entries("/proc/self/task");
}

long test_others_switches(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	long sum = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[300], line[128];
		long n;
		FILE *f;

		if (e->d_name[0] == '.' || atol(e->d_name) == syscall(SYS_gettid))
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
		f = fopen(path, "re");
		while (f != NULL && fgets(line, sizeof line, f) != NULL) {
			if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1 ||
			    sscanf(line, "nonvoluntary_ctxt_switches: %ld", &n) == 1)
				sum += n;
		}
		if (f != NULL)
			fclose(f);
	}
	if (d != NULL)
		closedir(d);
	return sum;
}

bool test_others_sleep(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int awake = 0;

	if (d == NULL)
		abort();
	while ((e = readdir(d)) != NULL) {
		char path[300], line[512] = "";
		const char *state;
		FILE *f;

		snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
		f = e->d_name[0] != '.' ? fopen(path, "re") : NULL;
		if (f == NULL)
			continue;
		/* the name, in parentheses, may hold anything; the state follows */
		if (fgets(line, sizeof line, f) != NULL && (state = strrchr(line, ')')) != NULL)
			awake += state[2] != 'S';
		fclose(f);
	}
	closedir(d);
	return awake <= 1;      /* the caller itself */
}
