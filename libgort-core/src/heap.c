/* SPDX-License-Identifier: MIT */
/* The 4-ary heap of deadlines. */
#include "heap.h"

#include <stdlib.h>

static bool before(const struct gort__heap_entry *a, const struct gort__heap_entry *b)
{
	return a->when != b->when ? a->when < b->when : a->order < b->order;
}

bool gort__heap_reserve(struct gort__heap *h, uint32_t room)
{
	uint32_t want = h->room != 0 ? h->room : 64;
	struct gort__heap_entry *a;

	if (room <= h->room)
		return true;
	while (want < room) {
		if (want > UINT32_MAX / 2)
			return false;
		want *= 2;
	}
	a = realloc(h->a, want * sizeof *a);
	if (a == NULL)
		return false;
	h->a = a;
	h->room = want;
	return true;
}

static void sift_up(struct gort__heap *h, uint32_t i, struct gort__heap_entry e)
{
	while (i > 0) {
		uint32_t up = (i - 1) / 4;

		if (!before(&e, &h->a[up]))
			break;
		h->a[i] = h->a[up];
		i = up;
	}
	h->a[i] = e;
}

static void sift_down(struct gort__heap *h, uint32_t i, struct gort__heap_entry e)
{
	for (;;) {
		uint32_t child = 4 * i + 1;
		uint32_t last = child + 3 < h->n ? child + 3 : h->n - 1;
		uint32_t least = child;

		if (child >= h->n)
			break;
		for (uint32_t c = child + 1; c <= last; c++) {
			if (before(&h->a[c], &h->a[least]))
				least = c;
		}
		if (!before(&h->a[least], &e))
			break;
		h->a[i] = h->a[least];
		i = least;
	}
	h->a[i] = e;
}

void gort__heap_push(struct gort__heap *h, struct gort__heap_entry e)
{
	gort__store_relaxed(&h->n, h->n + 1);
	sift_up(h, h->n - 1, e);
}

void gort__heap_pop(struct gort__heap *h)
{
	struct gort__heap_entry e = h->a[h->n - 1];

	gort__store_relaxed(&h->n, h->n - 1);
	if (h->n > 0)
		sift_down(h, 0, e);
}

void gort__heap_rebuild(struct gort__heap *h)
{
	for (uint32_t i = h->n / 4 + 1; i-- > 0;) {
		if (i < h->n)
			sift_down(h, i, h->a[i]);
	}
}

void gort__heap_free(struct gort__heap *h)
{
	free(h->a);
	*h = (struct gort__heap){ 0 };
}
