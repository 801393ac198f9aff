/* SPDX-License-Identifier: MIT */
/* What mutex.c and turn.c share: the words of a mutex, and the way from a plain one to a full one. */
#ifndef GORT__SYNC_MUTEX_H
#define GORT__SYNC_MUTEX_H

#include "queue.h"

/* state: atomic. Who sets LOCKED has it; the others are set in a full mutex only. See mutex.c */
#define LOCKED 1u
#define WAITERS 2u
#define WOKEN 4u
#define STARVING 8u

/* mode: atomic; see turn.c. In the low bits one of these, and above them the calm unlocks of a FULL one, by who has it */
#define PLAIN 0u
#define TURNING 1u
#define TURNED 2u
#define FULL 3u
#define KEPT 4u
#define MODE 7u
#define CALM_UNLOCK 8u
/* After so many a full one is plain again. The way back costs a heavy fence, some 10 us, at the next contention. */
#ifndef GORT__MUTEX_CALM
#define GORT__MUTEX_CALM 32768u
#endif

/* All of these under the table's lock. */
uint32_t gort__mutex_mode(gort_mutex *m);               /* that counts; once the scheduler has been started */
void gort__mutex_turn(gort_mutex *m);                   /* a PLAIN one; gives the lock up meanwhile */
void gort__mutex_turned(gort_mutex *m, uint32_t mode);  /* that turns: is FULL or KEPT from now on */
void gort__mutex_queue_turning(gort_mutex *m, struct sync_waiter *w);
void gort__mutex_stand_down(gort_mutex *m, struct sync_waiter *w);      /* gives up */
struct sync_waiter *gort__mutex_standing(gort_mutex *m);        /* for it, by address only; or NULL */

static inline struct sync_waiter **mutex_queue(gort_mutex *m)
{
	return (struct sync_waiter **)&m->waiters;
}

#endif
