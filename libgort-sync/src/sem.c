/* SPDX-License-Identifier: MIT */
/*
 * The weighted semaphore, as Go's golang.org/x/sync/semaphore. One word says how much is taken, and by WAITERS that some
 * wait. While it is set the word changes under the table's lock only, and newcomers queue up even for what would still fit:
 * else small requests would keep a big one waiting for ever.
 *
 * size never changes while anybody uses the semaphore.
 */
#include "queue.h"

#define WAITERS ((uint64_t)1 << 63)
#define SIZE_MAX_ ((int64_t)1 << 62)

static struct sync_waiter **queue(gort_sem *s)
{
	return (struct sync_waiter **)&s->waiters;
}

void gort_sem_init(gort_sem *s, int64_t n)
{
	if (n < 0 || n > SIZE_MAX_)
		gort__panic("semaphore: bad size");
	*s = (gort_sem)GORT_SEM_INIT(n);
}

/* A request that nobody could make sense of panics. True: it is for more than there is. */
static inline bool too_much(gort_sem *s, int64_t n)
{
	if (gort__unlikely(n < 0))
		gort__panic("semaphore: negative count");
	return gort__unlikely(n > s->size);
}

/* True: taken. False: it does not fit, or others wait. */
static inline bool take(gort_sem *s, int64_t n, uint64_t *word)
{
	*word = gort__load_relaxed(&s->taken);
	/* with WAITERS it is far above any size */
	while (*word + (uint64_t)n <= (uint64_t)s->size) {
		if (gort__cas_acquire(&s->taken, word, *word + (uint64_t)n))    /* pairs with the releases in release */
			return true;
	}
	return false;
}

bool gort_sem_try_acquire(gort_sem *s, int64_t n)
{
	uint64_t word;

	return !too_much(s, n) && take(s, n, &word);
}

/*
 * Under the table's lock, WAITERS being set; taken is the word's new count. Gives to the oldest while it fits, and stores the
 * word: the last touch, since somebody may free it who takes from it now.
 */
static void grant(gort_sem *s, uint64_t taken, struct sync_woken *woken)
{
	struct sync_waiter *w;

	while ((w = *queue(s)) != NULL && taken + (uint64_t)w->need <= (uint64_t)s->size) {
		sync_remove(queue(s), w);
		if (w->ticket != 0 && !gort__ticket_claim(w->g, w->ticket))
			continue;               /* it gave up */
		taken += (uint64_t)w->need;
		sync_woken_add(woken, w);
	}
	gort__store_release(&s->taken, w != NULL ? taken | WAITERS : taken);    /* pairs with the acquire in take */
}

/* A waiter's deadline passed: the smaller ones behind it may fit now. */
static void give_up(gort_sem *s, struct sync_waiter *w)
{
	struct sync_woken woken;

	sync_woken_init(&woken);
	gort__sync_lock(s);
	if (w->queued) {
		sync_remove(queue(s), w);
		grant(s, gort__load_relaxed(&s->taken) & ~WAITERS, &woken);
	}
	gort__sync_unlock(s);
	sync_wake(&woken);
}

static __attribute__((noinline)) int acquire_slow(gort_sem *s, int64_t n, gort_time deadline)
{
	struct sync_waiter w = { .key = s, .need = n };
	gort__m *mp = gort__enter();
	uint64_t word;
	int r;

	gort__sync_lock(s);
	do {
		if (take(s, n, &word)) {
			gort__sync_unlock(s);
			gort__leave(mp);
			return 0;
		}
	} while (!gort__cas_relaxed(&s->taken, &word, word | WAITERS));
	sync_prepare(mp, &w, "semaphore acquire", deadline);
	sync_push(queue(s), &w);
	gort__sync_unlock(s);
	r = sync_park(&mp, &w, deadline);
	if (r != 0)
		give_up(s, &w);
	gort__leave(mp);
	return r;
}

static inline int acquire(gort_sem *s, int64_t n, gort_time deadline)
{
	uint64_t word;

	if (too_much(s, n))
		gort__panic("semaphore: acquire of more than the whole");
	if (sync_too_late(deadline))
		return -ETIMEDOUT;
	return gort__likely(take(s, n, &word)) ? 0 : acquire_slow(s, n, deadline);
}

void gort_sem_acquire(gort_sem *s, int64_t n)
{
	acquire(s, n, GORT_FOREVER);
}

int gort_sem_acquire_until(gort_sem *s, int64_t n, gort_time deadline)
{
	return acquire(s, n, deadline);
}

static __attribute__((noinline)) void release_slow(gort_sem *s, int64_t n)
{
	struct sync_woken woken;
	uint64_t word;

	sync_woken_init(&woken);
	gort__sync_lock(s);
	word = gort__load_relaxed(&s->taken);
	/* those who waited may have gone meanwhile */
	while (!(word & WAITERS)) {
		if ((uint64_t)n > word) {
			gort__sync_unlock(s);
			gort__panic("semaphore: released more than held");
		}
		if (gort__cas_release(&s->taken, &word, word - (uint64_t)n)) {
			gort__sync_unlock(s);
			return;
		}
	}
	if ((uint64_t)n > (word & ~WAITERS)) {
		gort__sync_unlock(s);
		gort__panic("semaphore: released more than held");
	}
	grant(s, (word & ~WAITERS) - (uint64_t)n, &woken);
	gort__sync_unlock(s);                   /* by address only: the object may be gone once a waiter runs */
	sync_wake(&woken);
}

void gort_sem_release(gort_sem *s, int64_t n)
{
	uint64_t word = gort__load_relaxed(&s->taken);

	if (gort__unlikely(n < 0))
		gort__panic("semaphore: negative count");
	while (gort__likely(!(word & WAITERS))) {
		if (gort__unlikely((uint64_t)n > word))
			gort__panic("semaphore: released more than held");
		if (gort__likely(gort__cas_release(&s->taken, &word, word - (uint64_t)n)))     /* pairs with the acquire in take */
			return;
	}
	release_slow(s, n);
}
