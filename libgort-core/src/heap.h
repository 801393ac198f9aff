/* SPDX-License-Identifier: MIT */
/*
 * A P's deadlines and timers: a 4-ary heap, the holder's own, ordered by time and, at the same time, by creation. An entry
 * names a goroutine and the ticket it waits under, or a timer and its number there; what is called off lies in the heap
 * until it comes up or outnumbers the live ones (timer.c).
 */
#ifndef GORT__HEAP_H
#define GORT__HEAP_H

#include <gort/atomic.h>
#include <gort/core.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gort__heap_entry {
	gort_time when;
	uint64_t order;
	uintptr_t what;                 /* a goroutine, or a timer and 1 */
	uint64_t ticket;                /* of the wait; a timer's: the entry's number */
};

/* NULL: it is a goroutine's. */
static inline gort_timer *gort__heap_timer(const struct gort__heap_entry *e)
{
	return e->what & 1 ? (gort_timer *)(e->what - 1) : NULL;
}

static inline struct gort_g *gort__heap_g(const struct gort__heap_entry *e)
{
	return (struct gort_g *)e->what;
}

struct gort__heap {
	struct gort__heap_entry *a;
	uint32_t n, room;
};

bool gort__heap_reserve(struct gort__heap *h, uint32_t room);   /* false: out of memory */
void gort__heap_push(struct gort__heap *h, struct gort__heap_entry e);  /* there is room */
void gort__heap_pop(struct gort__heap *h);
void gort__heap_rebuild(struct gort__heap *h);                  /* after entries were changed in place */
void gort__heap_free(struct gort__heap *h);

#endif
