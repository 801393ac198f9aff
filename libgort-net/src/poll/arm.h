/* SPDX-License-Identifier: MIT */
/*
 * Arming, for a poller without edges: one that hears of a descriptor again and again as long as it is ready, and in whose set
 * only one thread at a time may change anything (uv.c).
 *
 * Each descriptor that is watched has a word, with two bits for each direction:
 *
 *      ASKED    somebody waits, and is to be told once. Set by who waits; taken away by the poller, which tells
 *      ON       the set has it. Set and taken away by the poller
 *
 *          ask           apply               ready: tell            ask: nothing else to do
 *      - ------> ASKED ---------> ASKED, ON -------------> ON ------------------------------> ASKED, ON
 *      ^         QUEUED                                    |
 *      +---------------------------------------------------+ ready again, and nobody has asked since: off
 *
 * So the set stays as it is for who reads what there is and waits again, which costs no system call, and nobody is disturbed
 * for long by what nobody reads.
 *
 * Who waits says so in its readiness word (ready.h), then asks; the poller takes ASKED away, then fires. Asking is an
 * exchange even where the bit is set already: so either the poller takes it away after that, and sees who waits when it
 * fires; or before, and then it is set anew.
 *
 * The queue has those that have asked and are not ON. Anybody pushes; the poller takes all, under its lock. It says as well
 * whether somebody sleeps in the poller, and who pushes in front of that wakes him: nobody else has to, until he sleeps
 * again. He does not go to sleep while anything is in the queue.
 *
 * Compiled as it is into tests/model.
 */
#ifndef NET_ARM_H
#define NET_ARM_H

#include <gort/atomic.h>

#include <stddef.h>

/* The bits of directions are NET_EVENT_READ and _WRITE, and these times four. */
enum { NET_ASKED = 3, NET_ON = 12, NET_ON_SHIFT = 2, NET_QUEUED = 16 };

struct net_queued {
	struct net_queued *next;
};

#define NET_SLEEPS ((struct net_queued *)1)     /* the queue is empty, and somebody sleeps */

static inline uint32_t net_arm_on(uint32_t word)
{
	return (word & NET_ON) >> NET_ON_SHIFT;
}

/* By anybody. True: it has to be pushed. */
static inline bool net_arm_ask(uint32_t *word, uint32_t what)
{
	uint32_t w = gort__load_relaxed(word), next;

	do {
		next = w | what;
		if ((next & NET_ASKED & ~net_arm_on(w)) != 0)
			next |= NET_QUEUED;
	} while (!gort__cas_acq_rel(word, &w, next));           /* also where it is the same: pairs with that in tell */
	return (next & ~w & NET_QUEUED) != 0;
}

/* By the poller, for one out of the queue: what the set is to have. What nobody has asked for is left out at this chance. */
static inline uint32_t net_arm_apply(uint32_t *word)
{
	uint32_t w = gort__load_relaxed(word), next;

	do
		next = (w & NET_ASKED) | (w & NET_ASKED) << NET_ON_SHIFT;
	while (!gort__cas_acq_rel(word, &w, next));
	return net_arm_on(next);
}

/* By the poller: of what is ready, what is to be told. */
static inline uint32_t net_arm_tell(uint32_t *word, uint32_t ready)
{
	uint32_t w = gort__load_relaxed(word);

	while ((w & ready & NET_ASKED) != 0) {
		if (gort__cas_acq_rel(word, &w, w & ~(ready & NET_ASKED)))      /* pairs with that in ask */
			return w & ready & NET_ASKED;
	}
	return 0;
}

/* By the poller: what of stale nobody has asked for is not to be ON. What the set is to have. */
static inline uint32_t net_arm_off(uint32_t *word, uint32_t stale)
{
	uint32_t w = gort__load_relaxed(word), next;

	do
		next = w & ~((stale & ~w) << NET_ON_SHIFT);
	while (!gort__cas_acq_rel(word, &w, next));
	return net_arm_on(next);
}

/* By anybody, once for each true of ask. True: wake who sleeps. */
static inline bool net_queue_push(struct net_queued **queue, struct net_queued *q)
{
	struct net_queued *first = gort__load_relaxed(queue);

	do
		gort__plain_write(&q->next, first == NET_SLEEPS ? NULL : first);
	while (!gort__cas_acq_rel(queue, &first, q));           /* release: pairs with take */
	return first == NET_SLEEPS;
}

/* The rest under the poller's lock. All that is in it; who sleeps goes on to do so, or has been woken. */
static inline struct net_queued *net_queue_take(struct net_queued **queue)
{
	struct net_queued *first = gort__load_relaxed(queue);

	if (first == NULL || first == NET_SLEEPS)
		return NULL;
	return gort__xchg_acq_rel(queue, NULL);                 /* only pushes come in between */
}

static inline bool net_queue_sleeps(struct net_queued **queue)
{
	return gort__load_relaxed(queue) == NET_SLEEPS;
}

/* True: the caller sleeps from now on. False: there is something in it. */
static inline bool net_queue_sleep(struct net_queued **queue)
{
	struct net_queued *first = NULL;

	return gort__cas_acq_rel(queue, &first, NET_SLEEPS);
}

/* The caller sleeps no more. All that is in it. */
static inline struct net_queued *net_queue_wake(struct net_queued **queue)
{
	struct net_queued *first = gort__xchg_acq_rel(queue, NULL);

	return first != NET_SLEEPS ? first : NULL;
}

#endif
