/* SPDX-License-Identifier: MIT */
/* GORT_MUTEX_SCOPE: a mutex that is unlocked when a C scope ends. A warden of core's sees to panics and exits. */
#include "queue.h"

_Static_assert(sizeof(struct gort__warden) == sizeof(gort__mutex_scope), "the user's frame has room for a warden");

static void unlock(void *m)
{
	gort_mutex_unlock(m);
}

void gort__mutex_scope_begin(gort__mutex_scope *s, gort_mutex *m)
{
	struct gort__warden *g = (struct gort__warden *)s;

	gort_mutex_lock(m);
	g->fn = unlock;
	g->arg = m;
	gort__warden_push(g);
}

void gort__mutex_scope_end(gort__mutex_scope *s)
{
	struct gort__warden *g = (struct gort__warden *)s;

	gort__warden_pop(g);
	gort_mutex_unlock(g->arg);
}
