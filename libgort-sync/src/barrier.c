/* SPDX-License-Identifier: MIT */
/* The barrier: the last of n to arrive lets the others go, and the next round may begin at once. */
#include "queue.h"

#include <stdlib.h>

/* All under the table's lock for it. Those who are let go do not touch it any more. */
struct gort_barrier {
	struct sync_waiter *waiters;
	int n;
	int arrived;
};

gort_barrier *gort_barrier_new(int n)
{
	gort_barrier *b;

	if (n < 1)
		gort__panic("barrier: fewer than one to wait for");
	b = calloc(1, sizeof *b);
	if (b != NULL)
		b->n = n;
	return b;
}

bool gort_barrier_wait(gort_barrier *b)
{
	struct sync_waiter w = { .key = b }, *other;
	struct sync_woken woken;
	gort__m *mp = gort__enter();

	gort__sync_lock(b);
	if (b->arrived + 1 < b->n) {
		b->arrived++;
		sync_prepare(mp, &w, "barrier", GORT_FOREVER);
		sync_push(&b->waiters, &w);
		gort__sync_unlock(b);
		mp = gort__park(mp);
		gort__leave(mp);
		return false;
	}
	b->arrived = 0;
	sync_woken_init(&woken);
	while ((other = sync_pop(&b->waiters)) != NULL)
		sync_woken_add(&woken, other);
	gort__sync_unlock(b);                   /* by address only: one of the others may free it */
	sync_wake(&woken);
	gort__leave(mp);
	return true;
}

void gort_barrier_free(gort_barrier *b)
{
	bool waited;

	if (b == NULL)
		return;
	gort__sync_lock(b);
	waited = b->arrived > 0;
	gort__sync_unlock(b);
	if (waited)
		gort__panic("barrier: freed while goroutines wait at it");
	free(b);
}
