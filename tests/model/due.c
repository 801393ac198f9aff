/* SPDX-License-Identifier: MIT */
/*
 * A timer, between those who set and stop it and the Ps through whose heaps its entries go: the holder, who runs what is due
 * or sweeps what is dead, and a thief who moves it to a heap of its own. Whatever meets: each setting fires once or is called
 * off, and not both; none is lost, none is early; and what was stopped, and drained afterwards, gets no more values.
 *
 * due.h is the libraries' own. Transcribed around it: timer.c (run, steal, sweep, gather), afterfunc.c (set, stop, up), and
 * chan's ticker.c (tick, quiet). A P is a lock here: how it is held, borrowed and handed on is the hold's model's matter, and
 * so is the timer's lock the bias's.
 */
#include "model.h"

#include "due.h"

#include <string.h>

#define ENTRIES 3
#define HEAPS 3                 /* of the holder, of the user, of the thief */

struct entry {
	uint64_t number;
	int64_t when;
};

struct heap {
	uint32_t p;             /* locked: who has it is inside the library with that P, or has borrowed it */
	uint32_t n;
	struct entry e[ENTRIES];
};

static struct gort__due due;
static uint32_t lock, chan_lock;
static struct heap heaps[HEAPS];
static int64_t now;             /* 1 while the threads run */

/* what the timer does, under the channel's lock */
static uint32_t value, fired, skipped;
static bool quiet;              /* no more values, please */
/* what is asked of it; the user's own */
static uint32_t settings, called_off;

/* faults */
static bool same_turn, no_turn, unlocked, never_earlier, silent_sweep;

static void push(struct heap *h, uint64_t number, int64_t when)
{
	uint32_t n = gort__plain_read(&h->n);

	model_assert(n < ENTRIES);
	gort__plain_write(&h->e[n].number, number);
	gort__plain_write(&h->e[n].when, when);
	gort__plain_write(&h->n, n + 1);
}

/* The i-th out; another takes its place. */
static struct entry take_out(struct heap *h, uint32_t i)
{
	struct entry e = { gort__plain_read(&h->e[i].number), gort__plain_read(&h->e[i].when) };
	uint32_t n = gort__plain_read(&h->n) - 1;

	gort__plain_write(&h->e[i].number, gort__plain_read(&h->e[n].number));
	gort__plain_write(&h->e[i].when, gort__plain_read(&h->e[n].when));
	gort__plain_write(&h->n, n);
	return e;
}

static void setup(void)
{
	memset(&due, 0, sizeof due);
	memset(heaps, 0, sizeof heaps);
	lock = chan_lock = value = fired = skipped = settings = called_off = 0;
	quiet = same_turn = no_turn = unlocked = never_earlier = silent_sweep = false;
	now = 1;
	/* set, and due by now, in the holder's heap */
	push(&heaps[0], gort__due_enter(&due, 1), 1);
	settings = 1;
	model_name(&due.word, "word", NULL);
	model_name(&due.turn, "turn", NULL);
	model_name(&due.when, "when", NULL);
	model_name(&due.lies, "lies", NULL);
	model_name(&due.entered, "entered", NULL);
	model_name(&lock, "timer's lock", NULL);
	model_name(&chan_lock, "channel's lock", NULL);
	model_name(&value, "value", NULL);
	model_name(&fired, "fired", NULL);
	for (int i = 0; i < HEAPS; i++) {
		model_name(&heaps[i].p, i == 0 ? "holder's P" : i == 1 ? "user's P" : "thief's P", NULL);
		model_name(&heaps[i].n, i == 0 ? "holder's entries" : i == 1 ? "user's entries" : "thief's entries", NULL);
	}
}

/* The same, but it is not due yet. */
static void setup_later(void)
{
	setup();
	due.when = due.lies = heaps[0].e[0].when = 5;
}

/* --- the Ps --- */

static void add(uint32_t *n)
{
	gort__plain_write(n, gort__plain_read(n) + 1);
}

static void tick(uint64_t turn)
{
	model_lock(&chan_lock);
	add(&fired);
	if (same_turn || gort__load_relaxed(&due.turn) == turn) {
		model_assert(!gort__plain_read(&quiet));
		gort__plain_write(&value, 1);
	} else {
		add(&skipped);
	}
	model_unlock(&chan_lock);
}

/* gort__timer_up */
static void up(struct heap *h, struct entry e)
{
	uint64_t turn;

	if (gort__due_dead(&due, e.number))
		return;
	if (!unlocked)
		model_lock(&lock);
	switch (gort__due_up(&due, e.number, now, 0)) {
	case GORT__DUE_DEAD:
		break;
	case GORT__DUE_LATER:
		push(h, e.number, gort__plain_read(&due.lies));
		break;
	case GORT__DUE_FIRES:
		model_assert(gort__plain_read(&due.when) <= now);
		turn = gort__load_relaxed(&due.turn);
		if (!unlocked)
			model_unlock(&lock);
		tick(turn);
		return;
	}
	if (!unlocked)
		model_unlock(&lock);
}

/* gort__timer_run */
static void run(struct heap *h)
{
	for (uint32_t i = 0; i < gort__plain_read(&h->n);) {
		if (gort__plain_read(&h->e[i].when) > now) {
			i++;
			continue;
		}
		up(h, take_out(h, i));
	}
}

static void holder(void)
{
	model_lock(&heaps[0].p);
	run(&heaps[0]);
	model_unlock(&heaps[0].p);
}

static void thief(void)
{
	model_lock(&heaps[0].p);
	for (uint32_t i = 0; i < gort__plain_read(&heaps[0].n);) {
		if (gort__plain_read(&heaps[0].e[i].when) > now) {
			i++;
		} else {
			struct entry e = take_out(&heaps[0], i);

			push(&heaps[2], e.number, e.when);
		}
	}
	model_unlock(&heaps[0].p);
	model_lock(&heaps[2].p);
	run(&heaps[2]);
	model_unlock(&heaps[2].p);
}

static bool dead(uint64_t number)
{
	bool gone;

	if (gort__due_dead(&due, number))
		return true;
	if (gort__due_armed(&due))
		return false;
	if (silent_sweep)
		return true;
	model_lock(&lock);
	gone = gort__due_drop(&due, number);
	model_unlock(&lock);
	return gone;
}

/* The holder, as gort__timer_sweep. */
static void sweeper(void)
{
	model_lock(&heaps[0].p);
	for (uint32_t i = 0; i < gort__plain_read(&heaps[0].n);) {
		if (dead(gort__plain_read(&heaps[0].e[i].number)))
			take_out(&heaps[0], i);
		else
			i++;
	}
	model_unlock(&heaps[0].p);
}

/* --- the user, on a P of its own --- */

static bool stop(void)
{
	bool was;

	model_lock(&lock);
	was = gort__due_armed(&due);
	if (no_turn)
		gort__store_relaxed(&due.word, gort__load_relaxed(&due.word) & ~(uint64_t)GORT__DUE_ARMED);
	else
		gort__due_stop(&due);
	model_unlock(&lock);
	called_off += was;
	return was;
}

static void set(int64_t when)
{
	model_lock(&heaps[1].p);
	model_lock(&lock);
	called_off += gort__due_armed(&due);
	settings++;
	if (never_earlier && gort__plain_read(&due.entered)) {
		gort__due_turn(&due);
		gort__plain_write(&due.when, when);
		gort__store_relaxed(&due.word, gort__load_relaxed(&due.word) | GORT__DUE_ARMED);
	} else if (!gort__due_set(&due, when)) {
		push(&heaps[1], gort__due_enter(&due, when), when);
	}
	model_unlock(&lock);
	model_unlock(&heaps[1].p);
}

static void drain(void)
{
	model_lock(&chan_lock);
	gort__plain_write(&value, 0);
	gort__plain_write(&quiet, true);
	model_unlock(&chan_lock);
}

static void stops(void)
{
	stop();
	drain();
}

static void drains_and_stops(void)
{
	drain();
	stop();
}

static void puts_off(void)
{
	set(5);
}

static void brings_forward(void)
{
	set(1);
}

static void stops_and_sets(void)
{
	stop();
	set(5);
}

static void stops_and_sets_at_once(void)
{
	stop();
	set(1);
}

static void sets_twice(void)
{
	set(5);
	set(1);
}

/* gort_timer_free, and the descriptor is another timer's at once. */
static void frees_and_makes(void)
{
	model_lock(&lock);
	called_off += gort__due_armed(&due);
	gort__due_forget(&due);
	model_unlock(&lock);
	set(1);
}

/* --- what must be so in the end --- */

static void finish_at(int64_t t)
{
	now = t;
	for (int i = 0; i < HEAPS; i++)
		run(&heaps[i]);
}

static void finish(void)
{
	finish_at(1);
	model_assert(!gort__due_armed(&due) || due.when > 1);           /* what is due is not late */
	finish_at(10);
	model_assert(!gort__due_armed(&due));                           /* nothing is lost */
	model_assert(!due.entered);
	model_assert(fired + called_off == settings);
	for (int i = 0; i < HEAPS; i++)
		model_assert(heaps[i].n == 0);
}

static void finish_quiet(void)
{
	finish();
	model_assert(value == 0);
}

/* --- faults --- */

static void fault_turn(void) { same_turn = true; }
static void fault_no_turn(void) { no_turn = true; }
static void fault_unlocked(void) { unlocked = true; }
static void fault_earlier(void) { never_earlier = true; }
static void fault_sweep(void) { silent_sweep = true; }

#define USER(fn) { "user", fn }
#define THREADS(...) { __VA_ARGS__ }

static const model_test tests[] = {
	{ "stop, holder", setup, THREADS(USER(stops), { "holder", holder }), finish_quiet },
	{ "stop, thief", setup, THREADS(USER(stops), { "thief", thief }), finish_quiet },
	{ "stop, holder and thief", setup, THREADS(USER(stops), { "holder", holder }, { "thief", thief }), finish_quiet },
	{ "put off, holder and thief", setup, THREADS(USER(puts_off), { "holder", holder }, { "thief", thief }), finish },
	{ "brought forward, holder and thief", setup_later,
	  THREADS(USER(brings_forward), { "holder", holder }, { "thief", thief }), finish },
	{ "put off and brought forward, holder and thief", setup,
	  THREADS(USER(sets_twice), { "holder", holder }, { "thief", thief }), finish },
	{ "stopped and set, holder and thief", setup,
	  THREADS(USER(stops_and_sets), { "holder", holder }, { "thief", thief }), finish },
	{ "stopped and set, holder and sweeper", setup,
	  THREADS(USER(stops_and_sets), { "holder", holder }, { "sweeper", sweeper }), finish },
	{ "stopped and set before its entry, sweeper and thief", setup_later,
	  THREADS(USER(stops_and_sets_at_once), { "sweeper", sweeper }, { "thief", thief }), finish },
	{ "freed and made anew, holder and thief", setup,
	  THREADS(USER(frees_and_makes), { "holder", holder }, { "thief", thief }), finish },
	{ "freed and made anew, sweeper and thief", setup,
	  THREADS(USER(frees_and_makes), { "sweeper", sweeper }, { "thief", thief }), finish },

	{ "fault: a tick does not compare turns", setup, THREADS(USER(stops), { "holder", holder }), finish_quiet, fault_turn,
	  "quiet" },
	{ "fault: stopping counts no turn", setup, THREADS(USER(stops), { "holder", holder }), finish_quiet, fault_no_turn, "quiet" },
	{ "fault: drained before it is stopped", setup, THREADS(USER(drains_and_stops), { "holder", holder }), finish_quiet, NULL,
	  "quiet" },
	{ "fault: the holder takes no lock", setup, THREADS(USER(stops), { "holder", holder }), finish_quiet, fault_unlocked,
	  "" },
	{ "fault: brought forward without a new entry", setup_later,
	  THREADS(USER(brings_forward), { "holder", holder }), finish, fault_earlier, "assertion" },
	{ "fault: swept without the owner's knowing", setup,
	  THREADS(USER(stops_and_sets), { "sweeper", sweeper }), finish, fault_sweep, "assertion" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
