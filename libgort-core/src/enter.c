/* SPDX-License-Identifier: MIT */
/* Entering the library when the way is not clear: without a P, with one that somebody asks for, or on a new thread. */
#include "runtime.h"

static void await_borrower(gort__m *mp)
{
	uint32_t w;

	for (int i = 0; i < 100; i++) {
		gort__cpu_relax();
		if ((gort__load_relaxed(&mp->hold.state) & GORT__HOLD_STATE) != GORT__HOLD_BORROWED)
			return;
	}
	while (gort__hold_await(&mp->hold, &w))
		gort__os_futex_wait(&mp->hold.state, w, GORT_FOREVER);
}

/*
 * A plain thread at depth 1 and no scheduler: after gort_shutdown, or while that goes on in another thread. True: what had
 * to be has been done, look again. The fence in gort__hold_settle lies between the depth and the look at the phase; so either
 * gort_shutdown sees that a thread is inside, or we see that it has begun.
 */
static bool start_again(gort__m *mp)
{
	if (gort__likely(gort__phase() == GORT__UP) || (gort__phase() == GORT__CLOSING && gort__os_thread_ours()))
		return false;
	gort__hold_leave(&mp->hold);
	if (gort__start() != 0)
		gort__fatal("out of memory or threads: the scheduler cannot be started afresh");
	gort__hold_enter(&mp->hold);
	return true;
}

gort__m *gort__enter_slow(gort__m *mp)
{
	gort__p *pp;

	if (mp == NULL) {
		if (gort__m_bind() != 0)
			gort__fatal("out of memory or threads: the scheduler cannot take this thread in");
		mp = gort__m_self();
		gort__hold_enter(&mp->hold);
		return mp;
	}
	if (gort__unlikely(gort__load_relaxed(&mp->hold.depth) & GORT__DEPTH_ANNOUNCED))
		gort__fatal("a call of libgort between gort_syscall_enter and gort_syscall_exit");
	/* inside another call (a park's commit): it may be published already, and must not be queued a second time */
	if ((gort__load_relaxed(&mp->hold.depth) & GORT__DEPTH_COUNT) > 1)
		return gort__enter_nosched_slow(mp);
	for (;;) {
		switch (gort__hold_settle(&mp->hold)) {
		case GORT__SETTLED_OWNED:
			return mp;
		case GORT__SETTLED_YIELD:
			/* the monitor sleeps until we are back, or somebody has waited for a whole slice: to the very back */
			gort__sysmon_busy();
			return gort__yield(mp);
		case GORT__SETTLED_CALLED:
			gort__bias_serve(&mp->call, mp->bias);
			continue;
		case GORT__SETTLED_BORROWED:
			await_borrower(mp);
			continue;
		case GORT__SETTLED_GONE:
			gort__p_missed(mp);
			break;
		case GORT__SETTLED_NONE:
			break;
		}
		if (mp->bound != NULL && mp->curg == mp->bound) {
			if (gort__unlikely(start_again(mp)))
				continue;
			return mp;
		}
		gort__lock_lock(&gort__sched.lock);
		pp = gort__p_from_idle(0);
		gort__lock_unlock(&gort__sched.lock);
		if (pp == NULL)
			return gort__wait_for_p(mp);
		gort__p_acquire(mp, pp);
		gort__sysmon_busy();
		/* what waits there was left for want of a thread, and for as long as we were away */
		return gort__p_has_work(pp) ? gort__yield(mp) : mp;
	}
}

gort__m *gort__enter_nosched_slow(gort__m *mp)
{
	if (mp == NULL || (gort__load_relaxed(&mp->hold.depth) & GORT__DEPTH_ANNOUNCED))
		return gort__enter_slow(mp);
	for (;;) {
		switch (gort__hold_settle(&mp->hold)) {
		case GORT__SETTLED_CALLED:
			gort__bias_serve(&mp->call, mp->bias);
			continue;
		case GORT__SETTLED_BORROWED:
			await_borrower(mp);
			continue;
		case GORT__SETTLED_GONE:
			gort__p_missed(mp);
			return mp;
		case GORT__SETTLED_NONE:
			if (mp->bound != NULL && (gort__load_relaxed(&mp->hold.depth) & GORT__DEPTH_COUNT) == 1 && start_again(mp))
				continue;
			return mp;
		case GORT__SETTLED_YIELD:
			/* not here; at the next call that may */
			gort__hold_want_yield(&mp->hold);
			gort__sysmon_busy();
			return mp;
		case GORT__SETTLED_OWNED:
			return mp;
		}
	}
}

/* Until the lock is not biased to another P. */
void gort__bias_take(gort__m *mp, gort__bias *b)
{
	gort__hold_step_aside(&mp->hold);
	for (int i = 0;; i++) {
		uint32_t owner = gort__load_relaxed(&b->owner);

		if (owner == 0 || owner == mp->bias)
			break;
		gort__p_unbias(owner, b);
		/* two that want something of each other, each inside the library */
		if (gort__load_relaxed(&mp->call) != 0) {
			gort__step_back(mp);
			gort__hold_step_aside(&mp->hold);
		}
		gort__cpu_relax();
		if (i % 8 == 7)
			gort__os_yield();       /* that P's holder is off the processor inside the library */
	}
	gort__step_back(mp);
}

void gort__step_back(gort__m *mp)
{
	while (!gort__hold_step_back(&mp->hold))
		await_borrower(mp);
	gort__bias_serve(&mp->call, mp->bias);
}

void gort__bias_lock_slow(gort__m *mp, gort__bias *b)
{
	while (!gort__bias_try(b, mp->bias))
		gort__bias_take(mp, b);
	gort__bias_had(mp, b);
}
