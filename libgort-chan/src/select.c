/* SPDX-License-Identifier: MIT */
/*
 * Select. First a look, without locks, for a case that seems ready, chosen at random from those that do, which is then tried
 * under its own lock: the common end. If there is none, and the channels are all biased to our P (bias.h), which is to have
 * locked them all the time, that is the truth. Else they are locked in the order of their addresses, and each is tried, in
 * random order. If none can go ahead the goroutine enqueues on all of them, under one ticket, and parks. Whoever wins the
 * ticket does the operation and tells the record it used; the others' records are taken out again.
 *
 * The try form may say "none" only on the word of locked channels: cases looked at one after the other could each be ready
 * at every moment but the one of the look.
 */
#include "chan.h"

#include <gort/park.h>

#include <errno.h>
#include <stdlib.h>

#define ON_STACK 16

struct plan {
	uint32_t *poll;         /* cases with a channel, shuffled; not needed where all are biased to our P */
	uint32_t *lock;         /* the same, by address of the channel */
	struct waiter *waiters; /* one for each case with a channel */
	uint32_t n;             /* how many these are */
};

/* A random number below n: the high half of a product is uniform enough, and needs no division. */
static inline uint32_t up_to(gort__m *mp, uint32_t n)
{
	return (uint32_t)(((uint64_t)gort__random(mp) * n) >> 32);
}

/* Fisher and Yates, from the inside out, over the cases that have a channel. */
static void shuffle(gort__m *mp, struct plan *pl, const gort_case *cases, size_t n)
{
	pl->n = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t j;

		if (cases[i].chan == NULL)
			continue;
		j = up_to(mp, pl->n + 1);
		pl->poll[pl->n++] = pl->poll[j];
		pl->poll[j] = (uint32_t)i;
	}
}

static uintptr_t address(const gort_case *cases, uint32_t i)
{
	return (uintptr_t)cases[i].chan;
}

/* By address: insertion for few, heap sort for many (in place, never quadratic). */
static void sort_by_address(uint32_t *a, uint32_t n, const gort_case *cases)
{
	if (n <= 32) {
		for (uint32_t i = 1; i < n; i++) {
			uint32_t x = a[i], j = i;

			for (; j > 0 && address(cases, a[j - 1]) > address(cases, x); j--)
				a[j] = a[j - 1];
			a[j] = x;
		}
		return;
	}
	for (uint32_t start = n / 2, end = n; end > 1;) {
		uint32_t x, root;

		if (start > 0) {
			x = a[--start];
		} else {
			x = a[--end];
			a[end] = a[0];
		}
		for (root = start;;) {
			uint32_t child = 2 * root + 1;

			if (child >= end)
				break;
			if (child + 1 < end && address(cases, a[child]) < address(cases, a[child + 1]))
				child++;
			if (address(cases, x) >= address(cases, a[child]))
				break;
			a[root] = a[child];
			root = child;
		}
		a[root] = x;
	}
}

/* The first n of the order; each channel once. */
static void unlock_first(gort__m *mp, const struct plan *pl, const gort_case *cases, uint32_t n)
{
	while (n-- > 0) {
		gort_chan *c = cases[pl->lock[n]].chan;

		if (n == 0 || c != cases[pl->lock[n - 1]].chan)
			gort__bias_unlock(mp, &c->lock);
	}
}

static void unlock_all(gort__m *mp, const struct plan *pl, const gort_case *cases)
{
	unlock_first(mp, pl, cases, pl->n);
}

static void lock_all(gort__m *mp, const struct plan *pl, const gort_case *cases)
{
	const gort_chan *before = NULL;

	for (uint32_t i = 0; i < pl->n; i++) {
		gort_chan *c = cases[pl->lock[i]].chan;

		if (c != before && gort__unlikely(!gort__bias_try(&c->lock, mp->bias))) {
			/* another P's: nothing may be held while that is changed */
			unlock_first(mp, pl, cases, i);
			gort__bias_take(mp, &c->lock);
			before = NULL;
			i = UINT32_MAX;         /* from the start */
			continue;
		}
		if (c != before)
			gort__bias_had(mp, &c->lock);
		before = c;
	}
}

static int try_locked(gort_case *cs, struct waiter **wake)
{
	return cs->op == GORT_OP_SEND ? send_locked(cs->chan, cs->elem, wake) : recv_locked(cs->chan, cs->elem, wake);
}

/* The case ran with result r, nothing being locked any more. What it panics with waits for select_any to tidy up. */
static void finish(gort__m *mp, gort_case *cs, int r, struct waiter *wake)
{
	if (wake != NULL)
		wake_peer(mp, wake);
	gort__leave(mp);
	cs->result = r;
}

/* Locks all, and tries each. The case that ran, with its result, nothing being locked any more; NULL: none can, and all are. */
static gort_case *try_all(gort__m *mp, struct plan *pl, gort_case *cases, size_t n, int *r, struct waiter **wake)
{
	shuffle(mp, pl, cases, n);
	memcpy(pl->lock, pl->poll, pl->n * sizeof *pl->lock);
	sort_by_address(pl->lock, pl->n, cases);
	lock_all(mp, pl, cases);
	for (uint32_t i = 0; i < pl->n; i++) {
		gort_case *cs = &cases[pl->poll[i]];

		*r = try_locked(cs, wake);
		if (*r != -EAGAIN) {
			unlock_all(mp, pl, cases);
			return cs;
		}
	}
	return NULL;
}

/* The case at which the goroutine was woken, after taking all other records out. NULL: the deadline passed. */
static struct waiter *pass_three(gort__m *mp, const struct plan *pl, const gort_case *cases, bool timed_out)
{
	struct waiter *won = timed_out ? NULL : gort__g_of(mp)->param;

	for (struct waiter *w = pl->waiters, *end = w + pl->n; w < end; w++) {
		gort_chan *c = w->chan;

		if (w == won)
			continue;
		gort__bias_lock(mp, &c->lock);
		if (w->queued)
			waitq_remove(cases[w->index].op == GORT_OP_SEND ? &c->sendq : &c->recvq, w);
		gort__bias_unlock(mp, &c->lock);
	}
	return won;
}

/* The cases with a channel, enqueued on it, all channels being locked. */
static void enqueue_all(gort_g *gp, struct plan *pl, const gort_case *cases, size_t n, uint64_t ticket)
{
	struct waiter *w = pl->waiters;

	for (size_t i = 0; i < n; i++) {
		const gort_case *cs = &cases[i];

		if (cs->chan == NULL)
			continue;
		w->g = gp;
		w->chan = cs->chan;
		w->elem = cs->elem;
		w->ticket = ticket;
		w->index = i;
		w->ok = false;
		waitq_push(cs->op == GORT_OP_SEND ? &cs->chan->sendq : &cs->chan->recvq, w++);
	}
	pl->n = (uint32_t)(w - pl->waiters);
}

/*
 * A case that seems ready, each that does as likely as the others; NULL: none. *have: how many have a channel. *ours: all of
 * these are biased to our P, and so what is seen is certain.
 */
static inline gort_case *look(gort__m *mp, gort_case *cases, size_t n, uint32_t *have, bool *ours)
{
	gort_case *chosen = NULL;
	uint32_t seen = 0;

	*have = 0;
	*ours = true;
	for (gort_case *cs = cases, *end = cases + n; cs < end; cs++) {
		if (gort__unlikely(cs->op != GORT_OP_SEND && cs->op != GORT_OP_RECV))
			gort__fatal("gort_select: a case's op is neither GORT_OP_SEND nor GORT_OP_RECV");
		if (cs->chan == NULL)
			continue;
		++*have;
		*ours &= gort__bias_mine(&cs->chan->lock, mp->bias);
		if (cs->op == GORT_OP_SEND ? may_send(cs->chan) : may_recv(cs->chan)) {
			/* the k-th takes the place of the one before with probability 1/k */
			if (seen++ == 0 || up_to(mp, seen) == 0)
				chosen = cs;
		}
	}
	return chosen;
}

static int select_planned(struct plan *pl, gort_case *cases, size_t n, gort_time deadline, bool wait)
{
	gort__m *mp = wait ? gort__enter() : gort__enter_nosched();
	struct waiter *wake, *won;
	gort_case *cs;
	gort_g *gp;
	uint64_t ticket;
	uint32_t have;
	bool ours;
	int r;

	do {
		cs = look(mp, cases, n, &have, &ours);
		if (cs == NULL)
			break;
		gort__bias_lock(mp, &cs->chan->lock);
		r = try_locked(cs, &wake);
		gort__bias_unlock(mp, &cs->chan->lock);
		if (r != -EAGAIN) {
			finish(mp, cs, r, wake);
			return (int)(cs - cases);
		}
		/* who waited there has gone on elsewhere, and is off the list now */
	} while (ours);

	if (have == 0 && wait && deadline == GORT_FOREVER) {
		gort__leave(mp);
		gort__chan_block_forever(n == 0 ? "select (no cases)" : "select (nil channels)");
	}
	if (!ours) {
		cs = try_all(mp, pl, cases, n, &r, &wake);
		if (cs != NULL) {
			finish(mp, cs, r, wake);
			return (int)(cs - cases);
		}
	}
	if (!wait) {
		if (!ours)
			unlock_all(mp, pl, cases);
		gort__leave(mp);
		return -EAGAIN;
	}

	gp = gort__g_of(mp);
	gort__park_prepare(gp, "select");
	ticket = gort__ticket_arm(gp);
	enqueue_all(gp, pl, cases, n, ticket);
	if (!ours)
		unlock_all(mp, pl, cases);
	r = 0;
	if (deadline == GORT_FOREVER)
		mp = gort__park_here(mp);
	else
		r = gort__park_until(&mp, ticket, deadline);
	won = pass_three(mp, pl, cases, r != 0);
	if (won == NULL) {
		gort__leave(mp);
		return -ETIMEDOUT;
	}
	cs = &cases[won->index];
	if (!won->ok && cs->op == GORT_OP_RECV && cs->elem != NULL)
		memset(cs->elem, 0, cs->chan->elem_size);
	finish(mp, cs, won->ok ? 0 : -EPIPE, NULL);
	return (int)(cs - cases);
}

static int select_any(gort_case *cases, size_t n, gort_time deadline, bool wait)
{
	int i;

	if (n <= ON_STACK) {
		uint32_t poll[ON_STACK], lock[ON_STACK];
		struct waiter waiters[ON_STACK];
		struct plan pl = { poll, lock, waiters, 0 };

		i = select_planned(&pl, cases, n, deadline, wait);
	} else {
		size_t each = sizeof(struct waiter) + 2 * sizeof(uint32_t);
		struct plan pl;

		if (n > INT32_MAX)
			gort__fatal("gort_select: too many cases");
		pl.waiters = malloc(n * each);
		if (pl.waiters == NULL)
			gort__fatal("out of memory");
		pl.poll = (uint32_t *)(pl.waiters + n);
		pl.lock = pl.poll + n;
		i = select_planned(&pl, cases, n, deadline, wait);
		free(pl.waiters);
	}
	if (gort__unlikely(i >= 0 && cases[i].result == -EPIPE && cases[i].op == GORT_OP_SEND))
		gort__panic("send on closed channel");
	return i;
}

int gort_select(gort_case *cases, size_t n)
{
	return select_any(cases, n, GORT_FOREVER, true);
}

int gort_select_try(gort_case *cases, size_t n)
{
	return select_any(cases, n, GORT_FOREVER, false);
}

int gort_select_until(gort_case *cases, size_t n, gort_time deadline)
{
	if (deadline != GORT_FOREVER && deadline <= gort_now())
		return -ETIMEDOUT;
	return select_any(cases, n, deadline, true);
}
