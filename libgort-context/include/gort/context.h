/* SPDX-License-Identifier: MIT */
/*
 * libgort-context: contexts, as Go's: a tree along which cancellation, deadlines and values reach whatever works on one
 * request.
 *
 * A context comes with one reference (gort_context_ref, gort_context_unref), and may be used from any thread by whoever
 * holds one, or knows of somebody who does. A child holds its parent, never the other way round: the last reference gone, a
 * context leaves its parent and its timer is stopped, be it cancelled or not.
 *
 * Only contexts of gort_context_with_cancel, _with_deadline and _with_timeout have a cancellation of their own. Those of
 * gort_context_with_value have their parent's: the same done channel, error, cause and deadline.
 */
#ifndef GORT_CONTEXT_H
#define GORT_CONTEXT_H

#include <gort/chan.h>
#include <gort/core.h>

GORT_EXTERN_C_BEGIN

/* Go: context.Context. */
typedef struct gort_context gort_context;
/* A function that is to run on cancellation: gort_context_after_func. */
typedef struct gort_context_hook gort_context_hook;

/* --- making them ------------------------------------------------------------------------------------------------ */

/**
 * gort_context_background, gort_context_todo - the root contexts
 *
 * Never cancelled, without deadline and values; there is one of each, for ever: ref and unref do nothing, cancelling one
 * panics. todo is for where it is not clear yet which context to use. Never blocks. Go: context.Background, context.TODO.
 */
GORT_API gort_context *gort_context_background(void);
GORT_API gort_context *gort_context_todo(void);

/**
 * gort_context_with_cancel - a child to be cancelled by itself
 *
 * It is cancelled with its parent too, at once if the parent is already. The reference is the caller's; it holds parent. NULL:
 * out of memory, or a NULL parent. Never blocks. Go: context.WithCancel.
 *
 *     gort_context *ctx = gort_context_with_cancel(parent);
 *     gort_go(search, ctx);
 *     ...
 *     gort_context_drop(ctx);
 */
GORT_API gort_context *gort_context_with_cancel(gort_context *parent);

/**
 * gort_context_with_deadline, gort_context_with_timeout - a child that is also cancelled by time
 *
 * As gort_context_with_cancel, and with -ETIMEDOUT when the time has come: at t, d from now; at once if that is not in the
 * future. A parent's earlier deadline counts, and needs no second timer; GORT_FOREVER is none. There is a timer behind it and
 * no goroutine; gort_context_drop, or the last gort_context_unref, stops it. Never blocks. Go: context.WithDeadline,
 * WithTimeout.
 *
 *     gort_context *ctx = gort_context_with_timeout(parent, 2 * GORT_SECOND);
 */
GORT_API gort_context *gort_context_with_deadline(gort_context *parent, gort_time t);
GORT_API gort_context *gort_context_with_timeout(gort_context *parent, gort_duration d);

/**
 * gort_context_with_value - a child with a value
 *
 * gort_context_value finds it by key, which is compared as a pointer: the address of something of yours. destroy(value), if
 * not NULL, is called when the context ends, by whichever call ends it, or in a goroutine of its own; it may block. NULL: out
 * of memory, or a NULL parent; the value is still the caller's then. Panics "nil key". It has no cancellation of its own:
 * cancelling it panics, and gort_context_drop is gort_context_unref. Never blocks. Go: context.WithValue.
 *
 *     static char request_id;
 *     ctx = gort_context_with_value(parent, &request_id, strdup(id), free);
 */
GORT_API gort_context *gort_context_with_value(gort_context *parent, const void *key, void *value, void (*destroy)(void *value));

/**
 * gort_context_without_cancel - a child that outlives its parent's cancellation
 *
 * With the values of its parent, but never done: no cancellation, no deadline, a NULL done channel. Cancelling it panics, and
 * gort_context_drop is gort_context_unref. NULL: out of memory, or a NULL parent. Never blocks. Go: context.WithoutCancel.
 */
GORT_API gort_context *gort_context_without_cancel(gort_context *parent);

/** gort_context_ref - one more reference; returns ctx. NULL is fine. Never blocks. */
GORT_API gort_context *gort_context_ref(gort_context *ctx);

/**
 * gort_context_unref - one reference fewer
 *
 * With the last one the context leaves its parent, its timer is stopped, and its value destroyed; it is not cancelled, nor are
 * its descendants (which hold it, so there are none by then). NULL is fine. Blocks if what destroys a value does.
 */
GORT_API void gort_context_unref(gort_context *ctx);

/* --- cancelling ------------------------------------------------------------------------------------------------- */

/**
 * gort_context_cancel - cancel a context, and all its descendants
 *
 * With -ECANCELED. When the call that was first returns, every descendant is done, or being cancelled by another call just
 * now; later ones do nothing. A root panics:
 * "cancel of context.Background", "cancel of context.TODO"; so does a context without a cancellation of its own: "cancel of
 * context.WithValue", "cancel of context.WithoutCancel". Never blocks. Go: the CancelFunc.
 */
GORT_API void gort_context_cancel(gort_context *ctx);

/**
 * gort_context_cancel_cause - cancel a context, and say why
 *
 * As gort_context_cancel; gort_context_cause of it, and of all descendants that this cancels, gives err (0: -ECANCELED) and
 * why, which is copied and may be NULL. If there is no memory for the copy the words are lost. Go: the CancelCauseFunc.
 *
 *     gort_context_cancel_cause(ctx, -EPIPE, "the client went away");
 */
GORT_API void gort_context_cancel_cause(gort_context *ctx, int err, const char *why);

/**
 * gort_context_drop - cancel a context, and give up the reference
 *
 * What most callers want when they are done with a context. A root panics; for one without a cancellation of its own it is
 * gort_context_unref. NULL is fine. Blocks if gort_context_unref does. Go: defer cancel().
 */
GORT_API void gort_context_drop(gort_context *ctx);

/* --- asking ----------------------------------------------------------------------------------------------------- */

/**
 * gort_context_done - the channel that is closed on cancellation
 *
 * Borrowed: it is ctx's, so keep ctx (or a gort_chan_ref of it) while using it, and do not close it. NULL, on which a receive
 * blocks for ever, if ctx can never be done. Always the same one. Never blocks. Go: ctx.Done().
 *
 *     gort_case cases[] = { GORT_CASE_RECV(results, &r), GORT_CASE_RECV(gort_context_done(ctx), NULL) };
 *     if (gort_select(cases, 2) == 1) return gort_context_err(ctx);
 */
GORT_API gort_chan *gort_context_done(gort_context *ctx);

/**
 * gort_context_err - why a context is done
 *
 * 0 while it is not, -ECANCELED, or -ETIMEDOUT for a deadline that has passed. Never blocks. Go: ctx.Err().
 */
GORT_API int gort_context_err(gort_context *ctx);

/**
 * gort_context_cause - what was said on cancelling
 *
 * The err given to the gort_context_cancel_cause that was first, of ctx or an ancestor; else what gort_context_err gives. *why,
 * if why is not NULL, is that call's text, or NULL if there was none; it lives as long as ctx. Never blocks. Go:
 * context.Cause.
 */
GORT_API int gort_context_cause(gort_context *ctx, const char **why);

/**
 * gort_context_is_done - whether a context is done
 *
 * True: it has been cancelled, or its deadline has passed. Never blocks; some nanoseconds. Go: ctx.Err() != nil.
 */
GORT_API bool gort_context_is_done(gort_context *ctx);

/**
 * gort_context_deadline - when a context will be done at the latest
 *
 * True: it has a deadline, its own or an ancestor's earlier one, and *t (t may be NULL) is that. Never blocks. Go:
 * ctx.Deadline().
 */
GORT_API bool gort_context_deadline(gort_context *ctx, gort_time *t);

/** gort_context_value - the value under key, of ctx or the nearest ancestor with one; else NULL. Never blocks. Go: ctx.Value. */
GORT_API void *gort_context_value(gort_context *ctx, const void *key);

/* --- running something on cancellation ---------------------------------------------------------------------------- */

/**
 * gort_context_after_func - run fn when ctx is done
 *
 * Once, in a goroutine of its own, which cannot fail to start; at once if ctx is done. arg stays the caller's. The hook is
 * the caller's, to be given up by gort_context_hook_free; until then, and until fn has returned or been stopped, it holds ctx.
 * NULL: out of memory. A NULL fn is fatal. Never blocks. Go: context.AfterFunc.
 *
 *     gort_context_hook *h = gort_context_after_func(ctx, interrupt, conn);
 *     ...
 *     if (!gort_context_hook_stop(h)) ... interrupt has run, runs, or is about to
 *     gort_context_hook_free(h);
 */
GORT_API gort_context_hook *gort_context_after_func(gort_context *ctx, void (*fn)(void *arg), void *arg);

/** gort_context_hook_stop - keep fn from running; true: this call did. It does not wait for a running fn. Never blocks. */
GORT_API bool gort_context_hook_stop(gort_context_hook *h);

/** gort_context_hook_free - give the hook up. It does not stop fn. In fn too; NULL is fine. Blocks if gort_context_unref does. */
GORT_API void gort_context_hook_free(gort_context_hook *h);

GORT_EXTERN_C_END

#endif
