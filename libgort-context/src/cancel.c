/* SPDX-License-Identifier: MIT */
/*
 * Cancelling: a walk over the tree with a list of its own in place of recursion, and with one lock held at a time.
 *
 * A node is struck under its lock: from then on no child joins, its done channel is about to close, and children and hooks can
 * only become fewer. They are taken off some at a time, so that the lock is never held for long; each child that was not
 * cancelled before is struck, and goes on the list if there is anything below it. Who waited for one of them is collected
 * and made ready once per round: by the hundred thousand that is cheaper than one after the other.
 *
 * What was taken is held by the walk, and may have lost all its other references by the time the walk lets go of it. Then
 * it ends here; and values that end with it call the user's function. A timer's function must not do that, nor keep the
 * scheduler for long. It works through a part of what there is, and leaves the rest, and the ends, to a goroutine. Is there
 * no memory for one, it goes on by itself, and the ends wait for the next call that a user makes.
 */
#include "node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUND 64                /* children, or hooks, taken at a time */
#define BY_TIMER 1024           /* nodes that a timer's function cancels itself */

/*
 * What is on the lists was taken off its parent's list by this walk, so that its link is the walk's. Where the walk began
 * was not: another walk, of its parent, may just have taken it, and wants the link.
 */
struct walk {
	struct ctx_node *root;  /* struck, with children or hooks left; held; NULL: not any more */
	struct ctx_node *todo;  /* the same below it; through taken */
	struct ctx_node *dead;  /* held by the walk only, and not to be ended by it; through taken */
	gort_g *woken, **end;   /* who waited: a list through link */
	bool timer;             /* called by a timer's function, */
	uint32_t budget;        /* which may cancel so many more */
};

/* Nodes that a walk by a timer could not have ended: held, through taken. A stack that is taken as a whole; atomic. */
static struct ctx_node *unburied;

static void bury(struct ctx_node *dead)
{
	while (dead != NULL) {
		struct ctx_node *next = dead->taken;

		gort_context_unref(&dead->ctx);
		dead = next;
	}
}

void gort__node_bury(void)
{
	/* acquire: pairs with leave_unburied */
	if (gort__unlikely(gort__load_relaxed(&unburied) != NULL))
		bury(gort__xchg_acquire(&unburied, NULL));
}

static void leave_unburied(struct ctx_node *dead)
{
	struct ctx_node *last = dead, *head;

	while (last->taken != NULL)
		last = last->taken;
	head = gort__load_relaxed(&unburied);
	do {
		last->taken = head;
	} while (!gort__cas_release(&unburied, &head, dead));   /* pairs with the acquire in gort__node_bury */
}

static void let_go(struct walk *w, struct ctx_node *n)
{
	if (!w->timer) {
		gort_context_unref(&n->ctx);
	} else if (!ctx_put_unless_last(&n->ctx)) {
		n->taken = w->dead;
		w->dead = n;
	}
}

static void wake(struct walk *w)
{
	gort__m *mp;

	if (w->end == &w->woken)
		return;
	*w->end = NULL;
	mp = gort__enter_nosched();
	gort__ready_all(mp, w->woken);
	gort__leave(mp);
	w->end = &w->woken;
}

/* Is there anything below n? Struck, and under its lock. */
static bool has_more(const struct node *n)
{
	return n->tree.children != NULL || n->hooks != NULL;
}

/*
 * Cancels n itself. True: it was not yet. *more: there is something below it. own_why becomes n's if it is.
 *
 * Done is closed without the lock, for closing may have to wait for somebody who waits for that (bias.h). So it is open for
 * another moment after n was struck; whoever finds n struck closes it, if he can be first, before he says that n is done.
 */
static bool strike(struct walk *w, struct node *n, int err, int cause, const char *why, char *own_why, bool *more)
{
	bool first;

	gort__lock_lock(&n->tree.lock);
	first = !n->tree.struck;
	if (first) {
		n->tree.struck = 1;
		n->err = err;
		n->cause = cause;
		n->why = why;
		n->own_why = own_why;
		*more = has_more(n);
	}
	gort__lock_unlock(&n->tree.lock);
	if (gort__unlikely(!first && node_is_done(n)))
		return false;
	gort__chan_close_into(n->done, &w->end);
	if (first && n->timer != NULL)
		gort_timer_stop(n->timer);
	return first;
}

/* A child that was taken off the list of above: cancelled like it, unless it was before. Held by the walk. */
static void strike_child(struct walk *w, struct ctx_node *c, const struct node *above)
{
	bool more = false;

	if (strike(w, (struct node *)c, above->err, above->cause, above->why, NULL, &more) && more) {
		c->taken = w->todo;
		w->todo = c;
	} else {
		let_go(w, c);
	}
}

static bool is_over(const struct walk *w)
{
	return w->todo == NULL && w->root == NULL;
}

/* One round on the first of todo, and on the root when that is empty. */
static void one_round(struct walk *w)
{
	struct ctx_node *t = w->todo != NULL ? w->todo : w->root, *c;
	struct node *n = (struct node *)t;
	gort_context_hook *hooks;
	bool more;

	gort__lock_lock(&t->lock);
	c = ctx_take(t, ROUND);
	hooks = gort__hook_take(n, ROUND);
	more = has_more(n);
	gort__lock_unlock(&t->lock);
	if (!more && t == w->root)
		w->root = NULL;
	else if (!more)
		w->todo = t->taken;
	while (c != NULL) {
		struct ctx_node *next = c->taken;

		strike_child(w, c, n);
		if (w->budget > 0)
			w->budget--;
		c = next;
	}
	gort__hook_start(hooks);
	wake(w);
	if (!more)
		let_go(w, t);
}

static void carry_on(void *arg)
{
	struct walk w = *(struct walk *)arg;

	w.end = &w.woken;
	w.timer = false;
	while (!is_over(&w))
		one_round(&w);
	bury(w.dead);
}

/* Cancels n, of which the walk is given a reference, and what is below. */
static bool walk(struct walk *w, struct node *n, int err, int cause, const char *why, char *own_why)
{
	struct node *above = node_of(n->tree.ctx.parent);
	bool more = false;

	w->end = &w->woken;
	if (!strike(w, n, err, cause, why, own_why, &more)) {
		wake(w);
		let_go(w, &n->tree);
		return false;
	}
	if (above != NULL)
		ctx_leave(&above->tree, &n->tree);
	wake(w);
	if (!more) {
		let_go(w, &n->tree);
		return true;
	}
	w->root = &n->tree;
	while (!is_over(w) && (!w->timer || w->budget > 0))
		one_round(w);
	return true;
}

bool gort__node_cancel(struct node *n, int err, int cause, const char *why)
{
	char *copy = why != NULL ? strdup(why) : NULL;
	struct walk w = { 0 };

	gort_context_ref(&n->tree.ctx);
	if (walk(&w, n, err, cause, copy, copy))
		return true;
	free(copy);
	return false;
}

void gort__node_expire(struct node *n)
{
	struct walk w = { .timer = true, .budget = BY_TIMER };

	/* the memory is there until the timer is freed and this has returned; the context may be ending all the same */
	if (!ctx_try_ref(&n->tree))
		return;
	walk(&w, n, -ETIMEDOUT, -ETIMEDOUT, NULL, NULL);
	if (is_over(&w) && w.dead == NULL)
		return;
	if (gort_go_copy(carry_on, &w, sizeof w) == 0)
		return;
	while (!is_over(&w))
		one_round(&w);
	if (w.dead != NULL)
		leave_unburied(w.dead);
}

void gort__node_born_cancelled(struct node *n, struct node *parent)
{
	struct walk w = { 0 };
	bool more;

	/* what it says was written under the lock that told that it is */
	w.end = &w.woken;
	gort__chan_close_into(parent->done, &w.end);
	strike(&w, n, parent->err, parent->cause, parent->why, NULL, &more);
	wake(&w);
}

void gort__node_finish(struct node *n)
{
	struct walk w = { 0 };

	w.end = &w.woken;
	gort__chan_close_into(n->done, &w.end);
	wake(&w);
}

static const char *not_cancellable(const gort_context *ctx)
{
	switch (ctx->kind) {
	case CTX_BACKGROUND:
		return "cancel of context.Background";
	case CTX_TODO:
		return "cancel of context.TODO";
	case CTX_VALUE:
		return "cancel of context.WithValue";
	case CTX_WITHOUT:
		return "cancel of context.WithoutCancel";
	default:
		return NULL;
	}
}

void gort_context_cancel_cause(gort_context *ctx, int err, const char *why)
{
	const char *words = not_cancellable(ctx);

	if (gort__unlikely(words != NULL))
		gort__panic(words);
	gort__node_bury();
	gort__node_cancel((struct node *)ctx, -ECANCELED, err != 0 ? err : -ECANCELED, why);
}

void gort_context_cancel(gort_context *ctx)
{
	gort_context_cancel_cause(ctx, 0, NULL);
}

void gort_context_drop(gort_context *ctx)
{
	if (ctx == NULL)
		return;
	if (ctx->kind != CTX_VALUE && ctx->kind != CTX_WITHOUT)
		gort_context_cancel(ctx);
	gort_context_unref(ctx);
}
