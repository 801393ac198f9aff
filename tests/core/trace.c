/* SPDX-License-Identifier: MIT */
/* The trace: a file that tells of spawns, runs, waits and Ps taken back, and misuse. */
#include "test.h"

#include <gort/chan.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_P 64

static char path[64];

static void new_path(void)
{
	int fd;

	snprintf(path, sizeof path, "/tmp/gort-trace-XXXXXX");
	fd = mkstemp(path);
	expect(fd >= 0);
	close(fd);
}

struct told {
	long runs, stops, spawns, retakes, steals, waits, odd;
	bool complete;
};

/* One event a line: what they are, and whether each P's runs and stops take turns. */
static struct told read_trace(void)
{
	struct told t = { 0 };
	bool runs[MAX_P], seen[MAX_P] = { false };
	FILE *f = fopen(path, "re");
	char line[512];

	expect(f != NULL);
	expect(fgets(line, sizeof line, f) != NULL && strcmp(line, "[\n") == 0);
	while (fgets(line, sizeof line, f) != NULL) {
		const char *at = strstr(line, "\"tid\":");
		unsigned p = at != NULL ? (unsigned)atoi(at + 6) : 0;

		if (strcmp(line, "]\n") == 0) {
			t.complete = true;
			break;
		}
		if (at == NULL || p >= MAX_P || line[0] != '{') {
			t.odd++;
		} else if (strstr(line, "\"ph\":\"B\"") != NULL) {
			t.runs++;
			t.odd += seen[p] && runs[p];
			runs[p] = true;
		} else if (strstr(line, "\"ph\":\"E\"") != NULL) {
			t.stops++;
			t.odd += seen[p] && !runs[p];   /* what ran when the trace began has no beginning in it */
			runs[p] = false;
			t.waits += strstr(line, "\"why\":\"chan receive\"") != NULL;
		} else {
			t.spawns += strstr(line, "\"name\":\"go G") != NULL;
			t.retakes += strstr(line, "\"name\":\"retake\"") != NULL;
			t.steals += strstr(line, "\"name\":\"steal\"") != NULL;
			continue;
		}
		if (p < MAX_P)
			seen[p] = true;
	}
	fclose(f);
	unlink(path);
	return t;
}

static int done, stop;

static void receives(void *arg)
{
	gort_set_name("say \"hello\"\n");
	while (gort_chan_recv(arg, NULL) == 0)
		;
	count_up(&done);
}

static int tells_main(void *arg)
{
	gort_chan *c = gort_chan_new(0, 0);
	struct told t;

	new_path();
	expect_eq(gort_trace_start(path), 0);
	expect_eq(gort_trace_start(path), -EBUSY);
	for (int i = 0; i < 10; i++)
		spawn(receives, c);
	for (int i = 0; i < 200; i++)
		gort_chan_send(c, NULL);
	gort_chan_close(c);
	await_count(&done, 10);
	expect_eq(gort_trace_stop(), 0);
	expect_eq(gort_trace_stop(), -EINVAL);
	t = read_trace();
	return t.complete && t.odd == 0 && t.spawns >= 10 && t.runs >= 10 && t.stops >= 10 && t.waits >= 1 ? 33 : 1;
}

/* On one P that nobody takes, so that all of it is in one ring, in order. */
static int tells(void)
{
	return gort_run(tells_main, NULL);
}

static void loops(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		;
	count_up(&done);
}

GO_TEST(a_P_taken_back_is_in_the_trace)
{
	int was = gort_set_maxprocs(1);
	struct told t;

	new_path();
	set(&stop, 0);
	set(&done, 0);
	expect_eq(gort_trace_start(path), 0);
	spawn(loops, NULL);
	gort_yield();
	gort_sleep(GORT_MILLISECOND);
	set(&stop, 1);
	await_count(&done, 1);
	expect_eq(gort_trace_stop(), 0);
	t = read_trace();
	expect(t.complete && t.retakes >= 1);
	gort_set_maxprocs(was);
}

static void works(void *arg)
{
	for (int i = 0; i < 200; i++) {
		gort_yield();
		if (i % 50 == 0)
			gort_sleep(10 * GORT_MICROSECOND);
	}
	count_up(&done);
}

GO_TEST(traces_begin_and_end_while_others_run)
{
	long rounds = test_scale_min(20, 4);

	set(&done, 0);
	for (long i = 0; i < rounds; i++) {
		struct told t;

		for (int k = 0; k < 50; k++)
			spawn(works, NULL);
		new_path();
		expect_eq(gort_trace_start(path), 0);
		gort_sleep(GORT_MILLISECOND);
		expect_eq(gort_trace_stop(), 0);
		t = read_trace();
		expect(t.complete);
	}
	await_count(&done, (int)(50 * rounds));
}

THREAD_TEST(what_cannot_be_written_is_an_error)
{
	expect_eq(gort_trace_start(NULL), -EINVAL);
	expect_eq(gort_trace_start(""), -EINVAL);
	expect_eq(gort_trace_start("/nowhere/to/be/found"), -ENOENT);
	expect_eq(gort_trace_stop(), -EINVAL);
	if (access("/dev/full", W_OK) == 0) {
		expect_eq(gort_trace_start("/dev/full"), 0);
		expect_eq(gort_trace_stop(), -ENOSPC);
	}
}

static int nothing(void *arg)
{
	gort_yield();
	return 0;
}

static int whole(void)
{
	gort_run(nothing, NULL);
	exit(0);
}

static const struct test_child children[] = { { "tells", tells }, { "whole", whole }, { NULL, NULL } };

START_TEST(spawns_runs_and_waits_are_in_the_trace)
{
	test_child_says("tells", test_one_at_a_time, 33, "");
}
END_TEST

START_TEST(the_environment_may_ask_for_a_trace_of_the_whole_program)
{
	static char word[96];
	const char *env[] = { word, NULL };
	struct told t;

	new_path();
	snprintf(word, sizeof word, "GORT_DEBUG=trace=%s", path);
	test_child_says("whole", env, 0, "");
	t = read_trace();
	expect(t.complete && t.runs > 0);
	test_assert();
	snprintf(word, sizeof word, "GORT_DEBUG=trace=/nowhere/at/all");
	test_child_says("whole", env, 0, "gort: no trace to /nowhere/at/all: ");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "trace", children);
	test_add(&s, spawns_runs_and_waits_are_in_the_trace);
	test_add(&s, a_P_taken_back_is_in_the_trace);
	test_add(&s, traces_begin_and_end_while_others_run);
	test_add(&s, what_cannot_be_written_is_an_error);
	test_add(&s, the_environment_may_ask_for_a_trace_of_the_whole_program);
	return test_end(&s);
}
