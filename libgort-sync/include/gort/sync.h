/* SPDX-License-Identifier: MIT */
/*
 * libgort-sync: mutex, wait group and once for goroutines and threads alike.
 *
 * The objects are small structs that the user embeds. Zeroed memory is a valid empty object; there is nothing to
 * initialise or destroy. An object may be freed, or its scope may end, the moment the call that ends its use has
 * returned, also while another goroutine is still on its way out of its own call. None may be copied after first use.
 *
 * Blocking calls may reschedule (see core.h) and allocate nothing.
 */
#ifndef GORT_SYNC_H
#define GORT_SYNC_H

#include <gort/core.h>

GORT_EXTERN_C_BEGIN

/* --- mutex: Go's sync.Mutex ------------------------------------------------------------------------------------- */

typedef struct gort_mutex {
	uint32_t state;
	uint32_t spare;
	void *waiters;
} gort_mutex;

#define GORT_MUTEX_INIT { 0, 0, NULL }

/**
 * gort_mutex_lock - take the mutex
 *
 * Blocks while another has it: spins briefly, then parks. A waiter of more than a millisecond is given the mutex directly
 * (Go's starvation mode). Not recursive. Go: Mutex.Lock.
 */
GORT_API void gort_mutex_lock(gort_mutex *m);

#ifdef GORT__ATOMICS
/* A free mutex is taken without a call, which would cost as much again: state 0 is free, 1 is taken and nobody waits. */
static inline void gort__mutex_lock_inline(gort_mutex *m)
{
	uint32_t free_word = 0;

	if (!__atomic_compare_exchange_n(&m->state, &free_word, 1u, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		gort_mutex_lock(m);
}
#  define gort_mutex_lock(m) gort__mutex_lock_inline(m)
#endif

/** gort_mutex_try_lock - take it if it is free; true: taken. Never blocks. Go: Mutex.TryLock. */
GORT_API bool gort_mutex_try_lock(gort_mutex *m);

/**
 * gort_mutex_lock_until - take it, or give up at the deadline
 *
 * 0 or -ETIMEDOUT; a deadline that has passed beats a free mutex. Blocks.
 */
GORT_API int gort_mutex_lock_until(gort_mutex *m, gort_time deadline);

/**
 * gort_mutex_unlock - give it back
 *
 * By any goroutine, not only the one that locked it. Fatal when it is not locked: "sync: unlock of unlocked mutex". Never
 * blocks. Go: Mutex.Unlock.
 */
GORT_API void gort_mutex_unlock(gort_mutex *m);

/* --- wait group: Go's sync.WaitGroup ---------------------------------------------------------------------------- */

typedef struct gort_waitgroup {
	uint64_t state;
	void *waiters;
	void *spare;
} gort_waitgroup;

#define GORT_WAITGROUP_INIT { 0, NULL, NULL }

/**
 * gort_waitgroup_add - n more to wait for
 *
 * n may be negative. Panics "sync: negative WaitGroup counter", and "sync: WaitGroup misuse: Add called concurrently
 * with Wait" where that is found out. Never blocks. Go: WaitGroup.Add.
 */
GORT_API void gort_waitgroup_add(gort_waitgroup *wg, int n);

/** gort_waitgroup_done - one fewer; the last one wakes the waiters. Never blocks. Go: WaitGroup.Done. */
GORT_API void gort_waitgroup_done(gort_waitgroup *wg);

/** gort_waitgroup_wait - blocks until the count is 0. Any number may wait. Go: WaitGroup.Wait. */
GORT_API void gort_waitgroup_wait(gort_waitgroup *wg);

/** gort_waitgroup_wait_until - as wait; -ETIMEDOUT at the deadline, and also when one that has passed meets a count of 0. */
GORT_API int gort_waitgroup_wait_until(gort_waitgroup *wg, gort_time deadline);

/**
 * gort_waitgroup_go - start a goroutine and count it
 *
 * Adds 1, and takes it off when fn has ended, be it by a panic or gort_goexit, and what it deferred has run. 0, or -ENOMEM
 * and the count is as it was. Never blocks. Go: WaitGroup.Go.
 *
 *     gort_waitgroup wg = GORT_WAITGROUP_INIT;
 *     for (int i = 0; i < n; i++) gort_waitgroup_go(&wg, work, &jobs[i]);
 *     gort_waitgroup_wait(&wg);
 */
GORT_API int gort_waitgroup_go(gort_waitgroup *wg, void (*fn)(void *arg), void *arg);

/* --- once: Go's sync.Once --------------------------------------------------------------------------------------- */

typedef struct gort_once {
	uint32_t state;
	uint32_t spare;
} gort_once;

#define GORT_ONCE_INIT { 0, 0 }

/**
 * gort_once_do - call fn(arg) the first time
 *
 * Callers meanwhile block until that call has ended. What fn defers runs at its end; a panic or gort_goexit in it counts as
 * done, and goes on to the caller. Go: Once.Do.
 */
GORT_API void gort_once_do(gort_once *once, void (*fn)(void *arg), void *arg);

GORT_EXTERN_C_END

#endif
