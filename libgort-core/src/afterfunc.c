/* SPDX-License-Identifier: MIT */
/*
 * Timers with a function: Go's AfterFunc, whose function a goroutine runs, and the siblings' (gort/timer.h), whose
 * function is called where the timer fires. When they are due is in due.h, where their entries lie in timer.c.
 *
 * Firing cannot fail, so what it takes is had beforehand: a timer with a goroutine has a descriptor with a stack reserved from
 * the day it is made. A goroutine that has run a timer's function ends by giving itself back to the timer, if that has no other by
 * then. So a timer that is set anew inside its own function, and due before that has returned, needs a second goroutine; if
 * there is no memory for one, it waits for the first to end (GORT__TIMER_OWED).
 *
 * Descriptors of timers are never unmapped while the scheduler runs, and the numbers of their entries only grow; so a dead
 * entry of a timer that is gone does no harm, and freeing takes nothing out of a heap. gort_shutdown stops all timers; their
 * handles are the program's, and may be set again or freed later, so their descriptors stay.
 */
#include "timer.h"

#include <errno.h>
#include <string.h>

#define CHUNK ((size_t)64 * 1024)       /* bytes of descriptors mapped at a time */
#define BATCH 32                        /* moved between a P and the shared list at a time */

struct chunk {
	struct chunk *next;             /* the one made before */
	gort_timer t[];
};

#define PER_CHUNK ((CHUNK - sizeof(struct chunk)) / sizeof(gort_timer))

static struct {
	gort__lock lock;
	gort_timer *free;               /* under lock */
	struct chunk *chunks;           /* newest first; under lock */
	uint32_t nfresh;                /* of the newest, never used: the last ones; under lock */
} pool;

void gort__timer_init(void)
{
	gort__lock_init(&pool.lock);
}

void gort__timer_in_child(void)
{
	memset(&pool, 0, sizeof pool);
}

/* As one that has just been made, and has not been set. */
static void forget(gort_timer *t)
{
	gort__due_forget(&t->due);
	t->p = NULL;
	t->g = NULL;
	t->flags = t->running = t->users = 0;
	t->waiters = NULL;
	t->list = NULL;
}

/* Those that are in nobody's hands go to the free list. How many are. */
static uint32_t tidy(struct chunk *c, uint32_t used)
{
	uint32_t live = 0;

	for (uint32_t i = 0; i < used; i++) {
		gort_timer *t = &c->t[i];

		if (t->flags & (GORT__TIMER_UNUSED | GORT__TIMER_ONCE | GORT__TIMER_FREED)) {
			forget(t);
			t->flags = GORT__TIMER_UNUSED | GORT__TIMER_FREED;
			t->next = pool.free;
			pool.free = t;
		} else {
			forget(t);
			live++;
		}
	}
	return live;
}

void gort__timer_fini(void)
{
	uint32_t used = (uint32_t)PER_CHUNK - pool.nfresh;
	struct chunk *keep = NULL, *c;

	pool.free = NULL;
	while ((c = pool.chunks) != NULL) {
		gort_timer *before = pool.free;

		pool.chunks = c->next;
		if (tidy(c, used) == 0) {
			pool.free = before;
			gort__os_pages_free(c, CHUNK);
		} else {                        /* what of it was never used stays so */
			c->next = keep;
			keep = c;
		}
		used = (uint32_t)PER_CHUNK;
	}
	pool.chunks = keep;
	pool.nfresh = 0;
}

/* --- descriptors --- */

/* Under pool.lock. */
static gort_timer *pool_take(void)
{
	gort_timer *t = pool.free;

	if (t != NULL) {
		pool.free = t->next;
		return t;
	}
	if (pool.nfresh == 0) {
		struct chunk *c = gort__os_pages(CHUNK);

		if (c == NULL)
			return NULL;
		c->next = pool.chunks;
		pool.chunks = c;
		pool.nfresh = (uint32_t)PER_CHUNK;
	}
	t = &pool.chunks->t[PER_CHUNK - pool.nfresh--];
	gort__lock_init(&t->lock);
	t->flags = GORT__TIMER_UNUSED;
	return t;
}

static gort_timer *descriptor_get(gort__p *pp)
{
	gort_timer *t;

	if (gort__likely(pp != NULL && pp->tfree != NULL)) {
		t = pp->tfree;
		pp->tfree = t->next;
		pp->tfree_n--;
		return t;
	}
	gort__lock_lock(&pool.lock);
	t = pool_take();
	while (t != NULL && pp != NULL && pp->tfree_n < BATCH / 4) {
		gort_timer *more = pool_take();

		if (more == NULL)
			break;
		more->next = pp->tfree;
		pp->tfree = more;
		pp->tfree_n++;
	}
	gort__lock_unlock(&pool.lock);
	return t;
}

static void give(gort__p *pp, uint32_t n)
{
	gort__lock_lock(&pool.lock);
	for (; n > 0; n--) {
		gort_timer *t = pp->tfree;

		pp->tfree = t->next;
		pp->tfree_n--;
		t->next = pool.free;
		pool.free = t;
	}
	gort__lock_unlock(&pool.lock);
}

static void descriptor_put(gort__p *pp, gort_timer *t)
{
	t->flags |= GORT__TIMER_UNUSED;
	if (gort__unlikely(pp == NULL)) {
		gort__lock_lock(&pool.lock);
		t->next = pool.free;
		pool.free = t;
		gort__lock_unlock(&pool.lock);
		return;
	}
	t->next = pp->tfree;
	pp->tfree = t;
	if (gort__unlikely(++pp->tfree_n >= 4 * BATCH))
		give(pp, 2 * BATCH);
}

void gort__timer_give_all(gort__p *pp)
{
	give(pp, pp->tfree_n);
}

/* Its owner has given it up, and nobody will come back to it. */
static void finish(gort__p *pp, gort_timer *t)
{
	if (t->release != NULL)
		t->release(t->arg);
	descriptor_put(pp, t);
}

/* --- setting and stopping; all under the timer's lock --- */

/* A new entry: into pp's heap, or where the next P finds it. True: gort__timer_call is to follow, without the lock. */
static bool enter(gort__p *pp, gort_timer *t, gort_time when)
{
	uint64_t number;

	if (t->due.entered) {
		if (t->p == NULL)
			gort__timer_unstray(t);
		else if (gort__due_armed(&t->due))      /* else it has been counted when it was stopped */
			gort__timer_stale(t->p, 1);
	}
	number = gort__due_enter(&t->due, when);
	if (gort__likely(pp != NULL) && gort__timer_push(pp, t, number, when, GORT__ORDER_NEW)) {
		t->p = pp;
		return false;
	}
	t->p = NULL;
	gort__timer_stray(t, number, when);
	return true;
}

static bool stop(gort_timer *t)
{
	bool was = gort__due_stop(&t->due);

	t->flags &= ~(uint32_t)GORT__TIMER_OWED;
	if (was && t->due.entered) {
		if (gort__likely(t->p != NULL)) {
			gort__timer_stale(t->p, 1);
		} else {
			gort__timer_unstray(t);
			t->due.entered = 0;
		}
	}
	return was;
}

/* True: it was armed, and is due at when now, by the entry that it has. */
static bool set_later(gort_timer *t, gort_time when, gort_duration period, bool *was)
{
	*was = gort__due_armed(&t->due);
	if (!gort__due_set(&t->due, when))
		return false;
	t->period = period;
	if (!*was && t->p != NULL)
		gort__timer_stale(t->p, -1);
	return true;
}

/*
 * The library is entered before the lock is taken, never with it held: entering may wait for a thief, and whoever holds a P
 * may want the lock.
 */
static gort__m *enter_library(void)
{
	/* a thread that has not called in yet has no P to enter, and needs none */
	return gort__m_self() != NULL ? gort__enter_nosched() : NULL;
}

/* The scheduler is to see to the timer: there may be none since a gort_shutdown. */
static void need_scheduler(void)
{
	if (gort__unlikely(gort__phase() != GORT__UP) && gort__start() != 0)
		gort__fatal("out of memory or threads: the scheduler cannot be started afresh");
}

static bool set(gort_timer *t, gort_time when, gort_duration period)
{
	bool was, call = false;
	gort__m *mp;

	if (when == GORT_FOREVER)
		when--;                 /* pending for ever; GORT_FOREVER in a P's timer_next says that there is none */
	gort__lock_lock(&t->lock);
	if (gort__likely(set_later(t, when, period, &was))) {
		gort__lock_unlock(&t->lock);
		return was;
	}
	gort__lock_unlock(&t->lock);
	need_scheduler();
	mp = enter_library();
	gort__lock_lock(&t->lock);
	if (t->flags & GORT__TIMER_FREED)
		gort__fatal("a timer is set after gort_timer_free");
	if (!set_later(t, when, period, &was)) {
		t->period = period;
		t->flags &= ~(uint32_t)GORT__TIMER_OWED;
		call = enter(mp != NULL ? mp->p : NULL, t, when);
	}
	gort__lock_unlock(&t->lock);
	if (call)
		gort__timer_call();
	if (mp != NULL)
		gort__leave(mp);
	return was;
}

/* --- firing --- */

static void fn_has_ended(void *arg)
{
	gort_timer *t = arg;
	struct gort__timer_waiter *w = NULL;
	gort__m *mp;

	gort__lock_lock(&t->lock);
	if (--t->running == 0) {
		w = t->waiters;
		t->waiters = NULL;
	}
	gort__lock_unlock(&t->lock);
	if (w == NULL)
		return;
	mp = gort__enter_nosched();
	while (w != NULL) {
		struct gort__timer_waiter *next = w->next;

		gort__ready(mp, w->g);          /* w is on its stack */
		w = next;
	}
	gort__leave(mp);
}

static void run_fn(void *arg)
{
	gort_timer *t = arg;

	/* fn_has_ended also when it panics or exits; t lives on until the goroutine has ended, whoever frees it */
	gort__call_then(t->fn, t->arg, fn_has_ended, t);
}

/* Makes a reserved descriptor a goroutine, to be queued. */
static void start(gort__p *pp, gort_g *gp, void (*fn)(void *arg), void *arg, uint32_t flags)
{
	gort__g_number(pp, gp);
	gp->fn = fn;
	gp->arg = arg;
	gp->flags |= flags | GORT__G_FRESH;
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	gort__store_relaxed(&pp->spawned, pp->spawned + 1);
	gort__trace(pp, GORT__TRACE_SPAWN, gp, NULL);
}

/* Under the lock: fires with gp. */
static void start_fn(gort__p *pp, gort_timer *t, gort_g *gp)
{
	t->running++;
	t->users++;
	start(pp, gp, run_fn, t, GORT__G_TIMER);
}

/* An entry that has come up goes back to where the timer is due now. Under the lock. */
static void put_back(gort__p *pp, gort_timer *t, const struct gort__heap_entry *e)
{
	if (gort__likely(gort__timer_push(pp, t, e->ticket, t->due.lies, e->order))) {
		t->p = pp;
	} else {
		t->p = NULL;
		gort__timer_stray(t, e->ticket, t->due.lies);
	}
}

/* Lets go of the lock, and calls the function. */
static void fire_here(gort__p *pp, gort_timer *t, gort_time now, struct gort__batch *due)
{
	gort_g *next = pp->runq.runnext;
	uint64_t turn = gort__load_relaxed(&t->due.turn);
	bool last;

	t->users++;
	gort__lock_unlock(&t->lock);
	/* whom it makes ready is put in line: runnext would be the last of them, before the first */
	gort__store_relaxed(&pp->runq.runnext, NULL);
	t->here(pp->m, t->arg, now, turn);
	if (pp->runq.runnext != NULL)
		gort__batch_add(due, pp->runq.runnext);
	gort__store_relaxed(&pp->runq.runnext, next);
	gort__lock_lock(&t->lock);
	last = --t->users == 0 && (t->flags & GORT__TIMER_FREED);
	gort__lock_unlock(&t->lock);
	if (last)
		finish(pp, t);
}

bool gort__timer_up(gort__p *pp, gort_timer *t, const struct gort__heap_entry *e, gort_time now, struct gort__batch *due)
{
	gort_g *gp;

	if (gort__due_dead(&t->due, e->ticket))
		return false;
	gort__lock_lock(&t->lock);
	switch (gort__due_up(&t->due, e->ticket, now, t->period)) {
	case GORT__DUE_DEAD:
		gort__lock_unlock(&t->lock);
		return false;
	case GORT__DUE_LATER:
		put_back(pp, t, e);
		gort__lock_unlock(&t->lock);
		return true;
	case GORT__DUE_FIRES:
		break;
	}
	if (t->due.entered)
		put_back(pp, t, e);
	if (t->here != NULL) {
		fire_here(pp, t, now, due);
		return true;
	}
	gp = t->g;
	if (gp == NULL)
		gp = gort__g_reserve(pp);
	t->g = NULL;
	if (t->flags & GORT__TIMER_ONCE) {
		void (*fn)(void *arg) = t->fn;
		void *arg = t->arg;

		gort__due_forget(&t->due);
		gort__lock_unlock(&t->lock);
		descriptor_put(pp, t);
		start(pp, gp, fn, arg, 0);
	} else if (gp != NULL) {
		start_fn(pp, t, gp);
		gort__lock_unlock(&t->lock);
	} else {
		gort__due_owe(&t->due);
		t->flags |= GORT__TIMER_OWED;
		gort__lock_unlock(&t->lock);
		return true;
	}
	gort__batch_add(due, gp);
	return true;
}

bool gort__timer_ended(gort__m *mp, gort_g *gp)
{
	gort_timer *t = gp->arg;
	bool keep = false, fire = false, last;

	gort__lock_lock(&t->lock);
	last = --t->users == 0 && (t->flags & GORT__TIMER_FREED);
	if (t->flags & GORT__TIMER_OWED) {
		t->flags &= ~(uint32_t)GORT__TIMER_OWED;
		gort__due_stop(&t->due);
		keep = fire = true;
	} else if (t->g == NULL && !(t->flags & GORT__TIMER_FREED)) {
		keep = true;
	}
	if (keep)
		gort__g_reset(gp);
	if (fire)
		start_fn(mp->p, t, gp);
	else if (keep)
		t->g = gp;
	gort__lock_unlock(&t->lock);
	if (fire)
		gort__enqueue(mp, gp, false);
	if (last)
		finish(mp->p, t);
	return keep;
}

/* --- the siblings' --- */

gort_timer *gort__timer_new(gort__timer_fn *fn, void (*release)(void *arg), void *arg)
{
	gort_timer *t;
	gort__m *mp;

	if (gort__m_self() == NULL && gort__m_bind() != 0)
		return NULL;
	mp = gort__enter_nosched();
	t = descriptor_get(mp->p);
	gort__leave(mp);
	if (t == NULL)
		return NULL;
	/* nobody knows it but dead entries, and who holds one looks no further than at its number */
	t->here = fn;
	t->release = release;
	t->arg = arg;
	t->flags = 0;
	return t;
}

bool gort__timer_set(gort_timer *t, gort_time when, gort_duration period)
{
	return set(t, when, period);
}

uint64_t gort__timer_turn(gort_timer *t)
{
	return gort__load_relaxed(&t->due.turn);
}

/* --- the public ones --- */

/* A new one with a goroutine, armed; NULL: out of memory. */
static gort_timer *after(gort_duration d, void (*fn)(void *arg), void *arg, uint32_t flags)
{
	gort_time when;
	gort_timer *t;
	gort__m *mp;
	gort_g *gp;
	bool call;

	if (gort__unlikely(fn == NULL))
		gort__fatal("go of nil func value");
	if (gort__unlikely(gort__m_self() == NULL) && gort__m_bind() != 0)
		return NULL;
	when = gort_deadline(d);
	if (when == GORT_FOREVER)
		when--;
	mp = gort__enter_nosched();
	gp = gort__g_reserve(mp->p);
	t = gp != NULL ? descriptor_get(mp->p) : NULL;
	if (gort__likely(t != NULL)) {
		gort__lock_lock(&t->lock);
		t->fn = fn;
		t->here = NULL;
		t->release = NULL;
		t->arg = arg;
		t->period = 0;
		t->g = gp;
		t->flags = flags;
		call = enter(mp->p, t, when);
		gort__lock_unlock(&t->lock);
		if (gort__unlikely(call))
			gort__timer_call();
	} else if (gp != NULL) {
		gort__g_unreserve(mp->p, gp);
	}
	gort__leave(mp);
	return t;
}

gort_timer *gort_timer_after_func(gort_duration d, void (*fn)(void *arg), void *arg)
{
	return after(d, fn, arg, 0);
}

int gort_go_after(gort_duration d, void (*fn)(void *arg), void *arg)
{
	if (d <= 0)
		return gort_go(fn, arg);
	return after(d, fn, arg, GORT__TIMER_ONCE) != NULL ? 0 : -ENOMEM;
}

static void check(const gort_timer *t, const char *words)
{
	if (gort__unlikely(t == NULL))
		gort__panic(words);
}

bool gort_timer_stop(gort_timer *t)
{
	bool was;

	check(t, "time: Stop called on uninitialized Timer");
	gort__lock_lock(&t->lock);
	was = stop(t);
	gort__lock_unlock(&t->lock);
	return was;
}

bool gort_timer_reset(gort_timer *t, gort_duration d)
{
	check(t, "time: Reset called on uninitialized Timer");
	return set(t, gort_deadline(d), 0);
}

void gort_timer_stop_wait(gort_timer *t)
{
	struct gort__timer_waiter w;
	gort__m *mp;

	check(t, "time: Stop called on uninitialized Timer");
	mp = gort__enter();
	w.g = gort__g_of(mp);
	if (!(w.g->flags & GORT__G_BOUND) && (w.g->flags & GORT__G_TIMER) && w.g->arg == t)
		gort__fatal("gort_timer_stop_wait inside the timer's own function");
	for (;;) {
		gort__lock_lock(&t->lock);
		stop(t);                        /* also what fn has set anew meanwhile */
		if (t->running == 0)
			break;
		gort__park_prepare(w.g, "timer stop wait");
		w.next = t->waiters;
		t->waiters = &w;
		gort__lock_unlock(&t->lock);
		mp = gort__park(mp);
	}
	gort__lock_unlock(&t->lock);
	gort__leave(mp);
}

void gort_timer_free(gort_timer *t)
{
	gort__m *mp;
	gort__p *pp;
	gort_g *gp;
	bool last;

	if (t == NULL)
		return;
	/* after a gort_shutdown it is freed without waking the scheduler */
	mp = gort__phase() == GORT__UP ? enter_library() : NULL;
	pp = mp != NULL ? mp->p : NULL;
	gort__lock_lock(&t->lock);
	if (t->flags & GORT__TIMER_FREED)
		gort__fatal("a timer is freed twice");
	stop(t);
	gort__due_forget(&t->due);
	t->flags |= GORT__TIMER_FREED;
	gp = t->g;
	t->g = NULL;
	last = t->users == 0;
	gort__lock_unlock(&t->lock);
	if (gp != NULL)
		gort__g_unreserve(pp, gp);
	if (last)
		finish(pp, t);
	if (mp != NULL)
		gort__leave(mp);
}
