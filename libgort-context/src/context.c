/* SPDX-License-Identifier: MIT */
/* Contexts: making them, asking them, their ends. tree.h and node.h draw the structures; cancel.c cancels. */
#include "node.h"

#include <errno.h>
#include <stdlib.h>

static struct gort_context background = { .kind = CTX_BACKGROUND };
static struct gort_context todo = { .kind = CTX_TODO };

gort_context *gort_context_background(void)
{
	return &background;
}

gort_context *gort_context_todo(void)
{
	return &todo;
}

/* --- those that can be cancelled --- */

static void expire(gort__m *mp, void *arg, gort_time now, uint64_t turn)
{
	(void)mp;
	(void)now;
	(void)turn;             /* a cancelled context's timer is stopped, and cancelling twice does nothing */
	gort__node_expire(arg);
}

/* The timer has let go of the node, whose memory is the channel's. */
static void release(void *arg)
{
	struct node *n = arg;

	gort_chan_unref(n->done);
}

/* A node of its own, which nobody has seen yet; NULL: out of memory. */
static struct node *make(gort_context *parent, gort_time deadline, bool timer)
{
	struct node *n, *above = node_of(parent);
	gort_chan *done;
	void *owner;

	done = gort__chan_new_with(sizeof *n, &owner);
	if (done == NULL)
		return NULL;
	n = owner;
	*n = (struct node){
		.tree.ctx = { .refs = 1, .kind = CTX_NODE, .parent = parent, .node = &n->tree },
		.done = done,
		.deadline = above != NULL && above->deadline < deadline ? above->deadline : deadline,
	};
	gort__lock_init(&n->tree.lock);
	if (timer) {
		n->timer = gort__timer_new(expire, release, n);
		if (n->timer == NULL) {
			gort_chan_unref(done);
			return NULL;
		}
		gort_chan_ref(done);    /* the timer's, until release */
	}
	return n;
}

static gort_context *with_deadline(gort_context *parent, gort_time t)
{
	struct node *n, *above;
	bool timer, past;

	gort__node_bury();
	if (parent == NULL)
		return NULL;
	above = node_of(parent);
	past = t != GORT_FOREVER && t <= gort_now();
	timer = !past && t != GORT_FOREVER && (above == NULL || t < above->deadline);
	n = make(parent, t, timer);
	if (n == NULL)
		return NULL;
	gort_context_ref(parent);
	if (above != NULL && !ctx_join(&above->tree, &n->tree)) {
		gort__node_born_cancelled(n, above);
	} else if (past) {
		gort__node_cancel(n, -ETIMEDOUT, -ETIMEDOUT, NULL);
	} else if (timer) {
		gort__timer_set(n->timer, t, 0);
		/*
		 * Cancelled meanwhile? Whoever does so closes done first and stops the timer then: if that was too early we find
		 * done closed here, for both of us take the timer's lock in between.
		 */
		if (node_is_done(n))
			gort_timer_stop(n->timer);
	}
	return &n->tree.ctx;
}

gort_context *gort_context_with_cancel(gort_context *parent)
{
	return with_deadline(parent, GORT_FOREVER);
}

gort_context *gort_context_with_deadline(gort_context *parent, gort_time t)
{
	return with_deadline(parent, t);
}

gort_context *gort_context_with_timeout(gort_context *parent, gort_duration d)
{
	return with_deadline(parent, gort_deadline(d));
}

static void end_node(struct node *n)
{
	struct node *above = node_of(n->tree.ctx.parent);

	if (above != NULL)
		ctx_leave(&above->tree, &n->tree);
	free(n->own_why);
	if (n->timer != NULL)
		gort_timer_free(n->timer);
	gort_chan_unref(n->done);
}

/* --- values --- */

gort_context *gort_context_with_value(gort_context *parent, const void *key, void *value, void (*destroy)(void *value))
{
	struct value *v;

	gort__node_bury();
	if (parent == NULL)
		return NULL;
	if (key == NULL)
		gort__panic("nil key");
	v = malloc(sizeof *v);
	if (v == NULL)
		return NULL;
	*v = (struct value){
		.ctx = { .refs = 1, .kind = CTX_VALUE, .parent = gort_context_ref(parent), .node = parent->node },
		.key = key,
		.value = value,
		.destroy = destroy,
	};
	return &v->ctx;
}

void *gort_context_value(gort_context *ctx, const void *key)
{
	for (; ctx != NULL; ctx = ctx->parent) {
		struct value *v = (struct value *)ctx;

		if (ctx->kind == CTX_VALUE && v->key == key)
			return v->value;
	}
	return NULL;
}

static void end_value(struct value *v)
{
	if (v->destroy != NULL)
		v->destroy(v->value);
	free(v);
}

gort_context *gort_context_without_cancel(gort_context *parent)
{
	gort_context *ctx;

	gort__node_bury();
	if (parent == NULL)
		return NULL;
	ctx = malloc(sizeof *ctx);
	if (ctx == NULL)
		return NULL;
	*ctx = (struct gort_context){ .refs = 1, .kind = CTX_WITHOUT, .parent = gort_context_ref(parent) };
	return ctx;
}

/* --- references --- */

static bool is_root(const gort_context *ctx)
{
	return ctx->parent == NULL;
}

gort_context *gort_context_ref(gort_context *ctx)
{
	if (ctx != NULL && !is_root(ctx))
		gort__add_relaxed(&ctx->refs, 1);
	return ctx;
}

/* A context that ends gives up its parent, which may end in its turn: a loop, however deep the tree. */
void gort_context_unref(gort_context *ctx)
{
	while (ctx != NULL && !is_root(ctx) && ctx_put(ctx)) {
		gort_context *parent = ctx->parent;

		switch (ctx->kind) {
		case CTX_NODE:
			end_node((struct node *)ctx);
			break;
		case CTX_VALUE:
			end_value((struct value *)ctx);
			break;
		default:
			free(ctx);
		}
		ctx = parent;
	}
}

/* --- asking --- */

gort_chan *gort_context_done(gort_context *ctx)
{
	struct node *n = node_of(ctx);

	return n != NULL ? n->done : NULL;
}

bool gort_context_is_done(gort_context *ctx)
{
	struct node *n = node_of(ctx);

	return n != NULL && node_is_done(n);
}

int gort_context_err(gort_context *ctx)
{
	struct node *n = node_of(ctx);

	return n != NULL && node_is_done(n) ? n->err : 0;
}

int gort_context_cause(gort_context *ctx, const char **why)
{
	struct node *n = node_of(ctx);
	bool done = n != NULL && node_is_done(n);

	if (why != NULL)
		*why = done ? n->why : NULL;
	return done ? n->cause : 0;
}

bool gort_context_deadline(gort_context *ctx, gort_time *t)
{
	struct node *n = node_of(ctx);

	if (n == NULL || n->deadline == GORT_FOREVER)
		return false;
	if (t != NULL)
		*t = n->deadline;
	return true;
}
