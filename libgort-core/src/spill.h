/* SPDX-License-Identifier: MIT */
/*
 * A P's spill: goroutines that have run before and do not fit into the ring. The holder's own, like the ring, first in first
 * out, and linked through the goroutines, so that there is always room.
 *
 * Once the ring has overflowed into it, what is made ready goes to its end, and the ring is filled from its front when it
 * is empty: so it is all one queue. (The global queue, which Go uses for this, has a lock and wakes somebody, who then works
 * on the same channel from another processor.)
 */
#ifndef GORT__SPILL_H
#define GORT__SPILL_H

#include <gort/gmp.h>

struct gort__spill {
	uint32_t n;                     /* written by the holder, read by anybody to guess from */
	gort_g *first, *last;           /* through g->link; last is good while there is a first */
};

static inline uint32_t gort__spill_len(const struct gort__spill *s)
{
	return gort__load_relaxed(&s->n);
}

static inline void gort__spill_push(struct gort__spill *s, gort_g *gp)
{
	gp->link = NULL;
	if (s->first != NULL)
		s->last->link = gp;
	else
		s->first = gp;
	s->last = gp;
	gort__store_relaxed(&s->n, s->n + 1);
}

/* Not empty. */
static inline gort_g *gort__spill_pop(struct gort__spill *s)
{
	gort_g *gp = s->first;

	s->first = gp->link;
	gort__store_relaxed(&s->n, s->n - 1);
	return gp;
}

#endif
