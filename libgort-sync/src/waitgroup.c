/* SPDX-License-Identifier: MIT */
/*
 * The wait group: one word, the count in its upper half, the number of waiters in its lower.
 *
 * A waiter counts itself in by CAS, under the table's lock and only while the count is not 0; so whoever brings the
 * count to 0 and sees waiters finds them queued. Whoever brings it to 0 and sees none does not touch it again.
 *
 * Waiters that were woken stay in the table's list until they have come by, so that a group which is used again too early is
 * noticed, by whoever raises the count from 0. The group itself has no part in that.
 *
 * From the moment the count got to 0 with waiters until the waker has stored 0 the word is "0, some": nobody returns from
 * wait meanwhile, so the object lives until the waker is through. (A waiter whose deadline passes in between leaves the
 * word alone; were it to take itself off the number, its next wait would return at once and its caller might free what the
 * waker is about to touch.)
 */
#include "queue.h"

#define ONE ((uint64_t)1 << 32)

static int32_t count_of(uint64_t s)
{
	return (int32_t)(s >> 32);
}

static struct sync_waiter **queue(gort_waitgroup *wg)
{
	return (struct sync_waiter **)&wg->waiters;
}

static __attribute__((noinline)) void wake_all(gort_waitgroup *wg)
{
	struct sync_woken woken;
	struct sync_waiter *w;

	sync_woken_init(&woken);
	gort__sync_lock(wg);
	if (count_of(gort__load_relaxed(&wg->state)) != 0) {
		gort__sync_unlock(wg);
		gort__panic("sync: WaitGroup misuse: Add called concurrently with Wait");
	}
	while ((w = sync_pop(queue(wg))) != NULL) {
		gort__sync_leaves(w);
		sync_woken_add(&woken, w);
	}
	/* the last touch: a waiter whose deadline passed may look at it again, see 0, return and free the group. Release: pairs
	   with the acquire in its look */
	gort__store_release(&wg->state, 0);
	gort__sync_unlock(wg);
	sync_wake(&woken);
}

/* The count goes up from 0: there must be nobody who is still to return from an earlier round. He is told, as in Go. */
static __attribute__((noinline)) void tell_leaving(gort_waitgroup *wg)
{
	gort__sync_lock(wg);
	for (struct sync_waiter *w = gort__sync_leaving(wg); w != NULL; w = w->next) {
		if (w->key == wg)
			w->reused = true;
	}
	gort__sync_unlock(wg);
}

void gort_waitgroup_add(gort_waitgroup *wg, int n)
{
	/* release: what was done before done() is seen after wait(); acquire: for the one that wakes */
	uint64_t s = gort__add_acq_rel(&wg->state, (uint64_t)(int64_t)n << 32) + ((uint64_t)(int64_t)n << 32);
	int32_t count = count_of(s);
	uint32_t waiters = (uint32_t)s;

	if (gort__unlikely(count < 0))
		gort__panic("sync: negative WaitGroup counter");
	if (gort__likely(count > 0)) {
		if (count != n)
			return;
		if (gort__unlikely(waiters != 0))
			gort__panic("sync: WaitGroup misuse: Add called concurrently with Wait");
		if (gort__unlikely(gort__sync_any_leaving(wg)))
			tell_leaving(wg);
		return;
	}
	if (gort__unlikely(waiters != 0))
		wake_all(wg);
}

void gort_waitgroup_done(gort_waitgroup *wg)
{
	gort_waitgroup_add(wg, -1);
}

/* Under the table's lock: a waiter's deadline passed. */
static void leave_queue(gort_waitgroup *wg, struct sync_waiter *w)
{
	uint64_t s = gort__load_relaxed(&wg->state);

	sync_remove(queue(wg), w);
	while (count_of(s) != 0 && !gort__cas_relaxed(&wg->state, &s, s - 1))
		;
}

static int wait(gort_waitgroup *wg, gort_time deadline)
{
	struct sync_waiter w = { .key = wg };
	uint64_t s;
	gort__m *mp;
	int r;

	if (gort__load_acquire(&wg->state) == 0)                /* pairs with the release in add */
		return 0;
	mp = gort__enter();
	gort__sync_lock(wg);
	s = gort__load_acquire(&wg->state);
	do {
		if (s == 0) {
			gort__sync_unlock(wg);
			gort__leave(mp);
			return 0;
		}
		if (count_of(s) == 0)
			break;                  /* the waker is on its way, and takes us along */
	} while (!gort__cas_acq_rel(&wg->state, &s, s + 1));
	sync_prepare(mp, &w, "sync.WaitGroup.Wait", deadline);
	sync_push(queue(wg), &w);
	gort__sync_unlock(wg);
	r = sync_park(&mp, &w, deadline);
	gort__sync_lock(wg);
	if (r == 0)
		gort__sync_left(&w);            /* of the group nothing is touched: it may be gone */
	else if (w.queued)
		leave_queue(wg, &w);
	gort__sync_unlock(wg);
	gort__leave(mp);
	if (gort__unlikely(w.reused))
		gort__panic("sync: WaitGroup is reused before previous Wait has returned");
	return r;
}

void gort_waitgroup_wait(gort_waitgroup *wg)
{
	wait(wg, GORT_FOREVER);
}

int gort_waitgroup_wait_until(gort_waitgroup *wg, gort_time deadline)
{
	if (sync_too_late(deadline))
		return -ETIMEDOUT;
	return wait(wg, deadline);
}

struct counted {
	gort_waitgroup *wg;
	void (*fn)(void *arg);
	void *arg;
};

static void done(void *wg)
{
	gort_waitgroup_done(wg);
}

static void run_counted(void *arg)
{
	struct counted *c = arg;

	gort__call_then(c->fn, c->arg, done, c->wg);
}

int gort_waitgroup_go(gort_waitgroup *wg, void (*fn)(void *arg), void *arg)
{
	struct counted c = { .wg = wg, .fn = fn, .arg = arg };
	int err;

	if (fn == NULL)
		gort__fatal("go of nil func value");
	gort_waitgroup_add(wg, 1);
	err = gort_go_copy(run_counted, &c, sizeof c);
	if (err != 0)
		gort_waitgroup_done(wg);
	return err;
}
