/* SPDX-License-Identifier: MIT */
/*
 * preempt=signal: goroutines that compute are interrupted and give way, as in Go, instead of going on as plain threads. For
 * programs that have to bound their threads: those that loop share the Ps with all others then.
 *
 * The monitor sends the signal when a slice is over. The handler has the goroutine yield where it stands if that is in the
 * program's own code, outside the library, not pinned, announced or locked to its thread, with no C++ exception in flight, and
 * on its own stack with room for its registers. Else it is tried again soon.
 *
 * Such a goroutine goes on on the same thread. The compiler may have taken the address of a thread-local variable just before,
 * errno's for one. So while it waits in a queue it is GORT__G_PREEMPTED, and bound to g->m: an M that finds another's gives
 * that one its own P, if it is idle, or puts the goroutine into its inbox. The M itself runs others meanwhile. That is
 * where this way is worse than a retake: if one of those blocks in a call that nobody announced, whoever has to go on on this
 * thread waits for it. A goroutine that announces a call, or locks itself to its thread, moves to another thread first
 * (gort__move_off).
 */
#include "runtime.h"

#include <errno.h>

void gort__preempt(gort__m *mp)
{
	uint32_t tid = gort__load_relaxed(&mp->tid);

	/* at its next call at the latest */
	gort__hold_want_yield(&mp->hold);
	if (gort__load_relaxed(&mp->hold.depth) != 0 || tid == 0)
		return;
	gort__store_relaxed(&mp->preempt, 1);
	gort__os_preempt(tid);
}

/* In the handler: how far down may the stack be used? 0: not here. All that it looks at is this thread's own. */
static uintptr_t room(uintptr_t sp)
{
	gort__m *mp = gort__m_self();
	const gort_g *gp;

	if (mp == NULL || gort__load_relaxed(&mp->preempt) == 0 || gort__load_relaxed(&mp->hold.depth) != 0 ||
	    (gort__load_relaxed(&mp->hold.state) & GORT__HOLD_STATE) != GORT__HOLD_OWNED)
		return 0;
	gp = mp->curg;
	if (gp == NULL || (gp->flags & (GORT__G_BOUND | GORT__G_STUCK)) || mp->cxx->caught != NULL || mp->cxx->uncaught != 0)
		return 0;
	if (sp <= gp->stack_lo || sp > gp->stack_hi)
		return 0;
	gort__store_relaxed(&mp->preempt, 0);
	return gp->stack_lo;
}

/* On the goroutine's own stack, where the signal found it. */
static void preempted(void)
{
	gort__m *mp = gort__m_self();
	gort_g *gp = mp->curg;
	int err = errno;

	mp->npreempted++;
	gp->m = mp;
	gp->flags |= GORT__G_PREEMPTED;
	gort__add_relaxed(&gort__sched.retakes[GORT__TAKEN_RUNNING], 1);
	mp = gort__yield(gort__enter());
	gp->flags &= ~(uint32_t)GORT__G_PREEMPTED;
	mp->npreempted--;
	gort__leave(mp);
	errno = err;
}

void gort__inbox_open(gort__m *mp)
{
	gort_g *list;

	gort__lock_lock(&gort__sched.lock);
	list = mp->inbox;
	gort__store_relaxed(&mp->inbox, NULL);
	gort__lock_unlock(&gort__sched.lock);
	while (list != NULL) {
		gort_g *next = list->link;

		gort__enqueue(mp, list, false);
		list = next;
	}
}

/* For who is about to keep the thread while others wait for it. */
gort__m *gort__move_off(gort__m *mp)
{
	gort_g *gp = mp->curg;
	gort__m *to;
	gort__p *pp;

	if ((gp->flags & (GORT__G_BOUND | GORT__G_LOCKED)) || mp->p == NULL || gort__load_relaxed(&mp->hold.depth) != 1)
		return mp;
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	gort__lock_lock(&gort__sched.lock);
	to = gort__idle_m_free();
	pp = gort__p_release(mp);
	gort__lock_unlock(&gort__sched.lock);
	if (to != NULL) {
		to->next_g = gp;
		gort__m_hand(to, pp, false);
	} else if (!gort__m_start(pp, false, gp)) {
		gort__p_acquire(mp, pp);
		gort__store_relaxed(&gp->status, GORT__G_RUNNING);
		return mp;
	}
	return gort__switch_off(mp);
}

const char *gort__preempt_init(void)
{
	return gort__os_preempt_init(room, preempted);
}
