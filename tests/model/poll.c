/* SPDX-License-Identifier: MIT */
/*
 * Sleeping in the poller: Ms that go idle, of which one sleeps in the poller and the others on their futexes, somebody who
 * makes work and hands a P to one of them, an event that comes, and a poller that is registered while they sleep. No
 * execution may end with work or an event waiting, a P idle and everybody asleep, nor with an M that has been handed a P
 * and sleeps. And gort_shutdown, which ends them all, the Ps having been retired: none may end asleep.
 *
 * The functions have the names that they have in idle.c and make the same steps in the same order. The kernel's part is a
 * word: bit EVENT is the edge of a descriptor, which whoever polls takes away; bit WAKE the eventfd, which stays until the
 * one that sleeps in the poller has read it. Left out are spinning, timers, and that more than one goroutine may come at once.
 */
#include "model.h"

#include "runtime.h"

#include <string.h>

#define EVENT 1u
#define WAKE 2u

static uint32_t sched_lock;
static uint32_t npidle, queued;
static uint32_t idle_m;                 /* Ms in the list, as bits; under the lock */
static uint32_t poller, poll_m;         /* poll_m: its number and one */
static uint32_t ready;                  /* the kernel's word */
static struct {
	uint32_t note;                  /* as enum gort__note */
	bool in_poll;
} ms[MODEL_THREADS];
static uint32_t script[MODEL_THREADS];

/* faults */
static bool early_leave, drains_without_waiting, wrong_wake, silent_registration, silent_end, early_end;

static void names(void)
{
	model_name(&npidle, "npidle", NULL);
	model_name(&queued, "queued", NULL);
	model_name(&sched_lock, "sched.lock", NULL);
	model_name(&idle_m, "idle Ms", NULL);
	model_name(&poller, "poller", NULL);
	model_name(&poll_m, "poll_m", NULL);
	model_name(&ready, "ready", NULL);
	for (int i = 0; i < MODEL_THREADS; i++) {
		model_name(&ms[i].note, "note", NULL);
		model_name(&ms[i].in_poll, "in_poll", NULL);
	}
}

static void setup(void)
{
	gort__fenced = false;
	memset(ms, 0, sizeof ms);
	memset(script, 0, sizeof script);
	npidle = queued = idle_m = sched_lock = poll_m = ready = 0;
	poller = 1;
	early_leave = drains_without_waiting = wrong_wake = silent_registration = silent_end = early_end = false;
	names();
}

static void setup_unregistered(void)
{
	setup();
	poller = 0;
}

/* M 2 sleeps in the poller already. */
static void setup_polling(void)
{
	setup();
	npidle = 1;
	idle_m = 1u << 2;
	poll_m = 3;
	ms[2].in_poll = true;
}

/* The same, no P being left. */
static void setup_retired(void)
{
	setup_polling();
	npidle = 0;
}

static void finish_ended(void)
{
	for (int i = 1; i < MODEL_THREADS; i++) {
		if (model_asleep(i))
			model_fail("M %d sleeps for ever, and gort_shutdown waits for it", i);
	}
}

static void finish(void)
{
	bool asleep = true, reached = poller == 0;

	for (int i = 1; i < MODEL_THREADS; i++) {
		if (!model_asleep(i))
			asleep &= (idle_m & 1u << i) == 0;
		else if (ms[i].note != 0)
			model_fail("M %d has been handed a P, and sleeps", i);
		reached |= model_asleep(i) && ms[i].in_poll;
	}
	if (npidle > 0 && asleep && queued > 0)
		model_fail("lost wakeup: %u in the global queue, %u Ps idle", queued, npidle);
	if (npidle > 0 && asleep && poller != 0 && (ready & EVENT))
		model_fail("lost event");
	if (npidle > 0 && asleep && idle_m != 0 && !reached)
		model_fail("nobody sleeps in the poller");
}

static void mark(uint32_t where)
{
	model_mark(where * 16 + script[model_self()]);
}

/* --- the kernel --- */

static void set_ready(uint32_t bit)
{
	uint32_t w = gort__load_relaxed(&ready);

	while (!gort__cas_acq_rel(&ready, &w, w | bit))
		;
	gort__os_futex_wake(&ready, MODEL_THREADS);
}

/* True: the event, which is gone then. */
static bool look(bool wait)
{
	for (;;) {
		uint32_t w = gort__load_acquire(&ready);
		uint32_t rest = w & (wait || drains_without_waiting ? 0 : WAKE);

		if (w == 0 && wait) {
			gort__os_futex_wait(&ready, 0, GORT_FOREVER);
			continue;
		}
		if (w == rest || gort__cas_acq_rel(&ready, &w, rest))
			return (w & EVENT) != 0;
	}
}

/* --- as in idle.c --- */

static bool p_from_idle(void)
{
	uint32_t n = gort__load_relaxed(&npidle);

	if (n > 0)
		gort__store_relaxed(&npidle, n - 1);
	return n > 0;
}

static void m_hand(int m)
{
	bool in_poll = gort__plain_read(&ms[m].in_poll);

	gort__store_release(&ms[m].note, GORT__NOTE_P);
	if (in_poll && !wrong_wake)
		set_ready(WAKE);
	else
		gort__os_futex_wake(&ms[m].note, 1);
}

/* Under the lock. */
static uint32_t idle_m_pop(void)
{
	uint32_t m = gort__plain_read(&idle_m);
	uint32_t at = gort__load_relaxed(&poll_m);
	uint32_t others = at > 0 ? m & ~(1u << (at - 1)) : m;

	if (others != 0)
		others &= -others;
	else
		others = m;
	gort__plain_write(&idle_m, m & ~others);
	return others;
}

static void start_m(void)
{
	uint32_t m;

	model_lock(&sched_lock);
	m = idle_m_pop();
	if (early_leave && m != 0 && gort__plain_read(&ms[__builtin_ctz(m)].in_poll))
		gort__store_relaxed(&poll_m, 0);
	model_unlock(&sched_lock);
	mark(16 + m);
	if (m != 0)
		m_hand(__builtin_ctz(m));
}

static void wake_someone(void)
{
	bool got;

	if (gort__load_relaxed(&npidle) == 0)
		return;
	model_lock(&sched_lock);
	got = p_from_idle();
	model_unlock(&sched_lock);
	mark(got ? 2 : 3);
	if (got)
		start_m();
}

static void enqueue_global(void)
{
	model_lock(&sched_lock);
	gort__store_relaxed(&queued, gort__load_relaxed(&queued) + 1);
	model_unlock(&sched_lock);
	gort__fence_seq_cst();
	wake_someone();
}

static void leave_poll(int me)
{
	gort__plain_write(&ms[me].in_poll, false);
	if (!early_leave)
		gort__store_release(&poll_m, 0);
}

/* False: the thread is to end. */
static bool sleep_idle(int me)
{
	for (;;) {
		uint32_t note;
		bool got = false, alone, list = false;

		mark(14);
		note = gort__load_acquire(&ms[me].note);
		if (note != GORT__NOTE_NONE) {
			if (gort__plain_read(&ms[me].in_poll))
				leave_poll(me);
			if (note == GORT__NOTE_END)
				return false;
			gort__store_relaxed(&ms[me].note, GORT__NOTE_NONE);
			return true;
		}
		if (gort__plain_read(&ms[me].in_poll))
			list = look(true);
		else
			gort__os_futex_wait(&ms[me].note, 0, GORT_FOREVER);
		if (!list)
			continue;
		model_lock(&sched_lock);
		alone = (gort__plain_read(&idle_m) & 1u << me) != 0;
		if (alone) {
			got = p_from_idle();
			if (got)
				gort__plain_write(&idle_m, gort__plain_read(&idle_m) & ~(1u << me));
			if (gort__plain_read(&ms[me].in_poll))
				leave_poll(me);
		}
		model_unlock(&sched_lock);
		mark(got ? 12 : 13);
		if (got)
			return true;
		enqueue_global();
	}
}

/* Comes with a P, unless they are retired, and goes with one. False: the thread is to end. */
static bool go_idle(int me, bool with_p)
{
	bool got = false;

	model_lock(&sched_lock);
	if (with_p) {
		if (gort__load_relaxed(&queued) > 0) {
			model_unlock(&sched_lock);
			return true;
		}
		gort__store_relaxed(&npidle, gort__load_relaxed(&npidle) + 1);
	}
	gort__plain_write(&idle_m, gort__plain_read(&idle_m) | 1u << me);
	model_unlock(&sched_lock);
	mark(10);
	gort__fence_heavy();
	model_lock(&sched_lock);
	if (gort__plain_read(&idle_m) & 1u << me) {
		if (gort__load_relaxed(&poller) != 0 && gort__load_acquire(&poll_m) == 0) {
			gort__plain_write(&ms[me].in_poll, true);
			gort__store_relaxed(&poll_m, (uint32_t)me + 1);
		}
		if (gort__load_relaxed(&queued) > 0) {
			got = p_from_idle();
			if (got) {
				gort__plain_write(&idle_m, gort__plain_read(&idle_m) & ~(1u << me));
				if (gort__plain_read(&ms[me].in_poll))
					leave_poll(me);
			}
		}
	}
	model_unlock(&sched_lock);
	mark(got ? 8 : 9);
	return got || sleep_idle(me);
}

static bool take_global(void)
{
	uint32_t n;

	if (gort__load_relaxed(&queued) == 0)
		return false;
	model_lock(&sched_lock);
	n = gort__load_relaxed(&queued);
	if (n > 0)
		gort__store_relaxed(&queued, n - 1);
	model_unlock(&sched_lock);
	return n > 0;
}

/* --- threads --- */

static void idles(void)
{
	int me = model_self();

	model_may_sleep();
	for (;;) {
		mark(1);
		if (take_global())
			continue;
		if (gort__load_relaxed(&poller) != 0 && gort__load_relaxed(&poll_m) == 0 && look(false))
			continue;
		go_idle(me, true);
	}
}

static void idles_without_p(void)
{
	model_may_sleep();
	go_idle(model_self(), false);
}

/* Begins asleep. */
static void sleeps(void)
{
	model_may_sleep();
	if (sleep_idle(model_self()))
		idles();
}

static void makes_one(void)
{
	enqueue_global();
}

static void makes_two(void)
{
	enqueue_global();
	script[model_self()] = 1;
	mark(0);
	enqueue_global();
}

static void brings_event(void)
{
	set_ready(EVENT);
}

/* As gort__m_end_all, with end_one for each. */
static void ends_all(void)
{
	if (early_end)
		set_ready(WAKE);
	for (int i = 1; i < MODEL_THREADS; i++) {
		uint32_t none = GORT__NOTE_NONE;

		if (gort__cas_release(&ms[i].note, &none, GORT__NOTE_END))
			gort__os_futex_wake(&ms[i].note, 1);
	}
	if (!silent_end && !early_end)
		set_ready(WAKE);
}

static void registers(void)
{
	bool got;

	model_lock(&sched_lock);
	gort__store_release(&poller, 1);
	got = !silent_registration && gort__plain_read(&idle_m) != 0 && p_from_idle();
	model_unlock(&sched_lock);
	mark(4);
	if (got)
		start_m();
}

/* --- faults --- */

static void leaving_when_popped(void)
{
	early_leave = true;
}

static void wakes_taken_in_passing(void)
{
	drains_without_waiting = true;
}

static void woken_at_the_futex(void)
{
	wrong_wake = true;
}

static void without_a_word(void)
{
	silent_registration = true;
}

static void ended_at_the_futex_only(void)
{
	silent_end = true;
}

static void woken_before_it_is_told(void)
{
	early_end = true;
}

#define TWO(a, b) { { "maker", a }, { "idler", b } }
#define THREE(a, b, c) { { "maker", a }, { "idler", b }, { "other", c } }

static const model_test tests[] = {
	{ "one makes work, one goes idle", setup, TWO(makes_one, idles), finish },
	{ "an event comes, one goes idle", setup, TWO(brings_event, idles), finish },
	{ "one makes work, one goes idle, one sleeps in the poller", setup_polling, THREE(makes_one, idles, sleeps), finish },
	{ "one makes work twice, two go idle", setup, THREE(makes_two, idles, idles), finish, .alike = 2, .lengthy = true },
	{ "an event comes, one goes idle, one sleeps in the poller", setup_polling, THREE(brings_event, idles, sleeps), finish },
	{ "an event comes, two go idle", setup, THREE(brings_event, idles, idles), finish, .alike = 2 },
	{ "work and an event, one goes idle", setup, THREE(makes_one, idles, brings_event), finish },
	{ "registered while one goes idle", setup_unregistered, TWO(registers, idles), finish },
	{ "registered while two go idle", setup_unregistered, THREE(registers, idles, idles), finish, .alike = 2 },
	{ "all are ended, one of them going idle, one sleeping in the poller", setup_retired, THREE(ends_all, idles_without_p, sleeps),
	  finish_ended },
	{ "all are ended, two of them going idle", setup, THREE(ends_all, idles_without_p, idles_without_p), finish_ended,
	  .alike = 2 },

	{ "fault: woken at the futex", setup_polling, THREE(makes_one, idles, sleeps), finish, woken_at_the_futex, "" },
	{ "fault: poll_m is let go by the waker, and wakes are taken by whoever comes", setup, THREE(makes_two, idles, idles),
	  finish, leaving_when_popped, "" },
	{ "fault: who does not wait takes the wake away", setup_polling, THREE(makes_two, idles, sleeps), finish,
	  wakes_taken_in_passing, "" },
	{ "fault: the one in the poller is not woken to end", setup_retired, THREE(ends_all, idles_without_p, sleeps), finish_ended,
	  ended_at_the_futex_only, "sleeps for ever" },
	{ "fault: woken before it is told to end", setup_retired, THREE(ends_all, idles_without_p, sleeps), finish_ended,
	  woken_before_it_is_told, "sleeps for ever" },
	{ "fault: registered without a word", setup_unregistered, TWO(registers, idles), finish, without_a_word, "" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
