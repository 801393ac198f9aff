/* SPDX-License-Identifier: MIT */
/*
 * Functions that run on cancellation, each in a goroutine that was reserved when the hook was made, so that starting it cannot
 * fail. node.h draws the states.
 */
#include "node.h"

#include <stdlib.h>

/* Neither handle nor run needs it any more, one after the other. */
static void put(void *arg)
{
	gort_context_hook *h = arg;

	if (gort__add_acq_rel(&h->refs, -1u) == 1) {
		gort_context_unref(h->ctx);
		free(h);
	}
}

static void run(void *arg)
{
	gort_context_hook *h = arg;

	gort__call_then(h->fn, h->arg, put, h);
}

gort_context_hook *gort_context_after_func(gort_context *ctx, void (*fn)(void *arg), void *arg)
{
	struct node *n = node_of(ctx);
	gort_context_hook *h;
	bool now;

	if (fn == NULL)
		gort__fatal("go of nil func value");
	gort__node_bury();
	h = malloc(sizeof *h);
	if (h == NULL)
		return NULL;
	*h = (gort_context_hook){ .ctx = ctx, .fn = fn, .arg = arg, .refs = 2, .state = HOOK_WAITS };
	if (n != NULL) {
		if (!gort__go_reserve(&h->g)) {
			free(h);
			return NULL;
		}
	}
	gort_context_ref(ctx);
	if (n == NULL) {
		h->refs = 1;            /* it waits for nothing: only the handle has it */
		return h;
	}
	gort__lock_lock(&n->tree.lock);
	now = n->tree.struck;
	if (now) {
		h->state = HOOK_RUNS;
	} else {
		h->next = n->hooks;
		h->at = &n->hooks;
		if (h->next != NULL)
			h->next->at = &h->next;
		n->hooks = h;
	}
	gort__lock_unlock(&n->tree.lock);
	if (now) {
		gort__node_finish(n);
		gort__go_reserved(&h->g, run, h);
	}
	return h;
}

static void unlist(gort_context_hook *h)
{
	*h->at = h->next;
	if (h->next != NULL)
		h->next->at = h->at;
}

gort_context_hook *gort__hook_take(struct node *n, unsigned max)
{
	gort_context_hook *first = NULL, **end = &first, *h;

	while (max-- > 0 && (h = n->hooks) != NULL) {
		unlist(h);
		gort__store_relaxed(&h->state, HOOK_RUNS);
		*end = h;
		end = &h->next;
	}
	*end = NULL;
	return first;
}

void gort__hook_start(gort_context_hook *list)
{
	while (list != NULL) {
		gort_context_hook *next = list->next;

		gort__go_reserved(&list->g, run, list);         /* it may be over, and freed, already */
		list = next;
	}
}

bool gort_context_hook_stop(gort_context_hook *h)
{
	struct node *n = node_of(h->ctx);
	bool stopped;

	if (n == NULL) {
		uint32_t waits = HOOK_WAITS;

		return gort__cas_relaxed(&h->state, &waits, HOOK_STOPPED);
	}
	gort__lock_lock(&n->tree.lock);
	stopped = h->state == HOOK_WAITS;
	if (stopped) {
		unlist(h);
		h->state = HOOK_STOPPED;
	}
	gort__lock_unlock(&n->tree.lock);
	if (stopped) {
		gort__go_unreserve(&h->g);
		put(h);
	}
	return stopped;
}

void gort_context_hook_free(gort_context_hook *h)
{
	if (h != NULL)
		put(h);
}
