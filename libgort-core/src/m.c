/* SPDX-License-Identifier: MIT */
/*
 * Ms: our own threads, and the plain threads that call in. Descriptors are type-stable: an outsider that read a P's holder
 * may look at its hold word long after. A plain thread's M and bound G are given back when the thread ends.
 */
#include "runtime.h"

#include "panic.h"

#include <errno.h>
#include <string.h>

#define THREAD_STACK (256 * 1024)       /* of our threads: g0 only runs the scheduler */
#define REFUSED_FOR (10 * GORT_MILLISECOND)

static struct {
	gort__lock lock;
	gort__m *free;                  /* under lock */
	gort_g *free_bound;             /* under lock */
	uint32_t ids;                   /* atomic */
	gort__m *all;                   /* through mp->all; never shortened. Release and acquire; written under lock */
	gort_time refused_until;        /* the system refused a thread, and is not asked again before; relaxed */
} pool;

void gort__m_init(void)
{
	memset(&pool, 0, sizeof pool);
	gort__lock_init(&pool.lock);
}

static gort__m *m_new(void)
{
	gort__m *mp;
	uint32_t state;

	gort__lock_lock(&pool.lock);
	mp = pool.free;
	if (mp != NULL)
		pool.free = mp->link;
	gort__lock_unlock(&pool.lock);
	if (mp == NULL) {
		mp = gort__os_pages(sizeof *mp);
		if (mp == NULL)
			return NULL;
		mp->hold.state = gort__fenced ? GORT__HOLD_FENCED : 0;
		gort__lock_lock(&pool.lock);
		mp->all = pool.all;
		gort__store_release(&pool.all, mp);     /* pairs with the acquire in gort__m_each */
		gort__lock_unlock(&pool.lock);
	}
	/* the hold word keeps its sequence number: an asker may still hold an old one */
	state = gort__load_relaxed(&mp->hold.state);
	gort__store_relaxed(&mp->hold.state, GORT__HOLD_WITH(state, GORT__HOLD_NONE));
	mp->id = gort__add_relaxed(&pool.ids, 1);
	mp->locks = mp->pins = 0;
	mp->bias = GORT__BIAS_NOBODY;
	mp->dying = mp->in_poll = false;
	mp->random = (mp->id * 2654435761u + (uint32_t)gort__os_now()) | 1;
	return mp;
}

static void m_free(gort__m *mp)
{
	gort__lock_lock(&pool.lock);
	mp->link = pool.free;
	pool.free = mp;
	gort__lock_unlock(&pool.lock);
}

bool gort__m_each(bool (*fn)(gort__m *mp, void *arg), void *arg)
{
	for (gort__m *mp = gort__load_acquire(&pool.all); mp != NULL; mp = mp->all) {
		if (!fn(mp, arg))
			return false;
	}
	return true;
}

static int *errno_at(void)
{
	return &errno;
}

static void m_main(void *arg)
{
	gort__m *mp = arg;

	gort__os_thread_begin();
	gort__os_thread_stack(&mp->g0_lo, &mp->g0_hi);
	mp->fault_stack = gort__os_fault_thread_begin();
	mp->errno_at = errno_at();
	mp->cxx = gort__cxx_globals();
	gort__store_relaxed(&mp->tid, gort__os_tid());
#ifdef GORT__TSAN
	mp->san = __tsan_get_current_fiber();
#endif
	gort__tls = mp;
	gort__store_relaxed(&mp->hold.depth, 1);
	gort__p_acquire(mp, mp->next_p);
	mp->handed = true;
	gort__sched_loop(mp);
	/* its locked goroutine has ended */
	gort__tls = NULL;
	gort__os_fault_thread_end(mp->fault_stack);
	gort__add_relaxed(&gort__sched.nms, -1u);
	m_free(mp);
}

bool gort__m_allowed(void)
{
	static bool said;
	bool ok = gort__load_relaxed(&gort__sched.nms) < gort__options.threads;
	gort_time until = gort__load_relaxed(&pool.refused_until);

	if (gort__unlikely(!ok && !__atomic_exchange_n(&said, true, __ATOMIC_RELAXED)))
		gort__say("no more than %u threads (GORT_DEBUG=threads=N): goroutines that block keep their processors",
			(unsigned)gort__options.threads);
	if (gort__unlikely(until != 0) && gort__os_now() < until)
		return false;
	return ok;
}

/* Whoever was to have the thread asks again by itself: the monitor sees to work that nobody runs. */
static void refused(int err)
{
	static bool said;

	gort__store_relaxed(&pool.refused_until, gort__os_now() + REFUSED_FOR);
	gort__add_relaxed(&gort__sched.threads_refused, 1);
	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		gort__say("no more threads to be had (%s): goroutines that block keep their processors", gort_strerror(err));
}

bool gort__m_start(gort__p *pp, bool spinning)
{
	gort__m *mp = gort__m_allowed() ? m_new() : NULL;
	int err;

	if (mp == NULL)
		return false;
	mp->next_p = pp;
	mp->spinning = spinning;
	err = gort__os_thread(m_main, mp, THREAD_STACK, "gort", false);
	if (err != 0) {
		m_free(mp);
		refused(err);
		return false;
	}
	gort__add_relaxed(&gort__sched.nms, 1);
	return true;
}

void gort__m_hand(gort__m *mp, gort__p *pp, bool spinning)
{
	bool in_poll = mp->in_poll;     /* before the note: it may be gone from there on seeing that */

	mp->next_p = pp;
	mp->spinning = spinning;
	gort__store_release(&mp->note, 1);      /* pairs with the acquire in sleep_idle */
	if (in_poll)
		gort__sched.poller->wake();
	else
		gort__os_futex_wake(&mp->note, 1);
}

/* --- plain threads --- */

static void unbind(void *arg)
{
	gort__m *mp = arg;
	gort_g *gp = mp->bound;

	gort__thread_end(gp);
	gort__tls = NULL;
	gort__store_relaxed(&mp->tid, 0);
	gort__store_relaxed(&gp->status, GORT__G_FREE);
	mp->bound = NULL;
	mp->curg = NULL;
	gort__lock_lock(&pool.lock);
	gp->link = pool.free_bound;
	pool.free_bound = gp;
	mp->link = pool.free;
	pool.free = mp;
	gort__lock_unlock(&pool.lock);
}

int gort__m_thread_exit_init(void)
{
	return gort__os_at_thread_exit(unbind);
}

int gort__m_bind(void)
{
	gort__m *mp;
	gort_g *gp;
	int err = gort__start();

	if (err != 0)
		return err;
	mp = m_new();
	if (mp == NULL)
		return -ENOMEM;
	gort__lock_lock(&pool.lock);
	gp = pool.free_bound;
	if (gp != NULL)
		pool.free_bound = gp->link;
	gort__lock_unlock(&pool.lock);
	if (gp == NULL)
		gp = gort__g_new(NULL);
	if (gp == NULL || gort__os_set_thread_exit(mp) != 0) {
		m_free(mp);
		if (gp != NULL)
			gort__g_free(NULL, gp);
		return -ENOMEM;
	}
	gort__store_relaxed(&gp->id, 0);
	gp->flags = GORT__G_BOUND | GORT__G_SYSTEM;
	gp->m = mp;
	gp->note = 0;
	memset(&gp->live, 0, sizeof gp->live);
	gort__store_relaxed(&gp->ctx.running, 1);
	gort__store_relaxed(&gp->status, GORT__G_RUNNING);
	mp->bound = mp->curg = gp;
	mp->errno_at = errno_at();
	mp->cxx = gort__cxx_globals();
	gort__store_relaxed(&mp->tid, gort__os_tid());
	mp->p = NULL;
	gort__store_relaxed(&mp->hold.depth, 0);
	gort__tls = mp;
	return 0;
}
