/* SPDX-License-Identifier: MIT */
/*
 * A P's stash: goroutines that have not run yet and do not fit into the ring. The holder's own, like the ring.
 *
 * When the ring overflows, its older half goes on top; when the ring is empty, what lies on top comes back. So of a tree of
 * goroutines that spawn goroutines the P works on the newest branch, and what lives at a time is about the tree's depth,
 * not its width: stacks and descriptors stay few and warm. The bottom, the oldest, is what thieves get (the largest
 * branches) and what every 64th scheduling decision takes one of, so that nothing waits for ever.
 */
#ifndef GORT__STASH_H
#define GORT__STASH_H

#include <gort/atomic.h>

#include <stdbool.h>
#include <stdint.h>

struct gort_g;

struct gort__stash {
	struct gort_g **a;              /* a ring of room entries, a power of two; NULL at first */
	uint32_t room;
	uint32_t bottom, top;           /* they only grow; written by the holder, read by anybody to guess from */
};

static inline uint32_t gort__stash_len(const struct gort__stash *s)
{
	return gort__load_relaxed(&s->top) - gort__load_relaxed(&s->bottom);
}

/* Room for n more; false: out of memory. */
bool gort__stash_reserve(struct gort__stash *s, uint32_t n);
void gort__stash_free(struct gort__stash *s);

static inline void gort__stash_push(struct gort__stash *s, struct gort_g *gp)
{
	uint32_t top = s->top;

	s->a[top & (s->room - 1)] = gp;
	gort__store_relaxed(&s->top, top + 1);
}

/* The k-th below the top, counted from 1. */
static inline struct gort_g *gort__stash_peek(const struct gort__stash *s, uint32_t k)
{
	return s->a[(s->top - k) & (s->room - 1)];
}

static inline void gort__stash_drop(struct gort__stash *s, uint32_t n)
{
	gort__store_relaxed(&s->top, s->top - n);
}

/* Not empty. */
static inline struct gort_g *gort__stash_take_oldest(struct gort__stash *s)
{
	uint32_t bottom = s->bottom;

	gort__store_relaxed(&s->bottom, bottom + 1);
	return s->a[bottom & (s->room - 1)];
}

#endif
