/* SPDX-License-Identifier: MIT */
/*
 * The monitor: the one thread that holds no P. It looks at each P in turn and takes it away (hold.h) from a goroutine that
 * keeps it while others wait:
 *
 *   in an announced call             after 20 microseconds, or when its thread sleeps in the kernel
 *   its thread asleep in the kernel  after 100 microseconds without a scheduling decision, 40 soon after another one was
 *   its thread running, or ready to  after a slice; one inside the library is asked to yield instead
 *
 * Descriptors that nobody has polled for a millisecond are something that waits, too.
 *
 * With preempt=signal one that runs is interrupted instead (preempt.c). Otherwise the goroutine goes on as a plain thread until
 * its next call. Where nothing waits nothing is taken. A slice is short while few threads run that way, as one more costs
 * little then and whoever waits gets on sooner.
 *
 * It also sees to timers that nobody watches, gives deep stacks back to the system, and reports a deadlock.
 *
 * Pace: 100 microseconds after something was taken, then half of the time that has passed since, up to 10 milliseconds; in
 * between when a P has been found not to move, or when a held P's next timer is due. When every P is idle, or held by a thread that
 * sleeps in the kernel with nothing waiting behind it, the monitor sleeps until it is told (gort__sysmon_deep): a program at rest
 * makes no system call. Such a holder comes by its slow path when it is back (gort__hold_call_back), and whoever queues
 * work globally looks at that word after a fence.
 */
#include "runtime.h"

#include "clock.h"

#define GRACE (20 * GORT_MICROSECOND)
#define SOON (100 * GORT_MICROSECOND)
#define MILLI GORT_MILLISECOND
#define LONG (10 * GORT_MILLISECOND)
#define CALM (250 * GORT_MICROSECOND)
#define SHORT_SLICE (1 * GORT_MILLISECOND)
#define LIVELY_LOOK (500 * GORT_MICROSECOND)
#define LIVELY (10 * GORT_MICROSECOND)  /* mean time between decisions of a P that need not be looked at so often */
#define QUIET_ROUNDS 5                  /* looks in a row with nothing to do before sleeping until told, where that was soon */
#define RESTED (10 * GORT_MILLISECOND)  /* the last time; after so long a sleep one will do */
#define TRIM_EVERY (2 * GORT_SECOND)

uint32_t gort__sysmon_slow, gort__sysmon_deep;

static struct {
	uint32_t note;                  /* futex: 1 when the monitor is to look */
	gort_time wake_at;              /* when it will look by itself; atomic */
	uint32_t tid;                   /* of its thread; (r) */
	bool stop;                      /* it is to end; before the note */
	/* the monitor's own */
	gort_duration pace;             /* how long it sleeps when nothing else is due */
	gort_time told_at;              /* when it was told to look, or took something, last */
	int quiet;                      /* looks in a row with nothing to do, */
	int rounds;                     /* and how many are not yet enough */
	int doubts;                     /* times that all waited for ever, but for some thread */
	bool took;                      /* something was taken at the present look */
	bool surplus;                   /* something waits behind one of the Ps */
	gort_time trim_at;
	uint64_t trim_seen;             /* goroutines ended by the last trim */
} mon;

static void poke(void)
{
	gort__store_release(&mon.note, 1);      /* pairs with the acquire in sleep_until */
	gort__os_futex_wake(&mon.note, 1);
}

void gort__sysmon_poke(void)
{
	poke();
}

bool gort__sysmon_here(void)
{
	return gort__load_relaxed(&mon.tid) == gort__os_tid();
}

void gort__sysmon_busy(void)
{
	/* pairs with the one in rest_deep: either it sees what the caller did, or we see that it sleeps */
	gort__fence_seq_cst();
	if (gort__load_relaxed(&gort__sysmon_deep))
		poke();
}

void gort__sysmon_hurry(void)
{
	gort__store_relaxed(&gort__sysmon_slow, 0);     /* once is enough */
	poke();
}

void gort__sysmon_look(void)
{
	if (gort__load_relaxed(&mon.wake_at) > gort__os_now() + CALM)
		poke();
}

/* The earliest timer of the Ps that nobody holds, or of the others. */
static gort_time next_timer(bool held)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	gort_time t = INT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		gort__p *pp = gort__sched.ps[i];
		gort_time next = gort__load_relaxed(&pp->timer_next);

		if ((gort__load_relaxed(&pp->m) != NULL) == held && next < t)
			t = next;
	}
	return t;
}

void gort__sysmon_timers(void)
{
	if (next_timer(false) < gort__load_relaxed(&mon.wake_at))
		poke();
}

/* --- one P --- */

/* Is anything waiting that pp's goroutine keeps from running? */
static bool others_wait(gort__p *pp, gort_time now)
{
	return gort__load_relaxed(&pp->runq.runnext) != NULL || gort__surplus_len(pp) > 0 ||
	       gort__load_relaxed(&pp->timer_next) <= now || gort__poll_due(MILLI) ||
	       ((gort__load_relaxed(&gort__sched.queued) > 0 || gort__load_relaxed(&gort__sched.orphaned) > 0) &&
		(gort__load_relaxed(&gort__sched.npidle) == 0 || gort__load_relaxed(&gort__sched.calm) == GORT__CALM_ALL));
}

static gort_duration slice(void)
{
	uint32_t running = gort__load_relaxed(&gort__sched.taken[GORT__TAKEN_RUNNING]);

	return running < 2 * gort__load_relaxed(&gort__sched.nprocs) ? SHORT_SLICE : GORT__SLICE;
}

/* Notes what the P does now. True: the same goroutine as at the last look, without a scheduling decision since. */
static bool unmoved(gort__p *pp, gort__m *mp, gort_time now)
{
	uint64_t tick = gort__load_relaxed(&pp->runq.tick);

	if (tick == pp->seen.tick && mp == pp->seen.m)
		return true;
	pp->seen.lively = mp == pp->seen.m && (now - pp->seen.at) / LIVELY < (gort_time)(tick - pp->seen.tick);
	pp->seen.tick = tick;
	pp->seen.readied = gort__load_relaxed(&pp->readied);
	pp->seen.m = mp;
	pp->seen.at = pp->seen.call_at = now;
	pp->seen.calls = gort__load_relaxed(&mp->calls);
	pp->seen.gap = SOON;
	return false;
}

/* Somebody without a thread of its own to run on is to have the P; there must be a thread for it. */
static void take(gort__p *pp, enum gort__taken why, gort_time now)
{
	gort__p *got;

	pp->seen.at = now;              /* taken or asked to yield: its time begins anew */
	if (gort__load_relaxed(&gort__sched.nidle_m) == 0 && !gort__m_allowed()) {
		gort__hold_want_yield(&pp->seen.m->hold);
		return;
	}
	got = gort__p_take(pp, why);
	if (got != NULL) {
		mon.took = true;
		gort__hand_off(got);
	}
	/* others could come and get some of what waits there */
	if (gort__load_relaxed(&gort__sched.npidle) > 0)
		gort__wake_someone();
}

/* When to look at pp again, INT64_MAX: at the usual pace. */
static gort_time look_at(gort__p *pp, gort_time now)
{
	gort__m *mp = gort__load_acquire(&pp->m);
	uint64_t spawned = gort__load_relaxed(&pp->spawned);
	uint32_t depth, calls;
	gort_time due;
	bool waits, wanted, moved, blocked;
	gort_duration patience = mon.pace == SOON ? 2 * GRACE : SOON;   /* where one has blocked just now others will */

	if (mp != NULL && gort__load_relaxed(&gort__sched.calm) && others_wait(pp, now) && gort__calm_over(pp, now)) {
		gort__store_relaxed(&gort__sched.calm, GORT__CALM_NOT);
		gort__wake_someone();
	}
	/* a thread that blocks does nothing with its P, which can come and get what waits elsewhere */
	waits = gort__options.retake && (others_wait(pp, now) || (mp != NULL && gort__load_relaxed(&mp->inbox) != NULL));
	wanted = waits || (gort__options.retake && mon.surplus && gort__load_relaxed(&gort__sched.npidle) == 0);
	if (mp == NULL) {
		pp->seen.m = NULL;
		/* idle; or on its way to a thread, after which it is to be looked at as soon as the last holder was */
		return waits && mon.pace < MILLI ? now + 2 * GRACE : INT64_MAX;
	}
	depth = gort__load_relaxed(&mp->hold.depth);
	moved = !unmoved(pp, mp, now);
	if (!wanted || (depth & GORT__DEPTH_PINNED))
		return INT64_MAX;
	if (depth & GORT__DEPTH_ANNOUNCED) {
		calls = gort__load_relaxed(&mp->calls);
		if (calls != pp->seen.calls) {
			pp->seen.calls = calls;
			pp->seen.call_at = now;
		}
		if (now - pp->seen.call_at >= GRACE || gort__os_thread_blocked(&pp->seen.watch, mp->tid) == 1)
			take(pp, GORT__TAKEN_BLOCKED, now);
		return now + GRACE;             /* who announces one call announces the next */
	}
	if (moved)
		/*
		 * Whether it stands still shows only at a second look: one that is soon after this, or soon after a take. Not so
		 * soon where goroutines come and go by the hundred thousand: to be looked at ten thousand times a second took
		 * 8 % from a server on two processors.
		 */
		return mon.pace > MILLI ? now + (pp->seen.lively ? LIVELY_LOOK : SOON) : mon.pace == SOON ? now + 2 * GRACE : INT64_MAX;
	if (now - pp->seen.at < patience)
		return pp->seen.at + patience;
	blocked = depth == 0 && gort__os_thread_blocked(&pp->seen.watch, mp->tid) == 1;
	if (!blocked && !waits)
		return INT64_MAX;
	/*
	 * One that starts goroutines all the time hands out work, and others can get at it: it has the whole slice. What it
	 * starts without a P goes through the global queue, and waits there behind all that has not run.
	 */
	due = pp->seen.at + (spawned != pp->seen.spawned ? GORT__SLICE : slice());
	pp->seen.spawned = spawned;
	if (!blocked && now < due) {
		/* as in take */
		if (gort__load_relaxed(&gort__sched.npidle) > 0)
			gort__wake_someone();
		pp->seen.gap = 2 * pp->seen.gap < MILLI ? 2 * pp->seen.gap : MILLI;
		return now + pp->seen.gap < due ? now + pp->seen.gap : due;
	}
	if (gort__options.signal && !blocked) {
		/* it may not do here: then soon again, while the goroutine is the same one */
		gort__preempt(mp);
		pp->seen.gap = 2 * pp->seen.gap < MILLI ? 2 * pp->seen.gap : MILLI;
		return now + pp->seen.gap;
	}
	take(pp, blocked ? GORT__TAKEN_BLOCKED : GORT__TAKEN_RUNNING, now);
	return now + SOON;
}

/* Idle Ps with timers that no M sleeps for, or with work or descriptors for which there was no thread to be had. */
static void watch_idle(gort_time now)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	bool stranded = false;
	gort__p *pp;

	for (uint32_t i = 0; i < n && !stranded; i++)
		stranded = gort__load_relaxed(&gort__sched.ps[i]->m) == NULL &&
			   (gort__p_has_work(gort__sched.ps[i]) || gort__poll_due(MILLI));
	if (!stranded && (gort__load_relaxed(&gort__sched.timer_when) <= now || next_timer(false) > now))
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

/* --- rest --- */

/* Is pp idle, or does its holder sleep in the kernel, outside the library, with nothing waiting behind it? */
static bool at_rest(gort__p *pp, gort_time now)
{
	gort__m *mp = gort__load_acquire(&pp->m);

	if (mp == NULL)
		return !gort__p_has_work(pp);
	return mp == pp->seen.m && gort__load_relaxed(&pp->runq.tick) == pp->seen.tick && !others_wait(pp, now) &&
	       (gort__load_relaxed(&mp->hold.depth) & GORT__DEPTH_COUNT) == 0 &&
	       gort__os_thread_blocked(&pp->seen.watch, mp->tid) == 1;
}

static bool all_at_rest(gort_time now)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);

	if (gort__load_relaxed(&gort__sched.queued) > 0 || gort__load_relaxed(&gort__sched.orphaned) > 0 ||
	    gort__load_relaxed(&gort__sched.nspinning) > 0 || gort__poll_vacant())
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!at_rest(gort__sched.ps[i], now))
			return false;
	}
	return true;
}

/*
 * Every thread of the process waits for ever in one of our calls, or is an idle one of ours: nobody is left to wake any of
 * them. True only if that is certain. Those who wait are counted in by themselves and out by their wakers, who are threads
 * too; so when the count did not change while the threads were counted, none of those counted can have been woken.
 */
static bool deadlocked(void)
{
	uint64_t before = gort__load_acquire(&gort__sched.resting), after;
	const gort__poller *poller = gort__load_acquire(&gort__sched.poller);
	uint32_t resting = (uint32_t)before;
	bool idle;
	long threads;

	if (resting == 0 || gort__load_relaxed(&gort__sched.timed) > 0 || (poller != NULL && poller->waits()))
		return false;
	/* with the lock no idle M can be handed a P */
	gort__lock_lock(&gort__sched.lock);
	threads = gort__os_thread_count();
	after = gort__add_seq_cst(&gort__sched.resting, 0);
	/* those of locked goroutines are Ms and rest: counted once */
	idle = threads >= 0 && (uint64_t)threads == (uint64_t)gort__sched.nidle_m + resting + 1;
	gort__lock_unlock(&gort__sched.lock);
	/* gort_shutdown ends threads without counting them; it had not begun when the threads were counted */
	return idle && before == after && gort__phase() == GORT__UP;
}

static void sleep_until(gort_time when)
{
	gort__store_relaxed(&mon.wake_at, when);
	gort__store_relaxed(&gort__sysmon_slow, when - gort__os_now() > MILLI);
	while (gort__load_acquire(&mon.note) == 0 && (when == GORT_FOREVER || gort__os_now() < when))
		gort__os_futex_wait(&mon.note, 0, when);
	if (gort__load_relaxed(&mon.note) != 0) {
		gort__store_relaxed(&mon.note, 0);
		mon.told_at = gort__os_now();
	}
	gort__store_relaxed(&mon.wake_at, 0);
}

/* Timers that were called off lie in the heaps still, and would wake somebody for nothing. */
static void sweep_idle(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);

	for (uint32_t i = 0; i < n; i++) {
		gort__p *pp = gort__sched.ps[i];

		if ((int32_t)(gort__load_relaxed(&pp->stale) + gort__load_relaxed(&pp->stale_own)) > 0 && gort__p_claim_idle(pp)) {
			gort__timer_sweep(pp);
			gort__hand_off(pp);
		}
	}
}

/* Sleeps until told or until then, if all is at rest for certain. */
static void rest_deep(gort_time until, gort_time now)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	bool ok = true;

	gort__store_relaxed(&gort__sysmon_deep, 1);
	gort__fence_seq_cst();                  /* pairs with the one in gort__sysmon_busy */
	for (uint32_t i = 0; i < n && ok; i++) {
		gort__m *mp = gort__load_acquire(&gort__sched.ps[i]->m);

		/* the Ps' own queues are looked at afterwards: it is outside by then, and comes to us when it is back */
		ok = mp == NULL || gort__hold_call_back(&mp->hold);
	}
	if (ok && all_at_rest(now)) {
		if (gort__load_relaxed(&gort__sched.resting) != 0 && next_timer(true) == INT64_MAX && next_timer(false) == INT64_MAX) {
			if (deadlocked())
				gort__fatal("all goroutines are asleep - deadlock!");
			/* a thread that is just ending may be all that speaks against it: so three times more, and then no more */
			if (mon.doubts < 3 && until > now + (LONG << 3 * mon.doubts))
				until = now + (LONG << 3 * mon.doubts++);
		}
		sleep_until(until);
	} else {
		sleep_until(now + LONG);
		mon.quiet = 0;
	}
	gort__store_relaxed(&gort__sysmon_deep, 0);
	if (mon.told_at > now) {
		mon.quiet = mon.doubts = 0;
		mon.rounds = mon.told_at - now < RESTED ? QUIET_ROUNDS : 0;
	}
}

static void monitor(void *arg)
{
	(void)arg;
	gort__store_relaxed(&mon.tid, gort__os_tid());
	gort__os_thread_begin();
	for (;;) {
		gort_time now = gort__os_now(), want = INT64_MAX, timers, watch;
		uint32_t n = gort__load_acquire(&gort__sched.nps);
		bool slow_timers, more;

		if (gort__load_relaxed(&mon.stop))
			return;
		gort__clock_check(now);
		watch = gort__watch(now);       /* first: the last words may be waited for, by one that holds a lock of ours */
		mon.took = mon.surplus = false;
		for (uint32_t i = 0; i < n && !mon.surplus; i++)
			mon.surplus = gort__surplus_len(gort__sched.ps[i]) > 0;
		for (uint32_t i = 0; i < n; i++) {
			gort_time t = look_at(gort__sched.ps[i], now);

			want = t < want ? t : want;
		}
		watch_idle(now);
		slow_timers = gort__slow_timers_run(now);
		more = trim(now);
		if (gort__load_relaxed(&gort__tracing)) {
			gort__trace_drain();
			want = want < now + 2 * MILLI ? want : now + 2 * MILLI;
		}

		if (mon.took)
			mon.told_at = now;
		mon.pace = (now - mon.told_at) / 2;
		mon.pace = mon.pace < SOON ? SOON : mon.pace > LONG ? LONG : mon.pace;
		if (gort__load_relaxed(&gort__sched.calm) && mon.pace > CALM)
			mon.pace = CALM;
		if ((slow_timers || (gort__options.retake && gort__poll_vacant())) && want > now + MILLI)
			want = now + MILLI;
		/* timers of idle Ps, unless an M sleeps for them */
		timers = next_timer(false);
		if (gort__load_relaxed(&gort__sched.timer_when) != INT64_MAX)
			timers = INT64_MAX;
		else if (timers < now + CALM)
			timers = now + CALM;            /* handed off just now; or no thread is to be had for them */
		want = timers < want ? timers : want;
		/* a held P's own: its holder may compute */
		timers = next_timer(true);
		if (timers < INT64_MAX - SOON) {
			timers = timers < now + MILLI - SOON ? now + MILLI : timers + SOON;
			want = timers < want ? timers : want;
		}

		mon.quiet = mon.took || want < now + LONG || !all_at_rest(now) ? 0 : mon.quiet + 1;
		want = watch < want ? watch : want;
		/* each time: the P with the timer may not have been idle yet, and what is called off must not be waited for below */
		if (mon.quiet >= mon.rounds)
			sweep_idle();
		if (mon.quiet > mon.rounds)
			rest_deep(more && mon.trim_at < want ? mon.trim_at : want, now);
		else
			sleep_until(want < now + mon.pace ? want : now + mon.pace);
	}
}

void gort__sysmon_stop(void)
{
	gort__store_relaxed(&mon.stop, true);   /* published by the note */
	poke();
}

int gort__sysmon_start(void)
{
	mon.note = 0;
	mon.stop = false;
	mon.wake_at = mon.trim_at = 0;
	mon.trim_seen = 0;
	mon.pace = SOON;
	mon.told_at = gort__os_now();
	mon.quiet = mon.doubts = 0;
	mon.rounds = QUIET_ROUNDS;
	gort__sysmon_slow = gort__sysmon_deep = 0;
	gort__watch_init();
	/* of address space: tracebacks are made on it too */
	return gort__os_thread(monitor, NULL, GORT__TRACEBACK_STACK, "gort-monitor", true);
}
