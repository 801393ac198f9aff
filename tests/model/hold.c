/* SPDX-License-Identifier: MIT */
/*
 * The hold word: a holder that comes and goes, gives its P up and takes it again, against outsiders that borrow the P
 * and give it back (a thief) or keep it (the monitor). Everybody who has the P writes to the P's plain data, so two
 * owners at once are a data race, and so is a hand-over without release and acquire.
 */
#include "model.h"

#include "runtime.h"

#include <stdio.h>

enum { HOLDER, ASKER, OTHER };

static gort__hold hold;
static uint32_t data;           /* the P's: who has the P counts here */
static uint32_t spare;          /* 1: the P is in nobody's hands (the idle list) */
static uint32_t spare_lock;
static bool (*ask)(gort__hold *h, bool want_yield);     /* gort__hold_ask, or a faulty one */
static bool puts_off;           /* enters as by gort__enter_nosched: a request to yield waits for the next entry */
static uint32_t work, deep, note;       /* the monitor's sleep */
static bool silent;             /* a fault: who comes back does not tell the monitor */
static bool careless_wait;      /* a fault: sleeps on BORROWED itself, which nobody knows of */

static void show_state(char *buf, size_t size, uint64_t w)
{
	static const char *const names[] = { "NONE", "OWNED", "ASKED", "GONE", "BORROWED", "WAITED", "?", "?" };

	snprintf(buf, size, "%s%s%s#%u", names[w & GORT__HOLD_STATE], w & GORT__HOLD_YIELD ? "+YIELD" : "",
		 w & GORT__HOLD_FENCED ? "+FENCED" : "", (unsigned)(w / GORT__HOLD_SEQ));
}

static void setup_with(bool fenced)
{
	gort__fenced = fenced;
	hold.state = GORT__HOLD_OWNED | (fenced ? GORT__HOLD_FENCED : 0);
	hold.depth = 0;
	data = spare = spare_lock = 0;
	ask = gort__hold_ask;
	puts_off = careless_wait = silent = false;
	work = deep = note = 0;
	model_name(&work, "work", NULL);
	model_name(&deep, "deep", NULL);
	model_name(&note, "note", NULL);
	model_name(&hold.state, "state", show_state);
	model_name(&hold.depth, "depth", NULL);
	model_name(&data, "the P's data", NULL);
	model_name(&spare, "spare", NULL);
	model_name(&spare_lock, "sched.lock", NULL);
}

static void setup(void)
{
	setup_with(false);
}

static void setup_fenced(void)
{
	setup_with(true);
}

static void touch(void)
{
	gort__plain_write(&data, gort__plain_read(&data) + 1);
}

static void finish(void)
{
	/* the P is somewhere */
	model_assert(((hold.state & GORT__HOLD_STATE) == GORT__HOLD_OWNED) != (spare == 1));
	model_assert((hold.state & GORT__HOLD_STATE) <= GORT__HOLD_GONE && (hold.state & GORT__HOLD_STATE) != GORT__HOLD_ASKED);
}

/* --- the holder: gort__enter_slow and its await_borrower without the spinning --- */

/* The slow path. False: it has no P. */
static bool settled(void)
{
	uint32_t w;

	for (;;) {
		switch (gort__hold_settle(&hold)) {
		case GORT__SETTLED_YIELD:
			if (puts_off)
				gort__hold_want_yield(&hold);
			return true;
		case GORT__SETTLED_CALLED:
			continue;               /* see bias.c */
		case GORT__SETTLED_OWNED:
			return true;
		case GORT__SETTLED_BORROWED:
			if (careless_wait) {
				w = gort__load_relaxed(&hold.state);
				if ((w & GORT__HOLD_STATE) == GORT__HOLD_BORROWED)
					gort__os_futex_wait(&hold.state, w, GORT_FOREVER);
				continue;
			}
			while (gort__hold_await(&hold, &w))
				gort__os_futex_wait(&hold.state, w, GORT_FOREVER);
			continue;
		case GORT__SETTLED_GONE:
		case GORT__SETTLED_NONE:
			return false;
		}
	}
}

static bool enter(void)
{
	return gort__hold_enter(&hold) || settled();
}

/* A P to nobody, and one from nobody, as by the idle list. */
static void put_spare(void)
{
	model_lock(&spare_lock);
	gort__plain_write(&spare, gort__plain_read(&spare) + 1);
	model_unlock(&spare_lock);
}

static bool get_spare(void)
{
	bool got;

	model_lock(&spare_lock);
	got = gort__plain_read(&spare) > 0;
	if (got)
		gort__plain_write(&spare, gort__plain_read(&spare) - 1);
	model_unlock(&spare_lock);
	return got;
}

/* One call into the library. */
static void call(void)
{
	if (enter()) {
		touch();
	} else if (get_spare()) {
		gort__hold_acquire(&hold);
		touch();
	}
	gort__hold_leave(&hold);
}

static void holder_once(void)
{
	call();
}

static void holder_twice(void)
{
	call();
	model_mark(1);
	call();
}

static void holder_thrice(void)
{
	holder_twice();
	model_mark(2);
	call();
}

/* Goes idle inside the library, and comes back. */
static void holder_releases(void)
{
	call();
	model_mark(1);
	if (enter()) {
		touch();
		gort__hold_release(&hold);
		put_spare();
	}
	if (get_spare()) {
		gort__hold_acquire(&hold);
		touch();
	}
	gort__hold_leave(&hold);
	model_mark(2);
	call();
}

/* Announces a call that blocks, and comes back: gort_syscall_enter and _exit. */
static void holder_announces(void)
{
	call();
	model_mark(1);
	gort__hold_announce(&hold, 0);
	model_mark(2);
	if (gort__hold_return(&hold, GORT__DEPTH_ANNOUNCED) || settled())
		touch();
	gort__hold_leave(&hold);
}

/* Pinned: the P is its own in the user's code too. */
static void holder_pins(void)
{
	uint32_t depth;

	if (!enter() && get_spare())
		gort__hold_acquire(&hold);
	depth = gort__load_relaxed(&hold.depth);
	if ((gort__load_relaxed(&hold.state) & GORT__HOLD_STATE) == GORT__HOLD_NONE) {
		gort__hold_leave(&hold);
		return;
	}
	gort__store_relaxed(&hold.depth, depth | GORT__DEPTH_PINNED);
	gort__hold_leave(&hold);
	model_mark(1);
	touch();
	model_mark(2);
	if (enter()) {
		touch();
		gort__store_relaxed(&hold.depth, gort__load_relaxed(&hold.depth) & ~GORT__DEPTH_PINNED);
	}
	gort__hold_leave(&hold);
}

/*
 * The monitor's sleep until told (sysmon.c, rest_deep) and a holder that comes back and makes work: it must not sleep on
 * without having been told.
 */
static void holder_makes_work(void)
{
	if (!gort__hold_enter(&hold)) {
		/* gort__enter_slow: SETTLED_YIELD, and gort__sysmon_busy */
		gort__hold_settle(&hold);
		gort__fence_seq_cst();
		if (gort__load_relaxed(&deep) && !silent) {
			gort__store_release(&note, 1);
			gort__os_futex_wake(&note, 1);
		}
	}
	gort__store_relaxed(&work, 1);
	gort__hold_leave(&hold);
}

static void rests_deep(void)
{
	gort__store_relaxed(&deep, 1);
	gort__fence_seq_cst();
	if (gort__hold_call_back(&hold) && gort__load_relaxed(&work) == 0) {
		while (gort__load_acquire(&note) == 0)
			gort__os_futex_wait(&note, 0, GORT_FOREVER);
	}
}

/* --- the outsiders: gort__p_steal and gort__p_take --- */

static void steal(void)
{
	if (!ask(&hold, false))
		return;
	touch();
	if (gort__hold_give_back(&hold))
		gort__os_futex_wake(&hold.state, 1);
}

static void steal_twice(void)
{
	steal();
	model_mark(1);
	steal();
}

static void take(void)
{
	if (!ask(&hold, true))
		return;
	touch();
	if (gort__hold_keep(&hold))
		gort__os_futex_wake(&hold.state, 1);
	touch();
	put_spare();
}

static void take_twice(void)
{
	take();
	model_mark(1);
	take();
}

/* --- what goes wrong without its parts --- */

static void without_heavy_fence(void)
{
	model_drop_heavy();
}

static void without_settles_fence(void)
{
	model_drop_fences(HOLDER);
}

static void relaxed_leave(void)
{
	model_demote(&hold.depth, MODEL_STORES);
}

static void relaxed_depth(void)
{
	model_demote(&hold.depth, MODEL_LOADS);
}

static void relaxed_state(void)
{
	model_demote(&hold.state, MODEL_LOADS);
}

static void relaxed_changes(void)
{
	model_demote(&hold.state, MODEL_RMWS);
}

static void split_state(void)
{
	model_split(&hold.state);
}

/* gort__hold_ask without the sequence number. */
static bool ask_unnumbered(gort__hold *h, bool want_yield)
{
	uint32_t w = gort__load_relaxed(&h->state);
	uint32_t asked;

	if ((w & GORT__HOLD_STATE) != GORT__HOLD_OWNED)
		return false;
	asked = GORT__HOLD_WITH(w, GORT__HOLD_ASKED);
	if (!gort__cas_acquire(&h->state, &w, asked))
		return false;
	gort__fence_heavy();
	w = asked;
	if (gort__load_acquire(&h->depth) == 0)
		return gort__cas_acq_rel(&h->state, &w, GORT__HOLD_WITH(asked, GORT__HOLD_BORROWED));
	gort__cas_relaxed(&h->state, &w, GORT__HOLD_WITH(asked, GORT__HOLD_OWNED) | (want_yield ? GORT__HOLD_YIELD : 0));
	return false;
}

/* The depth is looked at before asking. */
static bool ask_early(gort__hold *h, bool want_yield)
{
	uint32_t w = gort__load_relaxed(&h->state);
	uint32_t asked = GORT__HOLD_WITH(w + GORT__HOLD_SEQ, GORT__HOLD_BORROWED);

	(void)want_yield;
	gort__fence_heavy();
	if (gort__load_acquire(&h->depth) != 0)
		return false;
	return (w & GORT__HOLD_STATE) == GORT__HOLD_OWNED && gort__cas_acq_rel(&h->state, &w, asked);
}

static void setup_putting_off(void)
{
	setup();
	puts_off = true;
}

static void setup_unnumbered(void)
{
	setup();
	ask = ask_unnumbered;
}

static void setup_early(void)
{
	setup();
	ask = ask_early;
}

static void setup_careless(void)
{
	setup();
	careless_wait = true;
}

static void setup_silent(void)
{
	setup();
	silent = true;
}

/* gort__hold_ask as if there were no pins. */
static bool ask_regardless(gort__hold *h, bool want_yield)
{
	uint32_t w = gort__load_relaxed(&h->state);
	uint32_t asked = GORT__HOLD_WITH(w + GORT__HOLD_SEQ, GORT__HOLD_ASKED);

	(void)want_yield;
	if ((w & GORT__HOLD_STATE) != GORT__HOLD_OWNED || !gort__cas_acquire(&h->state, &w, asked))
		return false;
	gort__fence_heavy();
	w = asked;
	if ((gort__load_acquire(&h->depth) & GORT__DEPTH_COUNT) == 0)
		return gort__cas_acq_rel(&h->state, &w, GORT__HOLD_WITH(asked, GORT__HOLD_BORROWED));
	gort__cas_relaxed(&h->state, &w, GORT__HOLD_WITH(asked, GORT__HOLD_OWNED));
	return false;
}

static void setup_regardless(void)
{
	setup();
	ask = ask_regardless;
}

#define THREE(a, b, c) { { "holder", a }, { "asker", b }, { "other", c } }

static const model_test tests[] = {
	{ "one thief", setup, THREE(holder_thrice, steal_twice, NULL), finish },
	{ "one taker", setup, THREE(holder_thrice, take_twice, NULL), finish },
	{ "a holder that releases, one thief", setup, THREE(holder_releases, steal_twice, NULL), finish },
	{ "a holder that releases, one taker", setup, THREE(holder_releases, take_twice, NULL), finish },
	{ "a holder that puts yields off, one taker", setup_putting_off, THREE(holder_thrice, take_twice, NULL), finish },
	{ "two thieves", setup, THREE(holder_once, steal, steal), finish, .alike = 2 },
	{ "two takers", setup, THREE(holder_once, take, take), finish, .alike = 2 },
	{ "a thief and a taker", setup, THREE(holder_once, steal, take), finish },
	{ "a holder that returns, a thief and a taker", setup, THREE(holder_twice, steal, take), finish },
	{ "a holder that returns, two takers", setup, THREE(holder_twice, take, take), finish, .alike = 2,
	  .lengthy = true },
	{ "a holder that releases, two thieves", setup, THREE(holder_releases, steal, steal), finish, .alike = 2,
	  .lengthy = true },
	{ "a holder that releases, a thief and a taker", setup, THREE(holder_releases, steal, take), finish,
	  .lengthy = true },
	{ "a busy thief and another", setup, THREE(holder_once, steal_twice, steal), finish, .lengthy = true },
	{ "an announced call, one thief", setup, THREE(holder_announces, steal_twice, NULL), finish },
	{ "an announced call, one taker", setup, THREE(holder_announces, take_twice, NULL), finish },
	{ "an announced call, a thief and a taker", setup, THREE(holder_announces, steal, take), finish },
	{ "fenced: an announced call, one taker", setup_fenced, THREE(holder_announces, take_twice, NULL), finish },
	{ "a pinned holder, one thief", setup, THREE(holder_pins, steal_twice, NULL), finish },
	{ "a pinned holder, one taker", setup, THREE(holder_pins, take, NULL), finish },
	{ "fenced: a pinned holder, one thief", setup_fenced, THREE(holder_pins, steal_twice, NULL), finish },
	{ "the monitor sleeps until told", setup, THREE(holder_makes_work, rests_deep, NULL), NULL },
	{ "fenced: the monitor sleeps until told", setup_fenced, THREE(holder_makes_work, rests_deep, NULL), NULL },
	{ "fenced: one thief", setup_fenced, THREE(holder_thrice, steal_twice, NULL), finish },
	{ "fenced: a holder that releases, one taker", setup_fenced, THREE(holder_releases, take_twice, NULL), finish },
	{ "fenced: two thieves", setup_fenced, THREE(holder_once, steal, steal), finish, .alike = 2 },
	{ "fenced: a thief and a taker", setup_fenced, THREE(holder_once, steal, take), finish },

	{ "fault: no heavy fence", setup, THREE(holder_once, steal, NULL), finish, without_heavy_fence, "data race" },
	{ "fault: no heavy fence, a taker", setup, THREE(holder_once, take, NULL), finish, without_heavy_fence, "data race" },
	{ "fault: fenced, no fence in settle", setup_fenced, THREE(holder_once, steal, NULL), finish,
	  without_settles_fence, "data race" },
	{ "fault: leaving is relaxed", setup, THREE(holder_once, steal, NULL), finish, relaxed_leave, "data race" },
	{ "fault: the asker's look at the depth is relaxed", setup, THREE(holder_once, steal, NULL), finish, relaxed_depth,
	  "data race" },
	{ "fault: the holder's look at the state is relaxed", setup, THREE(holder_once, steal, NULL), finish, relaxed_state,
	  "data race" },
	{ "fault: the outsider's changes of the state are relaxed", setup, THREE(holder_once, steal, NULL), finish,
	  relaxed_changes, "data race" },
	{ "fault: changes of the state are not atomic", setup, THREE(holder_once, steal, NULL), finish, split_state, "" },
	{ "fault: asks without a number", setup_unnumbered, THREE(holder_once, steal, steal), finish, NULL, "data race" },
	{ "fault: the depth is looked at first", setup_early, THREE(holder_once, steal, NULL), finish, NULL, "data race" },
	{ "fault: the asker does not see pins", setup_regardless, THREE(holder_pins, steal, NULL), finish, NULL, "data race" },
	{ "fault: no heavy fence before the monitor's sleep", setup, THREE(holder_makes_work, rests_deep, NULL), NULL,
	  without_heavy_fence, "deadlock" },
	{ "fault: who comes back does not tell the monitor", setup_silent, THREE(holder_makes_work, rests_deep, NULL), NULL,
	  NULL, "deadlock" },
	{ "fault: the holder waits unannounced", setup_careless, THREE(holder_once, steal, NULL), finish, NULL,
	  "deadlock" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
