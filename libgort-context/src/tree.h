/* SPDX-License-Identifier: MIT */
/*
 * The tree of contexts that can be cancelled: how a child comes to be on its parent's list, how it leaves, and how whoever
 * cancels the parent takes it off.
 *
 * The list holds nobody: a child may have lost its last reference and be on its way to leave. Under the parent's lock its
 * memory is there all the same, since it ends only when it is off the list. Whoever cancels therefore adds a reference to
 * what it takes, unless there is none left:
 *
 *   cancel of the parent, under its lock      the end of a child
 *   first child: references > 0? one more     references 1 -> 0
 *   off the list                              listed? then under the parent's lock: off the list
 *   listed = false (release)                  free
 *
 * For the one that is ending, that last store is the taker's last touch, and so the end need not take the lock again when it
 * finds listed false (acquire). A parent is marked as struck under its lock before its list is taken, and a child joins
 * under that lock only while it is not struck: nobody is missed.
 *
 * This header is compiled as it is into tests/model.
 */
#ifndef GORT__CONTEXT_TREE_H
#define GORT__CONTEXT_TREE_H

#include <gort/lock.h>

#include <stddef.h>

struct ctx_node;

enum ctx_kind { CTX_BACKGROUND, CTX_TODO, CTX_NODE, CTX_VALUE, CTX_WITHOUT };

/* What every context begins with. */
struct gort_context {
	uint32_t refs;                  /* atomic; of a root nobody counts */
	uint32_t kind;                  /* enum ctx_kind; fixed */
	struct gort_context *parent;    /* held; NULL: a root; fixed */
	struct ctx_node *node;          /* the nearest that can be cancelled, itself or an ancestor; NULL: none; fixed */
};

/* One that can be cancelled; ctx.h has the rest of it. */
struct ctx_node {
	struct gort_context ctx;
	gort__lock lock;                /* rank: contexts, never two at a time; before channels and core's own */
	uint32_t struck;                /* cancelled, or about to be: no child joins any more; under lock */
	uint32_t listed;                /* in the parent's list; written under the parent's lock; atomic */
	struct ctx_node *children;      /* under lock */
	struct ctx_node *next, **at;    /* in the parent's list; under the parent's lock */
	struct ctx_node *taken;         /* who took it off the list: the next one on that one's own list */
};

/* One more reference, unless it is ending. Whoever asks knows that its memory is there. */
static inline bool ctx_try_ref(struct ctx_node *n)
{
	uint32_t refs = gort__load_relaxed(&n->ctx.refs);

	/* relaxed: what the reference is to protect was seen by way of the lock */
	while (refs != 0) {
		if (gort__cas_relaxed(&n->ctx.refs, &refs, refs + 1))
			return true;
	}
	return false;
}

/* One reference fewer; true: it was the last, and the caller has to end the context. */
static inline bool ctx_put(struct gort_context *ctx)
{
	/* release: what this owner did comes before the end; acquire: for the one that ends it */
	return gort__add_acq_rel(&ctx->refs, -1u) == 1;
}

/* One reference fewer, unless it is the last one: then what the others did has happened before. */
static inline bool ctx_put_unless_last(struct gort_context *ctx)
{
	uint32_t refs = gort__load_acquire(&ctx->refs);         /* pairs with the release in ctx_put */

	while (refs != 1) {
		if (gort__cas_acq_rel(&ctx->refs, &refs, refs - 1))     /* release: pairs with the acquire in ctx_put */
			return true;
	}
	return false;
}

/* Under p's lock. */
static inline void ctx_unlist(struct ctx_node *c)
{
	struct ctx_node *next = gort__plain_read(&c->next);
	struct ctx_node **at = gort__plain_read(&c->at);

	gort__plain_write(at, next);
	if (next != NULL)
		gort__plain_write(&next->at, at);
}

/* c becomes a child of p. False: p is cancelled, and so is c to be. */
static inline bool ctx_join(struct ctx_node *p, struct ctx_node *c)
{
	struct ctx_node *first;

	gort__lock_lock(&p->lock);
	if (gort__unlikely(gort__plain_read(&p->struck))) {
		gort__lock_unlock(&p->lock);
		return false;
	}
	first = gort__plain_read(&p->children);
	gort__plain_write(&c->next, first);
	gort__plain_write(&c->at, &p->children);
	if (first != NULL)
		gort__plain_write(&first->at, &c->next);
	gort__plain_write(&p->children, c);
	gort__store_relaxed(&c->listed, 1);     /* whoever clears it does so under the lock */
	gort__lock_unlock(&p->lock);
	return true;
}

/* c, which is cancelled or ends, leaves p's list, if it is still on it. */
static inline void ctx_leave(struct ctx_node *p, struct ctx_node *c)
{
	if (!gort__load_acquire(&c->listed))    /* pairs with ctx_take */
		return;
	gort__lock_lock(&p->lock);
	if (gort__load_relaxed(&c->listed)) {
		ctx_unlist(c);
		gort__store_relaxed(&c->listed, 0);
	}
	gort__lock_unlock(&p->lock);
}

/* Takes up to max children off p's list, each with a reference: a list through taken. Under p's lock. */
static inline struct ctx_node *ctx_take(struct ctx_node *p, unsigned max)
{
	struct ctx_node *first = NULL, **end = &first, *c;

	while (max-- > 0 && (c = gort__plain_read(&p->children)) != NULL) {
		bool lives = ctx_try_ref(c);

		ctx_unlist(c);
		if (lives) {
			gort__plain_write(end, c);
			end = &c->taken;
		}
		gort__store_release(&c->listed, 0);     /* the last touch of one that is ending; pairs with ctx_leave */
	}
	gort__plain_write(end, NULL);
	return first;
}

#endif
