/* SPDX-License-Identifier: MIT */
/*
 * libgort-sync: what goroutines and threads alike wait for each other with. Mutexes, wait groups, once, condition
 * variables, semaphores, error groups, barriers, pools, and singleflight.
 *
 * The objects are small structs that the user embeds, but for the last three. Zeroed memory is a valid empty object; there is
 * nothing to initialise (but a semaphore's size) or destroy. An object may be freed, or its scope may end, the moment the
 * call that ends its use has returned, also while another goroutine is still on its way out of its own call. None may be
 * copied after first use.
 *
 * Calls said to block may reschedule (see core.h), and allocate nothing. Those with a deadline return -ETIMEDOUT when it has
 * passed, even if they need not have waited. All may be made from any thread.
 */
#ifndef GORT_SYNC_H
#define GORT_SYNC_H

#include <gort/core.h>

GORT_EXTERN_C_BEGIN

/* --- mutex: Go's sync.Mutex ------------------------------------------------------------------------------------- */

typedef struct gort_mutex {
	uint32_t state;
	uint32_t mode;
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

GORT_API void gort__mutex_lock_slow(gort_mutex *m);

#ifdef GORT__ATOMICS
/* A free mutex is taken without a call, which would cost as much again: who sets the lowest bit of state has it. */
static inline void gort__mutex_lock_inline(gort_mutex *m)
{
	if (__atomic_fetch_or(&m->state, 1u, __ATOMIC_ACQUIRE) & 1u)
		gort__mutex_lock_slow(m);
}
#  define gort_mutex_lock(m) gort__mutex_lock_inline(m)
#endif

/** gort_mutex_try_lock - take the mutex if it is free; true: taken. Never blocks. Go: Mutex.TryLock. */
GORT_API bool gort_mutex_try_lock(gort_mutex *m);

/**
 * gort_mutex_lock_until - take the mutex, or give up at the deadline
 *
 * 0 or -ETIMEDOUT; a deadline that has passed beats a free mutex. Blocks.
 */
GORT_API int gort_mutex_lock_until(gort_mutex *m, gort_time deadline);

/**
 * gort_mutex_unlock - give the mutex back
 *
 * By any goroutine, not only the one that locked it. Fatal when it is not locked: "sync: unlock of unlocked mutex". Never
 * blocks. Go: Mutex.Unlock.
 */
GORT_API void gort_mutex_unlock(gort_mutex *m);

/**
 * GORT_MUTEX_SCOPE - hold the mutex to the end of the C scope
 *
 * Takes it as gort_mutex_lock, and unlocks it however the scope is left: by its closing brace, return, break, goto, and by a
 * panic or gort_goexit that comes through, with -fexceptions and without, in C and C++. (A C++ exception needs -fexceptions,
 * and longjmp unlocks nothing.) A declaration: it stands where one may. Blocks. Go: mu.Lock(); defer mu.Unlock().
 *
 *     GORT_MUTEX_SCOPE(&account->mutex);
 *     if (account->sum < n) return -ERANGE;
 *     account->sum -= n;
 */
#ifdef GORT__ATOMICS
#  define GORT_MUTEX_SCOPE(m) GORT__MUTEX_SCOPE(m, __LINE__)
#  define GORT__MUTEX_SCOPE(m, line) GORT__MUTEX_SCOPE_AT(m, line)
#  define GORT__MUTEX_SCOPE_AT(m, line) \
	__attribute__((cleanup(gort__mutex_scope_end))) gort__mutex_scope gort__mutex_scope_##line = { { NULL, NULL, NULL } }; \
	gort__mutex_scope_begin(&gort__mutex_scope_##line, (m))
#endif

typedef struct gort__mutex_scope {
	void *guard[3];
} gort__mutex_scope;

GORT_API void gort__mutex_scope_begin(gort__mutex_scope *s, gort_mutex *m);
GORT_API void gort__mutex_scope_end(gort__mutex_scope *s);

/* --- reader/writer mutex: Go's sync.RWMutex --------------------------------------------------------------------- */

typedef struct gort_rwmutex {
	uint32_t state;
	uint32_t departing, passes, parked, waiting;
	bool insisting, called;
	void *readers, *writers;
	void *spare;
} gort_rwmutex;

#define GORT_RWMUTEX_INIT { 0, 0, 0, 0, 0, false, false, NULL, NULL, NULL }

/**
 * gort_rwmutex_rlock - take the mutex for reading
 *
 * Any number may have it so at the same time. Blocks while a writer has it, or waits for it. So a goroutine that has it for
 * reading must not take it for reading once more: a writer between the two would wait for ever, and so would it. Go:
 * RWMutex.RLock.
 */
GORT_API void gort_rwmutex_rlock(gort_rwmutex *m);

/**
 * gort_rwmutex_try_rlock - take the mutex for reading if no writer has it or waits
 *
 * True: taken. Never blocks. Go: RWMutex.TryRLock.
 */
GORT_API bool gort_rwmutex_try_rlock(gort_rwmutex *m);

/**
 * gort_rwmutex_runlock - give the mutex back after reading
 *
 * By any goroutine. Fatal when nobody reads: "sync: RUnlock of unlocked RWMutex". Never blocks. Go: RWMutex.RUnlock.
 */
GORT_API void gort_rwmutex_runlock(gort_rwmutex *m);

/**
 * gort_rwmutex_lock - take the mutex for writing
 *
 * Blocks while anybody else has it. Readers that come meanwhile wait; those that have come by the time it is given back go
 * before the next writer. Go: RWMutex.Lock.
 */
GORT_API void gort_rwmutex_lock(gort_rwmutex *m);

/** gort_rwmutex_try_lock - take the mutex for writing if nobody has it; true: taken. Never blocks. Go: RWMutex.TryLock. */
GORT_API bool gort_rwmutex_try_lock(gort_rwmutex *m);

/**
 * gort_rwmutex_unlock - give the mutex back after writing
 *
 * By any goroutine. Fatal when nobody writes: "sync: Unlock of unlocked RWMutex". Never blocks. Go: RWMutex.Unlock.
 */
GORT_API void gort_rwmutex_unlock(gort_rwmutex *m);

GORT_API void gort__rwmutex_rlock_slow(gort_rwmutex *m);
GORT_API void gort__rwmutex_runlock_slow(gort_rwmutex *m, uint32_t was);

#ifdef GORT__ATOMICS
/* Without a call, where nobody is in the way: state is how many readers there are, its highest bit that a writer is about. */
static inline void gort__rwmutex_rlock_inline(gort_rwmutex *m)
{
	if (__atomic_fetch_add(&m->state, 1u, __ATOMIC_ACQUIRE) >> 31)
		gort__rwmutex_rlock_slow(m);
}

static inline void gort__rwmutex_runlock_inline(gort_rwmutex *m)
{
	uint32_t was = __atomic_fetch_sub(&m->state, 1u, __ATOMIC_RELEASE);

	if (was - 1u >= 0x3fffffffu)
		gort__rwmutex_runlock_slow(m, was);
}

static inline void gort__rwmutex_lock_inline(gort_rwmutex *m)
{
	uint32_t free_word = 0;

	if (!__atomic_compare_exchange_n(&m->state, &free_word, 0x80000000u, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		gort_rwmutex_lock(m);
}

static inline void gort__rwmutex_unlock_inline(gort_rwmutex *m)
{
	uint32_t alone = 0x80000000u;

	if (!__atomic_compare_exchange_n(&m->state, &alone, 0u, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		gort_rwmutex_unlock(m);
}
#  define gort_rwmutex_lock(m) gort__rwmutex_lock_inline(m)
#  define gort_rwmutex_unlock(m) gort__rwmutex_unlock_inline(m)
#  define gort_rwmutex_rlock(m) gort__rwmutex_rlock_inline(m)
#  define gort_rwmutex_runlock(m) gort__rwmutex_runlock_inline(m)
#endif

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

/** gort_waitgroup_done - one fewer to wait for; the last one wakes the waiters. Never blocks. Go: WaitGroup.Done. */
GORT_API void gort_waitgroup_done(gort_waitgroup *wg);

/**
 * gort_waitgroup_wait - wait until the count is 0
 *
 * Any number may wait. Blocks. Panics "sync: WaitGroup is reused before previous Wait has returned" when the count was raised
 * again between its getting to 0 and this call's return. Go: WaitGroup.Wait.
 */
GORT_API void gort_waitgroup_wait(gort_waitgroup *wg);

/**
 * gort_waitgroup_wait_until - wait until the count is 0, or give up at the deadline
 *
 * 0 or -ETIMEDOUT; a deadline that has passed beats a count of 0. Panics as gort_waitgroup_wait. Blocks.
 */
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

#ifdef GORT__ATOMICS
/* Done already is seen without a call: state is 3 then. */
static inline void gort__once_do_inline(gort_once *once, void (*fn)(void *arg), void *arg)
{
	if (__atomic_load_n(&once->state, __ATOMIC_ACQUIRE) != 3u)
		gort_once_do(once, fn, arg);
}
#  define gort_once_do(once, fn, arg) gort__once_do_inline(once, fn, arg)
#endif

/* --- condition variable: Go's sync.Cond -------------------------------------------------------------------------- */

typedef struct gort_cond {
	uint32_t waiting;
	uint32_t spare;
	void *waiters;
	void *self;
	void *spare2;
} gort_cond;

#define GORT_COND_INIT { 0, 0, NULL, NULL, NULL }

/**
 * gort_cond_wait - let go of the mutex and wait for a signal, in one step
 *
 * Blocks until a signal or broadcast made after this call has let go of m chooses it, and takes m again before it returns.
 * First in, first out; no spurious wakeups. Yet what the caller waits for may have changed again by then: test it in a loop.
 * Fatal when m is not locked. This and the other calls panic "sync.Cond is copied" when it was copied after its first use.
 * Go: Cond.Wait.
 *
 *     gort_mutex_lock(&q->mutex);
 *     while (q->n == 0) gort_cond_wait(&q->filled, &q->mutex);
 */
GORT_API void gort_cond_wait(gort_cond *c, gort_mutex *m);

/**
 * gort_cond_wait_until - wait for a signal, or give up at the deadline
 *
 * As gort_cond_wait. 0 or -ETIMEDOUT; the mutex is held in both cases, and after -ETIMEDOUT no signal was used up. With a
 * deadline that has passed the mutex is not let go of. Blocks.
 */
GORT_API int gort_cond_wait_until(gort_cond *c, gort_mutex *m, gort_time deadline);

/**
 * gort_cond_signal - wake the one that has waited longest
 *
 * Nobody waits: nothing. With the mutex held or not. Never blocks. Go: Cond.Signal.
 */
GORT_API void gort_cond_signal(gort_cond *c);

/** gort_cond_broadcast - wake all that wait, each once. With the mutex held or not. Never blocks. Go: Cond.Broadcast. */
GORT_API void gort_cond_broadcast(gort_cond *c);

/* --- semaphore: Go's golang.org/x/sync/semaphore ----------------------------------------------------------------- */

typedef struct gort_sem {
	int64_t size;
	uint64_t taken;
	void *waiters;
	void *spare;
} gort_sem;

/**
 * GORT_SEM_INIT - the initialiser of a semaphore
 *
 * n to be taken, at most 2^62. Go: NewWeighted.
 */
#define GORT_SEM_INIT(n) { (n), 0, NULL, NULL }

/**
 * gort_sem_init - initialise a semaphore as GORT_SEM_INIT does, at run time, while nobody uses it
 *
 * Panics for n < 0 or above 2^62. Never blocks. Go: NewWeighted.
 */
GORT_API void gort_sem_init(gort_sem *s, int64_t n);

/**
 * gort_sem_acquire - take n of a semaphore
 *
 * Blocks until they are there. First in, first out: a small request waits behind a big one. Panics for n < 0, and for more
 * than the whole, which would never be there. Go: Weighted.Acquire.
 *
 *     static gort_sem disk = GORT_SEM_INIT(4);
 *     gort_sem_acquire(&disk, 1); ...; gort_sem_release(&disk, 1);
 */
GORT_API void gort_sem_acquire(gort_sem *s, int64_t n);

/**
 * gort_sem_acquire_until - take n of a semaphore, or give up at the deadline
 *
 * As gort_sem_acquire. 0, or -ETIMEDOUT and nothing is taken. Blocks.
 */
GORT_API int gort_sem_acquire_until(gort_sem *s, int64_t n, gort_time deadline);

/**
 * gort_sem_try_acquire - take n of a semaphore if they are there and nobody waits
 *
 * True: taken. More than the whole is never there. Panics for n < 0. Never blocks. Go: Weighted.TryAcquire.
 */
GORT_API bool gort_sem_try_acquire(gort_sem *s, int64_t n);

/**
 * gort_sem_release - give n of a semaphore back
 *
 * Panics "semaphore: released more than held", and for n < 0. Never blocks. Go: Weighted.Release.
 */
GORT_API void gort_sem_release(gort_sem *s, int64_t n);

/* --- error group: Go's golang.org/x/sync/errgroup ---------------------------------------------------------------- */

typedef struct gort_errgroup {
	gort_waitgroup wg;
	int32_t err;
	uint32_t limited;
	uint32_t active;
	uint32_t spare;
	void *waiters;
	void *spare2[2];
} gort_errgroup;

#define GORT_ERRGROUP_INIT { GORT_WAITGROUP_INIT, 0, 0, 0, 0, NULL, { NULL, NULL } }

/**
 * gort_errgroup_go - start a goroutine whose result counts
 *
 * Blocks while the limit, if there is one, is reached. 0, or -ENOMEM and nothing was started. A NULL fn is fatal. One that
 * ends by a panic (which is reported as ever) or gort_goexit counts as -ECANCELED. Go: Group.Go.
 *
 *     gort_errgroup eg = GORT_ERRGROUP_INIT;
 *     for (int i = 0; i < n; i++) gort_errgroup_go(&eg, fetch, &urls[i]);
 *     err = gort_errgroup_wait(&eg);
 */
GORT_API int gort_errgroup_go(gort_errgroup *eg, int (*fn)(void *arg), void *arg);

/**
 * gort_errgroup_wait - wait for all goroutines of the group
 *
 * The first result that was not 0, else 0. For one caller. Blocks. Go: Group.Wait.
 */
GORT_API int gort_errgroup_wait(gort_errgroup *eg);

/**
 * gort_errgroup_set_limit - no more than n at the same time
 *
 * n < 0: as many as there are; 0: none, so gort_errgroup_go blocks for ever. Panics while any are active, in Go's words. Never
 * blocks. Go: Group.SetLimit.
 */
GORT_API void gort_errgroup_set_limit(gort_errgroup *eg, int n);

/** gort_errgroup_err - the first result so far that was not 0: what those still at work look at to stop early. Never blocks. */
GORT_API int gort_errgroup_err(gort_errgroup *eg);

/* --- barrier ------------------------------------------------------------------------------------------------------- */

typedef struct gort_barrier gort_barrier;

/**
 * gort_barrier_new - a barrier for n
 *
 * NULL: out of memory. Panics for n < 1. Never blocks. Go has none; POSIX: pthread_barrier_init.
 */
GORT_API gort_barrier *gort_barrier_new(int n);

/**
 * gort_barrier_wait - wait until as many as the barrier is for have come
 *
 * True for one of them, the last. The next round may begin at once, and the barrier may be freed by any of them that has
 * returned. Blocks.
 */
GORT_API bool gort_barrier_wait(gort_barrier *b);

/** gort_barrier_free - free a barrier; NULL is fine. Panics while some wait. Never blocks. */
GORT_API void gort_barrier_free(gort_barrier *b);

/* --- pool: Go's sync.Pool -------------------------------------------------------------------------------------------- */

typedef struct gort_pool gort_pool;

/**
 * gort_pool_new - a place for objects that are to be used again
 *
 * create(arg) makes one, for a get that finds none; NULL: it returns NULL then. destroy(item) ends one that there is no room
 * for, or that is there at the end; NULL: nothing is called. Some dozens are kept for each processor and about a thousand for
 * all. NULL: out of memory. Never blocks. Go: sync.Pool{New: create}.
 */
GORT_API gort_pool *gort_pool_new(void *(*create)(void *arg), void (*destroy)(void *item), void *arg);

/**
 * gort_pool_get - one from the pool, the newest first, or a new one
 *
 * It is the caller's, whether put back or not. What create returns if it comes to that. Reschedules at most, but for what
 * create does. Go: Pool.Get.
 */
GORT_API void *gort_pool_get(gort_pool *p);

/** gort_pool_put - give the pool an object; NULL is nothing. Reschedules at most, but for what destroy does. Go: Pool.Put. */
GORT_API void gort_pool_put(gort_pool *p, void *item);

/** gort_pool_free - destroy what is in the pool, and free it; NULL is fine. Only when nobody uses it any more. */
GORT_API void gort_pool_free(gort_pool *p);

/* --- singleflight: Go's golang.org/x/sync/singleflight ------------------------------------------------------------- */

typedef struct gort_singleflight gort_singleflight;

/** gort_singleflight_new - a group of calls, by key; NULL: out of memory. Never blocks. Go: singleflight.Group. */
GORT_API gort_singleflight *gort_singleflight_new(void);

/**
 * gort_singleflight_do - call fn, or wait for the one who is calling it with the same key
 *
 * fn(arg, value) of the first caller is called; all who come before it has ended get its result, and what it stored at value,
 * which is NULL before that. shared says whether there was more than one. value and shared may be NULL. Whose the value is
 * they agree on. A panic in fn goes on in each of them; after gort_goexit in fn, or a C++ exception, the others get
 * -ECANCELED. -ENOMEM: out of memory, and fn was not called. A NULL fn is fatal. Blocks. Go: Group.Do.
 *
 *     err = gort_singleflight_do(flights, path, load, &request, &page, NULL);
 */
GORT_API int gort_singleflight_do(gort_singleflight *s, const char *key, int (*fn)(void *arg, void **value), void *arg,
				  void **value, bool *shared);

/** gort_singleflight_free - free a group of calls; NULL is fine. Panics while a call is under way. Never blocks. */
GORT_API void gort_singleflight_free(gort_singleflight *s);

GORT_EXTERN_C_END

#endif
