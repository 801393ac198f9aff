/* SPDX-License-Identifier: MIT */
/*
 * The mutex of libgort-sync, compiled as it is, where it is full: its word against the queue under the table's lock. Each section
 * counts in plain memory, so two at once are a data race; a wakeup that is lost is a deadlock; and at the end nothing is left.
 * How a plain one becomes full is in turn.c.
 */
#include "waitqueue.h"

void gort__mutex_adopt(gort_mutex *m, struct sync_waiter *list);
void gort__mutex_adopted(gort__m *mp, gort_mutex *m, struct sync_waiter *w);
void gort__mutex_hand_over(gort_mutex *m);
void gort__mutex_keep(gort_mutex *m);

#include "../../libgort-sync/src/turn.c"

#include "../../libgort-sync/src/mutex.c"

/* --- the threads --- */

static gort_mutex m;
static uint32_t data;
static struct sync_waiter signalled;    /* of a condition variable */
static uint32_t waiting;

static void show_state(char *buf, size_t size, uint64_t s)
{
	snprintf(buf, size, "%s%s%s%s%s", s & LOCKED ? "L" : "", s & WAITERS ? "W" : "", s & WOKEN ? "A" : "",
		s & STARVING ? "S" : "", s == 0 ? "free" : "");
}

static void setup(void)
{
	waitqueue_setup();
	memset(&m, 0, sizeof m);
	memset(&signalled, 0, sizeof signalled);
	queues[0] = (struct sync_waiter **)&m.waiters;
	queues[1] = &turning_list;
	m.mode = KEPT;
	turns_word = SYNC_READY;
	data = waiting = 0;
	model_name(&m.state, "state", show_state);
	model_name(&data, "data", NULL);
	model_name(&waiting, "waiting", NULL);
}

/* Every wait is one of more than a millisecond. */
static void setup_starving(void)
{
	setup();
	hurry = 2 * STARVES_AFTER;
}

static void setup_spinning(void)
{
	setup();
	may_spin = true;
}

static void finish(void)
{
	model_assert(m.state == 0);
	model_assert(m.waiters == NULL);
	model_assert(orders[0] == 0);
}

/* How it was taken does not matter any more, but for whether the thread may still spin. */
static void mark(uint64_t n)
{
	model_mark(2 * n + (may_spin && may_spin_left[model_self()] > 0));
}

static void section(void)
{
	gort__plain_write(&data, gort__plain_read(&data) + 1);
}

static void times(int n)
{
	for (int i = 0; i < n; i++) {
		mark(2 * (unsigned)i);
		(gort_mutex_lock)(&m);
		mark(2 * (unsigned)i + 1);
		section();
		(gort_mutex_unlock)(&m);
	}
}

static void once(void)
{
	times(1);
}

static void twice(void)
{
	times(2);
}

static void tries(void)
{
	if (!gort_mutex_try_lock(&m))
		return;
	section();
	(gort_mutex_unlock)(&m);
}

static void until(void)
{
	if (gort_mutex_lock_until(&m, 1) != 0)
		return;
	section();
	(gort_mutex_unlock)(&m);
}

/* Whose deadline passes at some time, or has not begun. */
static void timer(void)
{
	deadline_passes(gort__load_acquire(&armed));
}

/* gort_cond_wait, from letting go of the mutex on. Thread 0. */
static void waits(void)
{
	(gort_mutex_lock)(&m);
	sync_prepare(NULL, &signalled, "", GORT_FOREVER);
	gort__store_release(&waiting, 1);
	gort__mutex_hand_over(&m);
	sync_park(&(gort__m *){ NULL }, &signalled, GORT_FOREVER);
	gort__mutex_adopted(NULL, &m, &signalled);
	section();
	(gort_mutex_unlock)(&m);
}

/* gort_cond_signal, without the mutex. */
static void signals(void)
{
	while (gort__load_acquire(&waiting) == 0)
		model_spin(&waiting);
	signalled.next = NULL;
	gort__mutex_adopt(&m, &signalled);
}

static void signals_holding_it(void)
{
	(gort_mutex_lock)(&m);
	if (gort__load_relaxed(&waiting) == 0) {
		(gort_mutex_unlock)(&m);
		signals();
		return;
	}
	signalled.next = NULL;
	gort__mutex_adopt(&m, &signalled);
	section();
	(gort_mutex_unlock)(&m);
}

/* --- faults --- */

static void relaxed_word(void)
{
	model_demote(&m.state, MODEL_RMWS);
}

static void split_word(void)
{
	model_split(&m.state);
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
	{ "two threads, twice", setup, THREADS({ "one", twice }, { "two", twice }), finish, .alike = 2 },
	{ "three threads", setup, THREADS({ "one", once }, { "two", once }, { "three", once }), finish, .alike = 3, .lengthy = true },
	{ "two threads that starve", setup_starving, THREADS({ "one", twice }, { "two", twice }), finish, .alike = 2 },
	{ "three threads that starve", setup_starving, THREADS({ "one", once }, { "two", once }, { "three", once }), finish,
	  .alike = 3, .lengthy = true },
	{ "two that starve and one that tries", setup_starving, THREADS({ "one", once }, { "two", once }, { "three", tries }), finish },
	{ "two threads that spin", setup_spinning, THREADS({ "one", twice }, { "two", twice }), finish, .alike = 2 },
	{ "two threads and one that tries", setup, THREADS({ "one", once }, { "two", once }, { "three", tries }), finish },
	{ "one with a deadline", setup, THREADS({ "one", once }, { "two", until }, { "timer", timer }), finish },
	{ "a signal", setup, THREADS({ "waiter", waits }, { "signaller", signals }), finish },
	{ "a signal and one who wants it", setup, THREADS({ "waiter", waits }, { "signaller", signals }, { "three", once }), finish },
	{ "a signal under the mutex", setup, THREADS({ "waiter", waits }, { "signaller", signals_holding_it }), finish },

	{ "fault: the word orders nothing", setup, THREADS({ "one", once }, { "two", once }), finish, relaxed_word, "data race" },
	{ "fault: the word's changes are not atomic", setup, THREADS({ "one", once }, { "two", once }), finish, split_word, "" },
	{ "fault: nobody is woken", setup, THREADS({ "one", once }, { "two", once }), finish, without_wakes, "deadlock" },
	{ "fault: without the table's lock", setup, THREADS({ "one", once }, { "two", once }, { "three", once }), finish, without_lock,
	  "data race" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
