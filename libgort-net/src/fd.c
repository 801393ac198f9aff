/* SPDX-License-Identifier: MIT */
/*
 * Somebody else's descriptors. Their owner reads and writes them as he likes, and may leave bytes unread; so what counts is
 * whether they are ready now. A wait looks (poll), then has the poller tell once, for what all that wait have asked for
 * together; whoever's part of it has come is woken, and the poller asked anew for the rest.
 *
 * All of it is under the descriptor's lock, that of arming too: events of an earlier arm come late, and are no harm, since
 * those that they wake look again; but an arm that forgot somebody who had just come would be.
 */
#include "conn.h"

#include "os/socket.h"
#include "poll/poll.h"

#include <errno.h>

/* On the waiting call's own stack; under the descriptor's lock. */
struct net_waiter {
	struct net_waiter *next;
	gort_g *g;
	uint64_t ticket;
	uint32_t what;                  /* NET_EVENT_READ, _WRITE */
	bool listed;
};

_Static_assert(GORT_READABLE == NET_EVENT_READ && GORT_WRITABLE == NET_EVENT_WRITE, "the one is the other");

static struct net_desc *desc(gort_fd *f)
{
	return (struct net_desc *)f;
}

int gort_fd_open(gort_fd **f, int fd)
{
	struct net_desc *d;
	int err = net_start();

	if (err != 0)
		return err;
	d = net_desc_new(NET_FOREIGN);
	if (d == NULL)
		return -ENOMEM;
	err = net_desc_open_armed(d, fd);
	if (err != 0) {
		net_unref(d);
		return err;
	}
	*f = (gort_fd *)d;
	return 0;
}

/* Under lock. Asks for what those that wait want; fresh: what was asked for before has been used up. 0 or an error. */
static int arm(struct net_desc *d, bool fresh)
{
	uint32_t what = 0;

	for (struct net_waiter *w = d->waiters; w != NULL; w = w->next)
		what |= w->what;
	if (!fresh && (what & ~d->armed) == 0)
		return 0;
	d->armed = (uint8_t)what;
	return what != 0 ? net_poll_arm(d->fd, net_desc_tag(d), what) : 0;
}

static void unlist(struct net_desc *d, struct net_waiter *w)
{
	struct net_waiter **at = &d->waiters;

	if (!w->listed)
		return;
	while (*at != w)
		at = &(*at)->next;
	gort__store_relaxed(at, w->next);
	w->listed = false;
}

/* Under lock: takes those that wait for some of what off the list. Those claimed, in front of list. */
static gort_g *wake(struct net_desc *d, uint32_t what, gort_g *list)
{
	for (struct net_waiter **at = &d->waiters; *at != NULL;) {
		struct net_waiter *w = *at;

		if (!(w->what & what)) {
			at = &w->next;
			continue;
		}
		gort__store_relaxed(at, w->next);
		w->listed = false;
		if (gort__ticket_claim(w->g, w->ticket)) {
			w->g->link = list;
			list = w->g;
		}
	}
	return list;
}

gort_g *net_foreign_event(struct net_desc *d, uint32_t tag_seq, uint32_t what, gort_g *list)
{
	gort__lock_lock(&d->lock);
	if (gort__load_relaxed(&d->seq) == tag_seq && !d->closed) {
		if (what & NET_EVENT_END)
			what |= NET_EVENT_READ | NET_EVENT_WRITE;
		list = wake(d, what, list);
		/* cannot fail: it is registered, or its owner has closed it, and then nothing is to come any more */
		arm(d, true);
	}
	gort__lock_unlock(&d->lock);
	return list;
}

bool net_foreign_waits(struct net_desc *d)
{
	return gort__load_relaxed(&d->waiters) != NULL;
}

int gort_fd_wait(gort_fd *f, int events, gort_time deadline)
{
	struct net_desc *d = desc(f);
	int result;

	if (events == 0 || (events & ~(GORT_READABLE | GORT_WRITABLE)) != 0)
		return -EINVAL;
	result = net_hold(d);
	if (result != 0)
		return result;
	for (;;) {
		struct net_waiter w = { .what = (uint32_t)events };
		gort__m *mp;
		bool parked = false;

		if (deadline != GORT_FOREVER && deadline <= gort_now()) {
			result = -ETIMEDOUT;
			break;
		}
		result = net_os_poll(d->fd, events);
		if (result != 0)
			break;
		mp = gort__enter();
		w.g = gort__g_of(mp);
		gort__park_prepare(w.g, "IO wait");
		w.ticket = gort__ticket_arm(w.g);
		gort__lock_lock(&d->lock);
		result = d->closed ? -ECANCELED : 0;
		if (result == 0) {
			w.next = d->waiters;
			gort__store_relaxed(&d->waiters, &w);
			w.listed = true;
			result = arm(d, false);
			if (result != 0)
				unlist(d, &w);
		}
		gort__lock_unlock(&d->lock);
		if (result == 0) {
			parked = true;
			gort__park_until(&mp, w.ticket, deadline);
		} else {
			gort__ticket_claim(w.g, w.ticket);
			gort__park_undo(w.g);
		}
		gort__leave(mp);
		if (!parked)
			break;
		gort__lock_lock(&d->lock);
		unlist(d, &w);
		result = d->closed ? -ECANCELED : 0;
		gort__lock_unlock(&d->lock);
		if (result != 0)
			break;
	}
	net_release(d);
	return result;
}

int gort_fd_close(gort_fd *f)
{
	struct net_desc *d = desc(f);

	return net_close(d, NULL);
}

gort_fd *gort_fd_ref(gort_fd *f)
{
	net_ref(desc(f));
	return f;
}

void gort_fd_unref(gort_fd *f)
{
	net_unref(desc(f));
}

gort_g *net_foreign_close(struct net_desc *d, gort_g *list)
{
	return wake(d, NET_EVENT_READ | NET_EVENT_WRITE, list);
}
