/* SPDX-License-Identifier: MIT */
/*
 * The mutex: Go's, with normal and starvation mode.
 *
 * It is plain until somebody has to wait for it, and then full. A plain one is unlocked by a store, which is half of what a lock
 * and an unlock cost; how it becomes full meanwhile, and plain again when it has been calm for long, is told in turn.c. The word
 * of a full one:
 *
 *   LOCKED     somebody has it
 *   WAITERS    the queue is not empty; changes under the table's lock only
 *   WOKEN      a waiter is awake (it was woken, or it spins) and has not had its try yet: no need to wake another, and
 *              others who have to wait do so behind it, since three running for one mutex only get in each other's way
 *   STARVING   a waiter has waited for more than a millisecond: unlock hands over, newcomers queue up
 *
 * Normal mode lets a running goroutine take a free mutex before the waiter just woken, which is much faster as long as it
 * does not go on for ever; that one then goes back to the head of the queue.
 *
 * Unlocking makes its only change of the word that lets others in (LOCKED off, or the hand-over) as its last touch of the
 * mutex; where it has to wake somebody, that is under the table's lock. STARVING is only ever set together with LOCKED, and
 * LOCKED stays while a hand-over is under way, so it is enough for a newcomer to look at LOCKED.
 *
 * It is taken inline by users (sync.h): LOCKED is the lowest bit, and who sets it has the mutex, whatever the other bits say.
 * That much can never change. A compare-and-swap from 0 fails as soon as anybody waits, and has the cache line for nothing
 * then: with eight goroutines on two processors an operation took 50 ns that way, and takes 30.
 */
#include "mutex.h"

#define STARVES_AFTER GORT_MILLISECOND
#define SPINS 4

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

/* Under the table's lock, which it may give up meanwhile. True: taken after all. False: queued, to be parked. */
static bool take_or_queue(gort_mutex *m, struct sync_waiter *w, bool woken, bool starving, bool again)
{
	uint32_t s, mode;

	/* not full yet, so no bit but LOCKED may be set */
	while ((mode = gort__mutex_mode(m)) < FULL) {
		if (!(gort__load_relaxed(&m->state) & LOCKED)) {
			if (mode == TURNED)
				gort__mutex_turned(m, FULL);
			else if (try_take(m, false))
				return true;
		} else if (mode == PLAIN) {
			gort__mutex_turn(m);
		} else {
			gort__mutex_queue_turning(m, w);
			return false;
		}
	}
	s = gort__load_relaxed(&m->state);
	for (;;) {
		uint32_t t = s & ~(woken ? WOKEN : 0u);

		/* a free one, unless another waiter is on its way to take it: then behind that one */
		if (!(s & LOCKED) && (woken || !(s & WOKEN))) {
			if (gort__cas_acquire(&m->state, &s, t | LOCKED))
				return true;
			continue;
		}
		if (gort__cas_relaxed(&m->state, &s, t | WAITERS | (starving ? STARVING : 0u)))
			break;
	}
	if (again)
		sync_push_front(mutex_queue(m), w);
	else
		sync_push(mutex_queue(m), w);
	return false;
}

/* Its deadline passed. */
static void give_up(gort_mutex *m, struct sync_waiter *w)
{
	uint32_t s;

	gort__sync_lock(m);
	if (w->queued && w->turns)
		gort__mutex_stand_down(m, w);
	else if (w->queued)
		sync_remove(mutex_queue(m), w);
	if (*mutex_queue(m) == NULL) {
		s = gort__load_relaxed(&m->state);
		while (!gort__cas_relaxed(&m->state, &s, s & ~(WAITERS | STARVING)))
			;
	}
	gort__sync_unlock(m);
}

/* A spinning waiter says that it is awake, so that unlock need not wake another. True: that bit is ours now. */
static bool say_awake(gort_mutex *m, uint32_t s)
{
	return (s & (WAITERS | WOKEN)) == WAITERS && gort__cas_relaxed(&m->state, &s, s | WOKEN);
}

/* woken: a waiter that an unlock has made the one that is awake. Entered; leaves. */
static int contend(gort__m *mp, gort_mutex *m, struct sync_waiter *w, gort_time deadline, bool woken)
{
	bool starving = woken && gort_now() - w->since > STARVES_AFTER, again;
	int spins = 0, r = 0;

	for (;;) {
		uint32_t s = gort__load_relaxed(&m->state);

		/* once also when it is free just now: whoever has it in its cache had better go on for a while */
		if ((woken || !(s & WOKEN)) && spins < SPINS &&
		    ((s & (LOCKED | STARVING)) == LOCKED || (spins == 0 && !w->adopted)) && sync_may_spin(mp)) {
			woken = woken || say_awake(m, s);
			sync_pause();
			spins++;
			continue;
		}
		if ((woken || !(s & WOKEN)) && try_take(m, woken))
			break;
		again = w->since != 0;
		if (!again)
			w->since = gort_now();
		gort__sync_lock(m);
		sync_prepare(mp, w, "sync.Mutex.Lock", deadline);
		if (take_or_queue(m, w, woken, starving, again)) {
			gort__sync_unlock(m);
			if (w->ticket != 0)
				gort__ticket_claim(w->g, w->ticket);    /* nobody else can: it was not queued */
			gort__park_undo(w->g);
			break;
		}
		gort__sync_unlock(m);
		r = sync_park(&mp, w, deadline);
		if (r != 0)
			give_up(m, w);
		if (r != 0 || w->granted)
			break;
		woken = true;
		spins = 0;
		starving = starving || gort_now() - w->since > STARVES_AFTER;
	}
	gort__leave(mp);
	return r;
}

static __attribute__((noinline)) int lock_slow(gort_mutex *m, gort_time deadline)
{
	struct sync_waiter w = { .key = m };

	return contend(gort__enter(), m, &w, deadline, false);
}

/* Under the table's lock, with somebody in the queue. To be woken, if there is nobody to unlock it, nor one who is awake. */
static struct sync_waiter *first_to_wake(gort_mutex *m)
{
	struct sync_waiter *w = NULL;
	uint32_t s = gort__load_relaxed(&m->state), off = 0;

	while (!gort__cas_relaxed(&m->state, &s, s | WAITERS | (s & LOCKED ? 0u : WOKEN)))
		;
	if (!(s & (LOCKED | WOKEN))) {
		w = sync_pop(mutex_queue(m));
		off = w == NULL ? WOKEN : 0u;   /* their deadlines have passed */
	}
	if (*mutex_queue(m) == NULL) {
		s = gort__load_relaxed(&m->state);
		while (!gort__cas_relaxed(&m->state, &s, s & ~(WAITERS | STARVING | off)))
			;
	}
	return w;
}

/*
 * For a condition variable, by who has the mutex, before it waits: others who signal put it into the mutex's queue, and that
 * must be allowed at any time.
 */
void gort__mutex_keep(gort_mutex *m)
{
	uint32_t mode;

	if ((gort__load_relaxed(&m->mode) & MODE) == KEPT)      /* relaxed: whoever had it before has written it before */
		return;
	gort__sync_lock(m);
	if (!(gort__load_relaxed(&m->state) & LOCKED)) {
		gort__sync_unlock(m);
		gort__fatal("sync: unlock of unlocked mutex");
	}
	mode = gort__mutex_mode(m);
	if (mode == TURNING || mode == TURNED)
		gort__mutex_turned(m, KEPT);
	else
		gort__store_relaxed(&m->mode, KEPT);
	gort__sync_unlock(m);
}

/*
 * Waiters of a condition variable, claimed: a list through next, all with this mutex. They queue up for it where they are,
 * asleep, instead of being woken one and all to find it taken.
 */
void gort__mutex_adopt(gort_mutex *m, struct sync_waiter *list)
{
	struct sync_waiter *w;
	gort_time now = gort_now();

	gort__sync_lock(m);
	while ((w = list) != NULL) {
		list = w->next;
		w->since = now;
		w->adopted = true;
		gort__store_relaxed(&w->g->wait_reason, "sync.Mutex.Lock");
		sync_push(mutex_queue(m), w);
	}
	w = first_to_wake(m);
	gort__sync_unlock(m);
	if (w != NULL)
		sync_wake_one(w);
}

/* One of them has been woken. Entered; leaves. */
void gort__mutex_adopted(gort__m *mp, gort_mutex *m, struct sync_waiter *w)
{
	if (w->granted)
		gort__leave(mp);
	else
		contend(mp, m, w, GORT_FOREVER, true);
}

/* In normal mode those who run go before those who wait. In starvation mode it is not free. */
static inline bool lock_fast(gort_mutex *m)
{
	return !(gort__or_acquire(&m->state, LOCKED) & LOCKED); /* pairs with unlock's release */
}

void gort__mutex_lock_slow(gort_mutex *m)
{
	lock_slow(m, GORT_FOREVER);
}

void (gort_mutex_lock)(gort_mutex *m)
{
	if (gort__unlikely(!lock_fast(m)))
		lock_slow(m, GORT_FOREVER);
}

int gort_mutex_lock_until(gort_mutex *m, gort_time deadline)
{
	if (sync_too_late(deadline))
		return -ETIMEDOUT;
	return lock_fast(m) ? 0 : lock_slow(m, deadline);
}

/* Of a full one, under the table's lock, by who has it: is it plain again? A wait that has begun would show. */
static bool calmed(gort_mutex *m, uint32_t s)
{
	bool calm = gort__load_relaxed(&m->mode) >= FULL + GORT__MUTEX_CALM * CALM_UNLOCK && s == LOCKED && *mutex_queue(m) == NULL;

	gort__store_relaxed(&m->mode, calm ? PLAIN : FULL);
	return calm;
}

/* hand_over: to a waiter directly, as to one that starves. */
static __attribute__((noinline)) void unlock_slow(gort_mutex *m, bool hand_over)
{
	struct sync_waiter *w = NULL;
	uint32_t s, t, mode;

	gort__sync_lock(m);
	s = gort__load_relaxed(&m->state);
	if (!(s & LOCKED)) {
		gort__sync_unlock(m);
		gort__fatal("sync: unlock of unlocked mutex");
	}
	mode = gort__mutex_mode(m);
	if (mode == TURNED) {
		gort__mutex_turned(m, FULL);
		s = gort__load_relaxed(&m->state);
	} else if (mode < FULL || (mode == FULL && calmed(m, s))) {
		/* nobody waits; or who does is awake, and looks under the lock */
		gort__store_release(&m->state, 0u);     /* pairs with the acquires in lock */
		gort__sync_unlock(m);                   /* by address only, here and below: the mutex may be gone */
		return;
	}
	/* a waiter that is awake will look by itself, except that one who starves must be given it */
	if ((s & STARVING) || !(s & WOKEN))
		w = sync_pop(mutex_queue(m));
	if (w != NULL && (hand_over || (s & STARVING))) {
		bool more = *mutex_queue(m) != NULL;
		bool over = (s & STARVING) && (!more || gort_now() - w->since < STARVES_AFTER);

		w->granted = true;              /* who wakes up sees all that came before, as after any park */
		do {
			t = s & ~((over ? STARVING : 0u) | (more ? 0u : WAITERS));
		} while (t != s && !gort__cas_relaxed(&m->state, &s, t));
	} else {
		do {
			t = s & ~LOCKED;
			if (w != NULL)
				t |= WOKEN;
			if (*mutex_queue(m) == NULL)
				t &= ~(WAITERS | STARVING);
		} while (!gort__cas_release(&m->state, &s, t));         /* pairs with the acquires in lock */
	}
	gort__sync_unlock(m);
	if (w != NULL)
		sync_wake_one(w);
}

/* May unlocking with this word leave the waiters alone? There are none, or one is awake and will look by itself. */
static inline bool nobody_to_wake(uint32_t s)
{
	return (s & ~WOKEN) == LOCKED || (s & (LOCKED | WOKEN | STARVING)) == (LOCKED | WOKEN);
}

/* After the last touch of a mutex that was plain, when one turns whose address lies in the same bucket: is it this one? */
static __attribute__((noinline)) void look(gort_mutex *m)
{
	struct sync_waiter *w;

	gort__sync_lock(m);
	w = gort__mutex_standing(m);
	if (w != NULL && !(gort__load_relaxed(&m->state) & LOCKED)) {
		gort__mutex_turned(m, FULL);
		w = first_to_wake(m);
	} else {
		w = NULL;
	}
	gort__sync_unlock(m);
	if (w != NULL)
		sync_wake_one(w);
}

/*
 * Until the scheduler has found out whether there is a heavy fence: takes nothing away that there may be if there is none, and
 * looks in case there is one, and somebody has begun to wait since. True: unlocked.
 */
static bool unlock_unknown(gort_mutex *m)
{
	const uint32_t *turns = sync_turns(m);
	uint32_t s = LOCKED;

	if (gort__m_self() != NULL)
		return false;                   /* a thread that has entered knows */
	if (!gort__cas_release(&m->state, &s, 0u))      /* pairs with lock's acquire */
		return false;
	gort__fence_compiler();                 /* near half; the far one is in gort__mutex_turn */
	if (gort__load_relaxed(turns) >= SYNC_TURN)
		look(m);
	return true;
}

/* One that is not plain, or not known to be. */
static __attribute__((noinline)) void unlock_full(gort_mutex *m)
{
	uint32_t mode = gort__load_relaxed(&m->mode), turns = gort__load_relaxed(sync_turns(m));
	uint32_t s = gort__load_relaxed(&m->state);

	if (mode == PLAIN && turns == 0 && unlock_unknown(m))
		return;
	if ((mode & MODE) == FULL) {
		/* only the holder of a full one writes this word */
		if (s != LOCKED)
			gort__store_relaxed(&m->mode, FULL);
		else if (mode < FULL + GORT__MUTEX_CALM * CALM_UNLOCK)
			gort__store_relaxed(&m->mode, mode + CALM_UNLOCK);
		else
			s = 0;                  /* to be looked at under the lock */
	}
	if ((mode & MODE) >= FULL || turns & SYNC_FENCED) {
		while (nobody_to_wake(s)) {
			if (gort__cas_release(&m->state, &s, s & ~LOCKED))      /* pairs with lock's acquire */
				return;
		}
	}
	unlock_slow(m, false);
}

void gort_mutex_unlock(gort_mutex *m)
{
	const uint32_t *turns = sync_turns(m);

	if (gort__likely(gort__load_relaxed(&m->mode) == PLAIN && gort__load_relaxed(turns) == SYNC_READY &&
			 gort__load_relaxed(&m->state) == LOCKED)) {
		gort__store_release(&m->state, 0u);     /* pairs with lock's acquire */
		gort__fence_compiler();                 /* near half; the far one is in gort__mutex_turn */
		if (gort__unlikely(gort__load_relaxed(turns) != SYNC_READY))
			look(m);
		return;
	}
	unlock_full(m);
}

/* By one that is about to park, so that nobody runs who could take it before the waiter does. */
void gort__mutex_hand_over(gort_mutex *m)
{
	if (nobody_to_wake(gort__load_relaxed(&m->state)))
		gort_mutex_unlock(m);
	else
		unlock_slow(m, true);
}
