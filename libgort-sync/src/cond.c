/* SPDX-License-Identifier: MIT */
/*
 * The condition variable. Its queue is first in, first out, and whoever signals takes the oldest off it and wakes that one,
 * so there are no spurious wakeups, and a signal without a waiter is lost. A waiter queues up before it lets go of the mutex
 * and has not parked yet then; being woken as early as that is what parking allows for.
 *
 * A waiter has to take the mutex again, and whoever signals often holds it. So those chosen move to the mutex's queue, asleep,
 * and are woken by unlocks, one after the other.
 *
 * A signal looks at the number of waiters before anything else, without the table's lock. A waiter that the caller knows of,
 * because they both held the mutex, is counted there.
 */
#include "queue.h"

static struct sync_waiter **queue(gort_cond *c)
{
	return (struct sync_waiter **)&c->waiters;
}

/* As Go's copyChecker: the first use writes the address down. */
static inline void check(gort_cond *c)
{
	void *self = gort__load_relaxed(&c->self);

	if (gort__likely(self == c))
		return;
	if (self != NULL || (!gort__cas_relaxed(&c->self, &self, c) && self != c))
		gort__panic("sync.Cond is copied");
}

int gort_cond_wait_until(gort_cond *c, gort_mutex *m, gort_time deadline)
{
	struct sync_waiter w = { .key = c, .mutex = m };
	gort__m *mp;
	int r;

	check(c);
	if (sync_too_late(deadline))
		return -ETIMEDOUT;
	mp = gort__enter();
	gort__mutex_keep(m);
	gort__sync_lock(c);
	sync_prepare(mp, &w, "sync.Cond.Wait", deadline);
	sync_push(queue(c), &w);
	gort__store_relaxed(&c->waiting, c->waiting + 1);
	gort__sync_unlock(c);
	gort__mutex_hand_over(m);               /* enters a second time at most, which never yields */
	r = sync_park(&mp, &w, deadline);
	if (r != 0) {
		gort__sync_lock(c);
		if (w.queued)
			sync_remove(queue(c), &w);
		gort__store_relaxed(&c->waiting, c->waiting - 1);
		gort__sync_unlock(c);
	}
	if (w.adopted) {
		gort__mutex_adopted(mp, m, &w);
	} else {
		gort__leave(mp);
		gort_mutex_lock(m);
	}
	return r;
}

void gort_cond_wait(gort_cond *c, gort_mutex *m)
{
	gort_cond_wait_until(c, m, GORT_FOREVER);
}

/* Off the queue and claimed, up to max: a list through next; NULL: nobody waits. */
static struct sync_waiter *take(gort_cond *c, uint32_t max)
{
	struct sync_waiter *first = NULL, **end = &first, *w;
	uint32_t n = 0;

	gort__sync_lock(c);
	for (; n < max && (w = sync_pop(queue(c))) != NULL; n++) {
		*end = w;
		end = &w->next;
	}
	*end = NULL;
	gort__store_relaxed(&c->waiting, c->waiting - n);
	gort__sync_unlock(c);                   /* by address only: the object may be gone once a waiter runs */
	return first;
}

/* Those with the same mutex, as all should be, in one go. */
static void to_mutexes(struct sync_waiter *w)
{
	while (w != NULL) {
		struct sync_waiter *first = w, *last = w;

		while (last->next != NULL && last->next->mutex == first->mutex)
			last = last->next;
		w = last->next;
		last->next = NULL;
		gort__mutex_adopt(first->mutex, first);
	}
}

void gort_cond_signal(gort_cond *c)
{
	check(c);
	if (gort__load_relaxed(&c->waiting) != 0)
		to_mutexes(take(c, 1));
}

void gort_cond_broadcast(gort_cond *c)
{
	check(c);
	if (gort__load_relaxed(&c->waiting) != 0)
		to_mutexes(take(c, UINT32_MAX));
}
