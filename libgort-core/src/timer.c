/* SPDX-License-Identifier: MIT */
/*
 * What lies in the Ps' heaps: deadlines of parked goroutines, and timers (afterfunc.c).
 *
 * A deadline is called off by claiming the ticket it stands for, a timer by its own words (due.h), from whatever thread; the
 * entry then lies dead in the heap, counted in p->stale, until it comes up or until the dead outnumber the living and the
 * heap is swept.
 *
 * Whoever has no P, and who has no memory for one more entry, uses a list instead: parked goroutines one of records in
 * their own frames, through which the monitor looks; timers one that the next P takes them from (strays), and that the
 * monitor puts them back into when they are due (slow). The links are in the timer, so that this cannot fail.
 */
#include "runtime.h"

#include "timer.h"

static void publish(gort__p *pp)
{
	gort__store_relaxed(&pp->timer_next, pp->timers.n > 0 ? pp->timers.a[0].when : INT64_MAX);
}

/* An entry more (-1: fewer) is dead in the heap of pp, or of the P that has adopted what lay there. me is the caller's. */
void gort__timer_stale(gort__p *me, gort__p *pp, int n)
{
	gort__p *heir;

	if (gort__likely(me != NULL && pp == me)) {
		gort__store_relaxed(&pp->stale_own, pp->stale_own + (uint32_t)n);
		return;
	}
	while ((heir = gort__load_relaxed(&pp->heir)) != NULL)
		pp = heir;
	/* release: pairs with the acquire in gort__timer_sweep, which finds the entry dead whose count it sees */
	gort__add_acq_rel(&pp->stale, (uint32_t)n);
}

/* Is the entry dead? *doubt: it is perhaps, and stays this time. */
static bool dead(gort__p *pp, struct gort__heap_entry *e, uint32_t *doubt)
{
	gort_timer *t = gort__heap_timer(e);
	bool gone;

	if (t == NULL)
		return gort__load_relaxed(&gort__heap_g(e)->wait) != e->ticket;
	if (gort__due_dead(&t->due, e->ticket))
		return true;
	if (gort__due_armed(&t->due))
		return false;
	/* stopped, but it may be set again: its owner must know that the entry is gone */
	if (!gort__bias_try(&t->lock, pp->id + 1)) {
		++*doubt;                       /* it is another P's own: not worth the trouble */
		return false;
	}
	gone = gort__due_drop(&t->due, e->ticket);
	gort__bias_release(&t->lock, pp->id + 1);
	return gone;
}

void gort__timer_sweep(gort__p *pp)
{
	struct gort__heap *h = &pp->timers;
	uint32_t stale = gort__load_acquire(&pp->stale), doubt = 0, kept = 0, n = h->n;

	for (uint32_t i = 0; i < n; i++) {
		/* relaxed is enough: an entry kept though dead is swept the next time */
		if (!dead(pp, &h->a[i], &doubt))
			h->a[kept++] = h->a[i];
	}
	gort__store_relaxed(&h->n, kept);
	gort__heap_rebuild(h);
	gort__add_relaxed(&pp->stale, doubt - stale);
	gort__store_relaxed(&pp->stale_own, 0);
	publish(pp);
}

bool gort__timer_room(gort__p *pp)
{
	struct gort__heap *h = &pp->timers;
	/* signed: an entry may come up before it has been counted as dead */
	int32_t stale = (int32_t)(gort__load_relaxed(&pp->stale) + pp->stale_own);

	if (gort__unlikely(stale > 64 && (uint32_t)stale > h->n / 2))
		gort__timer_sweep(pp);
	if (gort__unlikely(h->n == h->room) && !gort__heap_reserve(h, h->n + 1)) {
		gort__timer_sweep(pp);
		return h->n < h->room;
	}
	return true;
}

bool gort__timer_arm(gort__p *pp, gort_g *gp, uint64_t ticket, gort_time when)
{
	if (!gort__timer_room(pp))
		return false;
	gort__heap_push(&pp->timers, (struct gort__heap_entry){
		.when = when, .order = pp->timer_order++, .what = (uintptr_t)gp, .ticket = ticket });
	gp->live.timer_p = pp;
	publish(pp);
	return true;
}

void gort__timer_cancelled(gort_g *gp)
{
	gort__timer_stale(NULL, gp->live.timer_p, 1);
}

bool gort__timer_push(gort__p *pp, gort_timer *t, uint64_t number, gort_time when, uint64_t order)
{
	if (gort__unlikely(pp->timers.n == pp->timers.room))
		return false;
	gort__heap_push(&pp->timers, (struct gort__heap_entry){
		.when = when, .order = order == GORT__ORDER_NEW ? pp->timer_order++ : order, .what = (uintptr_t)t | 1, .ticket = number });
	publish(pp);
	return true;
}

gort_g *gort__timer_run(gort__p *pp, gort_time now)
{
	struct gort__heap *h = &pp->timers;
	struct gort__batch due = { NULL, &due.first };

	while (h->n > 0 && h->a[0].when <= now) {
		struct gort__heap_entry e = h->a[0];
		gort_timer *t = gort__heap_timer(&e);

		gort__heap_pop(h);
		if (t == NULL && gort__ticket_claim(gort__heap_g(&e), e.ticket)) {
			gort__heap_g(&e)->param = GORT__TIMED_OUT;
			gort__batch_add(&due, gort__heap_g(&e));
		} else if (t == NULL || !gort__timer_up(pp, t, &e, now, &due)) {
			gort__store_relaxed(&pp->stale_own, pp->stale_own - 1);
		}
	}
	*due.end = NULL;
	publish(pp);
	return due.first;
}

/* The entry leaves from, which is the caller's alone: whoever has it next would have to ask from's holder for its lock. */
static void unbias(struct gort__heap_entry *e, gort__p *from)
{
	gort_timer *t = gort__heap_timer(e);

	if (t != NULL)
		gort__bias_take_off(&t->lock, from->id + 1);
}

uint32_t gort__timer_steal(gort__p *to, gort__p *from, gort_time now)
{
	uint32_t n = 0;

	/* in their order, as below; those for which there is no room are the monitor's to see to */
	while (from->timers.n > 0 && from->timers.a[0].when <= now && gort__heap_reserve(&to->timers, to->timers.n + 1)) {
		struct gort__heap_entry e = from->timers.a[0];

		gort__heap_pop(&from->timers);
		unbias(&e, from);
		e.order = to->timer_order++;
		gort__heap_push(&to->timers, e);
		n++;
	}
	publish(from);
	publish(to);
	return n;
}

bool gort__timer_adopt(gort__p *pp, gort__p *from)
{
	struct gort__heap *h = &pp->timers;

	if (!gort__heap_reserve(h, h->n + from->timers.n))
		return false;
	while (from->timers.n > 0) {            /* in their order, so that equal times stay in order of creation */
		struct gort__heap_entry e = from->timers.a[0];

		gort__heap_pop(&from->timers);
		unbias(&e, from);
		e.order = pp->timer_order++;
		gort__heap_push(h, e);
	}
	gort__store_relaxed(&from->heir, pp);
	gort__add_relaxed(&pp->stale, gort__load_relaxed(&from->stale) + from->stale_own);
	gort__store_relaxed(&from->stale, 0);
	gort__store_relaxed(&from->stale_own, 0);
	publish(from);
	publish(pp);
	return true;
}

/* --- timers without a heap --- */

/* Under sched.lock. */
static void list_add(struct gort__timer_list *l, gort_timer *t)
{
	t->next = NULL;
	t->at = l->first != NULL ? l->end : &l->first;
	*t->at = t;
	l->end = &t->next;
	t->list = l;
	if (l == &gort__sched.strays)
		gort__store_relaxed(&gort__sched.orphaned, gort__sched.orphaned + 1);
}

/* Under sched.lock. */
static void list_remove(gort_timer *t)
{
	*t->at = t->next;
	if (t->next != NULL)
		t->next->at = t->at;
	else
		t->list->end = t->at;
	if (t->list == &gort__sched.strays)
		gort__store_relaxed(&gort__sched.orphaned, gort__sched.orphaned - 1);
	t->list = NULL;
}

static void stray(struct gort__timer_list *l, gort_timer *t, uint64_t number, gort_time when)
{
	gort__lock_lock(&gort__sched.lock);
	if (t->list != NULL)            /* for an entry that is dead by now */
		list_remove(t);
	t->stray = number;
	t->stray_when = when;
	list_add(l, t);
	gort__lock_unlock(&gort__sched.lock);
}

void gort__timer_stray(gort_timer *t, uint64_t number, gort_time when)
{
	stray(&gort__sched.strays, t, number, when);
}

void gort__timer_unstray(gort_timer *t)
{
	gort__lock_lock(&gort__sched.lock);
	if (t->list != NULL)
		list_remove(t);
	gort__lock_unlock(&gort__sched.lock);
}

/* A P is to come for the strays, if one is idle. Others look every 16 decisions, and the monitor sees to it that they do. */
void gort__timer_call(void)
{
	gort__fence_seq_cst();                  /* as in gort__enqueue_global */
	gort__wake_someone();
}

/* The strays go into pp's heap; what is due and has no room there fires here and now. */
void gort__timer_gather(gort__p *pp)
{
	struct gort__batch due = { NULL, &due.first };
	gort__m *mp = pp->m;
	bool slow = false;

	for (;;) {
		struct gort__heap_entry e;
		gort_timer *t;

		gort__lock_lock(&gort__sched.lock);
		t = gort__sched.strays.first;
		if (t != NULL) {
			e = (struct gort__heap_entry){
				.when = t->stray_when, .order = GORT__ORDER_NEW, .ticket = t->stray, .what = (uintptr_t)t | 1 };
			list_remove(t);
		}
		gort__lock_unlock(&gort__sched.lock);
		if (t == NULL)
			break;
		(void)gort__timer_room(pp);
		gort__bias_lock(mp, &t->lock);
		/* it may have been stopped, set and entered elsewhere, or have become another timer, since it was in our hands */
		if (gort__due_drop(&t->due, e.ticket)) {
			gort__bias_unlock(mp, &t->lock);
		} else if (gort__timer_push(pp, t, e.ticket, e.when, GORT__ORDER_NEW)) {
			t->p = pp;
			gort__bias_unlock(mp, &t->lock);
		} else if (e.when > gort__os_now()) {
			stray(&gort__sched.slow, t, e.ticket, e.when);
			gort__bias_unlock(mp, &t->lock);
			slow = true;
		} else {
			gort__bias_unlock(mp, &t->lock);
			gort__timer_up(pp, t, &e, gort__os_now(), &due);
		}
	}
	*due.end = NULL;
	if (due.first != NULL)
		gort__enqueue_list(pp, due.first);
	if (slow)
		gort__sysmon_look();
}

/* --- the monitor's part --- */

void gort__slow_timer_arm(struct gort__slow_timer *t, gort_g *gp, uint64_t ticket, gort_time when)
{
	t->g = gp;
	t->ticket = ticket;
	t->when = when;
	gort__lock_lock(&gort__sched.lock);
	t->next = gort__sched.slow_timers;
	t->at = &gort__sched.slow_timers;
	if (t->next != NULL)
		t->next->at = &t->next;
	gort__sched.slow_timers = t;
	gort__lock_unlock(&gort__sched.lock);
	gort__sysmon_look();
}

/* Under sched.lock. */
static void slow_unlink(struct gort__slow_timer *t)
{
	if (t->at == NULL)
		return;
	*t->at = t->next;
	if (t->next != NULL)
		t->next->at = t->at;
	t->at = NULL;
}

void gort__slow_timer_cancel(struct gort__slow_timer *t)
{
	gort__lock_lock(&gort__sched.lock);
	slow_unlink(t);
	gort__lock_unlock(&gort__sched.lock);
}

bool gort__slow_timers_run(gort_time now)
{
	gort_g *first = NULL, *last = NULL;
	uint32_t n = 0;
	bool left, strays = false;

	gort__lock_lock(&gort__sched.lock);
	for (struct gort__slow_timer *t = gort__sched.slow_timers, *next; t != NULL; t = next) {
		next = t->next;
		if (t->when > now)
			continue;
		slow_unlink(t);
		if (!gort__ticket_claim(t->g, t->ticket))
			continue;
		t->g->param = GORT__TIMED_OUT;
		gort__store_relaxed(&t->g->status, GORT__G_RUNNABLE);
		t->g->link = first;
		first = t->g;
		if (last == NULL)
			last = first;
		n++;
	}
	for (gort_timer *t = gort__sched.slow.first, *next; t != NULL; t = next) {
		next = t->next;
		if (t->stray_when > now)
			continue;
		list_remove(t);
		list_add(&gort__sched.strays, t);
		strays = true;
	}
	left = gort__sched.slow_timers != NULL || gort__sched.slow.first != NULL;
	gort__lock_unlock(&gort__sched.lock);
	if (n > 0)
		gort__enqueue_global(first, last, n);
	if (strays)
		gort__timer_call();
	return left;
}
