/* SPDX-License-Identifier: MIT */
/*
 * Deadlines of parked goroutines, in the heap of the P they parked on. A deadline is called off by claiming the ticket
 * it stands for, from whatever thread; its entry then lies dead in the heap, counted in p->stale, until it comes up or
 * until the dead outnumber the living and the heap is swept.
 */
#include "runtime.h"

static void publish(gort__p *pp)
{
	gort__store_relaxed(&pp->timer_next, pp->timers.n > 0 ? pp->timers.a[0].when : INT64_MAX);
}

void gort__timer_sweep(gort__p *pp)
{
	struct gort__heap *h = &pp->timers;
	uint32_t kept = 0, n = h->n;

	for (uint32_t i = 0; i < n; i++) {
		/* relaxed is enough: an entry kept though dead is swept the next time */
		if (gort__load_relaxed(&h->a[i].g->wait) == h->a[i].ticket)
			h->a[kept++] = h->a[i];
	}
	h->n = kept;
	gort__heap_rebuild(h);
	gort__add_relaxed(&pp->stale, -(n - kept));
	publish(pp);
}

bool gort__timer_arm(gort__p *pp, gort_g *gp, uint64_t ticket, gort_time when)
{
	struct gort__heap *h = &pp->timers;
	/* signed: a canceller may count an entry that a sweep has taken out already */
	int32_t stale = (int32_t)gort__load_relaxed(&pp->stale);

	if (gort__unlikely(stale > 64 && (uint32_t)stale > h->n / 2))
		gort__timer_sweep(pp);
	if (gort__unlikely(h->n == h->room) && !gort__heap_reserve(h, h->n + 1)) {
		gort__timer_sweep(pp);
		if (h->n == h->room)
			return false;
	}
	gort__heap_push(h, (struct gort__heap_entry){ .when = when, .order = pp->timer_order++, .g = gp, .ticket = ticket });
	gp->live.timer_p = pp;
	publish(pp);
	return true;
}

void gort__timer_cancelled(gort_g *gp)
{
	gort__add_relaxed(&gp->live.timer_p->stale, 1);
}

gort_g *gort__timer_run(gort__p *pp, gort_time now)
{
	struct gort__heap *h = &pp->timers;
	gort_g *first = NULL, **end = &first;

	while (h->n > 0 && h->a[0].when <= now) {
		gort_g *gp = h->a[0].g;
		uint64_t ticket = h->a[0].ticket;

		gort__heap_pop(h);
		if (gort__ticket_claim(gp, ticket)) {
			gp->param = GORT__TIMED_OUT;
			*end = gp;
			end = &gp->link;
		} else {
			gort__add_relaxed(&pp->stale, -1u);
		}
	}
	*end = NULL;
	publish(pp);
	return first;
}

bool gort__timer_adopt(gort__p *pp, gort__p *from)
{
	struct gort__heap *h = &pp->timers;

	if (!gort__heap_reserve(h, h->n + from->timers.n))
		return false;
	while (from->timers.n > 0) {            /* in their order, so that equal times stay in order of creation */
		struct gort__heap_entry e = from->timers.a[0];

		gort__heap_pop(&from->timers);
		e.order = pp->timer_order++;
		gort__heap_push(h, e);
	}
	gort__add_relaxed(&pp->stale, gort__load_relaxed(&from->stale));
	gort__store_relaxed(&from->stale, 0);
	publish(from);
	publish(pp);
	return true;
}

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
	bool left;

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
	left = gort__sched.slow_timers != NULL;
	gort__lock_unlock(&gort__sched.lock);
	if (n > 0)
		gort__enqueue_global(first, last, n);
	return left;
}
