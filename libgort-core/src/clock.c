/* SPDX-License-Identifier: MIT */
/*
 * The counter that timers are set by (clock.h). It is used where the system makes its own clocks of it, which means that it is
 * constant and the same on all processors, and as long as the monitor, who compares the two whenever it looks, finds that
 * they agree. Its rate is measured against the clock, and rounded up by more than that can be wrong and the system ever
 * changes the clock's pace together (NTP: one in 2,000).
 */
#include "clock.h"

#define SPAN GORT_MILLISECOND           /* one reading of the clock is good for */
#define FIRST (2 * GORT_MILLISECOND)    /* the least and the most time over which the rate is measured */
#define FAR GORT_SECOND
#define EXACT 4000                      /* to one in so many */
#define AGREE 1000                      /* the two agree to one in so many */
#define MARGIN 500                      /* the rate is rounded up by one in so many */
#define AHEAD GORT_MICROSECOND          /* added to the clock: the counter is not read in order */

uint64_t gort__clock_rate;

/* The monitor's own. */
static struct {
	bool off;                       /* for good */
	bool noted;                     /* the next two are from some earlier look */
	uint64_t counter;
	gort_time time;
	uint64_t rate;                  /* as measured, times 2^32; 0: not yet */
} seen;

void gort__clock_init(void)
{
	gort__clock_rate = 0;
	seen.off = GORT__COUNTER_CLOCK == NULL;
	seen.noted = false;
	seen.rate = 0;
}

gort_time gort__clock_read(gort__m *mp)
{
	uint64_t rate = gort__load_relaxed(&gort__clock_rate), counter = gort__arch_counter();
	gort_time now = gort__os_now();         /* after the counter, which so stands for no later a time */

	/* interrupted in between: not to be counted from */
	if (rate != 0 && gort__arch_counter() - counter < (rate >> 32) / 256) {
		mp->clock.counter = counter;
		mp->clock.time = now += AHEAD;
	}
	if (now < mp->clock.said)
		return mp->clock.said;
	return mp->clock.said = now;
}

static void use(uint64_t rate)
{
	uint64_t up = rate + rate / MARGIN, span = rate > 0 ? ((uint64_t)SPAN << 32) / rate : 0;

	seen.rate = rate;
	/* a counter that is slower than a nanosecond is not worth it */
	gort__store_relaxed(&gort__clock_rate, up <= UINT32_MAX && span <= UINT32_MAX ? span << 32 | up : 0);
}

void gort__clock_check(gort_time now)
{
	uint64_t counter, passed;
	gort_time t, dt;

	if (seen.off || (seen.noted && now - seen.time < FIRST))
		return;
	if (!seen.noted && !gort__os_clock_is(GORT__COUNTER_CLOCK)) {
		seen.off = true;
		return;
	}
	counter = gort__arch_counter();
	t = gort__os_now();
	passed = counter - seen.counter;
	dt = t - seen.time;
	if (seen.noted && gort__arch_counter() - counter > passed / EXACT)
		return;                         /* interrupted in between */
	if (seen.noted && dt < FAR) {
		uint64_t rate = passed > 0 ? ((uint64_t)dt << 32) / passed : 0;

		if (seen.rate == 0) {
			use(rate);
		} else if ((rate > seen.rate ? rate - seen.rate : seen.rate - rate) > seen.rate / AGREE) {
			/* the system may have changed its mind about the counter */
			use(0);
			seen.noted = false;
			return;
		}
	}
	seen.noted = true;
	seen.counter = counter;
	seen.time = t;
}
