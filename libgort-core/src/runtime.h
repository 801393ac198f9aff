/* SPDX-License-Identifier: MIT */
/* What core's own files share: P, the scheduler's global state, and each file's functions for the others. */
#ifndef GORT__RUNTIME_H
#define GORT__RUNTIME_H

#include <gort/gmp.h>
#include <gort/poller.h>

#include "heap.h"
#include "os/os.h"
#include "spill.h"
#include "stash.h"
#include "trace.h"

#include <stdint.h>

#define GORT__MAX_PROCS 1024
#define GORT__STACK_CACHE 32
#define GORT__SLICE (10 * GORT_MILLISECOND)     /* how long a goroutine may go on while others wait */

struct gort__p {
	/* run queue */
	struct gort__runq runq;         /* gort/runq.h; (h); first, where gort__ready looks for it */
	struct gort__stash stash;       /* stash.h; (h) */
	struct gort__spill spill;       /* spill.h; (h) */
	gort__m *m;                     /* the holder; NULL: idle. Written under hold or sched.lock, read (r) */
	/* spawning and ending */
	gort_g *gfree, *gspare;         /* descriptors: up to a batch, and a whole one or none; (h) */
	uint32_t gfree_n;
	uint32_t nstacks;               /* (h) */
	uint32_t stacks[GORT__STACK_CACHE];     /* LIFO, warmest last; (h) */
	uint32_t credits;               /* stacks reserved for goroutines not yet spawned; (h) */
	uint64_t id_next, id_end;       /* goroutine ids to give out; (h) */
	uint64_t spawned, ended;        /* goroutines, ours not; written by (h), read (r) */
	uint64_t steals;                /* written by (h), read (r) */
	uint64_t readied;               /* goroutines queued because somebody woke them; written by (h), read (r) */
	/* timers */
	struct gort__heap timers;       /* heap.h; (h) */
	uint32_t stale;                 /* dead entries in the heap, as counted by others; atomic */
	uint32_t stale_own;             /* and by the holder; (h), read (r) */
	int64_t timer_next;             /* when of the heap's top, INT64_MAX when empty; written by (h), read (r) */
	uint64_t timer_order;           /* (h) */
	gort__p *heir;                  /* who has adopted its timers; NULL: nobody; written under sched.lock, read (r) */
	gort_timer *tfree;              /* timers' descriptors; (h) */
	uint32_t tfree_n;
	/* housekeeping */
	uint32_t id;
	bool retiring;                  /* maxprocs was lowered: give the P up; under sched.lock, read (r) */
	bool retired;                   /* and it has been, all it had being elsewhere; atomic */
	bool idle;                      /* in sched.idle_p; under sched.lock */
	bool trim_due;                  /* the monitor wants deep stacks in the cache given back; (r) */
	gort__p *link;                  /* sched.idle_p; under sched.lock */
	/* what the poller brought to other Ps and is at home here: home.c */
	gort_g *mail, *mail_last;       /* through g->link; under sched.lock */
	uint32_t mailed;                /* how many; written under sched.lock, read (r) */
	uint32_t cpu;                   /* gort__os_cpu when it last polled; written by (h), read (r) */
	struct gort__trace_ring *trace; /* trace.c; NULL: nothing was ever traced here */
	/* the monitor's own notes */
	struct {
		uint64_t tick;          /* as it was when it was last seen to have changed, */
		gort_time at;           /* and when that was, */
		uint64_t readied;       /* and this then */
		uint64_t spawned;       /* at the last look */
		gort__m *m;             /* the holder */
		uint32_t calls;         /* its announced calls, */
		gort_time call_at;      /* the present one first seen */
		gort_duration gap;      /* until the next look at the holder's thread */
		bool lively;            /* decisions were many between the last two looks */
		struct gort__os_watch watch;
	} seen;
} __attribute__((aligned(128)));

enum gort__calm {
	GORT__CALM_NOT,
	GORT__CALM_SHORT,       /* queues are short and drain fast: no wakeups for short ones */
	GORT__CALM_ALL,         /* what was moved was done sooner than it was moved: for none */
};

/* Timers, through t->next. */
struct gort__timer_list {
	gort_timer *first, **end;
};

/* Goroutines to be queued in this order, through g->link. */
struct gort__batch {
	gort_g *first, **end;
};

static inline void gort__batch_add(struct gort__batch *b, gort_g *gp)
{
	*b->end = gp;
	b->end = &gp->link;
}

#define GORT__CPU_SLOTS 256     /* processors beyond share them */

struct gort__sched {
	/* looked at on every enqueue, changed when an M goes idle or wakes */
	uint32_t npidle;                /* idle Ps; written under lock, read (r) */
	uint32_t nspinning;             /* Ms looking for work; atomic */
	uint32_t hungry;                /* a spinning M saw work it cannot reach: donate; atomic */
	uint32_t queued;                /* length of the global queues; written under lock, read (r) */
	uint32_t calm;                  /* enum gort__calm; atomic. See calm.c */
	uint32_t orphaned;              /* retired Ps that still have timers, and strays; written under lock, read (r) */
	uint32_t taken[2];              /* threads whose P was taken and who have not noticed, by enum gort__taken; atomic */
	uint64_t retakes[2];            /* how often that was done; atomic */
	/*
	 * Threads that wait for ever in our calls: bound ones, and those of locked goroutines. Lower half how many, upper
	 * half how often that changed. Counted in by themselves before they sleep, out by whoever wakes them.
	 */
	uint64_t resting;
	uint32_t timed;                 /* of them, those with a deadline after all; atomic */
	/* descriptors */
	const gort__poller *poller;     /* NULL: nothing to poll. Written once, under lock; acquire, or relaxed for a look */
	gort__m *poll_m;                /* the M that sleeps in it, or has been woken there; under lock, read (r). See idle.c */
	gort_time calm_until;           /* CALM_ALL; atomic */
	gort_duration calm_spell;       /* the next one; atomic */
	gort_time calm_asked;           /* when it was last set to find something out; atomic */
	gort_time polled_at;            /* when an M with a P last polled, or began to sleep in it; atomic */
	uint64_t polls;                 /* atomic */
	/* cold or under lock */
	gort__lock lock __attribute__((aligned(64)));
	gort_g *queue_head, *queue_tail;        /* the global run queue, through g->link */
	gort_g *back_head, *back_tail;          /* another one: see enqueue_back in sched.c */
	bool back_last;                 /* the last one taken was from there */
	gort__p *idle_p;
	gort__p *orphans;               /* through p->link */
	struct gort__slow_timer *slow_timers;
	struct gort__timer_list strays, slow;   /* timers that are in no heap: timer.c */
	gort__m *idle_m;
	gort__m *timer_m;               /* the idle M that sleeps until timer_when; NULL: none */
	int64_t timer_when;             /* under lock; read (r) */
	uint32_t nprocs;                /* Ps in use; under lock, read (r) */
	uint32_t nps;                   /* Ps ever made: the first nps of ps; only grows; release and acquire */
	uint32_t nms;                   /* Ms of ours, the monitor not counted; atomic */
	uint32_t nidle_m;               /* in idle_m; written under lock, read (r) */
	uint64_t ids;                   /* goroutine ids given to Ps in batches; atomic */
	uint64_t spawned_elsewhere;     /* by threads without a P; atomic */
	uint64_t threads_refused;       /* atomic */
	uint32_t on_cpu[GORT__CPU_SLOTS];       /* 1 + the number of the P that last polled there; 0: none; atomic */
	gort__p *ps[GORT__MAX_PROCS];
};

extern struct gort__sched gort__sched;

#define GORT__HUNGRY 1u
#define GORT__HUNGRY_FENCED 2u          /* always set where there is no heavy fence: sends enqueue to its slow path */

/* What waits in a P for a thief or a donation. */
static inline uint32_t gort__surplus_len(gort__p *pp)
{
	return gort__runq_len(&pp->runq) + gort__stash_len(&pp->stash) + gort__spill_len(&pp->spill) + gort__load_relaxed(&pp->mailed);
}

static inline bool gort__p_has_work(gort__p *pp)
{
	return gort__surplus_len(pp) > 0 || gort__load_relaxed(&pp->runq.runnext) != NULL;
}

/* lock ranks, lowest first: a thread takes locks in this order only */
/* channel and sync locks < timers' locks < sched.lock < pool locks of stack.c, g.c and afterfunc.c */

/* lock.c */
void gort__fence_forget(void);                  /* in a forked child: ask the system again */

/* start.c: the scheduler's start, and $GOMAXPROCS and $GORT_DEBUG */
int gort__start(void);                          /* 0 or a negative errno; idempotent; fatal in a forked child */
enum gort__phase { GORT__DOWN, GORT__UP, GORT__CLOSING };
extern uint32_t gort__phase_word;               /* start.c's */
static inline uint32_t gort__phase(void)
{
	return gort__load_relaxed(&gort__phase_word);
}
bool gort__started(void);                       /* and not gone yet */
/* For who reads the scheduler's numbers: up to look_end it does not go away. False: there is none, and no look_end. */
bool gort__look_begin(void);
void gort__look_end(void);
extern uint32_t gort__life;                     /* another one after each gort_shutdown, and in a forked child; relaxed */
/*
 * gort_shutdown's, between whose begin and end nobody starts the scheduler: UP to CLOSING, false when there is none; then to
 * DOWN, after which nobody looks.
 */
bool gort__close_begin(void);
void gort__close_look(void);
void gort__close_end(void);
extern uint32_t gort__cpus;                     /* of this machine, for us; 0: not known yet. Relaxed */
int gort__start_afresh(void);                   /* gort_run's: in a forked child too */
struct gort__options {
	uint32_t procs;
	size_t stack_max;               /* 0: the default sizes */
	enum gort__guard guard;         /* os.h */
	bool retake;
	bool signal;                    /* by a signal from those that compute: preempt.c */
	char trace[128];                /* the path; empty: none */
	uint32_t threads;               /* of ours, at most */
	bool quit;                      /* traceback=quit */
	gort_duration schedtrace;       /* between two lines; 0: none */
};
extern struct gort__options gort__options;
/* "gort: ..." and a new line, to stderr. */
void gort__say(const char *fmt, ...) GORT_PRINTF(1, 2);

/* g.c */
void gort__g_init(void);
gort_g *gort__g_new(gort__p *pp);               /* with an id; NULL: out of memory. pp NULL: the caller has none */
void gort__g_free(gort__p *pp, gort_g *gp);
gort_g *gort__g_reserve(gort__p *pp);           /* with a stack reserved, and no number yet; NULL: out of memory */
void gort__g_unreserve(gort__p *pp, gort_g *gp);
void gort__g_number(gort__p *pp, gort_g *gp);   /* it is to become a goroutine now */
void gort__g_reset(gort_g *gp);                 /* one that has ended is reserved anew */
void gort__g_set_name(gort_g *gp, const char *name);
size_t gort__g_count(void);
void gort__g_fini(void);
void gort__g_give_all(gort__p *pp);             /* a retiring P's free descriptors to the shared list */
bool gort__g_each(bool (*fn)(gort_g *gp, void *arg), void *arg);       /* every descriptor ever used, until fn says false */

/* m.c */
bool gort__m_allowed(void);                     /* may there be one more now? Says so once when it is past the bound */
/* A new thread with pp, to go on with gp first unless that is NULL; false: none to be had. */
bool gort__m_start(gort__p *pp, bool spinning, gort_g *gp);
void gort__m_hand(gort__m *mp, gort__p *pp, bool spinning);     /* wakes an idle M, taken off the list, with pp */
void gort__m_init(void);
void gort__m_in_child(bool lost);               /* lost: nothing there was may be touched again */
int gort__m_thread_exit_init(void);
bool gort__m_each(bool (*fn)(gort__m *mp, void *arg), void *arg);      /* every M there ever was, until fn says false */
bool gort__m_each_bound(bool (*fn)(gort_g *gp, void *arg), void *arg); /* the Gs of plain threads, used or not */
bool gort__m_caller_waits(void);                /* does another plain thread wait inside a call? Others in calls are waited for */
void gort__m_end_all(void);                     /* tells all threads of ours to end; no P is in use any more */
void gort__m_release_self(void);                /* the calling thread has not called in, unless it has deferred calls, say */
void gort__m_fini(void);                        /* all but those of plain threads that live on */

/* enter.c */
void gort__step_back(gort__m *mp);              /* the end of gort__hold_step_aside */

/* sched.c */
void gort__sched_loop(gort__m *mp);             /* on g0, depth 1, with a P; returns when the thread shall end */
GORT_NORETURN void gort__g_main(void);          /* called by a goroutine's first frame */
/* Is what begins there one of our own functions in a goroutine's outermost frames? */
bool gort__sched_is_base(uintptr_t function);
bool gort__run_is_base(uintptr_t function);     /* of gort_run's goroutine: run.c */
void gort__enqueue(gort__m *mp, gort_g *gp, bool next);         /* entered */
gort__m *gort__yield(gort__m *mp);              /* entered: the caller goes to the back of the queue */
void gort__enqueue_list(gort__p *pp, gort_g *list);     /* to the ring, through g->link; not for two in a row */
void gort__enqueue_global(gort_g *head, gort_g *tail, uint32_t n);      /* and wakes somebody for it */
gort_g *gort__next_local(gort__p *pp);          /* of this P's own; NULL: none */
gort_g *gort__take_global(gort__p *pp, bool one);       /* a fair share of the global queue, the rest to the ring */
bool gort__run_timers(gort__p *pp);             /* true: it made some goroutines runnable */
gort_g *gort__ready_threads(gort__m *mp, gort_g *list); /* plain threads among them; the rest is returned */
gort__m *gort__wait_for_p(gort__m *mp);         /* the M has no P and its goroutine needs one */

void gort__part_with_p(gort__m *mp);            /* the P goes to others */
gort__m *gort__switch_off(gort__m *mp);         /* entered, without a P: to g0; another M has the goroutine */

/* home.c */
void gort__ready_polled(gort__m *mp, gort_g *list);     /* what the poller claimed; entered, with a P or without */
void gort__mail_all(gort__p *to, gort__p *from);        /* all that the caller's P has to run, unless nobody would open it */
void gort__mail_open(gort__p *pp);              /* its mail to its ring, as far as there is room; the P is the caller's */

/* idle.c */
gort_g *gort__find_runnable(gort__m *mp);       /* on g0: the next goroutine, however long it takes */
void gort__send_home(gort__m *mp, gort_g *gp);  /* on g0, with a P: gp can go on on another M only */
gort__m *gort__idle_m_free(void);               /* under sched.lock: an idle M that no goroutine waits for, off the list */
void gort__wake_someone(void);                  /* if a P is idle and nobody is looking already */
void gort__hand_off(gort__p *pp);               /* a P that was taken: to another M if there is work, or to the idle list */

/* calm.c */
#define GORT__MOVE_COST (250 * GORT_NANOSECOND) /* of a goroutine to another P: its descriptor, its stack, what it works on */
#define GORT__CALM_RATE (2 * GORT_MICROSECOND)  /* mean time between decisions below which a P drains fast */
/* Is what lies in the global queue left to those that hold Ps? mine: how many of these do not count, for they want to know. */
bool gort__calm_keeps(uint32_t mine);
void gort__calm_short(void);                    /* what waits is short, and better left alone */
/* The monitor, while it is calm and something waits at pp: has that to end? */
bool gort__calm_over(gort__p *pp, gort_time now);
/*
 * Watches pp for about a microsecond: will what waits there be gone before somebody else could have taken it over? Or is
 * it out of reach?
 */
bool gort__calm_leave_alone(gort__p *pp);
void gort__loot_note(gort__m *mp);              /* goroutines have come from elsewhere */
void gort__loot_judge(gort__m *mp);             /* the P's queue is empty: was that worth it? */
void gort__loot_none(gort__m *mp);              /* and nothing more has come */
void gort__loot_some(gort__m *mp);              /* but now something has */
#define GORT__SHARES 16                         /* so many locks of others' are a reason to look: */
void gort__loot_share(gort__m *mp);
void gort__loot_forget(gort__m *mp);            /* it has got another P */
/* Is there a poller in which nobody sleeps? Then those who hold Ps have to poll. */
static inline bool gort__poll_vacant(void)
{
	return gort__load_relaxed(&gort__sched.poller) != NULL && gort__load_relaxed(&gort__sched.poll_m) == NULL;
}
#define GORT__POLL_EVERY (100 * GORT_MICROSECOND)       /* how often a busy P polls */
/* Has nobody polled for so long, nor sleeps in the poller? */
static inline bool gort__poll_due(gort_duration since)
{
	return gort__unlikely(gort__poll_vacant()) && gort__os_now() - gort__load_relaxed(&gort__sched.polled_at) > since;
}

void gort__sched_init(void);

/* p.c */
int gort__p_init(uint32_t n);
void gort__p_to_idle(gort__p *pp);              /* under sched.lock */
gort__p *gort__p_from_idle(gort_time due);      /* under sched.lock; one with work, or a timer due by then, first */
bool gort__p_claim_idle(gort__p *pp);           /* this very one, if it is idle */
void gort__p_acquire(gort__m *mp, gort__p *pp);
gort__p *gort__p_release(gort__m *mp);          /* under sched.lock */
gort__p *gort__p_borrow(gort__p *pp);           /* exclusive until gort__p_give_back; may be another one, or NULL */
void gort__p_give_back(gort__p *pp);
void gort__p_unbias(uint32_t owner, gort__bias *b);     /* takes b's bias off that P, if that is possible just now */
gort__p *gort__p_take(gort__p *pp, enum gort__taken why);       /* for good; may be another one, or NULL */
void gort__p_missed(gort__m *mp);               /* the M has noticed */
bool gort__p_steal(gort__p *to, gort__p *victim);       /* true: it got some goroutines, or timers that are due */
gort_g *gort__p_any(gort__p *pp);               /* out of its queues, but for its mail; NULL: none. The P is the caller's */
void gort__p_retire(gort__p *pp);               /* all it has goes to the others; nobody holds it */
void gort__p_adopt(gort__p *pp);                /* timers of retired Ps, and strays */
void gort__p_retire_all(void);                  /* returns when nobody holds one any more */
void gort__p_fini(void);

/* timer.c */
bool gort__timer_arm(gort__p *pp, gort_g *gp, uint64_t ticket, gort_time when);        /* false: out of memory */
void gort__timer_cancelled(gort_g *gp);         /* somebody else claimed the ticket; by the goroutine itself, any thread */
void gort__timer_sweep(gort__p *pp);            /* cancelled ones out */
gort_g *gort__timer_run(gort__p *pp, gort_time now);    /* due ones: a list through g->link. By the holder */
uint32_t gort__timer_steal(gort__p *to, gort__p *from, gort_time now); /* due ones change heaps: how many */
/* For want of memory in a heap: a list in waiters' own frames, looked through by the monitor. */
struct gort__slow_timer {
	struct gort__slow_timer *next, **at;    /* under sched.lock; at NULL: not in the list */
	gort_g *g;
	uint64_t ticket;
	gort_time when;
};
void gort__slow_timer_arm(struct gort__slow_timer *t, gort_g *gp, uint64_t ticket, gort_time when);
void gort__slow_timer_cancel(struct gort__slow_timer *t);
bool gort__slow_timers_run(gort_time now);      /* true: there are some left */
bool gort__timer_adopt(gort__p *pp, gort__p *from);     /* a retired P's; false: out of memory */
void gort__timer_gather(gort__p *pp);           /* strays */

/* afterfunc.c */
void gort__timer_init(void);
void gort__timer_in_child(void);
void gort__timer_fini(void);                    /* all are stopped; descriptors stay where there are handles to them */
void gort__timer_give_all(gort__p *pp);         /* a retiring P's free descriptors to the shared list */
bool gort__timer_ended(gort__m *mp, gort_g *gp);        /* the goroutine of one ends; true: it stays the timer's */

/* stack.c */
int gort__stack_init(void);
bool gort__stack_reserve(gort__p *pp);
void gort__stack_unreserve(gort__p *pp);
bool gort__stack_admit(uint32_t nps);           /* is there room for the caches of so many Ps? */
size_t gort__stack_slot_max(void);              /* what every slot has at least */
void gort__stack_get(gort__p *pp, gort_g *gp);
void gort__stack_put(gort__p *pp, uint32_t stack);
int gort__stack_map(gort_g *gp, size_t bytes);
void gort__stack_unmap(gort_g *gp);
void gort__stack_give_all(gort__p *pp);
void gort__stack_trim_cache(gort__p *pp);
bool gort__stack_trim_pool(void);               /* true: there is more to do later */
void gort__stack_fini(void);                    /* all of them go, used or not; but not those that are mappings of their own */
void gort__stack_stats(gort_stats *s);
struct gort__stack_at { uintptr_t lo, hi; size_t size; uint32_t stack; bool own; };
bool gort__stack_find(uintptr_t addr, struct gort__stack_at *at);       /* in a guard? safe in a signal handler */
#ifdef GORT__TSAN
void **gort__stack_san(gort_g *gp);
#endif

/* sysmon.c */
int gort__sysmon_start(void);
void gort__sysmon_stop(void);                   /* it ends soon */
void gort__sysmon_busy(void);                   /* the scheduler was idle, or all its threads blocked, and is no longer */
extern uint32_t gort__sysmon_slow;              /* it looks less often than once a millisecond; relaxed */
extern uint32_t gort__sysmon_deep;              /* it sleeps until it is told; see gort__sysmon_busy */
void gort__sysmon_hurry(void);                  /* it should look very soon, and often for a while */
void gort__sysmon_look(void);                    /* it should look sooner than planned */
void gort__sysmon_timers(void);                 /* an idle P's timers are without a sleeper */

void gort__sysmon_poke(void);                   /* it should look now; safe in a signal handler */
bool gort__sysmon_here(void);                   /* is the caller the monitor? */

/* preempt.c */
const char *gort__preempt_init(void);           /* NULL, or why preempt=signal is not to be had */
void gort__preempt(gort__m *mp);                /* the monitor's: its goroutine is to give way */
void gort__inbox_open(gort__m *mp);             /* entered, with a P: what is in the M's inbox, to the ring */
gort__m *gort__move_off(gort__m *mp);           /* entered: to a thread that no other goroutine waits for, if there is one */

/* watch.c */
void gort__watch_init(void);
gort_time gort__watch(gort_time now);           /* the monitor's: when it is to be called again */
uint32_t gort__watch_clock(void);               /* seconds, never 0: what ctx.seen is compared with */

/* traceback.c */
#define GORT__TRACEBACK_STACK ((size_t)2 << 20) /* of a thread that makes one: libdw puts half a MiB on it */
void gort__traceback_init(void);
void gort__traceback_poll(void);                /* the monitor's: somebody wants one */
int gort__traceback_on_quit(void);              /* SIGQUIT gives one and ends the process */
void gort__traceback_fini(void);
/*
 * All goroutines on stderr, the caller's first, before the process ends; it returns soon, whatever happens. uc:
 * where the fault was, in a signal handler; NULL: in the caller. frames: what the caller has left by a panic, or NULL.
 */
struct gort__frames;
void gort__traceback_fatal(const void *uc, const struct gort__frames *frames);
/* The calling goroutine's head and the frames that it has left by a panic, on stderr. False: nothing is printed. */
bool gort__traceback_panic(const struct gort__frames *frames);
bool gort__traceback_failed(void);              /* a fault on this thread is one in the last traceback itself */

/* fault.c */
GORT_NORETURN void gort__stack_overflow(gort_g *gp);
int gort__fault_init(void);
void gort__fault_fini(void);

/* shutdown.c */
void gort__dismantle(void);                     /* gives all memory back; no thread of ours is left */
void gort__siblings_forked(void);               /* in a forked child */

#endif
