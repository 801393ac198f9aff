/* SPDX-License-Identifier: MIT */
/*
 * Timers for the sibling libraries, whose function needs no goroutine: the scheduler itself calls it, on whatever M runs
 * the timer, as Go's runtime does for tickers and deadlines. gort_timer_stop and gort_timer_free work on them too.
 *
 * The function runs inside the library: it must be short, must not block, yield or panic, and must not call the user's code.
 * It may take the locks of channels and the like, make goroutines ready, close channels, and set, stop and free timers, its
 * own included. A timer that was set anew may fire on one M while the function of its last firing still runs on another.
 * Locks of channels and the like may be held while a timer is set or stopped: timers' own come after them.
 */
#ifndef GORT__TIMER_H
#define GORT__TIMER_H

#include <gort/gmp.h>

/* now: the time by which it was found due. turn: see gort__timer_turn. */
typedef void gort__timer_fn(gort__m *mp, void *arg, gort_time now, uint64_t turn);

/*
 * Not set. release (may be NULL) is called with arg once after gort_timer_free, when fn does not run and will not run any
 * more: by gort_timer_free itself, or by the M that runs fn; under the rules for fn in either case. NULL: out of memory.
 */
GORT_API gort_timer *gort__timer_new(gort__timer_fn *fn, void (*release)(void *arg), void *arg);

/*
 * Due at when, whatever it was set to before; period > 0: and after that every period, less what is missed. True: it was
 * pending. Never blocks nor fails. Any when will do; GORT_FOREVER is pending for ever.
 */
GORT_API bool gort__timer_set(gort_timer *t, gort_time when, gort_duration period);

/*
 * The number of times that it was stopped or set. fn, under a lock that those who stop or set the timer take afterwards,
 * compares it with the turn it was called for: if they differ, its time is over.
 */
GORT_API uint64_t gort__timer_turn(gort_timer *t);

#endif
