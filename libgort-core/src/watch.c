/* SPDX-License-Identifier: MIT */
/*
 * What the monitor does for those who look on: it serves whoever asks for a traceback, prints the line of schedtrace, and
 * notes which goroutines wait, so that a traceback can say for how long.
 *
 * Parking pays nothing for that: reading the clock would cost as much as the switch. A switch to a goroutine clears a
 * word that lies beside one it writes anyway (ctx.seen); every ten seconds, if there was anything scheduled since the last
 * time, the monitor puts the time into the words of all that wait and have none. So a wait is taken to be up to ten seconds
 * shorter than it is, and never longer; with very many goroutines more, since looking at all of them may take a thousandth
 * of a processor at most. (Between seeing that a goroutine waits and noting the time it may run and wait again: that is
 * looked at once more, and of what slips through the time is wrong by what the goroutine ran meanwhile.)
 */
#include "runtime.h"

#include <stdio.h>

#define NOTE_EVERY (10 * GORT_SECOND)
#define NOTE_SHARE 1000                 /* of the time, one part in so many */

/* The monitor's own. */
static struct {
	gort_time note_at;              /* not before; 0: at once */
	uint64_t noted;                 /* decisions that had been made by the last time */
	gort_time trace_from, trace_at;
} watch;

uint32_t gort__watch_clock(void)
{
	return (uint32_t)(gort__os_now() / GORT_SECOND) + 1;
}

static bool waits(gort_g *gp)
{
	return gort__load_relaxed(&gp->status) == GORT__G_WAITING && gort__load_relaxed(&gp->ctx.running) == 0;
}

static bool note(gort_g *gp, void *arg)
{
	if (gort__load_relaxed(&gp->ctx.seen) != 0 || !waits(gp))
		return true;
	gort__store_relaxed(&gp->ctx.seen, *(uint32_t *)arg);
	gort__fence_seq_cst();
	if (!waits(gp))
		gort__store_relaxed(&gp->ctx.seen, 0);
	return true;
}

/* Decisions made by all Ps. It may wrap: only a difference counts. */
static uint64_t decisions(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += gort__load_relaxed(&gort__sched.ps[i]->runq.tick);
	return sum;
}

static gort_time note_waiting(gort_time now)
{
	uint64_t made = decisions();
	uint32_t clock = gort__watch_clock();
	gort_duration took;

	if (made == watch.noted)
		return GORT_FOREVER;
	if (watch.note_at == 0)
		watch.note_at = now + NOTE_EVERY;
	if (now < watch.note_at)
		return watch.note_at;
	watch.noted = made;
	gort__g_each(note, &clock);
	took = gort__os_now() - now;
	watch.note_at = now + (took > NOTE_EVERY / NOTE_SHARE ? took * NOTE_SHARE : NOTE_EVERY);
	return GORT_FOREVER;    /* or when there is something new */
}

/* Go's line, for who knows how to read that. */
static void print_schedtrace(gort_time now)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps), idle_ms = 0, threads;
	char line[1024];
	int at;

	gort__lock_lock(&gort__sched.lock);
	for (gort__m *mp = gort__sched.idle_m; mp != NULL; mp = mp->link)
		idle_ms++;
	gort__lock_unlock(&gort__sched.lock);
	threads = gort__load_relaxed(&gort__sched.nms) + 1;
	at = snprintf(line, sizeof line,
		"SCHED %lldms: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%u idlethreads=%u runqueue=%u [",
		(long long)((now - watch.trace_from) / GORT_MILLISECOND), gort__load_relaxed(&gort__sched.nprocs),
		gort__load_relaxed(&gort__sched.npidle), threads, gort__load_relaxed(&gort__sched.nspinning), idle_ms,
		gort__load_relaxed(&gort__sched.queued));
	for (uint32_t i = 0; i < n && at < (int)sizeof line - 16; i++) {
		gort__p *pp = gort__sched.ps[i];

		if (gort__load_relaxed(&pp->retired))
			continue;
		at += snprintf(line + at, sizeof line - (size_t)at, "%s%u", i > 0 ? " " : "",
			gort__surplus_len(pp) + (gort__load_relaxed(&pp->runq.runnext) != NULL));
	}
	at += snprintf(line + at, sizeof line - (size_t)at, "]\n");
	gort__os_print(line, (size_t)at);
}

static gort_time schedtrace(gort_time now)
{
	if (gort__options.schedtrace == 0)
		return GORT_FOREVER;
	if (watch.trace_from == 0) {
		watch.trace_from = watch.trace_at = now;
	}
	if (now >= watch.trace_at) {
		print_schedtrace(now);
		/* a line that is late does not make the next ones so; lost ones are not made up for */
		watch.trace_at += ((now - watch.trace_at) / gort__options.schedtrace + 1) * gort__options.schedtrace;
	}
	return watch.trace_at;
}

gort_time gort__watch(gort_time now)
{
	gort_time a, b;

	gort__traceback_poll();
	a = note_waiting(now);
	b = schedtrace(now);
	return a < b ? a : b;
}

void gort__watch_init(void)
{
	watch.note_at = watch.trace_from = 0;
	watch.noted = 0;
	gort__traceback_init();
}
