/* SPDX-License-Identifier: MIT */
/*
 * Calm: when moving goroutines to another P costs more than it gains, and so nobody is woken for them.
 *
 * Goroutines that hand work to each other in fractions of a microsecond are done sooner where they are: moving one costs cache
 * misses on both sides, and waking a thread for it several microseconds. So a spinning M watches for about a microsecond
 * how fast a P drains its queue, and leaves alone what will be gone before it could have been moved. When it goes idle over
 * that it sets calm, and enqueueing wakes nobody for short queues, until the monitor, which then looks four times a
 * millisecond, finds a P that lets work wait.
 *
 * Calm for queues of any length is set in two cases:
 *
 *   - A thread has got goroutines from elsewhere (loot), and has been through with them, each having run once, in less time than
 *     it takes to move them.
 *   - A thread's goroutines share locks with those of other Ps all the time, and all Ps together get no more done with this
 *     thread than without it. How much is done says the number of scheduling decisions and of goroutines made ready. What
 *     it was without this thread is known from when it last had nothing to do; and if that is not known, or was long ago, it
 *     is found out by going idle for once. (Two processors that take turns on one channel get a tenth of what one of them
 *     does.) If the thread has goroutines yet it leaves them to another P that has more to do.
 *
 * That calm ends after a while, for it may be different by then: four times as long each time, and a quarter again when the
 * thread was worth it. From then on it is one for short queues. Or it ends when the monitor finds a P that lets work wait.
 */
#include "runtime.h"

#define LEAST (250 * GORT_MICROSECOND)  /* a spell of calm */
#define MOST (16 * GORT_MILLISECOND)
#define WINDOW (50 * GORT_MICROSECOND)  /* over which what is done is counted */
#define STALE (16 * GORT_MILLISECOND)   /* a count from before that says nothing */
#define SHARING 32                      /* one lock of others' for so many decisions is all the time */

static void set(enum gort__calm calm)
{
	gort__store_relaxed(&gort__sched.calm, calm);
	gort__sysmon_look();
}

void gort__calm_short(void)
{
	if (gort__load_relaxed(&gort__sched.calm) == GORT__CALM_NOT)
		set(GORT__CALM_SHORT);
}

/* For long queues, too: for the next spell, after which there is a longer one if longer says so. */
static void calm_down(gort_time now, bool longer)
{
	gort_duration spell = gort__load_relaxed(&gort__sched.calm_spell);

	if (spell < LEAST)
		spell = LEAST;
	gort__store_relaxed(&gort__sched.calm_until, now + spell);
	if (longer)
		gort__store_relaxed(&gort__sched.calm_spell, 4 * spell < MOST ? 4 * spell : MOST);
	set(GORT__CALM_ALL);
}

/*
 * Never while no P is held. Who goes idle is counted as idle, and after the heavy fence looks once more (work_waits in idle.c);
 * who queues asks after a fence. So either the one that goes idle last sees the queue, or who queues sees that all are. And
 * the monitor ends the calm when a P that is held lets the queue wait.
 */
bool gort__calm_keeps(uint32_t mine)
{
	return gort__load_relaxed(&gort__sched.calm) == GORT__CALM_ALL &&
	       gort__load_relaxed(&gort__sched.npidle) + mine < gort__load_relaxed(&gort__sched.nprocs);
}

bool gort__calm_over(gort__p *pp, gort_time now)
{
	uint64_t done = gort__load_relaxed(&pp->runq.tick) - pp->seen.tick + gort__load_relaxed(&pp->readied) - pp->seen.readied;

	if ((now - pp->seen.at) / GORT__CALM_RATE > (gort_time)done)
		return true;
	if (gort__load_relaxed(&gort__sched.calm) != GORT__CALM_ALL || now < gort__load_relaxed(&gort__sched.calm_until))
		return false;
	/* for long queues it is over: who queues sees to these, but for what lies in the global one already */
	gort__store_relaxed(&gort__sched.calm, GORT__CALM_SHORT);
	return gort__load_relaxed(&gort__sched.queued) > 0;
}

/* Is pp's thread off the processor in the middle of the library, so that nobody can have what is the P's? */
static bool out_of_reach(gort__p *pp)
{
	gort__m *mp = gort__load_acquire(&pp->m);

	return mp != NULL && (gort__load_relaxed(&mp->hold.depth) & ~GORT__DEPTH_ANNOUNCED) != 0;
}

bool gort__calm_leave_alone(gort__p *pp)
{
	uint64_t before = gort__load_relaxed(&pp->runq.tick);
	gort_time t = gort__os_now();
	uint64_t ticks;

	for (int i = 0; i < 16; i++)
		gort__cpu_relax();
	ticks = gort__load_relaxed(&pp->runq.tick) - before;
	if (gort__load_relaxed(&gort__sched.calm) == GORT__CALM_ALL)
		return true;            /* until the monitor says otherwise */
	if (ticks > 0)
		return (gort__os_now() - t) / (gort_time)ticks < GORT__CALM_RATE && gort__surplus_len(pp) < GORT__RUNQ_SIZE / 4;
	return out_of_reach(pp);
}

/* --- loot --- */

/* What all Ps have done, ever. Others' counts are read as they come. */
static uint64_t done_by_all(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	uint64_t done = 0;

	for (uint32_t i = 0; i < n; i++)
		done += gort__load_relaxed(&gort__sched.ps[i]->runq.tick) + gort__load_relaxed(&gort__sched.ps[i]->readied);
	return done;
}

/* In a millisecond. */
static uint64_t rate(uint64_t done, gort_duration time)
{
	return done * (uint64_t)GORT_MILLISECOND / (uint64_t)time;
}

void gort__loot_none(gort__m *mp)
{
	if (mp->loot.dry_at != 0)
		return;
	mp->loot.dry_at = gort__os_now();
	mp->loot.dry_done = done_by_all();
}

void gort__loot_some(gort__m *mp)
{
	gort_time now = gort__os_now();

	if (now - mp->loot.dry_at >= WINDOW) {
		mp->loot.without = rate(done_by_all() - mp->loot.dry_done, now - mp->loot.dry_at);
		mp->loot.without_at = now;
	}
	mp->loot.dry_at = mp->loot.since = 0;
}

void gort__loot_forget(gort__m *mp)
{
	mp->loot.at = mp->loot.since = 0;
	mp->loot.retreat = NULL;
}

/* What is judged begins here. */
static void begin(gort__m *mp, gort_time now)
{
	mp->loot.since = now;
	mp->loot.since_tick = gort__load_relaxed(&mp->p->runq.tick);
	mp->loot.since_done = done_by_all();
	mp->loot.since_shared = mp->shared;
}

/* Would it be better if this thread did nothing? known: false if it is just to find that out. */
static bool in_the_way(gort__m *mp, gort_time now, bool *known)
{
	uint64_t ticks = gort__load_relaxed(&mp->p->runq.tick) - mp->loot.since_tick;

	*known = mp->loot.without_at != 0 && now - mp->loot.without_at < STALE;
	if ((mp->shared - mp->loot.since_shared) * SHARING < ticks)
		return false;
	if (*known) {
		if (rate(done_by_all() - mp->loot.since_done, now - mp->loot.since) <= mp->loot.without)
			return true;
		gort__store_relaxed(&gort__sched.calm_spell, gort__load_relaxed(&gort__sched.calm_spell) / 4);
		return false;
	}
	/* not all of them one after the other */
	if (now - gort__load_relaxed(&gort__sched.calm_asked) < STALE)
		return false;
	gort__store_relaxed(&gort__sched.calm_asked, now);
	return true;
}

void gort__loot_note(gort__m *mp)
{
	gort_time now = gort__os_now();

	if (mp->loot.dry_at != 0)
		gort__loot_some(mp);
	mp->loot.tick = gort__load_relaxed(&mp->p->runq.tick) + 1;
	mp->loot.n = gort__runq_len(&mp->p->runq) + 1;
	mp->loot.at = now;
	if (mp->loot.since == 0)
		begin(mp, now);
}

void gort__loot_judge(gort__m *mp)
{
	uint64_t ticks = gort__load_relaxed(&mp->p->runq.tick) - mp->loot.tick;
	gort_time now;
	bool known;

	if (mp->loot.at == 0)
		return;
	now = gort__os_now();
	/* each of them ran once or so, and made nothing to do for here */
	if (mp->loot.n >= GORT__RUNQ_SIZE / 8 && ticks < 2 * mp->loot.n &&
	    now - mp->loot.at < (gort_time)ticks * GORT__MOVE_COST) {
		calm_down(now, true);
	} else if (mp->loot.since != 0 && now - mp->loot.since >= WINDOW) {
		if (in_the_way(mp, now, &known))
			calm_down(now, known);
		mp->loot.since = 0;
	}
	mp->loot.at = 0;
}

/* A P that is held and has more to do than this one; of two that have the same, the first. */
static gort__p *with_more(gort__p *pp)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps), ours = gort__surplus_len(pp);

	for (uint32_t i = 0; i < n; i++) {
		gort__p *other = gort__sched.ps[i];
		uint32_t theirs = gort__surplus_len(other);

		if (other != pp && gort__load_relaxed(&other->m) != NULL && (theirs > ours || (theirs == ours && other->id < pp->id)))
			return other;
	}
	return NULL;
}

void gort__loot_share(gort__m *mp)
{
	gort_time now = gort__os_now();
	gort__p *other;
	bool known;

	mp->loot.looked = mp->shared;
	if (mp->loot.since == 0) {
		begin(mp, now);
		return;
	}
	/* it goes on here, and at first all that has just come is cold, and locks are biased to others yet */
	if (now - mp->loot.since < 4 * WINDOW)
		return;
	other = gort__load_relaxed(&gort__sched.calm) != GORT__CALM_ALL ? with_more(mp->p) : NULL;
	if (other != NULL && in_the_way(mp, now, &known)) {
		calm_down(now, known);
		mp->loot.retreat = other;
	}
	mp->loot.since = 0;
}
