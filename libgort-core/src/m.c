/* SPDX-License-Identifier: MIT */
/*
 * Ms: our own threads, and the plain threads that call in. Descriptors are type-stable: an outsider that read a P's holder
 * may look at its hold word long after. A plain thread's M, and the bound G that lies beside it, are given back when the
 * thread ends.
 *
 * gort_shutdown gives all others back, but not those of plain threads that live on: they may stand in a function that
 * gort_try has called, and have deferred calls and values for their end. When such a thread calls in again it finds that the
 * scheduler is to be started afresh (enter.c).
 */
#include "runtime.h"

#include "panic.h"

#include <errno.h>
#include <string.h>

#define THREAD_STACK (256 * 1024)       /* of our threads: g0 only runs the scheduler */
#define REFUSED_FOR (10 * GORT_MILLISECOND)

/* A plain thread's. */
struct plain {
	gort__m m;
	_Alignas(64) gort_g g;
};

static struct {
	gort__lock lock;
	bool made;                      /* the lock has been */
	bool down;                      /* no scheduler: what is given back goes to the system; under lock */
	gort__m *free, *free_plain;     /* under lock */
	uint32_t ids;                   /* atomic */
	gort__m *all;                   /* through mp->all; shortened by gort_shutdown only. Release and acquire; written under lock */
	gort_time refused_until;        /* the system refused a thread, and is not asked again before; relaxed */
} pool;

void gort__m_init(void)
{
	if (!pool.made) {
		gort__lock_init(&pool.lock);
		pool.made = true;
	}
	gort__lock_lock(&pool.lock);
	pool.down = false;
	pool.refused_until = 0;
	gort__lock_unlock(&pool.lock);
}

void gort__m_in_child(bool lost)
{
	if (lost)
		memset(&pool, 0, sizeof pool);
	else
		gort__lock_init(&pool.lock);
}

static size_t size_of(const gort__m *mp)
{
	return mp->place != NULL ? sizeof(struct plain) : sizeof *mp;
}

static gort__m *m_new(bool plain)
{
	gort__m **list = plain ? &pool.free_plain : &pool.free, *mp;
	uint32_t state;

	gort__lock_lock(&pool.lock);
	mp = *list;
	if (mp != NULL) {
		*list = mp->link;
		mp->used = true;
	}
	gort__lock_unlock(&pool.lock);
	if (mp == NULL) {
		mp = gort__os_pages(plain ? sizeof(struct plain) : sizeof *mp);
		if (mp == NULL)
			return NULL;
		mp->hold.state = gort__fenced ? GORT__HOLD_FENCED : 0;
		mp->place = plain ? &((struct plain *)mp)->g : NULL;
		mp->used = true;
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

/* Under lock. */
static void unlist(gort__m *mp)
{
	gort__m **at = &pool.all;

	while (*at != NULL && *at != mp)
		at = &(*at)->all;
	if (*at != NULL)
		gort__store_release(at, mp->all);
}

static void m_free(gort__m *mp)
{
	gort__m **list = mp->place != NULL ? &pool.free_plain : &pool.free;
	bool gone;

	gort__lock_lock(&pool.lock);
	gone = pool.down;
	mp->used = false;
	if (gone) {
		unlist(mp);
	} else {
		mp->link = *list;
		*list = mp;
	}
	gort__lock_unlock(&pool.lock);
	if (gone)
		gort__os_pages_free(mp, size_of(mp));
}

void gort__m_fini(void)
{
	gort__m *gone = NULL;

	gort__lock_lock(&pool.lock);
	for (gort__m **at = &pool.all, *mp; (mp = *at) != NULL;) {
		if (mp->used) {
			at = &mp->all;
			continue;
		}
		gort__store_release(at, mp->all);
		mp->link = gone;
		gone = mp;
	}
	pool.free = pool.free_plain = NULL;
	pool.down = true;
	gort__lock_unlock(&pool.lock);
	while (gone != NULL) {
		gort__m *mp = gone;

		gone = mp->link;
		gort__os_pages_free(mp, size_of(mp));
	}
}

bool gort__m_each(bool (*fn)(gort__m *mp, void *arg), void *arg)
{
	for (gort__m *mp = gort__load_acquire(&pool.all); mp != NULL; mp = mp->all) {
		if (!fn(mp, arg))
			return false;
	}
	return true;
}

bool gort__m_each_bound(bool (*fn)(gort_g *gp, void *arg), void *arg)
{
	for (gort__m *mp = gort__load_acquire(&pool.all); mp != NULL; mp = mp->all) {
		if (mp->place != NULL && !fn(mp->place, arg))
			return false;
	}
	return true;
}

static bool end_one(gort__m *mp, void *arg)
{
	uint32_t none = GORT__NOTE_NONE;

	if (mp->place == NULL && gort__cas_release(&mp->note, &none, GORT__NOTE_END))
		gort__os_futex_wake(&mp->note, 1);
	return true;
}

void gort__m_end_all(void)
{
	const gort__poller *poller = gort__load_acquire(&gort__sched.poller);
	uint32_t n;

	gort__m_each(end_one, NULL);
	/* the one that sleeps there; who comes after it looks at its note first */
	if (poller != NULL)
		poller->wake();
	while ((n = gort__load_acquire(&gort__sched.nms)) != 0)         /* pairs with the release in m_main */
		gort__os_futex_wait(&gort__sched.nms, n, GORT_FOREVER);
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
	/* its locked goroutine has ended, or the scheduler does */
	gort__tls = NULL;
	gort__os_fault_thread_end(mp->fault_stack);
	m_free(mp);
	gort__add_release(&gort__sched.nms, -1u);       /* pairs with the acquire in gort__m_end_all */
	gort__os_futex_wake(&gort__sched.nms, 1);
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

bool gort__m_start(gort__p *pp, bool spinning, gort_g *gp)
{
	gort__m *mp = gort__m_allowed() ? m_new(false) : NULL;
	int err;

	if (mp == NULL)
		return false;
	mp->next_p = pp;
	mp->next_g = gp;
	mp->spinning = spinning;
	gort__add_relaxed(&gort__sched.nms, 1);         /* before the thread can count itself out */
	err = gort__os_thread(m_main, mp, THREAD_STACK, "gort", false);
	if (err != 0) {
		gort__add_relaxed(&gort__sched.nms, -1u);
		m_free(mp);
		refused(err);
		return false;
	}
	return true;
}

void gort__m_hand(gort__m *mp, gort__p *pp, bool spinning)
{
	bool in_poll = mp->in_poll;     /* before the note: it may be gone from there on seeing that */

	mp->next_p = pp;
	mp->spinning = spinning;
	gort__store_release(&mp->note, GORT__NOTE_P);   /* pairs with the acquire in sleep_idle */
	if (in_poll)
		gort__sched.poller->wake();
	else
		gort__os_futex_wake(&mp->note, 1);
}

/* --- plain threads --- */

static void release(gort__m *mp)
{
	gort__tls = NULL;
	gort__store_relaxed(&mp->tid, 0);
	gort__store_relaxed(&mp->bound->status, GORT__G_FREE);
	gort__store_relaxed(&mp->bound->name[0], '\0');
	mp->bound = NULL;
	mp->curg = NULL;
	m_free(mp);
}

static void unbind(void *arg)
{
	gort__m *mp = arg;

	gort__thread_end(mp->bound);
	release(mp);
}

void gort__m_release_self(void)
{
	gort__m *mp = gort__m_self();

	if (mp == NULL || mp->bound->live.scope != NULL)
		return;
	gort__panic_discard(mp->bound);
	gort__os_set_thread_exit(NULL);
	release(mp);
}

bool gort__m_caller_waits(void)
{
	gort__m *me = gort__m_self();

	for (gort__m *mp = gort__load_acquire(&pool.all); mp != NULL; mp = mp->all) {
		if (mp->place == NULL || mp == me)
			continue;
		/* acquire: pairs with the release in gort__hold_leave */
		while ((gort__load_acquire(&mp->hold.depth) & GORT__DEPTH_COUNT) != 0) {
			if (gort__load_relaxed(&mp->place->status) == GORT__G_WAITING && gort__load_relaxed(&mp->place->note) == 0)
				return true;
			gort__os_yield();
		}
	}
	return false;
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

	if (err != 0 || gort__m_self() != NULL)
		return err;
	mp = m_new(true);
	if (mp == NULL)
		return -ENOMEM;
	if (gort__os_set_thread_exit(mp) != 0) {
		m_free(mp);
		return -ENOMEM;
	}
	gp = mp->place;
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
