/* SPDX-License-Identifier: MIT */
/*
 * The reader/writer mutex of libgort-sync, compiled as it is: its word against what the table's lock guards. Writers count in
 * plain memory and readers look at it, so a writer beside anybody is a data race; a wakeup that is lost is a deadlock; and at
 * the end nothing is left.
 */
#include "waitqueue.h"

#include "../../libgort-sync/src/rwmutex.c"

static gort_rwmutex m;
static uint32_t data;

static void show_state(char *buf, size_t size, uint64_t s)
{
	snprintf(buf, size, "%u%s%s", (unsigned)(s & READERS), s & WRITER ? "+W" : "", s & QUEUED ? "+Q" : "");
}

/* All fields but the word and the queues. */
static uint64_t fields(void)
{
	return (uint64_t)m.departing | (uint64_t)m.passes << 8 | (uint64_t)m.parked << 16 | (uint64_t)m.waiting << 24 |
		(uint64_t)m.insisting << 32 | (uint64_t)m.called << 33;
}

static void setup(void)
{
	waitqueue_setup();
	memset(&m, 0, sizeof m);
	queues[0] = (struct sync_waiter **)&m.readers;
	queues[1] = (struct sync_waiter **)&m.writers;
	digest = fields;
	data = 0;
	model_name(&m.state, "state", show_state);
	model_name(&data, "data", NULL);
}

static void finish(void)
{
	model_assert(m.state == 0);
	model_assert(m.readers == NULL && m.writers == NULL);
	model_assert(fields() == 0);
}

static void reads(void)
{
	(gort_rwmutex_rlock)(&m);
	(void)gort__plain_read(&data);
	(gort_rwmutex_runlock)(&m);
}

static void writes(void)
{
	(gort_rwmutex_lock)(&m);
	gort__plain_write(&data, gort__plain_read(&data) + 1);
	(gort_rwmutex_unlock)(&m);
}

static void reads_twice(void)
{
	reads();
	reads();
}

static void writes_twice(void)
{
	writes();
	writes();
}

static void reads_and_writes(void)
{
	reads();
	writes();
}

static void tries(void)
{
	if (gort_rwmutex_try_rlock(&m)) {
		(void)gort__plain_read(&data);
		(gort_rwmutex_runlock)(&m);
	}
	if (gort_rwmutex_try_lock(&m)) {
		gort__plain_write(&data, gort__plain_read(&data) + 1);
		(gort_rwmutex_unlock)(&m);
	}
}

/* --- faults --- */

static void relaxed_word(void)
{
	model_demote(&m.state, MODEL_RMWS);
}

static void split_word(void)
{
	model_split(&m.state);
}

static void without_wakes(void)
{
	drop_wakes = true;
}

static void without_lock(void)
{
	drop_lock = true;
}

#define THREADS(...) { __VA_ARGS__ }

static const model_test tests[] = {
	{ "a reader and a writer", setup, THREADS({ "reader", reads_twice }, { "writer", writes_twice }), finish },
	{ "two readers and a writer", setup, THREADS({ "reader", reads }, { "reader 2", reads }, { "writer", writes }), finish },
	{ "a reader and two writers", setup, THREADS({ "reader", reads }, { "writer", writes }, { "writer 2", writes }), finish },
	{ "two that do both", setup, THREADS({ "one", reads_and_writes }, { "two", reads_and_writes }), finish, .alike = 2 },
	{ "a writer, a reader and one that tries", setup, THREADS({ "reader", reads }, { "writer", writes }, { "three", tries }),
	  finish },
	{ "two readers and a writer, twice", setup, THREADS({ "reader", reads }, { "reader 2", reads }, { "writer", writes_twice }),
	  finish, .lengthy = true },
	{ "a reader, twice, and two writers", setup, THREADS({ "reader", reads_twice }, { "writer", writes }, { "writer 2", writes }),
	  finish, .alike = 2, .lengthy = true },

	{ "fault: the word orders nothing", setup, THREADS({ "reader", reads }, { "writer", writes }), finish, relaxed_word,
	  "data race" },
	{ "fault: the word's changes are not atomic", setup, THREADS({ "reader", reads }, { "writer", writes }), finish, split_word,
	  "" },
	{ "fault: nobody is woken", setup, THREADS({ "reader", reads }, { "writer", writes }), finish, without_wakes, "deadlock" },
	{ "fault: without the table's lock", setup, THREADS({ "reader", reads }, { "writer", writes }, { "writer 2", writes }), finish,
	  without_lock, "data race" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
