/* SPDX-License-Identifier: MIT */
/*
 * What the files of libgort-context share: the kinds of contexts, whole.
 *
 * A context that can be cancelled lies in one piece of memory with its done channel, behind it, and lives as long as that. It
 * is done from the moment the channel is closed, and from no other: what err, cause and why say was written before that
 * (under the lock, once, when it was struck), and is read only after the channel was found closed.
 */
#ifndef GORT__CONTEXT_NODE_H
#define GORT__CONTEXT_NODE_H

#include <gort/context.h>
#include <gort/done.h>
#include <gort/gmp.h>
#include <gort/timer.h>

#include "tree.h"

struct node {
	struct ctx_node tree;           /* first: a ctx_node is a node */
	gort_chan *done;                /* fixed */
	gort_time deadline;             /* GORT_FOREVER: none; fixed */
	gort_timer *timer;              /* for a deadline of its own; NULL: none; fixed once made */
	int err;                        /* -ECANCELED or -ETIMEDOUT; written once, before done is closed */
	int cause;                      /* likewise */
	const char *why;                /* likewise; own_why, or that of the ancestor with whom it was cancelled */
	char *own_why;                  /* freed at its end; written before done is closed */
	gort_context_hook *hooks;       /* waiting; under lock */
};

struct value {
	struct gort_context ctx;
	const void *key;
	void *value;
	void (*destroy)(void *value);
};

enum hook_state { HOOK_WAITS, HOOK_RUNS, HOOK_STOPPED };

/*
 * A function for later. It waits in its node's list; whoever takes it off decides what becomes of it, and that is all there
 * is to its state:
 *
 *            by cancel                          by stop
 *   RUNS  <-------------  WAITS  ------------------------->  STOPPED
 *
 * Two hold it: the user's handle, and its waiting or running.
 */
struct gort_context_hook {
	gort_context_hook *next, **at;  /* in the list; under the node's lock */
	gort_context *ctx;              /* held; fixed */
	void (*fn)(void *arg);          /* fixed */
	void *arg;
	struct gort__reserved g;        /* the goroutine to be; not used where ctx can never be done; by who took it off */
	uint32_t refs;                  /* atomic */
	uint32_t state;                 /* enum hook_state; under the node's lock; atomic where there is no node */
};

static inline struct node *node_of(const gort_context *ctx)
{
	return (struct node *)ctx->node;
}

/* Is it done? Afterwards err, cause and why may be read. */
static inline bool node_is_done(const struct node *n)
{
	return gort__chan_is_closed(n->done);
}

/* cancel.c */
/* Cancels n, which the caller holds, and what is below it. why is copied. False: it was cancelled before. */
bool gort__node_cancel(struct node *n, int err, int cause, const char *why);
/* The same as a timer's function, within its rules. */
void gort__node_expire(struct node *n);
/* n was found struck, and has to be done from now on. */
void gort__node_finish(struct node *n);
/* A new n, seen by nobody yet, is cancelled like its parent, which was found struck. */
void gort__node_born_cancelled(struct node *n, struct node *parent);
/* Ends what a timer's function let go of and could not end: to be called now and then, on a user's behalf. */
void gort__node_bury(void);

/* hook.c */
/* Takes up to max hooks off the list, under n's lock: RUNS from now on, a list through next. */
gort_context_hook *gort__hook_take(struct node *n, unsigned max);
/* Starts their goroutines. */
void gort__hook_start(gort_context_hook *list);

#endif
