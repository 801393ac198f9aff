/* SPDX-License-Identifier: MIT */
/*
 * The condition variable of libgort-sync, compiled as it is, with a mutex that is nothing but one: the number of waiters, which
 * a signal looks at without the table's lock, against the queue that the lock guards. A waiter that misses a signal sleeps
 * for ever; one that is woken without one finds nothing to take. (How waiters get from here to the mutex's queue is in mutex.c.)
 */
#include "waitqueue.h"

static uint32_t mutex_word;
static gort_mutex mutex;                /* in name only */

static void gort__mutex_keep(gort_mutex *m)
{
}

static void gort__mutex_hand_over(gort_mutex *m)
{
	model_unlock(&mutex_word);
}

static void gort__mutex_adopt(gort_mutex *m, struct sync_waiter *list)
{
	struct sync_waiter *next;

	for (; list != NULL; list = next) {
		next = list->next;
		list->adopted = true;
		sync_wake_one(list);
	}
}

static void gort__mutex_adopted(gort__m *mp, gort_mutex *m, struct sync_waiter *w)
{
	model_lock(&mutex_word);
}

#undef gort_mutex_lock
#define gort_mutex_lock(m) model_lock(&mutex_word)

#include "../../libgort-sync/src/cond.c"

static gort_cond c;
/* All three change under the mutex; atomic and relaxed, so that what is found are wakeups and not races. */
static uint32_t items;
static uint32_t sent;                   /* how many waits the signals so far may end */
static uint32_t woken;                  /* how many they have ended */

static void setup(void)
{
	waitqueue_setup();
	memset(&c, 0, sizeof c);
	queues[0] = (struct sync_waiter **)&c.waiters;
	mutex_word = items = sent = woken = 0;
	model_name(&mutex_word, "mutex", NULL);
	model_name(&c.waiting, "waiting", NULL);
	model_name(&c.self, "self", NULL);
	model_name(&items, "items", NULL);
	model_name(&sent, "sent", NULL);
	model_name(&woken, "woken", NULL);
}

static void finish(void)
{
	model_assert(c.waiting == 0);
	model_assert(c.waiters == NULL);
	model_assert(items == 0);
}

static void add(uint32_t *word, uint32_t n)
{
	gort__store_relaxed(word, gort__load_relaxed(word) + n);
}

static void has_been_woken(void)
{
	add(&woken, 1);
	model_assert(gort__load_relaxed(&woken) <= gort__load_relaxed(&sent));
}

static void takes(void)
{
	model_lock(&mutex_word);
	while (gort__load_relaxed(&items) == 0) {
		gort_cond_wait(&c, &mutex);
		has_been_woken();
	}
	add(&items, -1u);
	model_unlock(&mutex_word);
}

static void gives(uint32_t n)
{
	model_lock(&mutex_word);
	add(&items, n);
	add(&sent, n);
	model_unlock(&mutex_word);
}

static void signals(void)
{
	gives(1);
	gort_cond_signal(&c);
}

static void broadcasts(void)
{
	gives(2);
	gort_cond_broadcast(&c);
}

static void signals_under_the_mutex(void)
{
	model_lock(&mutex_word);
	add(&items, 1);
	add(&sent, 1);
	gort_cond_signal(&c);
	model_unlock(&mutex_word);
}

static void signals_twice(void)
{
	signals_under_the_mutex();
	signals();
}

#define NEVER_ARMED UINT64_MAX

/* Thread 1. Takes nothing: a signal that wakes it is passed on to who does. */
static void waits_until(void)
{
	int r;

	model_lock(&mutex_word);
	if (gort__load_relaxed(&items) != 0) {
		model_unlock(&mutex_word);
		gort__store_release(&armed, NEVER_ARMED);
		return;
	}
	r = gort_cond_wait_until(&c, &mutex, 1);
	if (r == 0) {
		has_been_woken();
		add(&sent, 1);
		gort_cond_signal(&c);
	}
	model_unlock(&mutex_word);
}

/* Its deadline passes at some time. */
static void timer(void)
{
	uint64_t t;

	while ((t = gort__load_acquire(&armed)) == 0)
		model_spin(&armed);
	if (t != NEVER_ARMED)
		deadline_passes(t);
}

/* Perhaps nobody, or one that is giving up. */
static void signals_for_nothing(void)
{
	model_lock(&mutex_word);
	add(&sent, 1);
	model_unlock(&mutex_word);
	gort_cond_signal(&c);
}

static void finish_waits(void)
{
	model_assert(c.waiting == 0);
	model_assert(c.waiters == NULL);
}

/* --- faults --- */

/* Lets go of the mutex between looking and waiting. */
static void takes_carelessly(void)
{
	uint32_t n;

	model_lock(&mutex_word);
	n = gort__load_relaxed(&items);
	model_unlock(&mutex_word);
	model_lock(&mutex_word);
	if (n == 0)
		gort_cond_wait(&c, &mutex);
	add(&items, -1u);
	model_unlock(&mutex_word);
}

/* Knows of no waiter, not having had the mutex. */
static void signals_without_the_mutex(void)
{
	gort__store_relaxed(&items, 1);
	gort__store_relaxed(&sent, 1);
	gort_cond_signal(&c);
}

static void without_wakes(void)
{
	drop_wakes = true;
}

static void without_lock(void)
{
	drop_lock = true;
}

static void without_claims(void)
{
	drop_claims = true;
}

#define THREADS(...) { __VA_ARGS__ }

static const model_test tests[] = {
	{ "a signal", setup, THREADS({ "signaller", signals }, { "waiter", takes }), finish },
	{ "a signal under the mutex", setup, THREADS({ "signaller", signals_under_the_mutex }, { "waiter", takes }), finish },
	{ "two signals for two waiters", setup, THREADS({ "signaller", signals_twice }, { "one", takes }, { "two", takes }), finish,
	  .alike = 2 },
	{ "a broadcast to two waiters", setup, THREADS({ "signaller", broadcasts }, { "one", takes }, { "two", takes }), finish,
	  .alike = 2 },
	{ "two who signal two waiters", setup,
	  THREADS({ "signaller", signals }, { "signaller 2", signals }, { "one", takes }, { "two", takes }), finish, .alike = 2 },
	{ "a deadline", setup, THREADS({ "signaller", signals_for_nothing }, { "waiter", waits_until }, { "timer", timer }),
	  finish_waits },
	{ "a signal and two waiters, one with a deadline", setup,
	  THREADS({ "signaller", signals }, { "with a deadline", waits_until }, { "timer", timer }, { "waiter", takes }), finish },

	{ "fault: the mutex is let go of before the wait", setup, THREADS({ "signaller", signals }, { "waiter", takes_carelessly }),
	  finish, NULL, "deadlock" },
	{ "fault: a signal by one who has not had the mutex", setup,
	  THREADS({ "signaller", signals_without_the_mutex }, { "waiter", takes }), finish, NULL, "deadlock" },
	{ "fault: nobody is woken", setup, THREADS({ "signaller", signals }, { "waiter", takes }), finish, without_wakes, "deadlock" },
	{ "fault: without the table's lock", setup, THREADS({ "signaller", signals }, { "one", takes }, { "two", takes }), finish,
	  without_lock, "" },
	{ "fault: a signal takes who has given up", setup,
	  THREADS({ "signaller", signals_for_nothing }, { "waiter", waits_until }, { "timer", timer }), finish_waits, without_claims,
	  "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
