/* SPDX-License-Identifier: MIT */
/* Ps: making them, idle ones, taking and borrowing them, stealing, and maxprocs. */
#include "runtime.h"

#include <errno.h>
#include <string.h>

#define CALL_PATIENCE 200               /* looks, of some ten nanoseconds each: less than asking costs */

static gort__lock procs_lock;           /* one gort_set_maxprocs at a time; ranks above all others */

static gort__p *p_new(uint32_t id)
{
	/* pages of its own: the line of one P shall not share a page table walk, let alone a line, with another's */
	gort__p *pp = gort__os_pages(sizeof *pp);

	if (pp == NULL)
		return NULL;
	pp->id = id;
	pp->timer_next = INT64_MAX;
	return pp;
}

void gort__p_fini(void)
{
	for (uint32_t i = 0; i < GORT__MAX_PROCS && gort__sched.ps[i] != NULL; i++) {
		gort__p *pp = gort__sched.ps[i];

		gort__sched.ps[i] = NULL;
		gort__stash_free(&pp->stash);
		gort__heap_free(&pp->timers);
		gort__trace_ring_free(pp->trace);
		gort__os_watch_end(&pp->seen.watch);
		gort__os_pages_free(pp, sizeof *pp);
	}
}

/* Makes Ps until there are n; how many there are then. Under procs_lock or before anybody else runs. */
static uint32_t make(uint32_t n)
{
	while (gort__sched.nps < n && gort__stack_admit(gort__sched.nps + 1)) {
		gort__p *pp = p_new(gort__sched.nps);

		if (pp == NULL)
			break;
		gort__sched.ps[gort__sched.nps] = pp;
		gort__store_release(&gort__sched.nps, gort__sched.nps + 1);     /* pairs with the acquires of all who walk ps */
	}
	return gort__sched.nps < n ? gort__sched.nps : n;
}

int gort__p_init(uint32_t n)
{
	gort__lock_init(&procs_lock);
	n = make(n);
	if (n == 0)
		return -ENOMEM;
	gort__sched.nprocs = n;
	for (uint32_t i = n; i-- > 0;)
		gort__p_to_idle(gort__sched.ps[i]);
	return 0;
}

void gort__p_to_idle(gort__p *pp)
{
	pp->idle = true;
	pp->link = gort__sched.idle_p;
	gort__sched.idle_p = pp;
	gort__store_relaxed(&gort__sched.npidle, gort__sched.npidle + 1);
}

static void unlink_idle(gort__p **at)
{
	gort__p *pp = *at;

	*at = pp->link;
	pp->idle = false;
	gort__store_relaxed(&gort__sched.npidle, gort__sched.npidle - 1);
}

gort__p *gort__p_from_idle(gort_time due)
{
	gort__p **at = &gort__sched.idle_p;
	gort__p *pp;

	for (gort__p **p = at; *p != NULL; p = &(*p)->link) {
		/* work is left in an idle one when there was no thread to be had for it */
		if ((*p)->timer_next <= due || gort__p_has_work(*p)) {
			at = p;
			break;
		}
	}
	pp = *at;
	if (pp != NULL)
		unlink_idle(at);
	return pp;
}

bool gort__p_claim_idle(gort__p *pp)
{
	gort__p **at;
	bool found;

	gort__lock_lock(&gort__sched.lock);
	for (at = &gort__sched.idle_p; *at != NULL && *at != pp; at = &(*at)->link)
		;
	found = *at != NULL;
	if (found)
		unlink_idle(at);
	gort__lock_unlock(&gort__sched.lock);
	return found;
}

void gort__p_acquire(gort__m *mp, gort__p *pp)
{
	mp->p = pp;
	gort__loot_forget(mp);
	gort__store_relaxed(&mp->bias, pp->id + 1);
	gort__store_release(&pp->m, mp);        /* pairs with the acquire in holder */
	gort__hold_acquire(&mp->hold);
}

gort__p *gort__p_release(gort__m *mp)
{
	gort__p *pp = mp->p;

	gort__hold_release(&mp->hold);
	gort__store_release(&pp->m, NULL);
	mp->p = NULL;
	gort__store_relaxed(&mp->bias, GORT__BIAS_NOBODY);
	return pp;
}

static gort__m *holder(gort__p *pp)
{
	return gort__load_acquire(&pp->m);      /* Ms are never unmapped: a stale one is merely not OWNED or has another P */
}

/*
 * Between finding the holder and asking it the M may have changed Ps. Then the caller has got that other one, as good as
 * the one it wanted: m->p, which only the holder writes, says which.
 */
gort__p *gort__p_borrow(gort__p *pp)
{
	gort__m *mp = holder(pp);

	/* a look before the costly question: a holder inside the library would not give it */
	if (mp == NULL || (gort__load_relaxed(&mp->hold.depth) & ~GORT__DEPTH_ANNOUNCED) != 0)
		return NULL;
	return gort__hold_ask(&mp->hold, false) ? mp->p : NULL;
}

static void give_back(gort__m *mp)
{
	if (gort__hold_give_back(&mp->hold))
		gort__os_futex_wake(&mp->hold.state, 1);
}

void gort__p_give_back(gort__p *pp)
{
	give_back(pp->m);
}

/* The holder does it at its next entry, unless that does not come soon. True: it has, or had no time to say no. */
static bool call_holder(gort__m *mp, gort__bias *b, uint32_t owner)
{
	if (!gort__bias_call(&mp->call, &mp->hold, b))
		return false;
	for (int i = 0; i < CALL_PATIENCE; i++) {
		gort__cpu_relax();
		if (gort__load_relaxed(&b->owner) != owner || gort__load_relaxed(&mp->bias) != owner)
			break;
	}
	if (gort__bias_call_off(&mp->call, b))
		return false;
	while (!gort__bias_served(&mp->call, b))
		gort__os_yield();       /* off the processor in the middle of it */
	return true;
}

/* NULL: there is none, any more: the number is from before a gort_shutdown, or a fork. */
static gort__p *by_number(uint32_t id)
{
	return id < gort__load_acquire(&gort__sched.nps) ? gort__sched.ps[id] : NULL;
}

void gort__p_unbias(uint32_t owner, gort__bias *b)
{
	gort__p *pp = by_number(owner - 1);
	gort__m *mp = pp != NULL ? holder(pp) : NULL;

	if (mp != NULL) {
		/* while it is inside the library it may come out and in again soon; else it computes, perhaps for long */
		if (call_holder(mp, b, owner) || gort__load_relaxed(&b->owner) != owner ||
		    ((gort__load_relaxed(&mp->hold.depth) & GORT__DEPTH_COUNT) != 0 &&
		     !(gort__load_relaxed(&mp->hold.depth) & GORT__DEPTH_ASIDE)))
			return;
		/* it may have changed Ps since: m->p, which only the holder writes, says which one we have got */
		if (gort__hold_ask_aside(&mp->hold)) {
			if (mp->p == pp)
				gort__bias_take_off(b, owner);
			give_back(mp);
		}
		return;
	}
	/* nobody's: no one gets it from the idle list without the lock. Or it is on its way to a thread, and soon its */
	gort__lock_lock(&gort__sched.lock);
	pp = by_number(owner - 1);
	/* the second acquire pairs with the release in gort__p_retire */
	if (pp == NULL || pp->idle || gort__load_acquire(&pp->retired))
		gort__bias_take_off(b, owner);
	gort__lock_unlock(&gort__sched.lock);
}

gort__p *gort__p_take(gort__p *pp, enum gort__taken why)
{
	gort__m *mp = holder(pp);

	if (mp == NULL || !gort__hold_ask(&mp->hold, true))
		return NULL;
	pp = mp->p;
	gort__store_release(&pp->m, NULL);
	mp->taken = why;
	gort__add_relaxed(&gort__sched.taken[why], 1);
	gort__add_relaxed(&gort__sched.retakes[why], 1);
	if (gort__unlikely(gort__load_relaxed(&gort__tracing)))
		gort__trace_taken(pp->id, why == GORT__TAKEN_BLOCKED ? "blocked" : "computes");
	if (gort__hold_keep(&mp->hold))
		gort__os_futex_wake(&mp->hold.state, 1);
	return pp;
}

void gort__p_missed(gort__m *mp)
{
	gort__add_relaxed(&gort__sched.taken[mp->taken], -1u);
	mp->p = NULL;
	gort__store_relaxed(&mp->bias, GORT__BIAS_NOBODY);
}

int gort__p_number(gort__m *mp)
{
	return mp->p != NULL ? (int)mp->p->id : -1;
}

bool gort__p_steal(gort__p *to, gort__p *victim)
{
	uint32_t n;

	victim = gort__p_borrow(victim);
	if (victim == NULL)
		return 0;
	/* timers change hands only: their functions want locks, which is nothing for who has borrowed a P */
	n = gort__load_relaxed(&victim->timer_next) != INT64_MAX ? gort__timer_steal(to, victim, gort__os_now()) : 0;
	if (n == 0) {
		uint32_t stashed = (gort__stash_len(&victim->stash) + 1) / 2;

		for (; n < stashed && n < GORT__RUNQ_SIZE / 2; n++)
			gort__runq_push(&to->runq, gort__stash_take_oldest(&victim->stash));
		if (n == 0) {
			uint32_t spilled = (gort__spill_len(&victim->spill) + 1) / 2;

			for (; n < spilled && n < GORT__RUNQ_SIZE / 2; n++)
				gort__runq_push(&to->runq, gort__spill_pop(&victim->spill));
		}
		if (n == 0 && gort__runq_len(&victim->runq) == 0 && gort__load_relaxed(&victim->mailed) > 0)
			gort__mail_open(victim);
		if (n == 0)
			n = gort__runq_move_half(&victim->runq, &to->runq);
		if (n == 0 && victim->runq.runnext != NULL) {
			/* it was made ready by a goroutine that computes on: let it run here */
			gort__runq_push(&to->runq, victim->runq.runnext);
			gort__store_relaxed(&victim->runq.runnext, NULL);
			n = 1;
		}
	}
	gort__p_give_back(victim);
	if (n > 0) {
		gort__store_relaxed(&to->steals, to->steals + 1);
		gort__trace(to, GORT__TRACE_STEAL, NULL, NULL);
	}
	return n > 0;
}

gort_g *gort__p_any(gort__p *pp)
{
	gort_g *gp = pp->runq.runnext;

	if (gp != NULL) {
		gort__store_relaxed(&pp->runq.runnext, NULL);
		return gp;
	}
	gp = gort__runq_pop(&pp->runq);
	if (gp != NULL)
		return gp;
	if (gort__spill_len(&pp->spill) > 0)
		return gort__spill_pop(&pp->spill);
	return gort__stash_len(&pp->stash) > 0 ? gort__stash_take_oldest(&pp->stash) : NULL;
}

static void queue_to_global(gort__p *pp)
{
	gort_g *head = NULL, **end = &head, *last = NULL, *gp;
	uint32_t n = 0;

	while ((gp = gort__p_any(pp)) != NULL) {
		*end = last = gp;
		end = &gp->link;
		n++;
	}
	if (n > 0)
		gort__enqueue_global(head, last, n);
}

void gort__p_retire(gort__p *pp)
{
	/* no more mail comes: it is retiring */
	do {
		gort__mail_open(pp);
		queue_to_global(pp);
	} while (gort__load_relaxed(&pp->mailed) > 0);
	gort__g_give_all(pp);
	gort__timer_give_all(pp);
	gort__stack_give_all(pp);
	if (pp->timers.n > 0) {
		gort__lock_lock(&gort__sched.lock);
		pp->link = gort__sched.orphans;
		gort__sched.orphans = pp;
		gort__store_relaxed(&gort__sched.orphaned, gort__sched.orphaned + 1);
		gort__lock_unlock(&gort__sched.lock);
	}
	gort__store_release(&pp->retired, true);        /* pairs with the acquire in gort_set_maxprocs */
	gort__wake_someone();
}

void gort__p_adopt(gort__p *pp)
{
	gort__p *orphan;

	gort__lock_lock(&gort__sched.lock);
	orphan = gort__sched.orphans;
	if (orphan != NULL && gort__timer_adopt(pp, orphan)) {
		gort__sched.orphans = orphan->link;
		gort__store_relaxed(&gort__sched.orphaned, gort__sched.orphaned - 1);
	}
	gort__lock_unlock(&gort__sched.lock);
	gort__timer_gather(pp);
}

int gort_maxprocs(void)
{
	return gort_set_maxprocs(0);
}

/*
 * Waits until the Ps from n on, which have been told to retire, have done so. Idle: it is taken off the list here. In
 * somebody's hands: taken, if its holder is in the user's code; else the holder gives it up at its next scheduling decision,
 * which is near, since calls into the library are short.
 */
static void await_retired(uint32_t n, uint32_t old)
{
	uint32_t tries = 0;

	for (uint32_t i = n; i < old; i++) {
		gort__p *pp = gort__sched.ps[i];

		while (!gort__load_acquire(&pp->retired)) {     /* pairs with the release in gort__p_retire */
			gort__p *got = gort__p_claim_idle(pp) ? pp : gort__p_take(pp, GORT__TAKEN_RUNNING);

			if (got != NULL)
				gort__hand_off(got);
			else if (++tries < 1000)
				gort__os_yield();
			else            /* somebody keeps it by gort_preempt_disable */
				gort__os_sleep_until(gort_deadline(100 * GORT_MICROSECOND));
		}
	}
}

void gort__p_retire_all(void)
{
	gort__lock_lock(&procs_lock);
	gort__lock_lock(&gort__sched.lock);
	for (uint32_t i = 0; i < gort__sched.nps; i++)
		gort__store_relaxed(&gort__sched.ps[i]->retiring, true);
	gort__lock_unlock(&gort__sched.lock);
	await_retired(0, gort__sched.nps);
	gort__lock_unlock(&procs_lock);
}

/*
 * Runs outside the scheduler (depth 0) like the monitor, so that the caller's own P can be taken like any other; the
 * caller then goes on without one until its next call.
 */
int gort_set_maxprocs(int want)
{
	uint32_t old, n;

	if (gort__start() != 0)
		gort__fatal("out of memory starting the scheduler");
	old = gort__load_relaxed(&gort__sched.nprocs);
	if (want < 1)
		return (int)old;
	gort__lock_lock(&procs_lock);
	old = gort__sched.nprocs;
	if (gort__unlikely(gort__phase() != GORT__UP)) {        /* gort_shutdown: none is to be had any more */
		gort__lock_unlock(&procs_lock);
		return (int)old;
	}
	n = make(want < GORT__MAX_PROCS ? (uint32_t)want : GORT__MAX_PROCS);

	gort__lock_lock(&gort__sched.lock);
	gort__store_relaxed(&gort__sched.nprocs, n);
	for (uint32_t i = old; i < n; i++) {            /* back, or new */
		gort__p *pp = gort__sched.ps[i];
		gort__p **at = &gort__sched.orphans;

		while (*at != NULL && *at != pp)
			at = &(*at)->link;
		if (*at != NULL) {                      /* nobody has adopted its timers yet: it keeps them */
			*at = pp->link;
			gort__store_relaxed(&gort__sched.orphaned, gort__sched.orphaned - 1);
		}
		gort__store_relaxed(&pp->heir, NULL);
		gort__store_relaxed(&pp->retiring, false);
		gort__store_relaxed(&pp->retired, false);
		gort__p_to_idle(pp);
	}
	for (uint32_t i = n; i < old; i++)
		gort__store_relaxed(&gort__sched.ps[i]->retiring, true);
	gort__lock_unlock(&gort__sched.lock);

	await_retired(n, old);
	gort__lock_unlock(&procs_lock);
	if (n > old)
		gort__wake_someone();
	return (int)old;
}
