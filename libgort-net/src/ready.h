/* SPDX-License-Identifier: MIT */
/*
 * The readiness word: how a goroutine waits until a descriptor can be read, or written, without a lock between it and the
 * poller. Each direction has one; only one call at a time is at it (desc.h), and any number of wakers.
 *
 *        arm                       fire
 *   NIL ------> WAIT, g, ticket ------> READY         fire on NIL: READY at once, so that the next wait does not park
 *    ^            |                      |            fire on READY: nothing more to say
 *    |            | settle (its time     |
 *    +------------+ is up)               |
 *    +-----------------------------------+ settle, or arm, which then answers that there is nothing to wait for
 *
 * READY means "try again", no more: the poller says it for an edge, close and a new deadline to have the waiter look.
 *
 * The word carries a number beside the state, and each arm takes the next one. A waker reads who waits, then takes WAIT away
 * by CAS: that it succeeds shows that what it has read belongs to this very wait. (Both being acq_rel: the store of the next
 * wait's g happens after the word has been moved out of this one, so a read of it would come after the CAS.) It then has to
 * claim the ticket, since the wait's deadline may have passed first. The waiter has settled by then or will, and the number
 * sees to it that a waker held up for that long does nothing to the waits that follow.
 *
 * Edges. READY is taken away before the descriptor is tried: what arrives after the try makes a new edge, which comes after,
 * through the descriptor's own lock in the kernel. So it is enough to move the word by a plain store there.
 *
 * Compiled as it is into tests/model.
 */
#ifndef NET_READY_H
#define NET_READY_H

#include <gort/gmp.h>

enum { NET_NIL = 0, NET_READY = 1, NET_WAIT = 2, NET_STATE = 3, NET_NEXT = 4 };

struct net_ready {
	uint64_t word;          /* NET_NEXT * number + state; atomic. The number is the waiter's to change */
	gort_g *g;              /* who waits, and on which ticket: meaningful while the word says so; atomic, relaxed */
	uint64_t ticket;
};

/* By the waiter, its ticket being armed. False: it was ready, and is not any more: try. True: park. */
static inline bool net_ready_arm(struct net_ready *r, gort_g *gp, uint64_t ticket)
{
	uint64_t w = gort__load_acquire(&r->word);      /* pairs with fire: what the poller knew is known to the one that tries */

	if ((w & NET_STATE) == NET_NIL) {
		gort__store_relaxed(&r->g, gp);
		gort__store_relaxed(&r->ticket, ticket);
		/* release: pairs with the acquires in fire. It can fail for READY only */
		if (gort__cas_acq_rel(&r->word, &w, ((w & ~(uint64_t)NET_STATE) + NET_NEXT) | NET_WAIT))
			return true;
	}
	gort__store_relaxed(&r->word, w & ~(uint64_t)NET_STATE);        /* nobody else moves a word out of READY */
	return false;
}

/* By the waiter, after the park, however it has ended: it is to try again. */
static inline void net_ready_settle(struct net_ready *r)
{
	uint64_t w = gort__load_relaxed(&r->word);

	/* the number cannot change meanwhile; acq_rel: see above */
	gort__xchg_acq_rel(&r->word, w & ~(uint64_t)NET_STATE);
}

/* By anybody. The goroutine that waited, claimed, for the caller to make runnable; NULL: none. */
static inline gort_g *net_ready_fire(struct net_ready *r)
{
	uint64_t w = gort__load_acquire(&r->word);      /* pairs with arm */

	while ((w & NET_STATE) != NET_READY) {
		gort_g *gp = gort__load_relaxed(&r->g);
		uint64_t ticket = gort__load_relaxed(&r->ticket);

		if (!gort__cas_acq_rel(&r->word, &w, (w & ~(uint64_t)NET_STATE) | NET_READY))   /* pairs with arm and settle */
			continue;
		return (w & NET_STATE) == NET_WAIT && gort__ticket_claim(gp, ticket) ? gp : NULL;
	}
	return NULL;
}

static inline bool net_ready_waits(const struct net_ready *r)
{
	return (gort__load_relaxed(&r->word) & NET_STATE) == NET_WAIT;
}

#endif
