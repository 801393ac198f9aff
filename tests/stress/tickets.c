/* SPDX-License-Identifier: MIT */
/*
 * The storm on tickets: parks with deadlines, and several wakers that race each other and the deadline. For each park at most
 * one waker wins; a result of 0 means that one did, -ETIMEDOUT that none did.
 */
#include "storm.h"

#define SEATS 8
#define NOBODY (-1)

/* One park. */
struct round {
	gort_g *g;
	uint64_t ticket;        /* written by commit, before the seat's current says so */
	int wins;               /* atomic */
	int result;             /* what the park returned; the waiter's */
	bool rise;              /* commit answered no; the waiter's */
};

struct seat {
	struct round *rounds;
	int current;            /* the round that can be won, or NOBODY; atomic */
	int next;               /* the waiter's */
	bool rise;
};

static struct seat seats[SEATS];
static int done, stop, rounds;

static bool sit(gort_g *g, void *arg)
{
	struct seat *s = arg;
	struct round *r = &s->rounds[s->next];

	r->g = g;
	r->ticket = gort_park_ticket(g);
	set(&s->current, s->next);
	return !s->rise;        /* no: published, and then not parked; who has won it meanwhile has woken it all the same */
}

static void waits(void *arg)
{
	struct seat *s = arg;
	uint64_t r = test_random_init((uint64_t)(s - seats));

	for (s->next = 0; s->next < rounds; s->next++) {
		struct round *me = &s->rounds[s->next];
		gort_time until = gort_deadline(1 + (gort_duration)(test_random(&r) % 60000));

		me->rise = s->rise = test_random(&r) % 16 == 0;
		me->result = gort_park_until(sit, s, "storm", until);
		set(&s->current, NOBODY);
		if (me->result != 0) {
			expect_eq(me->result, -ETIMEDOUT);
			expect(gort_now() >= until);
		}
		if (test_random(&r) % 4 == 0)
			gort_yield();
	}
	count_up(&done);
}

static void wakes(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg + 100);

	while (!get(&stop)) {
		struct seat *s = &seats[test_random(&r) % SEATS];
		int i = get(&s->current);

		if (i == NOBODY) {
			gort_yield();
			continue;
		}
		if (test_random(&r) % 4 == 0)
			compute(&r, (unsigned)(test_random(&r) % 3000));
		if (gort_try_ready(s->rounds[i].g, s->rounds[i].ticket))
			count_up(&s->rounds[i].wins);
	}
	count_up(&done);
}

START_TEST(ticket_storm)
{
	struct changer ch = { &stop, 4, 0 };
	int was = gort_maxprocs(), woken = 0, timed_out = 0;
	pthread_t t[2], seat_thread, changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	rounds = (int)test_scale_min(4000, 100);
	for (int i = 0; i < SEATS; i++)
		seats[i] = (struct seat){ .rounds = calloc((size_t)rounds, sizeof(struct round)), .current = NOBODY };
	/* one of the waiters is a plain thread */
	for (int i = 1; i < SEATS; i++)
		ck_assert_int_eq(gort_go(waits, &seats[i]), 0);
	seat_thread = thread_start(waits, &seats[0]);
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(gort_go(wakes, (void *)i), 0);
	for (intptr_t i = 0; i < 2; i++)
		t[i] = thread_start(wakes, (void *)(i + 10));
	await_count(&done, SEATS);
	set(&stop, 1);
	await_count(&done, SEATS + 6);
	thread_join(t[0]);
	thread_join(t[1]);
	thread_join(seat_thread);
	thread_join(changer);
	for (int i = 0; i < SEATS; i++) {
		for (int k = 0; k < rounds; k++) {
			struct round *r = &seats[i].rounds[k];

			if (r->result != 0)
				expect_eq(r->wins, 0);
			else if (r->rise)
				expect(r->wins <= 1);
			else
				expect_eq(r->wins, 1);
			woken += r->result == 0 && r->wins == 1;
			timed_out += r->result != 0;
		}
		free(seats[i].rounds);
	}
	fprintf(stderr, "# %d woken, %d timed out\n", woken, timed_out);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-tickets", NULL);
	test_add(&s, ticket_storm);
	return test_end(&s);
}
