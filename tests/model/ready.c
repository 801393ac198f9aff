/* SPDX-License-Identifier: MIT */
/*
 * The readiness word (libgort-net/src/ready.h): somebody waits for bytes, twice; bytes arrive, and the poller tells; a wait's
 * deadline passes; and a waker that was held up since an earlier wait acts at last. Nobody sleeps while there is something
 * to read, and every wait is ended once, by one that knew of it.
 *
 * The descriptor is a number of bytes under the kernel's own lock; an edge is the arrival of one, told afterwards.
 */
#include "model.h"

#include "../../libgort-net/src/ready.h"

#include "os/os.h"

#include <stdio.h>
#include <string.h>

static struct net_ready r;
static gort_g g;
static uint32_t kernel;                 /* the descriptor's lock */
static uint32_t bytes;                  /* under it */
static uint32_t got;                    /* the reader's own */
static uint32_t to_read;
static uint64_t timed;                  /* the ticket that the timer knows; 0: none yet. Release and acquire */
static uint32_t waking;                 /* wakers between their claim and their ready; atomic */
static bool consumes_late;

static void show_word(char *buf, size_t size, uint64_t w)
{
	static const char *const names[] = { "nil", "ready", "wait", "?" };

	snprintf(buf, size, "%s %u", names[w & NET_STATE], (unsigned)(w / NET_NEXT));
}

static void setup(void)
{
	gort__fenced = false;
	memset(&r, 0, sizeof r);
	memset(&g, 0, sizeof g);
	kernel = bytes = got = waking = 0;
	timed = 0;
	to_read = 2;
	consumes_late = false;
	model_name(&r.word, "word", show_word);
	model_name(&r.g, "g", NULL);
	model_name(&r.ticket, "ticket", NULL);
	model_name(&g.wait, "G's ticket", NULL);
	model_name(&g.note, "note", NULL);
	model_name(&kernel, "kernel", NULL);
	model_name(&bytes, "bytes", NULL);
	model_name(&timed, "timer's ticket", NULL);
}

static void setup_one(void)
{
	setup();
	to_read = 1;
}

static void finish(void)
{
	if (model_asleep(0))
		model_fail("asleep with %u bytes to read", bytes);
	model_assert(got == to_read && bytes == 0);
	model_assert((g.wait & 1) == 0);
}

static void ready(gort_g *gp)
{
	if (gp == NULL)
		return;
	model_assert(gp == &g);
	gort__store_release(&g.note, 1);
	gort__os_futex_wake(&g.note, 1);
}

static void take(void)
{
	model_lock(&kernel);
	got += gort__plain_read(&bytes);
	gort__plain_write(&bytes, 0);
	model_unlock(&kernel);
}

/* As net_wait. The lock that it arms under plays no part between it and the poller. */
static void reader(void)
{
	bool tried = false;

	model_may_sleep();
	for (;;) {
		uint64_t ticket;
		bool armed;

		model_mark(2 * got + tried);
		if (!tried)
			take();
		tried = false;
		if (got == to_read)
			return;
		ticket = gort__ticket_arm(&g);
		armed = net_ready_arm(&r, &g, ticket);
		if (!armed) {
			if (!gort__ticket_claim(&g, ticket))
				model_fail("claimed by somebody who cannot know of it");
			continue;
		}
		gort__store_release(&timed, ticket);
		while (gort__load_acquire(&g.note) == 0)
			gort__os_futex_wait(&g.note, 0, GORT_FOREVER);
		gort__store_relaxed(&g.note, 0);
		if (gort__load_relaxed(&g.wait) != ticket + 1)
			model_fail("woken, with the ticket still to be claimed");
		tried = consumes_late;
		if (tried)
			take();
		net_ready_settle(&r);
	}
}

static void arrives(void)
{
	model_lock(&kernel);
	gort__plain_write(&bytes, gort__plain_read(&bytes) + 1);
	model_unlock(&kernel);
	ready(net_ready_fire(&r));
}

static void arrives_twice(void)
{
	arrives();
	model_mark(1);
	arrives();
}

/* The deadline of a wait that there was. */
static void times_out(void)
{
	uint64_t ticket = gort__load_acquire(&timed);

	if (ticket != 0 && gort__ticket_claim(&g, ticket))
		ready(&g);
}

/* Close or a new deadline: no bytes, just "look again". */
static void kicks(void)
{
	ready(net_ready_fire(&r));
}

/* --- faults --- */

/* As if the word had no number: who waits is read after the word has been moved. */
static void reads_late(void)
{
	uint64_t w = gort__load_acquire(&r.word);

	while ((w & NET_STATE) != NET_READY) {
		if (!gort__cas_acq_rel(&r.word, &w, (w & ~(uint64_t)NET_STATE) | NET_READY))
			continue;
		if ((w & NET_STATE) == NET_WAIT) {
			gort_g *gp = gort__load_relaxed(&r.g);
			uint64_t ticket = gort__load_relaxed(&r.ticket);

			/* of another wait: it happens to be the same goroutine's here, and need not be */
			if (ticket != 2 * (w / NET_NEXT) - 1)
				model_fail("the ticket of another wait");
			ready(gort__ticket_claim(gp, ticket) ? gp : NULL);
		}
		return;
	}
}

static void settling_after_the_try(void)
{
	consumes_late = true;
}

static void split(void)
{
	model_split(&r.word);
}

static void demoted(void)
{
	model_demote(&r.word, MODEL_LOADS | MODEL_RMWS);
}

#define THREADS(...) { { "reader", reader }, __VA_ARGS__ }

static const model_test tests[] = {
	{ "two bytes arrive, one poller", setup, THREADS({ "poller", arrives_twice }), finish },
	{ "two bytes arrive, two pollers", setup, THREADS({ "poller", arrives }, { "poller", arrives }), finish, .alike = 2 },
	{ "a byte arrives, a deadline passes", setup_one, THREADS({ "poller", arrives }, { "timer", times_out }), finish },
	{ "two bytes arrive, a deadline passes", setup, THREADS({ "poller", arrives_twice }, { "timer", times_out }), finish },
	{ "a byte arrives, a deadline passes, somebody closes", setup_one,
	  THREADS({ "poller", arrives }, { "timer", times_out }, { "closer", kicks }), finish, .lengthy = true },
	{ "a byte arrives, somebody sets another deadline", setup_one, THREADS({ "poller", arrives }, { "setter", kicks }), finish },
	{ "two bytes arrive, somebody sets another deadline", setup,
	  THREADS({ "poller", arrives_twice }, { "setter", kicks }), finish, .lengthy = true },

	{ "fault: who waits is read too late", setup_one,
	  THREADS({ "poller", arrives }, { "timer", times_out }, { "closer", reads_late }), finish, NULL, "another wait" },
	{ "fault: what is ready is taken away after the try", setup, THREADS({ "poller", arrives_twice }), finish,
	  settling_after_the_try, "asleep" },
	{ "fault: the word moves by load and store", setup, THREADS({ "poller", arrives_twice }), finish, split, "" },
	{ "fault: the word's orders are relaxed", setup_one, THREADS({ "poller", arrives }), finish, demoted, "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
