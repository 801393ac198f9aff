/* SPDX-License-Identifier: MIT */
/*
 * The tree of contexts: a parent is cancelled while children join it, lose their last reference, and are cancelled by
 * themselves. No child that lives is missed, and none is touched once it has been freed: freeing writes to all of it, so a late
 * touch is a data race.
 */
#include "model.h"

#include "runtime.h"

/* the lock's own insides are lock.c's to look at */
#define gort__lock_lock(l)   model_lock(&(l)->word)
#define gort__lock_unlock(l) model_unlock(&(l)->word)
#include "tree.h"

#define CHILDREN 2

static struct ctx_node parent;
static struct ctx_node child[CHILDREN];
static uint32_t freed[CHILDREN];        /* plain: written by whoever ends the child */
static uint32_t made[CHILDREN];         /* it joined; its owner's */

/* what a fault may put in place of those of tree.h */
static struct ctx_node *(*take)(struct ctx_node *p, unsigned max);
static void (*leave)(struct ctx_node *p, struct ctx_node *c);
static bool (*join)(struct ctx_node *p, struct ctx_node *c);

static void make(struct ctx_node *n, struct ctx_node *above)
{
	*n = (struct ctx_node){ .ctx = { .refs = 1, .kind = CTX_NODE, .parent = above != NULL ? &above->ctx : NULL, .node = n } };
	gort__lock_init(&n->lock);
}

static void setup(void)
{
	static const char *const names[CHILDREN][5] = {
		{ "first.refs", "first.listed", "first.struck", "first.next", "first.at" },
		{ "second.refs", "second.listed", "second.struck", "second.next", "second.at" },
	};

	gort__fenced = false;
	make(&parent, NULL);
	model_name(&parent.lock.word, "parent.lock", NULL);
	model_name(&parent.struck, "parent.struck", NULL);
	model_name(&parent.children, "parent.children", NULL);
	for (int i = 0; i < CHILDREN; i++) {
		make(&child[i], &parent);
		freed[i] = made[i] = 0;
		model_name(&child[i].ctx.refs, names[i][0], NULL);
		model_name(&child[i].listed, names[i][1], NULL);
		model_name(&child[i].struck, names[i][2], NULL);
		model_name(&child[i].next, names[i][3], NULL);
		model_name(&child[i].at, names[i][4], NULL);
	}
	take = ctx_take;
	leave = ctx_leave;
	join = ctx_join;
}

/* The first is on the list from the start. */
static void setup_listed(void)
{
	setup();
	child[0].listed = 1;
	child[0].at = &parent.children;
	parent.children = &child[0];
	made[0] = 1;
}

static void finish(void)
{
	model_assert(parent.struck == 1);
	model_assert(parent.children == NULL);
	for (int i = 0; i < CHILDREN; i++)
		model_assert(!made[i] || freed[i] || child[i].struck);
}

/* Gives up a reference; ends the child with the last one, as gort_context_unref does. */
static void unref(int i)
{
	struct ctx_node *c = &child[i];

	if (!ctx_put(&c->ctx))
		return;
	leave(&parent, c);
	gort__plain_write(&c->next, NULL);
	gort__plain_write(&c->at, NULL);
	gort__plain_write(&c->taken, NULL);
	gort__plain_write(&c->struck, 2);
	gort__plain_write(&freed[i], 1);
}

static void strike(struct ctx_node *c)
{
	gort__lock_lock(&c->lock);
	gort__plain_write(&c->struck, 1);
	gort__lock_unlock(&c->lock);
}

/* --- threads --- */

static void cancels_parent(void)
{
	struct ctx_node *c;
	bool more;

	strike(&parent);
	do {
		gort__lock_lock(&parent.lock);
		c = take(&parent, 1);
		more = gort__plain_read(&parent.children) != NULL;
		gort__lock_unlock(&parent.lock);
		if (c != NULL) {
			strike(c);
			unref((int)(c - child));
		}
	} while (more);
}

/* Takes both in one round. */
static void cancels_parent_in_one(void)
{
	struct ctx_node *c;

	strike(&parent);
	gort__lock_lock(&parent.lock);
	c = take(&parent, CHILDREN);
	gort__lock_unlock(&parent.lock);
	while (c != NULL) {
		struct ctx_node *next = gort__plain_read(&c->taken);

		strike(c);
		unref((int)(c - child));
		c = next;
	}
}

static void joins(int i)
{
	bool joined = join(&parent, &child[i]);

	gort__plain_write(&made[i], 1);
	if (!joined)
		strike(&child[i]);
}

static void second_joins(void)
{
	joins(1);
}

static void second_joins_and_ends(void)
{
	joins(1);
	unref(1);
}

static void first_ends(void)
{
	unref(0);
}

/* Cancelled by itself, then given up. */
static void first_is_dropped(void)
{
	strike(&child[0]);
	leave(&parent, &child[0]);
	unref(0);
}

/* --- faults --- */

/* Adds a reference to what may have none left. */
static struct ctx_node *take_all(struct ctx_node *p, unsigned max)
{
	struct ctx_node *c = gort__plain_read(&p->children);

	if (c == NULL)
		return NULL;
	gort__add_relaxed(&c->ctx.refs, 1);
	ctx_unlist(c);
	gort__store_release(&c->listed, 0);
	gort__plain_write(&c->taken, NULL);
	return c;
}

static void taking_adds_to_none(void)
{
	take = take_all;
}

/* Clears listed before it has done with the child. */
static struct ctx_node *take_early(struct ctx_node *p, unsigned max)
{
	struct ctx_node *c = gort__plain_read(&p->children);
	bool lives;

	if (c == NULL)
		return NULL;
	gort__store_release(&c->listed, 0);
	lives = ctx_try_ref(c);
	ctx_unlist(c);
	if (lives)
		gort__plain_write(&c->taken, NULL);
	return lives ? c : NULL;
}

static void taking_clears_early(void)
{
	take = take_early;
}

static void listed_is_relaxed(void)
{
	model_demote(&child[0].listed, MODEL_STORES);
}

/* Ends without a look at the list. */
static void leave_not(struct ctx_node *p, struct ctx_node *c)
{
}

static void ending_does_not_leave(void)
{
	leave = leave_not;
}

/* Looks whether the parent is struck before it has the lock. */
static bool join_early(struct ctx_node *p, struct ctx_node *c)
{
	bool struck;

	gort__lock_lock(&p->lock);
	struck = gort__plain_read(&p->struck);
	gort__lock_unlock(&p->lock);
	if (struck)
		return false;
	gort__lock_lock(&p->lock);
	gort__plain_write(&c->next, gort__plain_read(&p->children));
	gort__plain_write(&c->at, &p->children);
	if (gort__plain_read(&c->next) != NULL)
		gort__plain_write(&gort__plain_read(&c->next)->at, &c->next);
	gort__plain_write(&p->children, c);
	gort__store_relaxed(&c->listed, 1);
	gort__lock_unlock(&p->lock);
	return true;
}

static void joining_looks_early(void)
{
	join = join_early;
}

static void put_is_relaxed(void)
{
	model_demote(&child[0].ctx.refs, MODEL_RMWS);
}

#define THREADS(...) { __VA_ARGS__ }
#define PARENT { "parent", cancels_parent }

static const model_test tests[] = {
	{ "a child joins", setup, THREADS(PARENT, { "second", second_joins }), finish },
	{ "a child joins and ends", setup, THREADS(PARENT, { "second", second_joins_and_ends }), finish },
	{ "a child ends", setup_listed, THREADS(PARENT, { "first", first_ends }), finish },
	{ "a child is cancelled and ends", setup_listed, THREADS(PARENT, { "first", first_is_dropped }), finish },
	{ "one ends, another joins", setup_listed,
	  THREADS(PARENT, { "first", first_ends }, { "second", second_joins }), finish },
	{ "one is cancelled, another joins and ends", setup_listed,
	  THREADS({ "parent", cancels_parent_in_one }, { "first", first_is_dropped }, { "second", second_joins_and_ends }), finish },

	{ "fault: a reference is added to none", setup_listed, THREADS(PARENT, { "first", first_ends }), finish,
	  taking_adds_to_none, "" },
	{ "fault: it is off the list before it was let go", setup_listed, THREADS(PARENT, { "first", first_ends }), finish,
	  taking_clears_early, "data race" },
	{ "fault: that it is off the list is said relaxed", setup_listed, THREADS(PARENT, { "first", first_ends }), finish,
	  listed_is_relaxed, "data race" },
	{ "fault: the end does not leave the list", setup_listed, THREADS(PARENT, { "first", first_ends }), finish,
	  ending_does_not_leave, "" },
	{ "fault: joining looks at the parent too early", setup, THREADS(PARENT, { "second", second_joins }), finish,
	  joining_looks_early, "assertion failed" },
	{ "fault: giving up a reference is relaxed", setup_listed, THREADS(PARENT, { "first", first_ends }), finish,
	  put_is_relaxed, "data race" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
