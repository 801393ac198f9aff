/* SPDX-License-Identifier: MIT */
/*
 * The hash that stands for a state. What can make no difference any more is left out, so that as many ways as possible
 * lead to the same one: stores that nobody may read, what threads knew of plain accesses that no race can be with, and
 * which of several threads that do the same is which.
 */
#include "internal.h"

#include <string.h>

/* A clock counts only by comparison with the accesses that a race could still be with. */
static uint8_t rank[MODEL_THREADS][256];

/* Used by more than one thread. */
static bool shared(struct loc *l)
{
	return (l->users & (l->users - 1)) != 0;
}

static void make_ranks(void)
{
	for (int t = 0; t < nthreads; t++)
		memset(rank[t], 0, threads[t].now.clock[t] + 1u);
	for (struct loc *l = locs; l < locs + nlocs; l++) {
		if (!l->plain || !shared(l))
			continue;
		if (l->written > 0)
			rank[l->writer][l->written] = 1;
		for (int t = 0; t < MODEL_THREADS; t++) {
			if (l->read[t] > 0)
				rank[t][l->read[t]] = 1;
		}
	}
	for (int t = 0; t < nthreads; t++) {
		for (int i = 1; i <= threads[t].now.clock[t]; i++)
			rank[t][i] = (uint8_t)(rank[t][i] + rank[t][i - 1]);
	}
}

static uint8_t oldest[LOCS];    /* what nobody may read any more lies below */
static int order[MODEL_THREADS];        /* in which the threads are looked at, and the other way round */
static int place[MODEL_THREADS];

static uint64_t hash_view(uint64_t h, const uint8_t *view)
{
	for (int i = 0; i < nlocs; i++) {
		if (locs[i].n > oldest[i] + 1)
			h = mix(h, view[i] > oldest[i] ? (unsigned)view[i] - oldest[i] : 0);
	}
	return h;
}

static uint64_t hash_know(uint64_t h, const struct know *k)
{
	uint64_t ranks = 0;

	for (int t = 0; t < nthreads; t++)
		ranks = ranks << 8 | rank[order[t]][k->clock[order[t]]];
	return mix(hash_view(h, k->view), ranks);
}

static uint64_t hash_thread(uint64_t h, const struct thread *t)
{
	h = mix(h, (t->status != DONE ? t->past : 0) ^ (uint64_t)t->status << 60);
	h = mix(h, (uint64_t)(t->on != NULL ? t->on - locs : -1));
	if (t->status == DONE)
		return h;
	for (int i = 0; i < nlocs; i++) {
		if (locs[i].spun)
			h = mix(h, t->now.view[i] > t->found[i]);
	}
	h = hash_know(h, &t->now);
	h = hash_know(h, &t->later);
	return hash_know(h, &t->fenced);
}

static uint64_t hash_plain(uint64_t h, struct loc *l)
{
	h = mix(h, peek(l->at, l->size));
	if (!shared(l))
		return h;
	h = mix(h, (uint64_t)place[l->writer] << 8 | rank[l->writer][l->written]);
	for (int t = 0; t < nthreads; t++)
		h = mix(h, rank[order[t]][l->read[order[t]]]);
	return h;
}

static uint64_t hash_all(void)
{
	uint64_t h = hash_view(0, fences);

	for (int t = 0; t < nthreads; t++)
		h = hash_thread(h, &threads[order[t]]);
	for (struct loc *l = locs; l < locs + nlocs; l++) {
		h = mix(h, (uint64_t)(l - locs));
		if (l->plain) {
			h = hash_plain(h, l);
			continue;
		}
		h = mix(h, (uint64_t)(l->n > 0 ? l->n : 1) - oldest[l - locs]);
		for (int i = oldest[l - locs]; i < l->n; i++) {
			h = mix(h, l->stores[i].value);
			h = hash_know(h, &l->stores[i].with);
		}
	}
	return h;
}

/* The least hash with the threads from the k-th on in any order. */
static uint64_t hash_orders(int k)
{
	uint64_t least = UINT64_MAX;

	if (k >= nthreads - 1) {
		for (int t = 0; t < nthreads; t++)
			place[order[t]] = t;
		return hash_all();
	}
	for (int i = k; i < nthreads; i++) {
		int t = order[k];
		uint64_t h;

		order[k] = order[i];
		order[i] = t;
		h = hash_orders(k + 1);
		least = h < least ? h : least;
		order[i] = order[k];
		order[k] = t;
	}
	return least;
}

uint64_t state_hash(int alike)
{
	make_ranks();
	memset(oldest, 0xff, sizeof oldest);
	for (int t = 0; t < nthreads; t++) {
		order[t] = t;
		for (int i = 0; i < nlocs && threads[t].status != DONE; i++) {
			if (oldest[i] > threads[t].now.view[i])
				oldest[i] = threads[t].now.view[i];
		}
	}
	return hash_orders(nthreads - alike);
}
