/* SPDX-License-Identifier: MIT */
/*
 * The hold: how a thread (M) keeps its P, and how an outsider takes it away or borrows it. Everything a P owns (run
 * queue, timers, caches) is plain memory that only its holder touches, and its holder only while inside the library,
 * that is while depth > 0. Nobody who enters pays for an atomic read-modify-write.
 *
 *   holder                                outsider (monitor, thief, maxprocs)
 *   depth = depth + 1                     state: OWNED -> ASKED
 *   compiler fence                        heavy fence
 *   state == OWNED? else slow path        depth == 0?  ASKED -> BORROWED : ASKED -> OWNED
 *   ... touch the P ...                   ... touch the P ...
 *   depth = depth - 1 (release)           BORROWED -> OWNED (give back) or GONE (keep)
 *
 * States of the word, low three bits (the rest: YIELD, CALLED, FENCED and a sequence number that each ask advances, so that
 * an asker that was held up cannot act on a later asker's word):
 *
 *              acquire              ask                 borrow                    keep
 *      NONE -----------> OWNED -----------> ASKED ----------------> BORROWED -------------> GONE
 *        ^                | ^  <----------- |       (or WAITED: the |                       |
 *        +--- release ----+ |   win back,           holder sleeps   |                       |
 *        |                  |   undo                until it moves) |                       |
 *        |                  +------------------ give back ---------+                       |
 *        +---------------------------- by the holder, on seeing it -------------------------+
 *
 * The holder, entering, that finds ASKED wins its P back by CAS; that finds BORROWED waits; that finds GONE is a
 * thread without a P. Releasing goes through the same CAS. YIELD on OWNED asks the holder to let others run at its
 * next entry, CALLED to take a bias off there (bias.h). FENCED sends every entry to the slow path, whose full fence stands
 * in for the heavy one.
 *
 * The depth has flags beside the count of calls under way. ANNOUNCED: between gort_syscall_enter and _exit; the P may be
 * taken, sooner than otherwise. PINNED: between gort_preempt_disable and _enable; it may not. ASIDE: inside, but in no biased
 * lock (bias.h): it may be borrowed to take biases off, and for nothing else.
 *
 * This header is compiled as it is into tests/model, which explores it with weak memory.
 */
#ifndef GORT__HOLD_H
#define GORT__HOLD_H

#include <gort/fence.h>

enum {
	GORT__HOLD_NONE = 0,
	GORT__HOLD_OWNED = 1,
	GORT__HOLD_ASKED = 2,
	GORT__HOLD_GONE = 3,
	GORT__HOLD_BORROWED = 4,
	GORT__HOLD_WAITED = 5,
	GORT__HOLD_STATE = 7,
	GORT__HOLD_YIELD = 8,
	GORT__HOLD_CALLED = 16,
	GORT__HOLD_FENCED = 32,
	GORT__HOLD_MASK = 63,
	GORT__HOLD_SEQ = 64,
};

#define GORT__DEPTH_ANNOUNCED 0x80000000u
#define GORT__DEPTH_PINNED    0x40000000u
#define GORT__DEPTH_ASIDE     0x20000000u
#define GORT__DEPTH_COUNT     0x1fffffffu

typedef struct gort__hold {
	uint32_t state;     /* above; written by the holder and by askers */
	uint32_t depth;     /* calls into the library under way, and flags; written by the holder only */
} gort__hold;

#define GORT__HOLD_WISHES ((uint32_t)(GORT__HOLD_YIELD | GORT__HOLD_CALLED))
#define GORT__HOLD_WITH(word, st) (((word) & ~(uint32_t)GORT__HOLD_STATE) | (uint32_t)(st))

/*
 * Near half of every entry. True: the P is this thread's until it leaves. False: see the slow path.
 *
 * The common way, from 0 to 1 and back, stores constants behind a branch: adding to what was loaded would chain each call
 * to the one before it through memory, which was two thirds of the time of a switch.
 */
static inline bool gort__hold_enter(gort__hold *h)
{
	uint32_t depth = gort__load_relaxed(&h->depth);

	if (gort__likely(depth == 0))
		gort__store_relaxed(&h->depth, 1);
	else if (gort__unlikely(depth & GORT__DEPTH_ANNOUNCED))
		return false;               /* a call that must not be: the slow path says so */
	else
		gort__store_relaxed(&h->depth, depth + 1);
	gort__fence_compiler();             /* pairs with the heavy fence in gort__hold_ask */
	/* acquire: pairs with the release of a borrower that gives back */
	return (gort__load_acquire(&h->state) & GORT__HOLD_MASK) == GORT__HOLD_OWNED;
}

/* The same from outside only, for who goes another way when the P is not simply there. False: nothing has changed. */
static inline bool gort__hold_try_enter(gort__hold *h)
{
	if (gort__unlikely(gort__load_relaxed(&h->depth) != 0))
		return false;
	gort__store_relaxed(&h->depth, 1);
	gort__fence_compiler();             /* pairs with the heavy fence in gort__hold_ask */
	/* acquire: pairs with the release of a borrower that gives back */
	if (gort__likely((gort__load_acquire(&h->state) & GORT__HOLD_MASK) == GORT__HOLD_OWNED))
		return true;
	gort__store_release(&h->depth, 0);  /* as gort__hold_leave */
	return false;
}

/* The last touch of P and M lies behind this store. */
static inline void gort__hold_leave(gort__hold *h)
{
	uint32_t depth = gort__load_relaxed(&h->depth);

	if (gort__likely(depth == 1))
		gort__store_release(&h->depth, 0);              /* pairs with the acquire in gort__hold_ask */
	else
		gort__store_release(&h->depth, depth - 1);
}

/* The same by who knows that it is inside one call only. */
static inline void gort__hold_leave_outermost(gort__hold *h)
{
	gort__store_release(&h->depth, 0);          /* pairs with the acquire in gort__hold_ask */
}

/* The holder announces that it is about to block in the user's code. It is outside the library. */
static inline void gort__hold_announce(gort__hold *h, uint32_t depth)
{
	gort__store_release(&h->depth, depth | GORT__DEPTH_ANNOUNCED);
}

/* And is back: as gort__hold_enter. */
static inline bool gort__hold_return(gort__hold *h, uint32_t depth)
{
	gort__store_relaxed(&h->depth, (depth & ~GORT__DEPTH_ANNOUNCED) + 1);
	gort__fence_compiler();             /* pairs with the heavy fence in gort__hold_ask */
	return (gort__load_acquire(&h->state) & GORT__HOLD_MASK) == GORT__HOLD_OWNED;
}

/* What the holder is told by gort__hold_settle. */
typedef enum gort__settled {
	GORT__SETTLED_OWNED,    /* the P is ours */
	GORT__SETTLED_YIELD,    /* ours, and somebody asked us to let others run */
	GORT__SETTLED_CALLED,   /* ours, and there is a bias to take off */
	GORT__SETTLED_BORROWED, /* wait: gort__hold_await says for what */
	GORT__SETTLED_GONE,     /* it was taken; the word is NONE now */
	GORT__SETTLED_NONE,     /* this thread had none */
} gort__settled;

/* The holder's slow path, depth being raised: brings the word to rest. */
static inline gort__settled gort__hold_settle(gort__hold *h)
{
	gort__fence_seq_cst();              /* stands in for the heavy fence where there is none */
	for (;;) {
		uint32_t w = gort__load_acquire(&h->state);

		switch (w & GORT__HOLD_STATE) {
		case GORT__HOLD_NONE:
			return GORT__SETTLED_NONE;
		case GORT__HOLD_OWNED:
			if (w & GORT__HOLD_CALLED) {
				if (gort__cas_acquire(&h->state, &w, w & ~(uint32_t)GORT__HOLD_CALLED))
					return GORT__SETTLED_CALLED;
				break;
			}
			if (!(w & GORT__HOLD_YIELD))
				return GORT__SETTLED_OWNED;
			if (gort__cas_acquire(&h->state, &w, w & ~(uint32_t)GORT__HOLD_YIELD))
				return GORT__SETTLED_YIELD;
			break;
		case GORT__HOLD_ASKED:
			/* win it back; the asker's own CAS then fails */
			if (gort__cas_acquire(&h->state, &w, GORT__HOLD_WITH(w, GORT__HOLD_OWNED)))
				continue;
			break;
		case GORT__HOLD_GONE:
			/* nobody but the holder moves a word out of GONE */
			gort__store_relaxed(&h->state, GORT__HOLD_WITH(w & ~GORT__HOLD_WISHES, GORT__HOLD_NONE));
			return GORT__SETTLED_GONE;
		default:
			return GORT__SETTLED_BORROWED;
		}
	}
}

/* Asks the holder to yield at its next entry: by itself, when it cannot at this one, or by an outsider that takes nothing. */
static inline void gort__hold_want_yield(gort__hold *h)
{
	uint32_t w = gort__load_relaxed(&h->state);

	while ((w & GORT__HOLD_STATE) == GORT__HOLD_OWNED && !gort__cas_relaxed(&h->state, &w, w | GORT__HOLD_YIELD))
		;
}

/* An outsider wants the holder to look for what it is asked, at its next entry. Nothing comes of it without a holder. */
static inline void gort__hold_call(gort__hold *h)
{
	uint32_t w = gort__load_relaxed(&h->state);

	while ((w & GORT__HOLD_STATE) == GORT__HOLD_OWNED && !(w & GORT__HOLD_CALLED) &&
	       !gort__cas_release(&h->state, &w, w | GORT__HOLD_CALLED))
		;
}

/*
 * The holder found BORROWED: says that it waits. True: sleep on the word while it is *w, then settle again.
 * False: it was given back meanwhile.
 */
static inline bool gort__hold_await(gort__hold *h, uint32_t *w)
{
	*w = gort__load_relaxed(&h->state);
	if ((*w & GORT__HOLD_STATE) == GORT__HOLD_BORROWED) {
		uint32_t waited = GORT__HOLD_WITH(*w, GORT__HOLD_WAITED);

		if (gort__cas_relaxed(&h->state, w, waited))
			*w = waited;
	}
	return (*w & GORT__HOLD_STATE) == GORT__HOLD_WAITED;
}

/* A thread takes a free P. Only it may, its word being NONE. */
static inline void gort__hold_acquire(gort__hold *h)
{
	uint32_t w = gort__load_relaxed(&h->state);

	gort__store_release(&h->state, GORT__HOLD_WITH(w, GORT__HOLD_OWNED));   /* pairs with the asker's acquire */
}

/* The holder gives its P up, inside the library. An ask under way comes to nothing. */
static inline void gort__hold_release(gort__hold *h)
{
	uint32_t w = gort__load_relaxed(&h->state);

	/* depth > 0 since before this call: nobody can have got as far as GONE or BORROWED */
	while (!gort__cas_acq_rel(&h->state, &w, GORT__HOLD_WITH(w & ~GORT__HOLD_WISHES, GORT__HOLD_NONE)))
		;
}

/* The holder, inside, steps aside. */
static inline void gort__hold_step_aside(gort__hold *h)
{
	/* pairs with the acquire in gort__hold_ask_aside */
	gort__store_release(&h->depth, gort__load_relaxed(&h->depth) | GORT__DEPTH_ASIDE);
}

/* And is back, once this says so. False: somebody has borrowed the P; gort__hold_await, then try again. */
static inline bool gort__hold_step_back(gort__hold *h)
{
	uint32_t w;

	gort__store_relaxed(&h->depth, gort__load_relaxed(&h->depth) & ~GORT__DEPTH_ASIDE);
	gort__fence_seq_cst();              /* near half of the heavy fence in gort__hold_ask; this is no hot path */
	w = gort__load_acquire(&h->state);  /* pairs with the release of a borrower that gives back */
	while ((w & GORT__HOLD_STATE) == GORT__HOLD_ASKED) {
		if (gort__cas_acquire(&h->state, &w, GORT__HOLD_WITH(w, GORT__HOLD_OWNED)))
			return true;
		w = gort__load_acquire(&h->state);
	}
	return (w & GORT__HOLD_STATE) == GORT__HOLD_OWNED || (w & GORT__HOLD_STATE) == GORT__HOLD_NONE;
}

/*
 * An outsider wants the P. want_yield: when the holder is inside the library, ask it to let others run. True: the P is
 * the caller's alone until gort__hold_give_back or _keep.
 */
static inline bool gort__hold_ask_for(gort__hold *h, bool want_yield, bool aside)
{
	uint32_t w = gort__load_relaxed(&h->state);
	uint32_t asked, depth;

	if ((w & GORT__HOLD_STATE) != GORT__HOLD_OWNED)
		return false;
	asked = GORT__HOLD_WITH(w + GORT__HOLD_SEQ, GORT__HOLD_ASKED);
	if (!gort__cas_acquire(&h->state, &w, asked))
		return false;
	gort__fence_heavy();                /* far half of gort__hold_enter */
	w = asked;
	depth = gort__load_acquire(&h->depth);      /* pairs with the releases in gort__hold_leave and _step_aside */
	if ((depth & ~GORT__DEPTH_ANNOUNCED) == 0 ||
	    (aside && ((depth & GORT__DEPTH_COUNT) == 0 || depth & GORT__DEPTH_ASIDE)))
		return gort__cas_acq_rel(&h->state, &w, GORT__HOLD_WITH(asked, GORT__HOLD_BORROWED));
	gort__cas_relaxed(&h->state, &w, GORT__HOLD_WITH(asked, GORT__HOLD_OWNED) | (want_yield ? GORT__HOLD_YIELD : 0));
	return false;
}

static inline bool gort__hold_ask(gort__hold *h, bool want_yield)
{
	return gort__hold_ask_for(h, want_yield, false);
}

/* The same to take biases off, for which the holder may have stepped aside, or be pinned. Give back; never keep. */
static inline bool gort__hold_ask_aside(gort__hold *h)
{
	return gort__hold_ask_for(h, false, true);
}

/*
 * An outsider asks the holder to come by the slow path at its next entry. True: it will, and it is outside the library now;
 * false: it is not, or holds nothing.
 */
static inline bool gort__hold_call_back(gort__hold *h)
{
	uint32_t w = gort__load_relaxed(&h->state);

	do {
		if ((w & GORT__HOLD_STATE) != GORT__HOLD_OWNED)
			return false;
	} while (!(w & GORT__HOLD_YIELD) && !gort__cas_relaxed(&h->state, &w, w | GORT__HOLD_YIELD));
	gort__fence_heavy();                /* far half of gort__hold_enter */
	return (gort__load_acquire(&h->depth) & GORT__DEPTH_COUNT) == 0;
}

/* The word is the borrower's but for the holder's BORROWED -> WAITED. True: the holder sleeps on it; wake it. */
static inline bool gort__hold_end_borrow(gort__hold *h, uint32_t to)
{
	uint32_t w = gort__load_relaxed(&h->state);

	while (!gort__cas_release(&h->state, &w, GORT__HOLD_WITH(w, to)))
		;                           /* release: pairs with the acquire in gort__hold_enter and _settle */
	return (w & GORT__HOLD_STATE) == GORT__HOLD_WAITED;
}

static inline bool gort__hold_give_back(gort__hold *h)
{
	return gort__hold_end_borrow(h, GORT__HOLD_OWNED);
}

static inline bool gort__hold_keep(gort__hold *h)
{
	return gort__hold_end_borrow(h, GORT__HOLD_GONE);
}

#endif
