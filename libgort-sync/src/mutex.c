/* SPDX-License-Identifier: MIT */
/*
 * The mutex: Go's, with normal and starvation mode.
 *
 *   LOCKED     somebody has it
 *   WAITERS    the queue is not empty; changes under the table's lock only
 *   WOKEN      a waiter was woken and has not yet had its try: no need to wake another
 *   STARVING   a waiter has waited for more than a millisecond: unlock hands over, newcomers queue up
 *
 * Normal mode lets a running goroutine take a free mutex before the waiter just woken, which is much faster as long as it
 * does not go on for ever; that one then goes back to the head of the queue.
 *
 * Unlocking with waiters makes its only change of the word that lets others in (LOCKED off, or the hand-over) under the
 * table's lock, and does not touch the mutex afterwards.
 */
#include "queue.h"

#include <errno.h>

#define LOCKED 1u
#define WAITERS 2u
#define WOKEN 4u
#define STARVING 8u

#define STARVES_AFTER GORT_MILLISECOND
#define SPINS 4
#define SPIN_PAUSES 30

static struct sync_waiter **queue(gort_mutex *m)
{
	return (struct sync_waiter **)&m->waiters;
}

bool gort_mutex_try_lock(gort_mutex *m)
{
	uint32_t s = gort__load_relaxed(&m->state);

	return !(s & (LOCKED | STARVING)) && gort__cas_acquire(&m->state, &s, s | LOCKED);
}

/* True: taken. Clears WOKEN if it was ours. */
static bool try_take(gort_mutex *m, bool woken)
{
	uint32_t s = gort__load_relaxed(&m->state);

	while (!(s & (LOCKED | STARVING))) {
		if (gort__cas_acquire(&m->state, &s, (s | LOCKED) & ~(woken ? WOKEN : 0u)))     /* pairs with unlock's release */
			return true;
	}
	return false;
}

/* Under the table's lock. True: taken after all. False: queued, to be parked. */
static bool take_or_queue(gort_mutex *m, struct sync_waiter *w, bool woken, bool starving)
{
	uint32_t s = gort__load_relaxed(&m->state);

	for (;;) {
		uint32_t t = s & ~(woken ? WOKEN : 0u);

		/* a woken waiter that starves takes a free one; with STARVING set only it can be free by a timed-out queue */
		if (!(s & LOCKED) && (!(s & STARVING) || woken || *queue(m) == NULL)) {
			if (gort__cas_acquire(&m->state, &s, t | LOCKED))
				return true;
			continue;
		}
		if (gort__cas_relaxed(&m->state, &s, t | WAITERS | (starving ? STARVING : 0u)))
			break;
	}
	if (woken)
		sync_push_front(queue(m), w);
	else
		sync_push(queue(m), w);
	return false;
}

static int lock_slow(gort_mutex *m, gort_time deadline)
{
	struct sync_waiter w = { .key = m };
	bool woken = false, starving = false;
	gort__m *mp;

	if (gort__can_spin()) {
		for (int i = 0; i < SPINS; i++) {
			if (gort__load_relaxed(&m->state) & STARVING)
				break;
			if (try_take(m, false))
				return 0;
			for (int k = 0; k < SPIN_PAUSES; k++)
				gort__cpu_relax();
		}
	}
	mp = gort__enter();
	w.g = gort__g_of(mp);
	for (;;) {
		if (try_take(m, woken))
			break;
		if (w.since == 0)
			w.since = gort_now();
		gort__sync_lock(m);
		gort__park_prepare(w.g, "sync.Mutex.Lock");
		w.ticket = deadline != GORT_FOREVER ? gort__ticket_arm(w.g) : 0;
		if (take_or_queue(m, &w, woken, starving)) {
			gort__sync_unlock(m);
			if (w.ticket != 0)
				gort__ticket_claim(w.g, w.ticket);      /* nobody else can: it was not queued */
			gort__park_undo(w.g);
			break;
		}
		gort__sync_unlock(m);
		if (deadline == GORT_FOREVER) {
			mp = gort__park(mp);
		} else if (gort__park_until(&mp, w.ticket, deadline) != 0) {
			gort__sync_lock(m);
			if (w.queued)
				sync_remove(queue(m), &w);
			if (*queue(m) == NULL) {
				uint32_t s = gort__load_relaxed(&m->state);

				while (!gort__cas_relaxed(&m->state, &s, s & ~(WAITERS | STARVING)))
					;
			}
			gort__sync_unlock(m);
			gort__leave(mp);
			return -ETIMEDOUT;
		}
		if (w.granted)
			break;
		woken = true;
		starving = starving || gort_now() - w.since > STARVES_AFTER;
	}
	gort__leave(mp);
	return 0;
}

void gort_mutex_lock(gort_mutex *m)
{
	uint32_t s = 0;

	if (gort__likely(gort__cas_acquire(&m->state, &s, LOCKED)))     /* pairs with unlock's release */
		return;
	lock_slow(m, GORT_FOREVER);
}

int gort_mutex_lock_until(gort_mutex *m, gort_time deadline)
{
	uint32_t s = 0;

	if (deadline != GORT_FOREVER && deadline <= gort_now())
		return -ETIMEDOUT;
	if (gort__cas_acquire(&m->state, &s, LOCKED))
		return 0;
	return lock_slow(m, deadline);
}

static __attribute__((noinline)) void unlock_slow(gort_mutex *m)
{
	struct sync_waiter *w = NULL;
	uint32_t s, t;
	gort__m *mp;

	gort__sync_lock(m);
	s = gort__load_relaxed(&m->state);
	if (!(s & LOCKED)) {
		gort__sync_unlock(m);
		gort__fatal("sync: unlock of unlocked mutex");
	}
	/* a woken waiter will look by itself, except that one who starves must be given it */
	if ((s & STARVING) || !(s & WOKEN))
		w = sync_pop(queue(m));
	if (w != NULL && (s & STARVING)) {
		bool over = *queue(m) == NULL || gort_now() - w->since < STARVES_AFTER;

		w->granted = true;
		do {
			t = s & ~((over ? STARVING : 0u) | (*queue(m) == NULL ? WAITERS : 0u));
		} while (!gort__cas_release(&m->state, &s, t));
	} else {
		do {
			t = s & ~LOCKED;
			if (w != NULL)
				t |= WOKEN;
			if (*queue(m) == NULL)
				t &= ~(WAITERS | STARVING);
		} while (!gort__cas_release(&m->state, &s, t));         /* pairs with the acquires in lock */
	}
	gort__sync_unlock(m);                   /* by address only: the mutex may be gone */
	if (w != NULL) {
		mp = gort__enter_nosched();
		gort__ready(mp, w->g);
		gort__leave(mp);
	}
}

void gort_mutex_unlock(gort_mutex *m)
{
	uint32_t s = LOCKED;

	if (gort__likely(gort__cas_release(&m->state, &s, 0)))          /* pairs with lock's acquire */
		return;
	unlock_slow(m);
}
