/* SPDX-License-Identifier: MIT */
/*
 * The explorer's own test: the small programs by which memory models are told apart, each with the outcome that C11
 * allows (it has to be found) or forbids (it must not be).
 */
#include "model.h"

#include <gort/atomic.h>

#include <string.h>

static uint32_t x, y, plain;
static uint32_t got[MODEL_THREADS][2];  /* what each thread read */

static void setup(void)
{
	x = y = plain = 0;
	memset(got, 0, sizeof got);
	model_name(&x, "x", NULL);
	model_name(&y, "y", NULL);
	model_name(&plain, "plain", NULL);
}

static void see(int i, uint32_t v)
{
	gort__plain_write(&got[model_self()][i], v);
}

/* --- store buffering: can both miss the other's store? --- */

static void sb(uint32_t *mine, uint32_t *other, void (*between)(void))
{
	gort__store_relaxed(mine, 1);
	between();
	see(0, gort__load_relaxed(other));
}

static void nothing(void)
{
	gort__fence_compiler();
}

static void fence(void)
{
	gort__fence_seq_cst();
}

static void heavy(void)
{
	gort__fence_seq_cst();
	model_fence_heavy();
}

static void sb_x(void) { sb(&x, &y, nothing); }
static void sb_y(void) { sb(&y, &x, nothing); }
static void sb_x_fence(void) { sb(&x, &y, fence); }
static void sb_y_fence(void) { sb(&y, &x, fence); }
static void sb_y_heavy(void) { sb(&y, &x, heavy); }

static void sb_x_rmw(void)
{
	gort__add_seq_cst(&x, 1);
	see(0, gort__load_relaxed(&y));
}

static void both_missed(void)
{
	if (got[0][0] == 0 && got[1][0] == 0)
		model_fail("both missed");
}

/* --- message passing: is what was written before the flag there? --- */

static void mp_relaxed(void)
{
	gort__store_relaxed(&x, 1);
	gort__store_relaxed(&y, 1);
}

static void mp_release(void)
{
	gort__store_relaxed(&x, 1);
	gort__store_release(&y, 1);
}

static void mp_fence(void)
{
	gort__store_relaxed(&x, 1);
	gort__fence_seq_cst();
	gort__store_relaxed(&y, 1);
}

static void mp_plain(void)
{
	gort__plain_write(&plain, 1);
	gort__store_release(&y, 1);
}

static void mp_plain_heavy(void)
{
	gort__plain_write(&plain, 1);
	gort__store_relaxed(&y, 1);
}

static void mp_reader(void)
{
	see(0, gort__load_acquire(&y));
	see(1, gort__load_relaxed(&x));
}

static void mp_reader_relaxed(void)
{
	see(0, gort__load_relaxed(&y));
	see(1, gort__load_relaxed(&x));
}

static void mp_reader_fence(void)
{
	see(0, gort__load_relaxed(&y));
	gort__fence_seq_cst();
	see(1, gort__load_relaxed(&x));
}

static void mp_plain_reader(void)
{
	if (gort__load_acquire(&y) > 0)
		see(1, gort__plain_read(&plain));
}

static void mp_plain_reader_late(void)
{
	if (gort__load_acquire(&y) == 2)
		see(1, gort__plain_read(&plain));
}

static void mp_plain_reader_heavy(void)
{
	heavy();
	if (gort__load_relaxed(&y) > 0)
		see(1, gort__plain_read(&plain));
}

/* A third thread's read-modify-write goes on with the release; its store would not. */
static void adds_late(void)
{
	uint32_t one = 1;

	gort__cas_relaxed(&y, &one, 2);
}

static void stores(void)
{
	if (gort__load_relaxed(&y) == 1)
		gort__store_relaxed(&y, 2);
}

static void stale(void)
{
	if (got[1][0] > 0 && got[1][1] == 0)
		model_fail("stale");
}

/* --- coherence and independent reads --- */

static void write_x(void) { gort__store_release(&x, 1); }
static void write_y(void) { gort__store_release(&y, 1); }

static void read_xx(void)
{
	see(0, gort__load_relaxed(&x));
	see(1, gort__load_relaxed(&x));
}

static void read_xy(void)
{
	see(0, gort__load_acquire(&x));
	see(1, gort__load_acquire(&y));
}

static void read_yx(void)
{
	see(0, gort__load_acquire(&y));
	see(1, gort__load_acquire(&x));
}

static void read_xy_fence(void)
{
	see(0, gort__load_acquire(&x));
	gort__fence_seq_cst();
	see(1, gort__load_acquire(&y));
}

static void read_yx_fence(void)
{
	see(0, gort__load_acquire(&y));
	gort__fence_seq_cst();
	see(1, gort__load_acquire(&x));
}

static void disagreed(void)
{
	if (got[2][0] == 1 && got[2][1] == 0 && got[3][0] == 1 && got[3][1] == 0)
		model_fail("disagreed");
}

/* --- read-modify-writes and futexes --- */

static void add_twice(void)
{
	gort__add_relaxed(&x, 1);
	gort__add_relaxed(&x, 1);
}

static void sum(void)
{
	model_assert(x == 4);
}

static void futex_waits(void)
{
	while (gort__load_relaxed(&x) == 0)
		model_futex_wait(&x, 0);
}

static void futex_wakes(void)
{
	gort__store_relaxed(&x, 1);
	model_futex_wake(&x, 1);
}

static void futex_wakes_first(void)
{
	model_futex_wake(&x, 1);
	gort__store_relaxed(&x, 1);
}

#define TWO(a, b) { { "one", a }, { "two", b } }
#define THREE(a, b, c) { { "one", a }, { "two", b }, { "three", c } }
#define FOUR(a, b, c, d) { { "one", a }, { "two", b }, { "three", c }, { "four", d } }

static const model_test tests[] = {
	{ "store buffering", setup, TWO(sb_x, sb_y), both_missed, NULL, "both missed" },
	{ "store buffering, one fence", setup, TWO(sb_x, sb_y_fence), both_missed, NULL, "both missed" },
	{ "store buffering, two fences", setup, TWO(sb_x_fence, sb_y_fence), both_missed },
	{ "store buffering, one heavy fence", setup, TWO(sb_x, sb_y_heavy), both_missed },
	{ "store buffering, a seq_cst addition is no fence", setup, TWO(sb_x_rmw, sb_y_fence), both_missed, NULL,
	  "both missed" },
	{ "message passing, relaxed", setup, TWO(mp_relaxed, mp_reader), stale, NULL, "stale" },
	{ "message passing, relaxed reader", setup, TWO(mp_release, mp_reader_relaxed), stale, NULL, "stale" },
	{ "message passing, release and acquire", setup, TWO(mp_release, mp_reader), stale },
	{ "message passing, fences", setup, TWO(mp_fence, mp_reader_fence), stale },
	{ "plain message, release and acquire", setup, TWO(mp_plain, mp_plain_reader) },
	{ "plain message, an addition between", setup, THREE(mp_plain, mp_plain_reader_late, adds_late) },
	{ "plain message, a store between", setup, THREE(mp_plain, mp_plain_reader_late, stores), NULL, NULL, "data race" },
	{ "plain message, heavy fence only", setup, TWO(mp_plain_heavy, mp_plain_reader_heavy), NULL, NULL, "data race" },
	{ "coherence of one location", setup, TWO(write_x, read_xx), stale },
	{ "independent reads", setup, FOUR(write_x, write_y, read_xy, read_yx), disagreed, NULL, "disagreed" },
	{ "independent reads, fences", setup, FOUR(write_x, write_y, read_xy_fence, read_yx_fence), disagreed },
	{ "additions are not lost", setup, TWO(add_twice, add_twice), sum },
	{ "a futex wakeup is not lost", setup, TWO(futex_waits, futex_wakes) },
	{ "a futex wakeup too early", setup, TWO(futex_waits, futex_wakes_first), NULL, NULL, "deadlock" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
