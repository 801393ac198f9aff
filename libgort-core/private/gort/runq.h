/* SPDX-License-Identifier: MIT */
/*
 * A P's run queue: runnext, the goroutine that the running one has just made ready, and a ring, first in first out.
 *
 * It is the holder's own: no operation is atomic. Others get work in two ways. A holder that enqueues or schedules and
 * sees that somebody is idle donates half of its ring to the global queue (sched.c). A thief whose victim computes in
 * the user's code borrows the P by the hold's hand-shake and moves half of the ring itself (p.c). So head and tail are
 * published by relaxed stores for outsiders to guess by, and for nothing else.
 *
 * This header is compiled as it is into tests/model, together with hold.h.
 */
#ifndef GORT__RUNQ_H
#define GORT__RUNQ_H

#include <gort/atomic.h>

#include <stddef.h>

#ifndef GORT__RUNQ_SIZE
#define GORT__RUNQ_SIZE 256
#endif

struct gort_g;

struct gort__runq {
	struct gort_g *runnext;                 /* written by (h), read (r) */
	uint32_t head, tail;                    /* written by (h), read (r) */
	struct gort_g *ring[GORT__RUNQ_SIZE];   /* (h) */
	uint64_t tick;                          /* scheduling decisions made; written by (h), read (r) by the monitor */
	uint64_t parks;                         /* written by (h), read (r) */
	uint32_t chain;                         /* runnext taken in a row; (h) */
};

/* The ring's length: exact for the holder, a guess for others. */
static inline uint32_t gort__runq_len(struct gort__runq *q)
{
	return gort__load_relaxed(&q->tail) - gort__load_relaxed(&q->head);
}

/* False: full. */
static inline bool gort__runq_push(struct gort__runq *q, struct gort_g *gp)
{
	uint32_t tail = gort__load_relaxed(&q->tail);

	if (gort__unlikely(tail - gort__load_relaxed(&q->head) == GORT__RUNQ_SIZE))
		return false;
	gort__plain_write(&q->ring[tail % GORT__RUNQ_SIZE], gp);
	gort__store_relaxed(&q->tail, tail + 1);
	return true;
}

/* NULL: empty. */
static inline struct gort_g *gort__runq_pop(struct gort__runq *q)
{
	uint32_t head = gort__load_relaxed(&q->head);

	if (head == gort__load_relaxed(&q->tail))
		return NULL;
	gort__store_relaxed(&q->head, head + 1);
	return gort__plain_read(&q->ring[head % GORT__RUNQ_SIZE]);
}

/* The oldest out, gp in. Not empty. */
static inline struct gort_g *gort__runq_rotate(struct gort__runq *q, struct gort_g *gp)
{
	uint32_t head = gort__load_relaxed(&q->head), tail = gort__load_relaxed(&q->tail);
	struct gort_g *first = gort__plain_read(&q->ring[head % GORT__RUNQ_SIZE]);

	gort__plain_write(&q->ring[tail % GORT__RUNQ_SIZE], gp);
	gort__store_relaxed(&q->head, head + 1);
	gort__store_relaxed(&q->tail, tail + 1);
	return first;
}

/* Moves the older half, rounded up, from one queue to the other, which has room. Both are the caller's. */
static inline uint32_t gort__runq_move_half(struct gort__runq *from, struct gort__runq *to)
{
	uint32_t n = (gort__runq_len(from) + 1) / 2;

	for (uint32_t i = 0; i < n; i++)
		gort__runq_push(to, gort__runq_pop(from));
	return n;
}

#endif
