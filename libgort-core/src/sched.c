/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: choosing the next goroutine, parking and readying, idle threads and their wakeups.
 *
 * Switching. A goroutine that parks chooses the next one and jumps to it; only when its P has nothing at hand does it
 * go to g0, the thread's own stack, whose loop looks further and at last sleeps. A goroutine may be found and made
 * ready by a peer before it has left its stack: ctx.running says so, and whoever is to continue it waits for that word
 * first. That wait happens on g0 only. (Two threads, each still on a goroutine that the other has in its queue, would
 * otherwise wait for each other for ever.)
 *
 * Wakeups. An M that goes idle publishes its idleness (npidle), runs the heavy fence, and looks for work once more. A
 * holder that enqueues looks at npidle afterwards, with only a compiler fence between: by the heavy fence either the
 * idle one finds the work or the holder sees the idleness. At most one M is on its way or looking at a time
 * (nspinning); one that finds work wakes the next if there is more. A lone runnext wakes nobody: its waker is about to
 * park, or the monitor sees to it.
 *
 * Sharing. Rings are private (runq.h). A spinning M that sees a long ring sets hungry; the ring's holder donates half
 * of it to the global queue at its next enqueue or within 16 scheduling decisions. If none comes, because the holder
 * computes in the user's code, the spinning M borrows the P and takes half itself.
 *
 * Calm. Goroutines that hand work to each other in fractions of a microsecond are done sooner where they are: moving one
 * costs cache misses on both sides, and waking a thread for it several microseconds. So a spinning M watches for about a
 * microsecond how fast a P drains its queue, and leaves alone what will be gone before it could have been moved. When it
 * goes idle over that it sets calm, and enqueueing wakes nobody for short queues, until the monitor, which then looks
 * four times a millisecond, finds a P that lets work wait.
 */
#include "runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct gort__sched gort__sched;
_Thread_local gort__m *gort__tls;

#define HUNGRY 1u
#define HUNGRY_FENCED 2u                /* always set where there is no heavy fence: sends enqueue to its slow path */

void gort__sched_init(void)
{
	memset(&gort__sched, 0, sizeof gort__sched);
	gort__lock_init(&gort__sched.lock);
	gort__sched.timer_when = INT64_MAX;
	gort__sched.hungry = gort__fenced ? HUNGRY_FENCED : 0;
}

bool gort__can_spin(void)
{
	return gort__load_relaxed(&gort__cpus) > 1;
}

/* --- queues --- */

void gort__enqueue_global(gort_g *head, gort_g *tail, uint32_t n)
{
	tail->link = NULL;
	gort__lock_lock(&gort__sched.lock);
	if (gort__sched.queue_tail != NULL)
		gort__sched.queue_tail->link = head;
	else
		gort__sched.queue_head = head;
	gort__sched.queue_tail = tail;
	gort__store_relaxed(&gort__sched.queued, gort__sched.queued + n);
	gort__lock_unlock(&gort__sched.lock);
	/* whoever goes idle publishes it, fences and looks at the queue; so do we, the other way round, whoever we are */
	gort__fence_seq_cst();
	gort__wake_someone();
}

/* Something for others to the global queue: the oldest of the stash, else the older half of the ring. How many. */
static uint32_t donate(gort__p *pp)
{
	uint32_t stashed = gort__stash_len(&pp->stash);
	uint32_t n = stashed > 0 ? (stashed + 1) / 2 : (gort__runq_len(&pp->runq) + 1) / 2;
	gort_g *head = NULL, **end = &head, *last = NULL;

	if (n == 0)
		return 0;
	if (n > GORT__RUNQ_SIZE / 2)
		n = GORT__RUNQ_SIZE / 2;
	for (uint32_t i = 0; i < n; i++) {
		last = stashed > 0 ? gort__stash_take_oldest(&pp->stash) : gort__runq_pop(&pp->runq);
		*end = last;
		end = &last->link;
	}
	gort__enqueue_global(head, last, n);
	return n;
}

static __attribute__((noinline)) void surplus(gort__p *pp)
{
	uint32_t hungry = gort__load_relaxed(&gort__sched.hungry);

	if (hungry & HUNGRY_FENCED) {
		gort__fence_seq_cst();          /* stands in for the idle one's heavy fence */
		hungry = gort__load_relaxed(&gort__sched.hungry);
	}
	if (hungry & HUNGRY) {
		gort__store_relaxed(&gort__sched.hungry, hungry & ~HUNGRY);
		donate(pp);
	} else if (gort__load_relaxed(&gort__sched.npidle) > 0 && gort__load_relaxed(&gort__sched.nspinning) == 0) {
		if (gort__load_relaxed(&gort__sched.calm)) {
			if (gort__runq_len(&pp->runq) < GORT__RUNQ_SIZE / 4)
				return;
			gort__store_relaxed(&gort__sched.calm, 0);
		}
		donate(pp);
	}
}

/* The ring is full: its older half goes, those that never ran to the stash, the others to the global queue. */
static __attribute__((noinline)) void overflow(gort__p *pp, gort_g *gp)
{
	gort_g *head = NULL, **end = &head, *last = NULL;
	bool room = gort__stash_reserve(&pp->stash, GORT__RUNQ_SIZE / 2);
	uint32_t n = 0;

	for (uint32_t i = 0; i < GORT__RUNQ_SIZE / 2; i++) {
		gort_g *old = gort__runq_pop(&pp->runq);

		if (room && (old->flags & GORT__G_FRESH)) {
			gort__stash_push(&pp->stash, old);
			continue;
		}
		*end = last = old;
		end = &old->link;
		n++;
	}
	if (n > 0)
		gort__enqueue_global(head, last, n);
	gort__runq_push(&pp->runq, gp);
}

/* The ring is empty: what lies on top of the stash comes back, in its order. */
static __attribute__((noinline)) gort_g *unstash(gort__p *pp)
{
	uint32_t n = gort__stash_len(&pp->stash);

	if (n > GORT__RUNQ_SIZE / 2)
		n = GORT__RUNQ_SIZE / 2;
	for (uint32_t k = n; k > 0; k--)
		gort__runq_push(&pp->runq, gort__stash_peek(&pp->stash, k));
	gort__stash_drop(&pp->stash, n);
	return gort__runq_pop(&pp->runq);
}

/* To the back of the ring. */
static inline void to_ring(gort__p *pp, gort_g *gp)
{
	if (gort__unlikely(!gort__runq_push(&pp->runq, gp)))
		overflow(pp, gp);
	gort__fence_compiler();                 /* near half; the far one is in go_idle */
	if (gort__unlikely((gort__load_relaxed(&gort__sched.npidle) | gort__load_relaxed(&gort__sched.hungry)) != 0))
		surplus(pp);
}

/* Somebody else is runnext now: the one that was goes to the ring. */
void gort__kick_out(gort__m *mp, gort_g *old)
{
	to_ring(mp->p, old);
}

void gort__enqueue(gort__m *mp, gort_g *gp, bool next)
{
	gort__p *pp = mp->p;

	if (gort__unlikely(pp == NULL)) {
		gort__enqueue_global(gp, gp, 1);
		return;
	}
	if (next) {
		gort_g *old = pp->runq.runnext;

		gort__store_relaxed(&pp->runq.runnext, gp);
		if (old == NULL)
			return;
		gp = old;
	}
	to_ring(pp, gp);
}

/* Into the ring; to be followed by a look at who is idle. */
static void enqueue_list(gort__p *pp, gort_g *gp)
{
	while (gp != NULL) {
		gort_g *next = gp->link;

		gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
		if (!gort__runq_push(&pp->runq, gp))
			overflow(pp, gp);
		gp = next;
	}
	gort__fence_compiler();
	if (gort__runq_len(&pp->runq) > 1)
		surplus(pp);
}

/* A fair share of the global queue, or just one: the first is returned, the rest goes to the ring. */
static gort_g *take_global(gort__p *pp, bool one)
{
	gort_g *first = NULL;
	uint32_t n;

	if (gort__load_relaxed(&gort__sched.queued) == 0)
		return NULL;
	gort__lock_lock(&gort__sched.lock);
	n = gort__sched.queued;
	if (n > 0) {
		uint32_t room = GORT__RUNQ_SIZE / 2 - gort__runq_len(&pp->runq) / 2;
		uint32_t want = one ? 1 : n / gort__sched.nprocs + 1;
		gort_g *gp;

		if (want > n)
			want = n;
		if (want > room)
			want = room > 0 ? room : 1;
		gp = first = gort__sched.queue_head;
		for (uint32_t i = 1; i < want; i++) {
			gp = gp->link;
			gort__runq_push(&pp->runq, gp);
		}
		gort__sched.queue_head = gp->link;
		if (gort__sched.queue_head == NULL)
			gort__sched.queue_tail = NULL;
		gort__store_relaxed(&gort__sched.queued, n - want);
	}
	gort__lock_unlock(&gort__sched.lock);
	return first;
}

static bool run_timers(gort__p *pp)
{
	gort_g *list;

	if (pp->timers.n == 0 || pp->timer_next > gort__os_now())
		return false;
	list = gort__timer_run(pp, gort__os_now());
	if (list == NULL)
		return false;
	enqueue_list(pp, list);
	return true;
}

/* Every 16th decision: what cannot wait for an empty queue. A goroutine to run at once, or NULL. */
static __attribute__((noinline)) gort_g *next_odd(gort__p *pp, uint32_t tick)
{
	run_timers(pp);
	if (gort__unlikely(gort__load_relaxed(&gort__sched.orphaned) > 0))
		gort__p_adopt(pp);
	if (gort__unlikely(gort__load_relaxed(&gort__sched.hungry) & HUNGRY))
		surplus(pp);
	if (gort__unlikely(gort__load_relaxed(&pp->trim_due))) {
		gort__store_relaxed(&pp->trim_due, false);
		gort__stack_trim_cache(pp);
	}
	if ((tick & 63) != 0)
		return NULL;
	/* one of the oldest from where things may lie for long; both places have their turn */
	if (gort__stash_len(&pp->stash) > 0 && ((tick & 64) != 0 || gort__load_relaxed(&gort__sched.queued) == 0))
		return gort__stash_take_oldest(&pp->stash);
	return take_global(pp, gort__runq_len(&pp->runq) >= GORT__RUNQ_SIZE / 8);
}

/* The next goroutine of this P's own; NULL: look further, on g0. */
static inline gort_g *next_local(gort__p *pp)
{
	uint32_t tick = pp->tick + 1;
	gort_g *gp;

	gort__store_relaxed(&pp->tick, tick);
	if (gort__unlikely((tick & 15) == 0)) {
		if (gort__unlikely(gort__load_relaxed(&pp->retiring)))
			return NULL;
		gp = next_odd(pp, tick);
		if (gp != NULL)
			return gp;
	}
	gp = pp->runq.runnext;
	if (gp != NULL) {
		gort__store_relaxed(&pp->runq.runnext, NULL);
		/* runnext inherits the time slice: two that hand work to each other shall not keep the others waiting */
		if (gort__likely(++pp->chain < GORT__CHAIN_MAX))
			return gp;
		pp->chain = 0;
		if (gort__runq_len(&pp->runq) == 0)
			return gp;
		if (!gort__runq_push(&pp->runq, gp))
			overflow(pp, gp);
		return gort__runq_pop(&pp->runq);
	}
	pp->chain = 0;
	gp = gort__runq_pop(&pp->runq);
	if (gp != NULL) {
		if (gort__runq_len(&pp->runq) > 1) {
			/* a long queue is cold: fetch what comes soon */
			gort_g *soon = pp->runq.ring[(pp->runq.head + 1) % GORT__RUNQ_SIZE];

			gort__prefetch(&soon->fn);
			gort__prefetch(&soon->ctx);
		}
		return gp;
	}
	return gort__unlikely(gort__stash_len(&pp->stash) > 0) ? unstash(pp) : NULL;
}

/* --- switching --- */

#ifdef GORT__TSAN
/* Not instrumented itself: it is entered on one fiber's record of calls and left on another's. */
static GORT__NO_TSAN void san_switch(gort__m *mp, gort_g *to)
{
	void **fiber;

	if (to == NULL) {
		__tsan_switch_to_fiber(mp->san, 0);
		return;
	}
	fiber = gort__stack_san(to);
	if (*fiber == NULL)
		*fiber = __tsan_create_fiber(0);
	/* with synchronisation: to it the goroutines of one thread are threads, and they share the M and the P */
	__tsan_switch_to_fiber(*fiber, 0);
}
#define SAN_LEAVE(mp, to, save) ((void)(save), san_switch(mp, to))
#define SAN_ARRIVE(save) ((void)(save))
#elif defined(GORT__ASAN)
static void san_leave(gort__m *mp, gort_g *to, void **save)
{
	if (to != NULL)
		__sanitizer_start_switch_fiber(save, (void *)to->stack_lo, to->stack_hi - to->stack_lo);
	else
		__sanitizer_start_switch_fiber(save, (void *)mp->g0_lo, mp->g0_hi - mp->g0_lo);
}
#define SAN_LEAVE(mp, to, save) san_leave(mp, to, save)
#define SAN_ARRIVE(save) __sanitizer_finish_switch_fiber(save, NULL, NULL)
#else
#define SAN_LEAVE(mp, to, save) ((void)(save))
#define SAN_ARRIVE(save) ((void)(save))
#endif

/* Gives a goroutine that never ran its stack and start. */
static void begin(gort__p *pp, gort_g *gp)
{
	if (!(gp->flags & GORT__G_OWN_STACK))
		gort__stack_get(pp, gp);
	gort__ctx_init(&gp->ctx, gp->stack_lo, gp->stack_hi);
#ifdef GORT__ASAN
	/* frames that the last user left by a jump are still poisoned */
	__asan_unpoison_memory_region((void *)(gp->stack_hi - 4096), 4096);
#endif
}

/* Marks gp as running on this M; its stack is nobody's. */
static inline void set_running(gort__m *mp, gort_g *gp)
{
	gort__store_relaxed(&gp->ctx.running, 1);
	gort__store_relaxed(&gp->status, GORT__G_RUNNING);
	mp->curg = gp;
}

/*
 * From gp, which somebody will ready or has queued, to next (NULL: to g0, which finds one). Returns when somebody runs gp
 * again.
 */
static inline gort__m *switch_to(gort__m *mp, gort_g *gp, gort_g *next)
{
	void *save = NULL;
	int err;

	if (gort__unlikely(next == gp)) {
		gort__store_relaxed(&gp->status, GORT__G_RUNNING);
		return mp;
	}
	/* every switch is made at depth 1, so the M that the goroutine comes back on has that depth already */
	if (gort__unlikely(gort__load_relaxed(&mp->hold.depth) != 1))
		gort__fatal("a goroutine blocks inside a park's commit");
	err = *mp->errno_at;
	if (gort__likely(next != NULL)) {
		if (gort__unlikely(next->flags & GORT__G_FRESH))
			begin(mp->p, next);
		else if (gort__unlikely(gort__load_acquire(&next->ctx.running)))        /* pairs with ctx_switch */
			goto g0;
		set_running(mp, next);
		SAN_LEAVE(mp, next, &save);
		gort__ctx_switch(&gp->ctx, &next->ctx);
	} else {
g0:
		mp->curg = NULL;
		mp->next_g = next;              /* not off its stack yet: g0 waits for it */
		SAN_LEAVE(mp, NULL, &save);
		gort__ctx_switch(&gp->ctx, &mp->g0);
	}
	SAN_ARRIVE(save);
	mp = gort__m_self();
	*mp->errno_at = err;
	return mp;
}

/* The M has no P and its goroutine needs one: waits in the global queue for its turn. */
static gort__m *wait_for_p(gort__m *mp)
{
	gort_g *gp = mp->curg;
	int err = *mp->errno_at;
	void *save = NULL;

	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	mp->curg = NULL;
	gort__enqueue_global(gp, gp, 1);
	SAN_LEAVE(mp, NULL, &save);
	gort__ctx_switch(&gp->ctx, &mp->g0);
	SAN_ARRIVE(save);
	mp = gort__m_self();
	*mp->errno_at = err;
	return mp;
}

static __attribute__((noinline)) void check_overflow(gort_g *gp)
{
	char here;

	if ((uintptr_t)&here < gp->stack_lo + 1024)
		gort__stack_overflow(gp);
}

gort__m *gort__park(gort__m *mp)
{
	gort_g *gp = mp->curg;

	if (gort__unlikely(gp->flags & (GORT__G_BOUND | GORT__G_UNGUARDED))) {
		if (gp->flags & GORT__G_BOUND) {
			while (gort__load_acquire(&gp->note) == 0)      /* pairs with the release in gort__ready */
				gort__os_futex_wait(&gp->note, 0, GORT_FOREVER);
			gort__store_relaxed(&gp->note, 0);
			gort__store_relaxed(&gp->status, GORT__G_RUNNING);
			return mp;
		}
		check_overflow(gp);
	}
	return switch_to(mp, gp, next_local(mp->p));
}

static int bound_park_until(gort_g *gp, uint64_t ticket, gort_time deadline)
{
	int result = 0;

	while (gort__load_acquire(&gp->note) == 0) {
		gort__os_futex_wait(&gp->note, 0, deadline);
		if (gort__load_acquire(&gp->note) == 0 && gort__os_now() >= deadline && gort__ticket_claim(gp, ticket)) {
			result = -ETIMEDOUT;
			break;
		}
		/* the claim failed: a waker is on its way, and is waited for without a deadline */
		if (gort__load_relaxed(&gp->wait) != ticket)
			deadline = GORT_FOREVER;
	}
	gort__store_relaxed(&gp->note, 0);
	gort__store_relaxed(&gp->status, GORT__G_RUNNING);
	return result;
}

int gort__park_until(gort__m **mpp, uint64_t ticket, gort_time deadline)
{
	gort__m *mp = *mpp;
	gort_g *gp = mp->curg;

	if (deadline == GORT_FOREVER) {
		*mpp = gort__park(mp);
		return 0;
	}
	if (gp->flags & GORT__G_BOUND)
		return bound_park_until(gp, ticket, deadline);
	if (gort__unlikely(!gort__timer_arm(mp->p, gp, ticket, deadline))) {
		struct gort__slow_timer slow;

		gort__slow_timer_arm(&slow, gp, ticket, deadline);
		*mpp = gort__park(mp);
		gort__slow_timer_cancel(&slow);
		return gp->param == GORT__TIMED_OUT ? -ETIMEDOUT : 0;
	}
	*mpp = gort__park(mp);
	if (gp->param == GORT__TIMED_OUT)
		return -ETIMEDOUT;
	gort__timer_cancelled(gp);
	return 0;
}

void gort__ready_slow(gort__m *mp, gort_g *gp)
{
	if (gort__unlikely(gp->flags & GORT__G_BOUND)) {
		gort__store_release(&gp->note, 1);      /* pairs with the acquire in gort__park */
		gort__os_futex_wake(&gp->note, 1);      /* the thread may be gone by now; its descriptor is not */
		return;
	}
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	gort__enqueue(mp, gp, true);
}

void gort__ready_all(gort__m *mp, gort_g *list)
{
	gort_g *head = NULL, *tail = NULL;
	uint32_t n = 0;

	while (list != NULL) {
		gort_g *gp = list;

		list = gp->link;
		if (gp->flags & GORT__G_BOUND) {
			gort__ready(mp, gp);
			continue;
		}
		if (mp->p != NULL && n == 0 && gort__runq_len(&mp->p->runq) < GORT__RUNQ_SIZE / 2) {
			/* the first ones to this P, in order; never runnext, which would run the last one first */
			gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
			gort__enqueue(mp, gp, false);
			continue;
		}
		gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
		gp->link = NULL;
		if (tail != NULL)
			tail->link = gp;
		else
			head = gp;
		tail = gp;
		n++;
	}
	if (n > 0)
		gort__enqueue_global(head, tail, n);
}

static __attribute__((noinline)) gort__m *yield_any(gort__m *mp)
{
	gort_g *gp = mp->curg;
	gort__p *pp = mp->p;

	if (gort__unlikely(gp->flags & (GORT__G_BOUND | GORT__G_UNGUARDED))) {
		if (gp->flags & GORT__G_BOUND) {
			gort__os_yield();
			return mp;
		}
		check_overflow(gp);
	}
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	if (gort__unlikely(gort__load_relaxed(&gort__sched.queued) > 0 || gort__stash_len(&pp->stash) > 0)) {
		/* a crowd: behind all of it, or those who yield would keep the ring to themselves */
		if (gort__runq_len(&pp->runq) == 0 && pp->runq.runnext == NULL) {
			gort_g *next = take_global(pp, false);

			if (next != NULL)
				gort__runq_push(&pp->runq, next);
		}
		gort__enqueue_global(gp, gp, 1);
	} else if (gort__unlikely(!gort__runq_push(&pp->runq, gp))) {
		overflow(pp, gp);
	}
	return switch_to(mp, gp, next_local(pp));
}

/* The common case: one out of the ring, one into it, and nothing else to be seen to. */
gort__m *gort__yield(gort__m *mp)
{
	gort_g *gp = mp->curg, *next;
	gort__p *pp = mp->p;
	uint32_t tick;

	if (gort__unlikely(gp->flags & (GORT__G_BOUND | GORT__G_UNGUARDED)))
		return yield_any(mp);
	tick = pp->tick + 1;
	if (gort__unlikely((tick & 15) == 0 || pp->runq.runnext != NULL || gort__runq_len(&pp->runq) == 0 ||
			   gort__stash_len(&pp->stash) > 0 || gort__load_relaxed(&gort__sched.queued) > 0))
		return yield_any(mp);
	gort__store_relaxed(&pp->tick, tick);
	pp->chain = 0;
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	next = gort__runq_rotate(&pp->runq, gp);
	return switch_to(mp, gp, next);
}

void gort_yield(void)
{
	gort__leave(gort__yield(gort__enter()));
}

/* --- entering without the P --- */

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
	/* inside another call (a park's commit): it may be published already, and must not be queued a second time */
	if (gort__load_relaxed(&mp->hold.depth) > 1)
		return gort__enter_nosched_slow(mp);
	for (;;) {
		switch (gort__hold_settle(&mp->hold)) {
		case GORT__SETTLED_OWNED:
			return mp;
		case GORT__SETTLED_YIELD:
			/* to the very back: somebody has waited for a whole slice */
			return gort__yield(mp);
		case GORT__SETTLED_BORROWED:
			await_borrower(mp);
			continue;
		case GORT__SETTLED_NONE:
		case GORT__SETTLED_GONE:
			break;
		}
		mp->p = NULL;
		if (mp->bound != NULL && mp->curg == mp->bound)
			return mp;
		gort__lock_lock(&gort__sched.lock);
		pp = gort__p_from_idle(0);
		gort__lock_unlock(&gort__sched.lock);
		if (pp == NULL)
			return wait_for_p(mp);
		gort__p_acquire(mp, pp);
		return mp;
	}
}

gort__m *gort__enter_nosched_slow(gort__m *mp)
{
	if (mp == NULL)
		return gort__enter_slow(mp);
	for (;;) {
		switch (gort__hold_settle(&mp->hold)) {
		case GORT__SETTLED_BORROWED:
			await_borrower(mp);
			continue;
		case GORT__SETTLED_NONE:
		case GORT__SETTLED_GONE:
			mp->p = NULL;
			return mp;
		case GORT__SETTLED_YIELD:
			/* not here; at the next call that may */
			gort__hold_want_yield(&mp->hold);
			return mp;
		case GORT__SETTLED_OWNED:
			return mp;
		}
	}
}

/* --- idleness --- */

/* Takes an idle M off its list, one that does not watch the timers if there is a choice. Under sched.lock. */
static gort__m *idle_m_pop(void)
{
	gort__m **at = &gort__sched.idle_m;
	gort__m *mp = *at;

	if (mp != NULL && mp == gort__sched.timer_m && mp->link != NULL) {
		at = &mp->link;
		mp = *at;
	}
	if (mp == NULL)
		return NULL;
	*at = mp->link;
	mp->idle = false;
	return mp;
}

/* Under sched.lock. True: the M's deadline was the one that the others relied on. */
static bool drop_timer_role(gort__m *mp)
{
	if (gort__sched.timer_m != mp)
		return false;
	gort__sched.timer_m = NULL;
	gort__store_relaxed(&gort__sched.timer_when, INT64_MAX);
	return true;
}

/* Under sched.lock. */
static void idle_m_remove(gort__m *mp)
{
	gort__m **at = &gort__sched.idle_m;

	while (*at != mp)
		at = &(*at)->link;
	*at = mp->link;
	mp->idle = false;
}

/* pp is the caller's; an M is to run it. */
static void start_m(gort__p *pp, bool spinning)
{
	gort__m *mp;
	bool bare = false;

	gort__lock_lock(&gort__sched.lock);
	mp = idle_m_pop();
	if (mp != NULL)
		bare = drop_timer_role(mp);
	gort__lock_unlock(&gort__sched.lock);
	if (mp != NULL) {
		gort__m_hand(mp, pp, spinning);
	} else if (!gort__m_start(pp, spinning)) {
		/* no thread to be had: the running ones do the work */
		gort__lock_lock(&gort__sched.lock);
		gort__p_to_idle(pp);
		gort__lock_unlock(&gort__sched.lock);
		if (spinning)
			gort__add_seq_cst(&gort__sched.nspinning, -1u);
		return;
	}
	if (bare)
		gort__sysmon_timers();
	gort__sysmon_busy();
}

void gort__wake_someone(void)
{
	uint32_t none = 0;
	gort__p *pp;

	if (gort__load_relaxed(&gort__sched.npidle) == 0 || gort__load_relaxed(&gort__sched.nspinning) != 0 ||
	    !gort__cas_seq_cst(&gort__sched.nspinning, &none, 1))
		return;
	gort__lock_lock(&gort__sched.lock);
	pp = gort__p_from_idle(0);
	gort__lock_unlock(&gort__sched.lock);
	if (pp == NULL)
		gort__add_seq_cst(&gort__sched.nspinning, -1u);
	else
		start_m(pp, true);
}

static bool p_has_work(gort__p *pp)
{
	return gort__runq_len(&pp->runq) > 0 || gort__stash_len(&pp->stash) > 0 ||
	       gort__load_relaxed(&pp->runq.runnext) != NULL;
}

void gort__hand_off(gort__p *pp)
{
	if (gort__load_relaxed(&pp->retiring)) {
		gort__p_retire(pp);
		return;
	}
	if (p_has_work(pp) || pp->timers.n > 0 || gort__load_relaxed(&gort__sched.queued) > 0 ||
	    gort__load_relaxed(&gort__sched.orphaned) > 0) {
		start_m(pp, false);
		return;
	}
	gort__lock_lock(&gort__sched.lock);
	gort__p_to_idle(pp);
	gort__lock_unlock(&gort__sched.lock);
	/* as after any idling: work that came meanwhile found no idle P */
	gort__fence_seq_cst();
	if (gort__load_relaxed(&gort__sched.queued) > 0)
		gort__wake_someone();
}

static uint32_t surplus_len(gort__p *pp)
{
	return gort__runq_len(&pp->runq) + gort__stash_len(&pp->stash);
}

/*
 * Watches pp for about a microsecond: will what waits there be gone before somebody else could have taken it over? Or is
 * its thread off the processor in the middle of the library, so that nobody can have it?
 */
static bool leave_alone(gort__p *pp)
{
	uint32_t before = gort__load_relaxed(&pp->tick);
	gort_time t = gort__os_now();
	gort__m *mp;
	uint32_t ticks;

	for (int i = 0; i < 16; i++)
		gort__cpu_relax();
	ticks = gort__load_relaxed(&pp->tick) - before;
	if (ticks > 0)
		return (gort__os_now() - t) / ticks < GORT__CALM_RATE && surplus_len(pp) < GORT__RUNQ_SIZE / 4;
	mp = gort__load_acquire(&pp->m);
	return mp != NULL && gort__load_relaxed(&mp->hold.depth) != 0;
}

/* Is there anything for a P that went idle? Looked at after publishing the idleness. */
static bool work_waits(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	bool calm = false;

	if (gort__load_relaxed(&gort__sched.queued) > 0 || gort__load_relaxed(&gort__sched.orphaned) > 0)
		return true;
	for (uint32_t i = 0; i < n; i++) {
		if (surplus_len(gort__sched.ps[i]) == 0)
			continue;
		if (!leave_alone(gort__sched.ps[i]))
			return true;
		calm = true;
	}
	if (calm && !gort__load_relaxed(&gort__sched.calm)) {
		gort__store_relaxed(&gort__sched.calm, 1);
		gort__sysmon_look();
	}
	return false;
}

static gort_time earliest_timer(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	gort_time t = INT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		gort_time next = gort__load_relaxed(&gort__sched.ps[i]->timer_next);

		if (next < t)
			t = next;
	}
	return t;
}

/* Waits, idle, until handed a P or a timer is due; the M has a P afterwards. */
static void sleep_idle(gort__m *mp, gort_time deadline)
{
	for (;;) {
		gort__p *pp = NULL;

		if (gort__load_acquire(&mp->note) != 0) {               /* pairs with the release in gort__m_hand */
			gort__store_relaxed(&mp->note, 0);
			gort__p_acquire(mp, mp->next_p);
			return;
		}
		gort__os_futex_wait(&mp->note, 0, deadline);
		if (deadline == GORT_FOREVER || gort__load_acquire(&mp->note) != 0 || gort__os_now() < deadline)
			continue;
		gort__lock_lock(&gort__sched.lock);
		if (mp->idle) {
			drop_timer_role(mp);
			pp = gort__p_from_idle(gort__os_now());
			if (pp != NULL)
				idle_m_remove(mp);
		}
		gort__lock_unlock(&gort__sched.lock);
		deadline = GORT_FOREVER;                /* every P is held: its holder or the monitor looks at its timers */
		gort__sysmon_timers();
		if (pp != NULL) {
			gort__p_acquire(mp, pp);
			gort__sysmon_busy();
			return;
		}
	}
}

static void stop_spinning(gort__m *mp)
{
	mp->spinning = false;
	gort__add_seq_cst(&gort__sched.nspinning, -1u);
	/* before the look that follows: whoever queued while nspinning was up relied on us (the addition alone is no fence) */
	gort__fence_seq_cst();
}

/* Is there more than the goroutine that a spinning M has just found? */
static bool more_waits(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);

	if (gort__load_relaxed(&gort__sched.queued) > 0)
		return true;
	for (uint32_t i = 0; i < n && !gort__load_relaxed(&gort__sched.calm); i++) {
		if (surplus_len(gort__sched.ps[i]) > 0)
			return true;
	}
	return false;
}

/* The P goes back to the idle ones, and the M sleeps. Afterwards it has a P again. */
static void go_idle(gort__m *mp)
{
	gort_time deadline = GORT_FOREVER;
	gort__p *pp = NULL;
	bool spun;

	gort__lock_lock(&gort__sched.lock);
	if (mp->p != NULL) {
		if (gort__sched.queued > 0) {
			gort__lock_unlock(&gort__sched.lock);
			return;
		}
		gort__p_to_idle(gort__p_release(mp));
	}
	/* once in the list, spinning is for its waker to set */
	spun = mp->spinning;
	mp->spinning = false;
	mp->idle = true;
	mp->link = gort__sched.idle_m;
	gort__sched.idle_m = mp;
	gort__lock_unlock(&gort__sched.lock);
	if (spun)
		gort__add_seq_cst(&gort__sched.nspinning, -1u);

	gort__fence_heavy();                            /* far half of gort__enqueue's look at npidle */
	gort__lock_lock(&gort__sched.lock);
	if (mp->idle) {
		gort_time next = earliest_timer();

		if (next < gort__sched.timer_when) {
			gort__sched.timer_m = mp;
			gort__store_relaxed(&gort__sched.timer_when, next);
			deadline = next;
		}
		if (work_waits()) {
			pp = gort__p_from_idle(0);
			if (pp != NULL) {
				idle_m_remove(mp);
				drop_timer_role(mp);
			}
		}
	}
	gort__lock_unlock(&gort__sched.lock);
	if (pp != NULL) {
		gort__p_acquire(mp, pp);
		return;
	}
	sleep_idle(mp, deadline);
}

/* Looks for others' work for a while. True: there is some in the ring or the global queue now. */
static bool spin(gort__m *mp, gort__p *pp)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	bool others = gort__load_relaxed(&gort__sched.nprocs) > gort__load_relaxed(&gort__sched.npidle) + 1;

	if (!mp->spinning) {
		uint32_t busy = gort__load_relaxed(&gort__sched.nprocs) - gort__load_relaxed(&gort__sched.npidle);

		if (2 * gort__load_relaxed(&gort__sched.nspinning) >= busy)
			return false;
		mp->spinning = true;
		gort__add_seq_cst(&gort__sched.nspinning, 1);
	}
	if (!others)
		return gort__load_relaxed(&gort__sched.queued) > 0;
	for (int round = 0; round < 8; round++) {
		uint32_t from = gort__random(mp);
		gort_time now = gort__os_now();

		for (uint32_t i = 0; i < n; i++) {
			gort__p *victim = gort__sched.ps[(from + i) % n];
			bool due = gort__load_relaxed(&victim->timer_next) <= now;

			if (victim == pp || gort__load_relaxed(&victim->m) == NULL)
				continue;
			if (surplus_len(victim) == 0 && !due &&
			    (round < 6 || gort__load_relaxed(&victim->runq.runnext) == NULL))
				continue;
			if (!due && leave_alone(victim))
				continue;
			/* ask first: a holder inside the library answers soon, and that costs it nothing */
			gort__store_relaxed(&gort__sched.hungry, gort__load_relaxed(&gort__sched.hungry) | HUNGRY);
			for (int k = 0; k < 32; k++) {
				gort__cpu_relax();
				if (gort__load_relaxed(&gort__sched.queued) > 0)
					return true;
			}
			if (gort__p_steal(pp, victim) > 0)
				return true;
		}
		for (int k = 0; k < 16; k++) {
			gort__cpu_relax();
			if (gort__load_relaxed(&gort__sched.queued) > 0)
				return true;
		}
		if (run_timers(pp))
			return true;
	}
	return false;
}

/* On g0: the next goroutine, however long it takes. */
static gort_g *find_runnable(gort__m *mp)
{
	for (;;) {
		gort__p *pp = mp->p;
		gort_g *gp;

		if (mp->next_g != NULL) {
			gp = mp->next_g;
			mp->next_g = NULL;
			return gp;
		}
		if (pp == NULL) {
			go_idle(mp);
			continue;
		}
		if (gort__unlikely(gort__load_relaxed(&pp->retiring))) {
			gort__lock_lock(&gort__sched.lock);
			if (pp->retiring)
				gort__p_release(mp);
			gort__lock_unlock(&gort__sched.lock);
			if (mp->p == NULL) {
				if (mp->spinning)
					stop_spinning(mp);
				gort__p_retire(pp);
			}
			continue;
		}
		if (gort__load_relaxed(&gort__sched.orphaned) > 0)
			gort__p_adopt(pp);
		run_timers(pp);
		gp = next_local(pp);
		if (gp == NULL)
			gp = take_global(pp, false);
		if (gp != NULL)
			return gp;
		if (!gort__load_relaxed(&pp->retiring) && !spin(mp, pp))
			go_idle(mp);
	}
}

GORT_NORETURN void gort__sched_loop(gort__m *mp)
{
	void *save = NULL;

	for (;;) {
		gort_g *gp = find_runnable(mp);

		if (mp->spinning) {
			stop_spinning(mp);
			/* whoever made work while we were looking relied on us: look whether there is more of it */
			if (gort__load_relaxed(&gort__sched.npidle) > 0 && more_waits())
				gort__wake_someone();
		}
		if (gp->flags & GORT__G_FRESH) {
			begin(mp->p, gp);
		} else {
			for (int i = 0; gort__load_acquire(&gp->ctx.running) != 0; i++) {       /* pairs with ctx_switch */
				gort__cpu_relax();
				if (i % 128 == 127)
					gort__os_yield();       /* its thread was descheduled in the middle of its switch */
			}
		}
		set_running(mp, gp);
		SAN_LEAVE(mp, gp, &save);
		gort__ctx_switch(&mp->g0, &gp->ctx);
		SAN_ARRIVE(save);
		if (mp->dead != NULL) {
			gort_g *dead = mp->dead;

			mp->dead = NULL;
#ifdef GORT__TSAN
			if (dead->san != NULL)
				__tsan_destroy_fiber(dead->san);
			dead->san = NULL;
#endif
			gort__stack_unmap(dead);
			gort__g_free(mp->p, dead);
		}
	}
}

/* --- a goroutine's first frame --- */

/* Calls the goroutine's function. A frame of its own, so that the argument's copy lies above the function's frame. */
static __attribute__((noinline)) void call(gort_g *gp, gort__m *mp)
{
	void (*fn)(void *arg) = gp->fn;
	void *arg = gp->arg;

	if (gp->flags & GORT__G_COPIED) {
		_Alignas(16) unsigned char copy[GORT__ARG_COPY];

		memcpy(copy, gp->arg_copy, sizeof copy);
		gp->live.timer_p = NULL;
		gp->live.block = NULL;
		gp->flags &= ~(uint32_t)(GORT__G_COPIED | GORT__G_FRESH);
		gort__leave(mp);
		fn(copy);
	} else {
		gp->live.timer_p = NULL;
		gp->live.block = gp->flags & GORT__G_BLOCK ? arg : NULL;
		gp->flags &= ~(uint32_t)GORT__G_FRESH;
		gort__leave(mp);
		fn(arg);
	}
}

/* gp has ended. Returns the next goroutine if it is a fresh one, which then runs on this same stack. */
static GORT__NO_TSAN gort_g *end(gort__m *mp, gort_g *gp)
{
	gort__p *pp = mp->p;
	gort_g *next;
	gort__ctx *to;

	if (gort__unlikely(gp->flags & GORT__G_BLOCK))
		free(gp->live.block);
	if (!(gp->flags & GORT__G_SYSTEM))
		gort__store_relaxed(&pp->ended, pp->ended + 1);
	if (gort__unlikely(gp->flags & GORT__G_OWN_STACK)) {
		mp->dead = gp;                  /* cannot be unmapped while we stand on it */
		next = NULL;
	} else {
		next = next_local(pp);
		if (next != NULL && (next->flags & (GORT__G_FRESH | GORT__G_OWN_STACK)) == GORT__G_FRESH) {
			next->stack = gp->stack;
			next->stack_lo = gp->stack_lo;
			next->stack_hi = gp->stack_hi;
			next->flags |= gp->flags & GORT__G_UNGUARDED;
			gort__g_free(pp, gp);
			gort__stack_unreserve(pp);
			set_running(mp, next);
			return next;
		}
		if (next != NULL && next->flags & GORT__G_FRESH)
			begin(pp, next);
		/* nobody but this M can take them before it has left: both lists are the P's */
		gort__stack_put(pp, gp->stack);
		gort__stack_unreserve(pp);
		gort__g_free(pp, gp);
	}
	if (next == NULL || (!(next->flags & GORT__G_FRESH) && gort__load_acquire(&next->ctx.running) != 0)) {
		mp->next_g = next;
		mp->curg = NULL;
		next = NULL;
		to = &mp->g0;
	} else {
		set_running(mp, next);
		to = &next->ctx;
	}
	SAN_LEAVE(mp, next, NULL);
	gort__ctx_jump(to);
}

GORT__NO_TSAN GORT_NORETURN void gort__g_main(void)
{
	gort__m *mp = gort__m_self();

	SAN_ARRIVE(NULL);
	for (;;) {
		call(mp->curg, mp);
		mp = gort__enter();
		end(mp, mp->curg);
	}
}
