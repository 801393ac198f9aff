/* SPDX-License-Identifier: MIT */
/* Numbers about the scheduler. Each is read by itself while the others change: sums may be off by what is under way. */
#include "runtime.h"

#include <errno.h>
#include <string.h>

static void of_ps(gort_stats *s)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);

	for (uint32_t i = 0; i < n; i++) {
		gort__p *pp = gort__sched.ps[i];

		s->switches += gort__load_relaxed(&pp->runq.tick);
		s->parks += gort__load_relaxed(&pp->runq.parks);
		s->steals += gort__load_relaxed(&pp->steals);
		s->spawns += gort__load_relaxed(&pp->spawned);
		s->timers += gort__load_relaxed(&pp->timers.n);
		s->runnable += gort__surplus_len(pp) + (gort__load_relaxed(&pp->runq.runnext) != NULL);
		s->running += gort__load_relaxed(&pp->m) != NULL;
	}
}

int gort_stats_get(gort_stats *out, size_t size)
{
	gort_stats s;

	if (out == NULL || size == 0)
		return -EINVAL;
	memset(&s, 0, sizeof s);
	s.fence = gort__fenced ? GORT_FENCE_FULL : GORT_FENCE_ASYMMETRIC;
	if (gort__look_begin()) {
		of_ps(&s);
		s.goroutines = gort__g_count();
		s.spawns += gort__load_relaxed(&gort__sched.spawned_elsewhere);
		s.runnable += gort__load_relaxed(&gort__sched.queued);
		s.blocked_threads = gort__load_relaxed(&gort__sched.taken[GORT__TAKEN_BLOCKED]);
		s.detached_threads = gort__load_relaxed(&gort__sched.taken[GORT__TAKEN_RUNNING]);
		s.running += s.blocked_threads + s.detached_threads;
		s.waiting = s.goroutines > s.runnable + s.running ? s.goroutines - s.runnable - s.running : 0;
		s.retakes = gort__load_relaxed(&gort__sched.retakes[GORT__TAKEN_BLOCKED]);
		s.preemptions = gort__load_relaxed(&gort__sched.retakes[GORT__TAKEN_RUNNING]);
		s.threads_refused = gort__load_relaxed(&gort__sched.threads_refused);
		s.threads = gort__load_relaxed(&gort__sched.nms);
		s.idle_threads = gort__load_relaxed(&gort__sched.nidle_m);
		s.spinning_threads = gort__load_relaxed(&gort__sched.nspinning);
		s.procs = gort__load_relaxed(&gort__sched.nprocs);
		s.idle_procs = gort__load_relaxed(&gort__sched.npidle);
		s.polls = gort__load_relaxed(&gort__sched.polls);
		gort__stack_stats(&s);
		if (gort__load_acquire(&gort__sched.poller) != NULL)
			gort__sched.poller->stats(&s);
		gort__look_end();
	}
	/* an older program knows fewer of them, a newer one finds nothing in those that we do not know */
	memset(out, 0, size);
	memcpy(out, &s, size < sizeof s ? size : sizeof s);
	return 0;
}
