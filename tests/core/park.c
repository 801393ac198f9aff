/* SPDX-License-Identifier: MIT */
/* Park, ready and tickets: what primitives are built from. */
#include "test.h"

struct waiter {
	struct task task;
	gort_g *g;              /* published by commit; atomic */
	uint64_t ticket;
	int commits;
	int result;
	gort_time deadline;
};

static bool publish(gort_g *g, void *arg)
{
	struct waiter *w = arg;

	w->commits++;
	w->ticket = gort_park_ticket(g);
	set(&w->g, g);
	return true;
}

static void parks(void *arg)
{
	struct waiter *w = arg;

	expect(gort_self() != NULL);
	gort_park(publish, w, "test");
	task_done(&w->task);
}

static gort_g *await_published(struct waiter *w)
{
	while (get(&w->g) == NULL)
		gort_yield();
	return get(&w->g);
}

GO_TEST(ready_wakes_the_parked)
{
	for (int i = 0; i < 1000; i++) {
		struct waiter w = { .result = 0 };

		spawn(parks, &w);
		gort_ready(await_published(&w));
		await_done(&w.task);
		expect_eq(w.commits, 1);
	}
}

static bool refuses(gort_g *g, void *arg)
{
	++*(int *)arg;
	return false;
}

GO_TEST(a_commit_that_answers_no_does_not_park)
{
	int n = 0;

	for (int i = 0; i < 100; i++)
		gort_park(refuses, &n, "test");
	expect_eq(n, 100);
	expect_eq(gort_park_until(refuses, &n, "test", gort_deadline(GORT_HOUR)), 0);
	expect_eq(n, 101);
}

static bool wakes_itself(gort_g *g, void *arg)
{
	*(bool *)arg = gort_try_ready(g, gort_park_ticket(g));
	return true;
}

GO_TEST(a_goroutine_made_ready_in_its_own_commit_goes_on)
{
	for (int i = 0; i < 1000; i++) {
		bool woke = false;

		if (i % 2)
			gort_park(wakes_itself, &woke, "test");
		else
			expect_eq(gort_park_until(wakes_itself, &woke, "test", gort_deadline(GORT_HOUR)), 0);
		expect(woke);
	}
}

THREAD_TEST(a_plain_thread_parks_too)
{
	bool woke = false;
	int n = 0;
	gort_time until = gort_deadline(2 * GORT_MILLISECOND);

	gort_park(wakes_itself, &woke, "test");
	expect(woke);
	gort_park(refuses, &n, "test");
	expect_eq(n, 1);
	expect_eq(gort_park_until(NULL, NULL, "test", until), -ETIMEDOUT);
	expect(gort_now() >= until);
}

GO_TEST(a_plain_thread_is_woken_by_a_goroutine)
{
	for (int i = 0; i < 100; i++) {
		struct waiter w = { .result = 0 };
		pthread_t t = thread_start(parks, &w);

		gort_ready(await_published(&w));
		thread_join(t);
		expect_eq(w.commits, 1);
	}
}

static void readies(void *arg)
{
	struct waiter *w = arg;

	gort_ready(await_published(w));
}

GO_TEST(a_goroutine_is_woken_by_a_plain_thread)
{
	for (int i = 0; i < 100; i++) {
		struct waiter w = { .result = 0 };
		pthread_t t = thread_start(readies, &w);

		gort_park(publish, &w, "test");
		thread_join(t);
		expect_eq(w.commits, 1);
	}
}

GO_TEST(a_passed_deadline_neither_parks_nor_commits)
{
	struct waiter w = { .result = 0 };

	expect_eq(gort_park_until(publish, &w, "test", gort_now()), -ETIMEDOUT);
	expect_eq(gort_park_until(publish, &w, "test", 0), -ETIMEDOUT);
	expect_eq(gort_park_until(publish, &w, "test", INT64_MIN), -ETIMEDOUT);
	expect_eq(w.commits, 0);
}

GO_TEST(a_deadline_ends_a_park_and_is_never_early)
{
	for (int i = 0; i < 20; i++) {
		struct waiter w = { .result = 0 };
		gort_time until = gort_deadline(i * 100 * GORT_MICROSECOND + 1);

		expect_eq(gort_park_until(publish, &w, "test", until), -ETIMEDOUT);
		expect(gort_now() >= until);
		/* the ticket is worth nothing any more */
		if (w.commits > 0)
			expect(!gort_try_ready(w.g, w.ticket));
	}
}

static void parks_until(void *arg)
{
	struct waiter *w = arg;

	w->result = gort_park_until(publish, w, "test", w->deadline);
	task_done(&w->task);
}

struct crowd {
	struct waiter *w;
	int go, wins, done;
};

static void tries(void *arg)
{
	struct crowd *c = arg;
	gort_g *g = await_published(c->w);

	while (!get(&c->go))
		gort_yield();
	if (gort_try_ready(g, c->w->ticket))
		count_up(&c->wins);
	count_up(&c->done);
}

GO_TEST(of_several_wakers_exactly_one_wins)
{
	for (long i = 0; i < test_scale(300); i++) {
		struct waiter w = { .deadline = GORT_FOREVER };
		struct crowd c = { .w = &w };

		for (int k = 0; k < 4; k++)
			spawn(tries, &c);
		spawn(parks_until, &w);
		await_published(&w);
		set(&c.go, 1);
		await_count(&c.done, 4);
		await_done(&w.task);
		expect_eq(c.wins, 1);
		expect_eq(w.result, 0);
		expect(!gort_try_ready(w.g, w.ticket));
	}
}

GO_TEST(an_old_ticket_wakes_no_later_park)
{
	struct waiter w = { .deadline = GORT_FOREVER };
	uint64_t old;

	spawn(parks_until, &w);
	await_published(&w);
	expect(gort_try_ready(w.g, w.ticket));
	await_done(&w.task);
	old = w.ticket;
	/* the descriptor is used again, by this one or another: its ticket is another */
	for (int i = 0; i < 50; i++) {
		struct waiter v = { .deadline = GORT_FOREVER };

		spawn(parks_until, &v);
		await_published(&v);
		expect(!gort_try_ready(w.g, old));
		expect(!gort_try_ready(v.g, v.ticket + 1));
		expect(!gort_try_ready(v.g, 0));
		expect(!get(&v.task.done));
		expect(gort_try_ready(v.g, v.ticket));
		await_done(&v.task);
	}
}

/* --- errno --- */

/* Not inlined and not pure, so that the compiler looks errno's address up again: the goroutine may have moved. */
static __attribute__((noinline)) int read_errno(void)
{
	__asm__ volatile("");
	return errno;
}

static __attribute__((noinline)) void write_errno(int e)
{
	__asm__ volatile("");
	errno = e;
}

struct keeper {
	int me;
	int *done;
};

static void keeps_errno(void *arg)
{
	struct keeper *k = arg;

	for (int i = 0; i < 200; i++) {
		int e = 1 + (k->me * 200 + i) % 120;

		write_errno(e);
		switch (i % 4) {
		case 0: gort_sleep(10 * GORT_MICROSECOND); break;
		case 1: (void)!gort_park_until(NULL, NULL, "errno", gort_deadline(GORT_MICROSECOND)); break;
		default: gort_yield(); break;
		}
		expect_eq(read_errno(), e);
	}
	count_up(k->done);
}

GO_TEST(errno_survives_parks)
{
	struct keeper k[20];
	int done = 0;

	for (int i = 0; i < 20; i++) {
		k[i] = (struct keeper){ i, &done };
		spawn(keeps_errno, &k[i]);
	}
	await_count(&done, 20);
}

/* A spawn takes memory and maps; none of that may show. */
static void nothing(void *arg)
{
}

THREAD_TEST(calls_leave_errno_alone)
{
	write_errno(77);
	spawn(nothing, NULL);
	expect_eq(read_errno(), 77);
	gort_yield();
	gort_sleep(GORT_MICROSECOND);
	gort_set_maxprocs(3);
	expect_eq(read_errno(), 77);
	gort_strerror(-EPIPE);
	gort_strerror(-12345);
	gort_num_goroutine();
	expect_eq(read_errno(), 77);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "park", NULL);
	test_add(&s, ready_wakes_the_parked);
	test_add(&s, a_commit_that_answers_no_does_not_park);
	test_add(&s, a_goroutine_made_ready_in_its_own_commit_goes_on);
	test_add(&s, a_plain_thread_parks_too);
	test_add(&s, a_plain_thread_is_woken_by_a_goroutine);
	test_add(&s, a_goroutine_is_woken_by_a_plain_thread);
	test_add(&s, a_passed_deadline_neither_parks_nor_commits);
	test_add(&s, a_deadline_ends_a_park_and_is_never_early);
	test_add(&s, of_several_wakers_exactly_one_wins);
	test_add(&s, an_old_ticket_wakes_no_later_park);
	test_add(&s, errno_survives_parks);
	test_add(&s, calls_leave_errno_alone);
	return test_end(&s);
}
