/* SPDX-License-Identifier: MIT */
/*
 * libgort-chan: channels and select, as Go's, for elements of any size.
 *
 * A channel comes with one reference. Whoever sends, receives or closes must be sure that the channel lives until the
 * call returns: hold a reference (gort_chan_ref), or know of somebody who does. A NULL channel is Go's nil channel: it
 * blocks for ever, and is never chosen by a select.
 *
 * Blocking calls may reschedule (see core.h) and allocate nothing: a waiter's record lies on its own stack, and its peer
 * copies straight into its memory. That memory must therefore stay in place while the call lasts.
 */
#ifndef GORT_CHAN_H
#define GORT_CHAN_H

#include <gort/core.h>

GORT_EXTERN_C_BEGIN

/* Go: chan T. */
typedef struct gort_chan gort_chan;

/**
 * gort_chan_new - make a channel
 *
 * Of elements of elem_size bytes (0: signals without a value) and with room for capacity of them; 0: unbuffered, each
 * send waits for its receive. The reference is the caller's. NULL: out of memory, or sizes that overflow. Never blocks.
 * Go: make(chan T, capacity).
 *
 *     gort_chan *c = gort_chan_new(sizeof(int), 16);
 */
GORT_API gort_chan *gort_chan_new(size_t elem_size, size_t capacity);

/** gort_chan_ref - one more reference; returns c. NULL is fine. Never blocks. */
GORT_API gort_chan *gort_chan_ref(gort_chan *c);

/** gort_chan_unref - one reference fewer; the last one frees the channel and what is buffered. NULL is fine. Never blocks. */
GORT_API void gort_chan_unref(gort_chan *c);

/**
 * gort_chan_send - send *elem
 *
 * Blocks until a receiver or the buffer has taken it. Panics "send on closed channel". elem may be NULL when elem_size
 * is 0. Go: c <- v.
 *
 *     int v = 42;
 *     gort_chan_send(c, &v);
 */
GORT_API void gort_chan_send(gort_chan *c, const void *elem);

/**
 * gort_chan_recv - receive into *elem
 *
 * Blocks until there is a value. 0, or -EPIPE when the channel is closed and drained (*elem is zeroed). elem may be
 * NULL: the value is dropped. Go: v, ok := <-c.
 *
 *     while (gort_chan_recv(c, &v) == 0) ...
 */
GORT_API int gort_chan_recv(gort_chan *c, void *elem);

/**
 * gort_chan_try_send - send if that takes no waiting
 *
 * 0 or -EAGAIN. Panics when closed. Never blocks. Go: select with a send and a default.
 */
GORT_API int gort_chan_try_send(gort_chan *c, const void *elem);

/**
 * gort_chan_try_recv - receive if that takes no waiting
 *
 * 0, -EAGAIN, or -EPIPE when closed and drained. Never blocks. Go: select with a receive and a default.
 */
GORT_API int gort_chan_try_recv(gort_chan *c, void *elem);

/**
 * gort_chan_send_until - send, or give up at the deadline
 *
 * 0 or -ETIMEDOUT; a deadline that has passed beats readiness. Panics when closed. Blocks.
 */
GORT_API int gort_chan_send_until(gort_chan *c, const void *elem, gort_time deadline);

/**
 * gort_chan_recv_until - receive, or give up at the deadline
 *
 * 0, -EPIPE or -ETIMEDOUT; a deadline that has passed beats readiness. On -ETIMEDOUT *elem is as it was. Blocks.
 */
GORT_API int gort_chan_recv_until(gort_chan *c, void *elem, gort_time deadline);

/**
 * gort_chan_close - no more values
 *
 * Receivers get what is buffered, then -EPIPE; all who wait are woken, senders to panic. Panics "close of closed channel",
 * "close of nil channel". Never blocks. Go: close(c).
 */
GORT_API void gort_chan_close(gort_chan *c);

/** gort_chan_len - how many values are buffered at this moment. NULL: 0. Never blocks. Go: len(c). */
GORT_API size_t gort_chan_len(const gort_chan *c);

/** gort_chan_cap - room for how many. NULL: 0. Never blocks. Go: cap(c). */
GORT_API size_t gort_chan_cap(const gort_chan *c);

/**
 * gort_chan_add_sender - n more goroutines are going to send
 *
 * Counts senders, so that the last one closes the channel by gort_chan_sender_done. n may be negative; a count that gets
 * back to 0 closes, one below panics "gort: negative sender count". Never blocks.
 *
 *     gort_chan_add_sender(c, 8);
 *     for (int i = 0; i < 8; i++) gort_go(produce, c);        // each ends with gort_chan_sender_done(c)
 */
GORT_API void gort_chan_add_sender(gort_chan *c, int n);

/** gort_chan_sender_done - one sender fewer; the last one closes the channel. Never blocks. */
GORT_API void gort_chan_sender_done(gort_chan *c);

/* --- select ----------------------------------------------------------------------------------------------------- */

enum { GORT_OP_SEND = 1, GORT_OP_RECV = 2 };

/* One case of a select. */
typedef struct gort_case {
	gort_chan *chan;        /* NULL: never ready */
	void *elem;             /* what to send, or where to receive to; may be NULL as in send and recv */
	int op;                 /* GORT_OP_SEND or GORT_OP_RECV */
	int result;             /* set in the case that ran: 0, or -EPIPE for a receive from a closed channel */
} gort_case;

/**
 * GORT_CASE_SEND, GORT_CASE_RECV - the initialisers of a gort_case
 *
 * One that sends what ptr points to, one that receives to there; ptr may be NULL as in gort_chan_send and gort_chan_recv. In C
 * and C++. Go: case c <- v, case v, ok = <-c.
 *
 *     gort_case cases[] = { GORT_CASE_RECV(in, &v), GORT_CASE_SEND(out, &w) };
 */
#ifdef __cplusplus
#define GORT_CASE_SEND(c, ptr) { (c), const_cast<void *>(static_cast<const void *>(ptr)), GORT_OP_SEND, 0 }
#define GORT_CASE_RECV(c, ptr) { (c), (ptr), GORT_OP_RECV, 0 }
#else
#define GORT_CASE_SEND(c, ptr) { (c), (void *)(uintptr_t)(const void *)(ptr), GORT_OP_SEND, 0 }
#define GORT_CASE_RECV(c, ptr) { (c), (ptr), GORT_OP_RECV, 0 }
#endif

/**
 * gort_select - wait for several channel operations, do one
 *
 * Blocks until one of the n cases can go ahead, does it and returns its index; among several ready ones each is as
 * likely. No case, or only NULL channels: blocks for ever. A send on a closed channel panics. An op that is neither send nor
 * receive is fatal. Up to 16 cases take no heap; more that cannot get their memory are fatal ("out of memory"). Go:
 * select.
 *
 *     gort_case cases[] = { GORT_CASE_RECV(in, &v), GORT_CASE_SEND(out, &w) };
 *     switch (gort_select(cases, 2)) {
 *     case 0: if (cases[0].result == 0) use(v); break;
 *     case 1: break;
 *     }
 */
GORT_API int gort_select(gort_case *cases, size_t n);

/** gort_select_try - as gort_select, or -EAGAIN when none is ready. Never blocks. Go: select with a default. */
GORT_API int gort_select_try(gort_case *cases, size_t n);

/**
 * gort_select_until - as gort_select, or -ETIMEDOUT at the deadline
 *
 * A deadline that has passed beats readiness. Blocks.
 */
GORT_API int gort_select_until(gort_case *cases, size_t n, gort_time deadline);

/* --- time as values --------------------------------------------------------------------------------------------- */

/**
 * gort_after - a channel that gets the time, once, d from now
 *
 * Of gort_time, with room for one; d of 0 or less: at once. The reference is the caller's; giving it up calls the timer off.
 * NULL: out of memory. To wait with a deadline the _until forms are cheaper. Never blocks. From anywhere. Go: time.After.
 *
 *     gort_chan *late = gort_after(GORT_SECOND);
 *     gort_case cases[] = { GORT_CASE_RECV(in, &v), GORT_CASE_RECV(late, NULL) };
 */
GORT_API gort_chan *gort_after(gort_duration d);

/* Go: time.Ticker. */
typedef struct gort_ticker gort_ticker;

/**
 * gort_ticker_new - a channel that gets the time every d
 *
 * The first time d from now. A reader that is slow misses ticks: the channel holds one. No goroutine stands behind it. It is
 * the caller's to free. Panics "non-positive interval for NewTicker" for a d of 0 or less. NULL: out of memory. Never blocks.
 * From anywhere. Go: time.NewTicker.
 *
 *     gort_ticker *t = gort_ticker_new(100 * GORT_MILLISECOND);
 *     while (gort_chan_recv(gort_ticker_chan(t), NULL) == 0) poll_it();
 */
GORT_API gort_ticker *gort_ticker_new(gort_duration d);

/** gort_ticker_chan - the channel, of gort_time. It is the ticker's: take a reference to keep it. Never blocks. Go: t.C. */
GORT_API gort_chan *gort_ticker_chan(gort_ticker *t);

/**
 * gort_ticker_reset - tick every d from now on
 *
 * Whether it was stopped or not. A tick of before that nobody has received does not arrive any more. Panics "non-positive
 * interval for Ticker.Reset" for a d of 0 or less. Never blocks. From anywhere. Go: Ticker.Reset.
 */
GORT_API void gort_ticker_reset(gort_ticker *t, gort_duration d);

/**
 * gort_ticker_stop - no more ticks
 *
 * When it returns none arrives, not even one that was sent before and not received. The channel is not closed: who waits there
 * goes on waiting. Never blocks. From anywhere. Go: Ticker.Stop.
 */
GORT_API void gort_ticker_stop(gort_ticker *t);

/** gort_ticker_free - stop the ticker, and give it and its channel up. NULL is fine. Never blocks. From anywhere. */
GORT_API void gort_ticker_free(gort_ticker *t);

GORT_EXTERN_C_END

#endif
