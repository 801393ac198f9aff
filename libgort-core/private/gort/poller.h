/* SPDX-License-Identifier: MIT */
/*
 * The poller: how core learns of descriptors that have become ready, without knowing what a descriptor is. Who has some to
 * watch (libgort-net) registers one table of functions; core then polls where it has nothing better to do, and lets one
 * idle M sleep in the poller, until the next timer, instead of on its futex. See idle.c.
 */
#ifndef GORT__POLLER_H
#define GORT__POLLER_H

#include <gort/gmp.h>

typedef struct gort__poller {
	/*
	 * The goroutines that wait for what has become ready, each claimed by the poller and for the caller to make runnable,
	 * as a list through g->link; NULL: none. until 0: looks and returns at once; else sleeps until there are some, or
	 * that time, or a wake, or for no reason. Called by Ms on their own stacks, by many at once; but only one at a time
	 * sleeps, and only that one may take a wake as its own. A goroutine's g->cpu says where it had best go on: 1 + the
	 * number of a processor; 0: anywhere. Core writes another one there when it has it go on, and stay, elsewhere.
	 */
	gort_g *(*poll)(gort_time until);
	/* The M that sleeps in poll, or is about to, returns. From any thread; never blocks. Once for each return at most. */
	void (*wake)(void);
	/* Does any goroutine or thread wait for a descriptor? Exact while everything is at rest. */
	bool (*waits)(void);
	/* Adds its own numbers. */
	void (*stats)(gort_stats *s);
} gort__poller;

/*
 * From now on this one, until gort_shutdown; whoever sleeps on a futex and is to sleep in it is woken. The caller has entered.
 * Once in the scheduler's life.
 */
GORT_API void gort__poller_register(const gort__poller *poller);

#endif
