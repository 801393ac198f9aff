/* SPDX-License-Identifier: MIT */
/*
 * Channels that get the time. The scheduler itself sends it (gort/timer.h): no goroutine waits for it.
 *
 * The channel owns its timer, not the other way round: when the last reference goes, the timer is freed, and the timer's
 * release frees the channel, which a tick under way may be looking at.
 *
 * No stale tick: stopping and setting counts turns, and a tick compares its turn under the channel's lock. Whoever stops
 * drains the channel afterwards, under the same lock: a tick that came before is taken out there, one that comes later sees
 * that its turn is over. A reset holds the ticker's lock for all of that, so that no other drains the tick that it has set.
 */
#include "chan.h"

#include <stdlib.h>

struct gort_ticker {
	gort_chan *chan;
	gort__lock lock;                /* rank: before those of channels */
};

static void tick(gort__m *mp, void *arg, gort_time now, uint64_t turn)
{
	gort_chan *c = arg;
	struct waiter *wake = NULL;

	gort__bias_lock(mp, &c->lock);
	if (gort__timer_turn(c->timer) == turn)
		(void)send_locked(c, &now, &wake);      /* full: this tick is left out; closed: as the user likes */
	gort__bias_unlock(mp, &c->lock);
	if (wake != NULL)
		wake_peer(mp, wake);
}

/* With a timer that is not set yet. */
static gort_chan *timed_chan(void)
{
	gort_chan *c = gort_chan_new(sizeof(gort_time), 1);

	if (c == NULL)
		return NULL;
	c->timer = gort__timer_new(tick, free, c);
	if (c->timer == NULL) {
		gort_chan_unref(c);
		return NULL;
	}
	return c;
}

gort_chan *gort_after(gort_duration d)
{
	gort_chan *c = timed_chan();

	if (c != NULL)
		gort__timer_set(c->timer, gort_deadline(d), 0);
	return c;
}

gort_ticker *gort_ticker_new(gort_duration d)
{
	gort_ticker *t;

	if (d <= 0)
		gort__panic("non-positive interval for NewTicker");
	gort__fence_init();
	t = malloc(sizeof *t);
	if (t == NULL)
		return NULL;
	gort__lock_init(&t->lock);
	t->chan = timed_chan();
	if (t->chan == NULL) {
		free(t);
		return NULL;
	}
	gort__timer_set(t->chan->timer, gort_deadline(d), d);
	return t;
}

gort_chan *gort_ticker_chan(gort_ticker *t)
{
	return t->chan;
}

/* Under the ticker's lock: stops it, and takes out what was sent. */
static void quiet(gort_ticker *t)
{
	gort_chan *c = t->chan;
	struct waiter *wake = NULL;
	gort__m *mp;

	gort_timer_stop(c->timer);
	mp = gort__enter_nosched();
	gort__bias_lock(mp, &c->lock);
	if (c->count > 0)
		(void)recv_locked(c, NULL, &wake);
	gort__bias_unlock(mp, &c->lock);
	if (wake != NULL)
		wake_peer(mp, wake);            /* a sender of the user's own */
	gort__leave(mp);
}

void gort_ticker_reset(gort_ticker *t, gort_duration d)
{
	if (d <= 0)
		gort__panic("non-positive interval for Ticker.Reset");
	gort__lock_lock(&t->lock);
	quiet(t);
	gort__timer_set(t->chan->timer, gort_deadline(d), d);
	gort__lock_unlock(&t->lock);
}

void gort_ticker_stop(gort_ticker *t)
{
	gort__lock_lock(&t->lock);
	quiet(t);
	gort__lock_unlock(&t->lock);
}

void gort_ticker_free(gort_ticker *t)
{
	if (t == NULL)
		return;
	quiet(t);
	gort_chan_unref(t->chan);
	free(t);
}
