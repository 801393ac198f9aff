/* SPDX-License-Identifier: MIT */
/*
 * The storms on contexts. Trees grow, by goroutines and threads at once, while they are cancelled from above, from the
 * middle and by deadlines, and are torn down in whatever order comes. Nobody may be missed: once everything has come to rest each
 * context below a cancelled one is done, each waiter woken, each hook run or stopped, once, and each value destroyed.
 */
#include "storm.h"

#include <gort/context.h>

#define GROWERS 8
#define EACH 12                 /* contexts that a grower makes in a round */

static struct {
	gort_context *root;
	int go, grown, destroyed, values, ran, hooks, woken, waiters;
} st;

static char key;

static void destroys(void *value)
{
	expect(value == &st);
	count_up(&st.destroyed);
}

static void runs(void *arg)
{
	expect(gort_context_is_done(arg));
	gort_context_unref(arg);
	count_up(&st.ran);
}

/* Ends when the context is done; and does so by itself when nobody else does. */
static void waits(void *arg)
{
	gort_chan_recv(gort_context_done(arg), NULL);
	expect(gort_context_err(arg) != 0);
	gort_context_unref(arg);
	count_up(&st.woken);
}

static void add_waiter(gort_context *ctx)
{
	count_up(&st.waiters);
	expect_eq(gort_go(waits, gort_context_ref(ctx)), 0);
}

static void add_hook(gort_context *ctx, uint64_t *r)
{
	gort_context_hook *h = gort_context_after_func(ctx, runs, gort_context_ref(ctx));

	count_up(&st.hooks);
	if (test_random(r) % 3 == 0 && gort_context_hook_stop(h)) {
		gort_context_unref(ctx);
		count_up(&st.ran);
	}
	gort_context_hook_free(h);
}

static gort_context *grow(gort_context *from, uint64_t *r)
{
	switch (test_random(r) % 8) {
	case 0:
		count_up(&st.values);
		return gort_context_with_value(from, &key, &st, destroys);
	case 1:
		return gort_context_with_timeout(from, (gort_duration)(test_random(r) % 200000));
	case 2:
		return gort_context_with_timeout(from, GORT_HOUR);
	default:
		return gort_context_with_cancel(from);
	}
}

/* Makes children, grandchildren and so on of the root, and does all sorts of things to them. */
static void grows(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);
	gort_context *mine[EACH];

	while (!get(&st.go))
		gort_yield();
	for (int i = 0; i < EACH; i++) {
		gort_context *from = i == 0 || test_random(&r) % 3 == 0 ? st.root : mine[test_random(&r) % (unsigned)i];

		mine[i] = grow(from, &r);
		if (!expect(mine[i] != NULL))
			return;
		switch (test_random(&r) % 6) {
		case 0:
			add_waiter(mine[i]);
			break;
		case 1:
			add_hook(mine[i], &r);
			break;
		case 2:
			if (gort_context_value(mine[i], &key) == NULL)
				gort_context_cancel_cause(mine[i], -EIO, "mine");
			break;
		case 3:
			gort_context_unref(gort_context_ref(mine[i]));
			compute(&r, (unsigned)(test_random(&r) % 200));
			break;
		default:
			break;
		}
	}
	/* the root's cancellation has returned: whatever it missed would stay open for ever */
	while (get(&st.go) != 2)
		gort_yield();
	for (int i = 0; i < EACH; i++) {
		int cause;

		gort_chan_recv(gort_context_done(mine[i]), NULL);
		cause = gort_context_cause(mine[i], NULL);
		expect(cause == -EPIPE || cause == -EIO || cause == -ETIMEDOUT);
		expect_eq(gort_context_err(mine[i]), cause == -ETIMEDOUT ? -ETIMEDOUT : -ECANCELED);
	}
	/* in any order */
	for (int i = EACH; i > 0; i--) {
		int k = (int)(test_random(&r) % (unsigned)i);

		gort_context_unref(mine[k]);
		mine[k] = mine[i - 1];
	}
	count_up(&st.grown);
}

static void one_round(uint64_t *r)
{
	pthread_t t[2];

	memset(&st, 0, sizeof st);
	if (test_random(r) % 2) {
		st.root = gort_context_with_cancel(gort_context_background());
	} else {
		/* cancelled along a parent of its own */
		gort_context *above = gort_context_with_timeout(gort_context_background(), GORT_HOUR);

		st.root = gort_context_with_timeout(above, GORT_MINUTE);
		gort_context_unref(above);
	}
	for (intptr_t i = 0; i < GROWERS; i++) {
		if (i < 2)
			t[i] = thread_start(grows, (void *)(i + (intptr_t)(test_random(r) & 0xFFFFFF)));
		else
			expect_eq(gort_go(grows, (void *)(i + (intptr_t)(test_random(r) & 0xFFFFFF))), 0);
	}
	set(&st.go, 1);
	compute(r, (unsigned)(test_random(r) % 4000));
	gort_context_cancel_cause(st.root, -EPIPE, "the storm");
	set(&st.go, 2);
	await_count(&st.grown, GROWERS);
	thread_join(t[0]);
	thread_join(t[1]);
	gort_context_unref(st.root);
	await_count(&st.ran, st.hooks);
	await_count(&st.woken, st.waiters);
	await_count(&st.destroyed, st.values);
	expect_eq(get(&st.ran), get(&st.hooks));
	expect_eq(get(&st.destroyed), get(&st.values));
}

START_TEST(growing_races_cancelling)
{
	int stop = 0, was = gort_maxprocs();
	struct changer ch = { &stop, 4, 0 };
	uint64_t r = test_random_init(1);
	pthread_t changer = thread_start(storm_changes_procs, &ch);

	(void)_i;
	for (long i = 0; i < test_scale_min(1500, 30); i++)
		one_round(&r);
	set(&stop, 1);
	thread_join(changer);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

/* --- ends: a child's last reference goes while its parent is cancelled, or while its own deadline comes --- */

#define SHORT 64

static int ended;

static void drops_its_own(void *arg)
{
	gort_context **c = arg;

	for (int i = 0; i < SHORT; i++)
		gort_context_unref(c[i]);
	count_up(&ended);
}

static void counts_end(void *value)
{
	count_up((int *)value);
}

START_TEST(ends_race_cancelling_and_deadlines)
{
	uint64_t r = test_random_init(2);
	int values = 0;
	static int destroyed;

	(void)_i;
	set(&destroyed, 0);
	for (long i = 0; i < test_scale_min(3000, 50); i++) {
		gort_context *root = gort_context_with_timeout(gort_context_background(), (gort_duration)(test_random(&r) % 100000));
		gort_context *c[SHORT];

		set(&ended, 0);
		for (int k = 0; k < SHORT; k++) {
			gort_context *v = gort_context_with_value(root, &key, &destroyed, counts_end);

			/* for some of them the walk's reference is the last one to a value */
			c[k] = k % 4 == 0 ? gort_context_with_timeout(v, (gort_duration)(test_random(&r) % 100000)) :
				gort_context_with_cancel(v);
			gort_context_unref(v);
			values++;
		}
		ck_assert_int_eq(gort_go(drops_its_own, c), 0);
		if (test_random(&r) % 2)
			gort_context_cancel(root);
		else
			gort_chan_recv(gort_context_done(root), NULL);
		gort_context_unref(root);
		await_count(&ended, 1);
	}
	await_count(&destroyed, values);
	ck_assert_int_eq(get(&destroyed), values);
}
END_TEST

/* --- hooks: stopped, freed and run at the same time --- */

struct fuse {
	gort_context *ctx;
	gort_context_hook *h;
	int ran, stopped, done;
};

static void burns(void *arg)
{
	struct fuse *f = arg;

	count_up(&f->ran);
}

static void stops(void *arg)
{
	struct fuse *f = arg;

	if (gort_context_hook_stop(f->h))
		count_up(&f->stopped);
	count_up(&f->done);
}

START_TEST(stopping_races_running)
{
	(void)_i;
	for (long i = 0; i < test_scale_min(10000, 100); i++) {
		struct fuse f = { .ctx = gort_context_with_cancel(gort_context_background()) };

		f.h = gort_context_after_func(f.ctx, burns, &f);
		ck_assert_int_eq(gort_go(stops, &f), 0);
		ck_assert_int_eq(gort_go(stops, &f), 0);
		if (i % 3)
			gort_yield();
		gort_context_drop(f.ctx);
		await_count(&f.done, 2);
		gort_context_hook_free(f.h);
		while (get(&f.ran) + get(&f.stopped) == 0)
			gort_yield();
		ck_assert_int_eq(get(&f.ran) + get(&f.stopped), 1);
		/* one that runs has it from our frame */
		while (gort_num_goroutine() > 0)
			gort_yield();
	}
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-context", NULL);
	test_add(&s, growing_races_cancelling);
	test_add(&s, ends_race_cancelling_and_deadlines);
	test_add(&s, stopping_races_running);
	return test_end(&s);
}
