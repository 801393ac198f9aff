/* SPDX-License-Identifier: MIT */
/*
 * The switch where it is made, without a call.
 *
 * A processor predicts where a return goes from the calls before it. After a switch those were another goroutine's, so each
 * frame between the switch and the user's code is a misprediction, of about as much as the switch itself; and frames
 * that are left without a return would spoil the predictions for the user's own frames. So who parks often has the common
 * case in its own function: the goroutine that was made ready last goes on, which has run before, and there is nothing else
 * to be seen to.
 */
#ifndef GORT__PARK_H
#define GORT__PARK_H

#include <gort/gmp.h>

#define GORT__CHAIN_MAX 256                     /* hand-overs by runnext in a row while others wait */
#define GORT__ODD_EVERY 16                      /* decisions; at the last of them the scheduler looks around, in sched.c */

extern GORT_API uint32_t gort__tracing;         /* a trace is on: trace.c; relaxed */
GORT_API bool gort__something_odd(gort__m *mp, uint64_t tick);  /* for that decision to see to */

/* gp runs on this M from now on; its stack is nobody's. */
static inline void gort__set_running(gort__m *mp, gort_g *gp)
{
	gort__store_relaxed(&gp->ctx.running, 1);
	gort__store_relaxed(&gp->ctx.seen, 0);
	gort__store_relaxed(&gp->status, GORT__G_RUNNING);
	mp->curg = gp;
}

/*
 * Is the goroutine inside a C++ catch block, or in a destructor that an exception runs? The C++ runtime keeps that in two
 * words of the thread, so they have to go along with the goroutine. Between goroutines they are always zero.
 */
static inline bool gort__in_exception(const gort__m *mp)
{
	return ((uintptr_t)mp->cxx->caught | mp->cxx->uncaught) != 0;
}

#if defined(GORT__CTX_INLINE) && !defined(GORT__TSAN) && !defined(GORT__ASAN)

/*
 * May the caller's goroutine, inside one call, switch to next by gort__switch_plainly, in an untraced time? The acquire pairs
 * with ctx_switch. The caller's goroutine runs, so it is not taken for next.
 */
static inline bool gort__plain_switch(const gort__m *mp, gort_g *next)
{
	return gort__likely(!gort__in_exception(mp)) && gort__likely(!(next->flags & (GORT__G_FRESH | GORT__G_STUCK))) &&
	       gort__likely(!gort__load_acquire(&next->ctx.running));
}

static inline __attribute__((always_inline)) gort__m *gort__switch_plainly(gort__m *mp, gort_g *gp, gort_g *next)
{
	int err = *mp->errno_at;

	gort__set_running(mp, next);
	gort__ctx_switch(&gp->ctx, &next->ctx);
	mp = gort__m_self();
	*mp->errno_at = err;
	return mp;
}

/* gort__park, which see. */
static inline __attribute__((always_inline)) gort__m *gort__park_here(gort__m *mp)
{
	struct gort__runq *q = (struct gort__runq *)mp->p;      /* a P begins with it; NULL for a plain thread's */
	gort_g *gp = mp->curg, *next;
	uint64_t tick;

	if (gort__unlikely(gp->flags & (GORT__G_BOUND | GORT__G_UNGUARDED | GORT__G_LOCKED)))
		return gort__park(mp);
	next = q->runnext;
	tick = q->tick + 1;
	if (gort__unlikely(next == NULL || q->chain + 1 >= GORT__CHAIN_MAX || gort__load_relaxed(&mp->hold.depth) != 1 ||
			   gort__load_relaxed(&gort__tracing) || !gort__plain_switch(mp, next) ||
			   (tick % GORT__ODD_EVERY == 0 && gort__something_odd(mp, tick))))
		return gort__park(mp);
	gort__store_relaxed(&q->tick, tick);
	gort__store_relaxed(&q->parks, q->parks + 1);
	gort__store_relaxed(&q->runnext, NULL);
	q->chain++;
	return gort__switch_plainly(mp, gp, next);
}

#else

/* The sanitizers want to be told of switches, and a switch that is a function is the core's. */
static inline bool gort__plain_switch(const gort__m *mp, gort_g *next)
{
	return false;
}

static inline gort__m *gort__switch_plainly(gort__m *mp, gort_g *gp, gort_g *next)
{
	return mp;
}

static inline gort__m *gort__park_here(gort__m *mp)
{
	return gort__park(mp);
}

#endif
#endif
