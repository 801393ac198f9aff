/* SPDX-License-Identifier: MIT */
/*
 * The biased lock, for what is nearly always used from one P: a channel between goroutines that run in turn. While it is
 * biased to a P, that P's holder has it by being inside the library: no atomic operation to lock, none to unlock. Anybody
 * else first takes the bias off, by the hold's hand-shake (hold.h), and from then on it is an ordinary lock.
 *
 *      owner = k     biased to P k - 1. Only its holder, inside the library, touches what the lock guards. To 0: by whoever
 *                    has borrowed that P, or finds it idle under sched.lock
 *      owner = 0     shared: who has the word of the lock below. To k: by P k - 1's holder, while it has that word
 *
 * So a thread that has won the word looks at the owner once more: it may have been biased just before.
 *
 * Who wants a bias off calls the holder, which does it at its next entry: no more than a few cache lines change hands. If
 * the holder computes in the user's code and does not come, the caller borrows its P, which takes system calls and an
 * interrupt. Each time a bias has been taken off the lock stays shared for twice as long: it is biased again to a P that has
 * locked it PATIENCE << lost times in a row, which pays for itself.
 *
 * Waiting for another P's holder to come out of the library, inside the library: two could do so for each other. So who
 * waits there for another thread steps aside (GORT__DEPTH_ASIDE): it holds no biased lock, and lets others take biases off
 * its own P meanwhile. The exception are plain locks under which nobody wants a biased one.
 *
 * This header is compiled as it is into tests/model.
 */
#ifndef GORT__BIAS_H
#define GORT__BIAS_H

#include <gort/hold.h>
#include <gort/lock.h>

#define GORT__BIAS_NOBODY UINT32_MAX    /* the number of who has no P */
#ifndef GORT__BIAS_PATIENCE
#define GORT__BIAS_PATIENCE 1024
#endif
#define GORT__BIAS_LOST_MAX 16
#define GORT__BIAS_SERVED 1u            /* in a call: the holder is at it */

typedef struct gort__bias {
	gort__lock lock;
	uint32_t owner;         /* above; atomic */
	/* by who has locked it */
	uint32_t last;          /* whose locks the streak counts */
	uint32_t streak;        /* times in a row that it was locked, shared, by the same P; the first is 0, but for the very first */
	uint32_t lost;          /* how often the bias was taken off, up to GORT__BIAS_LOST_MAX */
} gort__bias;

/* who: the number of the caller's P as far as it knows, or GORT__BIAS_NOBODY. A wrong guess costs time, nothing else. */
static inline void gort__bias_init(gort__bias *b, uint32_t who)
{
	gort__lock_init(&b->lock);
	b->owner = who != GORT__BIAS_NOBODY ? who : 0;
	b->last = b->streak = b->lost = 0;
}

/* Is it locked by the caller's being inside? Relaxed: whoever made it ours, or not ours, had our P then. */
static inline bool gort__bias_mine(gort__bias *b, uint32_t who)
{
	return gort__load_relaxed(&b->owner) == who;
}

/* Locked, shared: counts, and biases it to a P that always comes alone. */
static inline void gort__bias_note(gort__bias *b, uint32_t who)
{
	if (gort__plain_read(&b->last) != who) {
		gort__plain_write(&b->streak, gort__plain_read(&b->last) == 0);
		gort__plain_write(&b->last, who);
	} else if (gort__plain_read(&b->streak) < (uint32_t)GORT__BIAS_PATIENCE << gort__plain_read(&b->lost)) {
		gort__plain_write(&b->streak, gort__plain_read(&b->streak) + 1);
	} else if (who != GORT__BIAS_NOBODY) {
		gort__plain_write(&b->streak, 0);
		gort__store_relaxed(&b->owner, who);
		gort__lock_unlock(&b->lock);    /* releases the owner to who waits for the word */
	}
}

/* Locks it unless it is biased to another P. Entered; who is the caller's P. */
static inline bool gort__bias_try(gort__bias *b, uint32_t who)
{
	uint32_t owner = gort__load_relaxed(&b->owner);

	if (owner == who)
		return true;
	if (owner != 0)
		return false;
	gort__lock_lock(&b->lock);
	/* acquire: pairs with the release in gort__bias_take_off */
	if (gort__unlikely(gort__load_acquire(&b->owner) != 0)) {
		gort__lock_unlock(&b->lock);
		return false;
	}
	gort__bias_note(b, who);
	return true;
}

/* Between locking and unlocking the caller must have stayed inside, with its P. */
static inline void gort__bias_release(gort__bias *b, uint32_t who)
{
	if (gort__likely(gort__load_relaxed(&b->owner) == who))
		return;
	gort__lock_unlock(&b->lock);
}

/* By who has the P that it is biased to for itself. */
static inline void gort__bias_take_off(gort__bias *b, uint32_t owner)
{
	uint32_t lost;

	if (gort__load_relaxed(&b->owner) != owner)
		return;                         /* somebody else was first */
	lost = gort__plain_read(&b->lost);
	if (lost < GORT__BIAS_LOST_MAX)
		gort__plain_write(&b->lost, lost + 1);
	gort__store_release(&b->owner, 0);      /* pairs with the acquire in gort__bias_try */
}

/*
 * A call: one word of each M, the lock's address. Its caller keeps the lock alive until it has the word back: by itself, or
 * from the holder, whose last touch of the lock comes before its last of the word.
 *
 *      0 --- caller ---> lock --- holder ---> lock | SERVED --- holder ---> 0
 *                        lock --- caller ---> 0
 */
static inline bool gort__bias_call(uintptr_t *call, gort__hold *h, gort__bias *b)
{
	uintptr_t none = 0;

	if (!gort__cas_release(call, &none, (uintptr_t)b))      /* pairs with the acquire in gort__bias_serve */
		return false;                   /* it has another one: that comes first */
	gort__hold_call(h);
	return true;
}

/* Not to be called again before this was. True: nobody had looked at it. False: wait until gort__bias_served. */
static inline bool gort__bias_call_off(uintptr_t *call, gort__bias *b)
{
	uintptr_t mine = (uintptr_t)b;

	return gort__cas_relaxed(call, &mine, 0);
}

static inline bool gort__bias_served(uintptr_t *call, gort__bias *b)
{
	return gort__load_acquire(call) != ((uintptr_t)b | GORT__BIAS_SERVED);  /* pairs with the release below */
}

/* The holder, inside and in no biased lock. */
static inline void gort__bias_serve(uintptr_t *call, uint32_t who)
{
	uintptr_t b = gort__load_relaxed(call);

	if (b == 0 || !gort__cas_acquire(call, &b, b | GORT__BIAS_SERVED))
		return;
	gort__bias_take_off((gort__bias *)b, who);
	gort__store_release(call, (uintptr_t)0);
}

#endif
