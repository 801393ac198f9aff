/* SPDX-License-Identifier: MIT */
/*
 * The run queue: its holder pushes and pops inside the library, while thieves borrow the P and move half of the ring to
 * their own. Nothing is lost and nothing runs twice. The ring has GORT__RUNQ_SIZE 4 here, and its counters wrap.
 */
#include "model.h"

#include "runtime.h"

#include <stdio.h>
#include <string.h>

#define ITEMS 4

static gort__hold hold;
static struct gort__runq queue, loot[MODEL_THREADS];
static struct gort_g items[ITEMS];      /* never looked into */
static uint32_t pushed;                 /* how many items are or were in a queue; the holder's */
static uint32_t taken[ITEMS];           /* how often each came out of one */

static void show_item(char *buf, size_t size, uint64_t v)
{
	if (v == 0)
		snprintf(buf, size, "NULL");
	else
		snprintf(buf, size, "item %d", (int)((struct gort_g *)(uintptr_t)v - items));
}

static void setup_with(bool fenced)
{
	gort__fenced = fenced;
	hold.state = GORT__HOLD_OWNED | (fenced ? GORT__HOLD_FENCED : 0);
	hold.depth = 0;
	memset(&queue, 0, sizeof queue);
	memset(loot, 0, sizeof loot);
	memset(taken, 0, sizeof taken);
	queue.head = queue.tail = UINT32_MAX;
	pushed = 2;
	gort__runq_push(&queue, &items[0]);
	gort__runq_push(&queue, &items[1]);
	model_name(&hold.state, "state", NULL);
	model_name(&hold.depth, "depth", NULL);
	model_name(&queue.head, "head", NULL);
	model_name(&queue.tail, "tail", NULL);
	for (int i = 0; i < GORT__RUNQ_SIZE; i++)
		model_name(&queue.ring[i], "ring[]", show_item);
	for (int i = 0; i < ITEMS; i++)
		model_name(&taken[i], "taken[]", NULL);
}

static void setup(void)
{
	setup_with(false);
}

static void setup_fenced(void)
{
	setup_with(true);
}

static void take(struct gort_g *gp)
{
	uint32_t *t = &taken[gp - items];

	gort__plain_write(t, gort__plain_read(t) + 1);
}

static void finish(void)
{
	struct gort_g *gp;

	while ((gp = gort__runq_pop(&queue)) != NULL)
		take(gp);
	for (uint32_t i = 0; i < ITEMS; i++)
		model_assert(taken[i] == (i < pushed));
}

/* --- the holder --- */

static void enter(void)
{
	uint32_t w;

	if (gort__hold_enter(&hold))
		return;
	while (gort__hold_settle(&hold) != GORT__SETTLED_OWNED) {
		while (gort__hold_await(&hold, &w))
			gort__os_futex_wait(&hold.state, w, GORT_FOREVER);
	}
}

static void push_next(void)
{
	uint32_t i = gort__plain_read(&pushed);

	model_assert(gort__runq_push(&queue, &items[i]));
	gort__plain_write(&pushed, i + 1);
}

static void push(void)
{
	enter();
	push_next();
	gort__hold_leave(&hold);
}

static void pop(void)
{
	struct gort_g *gp;

	enter();
	gp = gort__runq_pop(&queue);
	if (gp != NULL)
		take(gp);
	gort__hold_leave(&hold);
}

static void holder(void)
{
	push();
	model_mark(1);
	push();
	model_mark(2);
	pop();
	model_mark(3);
	pop();
}

static void holder_short(void)
{
	struct gort_g *gp;

	enter();
	push_next();
	push_next();
	gp = gort__runq_pop(&queue);
	if (gp != NULL)
		take(gp);
	gort__hold_leave(&hold);
}

/* --- thieves: gort__p_steal --- */

static void run_loot(void)
{
	struct gort_g *gp;

	while ((gp = gort__runq_pop(&loot[model_self()])) != NULL)
		take(gp);
}

static void steal(void)
{
	if (gort__runq_len(&queue) == 0 || !gort__hold_ask(&hold, false))
		return;
	gort__runq_move_half(&queue, &loot[model_self()]);
	if (gort__hold_give_back(&hold))
		gort__os_futex_wake(&hold.state, 1);
	run_loot();
}

static void steal_twice(void)
{
	steal();
	model_mark(1);
	steal();
}

/* --- faults --- */

static void steal_unasked(void)
{
	gort__runq_move_half(&queue, &loot[model_self()]);
	run_loot();
}

static void without_heavy_fence(void)
{
	model_drop_heavy();
}

static void relaxed_give_back(void)
{
	model_demote(&hold.state, MODEL_RMWS);
}

#define THREE(a, b, c) { { "holder", a }, { "thief", b }, { "other", c } }

static const model_test tests[] = {
	{ "one thief", setup, THREE(holder, steal_twice, NULL), finish },
	{ "two thieves", setup, THREE(pop, steal, steal), finish },
	{ "two thieves, a holder that pushes", setup, THREE(holder_short, steal, steal), finish, .lengthy = true },
	{ "fenced: one thief", setup_fenced, THREE(holder, steal_twice, NULL), finish },

	{ "fault: a thief that does not ask", setup, THREE(holder, steal_unasked, NULL), finish, NULL, "data race" },
	{ "fault: no heavy fence", setup, THREE(holder, steal, NULL), finish, without_heavy_fence, "" },
	{ "fault: giving back is relaxed", setup, THREE(holder, steal, NULL), finish, relaxed_give_back, "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
