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

#include <gort/gmp.h>
#include <gort/sync.h>

struct sync_waiter {
	struct sync_waiter *next;
	struct sync_waiter *prev;       /* of the first: the last */
	gort_g *g;
	const void *key;                /* the object */
	uint64_t ticket;
	gort_time since;                /* mutex: when it began to wait */
	bool queued;
	bool granted;                   /* mutex: it was handed over */
};

/* All of these under the table's lock for the object. */
void gort__sync_lock(const void *key);
void gort__sync_unlock(const void *key);

/* The table's own queue, for objects with no room for one. */
struct sync_waiter **gort__sync_shared(const void *key);

static inline void sync_push(struct sync_waiter **head, struct sync_waiter *w)
{
	struct sync_waiter *first = *head;

	w->next = NULL;
	w->queued = true;
	if (first == NULL) {
		w->prev = w;
		*head = w;
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
		*head = w->next;
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

/* The oldest that is still waiting, claimed: ready it after unlocking. */
static inline struct sync_waiter *sync_pop(struct sync_waiter **head)
{
	struct sync_waiter *w;

	while ((w = *head) != NULL) {
		sync_remove(head, w);
		if (w->ticket == 0 || gort__ticket_claim(w->g, w->ticket))
			return w;
	}
	return NULL;
}

#endif
