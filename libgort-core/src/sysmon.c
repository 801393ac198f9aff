/* SPDX-License-Identifier: MIT */
/*
 * The monitor: the one thread that holds no P. It looks at each P in turn, asks one that has run the same goroutine for
 * a slice while others wait to yield or, when its goroutine is in the user's code, takes the P away (hold.h); sees to
 * timers that nobody watches; and gives deep stacks back to the system.
 *
 * It looks every 10 ms while all is well, sooner while a P has been found not to move or while the scheduler relies on it
 * (calm, see idle.c), and sleeps without a deadline when the scheduler is idle.
 */
#include "runtime.h"

#define SHORT (1 * GORT_MILLISECOND)
#define LONG (10 * GORT_MILLISECOND)
#define CALM (250 * GORT_MICROSECOND)
#define IDLE_ROUNDS 5                   /* idle looks in a row before sleeping without a deadline */
#define TRIM_EVERY (2 * GORT_SECOND)

static struct {
	uint32_t note;                  /* futex: 1 when the monitor is to look */
	gort_time wake_at;              /* when it will look by itself; atomic */
	gort_time trim_at;              /* the monitor's own */
	uint64_t trim_seen;             /* goroutines ended by the last trim; the monitor's own */
} mon;

static void poke(void)
{
	gort__store_release(&mon.note, 1);      /* pairs with the acquire in sleep_until */
	gort__os_futex_wake(&mon.note, 1);
}

void gort__sysmon_busy(void)
{
	/* seq_cst on both sides, with the monitor's last look before a sleep without end */
	gort__fence_seq_cst();
	if (gort__load_relaxed(&mon.wake_at) == GORT_FOREVER)
		poke();
}

void gort__sysmon_look(void)
{
	if (gort__load_relaxed(&mon.wake_at) > gort__os_now() + CALM)
		poke();
}

static gort_time idle_timers(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	gort_time t = INT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		gort__p *pp = gort__sched.ps[i];
		gort_time next = gort__load_relaxed(&pp->timer_next);

		if (gort__load_relaxed(&pp->m) == NULL && next < t)
			t = next;
	}
	return t;
}

void gort__sysmon_timers(void)
{
	if (idle_timers() < gort__load_relaxed(&mon.wake_at))
		poke();
}

static void sleep_until(gort_time when)
{
	gort__store_relaxed(&mon.wake_at, when);
	gort__fence_seq_cst();                  /* pairs with the one in gort__sysmon_busy */
	if (when == GORT_FOREVER) {
		uint32_t idle = gort__load_relaxed(&gort__sched.npidle);

		if (idle < gort__load_relaxed(&gort__sched.nprocs)) {
			gort__store_relaxed(&mon.wake_at, 0);
			return;
		}
	}
	while (gort__load_acquire(&mon.note) == 0 && (when == GORT_FOREVER || gort__os_now() < when))
		gort__os_futex_wait(&mon.note, 0, when);
	gort__store_relaxed(&mon.note, 0);
	gort__store_relaxed(&mon.wake_at, 0);
}

/* Is anything waiting that pp's goroutine keeps from running? */
static bool others_wait(gort__p *pp, gort_time now)
{
	return gort__load_relaxed(&pp->runq.runnext) != NULL || gort__runq_len(&pp->runq) > 0 ||
	       gort__stash_len(&pp->stash) > 0 || gort__load_relaxed(&pp->timer_next) <= now ||
	       (gort__load_relaxed(&gort__sched.queued) > 0 && gort__load_relaxed(&gort__sched.npidle) == 0);
}

/* True: look again soon. */
static bool look_at(gort__p *pp, gort_time now)
{
	uint32_t tick = gort__load_relaxed(&pp->tick);
	gort__p *got;

	if (gort__load_relaxed(&gort__sched.calm) && others_wait(pp, now) &&
	    (now - pp->seen_at) / GORT__CALM_RATE > tick - pp->seen_tick) {
		gort__store_relaxed(&gort__sched.calm, 0);
		gort__wake_someone();
	}
	if (gort__load_relaxed(&pp->m) == NULL || tick != pp->seen_tick) {
		pp->seen_tick = tick;
		pp->seen_at = now;
		return false;
	}
	if (!gort__options.retake || !others_wait(pp, now)) {
		return false;
	}
	if (now - pp->seen_at < GORT__SLICE)
		return true;
	pp->seen_at = now;
	got = gort__p_take(pp, true);
	if (got != NULL)
		gort__hand_off(got);
	return true;
}

/* Timers of idle Ps without an M asleep for them. */
static void watch_idle_timers(gort_time now)
{
	gort__p *pp = NULL;

	if (gort__load_relaxed(&gort__sched.timer_when) <= now || idle_timers() > now)
		return;
	gort__lock_lock(&gort__sched.lock);
	pp = gort__p_from_idle(now);
	gort__lock_unlock(&gort__sched.lock);
	if (pp != NULL)
		gort__hand_off(pp);
}

/* Deep stacks. True: not finished. */
static bool trim(gort_time now)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	uint64_t ended = 0;

	for (uint32_t i = 0; i < n; i++)
		ended += gort__load_relaxed(&gort__sched.ps[i]->ended);
	if (ended == mon.trim_seen)
		return false;
	if (mon.trim_at == 0)
		mon.trim_at = now + TRIM_EVERY;
	if (now < mon.trim_at)
		return true;
	mon.trim_at = 0;
	mon.trim_seen = ended;
	for (uint32_t i = 0; i < n; i++) {
		gort__p *pp = gort__sched.ps[i];

		/* a held one's holder sees to it itself */
		if (gort__p_claim_idle(pp)) {
			gort__stack_trim_cache(pp);
			gort__hand_off(pp);
		} else {
			gort__store_relaxed(&pp->trim_due, true);
		}
	}
	while (gort__stack_trim_pool())
		;
	return false;
}

static void monitor(void *arg)
{
	gort_time delay = LONG;
	int idle_rounds = 0;

	(void)arg;
	gort__os_thread_begin();
	for (;;) {
		gort_time now = gort__os_now(), timers;
		uint32_t n = gort__load_acquire(&gort__sched.nps);
		bool soon = false, more;

		for (uint32_t i = 0; i < n; i++)
			soon |= look_at(gort__sched.ps[i], now);
		watch_idle_timers(now);
		soon |= gort__slow_timers_run(now);
		more = trim(now);
		if (gort__load_relaxed(&gort__sched.npidle) >= gort__load_relaxed(&gort__sched.nprocs))
			idle_rounds++;
		else
			idle_rounds = 0;
		delay = gort__load_relaxed(&gort__sched.calm) ? CALM : soon ? SHORT : LONG;
		timers = idle_timers();
		if (gort__load_relaxed(&gort__sched.timer_when) != INT64_MAX)
			timers = INT64_MAX;             /* somebody sleeps for them */
		else if (timers < now + CALM)
			timers = now + CALM;            /* handed off just now; or no thread is to be had for them */
		if (idle_rounds < IDLE_ROUNDS)
			sleep_until(now + delay < timers ? now + delay : timers);
		else if (soon)
			sleep_until(now + SHORT);
		else if (more)
			sleep_until(mon.trim_at);
		else
			sleep_until(timers);
	}
}

int gort__sysmon_start(void)
{
	mon.note = 0;
	mon.wake_at = mon.trim_at = 0;
	mon.trim_seen = 0;
	return gort__os_thread(monitor, NULL, 64 * 1024, "gort-monitor", true);
}
