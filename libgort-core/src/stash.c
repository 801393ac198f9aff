/* SPDX-License-Identifier: MIT */
/* Growing a stash. */
#include "stash.h"

#include <stdlib.h>

bool gort__stash_reserve(struct gort__stash *s, uint32_t n)
{
	uint32_t len = gort__stash_len(s), room = s->room != 0 ? s->room : 1024;
	struct gort_g **a;

	if (len + n <= s->room)
		return true;
	while (room < len + n) {
		if (room > UINT32_MAX / 4)
			return false;
		room *= 2;
	}
	a = malloc(room * sizeof *a);
	if (a == NULL)
		return false;
	for (uint32_t i = 0; i < len; i++)
		a[i] = s->a[(s->bottom + i) & (s->room - 1)];
	free(s->a);
	s->a = a;
	s->room = room;
	gort__store_relaxed(&s->bottom, 0);
	gort__store_relaxed(&s->top, len);
	return true;
}

void gort__stash_free(struct gort__stash *s)
{
	free(s->a);
	*s = (struct gort__stash){ 0 };
}
