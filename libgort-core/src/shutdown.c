/* SPDX-License-Identifier: MIT */
/*
 * gort_shutdown: the end of the scheduler, after which nothing of it is left in the process.
 *
 * Goroutines are not ended, they are left: a frame of C can be dropped, but not told to return. So each is let run to a place
 * where its thread can part with it, which is where it waits, yields or ends anyway. All Ps are retired first, as by
 * gort_set_maxprocs: from then on whoever needs one waits in the global queue, and goroutines that compute or block in the
 * kernel come there when they call in next. Then every thread is told to end (GORT__NOTE_END), which it finds where it would
 * sleep: on g0, or in locked_wait. When all have ended there is one thread left that knows of the scheduler, this one, and it
 * gives everything back.
 *
 *      phase            threads of ours                       plain threads that call in
 *      UP               run                                   go on
 *      CLOSING          run to where they wait, and end       wait in gort__start
 *      DOWN             none                                  start afresh
 *
 * Plain threads. One inside a call when it begins is waited for; one that waits there for ever is a mistake of the
 * program's. Threads outside keep their M and G (m.c), and find out in enter.c. What they might look at without entering
 * stays, or is looked at between gort__look_begin and _end.
 *
 * The caller does not enter: it has no P, and need not have an M.
 */
#include "runtime.h"

#include "arch/regs.h"
#include "panic.h"
#include "unwind/unwind.h"

#include <pthread.h>
#include <stdlib.h>

/* --- siblings --- */

static struct {
	pthread_mutex_t lock;
	struct gort__sibling *first;    /* under lock */
} siblings = { .lock = PTHREAD_MUTEX_INITIALIZER };

void gort__sibling_add(struct gort__sibling *s)
{
	pthread_mutex_lock(&siblings.lock);
	s->next = siblings.first;
	siblings.first = s;
	pthread_mutex_unlock(&siblings.lock);
}

void gort__sibling_remove(struct gort__sibling *s)
{
	struct gort__sibling **at = &siblings.first;

	pthread_mutex_lock(&siblings.lock);
	while (*at != NULL && *at != s)
		at = &(*at)->next;
	if (*at != NULL)
		*at = s->next;
	pthread_mutex_unlock(&siblings.lock);
}

/* Calls end, while the threads go on that it may need, or shut, when they have ended. */
static void siblings_call(bool shut)
{
	pthread_mutex_lock(&siblings.lock);
	for (struct gort__sibling *s = siblings.first; s != NULL; s = s->next) {
		void (*fn)(void) = shut ? s->shut : s->end;

		if (fn != NULL)
			fn();
	}
	pthread_mutex_unlock(&siblings.lock);
}

void gort__siblings_forked(void)
{
	pthread_mutex_init(&siblings.lock, NULL);
	for (struct gort__sibling *s = siblings.first; s != NULL; s = s->next) {
		if (s->forked != NULL)
			s->forked();
	}
}

/* --- memory --- */

/* A goroutine that will not go on: what it has in malloc's memory, and a stack that is a mapping of its own. */
static bool discard(gort_g *gp, void *arg)
{
	(void)arg;
	if (gp->status == GORT__G_FREE || (gp->flags & GORT__G_BOUND))
		return true;
	if (gp->flags & GORT__G_FRESH) {
		if (gp->flags & GORT__G_BLOCK)
			free(gp->arg);
	} else {
#ifdef GORT__ASAN
		struct gort__regs at;

		if (gort__regs_of_ctx(&at, &gp->ctx) && at.r[GORT__REG_SP] >= gp->stack_lo)
			GORT__ASAN_CLEAN(at.r[GORT__REG_SP], gp->stack_hi);
#endif
		gort__panic_discard(gp);
		if (gp->flags & GORT__G_BLOCK)
			free(gp->live.block);
	}
	if (gp->flags & GORT__G_OWN_STACK) {
#ifdef GORT__TSAN
		if (gp->san != NULL)
			__tsan_destroy_fiber(gp->san);
#endif
		gort__stack_unmap(gp);
	}
	return true;
}

void gort__dismantle(void)
{
	gort__trace_fini();
	gort__traceback_fini();
	gort__g_each(discard, NULL);
	gort__timer_fini();
	gort__p_fini();
	gort__stack_fini();
	gort__g_fini();
	gort__m_fini();
	gort__fault_fini();
	gort__os_preempt_fini();
}

/* --- the call --- */

static void check_caller(void)
{
	gort__m *mp = gort__m_self();
	uint32_t depth = mp != NULL ? gort__load_relaxed(&mp->hold.depth) : 0;

	if (gort__os_thread_ours())
		gort__fatal("gort_shutdown in a goroutine");
	if (depth & GORT__DEPTH_ANNOUNCED)
		gort__fatal("gort_shutdown between gort_syscall_enter and gort_syscall_exit");
	if (depth & GORT__DEPTH_PINNED)
		gort__fatal("gort_shutdown between gort_preempt_disable and gort_preempt_enable");
	if (depth != 0)
		gort__fatal("gort_shutdown inside a park's commit");
}

void gort_shutdown(void)
{
	check_caller();
	if (gort__close_begin()) {
		if (gort__m_caller_waits())
			gort__fatal("gort_shutdown while another thread waits in a call of libgort");
		gort__p_retire_all();
		gort__m_end_all();
		siblings_call(false);
		gort__sysmon_stop();            /* last: it makes the traceback, should one of the others come to a fatal end */
		gort__os_threads_join();
		gort__close_look();
		siblings_call(true);
		gort__dismantle();
	}
	gort__m_release_self();
	gort__keys_fini();
	gort__panic_fini();
	gort__close_end();
}
