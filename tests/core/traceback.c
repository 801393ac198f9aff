/* SPDX-License-Identifier: MIT */
/* Tracebacks: on request, on SIGQUIT, before fatal exits; of goroutines that wait, run, sit in system calls and recurse. */
#define _GNU_SOURCE     /* dl_iterate_phdr */
#include "test.h"

#include <fcntl.h>
#include <gort/chan.h>
#include <gort/gmp.h>
#include <gort/sync.h>
#include <link.h>
#include <signal.h>
#include <time.h>

/* What follows a call of interest, so that the compiler does not make the call a jump and the frame go away. */
#define KEEP_FRAME() __asm__ volatile("" : : : "memory")

static const char *const reasons[] = { "chan receive", "chan send", "sync.Mutex.Lock", "sleep", "select", "sync.WaitGroup.Wait" };
#define KINDS 6

/* --- a traceback as a string --- */

/* malloc's. */
static char *read_all(FILE *f)
{
	size_t n = 0, room = 1 << 16, got;
	char *s = malloc(room);

	rewind(f);
	while (s != NULL && (got = fread(s + n, 1, room - n - 1, f)) > 0) {
		n += got;
		if (room - n < 2)
			s = realloc(s, room *= 2);
	}
	if (s == NULL)
		abort();
	s[n] = '\0';
	return s;
}

static char *traceback(void)
{
	FILE *f = tmpfile();
	char *s;

	if (f == NULL)
		abort();
	expect_eq(gort_traceback(fileno(f)), 0);
	s = read_all(f);
	fclose(f);
	return s;
}

/* The part about the goroutine or thread whose first line has mark in it; malloc's, empty if there is none. */
static char *part_of(const char *all, const char *mark)
{
	const char *at = strstr(all, mark), *end;
	char *s;

	while (at != NULL && at > all && at[-1] != '\n')
		at--;
	end = at != NULL ? strstr(at, "\n\n") : NULL;
	s = strndup(at != NULL ? at : "", end != NULL ? (size_t)(end - at) + 1 : 0);
	if (s == NULL)
		abort();
	return s;
}

static bool shows(const char *all, const char *mark, const char *what)
{
	char *part = part_of(all, mark);
	bool yes = strstr(part, what) != NULL;

	if (!yes)
		fprintf(stderr, "# no \"%s\" in the part of %s:\n%s\n", what, mark, part);
	free(part);
	return yes;
}

/* Our own names are in no dynamic symbol table. */
static bool shows_function(const char *all, const char *mark, const char *function)
{
	return shows(all, mark, TEST_SYMBOLS ? function : "traceback+0x");
}

/* --- waiting in each way --- */

static struct {
	gort_chan *c;
	gort_mutex m;
	gort_waitgroup wg;
	struct task task[KINDS];
	int out;
} w;

static __attribute__((noinline)) void waits_somehow(intptr_t kind)
{
	gort_case cs[] = { GORT_CASE_RECV(w.c, NULL), GORT_CASE_RECV(NULL, NULL) };

	switch (kind) {
	case 0: gort_chan_recv(w.c, NULL); break;
	case 1: gort_chan_send(w.c, NULL); break;
	case 2: gort_mutex_lock(&w.m); gort_mutex_unlock(&w.m); break;
	case 3: gort_park_until(NULL, NULL, "sleep", gort_deadline(GORT_HOUR)); break;
	case 4: gort_select(cs, 2); break;
	default: gort_waitgroup_wait(&w.wg); break;
	}
	KEEP_FRAME();
}

static void named(void *arg)
{
	intptr_t kind = (intptr_t)arg;
	char name[32];

	snprintf(name, sizeof name, "waiter %d", (int)kind);
	gort_set_name(name);
	task_here(&w.task[kind]);
	waits_somehow(kind);
	count_up(&w.out);
}

/* Of send and receive only one can wait on the same channel: skip is the other. */
static void check_waiting(intptr_t skip)
{
	char *all, mark[64];
	int n = 0;

	memset(&w, 0, sizeof w);
	w.c = gort_chan_new(0, 0);
	gort_mutex_lock(&w.m);
	gort_waitgroup_add(&w.wg, 1);
	for (intptr_t k = 0; k < KINDS; k++) {
		if (k == skip || (skip == 0 && k == 4))
			continue;       /* a select that could receive what is sent would not wait */
		spawn(named, (void *)k);
		await_parked(&w.task[k]);
		n++;
	}
	all = traceback();
	for (intptr_t k = 0; k < KINDS; k++) {
		if (k == skip || (skip == 0 && k == 4))
			continue;
		snprintf(mark, sizeof mark, "\"waiter %d\" [%s]:\n", (int)k, reasons[k]);
		expect(shows_function(all, mark, "waits_somehow"));
		expect(strstr(all, "gort__g_main") == NULL && strstr(all, "switch_to") == NULL);
	}
	free(all);
	if (skip == 1) {
		gort_chan_send(w.c, NULL);
		gort_chan_send(w.c, NULL);
	} else {
		gort_chan_recv(w.c, NULL);
	}
	gort_mutex_unlock(&w.m);
	gort_waitgroup_done(&w.wg);
	gort_ready(w.task[3].g);
	await_count(&w.out, n);
	gort_chan_unref(w.c);
}

GO_TEST(waiting_goroutines_are_shown_with_name_reason_and_frames)
{
	check_waiting(1);
	check_waiting(0);
}

static const char *const bottom[] = { "gort__", "run_goroutines", "run_main", "run_fn", "call_main" };

GO_TEST(the_caller_comes_first_and_is_running)
{
	char *all, *part, want[64];

	gort_set_name("asks");
	all = traceback();
	/* without symbols our own frames below it have no names to be left out by */
	snprintf(want, sizeof want, "goroutine %llu \"asks\" [running]:\n%s", (unsigned long long)gort_id(),
		TEST_SYMBOLS ? "gort_traceback(...)\n" : "");
	expect(strncmp(all, want, strlen(want)) == 0);
	expect(shows_function(all, "asks", "traceback"));
	/* and nothing of ours at the end */
	part = part_of(all, "asks");
	for (size_t i = 0; i < sizeof bottom / sizeof bottom[0]; i++) {
		if (TEST_SYMBOLS)
			expect(strstr(part, bottom[i]) == NULL);
	}
	free(part);
	expect_eq(test_count_lines(all, "\"asks\""), 1);
	free(all);
}

THREAD_TEST(a_plain_thread_may_ask)
{
	char *all;

	gort_yield();
	all = traceback();
	expect(strncmp(all, "thread ", 7) == 0 && strstr(all, " [running]:\n") != NULL);
	free(all);
}

static void thread_waits(void *arg)
{
	task_here(arg);         /* from here on it is known, and can have a name */
	gort_set_name("plain");
	waits_somehow(0);
	task_done(arg);
}

GO_TEST(a_plain_thread_that_waits_is_shown)
{
	struct task t = { 0 };
	pthread_t id;
	bool seen = false;

	memset(&w, 0, sizeof w);
	w.c = gort_chan_new(0, 0);
	id = thread_start(thread_waits, &t);
	await_parked(&t);
	/* it is waiting, by its state, a little before it notes where */
	for (int i = 0; i < 100 && !seen; i++) {
		char *all = traceback();

		seen = shows_function(all, "\"plain\" [chan receive]", "waits_somehow") && shows(all, "\"plain\"", "thread ");
		free(all);
	}
	expect(seen);
	gort_chan_send(w.c, NULL);
	await_done(&t);
	thread_join(id);
	gort_chan_unref(w.c);
}

/* --- not started yet --- */

static int fresh_run;

static void not_yet(void *arg)
{
	count_up(&fresh_run);
}

static int fresh_main(void *arg)
{
	gort_attr a = GORT_ATTR_INIT;

	a.name = "fresh";
	for (int i = 0; i < 10; i++)
		expect_eq(gort_go_attr(&a, not_yet, NULL), 0);
	/* on one P that we keep: they stay in the queue until SIGQUIT's dump is done */
	raise(SIGQUIT);
	while (get(&fresh_run) == 0)
		;
	return 0;
}

static int fresh(void)
{
	return gort_run(fresh_main, NULL);
}

START_TEST(goroutines_that_have_not_run_are_shown_with_their_function)
{
	static const char *const env[] = { "GOMAXPROCS=1", "GORT_DEBUG=preempt=off,traceback=quit", NULL };
	static struct child_result c;

	test_run_child(&c, "fresh", env, 120);
	ck_assert_msg(c.exited && c.status == 2, "status %d: %s", c.status, c.err);
	ck_assert_int_eq(test_count_lines(c.err, "\"fresh\" [runnable]:"), 10);
	if (TEST_SYMBOLS)
		ck_assert_int_eq(test_count_lines(c.err, "not_yet(...)"), 10);
}
END_TEST

/* --- running, and in the kernel --- */

static struct {
	int go_on, out;
	int result;
	struct task task;
} r;

static __attribute__((noinline)) void computes(void)
{
	while (get(&r.go_on))
		;
	KEEP_FRAME();
}

static void loops(void *arg)
{
	gort_set_name("loops");
	task_here(&r.task);
	computes();
	count_up(&r.out);
}

static void start_loop(void)
{
	memset(&r, 0, sizeof r);
	r.go_on = 1;
	spawn(loops, NULL);
	while (get(&r.task.g) == NULL)
		gort_yield();
}

GO_TEST(a_goroutine_that_computes_is_shown_where_it_is)
{
	bool seen = false;

	start_loop();
	/* its thread may be in the kernel just then, to be given to or taken from a processor */
	for (int i = 0; i < 100 && !seen; i++) {
		char *all = traceback();

		seen = shows_function(all, "\"loops\" [running]", "computes");
		free(all);
	}
	expect(seen);
	set(&r.go_on, 0);
	await_count(&r.out, 1);
}

static int urgent;

static void on_urg(int signo)
{
	count_up(&urgent);
}

GO_TEST(a_program_that_uses_SIGURG_keeps_it)
{
	struct sigaction sa = { .sa_handler = on_urg }, before, now;
	char *all;

	sigaction(SIGURG, &sa, &before);
	start_loop();
	for (int i = 0; i < 10; i++) {
		all = traceback();
		expect(shows(all, "\"loops\" [", "started as "));
		free(all);
	}
	sigaction(SIGURG, NULL, &now);
	expect(now.sa_handler == on_urg);
	expect_eq(get(&urgent), 0);
	set(&r.go_on, 0);
	await_count(&r.out, 1);
	sigaction(SIGURG, &before, NULL);
}

static __attribute__((noinline)) void naps(void)
{
	struct timespec t = { 1, 0 };

	r.result = nanosleep(&t, NULL);
	KEEP_FRAME();
}

static void in_kernel(void *arg)
{
	gort_set_name("naps");
	task_here(&r.task);
	naps();
	count_up(&r.out);
}

GO_TEST(a_system_call_is_shown_and_not_disturbed)
{
	bool seen = false;

	memset(&r, 0, sizeof r);
	r.result = -1;
	spawn(in_kernel, NULL);
	while (get(&r.task.g) == NULL)
		gort_yield();
	while (get(&r.out) == 0) {
		char *all = traceback(), *part = part_of(all, "\"naps\"");

		/* one without frame pointers lies in between, so not every way to unwind comes as far as the caller */
		seen |= strstr(part, "[syscall]:\n") != NULL && strstr(part, "+0x") != NULL;
		free(part);
		free(all);
	}
	expect(seen);
	expect_eq(r.result, 0);
}

/* --- many --- */

static int many_in, many_out;
static gort_chan *many_c;

static __attribute__((noinline)) void waits_among_many(void)
{
	gort_chan_recv(many_c, NULL);
	KEEP_FRAME();
}

static void one_of_many(void *arg)
{
	gort_set_name("one of many");
	count_up(&many_in);
	waits_among_many();
	count_up(&many_out);
}

static void start_many(int n)
{
	many_in = many_out = 0;
	many_c = gort_chan_new(0, 0);
	for (int i = 0; i < n; i++)
		spawn(one_of_many, NULL);
	await_count(&many_in, n);
}

static void end_many(int n)
{
	gort_chan_close(many_c);
	await_count(&many_out, n);
	gort_chan_unref(many_c);
}

GO_TEST(a_thousand_goroutines_are_all_there_in_order)
{
	unsigned long long last = 0, id;
	int n = (int)test_scale_min(1000, 100), found = 0;
	char *all, *at;

	start_many(n);
	all = traceback();
	at = strchr(all, '\n');         /* behind the caller, which comes first whatever its number */
	for (; (at = strstr(at, "\ngoroutine ")) != NULL; at++) {
		if (sscanf(at, "\ngoroutine %llu", &id) != 1)
			break;
		expect(id > last);
		last = id;
		if (strncmp(strchr(at + 1, '"') != NULL ? strchr(at + 1, '"') : "", "\"one of many\"", 13) == 0)
			found++;
	}
	expect_eq(found, n);
	expect_eq(test_count_lines(all, TEST_SYMBOLS ? "waits_among_many" : "\"one of many\""), n);
	free(all);
	end_many(n);
}

static int storm_stop, storm_out, asked_out;

static void storms(void *arg)
{
	gort_chan *c = arg;
	uint64_t rnd = test_random_init((uint64_t)gort_id());

	while (!get(&storm_stop)) {
		int v = 0;

		switch (test_random(&rnd) % 6) {
		case 0: gort_yield(); break;
		case 1: gort_sleep((gort_duration)(test_random(&rnd) % 100000)); break;
		case 2: gort_chan_recv_until(c, &v, gort_deadline(50 * GORT_MICROSECOND)); break;
		case 3: gort_chan_try_send(c, &v); break;
		case 4: gort_set_name("a storm"); break;
		default:
			/* goroutines that end while they are looked at, on stacks of their own too */
			count_up(&storm_out);
			{
				gort_attr a = GORT_ATTR_INIT;

				a.stack_max = test_random(&rnd) % 4 == 0 ? 1 << 20 : 0;
				if (gort_go_attr(&a, storms, c) == 0)
					return;
			}
			__atomic_add_fetch(&storm_out, -1, __ATOMIC_SEQ_CST);
			break;
		}
	}
	count_up(&storm_out);
}

static void asks_often(void *arg)
{
	for (int i = 0; i < (int)test_scale_min(10, 3); i++) {
		char *all = traceback();

		expect(strstr(all, " [running]:\n") != NULL);
		free(all);
	}
	count_up(&asked_out);
}

GO_TEST(several_threads_ask_at_once_in_a_storm)
{
	gort_chan *c = gort_chan_new(sizeof(int), 4);
	pthread_t t[3];
	int n = 50;

	storm_stop = storm_out = asked_out = 0;
	for (int i = 0; i < n; i++)
		spawn(storms, c);
	for (int i = 0; i < 3; i++)
		t[i] = thread_start(asks_often, NULL);
	spawn(asks_often, NULL);
	await_count(&asked_out, 4);
	set(&storm_stop, 1);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	while (gort_num_goroutine() > 1)
		gort_sleep(GORT_MILLISECOND);
	gort_chan_unref(c);
}

/* --- garbage --- */

#ifdef __x86_64__
/* Calls fn with the frame pointer set to what fp says. No tables tell of it. */
void test_traceback_wild(void (*fn)(void), uintptr_t fp);
__asm__(".text\n"
	".globl test_traceback_wild\n"
	".type test_traceback_wild, @function\n"
	"test_traceback_wild:\n"
	"	pushq %rbp\n"
	"	movq %rsi, %rbp\n"
	"	call *%rdi\n"
	"	popq %rbp\n"
	"	ret\n"
	".size test_traceback_wild, . - test_traceback_wild\n");

static void recv_wild(void)
{
	gort_chan_recv(w.c, NULL);
	KEEP_FRAME();
}

static void goes_wild(void *arg)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	const uintptr_t wild[] = {
		0, 1, 8, UINTPTR_MAX, UINTPTR_MAX - 7, (uintptr_t)1 << 63, here, here - 8, here + 8, here + 3, here + 4096,
		here - 100000, here + ((uintptr_t)1 << 40), (uintptr_t)&w, (uintptr_t)recv_wild, 0x0000800000000000,
	};

	gort_set_name("wild");
	for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
		test_traceback_wild(recv_wild, wild[i]);
		count_up(&w.out);
	}
	count_up(&w.out);
}

GO_TEST(garbage_in_the_frame_pointer_does_no_harm)
{
	memset(&w, 0, sizeof w);
	w.c = gort_chan_new(0, 0);
	spawn(goes_wild, NULL);
	for (int i = 0; i < 16; i++) {
		char *all;

		await_count(&w.out, i);
		all = traceback();
		expect(shows(all, "\"wild\"", "goroutine "));
		free(all);
		gort_chan_send(w.c, NULL);
	}
	await_count(&w.out, 17);
	gort_chan_unref(w.c);
}
#endif

GO_TEST(a_wild_name_stays_on_its_line)
{
	char *all;

	gort_set_name("a\n\"b\t\x01");
	all = traceback();
	expect(strstr(all, "\"a??b??\" [running]:\n") != NULL);
	free(all);
	gort_set_name(NULL);
}

/* --- how long --- */

static void parks_long(void *arg)
{
	gort_set_name("long");
	task_here(arg);
	gort_park(NULL, NULL, "a \"reason\"\n");
	task_done(arg);
}

/* The clock that it is compared with counts whole seconds, from one. */
GO_TEST(a_long_wait_is_noticed_and_shown_in_minutes)
{
	struct task t = { 0 };
	uint32_t now = (uint32_t)(gort_now() / GORT_SECOND) + 1;
	char *all;

	spawn(parks_long, &t);
	await_parked(&t);
	all = traceback();
	expect(strstr(all, "\"long\" [a ?reason??]:\n") != NULL);
	free(all);
	while (gort__load_relaxed(&t.g->ctx.seen) == 0)
		gort_sleep(10 * GORT_MILLISECOND);
	expect(gort__load_relaxed(&t.g->ctx.seen) >= now);
	if (now > 200) {
		gort__store_relaxed(&t.g->ctx.seen, now - 150);
		all = traceback();
		expect(strstr(all, "\"long\" [a ?reason??, 2 minutes]:\n") != NULL);
		free(all);
	}
	gort_ready(t.g);
	await_done(&t);
}

/* --- where it is written to --- */

GO_TEST(what_cannot_be_written_is_an_error)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), p[2];

	expect_eq(gort_traceback(-1), -EBADF);
	if (full >= 0)
		expect_eq(gort_traceback(full), -ENOSPC);
	close(full);
	expect_eq(pipe(p), 0);
	close(p[0]);
	expect_eq(gort_traceback(p[1]), -EPIPE);        /* and no SIGPIPE */
	close(p[1]);
}

static void empties(void *arg)
{
	char buf[512];
	int fd = *(int *)arg;

	while (read(fd, buf, sizeof buf) > 0)
		;
}

GO_TEST(a_full_pipe_is_waited_for)
{
	int p[2];
	pthread_t t;

	start_many(500);
	expect_eq(pipe(p), 0);
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	t = thread_start(empties, &p[0]);
	expect_eq(gort_traceback(p[1]), 0);
	close(p[1]);
	thread_join(t);
	close(p[0]);
	end_many(500);
}

static int before_start(void)
{
	int e = gort_traceback(2);

	fprintf(stderr, "%d", e);
	return 0;
}

START_TEST(before_the_scheduler_has_started_there_is_nothing)
{
	static struct child_result c;

	test_run_child(&c, "before_start", NULL, 120);
	ck_assert_str_eq(c.err, "0");
}
END_TEST

/* --- before the end --- */

static __attribute__((noinline)) long recurse(long n)
{
	volatile char frame[128];

	frame[0] = frame[127] = (char)n;
	return n == 0 ? 0 : recurse(n - 1) + frame[0] + frame[127];
}

static void too_deep(void *arg)
{
	gort_set_name("too deep");
	recurse(1L << 40);
	KEEP_FRAME();
}

static int overflow_main(void *arg)
{
	gort_attr a = GORT_ATTR_INIT;

	start_many(3);
	a.stack_max = 1 << 20;
	gort_go_attr(&a, too_deep, NULL);
	gort_park(NULL, NULL, "test");
	return 0;
}

static int overflow(void)
{
	return gort_run(overflow_main, NULL);
}

START_TEST(stack_overflow_shows_the_deep_one_first_and_cut)
{
	static struct child_result c;
	char *part;

	test_run_child(&c, "overflow", NULL, 120);
	ck_assert_msg(c.exited && c.status == 2, "status %d: %s", c.status, c.err);
	part = strstr(c.err, "fatal error: stack overflow\n\ngoroutine ");
	ck_assert_msg(part != NULL, "%s", c.err);
	ck_assert_msg(strstr(part, " \"too deep\" [running]:\n") == strchr(part + 40, ' '), "%s", part);
	ck_assert_msg(strstr(part, " frames elided...\n") != NULL, "%s", part);
	ck_assert_int_eq(test_count_lines(part, "\"one of many\""), 3);
	if (TEST_SYMBOLS) {
		ck_assert_int_ge(test_count_lines(part, "recurse"), 30);
		ck_assert_int_le(test_count_lines(part, "recurse"), 60);
		ck_assert_msg(strstr(part, "too_deep") != NULL, "%s", part);
	}
}
END_TEST

static int panic_main(void *arg)
{
	gort_chan *c = gort_chan_new(0, 0);

	gort_set_name("closer");
	start_many(300);
	gort_chan_close(c);
	gort_chan_close(c);
	return 0;
}

static int panics(void)
{
	return gort_run(panic_main, NULL);
}

START_TEST(a_panic_shows_its_goroutine_first_and_a_hundred_in_all)
{
	static struct child_result c;
	char *part;

	test_run_child(&c, "panics", NULL, 120);
	ck_assert_msg(c.exited && c.status == 2, "status %d: %s", c.status, c.err);
	part = strstr(c.err, "panic: close of closed channel\n\ngoroutine ");
	ck_assert_msg(part != NULL, "%s", c.err);
	part = strstr(part, "goroutine ");
	/* its frames are those of the panic, although they have been left by then */
	ck_assert_msg(strstr(part, "\"closer\" [running]:\n") == strchr(part, '"'), "%.2000s", part);
	if (TEST_SYMBOLS) {
		ck_assert_msg(shows(part, "\"closer\"", "[running]:\ngort_chan_close(...)"), "%.2000s", part);
		ck_assert_msg(shows(part, "\"closer\"", "panic_main(...)"), "%.2000s", part);
	}
	ck_assert_int_eq(test_count_lines(part, "\"one of many\""), 99);
	/* 201 and the thread that waits in gort_run */
	ck_assert_msg(strstr(part, "\n...202 more\n") != NULL, "%s", part);
}
END_TEST

static int bad_close(void *arg)
{
	gort_chan_close(NULL);
	return 0;
}

static void runs_bad_close(void *arg)
{
	gort_run(bad_close, NULL);
}

static int two_panics_main(void *arg)
{
	for (int i = 0; i < 20; i++)
		spawn(runs_bad_close, NULL);
	gort_park(NULL, NULL, "test");
	return 0;
}

static int two_panics(void)
{
	return gort_run(two_panics_main, NULL);
}

START_TEST(of_many_panics_at_once_one_ends_the_process)
{
	test_child_says("two_panics", NULL, 2, "panic: close of nil channel");
}
END_TEST

/* The dynamic linker's lock is held by the one that dies, so nobody can turn an address into a name. */
static int in_linker(struct dl_phdr_info *info, size_t size, void *arg)
{
	recurse(1L << 40);
	return 0;
}

static void too_deep_locked(void *arg)
{
	dl_iterate_phdr(in_linker, NULL);
	KEEP_FRAME();
}

static int locked_main(void *arg)
{
	gort_attr a = GORT_ATTR_INIT;

	a.stack_max = 1 << 20;
	gort_go_attr(&a, too_deep_locked, NULL);
	gort_park(NULL, NULL, "test");
	return 0;
}

static int locked(void)
{
	return gort_run(locked_main, NULL);
}

START_TEST(a_traceback_that_hangs_does_not_keep_the_process)
{
	test_child_says("locked", NULL, 2, "fatal error: stack overflow");
}
END_TEST

/* --- SIGQUIT --- */

static int quit_main(void *arg)
{
	gort_set_name("quits");
	start_many(200);
	if (arg != NULL)
		start_loop();
	raise(SIGQUIT);
	gort_park(NULL, NULL, "the end");
	return 0;
}

static int quits(void)
{
	return gort_run(quit_main, NULL);
}

static int quits_busy(void)
{
	return gort_run(quit_main, &w);
}

START_TEST(SIGQUIT_shows_all_and_exits_with_status_2)
{
	static const char *const env[] = { "GORT_DEBUG=traceback=quit", NULL };
	static const char *const names[] = { "quits", "quits_busy" };
	static struct child_result c;

	for (int i = 0; i < 2; i++) {
		test_run_child(&c, names[i], env, 120);
		ck_assert_msg(c.exited && c.status == 2, "status %d: %s", c.status, c.err);
		ck_assert_msg(strncmp(c.err, "SIGQUIT: quit\n\ngoroutine ", 25) == 0, "%s", c.err);
		ck_assert_int_eq(test_count_lines(c.err, "\"one of many\""), 200);
		ck_assert_msg(strstr(c.err, "\"quits\" [") != NULL, "%s", c.err);
	}
}
END_TEST

START_TEST(without_the_word_SIGQUIT_is_what_it_was)
{
	static struct child_result c;

	signal(SIGQUIT, SIG_DFL);       /* ignored, where the tests run in the background of a script */
	test_run_child(&c, "quits", NULL, 120);
	ck_assert_msg(!c.exited && c.status == SIGQUIT, "status %d: %s", c.status, c.err);
	ck_assert_str_eq(c.err, "");
}
END_TEST

/* --- schedtrace --- */

static int sleeps_a_little(void)
{
	gort_yield();
	gort_sleep(500 * GORT_MILLISECOND);
	return 0;
}

START_TEST(schedtrace_prints_a_line_now_and_then)
{
	static const char *const env[] = { "GOMAXPROCS=2", "GORT_DEBUG=schedtrace=50", NULL };
	static struct child_result c;
	const char *last;
	int ms, n;

	test_run_child(&c, "sleeps_a_little", env, 120);
	ck_assert_msg(c.exited && c.status == 0, "status %d: %s", c.status, c.err);
	n = test_count_lines(c.err, "SCHED ");
	ck_assert_msg(n >= 2, "%s", c.err);
	ck_assert_msg(sscanf(c.err, "SCHED %dms: gomaxprocs=2 idleprocs=", &ms) == 1 && ms == 0, "%s", c.err);
	ck_assert_msg(strstr(c.err, " runqueue=0 [0 0]\n") != NULL, "%s", c.err);
	/* late ones are not made up for */
	last = strrchr(c.err, 'S');
	ck_assert_msg(sscanf(last, "SCHED %dms", &ms) == 1 && ms >= 50 * (n - 1), "%s", c.err);
}
END_TEST

static int sinking;     /* how deep */

static __attribute__((noinline)) void deep_panic(int n)
{
	if (get(&sinking) > n)
		deep_panic(n + 1);
	else if (get(&sinking) == n)
		gort_panic("down here");
	KEEP_FRAME();
}

static void says(void *arg)
{
	fprintf(stderr, "%s\n", (const char *)arg);
}

static void calls_deep(void *arg)
{
	gort_set_name("digger");
	gort_defer(says, (void *)"deferred");
	set(&sinking, *(int *)arg);
	deep_panic(0);
	KEEP_FRAME();
}

/* Within a gort_call, which it does not end at. */
static void calls_deep_in_call(void *arg)
{
	gort_call(calls_deep, arg);
	KEEP_FRAME();
}

static int panics_deep_main(void *arg)
{
	static int depths[] = { 3, 1000 };

	spawn(calls_deep, &depths[0]);
	while (gort_num_goroutine() > 1)
		gort_yield();
	spawn(calls_deep_in_call, &depths[1]);
	while (gort_num_goroutine() > 1)
		gort_yield();
	return 7;
}

static int panics_deep(void)
{
	return gort_run(panics_deep_main, NULL);
}

START_TEST(a_panic_that_ends_its_goroutine_shows_where_it_began)
{
	static struct child_result c;
	const char *first, *second;

	test_run_child(&c, "panics_deep", NULL, 120);
	ck_assert_msg(c.exited && c.status == 7, "status %d: %s", c.status, c.err);
	first = strstr(c.err, "deferred\npanic: down here\n\ngoroutine ");
	ck_assert_msg(first != NULL, "%s", c.err);
	second = strstr(first + 1, "deferred\npanic: down here\n\ngoroutine ");
	ck_assert_msg(second != NULL, "%s", c.err);
	ck_assert_int_eq(test_count_lines(c.err, " \"digger\" [running]:"), 2);
	ck_assert_int_eq(test_count_lines(second, " frames elided..."), 1);
	if (TEST_SYMBOLS) {
		ck_assert_int_eq(test_count_lines(c.err, "gort_panic(...)"), 2);
		ck_assert_int_eq(test_count_lines(first, "deep_panic(...)") - test_count_lines(second, "deep_panic(...)"), 4);
		ck_assert_int_eq(test_count_lines(first, "calls_deep(...)"), 2);
		ck_assert_int_eq(test_count_lines(first, "calls_deep_in_call(...)"), 1);
		ck_assert_int_eq(test_count_lines(first, "gort__landing_call(...)"), 0);
	}
}
END_TEST

static const struct test_child children[] = {
	{ "before_start", before_start },
	{ "fresh", fresh },
	{ "overflow", overflow },
	{ "panics", panics },
	{ "panics_deep", panics_deep },
	{ "two_panics", two_panics },
	{ "locked", locked },
	{ "quits", quits },
	{ "quits_busy", quits_busy },
	{ "sleeps_a_little", sleeps_a_little },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "traceback", children);
	if (test_valgrind()) {
		test_skip("all but two of these", "an unwinder looks at words of a stack that nobody has written, and valgrind says so");
		test_add(&s, before_the_scheduler_has_started_there_is_nothing);
		test_add(&s, schedtrace_prints_a_line_now_and_then);
		return test_end(&s);
	}
	test_add(&s, the_caller_comes_first_and_is_running);
	test_add(&s, waiting_goroutines_are_shown_with_name_reason_and_frames);
	test_add(&s, a_plain_thread_may_ask);
	test_add(&s, a_plain_thread_that_waits_is_shown);
	test_add(&s, goroutines_that_have_not_run_are_shown_with_their_function);
	if (TEST_TSAN || test_valgrind())
		test_skip("a_goroutine_that_computes_is_shown_where_it_is", "signals come when the thread calls something");
	else
		test_add(&s, a_goroutine_that_computes_is_shown_where_it_is);
	test_add(&s, a_program_that_uses_SIGURG_keeps_it);
	test_add(&s, a_system_call_is_shown_and_not_disturbed);
	test_add(&s, a_thousand_goroutines_are_all_there_in_order);
	test_add(&s, several_threads_ask_at_once_in_a_storm);
#ifdef __x86_64__
	test_add(&s, garbage_in_the_frame_pointer_does_no_harm);
#else
	test_skip("garbage_in_the_frame_pointer_does_no_harm", "needs a few lines of assembly for this processor");
#endif
	test_add(&s, a_wild_name_stays_on_its_line);
	test_add(&s, a_long_wait_is_noticed_and_shown_in_minutes);
	test_add(&s, what_cannot_be_written_is_an_error);
	test_add(&s, a_full_pipe_is_waited_for);
	test_add(&s, before_the_scheduler_has_started_there_is_nothing);
	test_add(&s, stack_overflow_shows_the_deep_one_first_and_cut);
	test_add(&s, a_panic_shows_its_goroutine_first_and_a_hundred_in_all);
	test_add(&s, a_panic_that_ends_its_goroutine_shows_where_it_began);
	test_add(&s, of_many_panics_at_once_one_ends_the_process);
	test_add(&s, a_traceback_that_hangs_does_not_keep_the_process);
	test_add(&s, SIGQUIT_shows_all_and_exits_with_status_2);
	test_add(&s, without_the_word_SIGQUIT_is_what_it_was);
	test_add(&s, schedtrace_prints_a_line_now_and_then);
	return test_end(&s);
}
