/* SPDX-License-Identifier: MIT */
/*
 * Calls that block, announced by the program, and goroutines that want to stay: on their thread, or with their P.
 *
 * None of it is needed for correctness: the monitor takes the P of whoever sits in a call that nobody announced. An
 * announcement makes it sooner (the P may be taken after 20 microseconds and without a look at the thread), a hand-over at
 * once sooner still.
 */
#include "runtime.h"

/* --- announced calls --- */

void gort_syscall_enter(void)
{
	gort__m *mp = gort__m_self();
	uint32_t depth;

	if (gort__unlikely(mp == NULL)) {
		/* a thread that never called in: it is bound, so that the pair can be checked */
		gort__leave(gort__enter());
		mp = gort__m_self();
	}
	if (gort__unlikely(mp->npreempted > 0)) {
		gort__leave(gort__move_off(gort__enter()));
		mp = gort__m_self();
	}
	depth = gort__load_relaxed(&mp->hold.depth);
	if (gort__unlikely((depth & ~GORT__DEPTH_PINNED) != 0))
		gort__fatal(depth & GORT__DEPTH_ANNOUNCED ? "gort_syscall_enter after gort_syscall_enter" :
			"gort_syscall_enter inside a park's commit");
	gort__store_relaxed(&mp->calls, mp->calls + 1);
	gort__hold_announce(&mp->hold, depth);
	/* the monitor would come too late: work waits behind us, and it has seen nothing to hurry for */
	if (gort__unlikely(gort__load_relaxed(&gort__sysmon_slow)) && mp->p != NULL &&
	    (gort__load_relaxed(&mp->p->runq.runnext) != NULL || gort__surplus_len(mp->p) > 0))
		gort__sysmon_hurry();
}

void gort_syscall_exit(void)
{
	gort__m *mp = gort__m_self();
	uint32_t depth = mp != NULL ? gort__load_relaxed(&mp->hold.depth) : 0;

	if (gort__unlikely(!(depth & GORT__DEPTH_ANNOUNCED)))
		gort__fatal("gort_syscall_exit without gort_syscall_enter");
	if (gort__unlikely(!gort__hold_return(&mp->hold, depth)))
		mp = gort__enter_slow(mp);
	gort__leave(mp);
}

int gort_blocking(int (*fn)(void *arg), void *arg)
{
	gort__m *mp;
	int result;

	if (fn == NULL)
		gort__fatal("gort_blocking of nil func value");
	mp = gort__enter();
	if (gort__unlikely(mp->npreempted > 0))
		mp = gort__move_off(mp);
	if (mp->p != NULL && mp->pins == 0)
		gort__part_with_p(mp);
	gort__leave(mp);
	result = fn(arg);
	/* fn may have called in and got a P, on another thread perhaps */
	gort__leave(gort__enter());
	return result;
}

/* --- staying --- */

/* The goroutine that calls belongs to its thread from now on, or not any more. */
static void set_locked(gort__m *mp)
{
	gort_g *gp = gort__g_of(mp);

	if (mp->locks > 0 || mp->pins > 0) {
		gp->m = mp;
		gp->flags |= GORT__G_LOCKED;
	} else {
		gp->flags &= ~(uint32_t)GORT__G_LOCKED;
	}
}

void gort_lock_os_thread(void)
{
	gort__m *mp = gort__enter();

	if (gort__unlikely(mp->npreempted > 0))
		mp = gort__move_off(mp);
	if (mp->bound == NULL) {                /* a plain thread is locked to itself as it is */
		if (mp->locks == UINT32_MAX)
			gort__fatal("gort_lock_os_thread nesting overflow");
		mp->locks++;
		set_locked(mp);
	}
	gort__leave(mp);
}

void gort_unlock_os_thread(void)
{
	gort__m *mp = gort__enter();

	if (mp->bound == NULL && mp->locks > 0) {       /* as in Go, one too many is nothing */
		mp->locks--;
		set_locked(mp);
	}
	gort__leave(mp);
}

void gort_preempt_disable(void)
{
	gort__m *mp = gort__enter();

	if (gort__unlikely(mp->npreempted > 0))
		mp = gort__move_off(mp);
	if (mp->pins == UINT32_MAX)
		gort__fatal("gort_preempt_disable nesting overflow");
	if (mp->pins++ == 0) {
		gort__store_relaxed(&mp->hold.depth, gort__load_relaxed(&mp->hold.depth) | GORT__DEPTH_PINNED);
		if (mp->bound == NULL)
			set_locked(mp);
	}
	gort__leave(mp);
}

void gort_preempt_enable(void)
{
	gort__m *mp = gort__enter();

	if (mp->pins == 0)
		gort__fatal("gort_preempt_enable without gort_preempt_disable");
	if (--mp->pins == 0) {
		gort__store_relaxed(&mp->hold.depth, gort__load_relaxed(&mp->hold.depth) & ~GORT__DEPTH_PINNED);
		if (mp->bound == NULL)
			set_locked(mp);
	}
	gort__leave(mp);
}
