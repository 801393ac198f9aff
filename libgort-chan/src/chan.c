/* SPDX-License-Identifier: MIT */
/* Channels: making, sending, receiving, closing. chan.h draws the structure; select.c has the rest. */
#include "chan.h"

#include <gort/park.h>

#include <errno.h>
#include <stdlib.h>

/* Of signals without room, with so many bytes behind it; who: the number of the P that will use it. */
static gort_chan *make(size_t bytes, uint32_t who)
{
	gort_chan *c;

	gort__fence_init();
	c = malloc(sizeof *c + bytes);
	if (c == NULL)
		return NULL;
	memset(c, 0, sizeof *c);
	gort__bias_init(&c->lock, who);
	c->refs = 1;
	return c;
}

gort_chan *gort_chan_new(size_t elem_size, size_t capacity)
{
	gort__m *mp = gort__m_self();
	size_t bytes, total;
	gort_chan *c;

	/* Go's limit as well: no object may be larger than half of the address space */
	if (__builtin_mul_overflow(elem_size, capacity, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof *c, &total) || total > PTRDIFF_MAX || capacity > PTRDIFF_MAX)
		return NULL;
	c = make(bytes, mp != NULL ? mp->bias : GORT__BIAS_NOBODY);
	if (c == NULL)
		return NULL;
	c->cap = capacity;
	c->elem_size = elem_size;
	return c;
}

gort_chan *gort__chan_new_with(size_t size, void **owner)
{
	gort_chan *c = make(size, GORT__BIAS_NOBODY);

	if (c == NULL)
		return NULL;
	/* whoever closes it is likely to do so from another P than those who wait, and to close many: taking biases off is dear */
	c->lock.lost = GORT__BIAS_LOST_MAX;
	*owner = c->buf;                /* no element ever lies there */
	return c;
}

gort_chan *gort_chan_ref(gort_chan *c)
{
	if (c != NULL)
		gort__add_relaxed(&c->refs, 1);
	return c;
}

void gort_chan_unref(gort_chan *c)
{
	/* release: what this owner did with the channel comes before its end; acquire: for the one that ends it */
	if (c == NULL || gort__add_acq_rel(&c->refs, -1u) != 1)
		return;
	if (gort__unlikely(c->timer != NULL))
		gort_timer_free(c->timer);      /* which frees the channel when the timer has let go of it */
	else
		free(c);
}

void gort__chan_block_forever(const char *why)
{
	gort__m *mp = gort__enter();

	for (;;) {
		gort__park_prepare(gort__g_of(mp), why);
		mp = gort__park(mp);
	}
}

static GORT_NORETURN void panic_closed(void)
{
	gort__panic("send on closed channel");
}

/* Waits in q, which is locked along with c, until a peer, close or the deadline. 0, -EPIPE or -ETIMEDOUT. Leaves. */
static inline int wait_in(gort__m *mp, gort_chan *c, struct waitq *q, void *elem, const char *why, gort_time deadline)
{
	gort_g *gp = gort__g_of(mp);
	struct waiter w;

	w.g = gp;
	w.chan = c;
	w.elem = elem;
	w.ticket = 0;
	gort__park_prepare(gp, why);
	if (deadline != GORT_FOREVER)
		w.ticket = gort__ticket_arm(gp);
	waitq_push(q, &w);
	gort__bias_unlock(mp, &c->lock);
	if (deadline == GORT_FOREVER) {
		mp = gort__park_here(mp);
	} else if (gort__park_until(&mp, w.ticket, deadline) != 0) {
		gort__bias_lock(mp, &c->lock);
		if (w.queued)
			waitq_remove(q, &w);
		gort__bias_unlock(mp, &c->lock);
		gort__leave(mp);
		return -ETIMEDOUT;
	}
	gort__leave(mp);
	return w.ok ? 0 : -EPIPE;
}

static inline int send_waits(gort__m *mp, gort_chan *c, const void *elem, gort_time deadline)
{
	return wait_in(mp, c, &c->sendq, (void *)(uintptr_t)elem, "chan send", deadline);
}

static inline int recv_waits(gort__m *mp, gort_chan *c, void *elem, gort_time deadline)
{
	int r = wait_in(mp, c, &c->recvq, elem, "chan receive", deadline);

	if (gort__unlikely(r == -EPIPE) && elem != NULL)
		memset(elem, 0, c->elem_size);
	return r;
}

/* The general forms: entered, and they leave. */
static inline int send(gort__m *mp, gort_chan *c, const void *elem, gort_time deadline)
{
	struct waiter *wake;
	int r;

	gort__bias_lock(mp, &c->lock);
	r = send_locked(c, elem, &wake);
	if (r == -EAGAIN)
		return send_waits(mp, c, elem, deadline);
	gort__bias_unlock(mp, &c->lock);
	if (wake != NULL)
		wake_peer(mp, wake);
	gort__leave(mp);
	return r;
}

static inline int recv(gort__m *mp, gort_chan *c, void *elem, gort_time deadline)
{
	struct waiter *wake;
	int r;

	gort__bias_lock(mp, &c->lock);
	r = recv_locked(c, elem, &wake);
	if (r == -EAGAIN)
		return recv_waits(mp, c, elem, deadline);
	gort__bias_unlock(mp, &c->lock);
	if (wake != NULL)
		wake_peer(mp, wake);
	gort__leave(mp);
	return r;
}

/* What is known already: there is nothing for it but to wait. */
static __attribute__((noinline)) void send_blocks(gort__m *mp, gort_chan *c, const void *elem)
{
	if (gort__unlikely(send_waits(mp, c, elem, GORT_FOREVER) != 0))
		panic_closed();
}

static __attribute__((noinline)) int recv_blocks(gort__m *mp, gort_chan *c, void *elem)
{
	return recv_waits(mp, c, elem, GORT_FOREVER);
}

static __attribute__((noinline)) void send_entered(gort__m *mp, gort_chan *c, const void *elem)
{
	if (gort__unlikely(send(mp, c, elem, GORT_FOREVER) != 0))
		panic_closed();
}

static __attribute__((noinline)) void send_any(gort_chan *c, const void *elem)
{
	if (gort__unlikely(c == NULL))
		gort__chan_block_forever("chan send (nil chan)");
	send_entered(gort__enter(), c, elem);
}

static __attribute__((noinline)) int recv_entered(gort__m *mp, gort_chan *c, void *elem)
{
	return recv(mp, c, elem, GORT_FOREVER);
}

static __attribute__((noinline)) int recv_any(gort_chan *c, void *elem)
{
	if (gort__unlikely(c == NULL))
		gort__chan_block_forever("chan receive (nil chan)");
	return recv_entered(gort__enter(), c, elem);
}

/*
 * A peer that waits first in q, and can be given back to the scheduler with a few stores: off the queue and to be next.
 * Entered, with a P. False: it is another kind, and nothing has been done.
 */
static inline bool wake_plainly(gort__m *mp, struct waitq *q, struct waiter *w)
{
	struct gort__runq *rq = (struct gort__runq *)mp->p;     /* as in gort__ready */
	gort_g *gp = q->g;

	if (gort__unlikely(w->ticket != 0 || rq->runnext != NULL || (gp->flags & GORT__G_BOUND)))
		return false;
	waitq_shift(q, w);
	w->ok = true;
	gp->param = w;
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	gort__store_relaxed(&rq->runnext, gp);
	return true;
}

/*
 * A channel of our P's for words comes first: a value moved without a saved register or an atomic operation, where there is
 * room, or a value, or a peer that waits for it. What is done neither here nor by waiting goes to the general form.
 */
void gort_chan_send(gort_chan *c, const void *elem)
{
	gort__m *mp = gort__m_self();
	struct waiter *w;

	if (gort__unlikely(c == NULL || mp == NULL || !gort__hold_try_enter(&mp->hold))) {
		send_any(c, elem);
		return;
	}
	if (gort__unlikely(!gort__bias_mine(&c->lock, mp->bias) || c->closed || c->elem_size != sizeof(uint64_t))) {
		send_entered(mp, c, elem);
		return;
	}
	w = c->recvq.first;
	if (gort__likely(w == NULL)) {
		size_t i = c->sendx;

		if (gort__unlikely(c->count == c->cap)) {
			send_blocks(mp, c, elem);
			return;
		}
		memcpy(c->buf + i * sizeof(uint64_t), elem, sizeof(uint64_t));
		c->sendx = next_index(c, i);
		gort__store_relaxed(&c->count, c->count + 1);
	} else {
		void *to = w->elem;

		if (gort__unlikely(!wake_plainly(mp, &c->recvq, w))) {
			send_entered(mp, c, elem);
			return;
		}
		/* it is runnable, but nobody runs it, nor takes it away, while we are inside */
		if (to != NULL)
			memcpy(to, elem, sizeof(uint64_t));
	}
	gort__leave_outermost(mp);
}

int gort_chan_recv(gort_chan *c, void *elem)
{
	gort__m *mp = gort__m_self();
	struct waiter *w;

	if (gort__unlikely(c == NULL || mp == NULL || !gort__hold_try_enter(&mp->hold)))
		return recv_any(c, elem);
	if (gort__unlikely(!gort__bias_mine(&c->lock, mp->bias) || c->elem_size != sizeof(uint64_t) || elem == NULL))
		return recv_entered(mp, c, elem);
	w = c->sendq.first;
	if (gort__likely(w == NULL)) {
		size_t i = c->recvx;

		if (gort__unlikely(c->count == 0))
			return c->closed ? recv_entered(mp, c, elem) : recv_blocks(mp, c, elem);
		memcpy(elem, c->buf + i * sizeof(uint64_t), sizeof(uint64_t));
		c->recvx = next_index(c, i);
		gort__store_relaxed(&c->count, c->count - 1);
	} else {
		void *from = w->elem;

		/* with a buffer its place in that is to be taken */
		if (gort__unlikely(c->cap != 0 || !wake_plainly(mp, &c->sendq, w)))
			return recv_entered(mp, c, elem);
		memcpy(elem, from, sizeof(uint64_t));   /* as in sending */
	}
	gort__leave_outermost(mp);
	return 0;
}

/* The nil channel's part of the _until forms. */
static int sleep_out(gort_time deadline, const char *why)
{
	gort__m *mp;
	gort_g *gp;
	int r;

	if (deadline == GORT_FOREVER)
		gort__chan_block_forever(why);
	mp = gort__enter();
	gp = gort__g_of(mp);
	gort__park_prepare(gp, why);
	r = gort__park_until(&mp, gort__ticket_arm(gp), deadline);
	gort__leave(mp);
	return r;
}

int gort_chan_send_until(gort_chan *c, const void *elem, gort_time deadline)
{
	int r;

	if (deadline != GORT_FOREVER && deadline <= gort_now())
		return -ETIMEDOUT;
	if (gort__unlikely(c == NULL))
		return sleep_out(deadline, "chan send (nil chan)");
	r = send(gort__enter(), c, elem, deadline);
	if (gort__unlikely(r == -EPIPE))
		panic_closed();
	return r;
}

int gort_chan_recv_until(gort_chan *c, void *elem, gort_time deadline)
{
	if (deadline != GORT_FOREVER && deadline <= gort_now())
		return -ETIMEDOUT;
	if (gort__unlikely(c == NULL))
		return sleep_out(deadline, "chan receive (nil chan)");
	return recv(gort__enter(), c, elem, deadline);
}

static __attribute__((noinline)) int try_send(gort_chan *c, const void *elem)
{
	struct waiter *wake;
	gort__m *mp = gort__enter_nosched();
	int r;

	gort__bias_lock(mp, &c->lock);
	r = send_locked(c, elem, &wake);
	gort__bias_unlock(mp, &c->lock);
	if (wake != NULL)
		wake_peer(mp, wake);
	gort__leave(mp);
	if (gort__unlikely(r == -EPIPE))
		panic_closed();
	return r;
}

int gort_chan_try_send(gort_chan *c, const void *elem)
{
	/*
	 * Full and, a moment before, not closed: since a closed channel never gets less ready to send to, there was a moment in
	 * between when it was both open and full.
	 */
	if (c == NULL || (!gort__load_acquire(&c->closed) && !may_send(c)))
		return -EAGAIN;
	return try_send(c, elem);
}

static __attribute__((noinline)) int try_recv(gort_chan *c, void *elem)
{
	struct waiter *wake;
	gort__m *mp = gort__enter_nosched();
	int r;

	gort__bias_lock(mp, &c->lock);
	r = recv_locked(c, elem, &wake);
	gort__bias_unlock(mp, &c->lock);
	if (wake != NULL)
		wake_peer(mp, wake);
	gort__leave(mp);
	return r;
}

int gort_chan_try_recv(gort_chan *c, void *elem)
{
	if (c == NULL)
		return -EAGAIN;
	/*
	 * Empty first, open second (acquire keeps the order): empty and, later, still open means that it was both at the first
	 * look. Closed means nothing yet: a value may have come before the close. The lock decides.
	 */
	if (!(c->cap > 0 ? gort__load_acquire(&c->count) > 0 : gort__load_acquire(&c->sendq.first) != NULL) &&
	    !gort__load_acquire(&c->closed))
		return -EAGAIN;
	return try_recv(c, elem);
}

/* Entered. False: it is closed already. */
static bool close_into(gort__m *mp, gort_chan *c, gort_g ***end)
{
	struct waiter *w;

	gort__bias_lock(mp, &c->lock);
	if (c->closed) {
		gort__bias_unlock(mp, &c->lock);
		return false;
	}
	gort__store_release(&c->closed, 1);     /* pairs with the acquires in the try forms and in is_closed */
	while ((w = waitq_pop(&c->recvq)) != NULL || (w = waitq_pop(&c->sendq)) != NULL) {
		w->ok = false;
		w->g->param = w;
		**end = w->g;
		*end = &w->g->link;
	}
	gort__bias_unlock(mp, &c->lock);
	return true;
}

bool gort__chan_close_into(gort_chan *c, gort_g ***end)
{
	gort__m *mp = gort__enter_nosched();
	bool closed = close_into(mp, c, end);

	gort__leave(mp);
	return closed;
}

bool gort__chan_is_closed(const gort_chan *c)
{
	return gort__load_acquire(&c->closed) != 0;
}

void gort_chan_close(gort_chan *c)
{
	gort_g *first = NULL, **end = &first;
	gort__m *mp;
	bool closed;

	if (c == NULL)
		gort__panic("close of nil channel");
	mp = gort__enter_nosched();
	closed = close_into(mp, c, &end);
	*end = NULL;
	if (first != NULL)
		gort__ready_all(mp, first);
	gort__leave(mp);
	if (!closed)
		gort__panic("close of closed channel");
}

size_t gort_chan_len(const gort_chan *c)
{
	return c != NULL ? gort__load_relaxed(&c->count) : 0;
}

size_t gort_chan_cap(const gort_chan *c)
{
	return c != NULL ? c->cap : 0;
}

void gort_chan_add_sender(gort_chan *c, int n)
{
	int64_t now = gort__add_acq_rel(&c->senders, (int64_t)n) + n;

	if (now < 0)
		gort__panic("gort: negative sender count");
	if (now == 0 && n < 0)
		gort_chan_close(c);
}

void gort_chan_sender_done(gort_chan *c)
{
	gort_chan_add_sender(c, -1);
}
