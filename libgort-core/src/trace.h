/* SPDX-License-Identifier: MIT */
/* The hooks of the trace: one load and a branch where no trace is on. */
#ifndef GORT__TRACE_H
#define GORT__TRACE_H

#include <gort/park.h>

enum gort__trace_kind {
	GORT__TRACE_RUN,        /* g runs on the P from now on */
	GORT__TRACE_STOP,       /* and does not any more: why is the reason to wait, NULL for one that can go on */
	GORT__TRACE_END,        /* it has ended */
	GORT__TRACE_SPAWN,
	GORT__TRACE_STEAL,      /* goroutines came from another P */
	GORT__TRACE_TAKE,       /* the P was taken: its thread blocks, or computes */
};

void gort__trace_event(gort__p *pp, enum gort__trace_kind kind, const gort_g *gp, const char *why);
void gort__trace_taken(uint32_t p, const char *why);    /* the monitor's, and gort_set_maxprocs' */
void gort__trace_drain(void);                           /* the monitor's, now and then */
void gort__trace_forget(void);                          /* in a forked child */
struct gort__trace_ring;
void gort__trace_ring_free(struct gort__trace_ring *r); /* a P's; NULL is nothing */
void gort__trace_fini(void);                            /* ends a trace; afterwards nobody looks at the Ps' rings any more */

/* By the holder of pp, inside the library. */
static inline void gort__trace(gort__p *pp, enum gort__trace_kind kind, const gort_g *gp, const char *why)
{
	if (gort__unlikely(gort__load_relaxed(&gort__tracing)))
		gort__trace_event(pp, kind, gp, why);
}

#endif
