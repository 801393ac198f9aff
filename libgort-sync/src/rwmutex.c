/* SPDX-License-Identifier: MIT */
/*
 * The reader/writer mutex, with Go's rules: a writer that waits keeps new readers out, so it gets in as soon as those inside
 * have left; and when it leaves, the readers that came meanwhile go before the next writer.
 *
 * One word:
 *
 *   WRITER     a writer is inside, or is next and waits for the readers to leave: newcomers wait
 *   QUEUED     more writers wait behind that one; only together with WRITER
 *   READERS    how many readers there are: inside and, while WRITER is set, those that wait
 *
 * A reader counts itself in and out by one addition each, whatever the word says: one that finds WRITER waits for its turn,
 * and stays counted. All else happens under the table's lock:
 *
 *   - The writer that sets WRITER notes in departing how many readers were inside then. A reader that leaves and finds WRITER
 *     takes itself off that number; the last one lets the writer in. Until it has done so the writer cannot have gone on, so
 *     the object is there.
 *   - Unlock with a writer next admits all readers that are counted. Some of them may not have queued up yet: passes is how
 *     many, and they find that on their arrival under the table's lock. Which of the newcomers use the passes makes no
 *     difference.
 *   - Unlock without a writer next takes those in the queue off the number, and wakes one of them to try once more (called);
 *     when that one has got in it wakes the others, who try too. Were they admitted, as Go does it, then the one that
 *     unlocks, running on, would find them inside at its next lock though they have not run yet, and wait for them; and they
 *     for it, at their next: each switch would be good for one section, for ever. One that fails a second time insists, and
 *     then all are admitted after all.
 *
 * Unlocking with nobody else in the word is one compare-and-swap, and the last touch; otherwise what lets others in comes last
 * under the table's lock.
 *
 * Readers' fast paths are inline in sync.h: READERS counts from the lowest bit, and the top bits are WRITER and QUEUED.
 */
#include "queue.h"

#define WRITER 0x80000000u
#define QUEUED 0x40000000u
#define READERS 0x3fffffffu

#define SPINS 4

static struct sync_waiter **readers_of(gort_rwmutex *m)
{
	return (struct sync_waiter **)&m->readers;
}

/* The first one is next: WRITER is set on its behalf when it is not set for somebody inside. */
static struct sync_waiter **writers_of(gort_rwmutex *m)
{
	return (struct sync_waiter **)&m->writers;
}

/* --- readers --- */

/* The readers in the queue are woken; granted: they are inside. */
static void wake_readers(gort_rwmutex *m, bool granted, struct sync_woken *woken)
{
	struct sync_waiter *w;

	m->parked = m->waiting = 0;
	m->insisting = false;
	while ((w = sync_pop(readers_of(m))) != NULL) {
		w->granted = granted;
		sync_woken_add(woken, w);
	}
}

/* The one that was called has got in: so may the others. */
static void call_others(gort_rwmutex *m)
{
	struct sync_woken woken;

	sync_woken_init(&woken);
	gort__sync_lock(m);
	m->called = false;
	if (!(gort__load_relaxed(&m->state) & WRITER)) {
		if (m->parked > 0)
			wake_readers(m, false, &woken);
	} else if (m->parked != m->waiting) {
		/* there is a next writer meanwhile, which waits for us: they are counted again, and wait for that one */
		gort__add_relaxed(&m->state, m->parked - m->waiting);
		m->waiting = m->parked;
	}
	gort__sync_unlock(m);
	sync_wake(&woken);
}

/* Counted already, while WRITER was set. */
void gort__rwmutex_rlock_slow(gort_rwmutex *m)
{
	struct sync_waiter w = { .key = m };
	gort__m *mp = gort__enter();
	bool again = false;

	do {
		gort__sync_lock(m);
		if (m->passes > 0) {
			/* a writer has left since, and counted us */
			m->passes--;
			gort__sync_unlock(m);
			break;
		}
		if (w.called)
			m->called = w.called = false;
		sync_prepare(mp, &w, "sync.RWMutex.RLock", GORT_FOREVER);
		sync_push(readers_of(m), &w);
		m->parked++;
		m->waiting++;
		m->insisting = m->insisting || again;
		gort__sync_unlock(m);
		mp = gort__park(mp);
		again = true;
	} while (!w.granted && (gort__add_acq_rel(&m->state, 1) & WRITER));     /* pairs with the release in unlock */
	if (w.called)
		call_others(m);
	gort__leave(mp);
}

void (gort_rwmutex_rlock)(gort_rwmutex *m)
{
	if (gort__unlikely(gort__add_acq_rel(&m->state, 1) & WRITER))   /* pairs with the release in unlock */
		gort__rwmutex_rlock_slow(m);
}

bool gort_rwmutex_try_rlock(gort_rwmutex *m)
{
	uint32_t s = gort__load_relaxed(&m->state);

	while (!(s & WRITER)) {
		if (gort__cas_acquire(&m->state, &s, s + 1))            /* pairs with the release in unlock */
			return true;
	}
	return false;
}

/* was: the word before the reader took itself off. */
void gort__rwmutex_runlock_slow(gort_rwmutex *m, uint32_t was)
{
	struct sync_waiter *w = NULL;

	if ((was & READERS) == 0)
		gort__fatal("sync: RUnlock of unlocked RWMutex");
	gort__sync_lock(m);
	if (m->departing == 0) {
		gort__sync_unlock(m);
		gort__fatal("sync: RUnlock of unlocked RWMutex");
	}
	if (--m->departing == 0)
		w = sync_pop(writers_of(m));
	gort__sync_unlock(m);                   /* by address only: the mutex may be gone once the writer runs */
	if (w != NULL)
		sync_wake_one(w);
}

void (gort_rwmutex_runlock)(gort_rwmutex *m)
{
	/* release: what was read has been read before a writer changes it */
	uint32_t was = gort__add_acq_rel(&m->state, -1u);

	if (gort__unlikely((was & WRITER) || (was & READERS) == 0))
		gort__rwmutex_runlock_slow(m, was);
}

/* --- writers --- */

bool gort_rwmutex_try_lock(gort_rwmutex *m)
{
	uint32_t s = 0;

	return gort__cas_acquire(&m->state, &s, WRITER);                /* pairs with the releases of unlock and runlock */
}

static __attribute__((noinline)) void lock_slow(gort_rwmutex *m)
{
	struct sync_waiter w = { .key = m };
	uint32_t s, readers;
	gort__m *mp;

	mp = gort__enter();
	for (int i = 0; i < SPINS && sync_may_spin(mp); i++) {
		sync_pause();
		if (gort__load_relaxed(&m->state) == 0 && gort_rwmutex_try_lock(m)) {
			gort__leave(mp);
			return;
		}
	}
	gort__sync_lock(m);
	s = gort__load_relaxed(&m->state);
	/* acquire: pairs with the releases of those who have left */
	while (!gort__cas_acquire(&m->state, &s, s & WRITER ? s | QUEUED : s | WRITER))
		;
	readers = s & READERS;
	if (!(s & WRITER) && readers == 0) {
		gort__sync_unlock(m);
		gort__leave(mp);
		return;
	}
	if (!(s & WRITER))
		m->departing = readers;
	sync_prepare(mp, &w, "sync.RWMutex.Lock", GORT_FOREVER);
	sync_push(writers_of(m), &w);
	gort__sync_unlock(m);
	mp = gort__park(mp);
	gort__leave(mp);
}

void (gort_rwmutex_lock)(gort_rwmutex *m)
{
	if (gort__unlikely(!gort_rwmutex_try_lock(m)))
		lock_slow(m);
}

/* To the next writer, or to the readers that there are now and then to it: WRITER stays. */
static void unlock_to_writer(gort_rwmutex *m, uint32_t s, struct sync_woken *woken)
{
	bool more = (*writers_of(m))->next != NULL;
	uint32_t back = m->parked - m->waiting;         /* readers to be counted again */

	if ((s & READERS) + back == 0) {
		sync_woken_add(woken, sync_pop(writers_of(m)));
	} else {
		m->departing = (s & READERS) + back;
		m->passes = (s & READERS) - m->waiting;
		wake_readers(m, true, woken);
	}
	while (!gort__cas_release(&m->state, &s, (more ? s : s & ~QUEUED) + back))
		;
}

static void unlock_to_readers(gort_rwmutex *m, uint32_t s, struct sync_woken *woken)
{
	uint32_t waiting = m->waiting, back = m->parked - waiting;
	bool granted = m->insisting, call = m->parked > 0 && !granted && !m->called;
	struct sync_waiter *w;

	m->waiting = 0;
	do {
		m->passes = (s & READERS) - waiting;
		/* pairs with the acquires of all */
	} while (!gort__cas_release(&m->state, &s, granted ? (s & READERS) + back : m->passes));
	/* those in the queue are still inside their calls; without any it may be gone */
	if (granted) {
		wake_readers(m, true, woken);
	} else if (call) {
		w = sync_pop(readers_of(m));
		m->parked--;
		m->called = w->called = true;
		w->granted = false;
		sync_woken_add(woken, w);
	}
}

static __attribute__((noinline)) void unlock_slow(gort_rwmutex *m)
{
	struct sync_woken woken;
	uint32_t s;

	sync_woken_init(&woken);
	gort__sync_lock(m);
	s = gort__load_relaxed(&m->state);
	if (!(s & WRITER) || m->departing != 0) {
		gort__sync_unlock(m);
		gort__fatal("sync: Unlock of unlocked RWMutex");
	}
	if (*writers_of(m) != NULL)
		unlock_to_writer(m, s, &woken);
	else
		unlock_to_readers(m, s, &woken);
	gort__sync_unlock(m);
	sync_wake(&woken);
}

void (gort_rwmutex_unlock)(gort_rwmutex *m)
{
	uint32_t s = WRITER;

	if (gort__unlikely(!gort__cas_release(&m->state, &s, 0)))       /* pairs with the acquires in lock and rlock */
		unlock_slow(m);
}
