/* SPDX-License-Identifier: MIT */
/* What the storms share: who is in them, and how each ends. A storm runs for test_scale(...) rounds, not for a time. */
#ifndef GORT_STORM_H
#define GORT_STORM_H

#include "test.h"

/* Computes without a call, for some microseconds: a P that can be taken, or borrowed. */
static inline uint64_t compute(uint64_t *r, unsigned n)
{
	uint64_t x = 0;

	for (unsigned i = 0; i < n; i++)
		x += test_random(r);
	return x;
}

/* Changes maxprocs until *stop; a thread of its own, or a goroutine. */
struct changer {
	int *stop;
	int most;
	int changes;
};

static inline void storm_changes_procs(void *arg)
{
	struct changer *c = arg;
	uint64_t r = test_random_init(12345);

	while (!get(c->stop)) {
		gort_set_maxprocs(1 + (int)(test_random(&r) % (unsigned)c->most));
		c->changes++;
		compute(&r, (unsigned)(test_random(&r) % 20000));
	}
}

#endif
