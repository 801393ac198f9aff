/* SPDX-License-Identifier: MIT */
/*
 * gort__lock: unlocking without a read-modify-write, against those that sleep until it happens. Each section counts in
 * plain memory, so two at once are a data race; a wakeup that is lost is a deadlock.
 */
#include "model.h"

#include "runtime.h"

#include <stdio.h>

static gort__lock lock;
static uint32_t data;

static void show_waiters(char *buf, size_t size, uint64_t w)
{
	snprintf(buf, size, "%u%s", (unsigned)(w & ~GORT__LOCK_FENCED), w & GORT__LOCK_FENCED ? "+FENCED" : "");
}

static void setup_with(bool fenced)
{
	gort__fenced = fenced;
	gort__lock_init(&lock);
	data = 0;
	model_name(&lock.word, "word", NULL);
	model_name(&lock.waiters, "waiters", show_waiters);
	model_name(&data, "data", NULL);
}

static void setup(void)
{
	setup_with(false);
}

static void setup_fenced(void)
{
	setup_with(true);
}

/* Made before it was known that there is no heavy fence. */
static void setup_unfenced_lock(void)
{
	setup_with(true);
	lock.waiters = 0;
}

static void finish(void)
{
	model_assert(lock.word == 0);
	model_assert(lock.waiters == (gort__fenced ? GORT__LOCK_FENCED : 0));
}

/* The n-th from the end. */
static void section(uint64_t n)
{
	model_mark(2 * n);
	gort__lock_lock(&lock);
	gort__plain_write(&data, gort__plain_read(&data) + 1);
	model_mark(2 * n + 1);
	gort__lock_unlock(&lock);
}

static void once(void)
{
	section(1);
}

static void twice(void)
{
	section(2);
	once();
}

static void thrice(void)
{
	section(3);
	twice();
}

static void tries(void)
{
	if (!gort__lock_try(&lock))
		return;
	gort__plain_write(&data, gort__plain_read(&data) + 1);
	gort__lock_unlock(&lock);
}

/* --- faults --- */

static void without_heavy_fence(void)
{
	model_drop_heavy();
}

static void without_fences(void)
{
	model_drop_fences(0);
}

static void relaxed_unlock(void)
{
	model_demote(&lock.word, MODEL_STORES);
}

static void relaxed_lock(void)
{
	model_demote(&lock.word, MODEL_RMWS);
}

static void split_lock(void)
{
	model_split(&lock.word);
}

static void unlock_quietly(void)
{
	gort__lock_lock(&lock);
	gort__plain_write(&data, gort__plain_read(&data) + 1);
	gort__store_release(&lock.word, 0);
}

#define THREADS(...) { __VA_ARGS__ }

static const model_test tests[] = {
	{ "two threads", setup, THREADS({ "one", thrice }, { "two", twice }), finish },
	{ "three threads", setup, THREADS({ "one", once }, { "two", once }, { "three", once }), finish,
	  .alike = 3 },
	{ "two threads and one that tries", setup, THREADS({ "one", once }, { "two", once }, { "three", tries }), finish },
	{ "three threads, one of them twice", setup, THREADS({ "one", twice }, { "two", once }, { "three", once }), finish,
	  .alike = 2, .lengthy = true },
	{ "fenced: two threads", setup_fenced, THREADS({ "one", thrice }, { "two", twice }), finish },
	{ "fenced: three threads", setup_fenced, THREADS({ "one", once }, { "two", once }, { "three", once }), finish,
	  .alike = 3 },

	{ "fault: no heavy fence", setup, THREADS({ "one", once }, { "two", once }), finish, without_heavy_fence,
	  "deadlock" },
	{ "fault: fenced, no fence before the look at the waiters", setup_fenced,
	  THREADS({ "one", once }, { "two", once }), finish, without_fences, "deadlock" },
	{ "fault: fenced, a lock that does not know", setup_unfenced_lock, THREADS({ "one", once }, { "two", once }), NULL,
	  NULL, "deadlock" },
	{ "fault: unlocking is relaxed", setup, THREADS({ "one", once }, { "two", once }), finish, relaxed_unlock,
	  "data race" },
	{ "fault: locking is relaxed", setup, THREADS({ "one", once }, { "two", once }), finish, relaxed_lock,
	  "data race" },
	{ "fault: locking is not atomic", setup, THREADS({ "one", once }, { "two", once }), finish, split_lock,
	  "data race" },
	{ "fault: unlocking wakes nobody", setup, THREADS({ "one", unlock_quietly }, { "two", once }), finish, NULL,
	  "deadlock" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
