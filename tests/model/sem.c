/* SPDX-License-Identifier: MIT */
/*
 * The semaphore of libgort-sync, compiled as it is: its word, which changes without a lock while nobody waits, against the
 * queue under the table's lock. Of one unit each section counts in plain memory, so two at once are a data race; of more, what
 * is held is added up. A wakeup that is lost is a deadlock; and at the end nothing is taken and nobody queued.
 */
#include "waitqueue.h"

#include "../../libgort-sync/src/sem.c"

static gort_sem s;
static uint32_t data;           /* written by those who have the whole */
static uint32_t held;

static void show_taken(char *buf, size_t size, uint64_t taken)
{
	snprintf(buf, size, "%u%s", (unsigned)(taken & ~WAITERS), taken & WAITERS ? "+W" : "");
}

static void setup_of(int64_t n)
{
	waitqueue_setup();
	memset(&s, 0, sizeof s);
	s.size = n;
	queues[0] = (struct sync_waiter **)&s.waiters;
	data = held = 0;
	model_name(&s.taken, "taken", show_taken);
	model_name(&data, "data", NULL);
	model_name(&held, "held", NULL);
}

static void setup_one(void)
{
	setup_of(1);
}

static void setup_two(void)
{
	setup_of(2);
}

static void finish(void)
{
	model_assert(s.taken == 0);
	model_assert(s.waiters == NULL);
	model_assert(held == 0);
}

static void section(uint32_t n)
{
	if ((int64_t)n == s.size) {
		gort__plain_write(&data, gort__plain_read(&data) + 1);
	} else {
		model_assert(gort__add_relaxed(&held, n) + n <= (uint32_t)s.size);
		gort__add_relaxed(&held, -n);
	}
	gort_sem_release(&s, n);
}

static void one(void)
{
	gort_sem_acquire(&s, 1);
	section(1);
}

static void one_twice(void)
{
	one();
	one();
}

static void both(void)
{
	gort_sem_acquire(&s, 2);
	section(2);
}

static void tries(void)
{
	if (gort_sem_try_acquire(&s, 1))
		section(1);
}

static void until(int64_t n)
{
	if (gort_sem_acquire_until(&s, n, 1) == 0)
		section((uint32_t)n);
}

static void one_until(void)
{
	until(1);
}

static void both_until(void)
{
	until(2);
}

/* Whose deadline passes at some time, or has not begun. */
static void timer(void)
{
	deadline_passes(gort__load_acquire(&armed));
}

/* --- faults --- */

static void relaxed_word(void)
{
	model_demote(&s.taken, MODEL_RMWS);
}

static void split_word(void)
{
	model_split(&s.taken);
}

static void relaxed_grant(void)
{
	model_demote(&s.taken, MODEL_STORES);
}

static void without_wakes(void)
{
	drop_wakes = true;
}

static void without_lock(void)
{
	drop_lock = true;
}

#define THREADS(...) { __VA_ARGS__ }

static const model_test tests[] = {
	{ "one unit, two threads, twice", setup_one, THREADS({ "one", one_twice }, { "two", one_twice }), finish, .alike = 2 },
	{ "one unit, three threads", setup_one, THREADS({ "one", one }, { "two", one }, { "three", one }), finish, .alike = 3 },
	{ "one unit, two threads and one that tries", setup_one, THREADS({ "one", one }, { "two", one }, { "three", tries }), finish },
	{ "one unit, one with a deadline", setup_one, THREADS({ "one", one }, { "two", one_until }, { "timer", timer }), finish },
	{ "one unit, one with a deadline and one that tries", setup_one,
	  THREADS({ "one", one }, { "two", one_until }, { "timer", timer }, { "four", tries }), finish, .lengthy = true },
	{ "two units, one who wants both", setup_two, THREADS({ "one", one }, { "two", both }, { "three", one }), finish },
	{ "two units, two who want both", setup_two, THREADS({ "one", one }, { "two", both }, { "three", both }), finish, .alike = 2 },
	{ "two units, one who gives up on both before one", setup_two,
	  THREADS({ "one", one }, { "two", both_until }, { "timer", timer }, { "four", one }), finish, .lengthy = true },

	{ "fault: the word orders nothing", setup_one, THREADS({ "one", one }, { "two", one }), finish, relaxed_word, "data race" },
	{ "fault: the word's changes are not atomic", setup_one, THREADS({ "one", one }, { "two", one }), finish, split_word, "" },
	{ "fault: what is granted orders nothing", setup_one,
	  THREADS({ "one", one }, { "two", one_until }, { "timer", timer }, { "four", tries }), finish, relaxed_grant, "data race" },
	{ "fault: nobody is woken", setup_one, THREADS({ "one", one }, { "two", one }), finish, without_wakes, "deadlock" },
	{ "fault: without the table's lock", setup_one, THREADS({ "one", one }, { "two", one }, { "three", one }), finish, without_lock,
	  "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
