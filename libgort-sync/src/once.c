/* SPDX-License-Identifier: MIT */
/*
 * Once: NEW -> RUNNING (-> AWAITED) -> DONE. Waiters lie in the table's shared queue, since eight bytes hold none; a waiter
 * says so (AWAITED) and queues up under the table's lock, so the one that finishes finds all of them there.
 */
#include "queue.h"

/* These numbers are compiled into users, inline (sync.h). */
enum { NEW = 0, RUNNING = 1, AWAITED = 2, DONE = 3 };

static void finish(void *arg)
{
	gort_once *once = arg;
	struct sync_waiter **at = gort__sync_shared(once);
	gort_g *first = NULL, **end = &first;
	gort__m *mp;

	/* release: all that fn did is seen by those who see DONE */
	if (gort__xchg_acq_rel(&once->state, DONE) != AWAITED)
		return;
	gort__sync_lock(once);                  /* by address only: the object may be gone */
	for (struct sync_waiter *w = *at, *next; w != NULL; w = next) {
		next = w->next;
		if (w->key == once) {
			sync_remove(at, w);
			*end = w->g;
			end = &w->g->link;
		}
	}
	*end = NULL;
	gort__sync_unlock(once);
	if (first != NULL) {
		mp = gort__enter_nosched();
		gort__ready_all(mp, first);
		gort__leave(mp);
	}
}

static __attribute__((noinline)) void once_slow(gort_once *once, void (*fn)(void *arg), void *arg)
{
	struct sync_waiter w = { .key = once };
	uint32_t s = NEW;
	gort__m *mp;

	if (gort__cas_acquire(&once->state, &s, RUNNING)) {
		/* however fn ends: a panic counts as done, and so does an exit */
		gort__call_then(fn, arg, finish, once);
		return;
	}
	mp = gort__enter();
	w.g = gort__g_of(mp);
	gort__sync_lock(once);
	s = RUNNING;
	if (!gort__cas_acquire(&once->state, &s, AWAITED) && s == DONE) {
		(void)gort__load_acquire(&once->state);         /* pairs with the release in finish */
		gort__sync_unlock(once);
		gort__leave(mp);
		return;
	}
	gort__park_prepare(w.g, "sync.Once.Do");
	sync_push(gort__sync_shared(once), &w);
	gort__sync_unlock(once);
	mp = gort__park(mp);
	gort__leave(mp);
}

void (gort_once_do)(gort_once *once, void (*fn)(void *arg), void *arg)
{
	if (gort__unlikely(gort__load_acquire(&once->state) != DONE))   /* pairs with the release in finish */
		once_slow(once, fn, arg);
}
