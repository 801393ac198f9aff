/* SPDX-License-Identifier: MIT */
/*
 * When a timer is due: the state that those who set and stop it share with the P whose heap it lies in.
 *
 * A heap's entries belong to the P's holder, who alone may touch them; so whoever sets or stops a timer from elsewhere
 * changes this state only, under its lock, and the entry is put right when it comes up. An entry carries a number. Only
 * the timer's newest entry counts, and it may lie in its heap earlier than the timer is due, or while the timer is
 * stopped, but never later than the timer is due:
 *
 *               set earlier than the entry lies: a new entry, with the next number; the old one is dead
 *               +------+
 *               v      |      set later, or stopped and set again: only the words here change
 *    IDLE --> ENTERED -+--> . . .
 *      ^         |
 *      |         | the entry comes up (at, or after, the time at which it lies), in the hands of its P's holder:
 *      +---------+   another number   dead, nothing happens
 *                    stopped          IDLE
 *                    due later        goes back, to where the timer is due now; the number stays
 *                    due              FIRES: IDLE; a ticker's goes back for its next time
 *
 * Setting and stopping count turns. A function that the timer calls is told the turn in which it fired, and can tell
 * under a lock of its own whether the timer was stopped or set anew meanwhile: that is how no stale value arrives.
 *
 * This header is compiled as it is into tests/model.
 */
#ifndef GORT__DUE_H
#define GORT__DUE_H

#include <gort/atomic.h>

#include <stdint.h>

struct gort__due {
	uint64_t word;          /* number of the newest entry, and GORT__DUE_ARMED; written under the lock, read (r) */
	uint64_t turn;          /* stops and settings so far; written under the lock, read (r) */
	int64_t when;           /* armed: when it is due; under the lock */
	int64_t lies;           /* entered: when the newest entry comes up; under the lock */
	uint32_t entered;       /* the newest entry is in some heap or list; under the lock */
};

#define GORT__DUE_ARMED 1u
#define GORT__DUE_NUMBER(word) ((word) >> 1)

/* Under the timer's lock, like all that follows but one. */
static inline bool gort__due_armed(struct gort__due *d)
{
	return (gort__load_relaxed(&d->word) & GORT__DUE_ARMED) != 0;
}

/* What was going on before counts as another turn. */
static inline void gort__due_turn(struct gort__due *d)
{
	/* relaxed: whoever compares turns takes a lock that the caller takes after this (chan's ticker.c) */
	gort__store_relaxed(&d->turn, gort__load_relaxed(&d->turn) + 1);
}

/* True: it was armed. Its entry stays where it is. */
static inline bool gort__due_stop(struct gort__due *d)
{
	uint64_t w = gort__load_relaxed(&d->word);

	gort__due_turn(d);
	gort__store_relaxed(&d->word, w & ~(uint64_t)GORT__DUE_ARMED);
	return (w & GORT__DUE_ARMED) != 0;
}

/* Due at when. True: by the entry there is; false: gort__due_enter and a new entry are needed. */
static inline bool gort__due_set(struct gort__due *d, int64_t when)
{
	gort__due_turn(d);
	if (!gort__plain_read(&d->entered) || gort__plain_read(&d->lies) > when)
		return false;
	gort__plain_write(&d->when, when);
	gort__store_relaxed(&d->word, gort__load_relaxed(&d->word) | GORT__DUE_ARMED);
	return true;
}

/* The number of a new entry at when, which the caller is about to make. The one before is dead. */
static inline uint64_t gort__due_enter(struct gort__due *d, int64_t when)
{
	uint64_t number = GORT__DUE_NUMBER(gort__load_relaxed(&d->word)) + 1;

	gort__plain_write(&d->when, when);
	gort__plain_write(&d->lies, when);
	gort__plain_write(&d->entered, 1);
	gort__store_relaxed(&d->word, number << 1 | GORT__DUE_ARMED);
	return number;
}

/* Given up: no entry of it counts any more. */
static inline void gort__due_forget(struct gort__due *d)
{
	uint64_t w = gort__load_relaxed(&d->word);

	gort__due_turn(d);
	gort__plain_write(&d->entered, 0);
	gort__store_relaxed(&d->word, (GORT__DUE_NUMBER(w) + 1) << 1);
}

/* Without the lock: is that entry certainly dead? Numbers only grow, so a yes holds for ever; a no may be old. */
static inline bool gort__due_dead(struct gort__due *d, uint64_t number)
{
	return GORT__DUE_NUMBER(gort__load_relaxed(&d->word)) != number;
}

/* Entry number is in the caller's hands. True: it is of no use, and the caller throws it away. */
static inline bool gort__due_drop(struct gort__due *d, uint64_t number)
{
	uint64_t w = gort__load_relaxed(&d->word);

	if (GORT__DUE_NUMBER(w) != number)
		return true;
	if (w & GORT__DUE_ARMED)
		return false;
	gort__plain_write(&d->entered, 0);
	return true;
}

/* It was due and could not fire: still armed, without an entry. */
static inline void gort__due_owe(struct gort__due *d)
{
	gort__store_relaxed(&d->word, gort__load_relaxed(&d->word) | GORT__DUE_ARMED);
}

enum gort__due_up { GORT__DUE_DEAD, GORT__DUE_LATER, GORT__DUE_FIRES };

/*
 * Entry number has come up, and is in the caller's hands. DEAD: it goes away. LATER: it goes back, to d->lies. FIRES: it goes
 * away, or back to d->lies for a ticker (period > 0).
 */
static inline enum gort__due_up gort__due_up(struct gort__due *d, uint64_t number, int64_t now, int64_t period)
{
	int64_t when;

	if (gort__due_drop(d, number))
		return GORT__DUE_DEAD;
	when = gort__plain_read(&d->when);
	if (when > now) {
		gort__plain_write(&d->lies, when);
		return GORT__DUE_LATER;
	}
	if (period > 0) {
		/* ticks that were missed are left out; no later than there is time */
		int64_t missed = (now - when) / period;

		when = when + missed * period > INT64_MAX - 1 - period ? INT64_MAX - 1 : when + missed * period + period;
		gort__plain_write(&d->when, when);
		gort__plain_write(&d->lies, when);
		return GORT__DUE_FIRES;
	}
	gort__plain_write(&d->entered, 0);
	gort__store_relaxed(&d->word, number << 1);
	return GORT__DUE_FIRES;
}

#endif
