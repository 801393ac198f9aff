/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: choosing the next goroutine, parking and readying. What a thread without work does is in idle.c.
 *
 * Switching. A goroutine that parks chooses the next one and jumps to it; only when its P has nothing at hand does it
 * go to g0, the thread's own stack, whose loop looks further and at last sleeps. A goroutine may be found and made
 * ready by a peer before it has left its stack: ctx.running says so, and whoever is to continue it waits for that word
 * first. That wait happens on g0 only. (Two threads, each still on a goroutine that the other has in its queue, would
 * otherwise wait for each other for ever.)
 *
 * Sharing. Rings are private (runq.h). A spinning M that sees a long ring sets hungry; the ring's holder donates half
 * of it to the global queue at its next enqueue or within 16 scheduling decisions. If none comes, because the holder
 * computes in the user's code, the spinning M borrows the P and takes half itself.
 */
#include "runtime.h"

#include <gort/park.h>

#include "panic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct gort__sched gort__sched;
_Thread_local gort__m *gort__tls;

void gort__sched_init(void)
{
	uint64_t ids = gort__sched.ids;

	memset(&gort__sched, 0, sizeof gort__sched);
	gort__sched.ids = ids;                  /* none is given twice, whatever was shut down or forked */
	gort__lock_init(&gort__sched.lock);
	gort__sched.timer_when = INT64_MAX;
	gort__sched.hungry = gort__fenced ? GORT__HUNGRY_FENCED : 0;
}

bool gort__can_spin(void)
{
	return gort__load_relaxed(&gort__cpus) > 1;
}

/* --- queues --- */

static void append(gort_g **first, gort_g **last, gort_g *head, gort_g *tail, uint32_t n)
{
	tail->link = NULL;
	gort__lock_lock(&gort__sched.lock);
	if (*first != NULL)
		(*last)->link = head;
	else
		*first = head;
	*last = tail;
	gort__store_relaxed(&gort__sched.queued, gort__sched.queued + n);
	gort__lock_unlock(&gort__sched.lock);
	/* whoever goes idle publishes it, fences and looks at the queue; so do we, the other way round, whoever we are */
	gort__fence_seq_cst();
	if (gort__calm_keeps(0))
		gort__sysmon_busy();
	else
		gort__wake_someone();
}

void gort__enqueue_global(gort_g *head, gort_g *tail, uint32_t n)
{
	append(&gort__sched.queue_head, &gort__sched.queue_tail, head, tail, n);
}

/*
 * One that has run before, so it need not wait for all that has not: who has spawned a million goroutines would be the
 * last of them. Of what is taken from the global queue every second one is one of these.
 */
static void enqueue_back(gort_g *gp)
{
	append(&gort__sched.back_head, &gort__sched.back_tail, gp, gp, 1);
}

/* Something for others to the global queue: the oldest of the stash or the spill, else the older half of the ring. How many. */
static uint32_t donate(gort__p *pp)
{
	uint32_t stashed = gort__stash_len(&pp->stash), spilled = gort__spill_len(&pp->spill);
	uint32_t n = ((stashed > 0 ? stashed : spilled > 0 ? spilled : gort__runq_len(&pp->runq)) + 1) / 2;
	gort_g *head = NULL, **end = &head, *last = NULL;

	if (n == 0)
		return 0;
	if (n > GORT__RUNQ_SIZE / 2)
		n = GORT__RUNQ_SIZE / 2;
	for (uint32_t i = 0; i < n; i++) {
		last = stashed > 0 ? gort__stash_take_oldest(&pp->stash) :
		       spilled > 0 ? gort__spill_pop(&pp->spill) : gort__runq_pop(&pp->runq);
		*end = last;
		end = &last->link;
	}
	gort__enqueue_global(head, last, n);
	return n;
}

static __attribute__((noinline)) void surplus(gort__p *pp)
{
	uint32_t hungry = gort__load_relaxed(&gort__sched.hungry);

	if (hungry & GORT__HUNGRY_FENCED) {
		gort__fence_seq_cst();          /* stands in for the idle one's heavy fence */
		hungry = gort__load_relaxed(&gort__sched.hungry);
	}
	if (hungry & GORT__HUNGRY) {
		gort__store_relaxed(&gort__sched.hungry, hungry & ~GORT__HUNGRY);
		donate(pp);
	} else if (gort__load_relaxed(&gort__sched.npidle) > 0 && gort__load_relaxed(&gort__sched.nspinning) == 0) {
		uint32_t calm = gort__load_relaxed(&gort__sched.calm);

		if (calm != GORT__CALM_NOT) {
			if (calm == GORT__CALM_ALL || gort__runq_len(&pp->runq) + gort__spill_len(&pp->spill) < GORT__RUNQ_SIZE / 4)
				return;
			gort__store_relaxed(&gort__sched.calm, GORT__CALM_NOT);
		}
		donate(pp);
	}
}

/* The ring is full: its older half goes, those that never ran to the stash, the others to the spill. */
static __attribute__((noinline)) void overflow(gort__p *pp, gort_g *gp)
{
	bool room = gort__stash_reserve(&pp->stash, GORT__RUNQ_SIZE / 2);

	for (uint32_t i = 0; i < GORT__RUNQ_SIZE / 2; i++) {
		gort_g *old = gort__runq_pop(&pp->runq);

		if (room && (old->flags & GORT__G_FRESH))
			gort__stash_push(&pp->stash, old);
		else
			gort__spill_push(&pp->spill, old);
	}
	gort__runq_push(&pp->runq, gp);
}

/* The ring is empty: the front of the spill comes back; or what lies on top of the stash, in its order. */
static __attribute__((noinline)) gort_g *refill(gort__p *pp)
{
	uint32_t spilled = gort__spill_len(&pp->spill), n = spilled > 0 ? spilled : gort__stash_len(&pp->stash);

	if (n > GORT__RUNQ_SIZE / 2)
		n = GORT__RUNQ_SIZE / 2;
	for (uint32_t k = n; k > 0; k--)
		gort__runq_push(&pp->runq, spilled > 0 ? gort__spill_pop(&pp->spill) : gort__stash_peek(&pp->stash, k));
	if (spilled == 0)
		gort__stash_drop(&pp->stash, n);
	return gort__runq_pop(&pp->runq);
}

/* gp shall be the last of those that wait here and have run before. */
static __attribute__((noinline)) void to_back(gort__p *pp, gort_g *gp)
{
	if (gort__spill_len(&pp->spill) > 0 && !(gp->flags & GORT__G_FRESH))
		gort__spill_push(&pp->spill, gp);
	else if (!gort__runq_push(&pp->runq, gp))
		overflow(pp, gp);
}

/* To the back of the ring, or of what waits behind it. */
static inline void to_ring(gort__p *pp, gort_g *gp)
{
	if (gort__unlikely(gort__spill_len(&pp->spill) > 0 || !gort__runq_push(&pp->runq, gp)))
		to_back(pp, gp);
	gort__fence_compiler();                 /* near half; the far one is in go_idle */
	if (gort__unlikely((gort__load_relaxed(&gort__sched.npidle) | gort__load_relaxed(&gort__sched.hungry)) != 0))
		surplus(pp);
}

/* Somebody else is runnext now: the one that was goes to the ring. */
void gort__kick_out(gort__m *mp, gort_g *old)
{
	gort__store_relaxed(&mp->p->readied, mp->p->readied + 1);
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

void gort__enqueue_list(gort__p *pp, gort_g *gp)
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
gort_g *gort__take_global(gort__p *pp, bool one)
{
	gort_g *first = NULL;
	uint32_t n;

	if (gort__load_relaxed(&gort__sched.queued) == 0)
		return NULL;
	gort__lock_lock(&gort__sched.lock);
	n = gort__sched.queued;
	if (n > 0) {
		uint32_t room = GORT__RUNQ_SIZE / 2 - gort__runq_len(&pp->runq) / 2;
		uint32_t want = one ? 1 : n / gort__sched.nprocs + 1, got = 0;

		if (want > room)
			want = room > 0 ? room : 1;
		for (; got < want && got < n; got++) {
			/* in turn, as far as there are both */
			bool back = gort__sched.queue_head == NULL || (gort__sched.back_head != NULL && !gort__sched.back_last);
			gort_g **head = back ? &gort__sched.back_head : &gort__sched.queue_head;
			gort_g *gp = *head;

			gort__sched.back_last = back;
			*head = gp->link;
			if (first == NULL)
				first = gp;
			else
				gort__runq_push(&pp->runq, gp);
		}
		gort__store_relaxed(&gort__sched.queued, n - got);
	}
	gort__lock_unlock(&gort__sched.lock);
	return first;
}

gort_g *gort__ready_threads(gort__m *mp, gort_g *list)
{
	gort_g *rest = NULL, **end = &rest;

	for (gort_g *gp = list, *next; gp != NULL; gp = next) {
		next = gp->link;
		if (gp->flags & GORT__G_BOUND) {
			gort__ready_slow(mp, gp);
			continue;
		}
		*end = gp;
		end = &gp->link;
	}
	*end = NULL;
	return rest;
}

bool gort__run_timers(gort__p *pp)
{
	gort_g *list;

	if (pp->timers.n == 0 || pp->timer_next > gort__os_now())
		return false;
	list = gort__timer_run(pp, gort__os_now());
	if (list == NULL)
		return false;
	gort__enqueue_list(pp, list);
	return true;
}

/* Is there anything for next_local's odd decisions to look at, or for g0 to poll? */
static inline bool something_odd(gort__m *mp, uint64_t tick)
{
	gort__p *pp = mp->p;

	return gort__load_relaxed(&mp->inbox) != NULL || gort__load_relaxed(&pp->mailed) > 0 || pp->timers.n > 0 ||
	       gort__load_relaxed(&pp->retiring) || gort__load_relaxed(&pp->trim_due) || gort__poll_vacant() ||
	       gort__load_relaxed(&gort__sched.orphaned) > 0 || (gort__load_relaxed(&gort__sched.hungry) & GORT__HUNGRY) ||
	       mp->shared - mp->loot.looked >= GORT__SHARES || mp->loot.retreat != NULL ||
	       (tick % 64 == 0 && ((gort__stash_len(&pp->stash) | gort__spill_len(&pp->spill)) > 0 ||
				   gort__load_relaxed(&gort__sched.queued) > 0));
}

bool gort__something_odd(gort__m *mp, uint64_t tick)
{
	return something_odd(mp, tick);
}

/* Every 16th decision: what cannot wait for an empty queue. A goroutine to run at once, or NULL. */
static __attribute__((noinline)) gort_g *next_odd(gort__p *pp, uint64_t tick)
{
	if (gort__unlikely(gort__load_relaxed(&pp->m->inbox) != NULL))
		gort__inbox_open(pp->m);
	if (gort__unlikely(gort__load_relaxed(&gort__sched.orphaned) > 0))
		gort__p_adopt(pp);
	if (gort__unlikely(gort__load_relaxed(&pp->mailed) > 0))
		gort__mail_open(pp);
	gort__run_timers(pp);
	if (gort__unlikely(gort__load_relaxed(&gort__sched.hungry) & GORT__HUNGRY))
		surplus(pp);
	if (gort__unlikely(pp->m->shared - pp->m->loot.looked >= GORT__SHARES))
		gort__loot_share(pp->m);
	if (gort__unlikely(gort__load_relaxed(&pp->trim_due))) {
		gort__store_relaxed(&pp->trim_due, false);
		gort__stack_trim_cache(pp);
	}
	if ((tick & 63) != 0)
		return NULL;
	/* one of the oldest from where things may lie for long; all places have their turn */
	if ((tick & 64) != 0 || gort__load_relaxed(&gort__sched.queued) == 0) {
		if (gort__stash_len(&pp->stash) > 0 && ((tick & 128) != 0 || gort__spill_len(&pp->spill) == 0))
			return gort__stash_take_oldest(&pp->stash);
		if (gort__spill_len(&pp->spill) > 0)
			return gort__spill_pop(&pp->spill);
	}
	return gort__take_global(pp, gort__runq_len(&pp->runq) >= GORT__RUNQ_SIZE / 8);
}

/* A long queue is cold: descriptors are fetched some turns ahead, and the stacks when these have come. */
#define AHEAD 12
#define STACK_AHEAD 6

static inline void fetch_ahead(struct gort__runq *q)
{
	gort_g *later = q->ring[(q->head + AHEAD) % GORT__RUNQ_SIZE];

	gort__prefetch(&later->fn);
	gort__prefetch(&later->ctx);
	gort__ctx_prefetch(&q->ring[(q->head + STACK_AHEAD) % GORT__RUNQ_SIZE]->ctx);
}

/* The next goroutine of this P's own; NULL: look further, on g0. */
static inline gort_g *next_local(gort__p *pp)
{
	uint64_t tick = pp->runq.tick + 1;
	gort_g *gp;

	gort__store_relaxed(&pp->runq.tick, tick);
	if (gort__unlikely(tick % GORT__ODD_EVERY == 0)) {
		if (gort__unlikely(gort__load_relaxed(&pp->retiring) || gort__poll_due(GORT__POLL_EVERY) ||
				    pp->m->loot.retreat != NULL))
			return NULL;           /* g0 sees to it */
		gp = next_odd(pp, tick);
		if (gp != NULL)
			return gp;
	}
	gp = pp->runq.runnext;
	if (gp != NULL) {
		gort__store_relaxed(&pp->runq.runnext, NULL);
		/* runnext inherits the time slice: two that hand work to each other shall not keep the others waiting */
		if (gort__likely(++pp->runq.chain < GORT__CHAIN_MAX))
			return gp;
		pp->runq.chain = 0;
		if (gort__runq_len(&pp->runq) == 0)
			return gp;
		if (!gort__runq_push(&pp->runq, gp))
			overflow(pp, gp);
		return gort__runq_pop(&pp->runq);
	}
	pp->runq.chain = 0;
	gp = gort__runq_pop(&pp->runq);
	if (gp != NULL) {
		if (gort__unlikely(gort__runq_len(&pp->runq) > AHEAD))
			fetch_ahead(&pp->runq);
		return gp;
	}
	return gort__unlikely((gort__stash_len(&pp->stash) | gort__spill_len(&pp->spill)) > 0) ? refill(pp) : NULL;
}

gort_g *gort__next_local(gort__p *pp)
{
	return next_local(pp);
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
	gort__set_running(mp, gp);
	gort__trace(mp->p, GORT__TRACE_RUN, gp, NULL);
}

static inline gort__m *switch_to(gort__m *mp, gort_g *gp, gort_g *next);

static __attribute__((noinline)) gort__m *switch_in_exception(gort__m *mp, gort_g *gp, gort_g *next)
{
	struct gort__cxx save = *mp->cxx;

	mp->cxx->caught = NULL;
	mp->cxx->uncaught = 0;
	mp = switch_to(mp, gp, next);
	mp->cxx->caught = save.caught;
	mp->cxx->uncaught = save.uncaught;
	return mp;
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
		gort__store_relaxed(&gp->ctx.seen, 0);
		gort__store_relaxed(&gp->status, GORT__G_RUNNING);
		return mp;
	}
	/* every switch is made at depth 1, so the M that the goroutine comes back on has that depth already */
	if (gort__unlikely(gort__load_relaxed(&mp->hold.depth) != 1))
		gort__fatal("a goroutine blocks inside a park's commit");
	if (gort__unlikely(gort__in_exception(mp)))
		return switch_in_exception(mp, gp, next);
	if (gort__unlikely(gort__load_relaxed(&gort__tracing)))
		gort__trace_event(mp->p, GORT__TRACE_STOP, gp,
			gort__load_relaxed(&gp->status) == GORT__G_WAITING ? gort__load_relaxed(&gp->wait_reason) : NULL);
	err = *mp->errno_at;
	if (gort__likely(next != NULL)) {
		if (gort__unlikely(next->flags & (GORT__G_FRESH | GORT__G_STUCK))) {
			if (next->flags & GORT__G_STUCK)
				goto g0;
			begin(mp->p, next);
		} else if (gort__unlikely(gort__load_acquire(&next->ctx.running)))        /* pairs with ctx_switch */
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

/* A thread counts itself in before it waits for ever, and its waker counts it out. */
static void rest(void)
{
	gort__add_seq_cst(&gort__sched.resting, ((uint64_t)1 << 32) + 1);
}

static void unrest(void)
{
	gort__add_seq_cst(&gort__sched.resting, ((uint64_t)1 << 32) - 1);
}

void gort__thread_rests(void)
{
	rest();
}

void gort__thread_wanted(void)
{
	unrest();
}

/*
 * A goroutine that does not leave its thread, bound or locked, sleeps until note is set, or a while. It shows tracebacks
 * where it waits, as a parked goroutine does: for the time that ctx.running is 0 the words of its context are good.
 */
static __attribute__((noinline)) void sleep_on(gort_g *gp, uint32_t *note, gort_time deadline)
{
	GORT__CTX_HERE(&gp->ctx);
	gort__store_release(&gp->ctx.running, 0);
	gort__os_futex_wait(note, 0, deadline);
	gort__store_relaxed(&gp->ctx.running, 1);
}

static void bound_end(gort_g *gp)
{
	gort__store_relaxed(&gp->ctx.seen, 0);
	gort__store_relaxed(&gp->note, 0);
	gort__store_relaxed(&gp->status, GORT__G_RUNNING);
}

static void bound_park(gort_g *gp)
{
	rest();
	while (gort__load_acquire(&gp->note) == 0)      /* pairs with the release in gort__ready_slow */
		sleep_on(gp, &gp->note, GORT_FOREVER);
	bound_end(gp);
}

/* The P goes to others. */
void gort__part_with_p(gort__m *mp)
{
	gort__p *pp;

	gort__lock_lock(&gort__sched.lock);
	pp = gort__p_release(mp);
	gort__lock_unlock(&gort__sched.lock);
	gort__hand_off(pp);
}

/* gort_shutdown ends this thread, whose goroutine waits: its frames are left as they are. g0 finds out what is up. */
static GORT__NO_TSAN GORT_NORETURN void abandon(gort__m *mp)
{
	mp->curg = NULL;
	mp->next_g = NULL;
	SAN_LEAVE(mp, NULL, NULL);
	gort__ctx_jump(&mp->g0);
}

/*
 * A goroutine that belongs to this thread parks, or waits in a queue: without a switch, its frames being of no use to
 * anybody else. The P goes to others; whoever finds the goroutine in a queue hands its own P over (sched_loop).
 */
static gort__m *locked_wait(gort__m *mp)
{
	int err = *mp->errno_at;
	uint32_t note;

	rest();
	if (mp->p != NULL)
		gort__part_with_p(mp);
	/* pairs with the releases in gort__m_hand and end_one */
	while ((note = gort__load_acquire(&mp->note)) == GORT__NOTE_NONE)
		sleep_on(mp->curg, &mp->note, GORT_FOREVER);
	if (gort__unlikely(note == GORT__NOTE_END))
		abandon(mp);
	gort__store_relaxed(&mp->note, GORT__NOTE_NONE);
	gort__p_acquire(mp, mp->next_p);
	gort__store_relaxed(&mp->curg->ctx.seen, 0);
	gort__store_relaxed(&mp->curg->status, GORT__G_RUNNING);
	*mp->errno_at = err;
	return mp;
}

/* To g0. The caller's goroutine, made runnable, is another M's, which waits until it has left its stack. */
gort__m *gort__switch_off(gort__m *mp)
{
	gort_g *gp = mp->curg;

	if (gp == NULL)
		__builtin_unreachable();        /* or gcc sees it compared with NULL, and then written through */
	return switch_to(mp, gp, NULL);
}

/* The M has no P and its goroutine needs one: waits in the global queue for its turn. */
gort__m *gort__wait_for_p(gort__m *mp)
{
	gort_g *gp = mp->curg;

	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	if (gort__unlikely(gort__load_relaxed(&gort__sched.calm) != GORT__CALM_NOT))
		gort__store_relaxed(&gort__sched.calm, GORT__CALM_NOT); /* there is one without a P that wants one */
	enqueue_back(gp);
	if (gort__unlikely(gp->flags & GORT__G_LOCKED))
		return locked_wait(mp);
	return switch_to(mp, gp, NULL);
}

static __attribute__((noinline)) void check_overflow(gort_g *gp)
{
	char here;

	if ((uintptr_t)&here < gp->stack_lo + 1024)
		gort__stack_overflow(gp);
}

static __attribute__((noinline)) gort__m *other_switch(gort__m *mp, gort_g *gp, gort_g *next)
{
	return switch_to(mp, gp, next);
}

static __attribute__((noinline)) gort__m *park_oddly(gort__m *mp, gort_g *gp)
{
	if (gp->flags & GORT__G_BOUND) {
		bound_park(gp);
		return mp;
	}
	if (gp->flags & GORT__G_UNGUARDED)
		check_overflow(gp);
	if (gp->flags & GORT__G_LOCKED)
		return locked_wait(mp);
	gort__store_relaxed(&mp->p->runq.parks, mp->p->runq.parks + 1);
	return switch_to(mp, gp, next_local(mp->p));
}

gort__m *gort__park(gort__m *mp)
{
	gort_g *gp = mp->curg, *next;
	gort__p *pp = mp->p;

	if (gort__unlikely(gp->flags & (GORT__G_BOUND | GORT__G_UNGUARDED | GORT__G_LOCKED)))
		return park_oddly(mp, gp);
	gort__store_relaxed(&pp->runq.parks, pp->runq.parks + 1);
	next = next_local(pp);
	if (gort__unlikely(next == NULL || gort__load_relaxed(&mp->hold.depth) != 1 || gort__load_relaxed(&gort__tracing) ||
			   !gort__plain_switch(mp, next)))
		return other_switch(mp, gp, next);
	return gort__switch_plainly(mp, gp, next);
}

static int bound_park_until(gort_g *gp, uint64_t ticket, gort_time deadline)
{
	int result = 0;

	gort__add_relaxed(&gort__sched.timed, 1);
	rest();
	while (gort__load_acquire(&gp->note) == 0) {
		sleep_on(gp, &gp->note, deadline);
		if (gort__load_acquire(&gp->note) == 0 && gort__os_now() >= deadline && gort__ticket_claim(gp, ticket)) {
			result = -ETIMEDOUT;
			unrest();
			break;
		}
		/* the claim failed: a waker is on its way, and is waited for without a deadline */
		if (gort__load_relaxed(&gp->wait) != ticket)
			deadline = GORT_FOREVER;
	}
	bound_end(gp);
	gort__add_relaxed(&gort__sched.timed, -1u);
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
		unrest();
		gort__store_release(&gp->note, 1);      /* pairs with the acquire in bound_park */
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

gort__m *gort__yield(gort__m *mp)
{
	gort_g *gp = mp->curg;
	gort__p *pp = mp->p;

	if (gort__unlikely(gp->flags & (GORT__G_BOUND | GORT__G_UNGUARDED | GORT__G_LOCKED))) {
		if (gp->flags & GORT__G_BOUND) {
			gort__os_yield();
			return mp;
		}
		if (gp->flags & GORT__G_UNGUARDED)
			check_overflow(gp);
		if (gp->flags & GORT__G_LOCKED) {
			if (pp->runq.runnext == NULL && gort__surplus_len(pp) == 0 && gort__load_relaxed(&gort__sched.queued) == 0 &&
			    !gort__load_relaxed(&pp->retiring))
				return mp;
			gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
			gort__enqueue_global(gp, gp, 1);
			return locked_wait(mp);
		}
	}
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	if (gort__unlikely(gort__load_relaxed(&gort__sched.queued) > 0 ||
			   (gort__stash_len(&pp->stash) | gort__spill_len(&pp->spill)) > 0)) {
		/* a crowd: behind all of it, or those who yield would keep the ring to themselves */
		bool stashed = gort__stash_len(&pp->stash) > 0;
		bool room = gort__runq_len(&pp->runq) < GORT__RUNQ_SIZE / 2 && !stashed && gort__spill_len(&pp->spill) == 0;

		if (room || (gort__runq_len(&pp->runq) == 0 && pp->runq.runnext == NULL && !stashed)) {
			gort_g *next = gort__take_global(pp, false);

			if (next != NULL)
				gort__runq_push(&pp->runq, next);
		}
		/* with a share of it in the ring its end will do, and leaves the global queue to be emptied */
		if (stashed)
			enqueue_back(gp);               /* the spill would come before the stash */
		else if (!room || !gort__runq_push(&pp->runq, gp))
			gort__spill_push(&pp->spill, gp);
	} else if (gort__unlikely(!gort__runq_push(&pp->runq, gp))) {
		overflow(pp, gp);
	}
	return switch_to(mp, gp, next_local(pp));
}

static __attribute__((noinline)) void yield_any(void)
{
	gort__leave(gort__yield(gort__enter()));
}

static __attribute__((noinline)) void yield_entered(gort__m *mp)
{
	gort__leave(gort__yield(mp));
}

static __attribute__((noinline)) void yield_to(gort__m *mp, gort_g *gp, gort_g *next)
{
	gort__leave(other_switch(mp, gp, next));
}

/* The common case: one out of the ring, one into it, and nothing else to be seen to. */
void gort_yield(void)
{
	gort__m *mp = gort__m_self();
	gort_g *gp, *next;
	gort__p *pp;
	uint64_t tick;

	if (gort__unlikely(mp == NULL || !gort__hold_try_enter(&mp->hold))) {
		yield_any();
		return;
	}
	gp = mp->curg;
	pp = mp->p;
	tick = pp->runq.tick + 1;
	if (gort__unlikely((gp->flags & (GORT__G_BOUND | GORT__G_UNGUARDED | GORT__G_LOCKED)) ||
			   pp->runq.runnext != NULL || gort__runq_len(&pp->runq) == 0 ||
			   (gort__stash_len(&pp->stash) | gort__spill_len(&pp->spill)) > 0 ||
			   (gort__load_relaxed(&gort__sched.queued) | gort__load_relaxed(&gort__tracing)) != 0 ||
			   (tick % GORT__ODD_EVERY == 0 && something_odd(mp, tick)))) {
		yield_entered(mp);
		return;
	}
	gort__store_relaxed(&pp->runq.tick, tick);
	pp->runq.chain = 0;
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	next = gort__runq_rotate(&pp->runq, gp);
	if (gort__unlikely(!gort__plain_switch(mp, next))) {
		yield_to(mp, gp, next);
		return;
	}
	mp = gort__switch_plainly(mp, gp, next);
	gort__leave_outermost(mp);      /* every switch is made at depth 1 */
}

/* --- g0 --- */

/*
 * Until gp has left its stack, on another thread. That one may, before it gets there, want a bias off a lock of ours (in a
 * timer's function, say): so aside.
 */
static void await_off_stack(gort__m *mp, gort_g *gp)
{
	if (gort__likely(gort__load_acquire(&gp->ctx.running) == 0))    /* pairs with ctx_switch */
		return;
	gort__hold_step_aside(&mp->hold);
	for (int i = 0; gort__load_acquire(&gp->ctx.running) != 0; i++) {
		gort__cpu_relax();
		if (i % 128 == 127)
			gort__os_yield();       /* its thread was descheduled in the middle of its switch */
	}
	gort__step_back(mp);
}

void gort__sched_loop(gort__m *mp)
{
	void *save = NULL;

	for (;;) {
		gort_g *gp = gort__find_runnable(mp);

		if (gort__unlikely(gp == NULL))
			return;
		if (gort__unlikely(gp->flags & GORT__G_LOCKED)) {
			gort__p *pp;

			gort__lock_lock(&gort__sched.lock);
			pp = gort__p_release(mp);
			gort__lock_unlock(&gort__sched.lock);
			unrest();
			gort__m_hand(gp->m, pp, false);
			continue;
		}
		if (gort__unlikely((gp->flags & GORT__G_PREEMPTED) && gp->m != mp)) {
			gort__send_home(mp, gp);
			continue;
		}
		if (gp->flags & GORT__G_FRESH) {
			begin(mp->p, gp);
		} else {
			await_off_stack(mp, gp);
		}
		set_running(mp, gp);
		SAN_LEAVE(mp, gp, &save);
		gort__ctx_switch(&mp->g0, &gp->ctx);
		SAN_ARRIVE(save);
		if (gort__unlikely(mp->dead != NULL)) {
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
		if (gort__unlikely(mp->dying)) {
			gort__part_with_p(mp);
			return;
		}
	}
}

/* --- a goroutine's first frame --- */

/* What every goroutine on a stack has in the outermost frame. */
struct outermost {
	struct gort__scope base;
	_Alignas(16) unsigned char copy[GORT__ARG_COPY];        /* of its argument; lives on for its deferred calls */
};

/* Calls the goroutine's function. */
static inline void call(gort_g *gp, gort__m *mp, struct outermost *o)
{
	void (*fn)(void *arg) = gp->fn;
	void *arg = gp->arg, *block = NULL;

	if (gp->flags & GORT__G_COPIED)
		arg = memcpy(o->copy, gp->arg_copy, sizeof o->copy);
	else if (gp->flags & GORT__G_BLOCK)
		block = arg;
	/* what was the copy's place */
	memset(&gp->live, 0, sizeof gp->live);
	gp->live.block = block;
	gp->live.scope = &o->base;
	gp->flags &= ~(uint32_t)(GORT__G_COPIED | GORT__G_FRESH);
	gort__leave(mp);
	fn(arg);
}

/* The descriptor of a goroutine that has ended, and its claim to a stack. */
static inline void give_up(gort__m *mp, gort_g *gp)
{
	if (gort__unlikely(gp->flags & GORT__G_TIMER) && gort__timer_ended(mp, gp))
		return;
	gort__g_free(mp->p, gp);
	gort__stack_unreserve(mp->p);
}

/* gp has ended. Returns the next goroutine if it is a fresh one, which then runs on this same stack. */
static GORT__NO_TSAN gort_g *end(gort__m *mp, gort_g *gp)
{
	gort__p *pp = mp->p;
	gort_g *next;
	gort__ctx *to;

	gort__trace(pp, GORT__TRACE_END, gp, NULL);
	if (gort__unlikely(gp->flags & GORT__G_BLOCK))
		free(gp->live.block);
	if (!(gp->flags & GORT__G_SYSTEM))
		gort__store_relaxed(&pp->ended, pp->ended + 1);
	if (gort__unlikely(gp->flags & GORT__G_LOCKED)) {
		/* whatever the thread has been made into by its goroutine, nobody else shall have it: Go's rule */
		if (mp->pins > 0)
			gort__fatal("a goroutine ends with preemption disabled");
		/* but for goroutines that can go on on no other, for want of a thread to move this one to */
		mp->dying = mp->npreempted == 0;
		mp->locks = 0;
	}
	if (gort__unlikely(gp->flags & GORT__G_OWN_STACK)) {
		mp->dead = gp;                  /* cannot be unmapped while we stand on it */
		next = NULL;
	} else {
		next = mp->dying ? NULL : next_local(pp);
		if (next != NULL && (next->flags & (GORT__G_FRESH | GORT__G_OWN_STACK)) == GORT__G_FRESH) {
			next->stack = gp->stack;
			next->stack_lo = gp->stack_lo;
			next->stack_hi = gp->stack_hi;
			next->flags |= gp->flags & GORT__G_UNGUARDED;
			give_up(mp, gp);
			set_running(mp, next);
			return next;
		}
		if (next != NULL && next->flags & GORT__G_FRESH)
			begin(pp, next);
		/* nobody but this M can take them before it has left: both lists are the P's */
		gort__stack_put(pp, gp->stack);
		give_up(mp, gp);
	}
	if (next == NULL || (next->flags & GORT__G_STUCK) ||
	    (!(next->flags & GORT__G_FRESH) && gort__load_acquire(&next->ctx.running) != 0)) {
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

/* One goroutine after the other on this stack, until one ends with something left to do. */
static GORT__NO_TSAN void run_goroutines(void *o)
{
	gort_g *gp;

	for (;;) {
		gort__m *mp = gort__m_self();

		gp = mp->curg;
		call(gp, mp, o);
		if (gort__unlikely(gp->flags & GORT__G_LAST))
			return;
		mp = gort__enter();
		end(mp, gp);
	}
}

GORT__NO_TSAN GORT_NORETURN void gort__g_main(void)
{
	struct outermost o;

	gort__base_init(&o.base);
	SAN_ARRIVE(NULL);
	for (;;) {
		/* ended by a panic or an exit from a frame below, or in its function's return */
		bool landed = gort__landing_call(&o.base.landing, run_goroutines, &o);
		gort_g *gp = gort__m_self()->curg;

		gort__base_end(gp, &o.base, landed);
		end(gort__enter(), gp);
	}
}

bool gort__sched_is_base(uintptr_t function)
{
	return function == (uintptr_t)gort__g_main || function == (uintptr_t)run_goroutines;
}
