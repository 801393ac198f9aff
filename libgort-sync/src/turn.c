/* SPDX-License-Identifier: MIT */
/*
 * How a mutex turns from plain to full.
 *
 * A plain mutex is locked by a locked instruction and unlocked by a store: state is 0 or LOCKED, nobody waits, and so the store
 * takes nothing away. Whoever has to wait first makes it full (mutex.c), where unlocking is a locked instruction, too, and sees
 * WAITERS. After GORT__MUTEX_CALM unlocks in a row with nobody in the way it is plain again.
 *
 *                       waiter                    holder's unlock
 *      PLAIN ----------------------> TURNING ------- (state = 0) ---> the waiter looks
 *        ^ ^                            | heavy fence
 *        | |  the last waiter gives up  v
 *        | +------------------------ TURNED -----------------------> FULL
 *        |                              unlock; look; waiter, when free |
 *        +------------------------------- calm -----------------------+
 *
 *      KEPT: full for good. From any mode, by who has it, to use it with a condition variable
 *
 * All of these changes are made under the table's lock. The holder reads the mode without it, so it may have read PLAIN and
 * store 0 whatever has become of the mode since. This holder, and what can become of it:
 *
 * - While it turns, no bit of state but LOCKED is ever set, so the store takes nothing away.
 * - The heavy fence comes after the mode and the count in the table's word (sync_turns), and passes every thread. Who read PLAIN
 *   before it passed stores 0 either before that too, where the waiter sees it, or later, and then finds the count when it
 *   looks at the word. Who reads the mode after that knows. So past the fence at most one does not, who has the mutex now:
 *   when it is seen free there is none, and bits may be set.
 * - Seen free means by somebody who knows what the fence has shown: the waiter that turns it, or who comes later under the
 *   table's lock. Therefore TURNING is left by nobody else, but for KEPT, whose holder knows the mode since it writes it.
 * - A holder that knows unlocks under the table's lock. In TURNING it only unlocks: the waiter is on its way back.
 *
 * After its store the unlocker must not touch the mutex, which may be gone. It looks at the table's word. If a mutex of that
 * bucket turns it looks for its own in the bucket's list, by address: TURNED ones, and no others, have one of their waiters
 * there, which stands for it. It is not found: it has been taken care of, or is gone. It is found, so it is there, perhaps
 * another one at the same address. LOCKED: its holder will come by, since it knows, or will find the count as this one did.
 * Free: it turns.
 *
 * The store comes before the look at the word, with a compiler fence between: that is the near half. Looking at the word before
 * the store as well keeps unlockers of plain mutexes from searching the list while another one of the bucket is held for long.
 *
 * Where there is no heavy fence all mutexes are full (SYNC_FENCED). That is not known before the scheduler starts; until then
 * unlocking is a locked instruction, and the same look: somebody may have started it just now, to wait.
 *
 * What is given up for the store: a locked instruction can tell of two unlocks at the same time that only one is right.
 */
#include "mutex.h"

uint32_t gort__mutex_mode(gort_mutex *m)
{
	uint32_t *turns = sync_turns(m), n = gort__load_relaxed(turns);

	/* relaxed, all of it: under the lock. Who reads READY without it can do no harm by knowing early: the fence is there */
	if (n == 0) {
		n = gort__fenced ? SYNC_FENCED : SYNC_READY;
		gort__store_relaxed(turns, n);
	}
	return n & SYNC_FENCED ? KEPT : gort__load_relaxed(&m->mode) & MODE;
}

void gort__mutex_turn(gort_mutex *m)
{
	uint32_t *turns = sync_turns(m);

	/* relaxed: the heavy fence orders them for who has no lock, the lock for all others */
	gort__store_relaxed(&m->mode, TURNING);
	gort__store_relaxed(turns, gort__load_relaxed(turns) + SYNC_TURN);
	gort__sync_unlock(m);
	gort__fence_heavy();                    /* far half of the unlock of a plain mutex */
	gort__sync_lock(m);
	if (gort__mutex_mode(m) == TURNING)
		gort__store_relaxed(&m->mode, TURNED);  /* free, or the caller queues now and stands for it */
}

void gort__mutex_turned(gort_mutex *m, uint32_t mode)
{
	uint32_t *turns = sync_turns(m), n = gort__load_relaxed(turns), s;
	struct sync_waiter *w = gort__mutex_standing(m);

	gort__store_relaxed(&m->mode, mode);
	if (n >= SYNC_TURN)                     /* a forked child knows of no waiters, and had it counted before */
		gort__store_relaxed(turns, n - SYNC_TURN);
	if (w != NULL) {
		sync_remove(gort__sync_turning(m), w);
		w->turns = false;
		sync_push_front(mutex_queue(m), w);
	}
	if (*mutex_queue(m) == NULL)
		return;
	s = gort__load_relaxed(&m->state);
	while (!gort__cas_relaxed(&m->state, &s, s | WAITERS))  /* no order: the queue is the lock's */
		;
}

void gort__mutex_queue_turning(gort_mutex *m, struct sync_waiter *w)
{
	if (gort__mutex_mode(m) == TURNED && gort__mutex_standing(m) == NULL) {
		w->turns = true;
		sync_push(gort__sync_turning(m), w);
	} else {
		sync_push(mutex_queue(m), w);
	}
}

void gort__mutex_stand_down(gort_mutex *m, struct sync_waiter *w)
{
	uint32_t *turns = sync_turns(m);
	struct sync_waiter *next = *mutex_queue(m);

	sync_remove(gort__sync_turning(m), w);
	if (next != NULL) {
		sync_remove(mutex_queue(m), next);
		next->turns = true;
		sync_push(gort__sync_turning(m), next);
		return;
	}
	/* nobody waits, and no bit is set: whether the holder knows makes no difference */
	gort__store_relaxed(&m->mode, PLAIN);
	gort__store_relaxed(turns, gort__load_relaxed(turns) - SYNC_TURN);
}

struct sync_waiter *gort__mutex_standing(gort_mutex *m)
{
	struct sync_waiter *w = *gort__sync_turning(m);

	while (w != NULL && w->key != m)
		w = w->next;
	return w;
}
