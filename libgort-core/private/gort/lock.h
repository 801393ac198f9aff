/* SPDX-License-Identifier: MIT */
/*
 * The lock that guards the suite's own short critical sections: channels, wait queues, pools, the global run queue.
 * It belongs to threads, not goroutines, and is never held across a switch, a call into the user's code or a system
 * call that may block.
 *
 * One atomic read-modify-write for lock and unlock together: unlocking is a plain release store and a look at the
 * waiters. A thread about to sleep counts itself in, runs the heavy fence and looks at the word again (fence.h), so
 * either it sees the word free or the unlocker sees it counted.
 *
 * The unlocker touches the lock once more after letting go, so a lock may be freed only by somebody who knows that
 * all its unlockers have left. What lives in the user's memory (a mutex, a wait group) therefore holds no such lock:
 * see the hashed queues of libgort-sync.
 */
#ifndef GORT__LOCK_H
#define GORT__LOCK_H

#include <gort/fence.h>

typedef struct gort__lock {
	uint32_t word;      /* 0 free, 1 held */
	uint32_t waiters;   /* how many sleep or are about to; GORT__LOCK_FENCED when unlock must fence */
} gort__lock;

#define GORT__LOCK_FENCED 0x80000000u

GORT_API void gort__lock_slow(gort__lock *l);
GORT_API void gort__unlock_slow(gort__lock *l);

static inline void gort__lock_init(gort__lock *l)
{
	l->word = 0;
	l->waiters = gort__fenced ? GORT__LOCK_FENCED : 0;
}

static inline bool gort__lock_try(gort__lock *l)
{
	uint32_t expected = 0;

	return gort__cas_acquire(&l->word, &expected, 1);   /* pairs with the release store in unlock */
}

static inline void gort__lock_lock(gort__lock *l)
{
	if (gort__unlikely(!gort__lock_try(l)))
		gort__lock_slow(l);
}

static inline void gort__lock_unlock(gort__lock *l)
{
	gort__store_release(&l->word, 0);                   /* pairs with the acquire CAS in lock */
	gort__fence_compiler();                             /* near half; the far one is in gort__lock_slow */
	if (gort__unlikely(gort__load_relaxed(&l->waiters) != 0))
		gort__unlock_slow(l);
}

#endif
