/* SPDX-License-Identifier: MIT */
/*
 * The error group, as Go's golang.org/x/sync/errgroup without its context: a wait group, the first error, and a limit.
 *
 * The places under the limit are counted under the table's lock; who finds none queues up there, and who leaves gives its
 * place to the oldest. The last touch of one that ends is the wait group's done.
 */
#include "queue.h"

#include <stdio.h>

struct task {
	gort_errgroup *eg;
	int (*fn)(void *arg);
	void *arg;
	int err;
};

static struct sync_waiter **queue(gort_errgroup *eg)
{
	return (struct sync_waiter **)&eg->waiters;
}

static void take_place(gort_errgroup *eg)
{
	struct sync_waiter w = { .key = eg };
	gort__m *mp = gort__enter();

	gort__sync_lock(eg);
	if (eg->limited == 0 || eg->active < eg->limited - 1) {
		eg->active++;
		gort__sync_unlock(eg);
		gort__leave(mp);
		return;
	}
	sync_prepare(mp, &w, "errgroup limit", GORT_FOREVER);
	sync_push(queue(eg), &w);
	gort__sync_unlock(eg);
	mp = gort__park(mp);
	gort__leave(mp);
}

static void leave_place(gort_errgroup *eg)
{
	struct sync_waiter *w;

	gort__sync_lock(eg);
	w = sync_pop(queue(eg));
	if (w == NULL)
		eg->active--;
	gort__sync_unlock(eg);
	if (w != NULL)
		sync_wake_one(w);
}

static void run(void *arg)
{
	struct task *t = arg;

	t->err = t->fn(t->arg);
}

/* However fn ended. */
static void end(void *arg)
{
	struct task *t = arg;
	int none = 0;

	if (t->err != 0)
		gort__cas_release(&t->eg->err, &none, t->err);  /* pairs with the acquire in gort_errgroup_err */
	leave_place(t->eg);
	gort_waitgroup_done(&t->eg->wg);
}

static void run_task(void *arg)
{
	struct task t = *(struct task *)arg;

	gort__call_then(run, &t, end, &t);
}

int gort_errgroup_go(gort_errgroup *eg, int (*fn)(void *arg), void *arg)
{
	/* the result of one that does not return */
	struct task t = { .eg = eg, .fn = fn, .arg = arg, .err = -ECANCELED };
	int err;

	if (fn == NULL)
		gort__fatal("go of nil func value");
	take_place(eg);
	gort_waitgroup_add(&eg->wg, 1);
	err = gort_go_copy(run_task, &t, sizeof t);
	if (err != 0) {
		leave_place(eg);
		gort_waitgroup_done(&eg->wg);
	}
	return err;
}

int gort_errgroup_err(gort_errgroup *eg)
{
	return gort__load_acquire(&eg->err);    /* pairs with the release in end */
}

int gort_errgroup_wait(gort_errgroup *eg)
{
	gort_waitgroup_wait(&eg->wg);
	return gort_errgroup_err(eg);
}

void gort_errgroup_set_limit(gort_errgroup *eg, int n)
{
	uint32_t active;

	gort__sync_lock(eg);
	active = eg->active;
	if (active == 0)
		eg->limited = n < 0 ? 0 : (uint32_t)n + 1;
	gort__sync_unlock(eg);
	if (active != 0)
		gort_panic("errgroup: modify limit while %u goroutines in the group are still active", active);
}
