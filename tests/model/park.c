/* SPDX-License-Identifier: MIT */
/*
 * Parking and readying: a goroutine can be found and made ready while its thread still stands on its stack. Who
 * continues it waits for ctx.running first, and on g0. The stack and the saved context are plain memory: two threads on
 * one stack are a data race, and two threads that wait for each other's stack a deadlock.
 *
 * Transcribed from sched.c (switch_to, sched_loop) and the context switch, around gmp.h's own park_prepare.
 */
#include "model.h"

#include "runtime.h"

#include <string.h>

#define GS 2

static gort_g gs[GS];
static uint32_t stacks[GS];     /* what each goroutine has on its stack */
static uint32_t saved[GS];      /* the registers in its context */
static uint32_t published[GS];  /* which of its waits others can find */

/* faults */
static bool no_wait, wait_on_stack, not_marked;

static void setup(void)
{
	gort__fenced = false;
	memset(gs, 0, sizeof gs);
	no_wait = wait_on_stack = not_marked = false;
	for (int i = 0; i < GS; i++) {
		stacks[i] = saved[i] = published[i] = 0;
		gs[i].ctx.running = 1;
		gs[i].status = GORT__G_RUNNING;
		model_name(&gs[i].ctx.running, i == 0 ? "g0.running" : "g1.running", NULL);
		model_name(&gs[i].status, i == 0 ? "g0.status" : "g1.status", NULL);
		model_name(&gs[i].wait_reason, i == 0 ? "g0.wait_reason" : "g1.wait_reason", NULL);
		model_name(&stacks[i], i == 0 ? "g0's stack" : "g1's stack", NULL);
		model_name(&saved[i], i == 0 ? "g0's context" : "g1's context", NULL);
		model_name(&published[i], i == 0 ? "g0 published" : "g1 published", NULL);
	}
}

static void touch(uint32_t *p)
{
	gort__plain_write(p, gort__plain_read(p) + 1);
}

/* --- the pieces --- */

/* The goroutine, on its own stack, says that it can be found. */
static void publish(int i, uint32_t wait)
{
	gort__park_prepare(&gs[i], "model");
	gort__store_release(&published[i], wait);
	touch(&stacks[i]);              /* and goes on for a while: choosing who is next */
}

/* A waker finds it and makes it ready. */
static void find(int i, uint32_t wait)
{
	while (gort__load_acquire(&published[i]) != wait)
		model_spin(&published[i]);
	gort__store_relaxed(&gs[i].status, GORT__G_RUNNABLE);
}

/* gort__ctx_switch, the half that leaves. */
static void leave(int i)
{
	touch(&stacks[i]);              /* what the compiler has live */
	touch(&saved[i]);
	gort__store_release(&gs[i].ctx.running, 0);
}

static void set_running(int i)
{
	if (!not_marked)
		gort__store_relaxed(&gs[i].ctx.running, 1);
	gort__store_relaxed(&gs[i].status, GORT__G_RUNNING);
}

/* The half that arrives. */
static void arrive(int i)
{
	touch(&saved[i]);
	touch(&stacks[i]);
}

static void wait_until_left(int i)
{
	while (!no_wait && gort__load_acquire(&gs[i].ctx.running) != 0)
		model_spin(&gs[i].ctx.running);
}

/* sched_loop, on g0. */
static void continue_on_g0(int i)
{
	wait_until_left(i);
	set_running(i);
	arrive(i);
}

/* switch_away: goroutine i parks, and next is at hand. */
static void switch_to(int i, int next)
{
	if (wait_on_stack) {
		wait_until_left(next);
	} else if (gort__load_acquire(&gs[next].ctx.running) != 0) {
		leave(i);
		continue_on_g0(next);
		return;
	}
	set_running(next);
	leave(i);
	arrive(next);
}

/* --- threads --- */

static void parks(void)
{
	touch(&stacks[0]);
	publish(0, 1);
	leave(0);
}

static void continues(void)
{
	find(0, 1);
	continue_on_g0(0);
}

/* The goroutine parks again there, before a third thread continues it. */
static void continues_and_parks(void)
{
	find(0, 1);
	continue_on_g0(0);
	publish(0, 2);
	leave(0);
}

static void continues_second(void)
{
	find(0, 2);
	continue_on_g0(0);
}

/* Two threads, each of whose goroutines readies the other's and parks. */
static void crosses_0(void)
{
	publish(0, 1);
	find(1, 1);
	switch_to(0, 1);
}

static void crosses_1(void)
{
	publish(1, 1);
	find(0, 1);
	switch_to(1, 0);
}

static void finish_first(void)
{
	model_assert(gs[0].status == GORT__G_RUNNING);
	model_assert(gs[0].ctx.running == 1);
}

static void finish_both(void)
{
	finish_first();
	model_assert(gs[1].status == GORT__G_RUNNING);
	model_assert(gs[1].ctx.running == 1);
}

/* --- faults --- */

static void without_waiting(void)
{
	no_wait = true;
}

static void without_marking(void)
{
	not_marked = true;
}

static void waiting_on_the_stack(void)
{
	wait_on_stack = true;
}

static void relaxed_leaving(void)
{
	model_demote(&gs[0].ctx.running, MODEL_STORES);
}

static void relaxed_waiting(void)
{
	model_demote(&gs[0].ctx.running, MODEL_LOADS);
}

#define TWO(a, b) { { "m0", a }, { "m1", b } }
#define THREE(a, b, c) { { "m0", a }, { "m1", b }, { "m2", c } }

static const model_test tests[] = {
	{ "one parks, another continues it", setup, TWO(parks, continues), finish_first },
	{ "twice, over three threads", setup, THREE(parks, continues_and_parks, continues_second), finish_first },
	{ "two that ready each other and park", setup, TWO(crosses_0, crosses_1), finish_both },

	{ "fault: nobody waits for the stack", setup, TWO(parks, continues), NULL, without_waiting, "data race" },
	{ "fault: leaving is relaxed", setup, TWO(parks, continues), NULL, relaxed_leaving, "data race" },
	{ "fault: waiting is relaxed", setup, TWO(parks, continues), NULL, relaxed_waiting, "data race" },
	{ "fault: who runs it does not say so", setup, THREE(parks, continues_and_parks, continues_second), NULL,
	  without_marking, "data race" },
	{ "fault: waiting on one's own goroutine's stack", setup, TWO(crosses_0, crosses_1), NULL, waiting_on_the_stack,
	  "deadlock" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
