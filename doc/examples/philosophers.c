/* SPDX-License-Identifier: MIT */
/*
 * philosophers [N] - five philosophers at a round table eat N times each, with the forks to their left and right
 *
 * A fork is a mutex. Were all of them to take the left one first, each could hold one and wait for the other for ever. So
 * the forks are numbered, and everybody takes the lower one first: who holds the highest fork in use can only be waiting for
 * a higher one, which is free. (With a deadlock the program would end: "all goroutines are asleep - deadlock!", and each
 * philosopher's frames.)
 */
#include <gort/core.h>
#include <gort/sync.h>

#include "number.h"

#include <stdio.h>

#define SEATS 5

struct table {
	gort_mutex forks[SEATS];
	int users[SEATS];               /* of each fork at the moment; guarded by it */
	gort_waitgroup all;
	unsigned long meals;
};

struct philosopher {
	struct table *table;
	int seat;
	unsigned long eaten;
};

static void take(struct table *t, int fork)
{
	gort_mutex_lock(&t->forks[fork]);
	if (++t->users[fork] != 1)
		gort_panic("fork %d is in two hands", fork);
}

static void put_down(struct table *t, int fork)
{
	t->users[fork]--;
	gort_mutex_unlock(&t->forks[fork]);
}

static void dine(void *arg)
{
	struct philosopher *p = arg;
	struct table *t = p->table;
	int left = p->seat, right = (p->seat + 1) % SEATS;
	int first = left < right ? left : right, second = left < right ? right : left;

	while (p->eaten < t->meals) {
		take(t, first);
		gort_yield();           /* the worst moment to be interrupted */
		take(t, second);
		p->eaten++;
		put_down(t, second);
		put_down(t, first);
	}
}

GORT_MAIN(argc, argv)
{
	static const char *const names[SEATS] = { "Aristotle", "Diotima", "Hypatia", "Plato", "Socrates" };
	struct table table = { .meals = number_argument(argc, argv, 1000, 1000000) };
	struct philosopher guests[SEATS];
	int status = 0;

	for (int i = 0; i < SEATS && status == 0; i++) {
		guests[i] = (struct philosopher){ &table, i, 0 };
		if (gort_waitgroup_go(&table.all, dine, &guests[i]) != 0) {
			fprintf(stderr, "philosophers: cannot start a goroutine\n");
			status = 1;
		}
	}
	gort_waitgroup_wait(&table.all);
	for (int i = 0; i < SEATS && status == 0; i++)
		printf("%s has eaten %lu times\n", names[i], guests[i].eaten);
	return fflush(stdout) == 0 ? status : 1;
}
