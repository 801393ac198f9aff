/* SPDX-License-Identifier: MIT */
/*
 * Idleness: threads that look for work, sleep, and are woken.
 *
 * Wakeups. An M that goes idle publishes its idleness (npidle), runs the heavy fence, and looks for work once more. A
 * holder that enqueues looks at npidle afterwards, with only a compiler fence between: by the heavy fence either the
 * idle one finds the work or the holder sees the idleness. At most one M is on its way or looking at a time
 * (nspinning); one that finds work wakes the next if there is more. A lone runnext wakes nobody: its waker is about to
 * park, or the monitor sees to it.
 *
 * What drains fast is left alone where it is: calm.c.
 *
 * Polling. Once there is a poller (poller.h) an idle M sleeps in it, until the next timer, and not on its futex: poll_m. A
 * goroutine that it brings goes on there, on an idle P. While some M sleeps in the poller nobody else polls; while none
 * does, it is for the Ms with Ps to poll: when they find nothing to run, and every 100 microseconds otherwise; and where they
 * all compute or block, the monitor takes a P from one of them, to somebody who then sleeps in the poller.
 *
 * poll_m stays set until that M has left the poller, also when it has been taken off the list to be handed a P: so there
 * is never more than one to be woken by gort__poller.wake, and a wake cannot go to the wrong one. It brings goroutines and
 * finds no idle P: then it leaves the polling to those who have them, or each event would cost a switch of threads.
 */
#include "runtime.h"

/* Takes an idle M off its list, one that watches neither timers nor descriptors if there is a choice. Under sched.lock. */
static gort__m *idle_m_pop(void)
{
	gort__m **at = &gort__sched.idle_m;
	gort__m *mp;

	/* not at the last one: it is taken whatever it does */
	while (*at != NULL && (*at)->link != NULL && (*at == gort__sched.timer_m || *at == gort__load_relaxed(&gort__sched.poll_m)))
		at = &(*at)->link;
	mp = *at;
	if (mp == NULL)
		return NULL;
	*at = mp->link;
	mp->idle = false;
	gort__store_relaxed(&gort__sched.nidle_m, gort__sched.nidle_m - 1);
	return mp;
}

/* Under sched.lock. True: the M's deadline was the one that the others relied on. */
static bool drop_timer_role(gort__m *mp)
{
	if (gort__sched.timer_m != mp)
		return false;
	gort__sched.timer_m = NULL;
	gort__store_relaxed(&gort__sched.timer_when, INT64_MAX);
	return true;
}

/* Under sched.lock. */
static void idle_m_remove(gort__m *mp)
{
	gort__m **at = &gort__sched.idle_m;

	while (*at != mp)
		at = &(*at)->link;
	*at = mp->link;
	mp->idle = false;
	gort__store_relaxed(&gort__sched.nidle_m, gort__sched.nidle_m - 1);
}

gort__m *gort__idle_m_free(void)
{
	gort__m *mp = gort__sched.idle_m;

	while (mp != NULL && (mp->npreempted > 0 || mp == gort__sched.timer_m))
		mp = mp->link;
	if (mp != NULL)
		idle_m_remove(mp);
	return mp;
}

/*
 * gp can go on on its own M only (preempt.c). If that one sleeps it gets our P, to run gp; else it is told, and finds gp when
 * it next looks for something to run.
 */
void gort__send_home(gort__m *mp, gort_g *gp)
{
	gort__m *home = gp->m;
	gort__p *pp = NULL;
	bool bare = false;

	gort__lock_lock(&gort__sched.lock);
	if (home->idle) {
		idle_m_remove(home);
		bare = drop_timer_role(home);
		home->next_g = gp;
		pp = gort__p_release(mp);
	} else {
		gp->link = NULL;
		if (home->inbox != NULL)
			home->inbox_last->link = gp;
		else
			gort__store_relaxed(&home->inbox, gp);
		home->inbox_last = gp;
	}
	gort__lock_unlock(&gort__sched.lock);
	if (pp != NULL)
		gort__m_hand(home, pp, false);
	if (bare)
		gort__sysmon_timers();
}

/* pp is the caller's; an M is to run it. */
static void start_m(gort__p *pp, bool spinning)
{
	gort__m *mp;
	bool bare = false;

	gort__lock_lock(&gort__sched.lock);
	mp = idle_m_pop();
	if (mp != NULL)
		bare = drop_timer_role(mp);
	gort__lock_unlock(&gort__sched.lock);
	if (mp != NULL) {
		gort__m_hand(mp, pp, spinning);
	} else if (!gort__m_start(pp, spinning, NULL)) {
		/* no thread to be had: the running ones do the work */
		gort__lock_lock(&gort__sched.lock);
		gort__p_to_idle(pp);
		gort__lock_unlock(&gort__sched.lock);
		if (spinning)
			gort__add_seq_cst(&gort__sched.nspinning, -1u);
		return;
	}
	if (bare)
		gort__sysmon_timers();
	gort__sysmon_busy();
}

void gort__wake_someone(void)
{
	uint32_t none = 0;
	gort__p *pp;

	if (gort__load_relaxed(&gort__sched.npidle) == 0) {
		/* all are held, by threads that block perhaps; our callers have fenced since they queued */
		if (gort__unlikely(gort__load_relaxed(&gort__sysmon_deep)))
			gort__sysmon_busy();
		return;
	}
	if (gort__load_relaxed(&gort__sched.nspinning) != 0 || !gort__cas_seq_cst(&gort__sched.nspinning, &none, 1))
		return;
	gort__lock_lock(&gort__sched.lock);
	pp = gort__p_from_idle(0);
	gort__lock_unlock(&gort__sched.lock);
	if (pp == NULL)
		gort__add_seq_cst(&gort__sched.nspinning, -1u);
	else
		start_m(pp, true);
}

void gort__hand_off(gort__p *pp)
{
	if (gort__load_relaxed(&pp->retiring)) {
		gort__p_retire(pp);
		return;
	}
	if (gort__p_has_work(pp) || pp->timers.n > 0 || gort__load_relaxed(&gort__sched.queued) > 0 ||
	    gort__load_relaxed(&gort__sched.orphaned) > 0 || gort__poll_vacant()) {
		start_m(pp, false);
		return;
	}
	gort__lock_lock(&gort__sched.lock);
	if (gort__unlikely(pp->mailed > 0)) {
		gort__lock_unlock(&gort__sched.lock);
		start_m(pp, false);
		return;
	}
	gort__p_to_idle(pp);
	gort__lock_unlock(&gort__sched.lock);
	/* as after any idling: work that came meanwhile found no idle P */
	gort__fence_seq_cst();
	if (gort__load_relaxed(&gort__sched.queued) > 0 || gort__load_relaxed(&gort__sched.orphaned) > 0)
		gort__wake_someone();
}

/* Is there anything for a P that went idle? Looked at after publishing the idleness. */
static bool work_waits(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	bool calm = false;

	if ((gort__load_relaxed(&gort__sched.queued) > 0 && !gort__calm_keeps(0)) || gort__load_relaxed(&gort__sched.orphaned) > 0)
		return true;
	for (uint32_t i = 0; i < n; i++) {
		gort__p *pp = gort__sched.ps[i];

		if (pp->idle && gort__p_has_work(pp))
			return true;            /* there was no thread to be had for it */
		/* one that is on its way to a thread is that thread's, and nobody else can get at what waits there */
		if (gort__surplus_len(pp) == 0 || gort__load_relaxed(&pp->m) == NULL)
			continue;
		if (!gort__calm_leave_alone(gort__sched.ps[i]))
			return true;
		calm = true;
	}
	if (calm)
		gort__calm_short();
	return false;
}

static gort_time earliest_timer(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	gort_time t = INT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		gort_time next = gort__load_relaxed(&gort__sched.ps[i]->timer_next);

		if (next < t)
			t = next;
	}
	return t;
}

/* The M has left the poller for now: the next one that goes idle sleeps there. */
static void leave_poll(gort__m *mp)
{
	mp->in_poll = false;
	gort__store_relaxed(&gort__sched.polled_at, gort__os_now());
	gort__store_release(&gort__sched.poll_m, NULL);         /* pairs with the acquire in go_idle */
}

/* Polls, without waiting, for the P that the M holds. True: that made something runnable. */
static bool poll_now(gort__m *mp)
{
	const gort__poller *poller = gort__load_acquire(&gort__sched.poller);
	gort_g *list;

	gort__store_relaxed(&gort__sched.polled_at, gort__os_now());
	gort__add_relaxed(&gort__sched.polls, 1);
	list = poller->poll(0);
	gort__ready_polled(mp, list);
	return list != NULL;
}

#define AHEAD_MOST (50 * GORT_MICROSECOND)

/*
 * How long before a deadline to have the kernel wake us. A thread that sleeps to a deadline runs again some time after it: as
 * long as it takes the timer's interrupt, the processor to get out of its own sleep, a hypervisor. That much is made up for:
 * not the usual lateness, for being early means to spin until the deadline, but about what four of five wakeups are late by,
 * or later. Relaxed: a hint, whichever thread had the last word.
 */
static gort_duration ahead;

/* A wakeup came late by so much. Coming down fast and going up slowly finds the lower end. */
static void learn_lateness(gort_duration late)
{
	gort_duration was = gort__load_relaxed(&ahead), next;

	if (late < was)
		next = was - (was - late) / 4;
	else
		next = was + (late - was < AHEAD_MOST ? late - was : AHEAD_MOST) / 16;
	gort__store_relaxed(&ahead, next < AHEAD_MOST ? next : AHEAD_MOST);
}

/* Sleeps for a while, to a deadline at most, in one place or the other. What the poller has brought. */
static gort_g *sleep_once(gort__m *mp, gort_time deadline)
{
	gort_duration before = deadline != GORT_FOREVER ? gort__load_relaxed(&ahead) : 0;
	gort_time alarm = deadline - before, now;
	bool early = deadline == GORT_FOREVER || gort__os_now() < alarm;
	gort_g *list = NULL;

	if (mp->in_poll) {
		gort__add_relaxed(&gort__sched.polls, 1);
		/* plain threads need no P of ours */
		list = gort__ready_threads(mp, gort__sched.poller->poll(alarm));
	} else if (early) {
		gort__os_futex_wait(&mp->note, 0, alarm);
	}
	if (deadline == GORT_FOREVER || list != NULL || gort__load_relaxed(&mp->note) != 0)
		return list;
	now = gort__os_now();
	if (now < alarm)
		return NULL;
	/* a poller's clock may be coarser */
	if (early && !mp->in_poll)
		learn_lateness(now - alarm);
	while (now < deadline && gort__load_relaxed(&mp->note) == 0) {
		gort__cpu_relax();
		now = gort__os_now();
	}
	return NULL;
}

/*
 * Waits, idle, until handed a P, or a timer is due, or the poller brings something; the M has a P afterwards. False: the thread
 * is to end.
 */
static bool sleep_idle(gort__m *mp, gort_time deadline)
{
	for (;;) {
		gort__p *pp = NULL;
		uint32_t note = gort__load_acquire(&mp->note);          /* pairs with the releases in gort__m_hand and end_one */
		gort_g *list;           /* brought by the poller */
		bool alone;

		if (note != GORT__NOTE_NONE) {
			if (mp->in_poll)
				leave_poll(mp);
			if (gort__unlikely(note == GORT__NOTE_END))
				return false;
			gort__store_relaxed(&mp->note, GORT__NOTE_NONE);
			gort__p_acquire(mp, mp->next_p);
			mp->handed = true;
			return true;
		}
		list = sleep_once(mp, deadline);
		if (list == NULL && (deadline == GORT_FOREVER || gort__load_acquire(&mp->note) != 0 || gort__os_now() < deadline))
			continue;
		gort__lock_lock(&gort__sched.lock);
		alone = mp->idle;
		if (alone) {
			drop_timer_role(mp);
			pp = gort__p_from_idle(list != NULL ? 0 : gort__os_now());
			if (pp != NULL)
				idle_m_remove(mp);
			/* else every P is held, and its holder or the monitor looks at its timers; and at descriptors, from now on */
			if (mp->in_poll)
				leave_poll(mp);
		}
		gort__lock_unlock(&gort__sched.lock);
		if (alone) {
			deadline = GORT_FOREVER;
			gort__sysmon_timers();
		}
		if (pp != NULL) {
			gort__p_acquire(mp, pp);
			gort__sysmon_busy();
		}
		/* without a P, be it that somebody is about to hand one over: for whoever has one */
		gort__ready_polled(mp, list);
		if (pp != NULL)
			return true;
	}
}

static void stop_spinning(gort__m *mp)
{
	mp->spinning = false;
	gort__add_seq_cst(&gort__sched.nspinning, -1u);
	/* before the look that follows: whoever queued while nspinning was up relied on us (the addition alone is no fence) */
	gort__fence_seq_cst();
}

/* Is there more than the goroutine that a spinning M has just found? */
static bool more_waits(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);

	if (gort__load_relaxed(&gort__sched.queued) > 0)
		return !gort__calm_keeps(1);
	for (uint32_t i = 0; i < n && !gort__load_relaxed(&gort__sched.calm); i++) {
		if (gort__surplus_len(gort__sched.ps[i]) > 0)
			return true;
	}
	return false;
}

/* An M that was spinning, or has just been handed a P, has found something to run. */
static void found_work(gort__m *mp)
{
	if (mp->spinning)
		stop_spinning(mp);
	else
		gort__fence_seq_cst();          /* between having the P and looking who is idle; the far half is in go_idle */
	mp->handed = false;
	/*
	 * Whoever made work while we were looking relied on us, and who looked while the P was on its way could not get at
	 * what waits there: look whether there is more.
	 */
	if (gort__load_relaxed(&gort__sched.npidle) > 0 && more_waits())
		gort__wake_someone();
}

/* The P goes back to the idle ones, and the M sleeps. Afterwards it has a P again. False: the thread is to end. */
static bool go_idle(gort__m *mp)
{
	gort_time deadline = GORT_FOREVER;
	gort__p *pp = NULL;
	gort_g *found = NULL;
	bool spun;

	gort__lock_lock(&gort__sched.lock);
	if (mp->p != NULL) {
		if ((gort__sched.queued > 0 && !gort__calm_keeps(1)) || mp->inbox != NULL || mp->p->mailed > 0) {
			gort__lock_unlock(&gort__sched.lock);
			return true;
		}
		gort__p_to_idle(gort__p_release(mp));
	}
	/* found by others for us, and we have no P: whoever finds them again hands us its own */
	if (gort__unlikely(mp->inbox != NULL)) {
		found = mp->inbox;
		gort__store_relaxed(&mp->inbox, NULL);
	}
	/* once in the list, spinning is for its waker to set */
	spun = mp->spinning;
	mp->spinning = false;
	mp->idle = true;
	mp->link = gort__sched.idle_m;
	gort__sched.idle_m = mp;
	gort__store_relaxed(&gort__sched.nidle_m, gort__sched.nidle_m + 1);
	gort__lock_unlock(&gort__sched.lock);
	if (spun)
		gort__add_seq_cst(&gort__sched.nspinning, -1u);
	while (gort__unlikely(found != NULL)) {
		gort_g *gp = found;

		found = gp->link;
		gort__enqueue_global(gp, gp, 1);
	}

	gort__fence_heavy();                            /* far half of gort__enqueue's look at npidle */
	gort__lock_lock(&gort__sched.lock);
	if (mp->idle) {
		gort_time next = earliest_timer();

		/* acquire: the one that was there has left the poller */
		if (gort__sched.poller != NULL && gort__load_acquire(&gort__sched.poll_m) == NULL) {
			mp->in_poll = true;
			gort__store_relaxed(&gort__sched.poll_m, mp);
		}
		if (next < gort__sched.timer_when) {
			gort__sched.timer_m = mp;
			gort__store_relaxed(&gort__sched.timer_when, next);
			deadline = next;
		}
		if (work_waits()) {
			pp = gort__p_from_idle(0);
			if (pp != NULL) {
				idle_m_remove(mp);
				drop_timer_role(mp);
				if (mp->in_poll)
					leave_poll(mp);
			}
		}
	}
	gort__lock_unlock(&gort__sched.lock);
	if (pp != NULL) {
		gort__p_acquire(mp, pp);
		return true;
	}
	return sleep_idle(mp, deadline);
}

static bool queue_waits(void)
{
	return gort__load_relaxed(&gort__sched.queued) > 0 && !gort__calm_keeps(1);
}

/* Looks for others' work for a while. True: there is some in the ring or the global queue now, or a timer is due. */
static bool spin_aside(gort__m *mp, gort__p *pp)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	bool others = gort__load_relaxed(&gort__sched.nprocs) > gort__load_relaxed(&gort__sched.npidle) + 1;

	if (!mp->spinning) {
		uint32_t busy = gort__load_relaxed(&gort__sched.nprocs) - gort__load_relaxed(&gort__sched.npidle);

		if (2 * gort__load_relaxed(&gort__sched.nspinning) >= busy)
			return false;
		mp->spinning = true;
		gort__add_seq_cst(&gort__sched.nspinning, 1);
	}
	if (!others)
		return queue_waits();
	for (int round = 0; round < 8; round++) {
		uint32_t from = gort__random(mp);
		gort_time now = gort__os_now();

		for (uint32_t i = 0; i < n; i++) {
			gort__p *victim = gort__sched.ps[(from + i) % n];
			bool due = gort__load_relaxed(&victim->timer_next) <= now;

			if (victim == pp || gort__load_relaxed(&victim->m) == NULL)
				continue;
			if (gort__surplus_len(victim) == 0 && !due &&
			    (round < 6 || gort__load_relaxed(&victim->runq.runnext) == NULL))
				continue;
			if (!due && gort__calm_leave_alone(victim))
				continue;
			/* ask first: a holder inside the library answers soon, and that costs it nothing */
			gort__store_relaxed(&gort__sched.hungry, gort__load_relaxed(&gort__sched.hungry) | GORT__HUNGRY);
			for (int k = 0; k < 32; k++) {
				gort__cpu_relax();
				if (queue_waits())
					return true;
			}
			if (gort__p_steal(pp, victim))
				return true;
		}
		for (int k = 0; k < 16; k++) {
			gort__cpu_relax();
			if (queue_waits())
				return true;
		}
		if (gort__load_relaxed(&mp->call) != 0) {
			gort__step_back(mp);
			gort__hold_step_aside(&mp->hold);
		}
		if (pp->timer_next <= gort__os_now())
			return true;            /* to be run where biased locks may be had: not here */
	}
	return false;
}

/* Meanwhile others may take biases off our P. */
static bool spin(gort__m *mp, gort__p *pp)
{
	bool found;

	gort__hold_step_aside(&mp->hold);
	found = spin_aside(mp, pp);
	gort__step_back(mp);
	return found;
}

/* On g0: the next goroutine, however long it takes. NULL: the thread is to end. */
static gort_g *find(gort__m *mp)
{
	for (;;) {
		gort__p *pp = mp->p;
		gort_g *gp;

		if (mp->next_g != NULL) {
			gp = mp->next_g;
			mp->next_g = NULL;
			return gp;
		}
		if (pp == NULL) {
			if (!go_idle(mp))
				return NULL;
			continue;
		}
		if (gort__unlikely(gort__load_relaxed(&pp->retiring))) {
			gort__lock_lock(&gort__sched.lock);
			if (pp->retiring)
				gort__p_release(mp);
			gort__lock_unlock(&gort__sched.lock);
			if (mp->p == NULL) {
				if (mp->spinning)
					stop_spinning(mp);
				gort__p_retire(pp);
			}
			continue;
		}
		if (gort__load_relaxed(&gort__sched.orphaned) > 0)
			gort__p_adopt(pp);
		if (gort__unlikely(gort__load_relaxed(&mp->inbox) != NULL))
			gort__inbox_open(mp);
		if (gort__poll_due(GORT__POLL_EVERY))
			poll_now(mp);
		if (gort__unlikely(gort__load_relaxed(&pp->mailed) > 0))
			gort__mail_open(pp);
		if (gort__unlikely(mp->loot.retreat != NULL)) {
			gort__mail_all(mp->loot.retreat, pp);
			mp->loot.retreat = NULL;
		}
		gort__run_timers(pp);
		gp = gort__next_local(pp);
		if (gp != NULL)
			return gp;
		gort__loot_judge(mp);
		gp = gort__calm_keeps(1) ? NULL : gort__take_global(pp, false);
		if (gp != NULL) {
			gort__loot_note(mp);
			return gp;
		}
		if (gort__poll_vacant() && poll_now(mp))
			continue;
		gort__loot_none(mp);
		if (!gort__load_relaxed(&pp->retiring) && !spin(mp, pp) && !go_idle(mp))
			return NULL;
	}
}

gort_g *gort__find_runnable(gort__m *mp)
{
	gort_g *gp = find(mp);

	if (gort__unlikely(mp->loot.dry_at != 0))
		gort__loot_some(mp);
	if (gp != NULL && (mp->spinning || mp->handed))
		found_work(mp);
	return gp;
}

void gort__poller_register(const gort__poller *poller)
{
	gort__p *pp = NULL;

	gort__lock_lock(&gort__sched.lock);
	gort__store_relaxed(&gort__sched.polled_at, gort__os_now());
	gort__store_release(&gort__sched.poller, poller);       /* pairs with the acquire in poll_now */
	/* those who go idle from now on see it; if somebody has gone before, one goes again, and sleeps in the poller */
	if (gort__sched.idle_m != NULL)
		pp = gort__p_from_idle(0);
	gort__lock_unlock(&gort__sched.lock);
	if (pp != NULL)
		start_m(pp, false);
}
