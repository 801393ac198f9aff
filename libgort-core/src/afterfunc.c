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

#include "clock.h"

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
	gort__bias_init(&t->lock, GORT__BIAS_NOBODY);
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
	gort__bias_init(&t->lock, GORT__BIAS_NOBODY);
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

/* --- setting and stopping; entered, and all but set under the timer's lock --- */

/* A new entry: into pp's heap, or where the next P finds it. True: gort__timer_call is to follow, without the lock. */
static bool enter(gort__p *pp, gort_timer *t, gort_time when)
{
	uint64_t number;

	if (t->due.entered) {
		if (t->p == NULL)
			gort__timer_unstray(t);
		else if (gort__due_armed(&t->due))      /* else it has been counted when it was stopped */
			gort__timer_stale(pp, t->p, 1);
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

static inline bool stop(gort__p *pp, gort_timer *t)
{
	bool was = gort__due_stop(&t->due);

	t->flags &= ~(uint32_t)GORT__TIMER_OWED;
	if (was && t->due.entered) {
		if (gort__likely(t->p != NULL)) {
			gort__timer_stale(pp, t->p, 1);
		} else {
			gort__timer_unstray(t);
			t->due.entered = 0;
		}
	}
	return was;
}

/* True: it is due at when now, by the entry that it has. *was: it was armed. */
static inline bool set_later(gort__p *pp, gort_timer *t, gort_time when, gort_duration period, bool *was)
{
	*was = gort__due_armed(&t->due);
	if (!gort__due_set(&t->due, when))
		return false;
	t->period = period;
	if (!*was && t->p != NULL)
		gort__timer_stale(pp, t->p, -1);
	return true;
}

static __attribute__((noinline)) bool set_anew(gort__m *mp, gort_timer *t, gort_time when, gort_duration period)
{
	bool was, call = false;

	if (mp->p != NULL)
		(void)gort__timer_room(mp->p);  /* without it a list will do */
	gort__bias_lock(mp, &t->lock);
	if (t->flags & GORT__TIMER_FREED)
		gort__fatal("a timer is set after gort_timer_free");
	if (!set_later(mp->p, t, when, period, &was)) {
		t->period = period;
		t->flags &= ~(uint32_t)GORT__TIMER_OWED;
		call = enter(mp->p, t, when);
	}
	gort__bias_unlock(mp, &t->lock);
	if (call)
		gort__timer_call();
	return was;
}

static inline bool set(gort__m *mp, gort_timer *t, gort_time when, gort_duration period)
{
	bool was, done;

	if (gort__unlikely(when == GORT_FOREVER))
		when--;                 /* pending for ever; GORT_FOREVER in a P's timer_next says that there is none */
	gort__bias_lock(mp, &t->lock);
	done = set_later(mp->p, t, when, period, &was);
	gort__bias_unlock(mp, &t->lock);
	return gort__likely(done) ? was : set_anew(mp, t, when, period);
}

/* --- firing --- */

static void fn_has_ended(void *arg)
{
	gort__m *mp = gort__enter_nosched();
	gort_timer *t = arg;
	struct gort__timer_waiter *w = NULL;

	gort__bias_lock(mp, &t->lock);
	if (--t->running == 0) {
		w = t->waiters;
		t->waiters = NULL;
	}
	gort__bias_unlock(mp, &t->lock);
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
	gort__m *mp = pp->m;
	gort_g *next = pp->runq.runnext;
	uint64_t turn = gort__load_relaxed(&t->due.turn);
	bool last;

	t->users++;
	gort__bias_unlock(mp, &t->lock);
	/* whom it makes ready is put in line: runnext would be the last of them, before the first */
	gort__store_relaxed(&pp->runq.runnext, NULL);
	t->here(mp, t->arg, now, turn);
	if (pp->runq.runnext != NULL)
		gort__batch_add(due, pp->runq.runnext);
	gort__store_relaxed(&pp->runq.runnext, next);
	gort__bias_lock(mp, &t->lock);
	last = --t->users == 0 && (t->flags & GORT__TIMER_FREED);
	gort__bias_unlock(mp, &t->lock);
	if (last)
		finish(pp, t);
}

bool gort__timer_up(gort__p *pp, gort_timer *t, const struct gort__heap_entry *e, gort_time now, struct gort__batch *due)
{
	gort__m *mp = pp->m;
	gort_g *gp;

	if (gort__due_dead(&t->due, e->ticket))
		return false;
	gort__bias_lock(mp, &t->lock);
	/* once more: freed meanwhile it may be about to be another one, which is written to without the lock until it is set */
	if (gort__unlikely(gort__due_dead(&t->due, e->ticket))) {
		gort__bias_unlock(mp, &t->lock);
		return false;
	}
	switch (gort__due_up(&t->due, e->ticket, now, t->period)) {
	case GORT__DUE_DEAD:
		gort__bias_unlock(mp, &t->lock);
		return false;
	case GORT__DUE_LATER:
		put_back(pp, t, e);
		gort__bias_unlock(mp, &t->lock);
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
		gort__bias_unlock(mp, &t->lock);
		descriptor_put(pp, t);
		start(pp, gp, fn, arg, 0);
	} else if (gp != NULL) {
		start_fn(pp, t, gp);
		gort__bias_unlock(mp, &t->lock);
	} else {
		gort__due_owe(&t->due);
		t->flags |= GORT__TIMER_OWED;
		gort__bias_unlock(mp, &t->lock);
		return true;
	}
	gort__batch_add(due, gp);
	return true;
}

bool gort__timer_ended(gort__m *mp, gort_g *gp)
{
	gort_timer *t = gp->arg;
	bool keep = false, fire = false, last;

	gort__bias_lock(mp, &t->lock);
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
	gort__bias_unlock(mp, &t->lock);
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
	gort__m *mp = gort__enter_nosched();
	bool was = set(mp, t, when, period);

	gort__leave(mp);
	return was;
}

uint64_t gort__timer_turn(gort_timer *t)
{
	return gort__load_relaxed(&t->due.turn);
}

/* --- the public ones --- */

/* The time d from now. Entered. */
static inline gort_time due_in(gort__m *mp, gort_duration d)
{
	gort_time now;

	if (gort__unlikely(d < GORT__CLOCK_LEAST))
		return gort_deadline(d);
	now = gort__clock_above(mp);
	return d > GORT_FOREVER - now ? GORT_FOREVER : now + d;
}

/* A new one with a goroutine, armed; NULL: out of memory. */
static inline gort_timer *after(gort_duration d, void (*fn)(void *arg), void *arg, uint32_t flags)
{
	gort_time when;
	gort_timer *t;
	gort__m *mp;
	gort_g *gp;

	if (gort__unlikely(fn == NULL))
		gort__fatal("go of nil func value");
	if (gort__unlikely(gort__m_self() == NULL) && gort__m_bind() != 0)
		return NULL;
	mp = gort__enter_nosched();
	when = due_in(mp, d);
	gp = gort__g_reserve(mp->p);
	t = gp != NULL ? descriptor_get(mp->p) : NULL;
	if (gort__likely(t != NULL)) {
		bool call;

		t->fn = fn;
		t->here = NULL;
		t->release = NULL;
		t->arg = arg;
		t->period = 0;
		t->g = gp;
		t->flags = flags;
		if (mp->p != NULL)
			(void)gort__timer_room(mp->p);
		/*
		 * Locked, since it may fire as soon as it is entered. From a P's own list it is locked by being inside, as a rule: the
		 * bias lasts from one timer to the next.
		 */
		gort__bias_lock(mp, &t->lock);
		call = enter(mp->p, t, when == GORT_FOREVER ? when - 1 : when);
		gort__bias_unlock(mp, &t->lock);
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

static inline void check(const gort_timer *t, const char *words)
{
	if (gort__unlikely(t == NULL))
		gort__panic(words);
}

bool gort_timer_stop(gort_timer *t)
{
	gort__m *mp;
	bool was;

	check(t, "time: Stop called on uninitialized Timer");
	if (gort__unlikely(gort__phase() == GORT__DOWN))
		return false;           /* gort_shutdown has stopped it */
	mp = gort__enter_nosched();
	gort__bias_lock(mp, &t->lock);
	was = stop(mp->p, t);
	gort__bias_unlock(mp, &t->lock);
	gort__leave(mp);
	return was;
}

bool gort_timer_reset(gort_timer *t, gort_duration d)
{
	gort__m *mp;
	bool was;

	check(t, "time: Reset called on uninitialized Timer");
	mp = gort__enter_nosched();
	was = set(mp, t, due_in(mp, d), 0);
	gort__leave(mp);
	return was;
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
		gort__bias_lock(mp, &t->lock);
		stop(mp->p, t);                 /* also what fn has set anew meanwhile */
		if (t->running == 0)
			break;
		gort__park_prepare(w.g, "timer stop wait");
		w.next = t->waiters;
		t->waiters = &w;
		gort__bias_unlock(mp, &t->lock);
		mp = gort__park(mp);
	}
	gort__bias_unlock(mp, &t->lock);
	gort__leave(mp);
}

/* After gort_shutdown, without waking the scheduler: it is stopped, and nobody else has anything to do with it. */
static void free_at_rest(gort_timer *t)
{
	if (t->flags & GORT__TIMER_FREED)
		gort__fatal("a timer is freed twice");
	gort__due_forget(&t->due);
	t->flags |= GORT__TIMER_FREED;
	finish(NULL, t);
}

void gort_timer_free(gort_timer *t)
{
	gort__m *mp;
	gort_g *gp;
	bool last;

	if (t == NULL)
		return;
	if (gort__unlikely(gort__phase() == GORT__DOWN)) {
		free_at_rest(t);
		return;
	}
	mp = gort__enter_nosched();
	gort__bias_lock(mp, &t->lock);
	if (gort__unlikely(t->flags & GORT__TIMER_FREED))
		gort__fatal("a timer is freed twice");
	stop(mp->p, t);
	gort__due_forget(&t->due);
	t->flags |= GORT__TIMER_FREED;
	gp = t->g;
	t->g = NULL;
	last = t->users == 0;
	gort__bias_unlock(mp, &t->lock);
	if (gort__likely(gp != NULL))
		gort__g_unreserve(mp->p, gp);
	if (gort__likely(last))
		finish(mp->p, t);
	gort__leave(mp);
}
