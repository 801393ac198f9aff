/* SPDX-License-Identifier: MIT */
/* A timer, as timer.c and afterfunc.c share it. Descriptors are type-stable: an entry in a heap may be older than its timer. */
#ifndef GORT__TIMER_IMPL_H
#define GORT__TIMER_IMPL_H

#include "runtime.h"

#include "due.h"

#include <gort/timer.h>

enum gort__timer_flag {
	GORT__TIMER_ONCE = 1,           /* gort_go_after's: nobody has a handle; it ends when it fires */
	GORT__TIMER_FREED = 2,          /* its owner has given the handle up */
	GORT__TIMER_OWED = 4,           /* due, but without a goroutine: fires when one of its own ends. Armed */
	GORT__TIMER_UNUSED = 8,         /* in a free list, or never used */
};

struct gort__timer_waiter {
	gort_g *g;
	struct gort__timer_waiter *next;
};

struct gort_timer {
	gort__bias lock;                /* rank: before sched.lock. It stays biased from one timer to the next */
	struct gort__due due;           /* due.h */
	gort__p *p;                     /* into whose heap the newest entry went; NULL: into a list. Under lock */
	gort_duration period;           /* under lock */
	void (*fn)(void *arg);          /* to be run by a goroutine, or */
	gort__timer_fn *here;           /* to be called where it fires; fixed, like the next two */
	void (*release)(void *arg);
	void *arg;
	gort_g *g;                      /* the goroutine to fire with: it has its stack reserved; NULL: see OWED. Under lock */
	uint32_t flags;                 /* enum gort__timer_flag; under lock */
	uint32_t running;               /* fired, and fn has not returned; under lock */
	uint32_t users;                 /* goroutines and Ms that will come back to the timer; under lock */
	struct gort__timer_waiter *waiters;     /* for running to be 0; under lock */
	/* in a list, for want of a P or of memory; under sched.lock */
	struct gort__timer_list *list;  /* NULL: in none */
	gort_timer *next, **at;         /* next: also in a free list */
	uint64_t stray;                 /* the entry's number */
	gort_time stray_when;
};

/* timer.c */
void gort__timer_stale(gort__p *me, gort__p *pp, int n);
bool gort__timer_room(gort__p *pp);             /* for one more; false: out of memory. No timer's lock is held */
#define GORT__ORDER_NEW UINT64_MAX      /* behind those of the same time */
/* False: there is no room. */
bool gort__timer_push(gort__p *pp, gort_timer *t, uint64_t number, gort_time when, uint64_t order);
void gort__timer_stray(gort_timer *t, uint64_t number, gort_time when);         /* to be followed by gort__timer_call */
void gort__timer_call(void);
void gort__timer_unstray(gort_timer *t);

/* afterfunc.c */
/* An entry has come up. False: it was dead. Goroutines to be run are added to due. */
bool gort__timer_up(gort__p *pp, gort_timer *t, const struct gort__heap_entry *e, gort_time now, struct gort__batch *due);

#endif
