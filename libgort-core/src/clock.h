/* SPDX-License-Identifier: MIT */
/*
 * What timers are set by. Reading the clock costs more than all the rest of setting a timer, and most of that is the strict
 * order in which it is read, which timers do not need. So each M notes the processor's counter when it reads the clock, and
 * for a millisecond afterwards adds what the counter says has passed: rounded up, since a timer may be late by a few
 * microseconds but never early. Only timers of a millisecond and more are set that way. clock.c says when the counter is used.
 */
#ifndef GORT__CLOCK_H
#define GORT__CLOCK_H

#include "runtime.h"

#include "counter.h"

#define GORT__CLOCK_LEAST GORT_MILLISECOND      /* what is shorter is counted from the clock */

/* Nanoseconds for each count times 2^32, below the counts for which one reading of the clock is good. 0: not used. Relaxed. */
extern uint64_t gort__clock_rate;

void gort__clock_init(void);
void gort__clock_check(gort_time now);          /* the monitor's: compares the counter with the clock */
gort_time gort__clock_read(gort__m *mp);

/* Not before now, and a few microseconds after it at most. It never goes back. */
static inline gort_time gort__clock_above(gort__m *mp)
{
	uint64_t rate = gort__load_relaxed(&gort__clock_rate), passed = gort__arch_counter() - mp->clock.counter;
	gort_time t;

	if (gort__unlikely(passed >= rate >> 32))
		return gort__clock_read(mp);
	t = mp->clock.time + (gort_time)(passed * (uint32_t)rate >> 32);
	if (gort__unlikely(t < mp->clock.said))
		return mp->clock.said;
	return mp->clock.said = t;
}

#endif
