/* SPDX-License-Identifier: MIT */
/*
 * The channel: Go's hchan. One buffer, a FIFO queue of waiting receivers and one of waiting senders, under one lock.
 *
 *   - A value goes straight into the memory of a waiting receiver, if there is one; else into the buffer; else the
 *     sender waits. So receivers wait only while the buffer is empty, senders only while it is full.
 *   - A waiter's record lies on its own stack. Whoever takes it out of the queue has it until it makes the goroutine
 *     ready, which is the last thing it does with it.
 *   - A waiter that more than one party can wake (select, deadline) carries a ticket; taking it out of the queue counts only
 *     if the ticket is won. Losers have taken out a record that is nobody's any more and go on to the next one.
 */
#ifndef GORT__CHAN_IMPL_H
#define GORT__CHAN_IMPL_H

#include <gort/chan.h>
#include <gort/done.h>
#include <gort/gmp.h>
#include <gort/timer.h>

#include <errno.h>
#include <string.h>

struct waiter {
	struct waiter *next, *prev;     /* in a queue, under the channel's lock; next also in a list of those woken by close */
	gort_g *g;
	gort_chan *chan;
	void *elem;                     /* what to send, where to receive to; may be NULL */
	uint64_t ticket;                /* 0: nobody but the peer that dequeues it can wake it */
	size_t index;                   /* the case, in a select */
	bool queued;                    /* under the channel's lock */
	bool ok;                        /* a value passed; false: woken by close. Written before ready, read after */
};

struct waitq {
	struct waiter *first;           /* written under lock, read (r) by the try forms */
	struct waiter *last;
	gort_g *g;                      /* the first one's */
};

struct gort_chan {
	gort__bias lock;                /* rank: channels, among each other by address */
	uint32_t closed;                /* written under lock, read (r) */
	uint32_t refs;                  /* atomic */
	size_t count;                   /* values in the buffer; written under lock, read (r) */
	size_t cap;                     /* never changes */
	size_t elem_size;               /* never changes */
	size_t sendx, recvx;            /* under lock */
	struct waitq recvq, sendq;
	int64_t senders;                /* gort_chan_add_sender's count; atomic */
	gort_timer *timer;              /* what sends into it, and ends with it: ticker.c; else NULL. Never changes in use */
	_Alignas(16) unsigned char buf[];
};

static inline void waitq_push(struct waitq *q, struct waiter *w)
{
	w->next = NULL;
	w->prev = q->last;
	w->queued = true;
	if (q->last != NULL)
		q->last->next = w;
	else {
		gort__store_relaxed(&q->first, w);
		q->g = w->g;
	}
	q->last = w;
}

static inline void waitq_remove(struct waitq *q, struct waiter *w)
{
	if (w->prev != NULL)
		w->prev->next = w->next;
	else {
		gort__store_relaxed(&q->first, w->next);
		if (w->next != NULL)
			q->g = w->next->g;
	}
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
	w->queued = false;
}

/* The first, w, off its queue. */
static inline void waitq_shift(struct waitq *q, struct waiter *w)
{
	struct waiter *next = w->next;

	gort__store_relaxed(&q->first, next);
	if (next != NULL) {
		next->prev = NULL;
		q->g = next->g;
	} else
		q->last = NULL;
	w->queued = false;
}

/* The oldest waiter that is still waiting; the caller must ready it. */
static inline struct waiter *waitq_pop(struct waitq *q)
{
	for (;;) {
		struct waiter *w = q->first;

		if (w == NULL)
			return NULL;
		waitq_shift(q, w);
		if (w->ticket == 0 || gort__ticket_claim(w->g, w->ticket))
			return w;
	}
}

static inline void copy_elem(const gort_chan *c, void *to, const void *from)
{
	if (gort__likely(c->elem_size == 8))
		memcpy(to, from, 8);
	else if (c->elem_size == 4)
		memcpy(to, from, 4);
	else if (c->elem_size != 0)
		memcpy(to, from, c->elem_size);
}

static inline void *slot_at(gort_chan *c, size_t i)
{
	return c->buf + i * c->elem_size;
}

static inline size_t next_index(const gort_chan *c, size_t i)
{
	return i + 1 == c->cap ? 0 : i + 1;
}

/*
 * The operations themselves, under the lock. 0 or -EPIPE when done, *wake being the peer to ready after unlocking (or NULL);
 * -EAGAIN when the caller would have to wait. Shared by the plain calls and select.
 */
static inline int send_locked(gort_chan *c, const void *elem, struct waiter **wake)
{
	struct waiter *w = NULL;

	*wake = NULL;
	if (gort__unlikely(c->closed))
		return -EPIPE;
	if (c->recvq.first != NULL)
		w = waitq_pop(&c->recvq);
	if (w != NULL) {
		if (w->elem != NULL)
			copy_elem(c, w->elem, elem);
		w->ok = true;
		*wake = w;
		return 0;
	}
	if (c->count == c->cap)
		return -EAGAIN;
	copy_elem(c, slot_at(c, c->sendx), elem);
	c->sendx = next_index(c, c->sendx);
	gort__store_relaxed(&c->count, c->count + 1);
	return 0;
}

static inline int recv_locked(gort_chan *c, void *elem, struct waiter **wake)
{
	struct waiter *w = NULL;

	*wake = NULL;
	if (c->count > 0) {
		if (elem != NULL)
			copy_elem(c, elem, slot_at(c, c->recvx));
		if (c->sendq.first != NULL)
			w = waitq_pop(&c->sendq);
		if (w != NULL) {
			/* full: the slot just emptied is the tail, for the oldest waiting sender */
			copy_elem(c, slot_at(c, c->recvx), w->elem);
			w->ok = true;
			*wake = w;
			c->recvx = next_index(c, c->recvx);
			c->sendx = c->recvx;
			return 0;
		}
		c->recvx = next_index(c, c->recvx);
		gort__store_relaxed(&c->count, c->count - 1);
		return 0;
	}
	if (gort__unlikely(c->closed)) {
		if (elem != NULL)
			memset(elem, 0, c->elem_size);
		return -EPIPE;
	}
	if (c->sendq.first != NULL)
		w = waitq_pop(&c->sendq);
	if (w == NULL)
		return -EAGAIN;
	if (elem != NULL)
		copy_elem(c, elem, w->elem);
	w->ok = true;
	*wake = w;
	return 0;
}

/* Could the operation go ahead at this moment? A look without the lock. */
static inline bool may_send(gort_chan *c)
{
	if (gort__load_relaxed(&c->closed))
		return true;
	return c->cap > 0 ? gort__load_relaxed(&c->count) < c->cap : gort__load_relaxed(&c->recvq.first) != NULL;
}

static inline bool may_recv(gort_chan *c)
{
	if (c->cap > 0 ? gort__load_relaxed(&c->count) > 0 : gort__load_relaxed(&c->sendq.first) != NULL)
		return true;
	return gort__load_relaxed(&c->closed) != 0;
}

/* The peer taken out of a queue goes on. Entered. */
static inline void wake_peer(gort__m *mp, struct waiter *w)
{
	gort_g *gp = w->g;

	gp->param = w;
	gort__ready(mp, gp);            /* w is the peer's own again */
}

GORT_NORETURN void gort__chan_block_forever(const char *why);

#endif
