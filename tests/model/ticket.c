/* SPDX-License-Identifier: MIT */
/*
 * Tickets: a goroutine that waits twice, and a peer, a timer and a closer that may each end a wait. The timer and the
 * closer may have learned of the first wait and act during the second. Exactly one wins each wait, and it is one that
 * knew of this wait.
 */
#include "model.h"

#include "runtime.h"

#include <stdio.h>

#define ROUNDS 2

static gort_g g;
static uint64_t tickets[ROUNDS];        /* of each wait; plain, published by round */
static uint32_t round_now;              /* waits begun */
static uint32_t wins[ROUNDS];

/* gort__ticket_arm and _claim, or what a fault puts in their place */
static uint64_t (*arm)(gort_g *gp);
static bool (*claim)(gort_g *gp, uint64_t ticket);

static void show_ticket(char *buf, size_t size, uint64_t w)
{
	snprintf(buf, size, "%u%s", (unsigned)(w >> 1), w & 1 ? " armed" : "");
}

static void setup(void)
{
	gort__fenced = false;
	g.wait = 0;
	g.note = 0;
	g.param = NULL;
	round_now = 0;
	for (int i = 0; i < ROUNDS; i++) {
		tickets[i] = 0;
		wins[i] = 0;
	}
	arm = gort__ticket_arm;
	claim = gort__ticket_claim;
	model_name(&g.wait, "ticket", show_ticket);
	model_name(&g.note, "note", NULL);
	model_name(&g.param, "param", NULL);
	model_name(&round_now, "round", NULL);
	model_name(&wins[0], "wins of wait 1", NULL);
	model_name(&wins[1], "wins of wait 2", NULL);
	model_name(&tickets[0], "ticket of wait 1", show_ticket);
	model_name(&tickets[1], "ticket of wait 2", show_ticket);
}

static void finish(void)
{
	for (int i = 0; i < ROUNDS; i++)
		model_assert(wins[i] == 1);
	model_assert((g.wait & 1) == 0);
}

static void sleeper(void)
{
	for (uint32_t i = 0; i < ROUNDS; i++) {
		model_mark(i);
		gort__plain_write(&tickets[i], arm(&g));
		gort__store_release(&round_now, i + 1);
		while (gort__load_acquire(&g.note) == 0)
			model_spin(&g.note);
		gort__store_relaxed(&g.note, 0);
		model_assert(gort__plain_read(&g.param) == &tickets[i]);
		model_assert(gort__plain_read(&wins[i]) == 1);
	}
}

/* A waker that knows of wait r. */
static void wake(uint32_t r)
{
	if (!claim(&g, gort__plain_read(&tickets[r])))
		return;
	gort__plain_write(&g.param, (void *)&tickets[r]);
	gort__plain_write(&wins[r], gort__plain_read(&wins[r]) + 1);
	gort__store_release(&g.note, 1);
}

/* Sees to it that every wait ends. */
static void peer(void)
{
	uint32_t done = 0;

	while (done < ROUNDS) {
		uint32_t r = gort__load_acquire(&round_now);

		if (r == done) {
			model_spin(&round_now);
			continue;
		}
		wake(r - 1);
		done = r;
		model_mark(done);
	}
}

/* Comes once, and may have been held up since it learned of the wait. */
static void other(void)
{
	uint32_t r = gort__load_acquire(&round_now);

	if (r > 0)
		wake(r - 1);
}

/* --- faults --- */

static void split(void)
{
	model_split(&g.wait);
}

static uint64_t arm_unnumbered(gort_g *gp)
{
	gort__plain_write(&gp->param, NULL);
	gort__store_release(&gp->wait, 1);
	return 1;
}

static bool claim_unnumbered(gort_g *gp, uint64_t ticket)
{
	uint64_t expected = ticket;

	return gort__cas_acq_rel(&gp->wait, &expected, 0);
}

static void unnumbered(void)
{
	arm = arm_unnumbered;
	claim = claim_unnumbered;
}

static bool claim_nothing(gort_g *gp, uint64_t ticket)
{
	return gort__load_acquire(&gp->wait) == ticket;
}

static void unclaimed(void)
{
	claim = claim_nothing;
}

#define THREADS(...) { { "sleeper", sleeper }, { "peer", peer }, __VA_ARGS__ }

static const model_test tests[] = {
	{ "a peer", setup, THREADS({ NULL }), finish },
	{ "a peer and a timer", setup, THREADS({ "timer", other }), finish },
	{ "a peer, a timer and a closer", setup, THREADS({ "timer", other }, { "closer", other }), finish },

	{ "fault: claiming is a load and a store", setup, THREADS({ "timer", other }), finish, split, "" },
	{ "fault: tickets without a number", setup, THREADS({ "timer", other }), finish, unnumbered, "" },
	{ "fault: wakers only look at the ticket", setup, THREADS({ "timer", other }), finish, unclaimed, "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
