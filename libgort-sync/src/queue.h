/* SPDX-License-Identifier: MIT */
/*
 * Queues of waiters for objects in the user's memory.
 *
 * Such an object may be gone the moment its last user's call has returned, so it holds no lock of its own: the unlocker of
 * a lock touches it once more. Its waiters are guarded by one of a fixed table of locks, chosen by the object's address
 * (Go's semaRoot). Fast paths are atomic operations on the object's own word; whoever finds by its last operation on that
 * word that there are waiters works under the table's lock, and touches the object no more after letting others have it.
 *
 * A waiter's record lies on its own stack; claiming its ticket (gmp.h) happens under the table's lock, and a waiter whose
 * deadline won takes the lock too before its record goes away.
 */
#ifndef GORT__SYNC_QUEUE_H
#define GORT__SYNC_QUEUE_H

#include <gort/park.h>
#include <gort/sync.h>

#include <errno.h>

struct sync_waiter {
	struct sync_waiter *next;
	struct sync_waiter *prev;       /* of the first: the last */
	gort_g *g;
	const void *key;                /* the object */
	gort_mutex *mutex;              /* condition variable: with which it waits */
	uint64_t ticket;
	union {
		gort_time since;        /* mutex: when it began to wait */
		int64_t need;           /* semaphore: how much of it */
	};
	bool queued;
	bool turns;                     /* mutex: it stands in the table's list of those that turn, not in the mutex's queue */
	bool granted;                   /* mutexes: it was handed over */
	bool called;                    /* reader: it is to wake the others */
	bool adopted;                   /* condition variable: claimed, and waits for the mutex by now */
	bool reused;                    /* wait group: it was used again before this wait had returned */
};

/* All of these under the table's lock for the object. */
void gort__sync_lock(const void *key);
void gort__sync_unlock(const void *key);

/* The table's own queue, for objects with no room for one. */
struct sync_waiter **gort__sync_shared(const void *key);

/* Waiters that have been woken and are to be known of until they have come by: under the table's lock, but for the look. */
void gort__sync_leaves(struct sync_waiter *w);          /* woken, and taken off its queue */
void gort__sync_left(struct sync_waiter *w);            /* by itself */
bool gort__sync_any_leaving(const void *key);           /* of this object, or of another in the same bucket; from anywhere */
struct sync_waiter *gort__sync_leaving(const void *key);        /* the first in the list: of any object */

/*
 * For mutexes, whose unlock looks at this after its last touch of the mutex. A word for each bucket, 0 until somebody needs it:
 * SYNC_READY or SYNC_FENCED, and SYNC_TURN for each of its mutexes that turns (mutex.h). Written under the table's lock. In an
 * array of its own, since it is hardly ever written, and the bucket often.
 */
#define SYNC_BUCKETS 256
#define SYNC_READY 1u           /* the heavy fence is there */
#define SYNC_FENCED 2u          /* it is not, now or ever */
#define SYNC_TURN 4u
extern uint32_t gort__sync_turns[SYNC_BUCKETS] __attribute__((visibility("hidden")));

static inline unsigned sync_bucket(const void *key)
{
	return (unsigned)(((uintptr_t)key * 0x9E3779B97F4A7C15ull) >> 56);
}

static inline uint32_t *sync_turns(const void *key)
{
	return &gort__sync_turns[sync_bucket(key)];
}

/* The list of waiters that stand for their mutexes, one for each; under the table's lock. */
struct sync_waiter **gort__sync_turning(const void *key);

static inline void sync_push(struct sync_waiter **head, struct sync_waiter *w)
{
	struct sync_waiter *first = *head;

	w->next = NULL;
	w->queued = true;
	if (first == NULL) {
		w->prev = w;
		gort__store_relaxed(head, w);
		return;
	}
	w->prev = first->prev;
	first->prev->next = w;
	first->prev = w;
}

static inline void sync_push_front(struct sync_waiter **head, struct sync_waiter *w)
{
	struct sync_waiter *first = *head;

	w->queued = true;
	w->next = first;
	w->prev = first != NULL ? first->prev : w;
	if (first != NULL)
		first->prev = w;
	*head = w;
}

static inline void sync_remove(struct sync_waiter **head, struct sync_waiter *w)
{
	struct sync_waiter *first = *head;

	w->queued = false;
	if (w == first) {
		gort__store_relaxed(head, w->next);
		if (w->next != NULL)
			w->next->prev = w->prev;
		return;
	}
	w->prev->next = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		first->prev = w->prev;
}

/* mutex.c, for cond.c */
void gort__mutex_keep(gort_mutex *m);
void gort__mutex_adopt(gort_mutex *m, struct sync_waiter *list);
void gort__mutex_hand_over(gort_mutex *m);
void gort__mutex_adopted(gort__m *mp, gort_mutex *m, struct sync_waiter *w);

/* Is it worth while to spin? As in Go, on more than one processor, and when no other goroutine waits for this P. */
static inline bool sync_may_spin(gort__m *mp)
{
	struct gort__runq *q = (struct gort__runq *)mp->p;      /* a P begins with it */

	return gort__can_spin() && (q == NULL || (q->runnext == NULL && gort__runq_len(q) == 0));
}

static inline void sync_pause(void)
{
	for (int i = 0; i < 30; i++)
		gort__cpu_relax();
}

/* To be called between sync_lock and sync_unlock, before sync_park; see gort__park_prepare. */
static inline void sync_prepare(gort__m *mp, struct sync_waiter *w, const char *why, gort_time deadline)
{
	w->g = gort__g_of(mp);
	gort__park_prepare(w->g, why);
	w->ticket = deadline != GORT_FOREVER ? gort__ticket_arm(w->g) : 0;
}

/* Until it is taken off its queue by a waker: 0. -ETIMEDOUT: the record may still be queued, and must be taken off. */
static inline int sync_park(gort__m **mpp, struct sync_waiter *w, gort_time deadline)
{
	if (deadline != GORT_FOREVER)
		return gort__park_until(mpp, w->ticket, deadline);
	*mpp = gort__park_here(*mpp);
	return 0;
}

/* A deadline that has passed beats everything. */
static inline bool sync_too_late(gort_time deadline)
{
	return deadline != GORT_FOREVER && deadline <= gort_now();
}

/* The oldest that is still waiting, claimed: ready it after unlocking. */
static inline struct sync_waiter *sync_pop(struct sync_waiter **head)
{
	struct sync_waiter *w;

	while ((w = *head) != NULL) {
		sync_remove(head, w);
		if (w->ticket == 0 || w->adopted || gort__ticket_claim(w->g, w->ticket))
			return w;
	}
	return NULL;
}

/* Goroutines on their way to being made runnable, in order: collected under the table's lock, woken after it. */
struct sync_woken {
	gort_g *first, **end;
};

static inline void sync_woken_init(struct sync_woken *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static inline void sync_woken_add(struct sync_woken *l, struct sync_waiter *w)
{
	*l->end = w->g;
	l->end = &w->g->link;
}

static inline void sync_wake(struct sync_woken *l)
{
	gort__m *mp;

	if (l->first == NULL)
		return;
	*l->end = NULL;
	mp = gort__enter_nosched();
	if (l->first->link == NULL)
		gort__ready(mp, l->first);      /* runs when this goroutine makes room: nobody else need be told */
	else
		gort__ready_all(mp, l->first);
	gort__leave(mp);
}

static inline void sync_wake_one(struct sync_waiter *w)
{
	gort__m *mp = gort__enter_nosched();

	gort__ready(mp, w->g);
	gort__leave(mp);
}

#endif
