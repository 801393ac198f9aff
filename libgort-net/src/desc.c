/* SPDX-License-Identifier: MIT */
/* Turns, waits, deadlines and close of descriptors: see desc.h. */
#include "conn.h"

#include <gort/park.h>

#include "os/socket.h"
#include "poll/poll.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static bool passed(gort_time deadline)
{
	return deadline != GORT_FOREVER && deadline <= gort_now();
}

static struct net_ready *word(struct net_desc *d, int dir)
{
	return &d->dir[dir].ready;
}

/* --- turns --- */

/* Under lock: why no call may go on, or 0. */
static int refused(struct net_desc *d, int dir)
{
	if (d->closed)
		return -ECANCELED;
	return passed(d->dir[dir].deadline) ? -ETIMEDOUT : 0;
}

static void turn_remove(struct net_dir *r, struct net_turn *t)
{
	struct net_turn **at = &r->first, *before = NULL;

	while (*at != t) {
		before = *at;
		at = &before->next;
	}
	*at = t->next;
	if (r->last == t)
		r->last = before;
	t->queued = false;
}

/* Queues for a turn. Each time that it is woken, be it for its turn, close, a deadline that passed or a new one, it looks. */
static int begin_slow(struct net_desc *d, int dir)
{
	struct net_dir *r = &d->dir[dir];
	struct net_turn t = { 0 };

	for (;;) {
		gort__m *mp = gort__enter();
		gort_g *gp = gort__g_of(mp);
		gort_time deadline;
		uint64_t ticket;
		gort_g *closer = NULL;
		bool mine;
		int err;

		gort__park_prepare(gp, "IO wait");
		ticket = gort__ticket_arm(gp);
		gort__lock_lock(&d->lock);
		t.g = gp;
		t.ticket = ticket;
		err = refused(d, dir);
		deadline = r->deadline;
		mine = t.granted;
		if (!mine && !t.queued && err == 0) {
			d->calls++;
			mine = !r->busy;
			if (mine) {
				r->busy = true;
			} else {
				t.next = NULL;
				if (r->last != NULL)
					r->last->next = &t;
				else
					r->first = &t;
				r->last = &t;
				t.queued = true;
			}
		} else if (t.queued && err != 0) {
			turn_remove(r, &t);
			if (--d->calls == 0 && d->closed)
				closer = d->closer;
			gort__lock_unlock(&d->lock);
			gort__ticket_claim(gp, ticket);         /* nobody else can: it was out of their reach, or is now */
			gort__park_undo(gp);
			if (closer != NULL)
				gort__ready(mp, closer);
			gort__leave(mp);
			return err;
		}
		gort__lock_unlock(&d->lock);
		if (mine || err != 0) {
			gort__ticket_claim(gp, ticket);
			gort__park_undo(gp);
			gort__leave(mp);
			if (mine && err != 0)
				net_end(d, dir);        /* for the next one */
			return err;
		}
		gort__park_until(&mp, ticket, deadline);
		gort__leave(mp);
	}
}

int net_begin(struct net_desc *d, int dir)
{
	struct net_dir *r = &d->dir[dir];
	bool slow;
	int err;

	if (gort__unlikely(!net_current(d))) {
		err = net_renew(d);
		if (err != 0)
			return err;
	}
	gort__lock_lock(&d->lock);
	err = refused(d, dir);
	slow = err == 0 && r->busy;
	if (err == 0 && !slow) {
		r->busy = true;
		d->calls++;
	}
	gort__lock_unlock(&d->lock);
	return gort__unlikely(slow) ? begin_slow(d, dir) : err;
}

void net_end(struct net_desc *d, int dir)
{
	struct net_dir *r = &d->dir[dir];
	struct net_turn *t;
	gort_g *next = NULL;
	gort__m *mp;

	gort__lock_lock(&d->lock);
	t = r->first;
	if (gort__likely(t == NULL)) {
		r->busy = false;
	} else {
		turn_remove(r, t);
		t->granted = true;
		/* else it is awake already, for its deadline or another, and will see that it has the turn */
		if (gort__ticket_claim(t->g, t->ticket))
			next = t->g;
	}
	if (gort__unlikely(--d->calls == 0 && d->closed))
		next = d->closer;       /* nobody was in a queue, or there would be a call left; NULL: it has not got that far */
	gort__lock_unlock(&d->lock);
	if (gort__likely(next == NULL))
		return;
	mp = gort__enter_nosched();
	gort__ready(mp, next);
	gort__leave(mp);
}

/* --- waits --- */

/*
 * Where a reader best goes on (gort/poller.h): on the processor where its packets come in. To find that out costs a system call,
 * so it is done now and then, less often while the answer stays the same; and at random, or the two ends of a connection,
 * each of which changes the other's answer by moving, might change places for ever.
 */
static __attribute__((noinline)) void ask_cpu(struct net_desc *d, gort__m *mp)
{
	uint32_t cpu = net_os_incoming_cpu(d->fd);

	if (cpu != d->cpu)
		d->ask_gap = NET_ASK_GAP_MIN;
	else if (d->ask_gap < NET_ASK_GAP_MAX)
		d->ask_gap *= 2;
	d->cpu = cpu;
	d->ask_in = (uint16_t)(d->ask_gap / 2 + gort__random(mp) % d->ask_gap);
}

/* A P without anything else to do has taken the reader over. */
static void moved(struct net_desc *d, uint32_t cpu)
{
	d->cpu = cpu;
	d->ask_gap = NET_ASK_GAP_MIN;
	d->ask_in = NET_ASK_GAP_MAX / 2;        /* its peer will have followed by then */
}

int net_wait(struct net_desc *d, int dir, gort_time until)
{
	struct net_dir *r = &d->dir[dir];
	gort__m *mp = gort__enter();
	gort_g *gp = gort__g_of(mp);
	gort_time deadline;
	uint64_t ticket;
	bool armed = false;
	int err, timed = 0;

	if (dir == NET_READ) {
		if (d->tcp && gort__unlikely(d->ask_in-- == 0))
			ask_cpu(d, mp);
		gp->cpu = d->cpu;
	}
	gort__park_prepare(gp, "IO wait");
	ticket = gort__ticket_arm(gp);
	gort__lock_lock(&d->lock);
	err = refused(d, dir);
	deadline = r->deadline < until ? r->deadline : until;
	if (err == 0)
		armed = net_ready_arm(&r->ready, gp, ticket);
	gort__lock_unlock(&d->lock);
	r->drained = false;
	/* ours until net_end; it cannot fail */
	if (!NET_POLL_EDGES && armed && until == GORT_FOREVER)
		net_poll_arm(d->fd, net_desc_tag(d), 1u << dir);
	if (!armed) {
		gp->cpu = 0;
		gort__ticket_claim(gp, ticket);         /* nobody knows of it */
		gort__park_undo(gp);
		gort__leave(mp);
		return err;
	}
	timed = gort__park_until(&mp, ticket, deadline);
	if (dir == NET_READ) {
		if (gort__unlikely(gp->cpu != d->cpu))
			moved(d, gp->cpu);
		gp->cpu = 0;
	}
	gort__leave(mp);
	net_ready_settle(&r->ready);
	if (gort__load_relaxed(&d->closed))
		return -ECANCELED;
	deadline = gort__load_relaxed(&r->deadline);
	if (gort__unlikely(deadline != GORT_FOREVER) && deadline <= gort_now())
		return -ETIMEDOUT;
	return timed != 0 && until != GORT_FOREVER && until <= gort_now() ? -EAGAIN : 0;
}

/* Under lock: has all calls that wait in this direction look again. Those claimed, in front of list. */
static gort_g *kick(struct net_desc *d, int dir, gort_g *list)
{
	if (net_ready_waits(word(d, dir))) {
		gort_g *gp = net_ready_fire(word(d, dir));

		if (gp != NULL) {
			gp->link = list;
			list = gp;
		}
	}
	for (struct net_turn *t = d->dir[dir].first; t != NULL; t = t->next) {
		if (gort__ticket_claim(t->g, t->ticket)) {
			t->g->link = list;
			list = t->g;
		}
	}
	return list;
}

static void ready_list(gort_g *list)
{
	gort__m *mp;

	if (list == NULL)
		return;
	mp = gort__enter_nosched();
	gort__ready_all(mp, list);
	gort__leave(mp);
}

int net_set_deadline(struct net_desc *d, unsigned dirs, gort_time t)
{
	gort_g *list = NULL;
	int err = 0;

	if (gort__unlikely(net_inherited(d)))
		return -EBADF;
	gort__lock_lock(&d->lock);
	if (d->closed) {
		err = -ECANCELED;
	} else {
		for (int dir = NET_READ; dir <= NET_WRITE; dir++) {
			if (!(dirs & 1u << dir))
				continue;
			gort__store_relaxed(&d->dir[dir].deadline, t);
			list = kick(d, dir, list);
		}
	}
	gort__lock_unlock(&d->lock);
	ready_list(list);
	return err;
}

/* --- the end --- */

void net_give_up(struct net_desc *d, int *fd_out)
{
	int kind = gort__load_relaxed(&d->kind);
	int fd = d->fd;

	/* before the number can be another's: events from now on are nobody's */
	gort__add_relaxed(&d->seq, 1);
	if ((!NET_POLL_EDGES || kind == NET_FOREIGN || fd_out != NULL) && net_current(d))
		net_poll_remove(fd);
	if (fd_out != NULL)
		*fd_out = fd;
	else if (kind != NET_FOREIGN)
		net_os_close(fd);
	if ((kind == NET_LISTENER || kind == NET_PACKET) && d->path != NULL) {
		if (fd_out == NULL && !net_inherited(d))
			unlink(d->path);
		free(d->path);
		d->path = NULL;
	}
}

/* It is closed, by the caller: ends the calls that are under way, and waits for them. */
static void end_calls(struct net_desc *d)
{
	gort__m *mp = gort__enter();
	gort_g *gp = gort__g_of(mp), *list;
	bool wait;

	gort__park_prepare(gp, "IO wait");
	gort__lock_lock(&d->lock);
	list = kick(d, NET_WRITE, kick(d, NET_READ, NULL));
	if (gort__load_relaxed(&d->kind) == NET_FOREIGN)
		list = net_foreign_close(d, list);
	wait = d->calls > 0;
	if (wait)
		d->closer = gp;
	gort__lock_unlock(&d->lock);
	if (list != NULL)
		gort__ready_all(mp, list);
	if (wait)
		mp = gort__park_here(mp);
	else
		gort__park_undo(gp);
	gort__leave(mp);
	d->closer = NULL;
	d->closing = false;
}

int net_close(struct net_desc *d, int *fd_out)
{
	bool was, busy = false;

	if (gort__unlikely(net_inherited(d))) {
		/* its lock may be held by a thread that is not here */
		if (fd_out != NULL)
			return -EBADF;
		was = gort__load_relaxed(&d->closed);
		gort__store_relaxed(&d->closed, true);
	} else {
		gort__lock_lock(&d->lock);
		was = d->closed;
		gort__store_relaxed(&d->closed, true);
		busy = !was && d->calls > 0;    /* and no more than these, from now on */
		if (busy)
			d->closing = true;
		gort__lock_unlock(&d->lock);
	}
	if (busy)
		end_calls(d);
	if (!was)
		net_give_up(d, fd_out);
	net_unref(d);
	return was ? -EBADF : 0;
}

void net_ref(struct net_desc *d)
{
	gort__add_relaxed(&d->refs, 1);
}

void net_unref(struct net_desc *d)
{
	/* acq_rel: whoever gives up the last one sees what the others did */
	if (d == NULL || gort__add_acq_rel(&d->refs, -1u) != 1)
		return;
	if (!gort__load_relaxed(&d->closed)) {
		/* nobody has a reference, so nobody is in a call */
		gort__store_relaxed(&d->closed, true);
		net_give_up(d, NULL);
	}
	if (!net_inherited(d))
		net_desc_free(d);
}

/* --- short calls beside the others --- */

int net_hold(struct net_desc *d)
{
	int err;

	if (gort__unlikely(!net_current(d))) {
		err = net_renew(d);
		if (err != 0)
			return err;
	}
	gort__lock_lock(&d->lock);
	err = d->closed ? -ECANCELED : 0;
	if (err == 0)
		d->calls++;
	gort__lock_unlock(&d->lock);
	return err;
}

void net_release(struct net_desc *d)
{
	gort_g *closer = NULL;
	gort__m *mp;

	gort__lock_lock(&d->lock);
	if (--d->calls == 0 && d->closed)
		closer = d->closer;
	gort__lock_unlock(&d->lock);
	if (closer == NULL)
		return;
	mp = gort__enter_nosched();
	gort__ready(mp, closer);
	gort__leave(mp);
}
