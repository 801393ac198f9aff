/* SPDX-License-Identifier: MIT */
/*
 * A P's deadlines: a 4-ary heap, the holder's own, ordered by time and, at the same time, by creation. An entry names a
 * goroutine and the ticket it waits under; a deadline is called off by claiming the ticket, so entries of waits that
 * are over lie in the heap until they come up or outnumber the live ones (timer.c).
 */
#ifndef GORT__HEAP_H
#define GORT__HEAP_H

#include <gort/core.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gort__heap_entry {
	gort_time when;
	uint64_t order;
	struct gort_g *g;
	uint64_t ticket;
};

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
