/* SPDX-License-Identifier: MIT */
/*
 * A mutex of libgort-sync that is plain, and turns full when somebody has to wait: mutex.c and turn.c, compiled as they are, one
 * calm unlock making a full one plain again. The holder may have read the mode before it changed, and stores 0 whatever has
 * become of it. Each section counts in plain memory; a store that takes a bit away, or is not seen, is a deadlock; at the end the
 * mutex is free, nobody waits, and none is counted as turning.
 *
 * (What a full one does is in the model mutex.)
 */
#include "waitqueue.h"

void gort__mutex_adopt(gort_mutex *m, struct sync_waiter *list);
void gort__mutex_adopted(gort__m *mp, gort_mutex *m, struct sync_waiter *w);
void gort__mutex_hand_over(gort_mutex *m);
void gort__mutex_keep(gort_mutex *m);

#include "../../libgort-sync/src/turn.c"

#include "../../libgort-sync/src/mutex.c"

static gort_mutex m;
static uint32_t data;
static struct sync_waiter signalled;    /* of a condition variable */
static uint32_t waiting;
static uint32_t left;                   /* who still uses the mutex; guarded by it */
static uint32_t renewed;

static void show_state(char *buf, size_t size, uint64_t s)
{
	snprintf(buf, size, "%s%s%s%s%s", s & LOCKED ? "L" : "", s & WAITERS ? "W" : "", s & WOKEN ? "A" : "",
		s & STARVING ? "S" : "", s == 0 ? "free" : "");
}

static void show_mode(char *buf, size_t size, uint64_t s)
{
	static const char *const names[] = { "plain", "turning", "turned", "full", "kept", "?", "?", "?" };

	snprintf(buf, size, "%s, %u", names[s & MODE], (unsigned)(s / CALM_UNLOCK));
}

static void setup_as(uint32_t mode, uint32_t word)
{
	waitqueue_setup();
	gort__fenced = false;
	memset(&m, 0, sizeof m);
	memset(&signalled, 0, sizeof signalled);
	queues[0] = (struct sync_waiter **)&m.waiters;
	queues[1] = &turning_list;
	m.mode = mode;
	turns_word = word;
	data = waiting = renewed = 0;
	left = 2;
	model_name(&m.state, "state", show_state);
	model_name(&m.mode, "mode", show_mode);
	model_name(&data, "data", NULL);
	model_name(&waiting, "waiting", NULL);
	model_name(&left, "left", NULL);
	model_name(&renewed, "renewed", NULL);
}

static void setup(void)
{
	setup_as(PLAIN, SYNC_READY);
}

/* Thread 0 has it. */
static void setup_held(void)
{
	setup();
	m.state = LOCKED;
}

static void setup_full(void)
{
	setup_as(FULL, SYNC_READY);
}

/* The next unlock with nobody in the way makes it plain. */
static void setup_calm(void)
{
	setup_as(FULL + GORT__MUTEX_CALM * CALM_UNLOCK, SYNC_READY);
}

static void setup_calm_held(void)
{
	setup_calm();
	m.state = LOCKED;
}

/* Thread 0 is none of the scheduler's, and others start that. */
static void setup_unknown(void)
{
	setup_as(PLAIN, 0);
	outsider = 0;
}

static void setup_unknown_held(void)
{
	setup_unknown();
	m.state = LOCKED;
}

static void setup_fenced(void)
{
	setup_as(PLAIN, 0);
	gort__fenced = true;
}

static void setup_fenced_outsider(void)
{
	setup_fenced();
	outsider = 0;
}

static void finish(void)
{
	model_assert(m.state == 0);
	model_assert(m.waiters == NULL);
	model_assert(turning_list == NULL);
	model_assert(turns_word < SYNC_TURN);
}

/* --- the threads --- */

/* How it was taken does not matter any more. */
static void section(uint64_t mark)
{
	model_mark(mark);
	gort__plain_write(&data, gort__plain_read(&data) + 1);
}

static void times(int n)
{
	for (int i = 0; i < n; i++) {
		model_mark(2 * (unsigned)i);
		(gort_mutex_lock)(&m);
		section(2 * (unsigned)i + 1);
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

static void thrice(void)
{
	times(3);
}

/* Has it from the beginning. */
static void unlocks(void)
{
	section(1);
	(gort_mutex_unlock)(&m);
}

static void tries(void)
{
	if (!gort_mutex_try_lock(&m))
		return;
	section(1);
	(gort_mutex_unlock)(&m);
}

/* Thread 1. */
static void until(void)
{
	if (gort_mutex_lock_until(&m, 1) != 0)
		return;
	section(1);
	(gort_mutex_unlock)(&m);
}

/* Whose deadline passes at some time, or has not begun. */
static void timer(void)
{
	deadline_passes(gort__load_acquire(&armed));
}

static void timer_then_unlocks(void)
{
	timer();
	unlocks();
}

static void timer_then_tries(void)
{
	timer();
	model_mark(0);
	tries();
}

/* gort_cond_wait. Thread 0, which has it. */
static void waits(void)
{
	gort__mutex_keep(&m);
	sync_prepare(NULL, &signalled, "", GORT_FOREVER);
	gort__store_release(&waiting, 1);
	gort__mutex_hand_over(&m);
	sync_park(&(gort__m *){ NULL }, &signalled, GORT_FOREVER);
	gort__mutex_adopted(NULL, &m, &signalled);
	section(1);
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

static void keeps(void)
{
	gort__mutex_keep(&m);
	section(1);
	(gort_mutex_unlock)(&m);
}

#define GONE 0x80000000u

/* The last one to use it frees it. Afterwards nobody touches it. */
static void uses_with(void (*unlock)(gort_mutex *))
{
	uint32_t n;

	(gort_mutex_lock)(&m);
	n = gort__plain_read(&left) - 1;
	gort__plain_write(&left, n);
	model_mark(8 + n);
	unlock(&m);
	if (n != 0)
		return;
	model_assert(gort__load_relaxed(&m.state) == 0);
	gort__store_relaxed(&m.state, GONE);
	gort__store_relaxed(&m.mode, GONE);
}

static void uses(void)
{
	uses_with((gort_mutex_unlock));
}

static void finish_gone(void)
{
	model_assert(m.state == GONE);
	model_assert(m.mode == GONE);
	model_assert(m.waiters == NULL);
	model_assert(turning_list == NULL);
	model_assert(turns_word == SYNC_READY);
}

/* The last one to use it makes a new one of its memory, and uses that, as a third does. */
static void renews(void)
{
	uint32_t n;

	(gort_mutex_lock)(&m);
	n = gort__plain_read(&left) - 1;
	gort__plain_write(&left, n);
	model_mark(8 + n);
	(gort_mutex_unlock)(&m);
	if (n != 0)
		return;
	gort__store_relaxed(&m.state, 0);
	gort__store_relaxed(&m.mode, PLAIN);
	gort__store_release(&renewed, 1);
	once();
}

static void uses_the_new_one(void)
{
	while (gort__load_acquire(&renewed) == 0)
		model_spin(&renewed);
	once();
}

/* --- careless copies --- */

static void without_heavy_fence(void)
{
	model_drop_heavy();
}

static void relaxed_unlock(void)
{
	model_demote(&m.state, MODEL_STORES);
}

static void without_wakes(void)
{
	drop_wakes = true;
}

/* Does not look at the table's word. */
static void stores(void)
{
	(gort_mutex_lock)(&m);
	section(1);
	if (gort__load_relaxed(&m.mode) == PLAIN)
		gort__store_release(&m.state, 0);
	else
		(gort_mutex_unlock)(&m);
}

/* Makes it full at once. */
static void waits_without_turning(void)
{
	struct sync_waiter w = { .key = &m };
	uint32_t s = 0;

	if (!gort__cas_acquire(&m.state, &s, LOCKED)) {
		gort__sync_lock(&m);
		gort__store_relaxed(&m.mode, FULL);
		sync_prepare(NULL, &w, "", GORT_FOREVER);
		if (!take_or_queue(&m, &w, false, false, false)) {
			gort__sync_unlock(&m);
			contend(gort__park(NULL), &m, &w, GORT_FOREVER, true);
		} else {
			gort__sync_unlock(&m);
		}
	}
	section(1);
	(gort_mutex_unlock)(&m);
}

/* Is through with turning before the fence is, so that others may end it. */
static void waits_and_fences_late(void)
{
	struct sync_waiter w = { .key = &m };
	uint32_t s = 0;

	if (!gort__cas_acquire(&m.state, &s, LOCKED)) {
		gort__sync_lock(&m);
		if (gort__mutex_mode(&m) == PLAIN && gort__load_relaxed(&m.state) & LOCKED) {
			gort__store_relaxed(&m.mode, TURNED);
			gort__store_relaxed(&turns_word, gort__load_relaxed(&turns_word) + SYNC_TURN);
			sync_prepare(NULL, &w, "", GORT_FOREVER);
			gort__mutex_queue_turning(&m, &w);
			gort__sync_unlock(&m);
			gort__fence_heavy();
			gort__sync_lock(&m);
			if (w.turns && !(gort__load_relaxed(&m.state) & LOCKED)) {
				struct sync_waiter *first;

				gort__mutex_turned(&m, FULL);
				first = first_to_wake(&m);
				model_assert(first == NULL || first == &w);
				if (first != NULL)
					sync_wake_one(first);
			}
			gort__sync_unlock(&m);
			contend(gort__park(NULL), &m, &w, GORT_FOREVER, true);
		} else {
			gort__sync_unlock(&m);
			(gort_mutex_lock)(&m);
		}
	}
	section(1);
	(gort_mutex_unlock)(&m);
}

/* Ends the turn whether somebody has it or not. */
static void looks_carelessly(void)
{
	struct sync_waiter *w = NULL;

	section(1);
	if (gort__load_relaxed(&m.mode) != PLAIN) {
		(gort_mutex_unlock)(&m);
		return;
	}
	gort__store_release(&m.state, 0);
	if (gort__load_relaxed(&turns_word) == SYNC_READY)
		return;
	gort__sync_lock(&m);
	if (gort__mutex_standing(&m) != NULL) {
		gort__mutex_turned(&m, FULL);
		w = first_to_wake(&m);
	}
	gort__sync_unlock(&m);
	if (w != NULL)
		sync_wake_one(w);
}

/* Looks at the mutex and not for it. */
static void unlock_and_touch(gort_mutex *mp)
{
	if (gort__load_relaxed(&mp->mode) != PLAIN) {
		(gort_mutex_unlock)(mp);
		return;
	}
	gort__store_release(&mp->state, 0);
	if (gort__load_relaxed(&turns_word) == SYNC_READY)
		return;
	gort__sync_lock(mp);
	if (gort__load_relaxed(&mp->mode) == GONE)
		model_fail("touched when it was gone");
	gort__sync_unlock(mp);
	look(mp);
}

static void uses_and_touches(void)
{
	uses_with(unlock_and_touch);
}

/* Makes it plain without the lock. */
static void calms_carelessly(void)
{
	(gort_mutex_lock)(&m);
	section(1);
	if (gort__load_relaxed(&m.state) == LOCKED) {
		gort__store_relaxed(&m.mode, PLAIN);
		gort__store_release(&m.state, 0);
	} else {
		(gort_mutex_unlock)(&m);
	}
}

/* Makes it full for good, and leaves those who wait. */
static void keeps_carelessly(void)
{
	gort__sync_lock(&m);
	if (gort__mutex_mode(&m) == TURNED)
		gort__store_relaxed(&turns_word, gort__load_relaxed(&turns_word) - SYNC_TURN);
	gort__store_relaxed(&m.mode, KEPT);
	gort__sync_unlock(&m);
	section(1);
	(gort_mutex_unlock)(&m);
}

#define THREADS(...) { __VA_ARGS__ }
#define TIMED { "two", until }, { "timer", timer }

static const model_test tests[] = {
	{ "two threads", setup, THREADS({ "one", once }, { "two", once }), finish, .alike = 2 },
	{ "two threads, twice", setup, THREADS({ "one", twice }, { "two", twice }), finish, .alike = 2 },
	{ "held, two wait", setup_held, THREADS({ "holder", unlocks }, { "one", once }, { "two", once }), finish, .alike = 2,
	  .lengthy = true },
	{ "held, one waits, one tries", setup_held, THREADS({ "holder", unlocks }, { "one", once }, { "two", tries }), finish },
	{ "one with a deadline", setup, THREADS({ "one", once }, TIMED), finish },
	{ "held, one with a deadline, then one who tries", setup_held,
	  THREADS({ "holder", unlocks }, { "two", until }, { "timer", timer_then_tries }), finish, .lengthy = true },
	{ "held, one with a deadline while another waits", setup_held,
	  THREADS({ "timer", timer_then_unlocks }, { "two", until }, { "three", once }), finish, .lengthy = true },
	{ "calm", setup_calm, THREADS({ "one", twice }, { "two", twice }), finish, .alike = 2 },
	{ "calm, one waits, one tries", setup_calm_held, THREADS({ "holder", unlocks }, { "one", once }, { "two", tries }), finish },
	{ "calm, and a deadline", setup_calm, THREADS({ "one", once }, TIMED), finish },
	{ "full, then calm", setup_full, THREADS({ "one", thrice }, { "two", once }), finish },
	{ "freed after use", setup, THREADS({ "one", uses }, { "two", uses }), finish_gone, .alike = 2 },
	{ "another one in its place", setup, THREADS({ "third", uses_the_new_one }, { "one", renews }, { "two", renews }), finish,
	  .alike = 2 },
	{ "a signal", setup_held, THREADS({ "waiter", waits }, { "signaller", signals }), finish },
	{ "a signal and one who wants it", setup_held, THREADS({ "waiter", waits }, { "signaller", signals }, { "three", once }),
	  finish },
	{ "kept full", setup_held, THREADS({ "holder", keeps }, { "two", once }), finish },
	{ "kept full, two wait", setup_held, THREADS({ "holder", keeps }, { "two", once }, { "three", once }), finish, .alike = 2,
	  .lengthy = true },
	{ "not known yet", setup_unknown, THREADS({ "outsider", twice }, { "two", once }), finish },
	{ "not known yet, one waits, one tries", setup_unknown_held,
	  THREADS({ "outsider", unlocks }, { "two", once }, { "three", tries }), finish, .lengthy = true },
	{ "fenced", setup_fenced, THREADS({ "one", twice }, { "two", twice }), finish, .alike = 2 },
	{ "fenced, not known yet", setup_fenced_outsider, THREADS({ "outsider", twice }, { "two", once }), finish },

	{ "fault: no heavy fence", setup, THREADS({ "one", once }, { "two", once }), finish, without_heavy_fence, "deadlock" },
	{ "fault: no heavy fence, not known yet", setup_unknown, THREADS({ "outsider", once }, { "two", once }), finish,
	  without_heavy_fence, "deadlock" },
	{ "fault: unlocking is relaxed", setup, THREADS({ "one", once }, { "two", once }), finish, relaxed_unlock, "data race" },
	{ "fault: nobody is woken", setup, THREADS({ "one", once }, { "two", once }), finish, without_wakes, "deadlock" },
	{ "fault: no look at the table's word", setup, THREADS({ "one", stores }, { "two", once }), finish, NULL, "deadlock" },
	{ "fault: full at once", setup, THREADS({ "one", once }, { "two", waits_without_turning }), finish, NULL, "" },
	{ "fault: turned before the fence", setup,
	  THREADS({ "one", once }, { "two", waits_and_fences_late }, { "three", once }), finish, NULL, "" },
	{ "fault: turned while somebody has it", setup_held,
	  THREADS({ "holder", looks_carelessly }, { "two", once }, { "three", once }), finish, NULL, "" },
	{ "fault: touched after the store", setup, THREADS({ "one", uses_and_touches }, { "two", uses_and_touches }), finish_gone,
	  NULL, "touched" },
	{ "fault: calm by a look at the word", setup_full, THREADS({ "one", calms_carelessly }, { "two", once }), finish, NULL,
	  "deadlock" },
	{ "fault: kept without those who wait", setup_held, THREADS({ "holder", keeps_carelessly }, { "two", once }), finish, NULL,
	  "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
