/* SPDX-License-Identifier: MIT */
/*
 * The pool: objects to be used again, some with each P, the others in a place that all share.
 *
 * A P's share is plain memory: only who has entered the library with that P touches it, so getting and putting cost no atomic
 * operation. A share that is full gives half of what it has to the common place, one that is empty takes some back; what the
 * common place has no room for is destroyed. So a pool keeps no more than a bounded number, which takes the place of Go's
 * throwing away at each garbage collection.
 *
 * The user's functions, and malloc, are called outside the library.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

#define PROCS 1024      /* as many Ps as there can be */
#define SHARE 31
#define MOVED 16
#define COMMON 1024

struct share {
	uint32_t n;
	void *items[SHARE];
};

struct gort_pool {
	void *(*create)(void *arg);
	void (*destroy)(void *item);
	void *arg;
	gort__lock lock;
	uint32_t n;                     /* of common; under lock */
	void *common[COMMON];           /* under lock */
	struct share *shares[PROCS];    /* each by who has entered with that P */
};

gort_pool *gort_pool_new(void *(*create)(void *arg), void (*destroy)(void *item), void *arg)
{
	gort_pool *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	gort__fence_init();
	gort__lock_init(&p->lock);
	p->create = create;
	p->destroy = destroy;
	p->arg = arg;
	return p;
}

/* Up to max items off the common place. */
static uint32_t take_common(gort_pool *p, void **items, uint32_t max)
{
	uint32_t n;

	if (gort__load_relaxed(&p->n) == 0)
		return 0;
	gort__lock_lock(&p->lock);
	n = p->n < max ? p->n : max;
	gort__store_relaxed(&p->n, p->n - n);
	memcpy(items, &p->common[p->n], n * sizeof *items);
	gort__lock_unlock(&p->lock);
	return n;
}

/* How many of them there was room for: the first ones. */
static uint32_t put_common(gort_pool *p, void *const *items, uint32_t n)
{
	gort__lock_lock(&p->lock);
	if (n > COMMON - p->n)
		n = COMMON - p->n;
	memcpy(&p->common[p->n], items, n * sizeof *items);
	gort__store_relaxed(&p->n, p->n + n);
	gort__lock_unlock(&p->lock);
	return n;
}

void *gort_pool_get(gort_pool *p)
{
	gort__m *mp = gort__enter();
	int proc = gort__p_number(mp);
	struct share *s = proc >= 0 ? p->shares[proc] : NULL;
	void *item = NULL;

	if (s != NULL) {
		if (s->n == 0)
			s->n = take_common(p, s->items, MOVED);
		if (s->n > 0)
			item = s->items[--s->n];
	} else {
		take_common(p, &item, 1);
	}
	gort__leave(mp);
	return item != NULL || p->create == NULL ? item : p->create(p->arg);
}

/* The caller's P has no share yet. Entered before and after; maybe with another P. */
static gort__m *add_share(gort_pool *p, gort__m *mp)
{
	struct share *s;
	int proc;

	gort__leave(mp);
	s = calloc(1, sizeof *s);
	mp = gort__enter();
	proc = gort__p_number(mp);
	if (s != NULL && proc >= 0 && p->shares[proc] == NULL) {
		p->shares[proc] = s;
		return mp;
	}
	gort__leave(mp);
	free(s);
	return gort__enter();
}

void gort_pool_put(gort_pool *p, void *item)
{
	void *excess[MOVED];
	uint32_t n = 0;
	struct share *s;
	gort__m *mp;
	int proc;

	if (item == NULL)
		return;
	mp = gort__enter();
	proc = gort__p_number(mp);
	if (gort__unlikely(proc >= 0 && p->shares[proc] == NULL)) {
		mp = add_share(p, mp);
		proc = gort__p_number(mp);
	}
	s = proc >= 0 ? p->shares[proc] : NULL;
	if (s != NULL) {
		if (s->n == SHARE) {
			uint32_t kept = put_common(p, s->items, MOVED);

			/* the oldest go, the newest are warm */
			n = MOVED - kept;
			memcpy(excess, &s->items[kept], n * sizeof *excess);
			s->n -= MOVED;
			memmove(s->items, &s->items[MOVED], s->n * sizeof *s->items);
		}
		s->items[s->n++] = item;
	} else if (put_common(p, &item, 1) == 0) {
		excess[n++] = item;
	}
	gort__leave(mp);
	while (n > 0 && p->destroy != NULL)
		p->destroy(excess[--n]);
}

void gort_pool_free(gort_pool *p)
{
	if (p == NULL)
		return;
	for (uint32_t i = 0; i < PROCS; i++) {
		struct share *s = p->shares[i];

		while (s != NULL && s->n > 0 && p->destroy != NULL)
			p->destroy(s->items[--s->n]);
		free(s);
	}
	while (p->n > 0 && p->destroy != NULL)
		p->destroy(p->common[--p->n]);
	free(p);
}
