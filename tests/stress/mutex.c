/* SPDX-License-Identifier: MIT */
/*
 * The storm on mutexes that turn from plain to full and back (turn.c): first waits for mutexes that are freed at once, or whose
 * place another one takes; the same mutexes contended, then calm for long enough to be plain again, then contended; deadlines,
 * and condition variables on the way.
 */
#include "storm.h"

#include <gort/sync.h>

/* More unlocks in a row than it takes to make a full one plain. */
#define CALM 33000

static int done, stop;

/* One of three ways, and perhaps with a deadline that passes now and then. */
static void lock(gort_mutex *m, uint64_t *r)
{
	switch (test_random(r) % 8) {
	case 0:
		while (!gort_mutex_try_lock(m))
			gort_yield();
		break;
	case 1:
	case 2:
		while (gort_mutex_lock_until(m, gort_deadline((gort_duration)(test_random(r) % 20000))) != 0)
			;
		break;
	default:
		gort_mutex_lock(m);
	}
}

/* --- one place, many mutexes --- */

struct place {
	gort_mutex m;
	int left;               /* who still uses this one; guarded by m */
	int rounds;             /* how many more there are to be; guarded by m */
	uint64_t seed;
	struct place *next;     /* NULL: it stays where it is. Else they go on in another block */
};

#define USERS 3

static void uses(void *arg);

static void starts(struct place *p)
{
	p->left = USERS;
	for (int i = 0; i < USERS; i++)
		expect_eq(gort_go(uses, p), 0);
}

/* The last one makes a new mutex of the memory, or frees it and takes other memory. */
static void renews(struct place *p)
{
	struct place *q = p;
	int rounds = p->rounds;
	uint64_t seed = p->seed;

	if (rounds % 4 == 0) {
		q = malloc(sizeof *q);
		memset(p, 0xFF, sizeof *p);
		free(p);
	}
	memset(q, 0, sizeof *q);
	q->rounds = rounds - 1;
	q->seed = seed + 1;
	if (q->rounds > 0) {
		starts(q);
		return;
	}
	free(q);
	count_up(&done);
}

static void uses(void *arg)
{
	struct place *p = arg;
	uint64_t r = test_random_init((uintptr_t)arg + (uint64_t)gort_id());
	bool last;

	if (test_random(&r) % 4 == 0)
		gort_yield();
	lock(&p->m, &r);
	/* for long enough to be waited for, mostly: in a call, or computing */
	if (test_random(&r) % 4 == 0)
		gort_yield();
	else
		compute(&r, (unsigned)(test_random(&r) % 3000));
	last = --p->left == 0;
	gort_mutex_unlock(&p->m);
	if (last)
		renews(p);
}

START_TEST(first_waits_storm)
{
	struct changer ch = { &stop, 4, 0 };
	int was = gort_maxprocs();
	pthread_t changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	gort_set_maxprocs(2);
	changer = thread_start(storm_changes_procs, &ch);
	for (int i = 0; i < 8; i++) {
		struct place *p = calloc(1, sizeof *p);

		p->rounds = (int)test_scale_min(1000, 50);
		starts(p);
	}
	await_count(&done, 8);
	set(&stop, 1);
	thread_join(changer);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

/* --- contended, calm, contended --- */

#define SHARERS 6
#define THREADS 2

static struct {
	gort_mutex m;
	gort_cond c;            /* used in the last rounds only, since it keeps the mutex full */
	gort_barrier *b;
	long inside, total;     /* guarded by m */
	int waiting;            /* guarded by m */
	int rounds, with_cond;
} shared;

static void section(uint64_t *r, bool may_yield)
{
	expect_eq(++shared.inside, 1);
	shared.total++;
	if (may_yield && test_random(r) % 16 == 0)
		gort_yield();
	shared.inside--;
}

static void contends(uint64_t *r, long n)
{
	for (long i = 0; i < n; i++) {
		lock(&shared.m, r);
		section(r, true);
		gort_mutex_unlock(&shared.m);
	}
}

static void signals_and_waits(uint64_t *r)
{
	gort_mutex_lock(&shared.m);
	section(r, true);
	if (++shared.waiting < SHARERS + THREADS) {
		while (shared.waiting != 0)
			gort_cond_wait(&shared.c, &shared.m);
	} else {
		shared.waiting = 0;
		gort_cond_broadcast(&shared.c);
	}
	gort_mutex_unlock(&shared.m);
}

static void shares(void *arg)
{
	intptr_t me = (intptr_t)arg;
	uint64_t r = test_random_init((uint64_t)me + 11);
	long n = test_scale_min(400, 40);

	for (int i = 0; i < shared.rounds + shared.with_cond; i++) {
		contends(&r, n);
		if (i >= shared.rounds)
			signals_and_waits(&r);
		gort_barrier_wait(shared.b);
		/* alone till it is plain, in every other round; else the others come back meanwhile */
		if (me == i % (SHARERS + THREADS)) {
			for (int k = 0; k < CALM; k++) {
				gort_mutex_lock(&shared.m);
				section(&r, false);
				gort_mutex_unlock(&shared.m);
			}
			if (i < shared.rounds && i % 2 == 0)
				expect_eq(__atomic_load_n(&shared.m.mode, __ATOMIC_RELAXED), 0);
		}
		if (i % 2 == 0)
			gort_barrier_wait(shared.b);
	}
	count_up(&done);
}

START_TEST(calm_and_contended_storm)
{
	struct changer ch = { &stop, 4, 0 };
	int was = gort_maxprocs();
	pthread_t t[THREADS], changer;
	long each;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	memset(&shared, 0, sizeof shared);
	shared.rounds = (int)test_scale_min(20, 5);
	shared.with_cond = 2;
	shared.b = gort_barrier_new(SHARERS + THREADS);
	gort_set_maxprocs(2);
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < SHARERS; i++)
		ck_assert_int_eq(gort_go(shares, (void *)i), 0);
	for (intptr_t i = 0; i < THREADS; i++)
		t[i] = thread_start(shares, (void *)(SHARERS + i));
	await_count(&done, SHARERS + THREADS);
	for (int i = 0; i < THREADS; i++)
		thread_join(t[i]);
	set(&stop, 1);
	thread_join(changer);
	gort_set_maxprocs(was);
	gort_barrier_free(shared.b);
	each = test_scale_min(400, 40) * (SHARERS + THREADS) + CALM;
	expect_eq(shared.total, (shared.rounds + shared.with_cond) * each + shared.with_cond * (SHARERS + THREADS));
	expect_eq(shared.m.state, 0);
	expect(shared.m.waiters == NULL);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-mutex", NULL);
	test_add(&s, first_waits_storm);
	test_add(&s, calm_and_contended_storm);
	return test_end(&s);
}
