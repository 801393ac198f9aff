/* SPDX-License-Identifier: MIT */
/*
 * The biased lock: holders of two Ps and a thread without one lock the same thing, which writes plain data. Who finds it
 * biased to another P calls that P's holder or borrows the P; two may want something of each other. A bias comes back after
 * GORT__BIAS_PATIENCE << lost locks in a row, which is 1 << lost here.
 */
#include "model.h"

#include "runtime.h"

#include <stdio.h>
#include <string.h>

struct m {
	gort__hold hold;
	uintptr_t call;
	uint32_t who;
};

static struct m m[3];           /* of P 1, of P 2, and of nobody */
static gort__bias lock, second;
static uint32_t data, data2;    /* what they guard */
/* faults */
static bool once, unasked, inside;

static void show_state(char *buf, size_t size, uint64_t w)
{
	static const char *const names[] = { "NONE", "OWNED", "ASKED", "GONE", "BORROWED", "WAITED", "?", "?" };

	snprintf(buf, size, "%s%s", names[w & GORT__HOLD_STATE], w & GORT__HOLD_CALLED ? "+CALLED" : "");
}

static void setup_with(bool fenced, uint32_t first_owner)
{
	static const char *const names[3][3] = {
		{ "state 1", "depth 1", "call 1" }, { "state 2", "depth 2", "call 2" }, { "state", "depth", "call" },
	};

	gort__fenced = fenced;
	memset(m, 0, sizeof m);
	for (int i = 0; i < 3; i++) {
		m[i].hold.state = (i < 2 ? GORT__HOLD_OWNED : GORT__HOLD_NONE) | (fenced ? GORT__HOLD_FENCED : 0);
		m[i].who = i < 2 ? (uint32_t)i + 1 : GORT__BIAS_NOBODY;
		model_name(&m[i].hold.state, names[i][0], show_state);
		model_name(&m[i].hold.depth, names[i][1], NULL);
		model_name(&m[i].call, names[i][2], NULL);
	}
	gort__bias_init(&lock, first_owner);
	gort__bias_init(&second, 2);
	data = data2 = 0;
	once = unasked = inside = false;
	model_name(&lock.owner, "owner", NULL);
	model_name(&lock.lock.word, "word", NULL);
	model_name(&lock.lock.waiters, "waiters", NULL);
	model_name(&lock.last, "last", NULL);
	model_name(&lock.streak, "streak", NULL);
	model_name(&lock.lost, "lost", NULL);
	model_name(&second.owner, "second owner", NULL);
	model_name(&data, "data", NULL);
}

static void setup(void)
{
	setup_with(false, 1);
}

static void setup_fenced(void)
{
	setup_with(true, 1);
}

static void setup_shared(void)
{
	setup_with(false, GORT__BIAS_NOBODY);
}

static void finish(void)
{
	for (int i = 0; i < 3; i++)
		model_assert((m[i].hold.state & GORT__HOLD_STATE) == (i < 2 ? GORT__HOLD_OWNED : GORT__HOLD_NONE));
}

/* --- enter.c and p.c, without the spinning --- */

static void await(struct m *mp)
{
	uint32_t w;

	while (gort__hold_await(&mp->hold, &w))
		gort__os_futex_wait(&mp->hold.state, w, GORT_FOREVER);
}

static void enter(struct m *mp)
{
	if (gort__hold_enter(&mp->hold))
		return;
	for (;;) {
		switch (gort__hold_settle(&mp->hold)) {
		case GORT__SETTLED_CALLED:
			gort__bias_serve(&mp->call, mp->who);
			continue;
		case GORT__SETTLED_BORROWED:
			await(mp);
			continue;
		default:
			return;
		}
	}
}

static void step_back(struct m *mp)
{
	while (!gort__hold_step_back(&mp->hold))
		await(mp);
	gort__bias_serve(&mp->call, mp->who);
}

static void unbias(struct m *to, gort__bias *b, uint32_t owner, bool call)
{
	if (call && gort__bias_call(&to->call, &to->hold, b) && !gort__bias_call_off(&to->call, b)) {
		while (!gort__bias_served(&to->call, b))
			model_spin(&to->call);
		return;
	}
	if (unasked) {
		gort__bias_take_off(b, owner);
	} else if (gort__hold_ask_aside(&to->hold)) {
		gort__bias_take_off(b, owner);
		if (gort__hold_give_back(&to->hold))
			gort__os_futex_wake(&to->hold.state, 1);
	} else {
		/* inside, or in somebody's hands: until that changes */
		uint32_t depth = gort__load_relaxed(&to->hold.depth), state = gort__load_relaxed(&to->hold.state);

		if ((depth & GORT__DEPTH_COUNT) != 0 && !(depth & GORT__DEPTH_ASIDE))
			model_spin(&to->hold.depth);
		else if ((state & GORT__HOLD_STATE) != GORT__HOLD_OWNED)
			model_spin(&to->hold.state);
	}
}

/* call: it calls the holder, once, before it asks. */
static void take(struct m *mp, gort__bias *b, bool call)
{
	if (!inside)
		gort__hold_step_aside(&mp->hold);
	for (;;) {
		uint32_t owner = gort__load_relaxed(&b->owner);

		if (owner == 0 || owner == mp->who)
			break;
		unbias(&m[owner - 1], b, owner, call);
		call = false;
	}
	if (!inside)
		step_back(mp);
}

/* gort__bias_try, and one that does not look at the owner again. */
static bool try(struct m *mp, gort__bias *b)
{
	uint32_t owner;

	if (!once)
		return gort__bias_try(b, mp->who);
	owner = gort__load_relaxed(&b->owner);
	if (owner == mp->who)
		return true;
	if (owner != 0)
		return false;
	gort__lock_lock(&b->lock);
	gort__bias_note(b, mp->who);
	return true;
}

static void with_lock(struct m *mp, gort__bias *b, uint32_t *guarded, bool call)
{
	enter(mp);
	while (!try(mp, b))
		take(mp, b, call);
	gort__plain_write(guarded, gort__plain_read(guarded) + 1);
	gort__bias_release(b, mp->who);
	gort__hold_leave(&mp->hold);
}

/* --- threads --- */

static void one(void)
{
	with_lock(&m[0], &lock, &data, false);
}

static void one_twice(void)
{
	one();
	model_mark(1);
	one();
}

static void one_thrice(void)
{
	one_twice();
	model_mark(2);
	one();
}

static void two_asks(void)
{
	with_lock(&m[1], &lock, &data, false);
}

static void two_calls(void)
{
	with_lock(&m[1], &lock, &data, true);
}

static void nobody_asks(void)
{
	with_lock(&m[2], &lock, &data, false);
}

/* Takes the bias off, and no more. */
static void two_takes_off(void)
{
	enter(&m[1]);
	take(&m[1], &lock, false);
	gort__hold_leave(&m[1].hold);
}

/* Locks it only if it finds it shared. */
static void nobody_tries(void)
{
	enter(&m[2]);
	if (try(&m[2], &lock)) {
		gort__plain_write(&data, gort__plain_read(&data) + 1);
		gort__bias_release(&lock, m[2].who);
	}
	gort__hold_leave(&m[2].hold);
}

static void one_wants_second(void)
{
	with_lock(&m[0], &second, &data2, false);
}

static void one_calls_second(void)
{
	with_lock(&m[0], &second, &data2, true);
}

/* Only comes and goes, and serves whom it meets. */
static void one_passes(void)
{
	enter(&m[0]);
	gort__hold_leave(&m[0].hold);
	model_mark(1);
	enter(&m[0]);
	gort__hold_leave(&m[0].hold);
}

/* Uses the lock and frees it; its memory becomes another lock, of the same P. */
static void two_frees(void)
{
	two_calls();
	gort__plain_write(&lock.lost, 0);
	gort__store_relaxed(&lock.owner, 1);
}

/* --- faults --- */

static void without_heavy_fence(void)
{
	model_drop_heavy();
}

static void relaxed_take_off(void)
{
	model_demote(&lock.owner, MODEL_STORES);
}

static void relaxed_second_look(void)
{
	model_demote(&lock.owner, MODEL_LOADS);
}

static void looks_once(void)
{
	once = true;
}

static void does_not_ask(void)
{
	unasked = true;
}

static void stays_inside(void)
{
	inside = true;
}

#define THREE(a, b, c) { { "P 1", a }, { "P 2", b }, { "no P", c } }

static const model_test tests[] = {
	{ "another P asks", setup, THREE(one_twice, two_asks, NULL), finish },
	{ "another P calls", setup, THREE(one, two_calls, NULL), finish },
	{ "another P calls, for long", setup, THREE(one_twice, two_calls, NULL), finish, .lengthy = true },
	{ "a third finds it shared", setup, THREE(one, two_takes_off, nobody_tries), finish },
	{ "another P and a thread without one", setup, THREE(one, two_asks, nobody_tries), finish, .lengthy = true },
	{ "fenced: another P asks", setup_fenced, THREE(one_twice, two_asks, NULL), finish },
	{ "each wants the other's, and asks", setup, THREE(one_wants_second, two_asks, NULL), finish },
	{ "each wants the other's, and calls", setup, THREE(one_calls_second, two_calls, NULL), finish, .lengthy = true },
	{ "shared, then biased", setup_shared, THREE(one_thrice, two_asks, NULL), finish },
	{ "shared, then biased; a thread without a P", setup_shared, { { "P 1", one_thrice }, { "no P", nobody_asks } }, finish },
	{ "freed after use", setup, THREE(one_passes, two_frees, NULL), finish },

	{ "fault: no heavy fence", setup, THREE(one_twice, two_asks, NULL), finish, without_heavy_fence, "" },
	{ "fault: taking off is relaxed", setup, THREE(one, two_takes_off, nobody_tries), finish, relaxed_take_off, "data race" },
	{ "fault: the second look is relaxed", setup, THREE(one, two_takes_off, nobody_tries), finish, relaxed_second_look,
	  "data race" },
	{ "fault: no second look", setup_shared, THREE(one_thrice, two_asks, NULL), finish, looks_once, "" },
	{ "fault: taken off without asking", setup, THREE(one_twice, two_asks, NULL), finish, does_not_ask, "data race" },
	{ "fault: waits without stepping aside", setup, THREE(one_wants_second, two_asks, NULL), finish, stays_inside, "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
