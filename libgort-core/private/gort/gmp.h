/* SPDX-License-Identifier: MIT */
/*
 * G, M and P, and how the sibling libraries enter the scheduler, park and ready. Go's names: a G is a goroutine, an M a
 * thread, a P the right to run goroutines, with the queues and caches that go with it.
 *
 * Who may touch a field stands behind it:
 *   (h) the holder of the P, inside the library (hold.h); a P without holder belongs to who has sched.lock
 *   (m) the M's own thread        (o) the goroutine itself, or who has it from a queue        (r) anybody, relaxed
 */
#ifndef GORT__GMP_H
#define GORT__GMP_H

#include <gort/bias.h>
#include <gort/core.h>
#include <gort/hold.h>
#include <gort/lock.h>
#include <gort/runq.h>

#include "ctx.h"
#include <gort/sanitize.h>

typedef struct gort__m gort__m;
typedef struct gort__p gort__p;

enum gort__g_status {
	GORT__G_FREE,           /* in a free list */
	GORT__G_RUNNABLE,       /* in a queue, or on its way to one */
	GORT__G_RUNNING,
	GORT__G_WAITING,        /* parked; wait_reason says why */
};

enum gort__g_flag {
	GORT__G_BOUND = 1,      /* stands for a plain thread: parks on a futex, has no stack of ours */
	GORT__G_FRESH = 2,      /* has not run yet: no stack, argument copy in arg_copy */
	GORT__G_COPIED = 4,     /* its argument lies in arg_copy */
	GORT__G_BLOCK = 8,      /* its argument lies in a malloc block that is freed at its end */
	GORT__G_OWN_STACK = 16, /* its stack is a mapping of its own (stack_max), not a slot */
	GORT__G_UNGUARDED = 32, /* no guard page: its stack pointer is checked at parks */
	GORT__G_SYSTEM = 64,    /* ours: not counted by gort_num_goroutine */
	GORT__G_LOCKED = 128,   /* runs on its M (g->m) and nowhere else: it parks there without a switch */
	GORT__G_LAST = 256,     /* something is to be done at its end, outside the library: gort__base_end */
	GORT__G_TIMER = 512,    /* runs the function of a timer, its argument: see gort__timer_ended */
	GORT__G_PREEMPTED = 1024,       /* in a queue since a signal: goes on on g->m only. preempt.c */
};

#define GORT__G_STUCK (GORT__G_LOCKED | GORT__G_PREEMPTED)

#define GORT__ARG_COPY 64       /* an argument of up to this size is carried inside the descriptor */
#define GORT__NAME_SIZE 32

/*
 * The ticket word of a goroutine, for waits that more than one party may end (a peer, a timer, another select case):
 *
 *   seq << 1        not waiting, or already claimed
 *   seq << 1 | 1    armed: whoever moves it to (seq + 1) << 1 by CAS wakes the goroutine, everybody else has lost
 *
 * Armed by the goroutine before anybody can find it. The word only grows, and descriptors are never unmapped, so a stale
 * ticket (in a timer heap, say) is merely one that no longer wins.
 */
struct gort_g {
	/* what switching and queueing touch */
	gort__ctx ctx;
	gort__m *m;                     /* a bound, locked or preempted G's own M; (o) */
	uintptr_t stack_lo;             /* lowest usable address; (o) */
	uintptr_t stack_hi;
	uint64_t wait;                  /* the ticket word; atomic */
	/* what spawning touches */
	void (*fn)(void *arg);
	void *arg;
	struct gort_g *link;            /* next in a run queue, free list or batch; (o) */
	const char *wait_reason;        /* (r) */
	void *param;                    /* what the waker tells: written before ready, read after park */
	uint64_t id;                    /* (r) */
	uint32_t status;                /* enum gort__g_status; (r) */
	uint32_t note;                  /* bound: the futex it parks on */
	uint32_t stack;                 /* slot number; GORT__G_OWN_STACK: valgrind's number for it */
	uint32_t flags;                 /* enum gort__g_flag; (o) */
	/* before the first run the argument, after it the rest */
	union {
		unsigned char arg_copy[GORT__ARG_COPY];
		struct {
			struct gort__p *timer_p;    /* whose heap holds the newest deadline; (o) */
			void *block;                /* GORT__G_BLOCK: what to free; (o) */
			struct gort__scope *scope;  /* the innermost, panic.c; a plain thread may have none; (o) */
			struct gort__scope *root;   /* a plain thread's outermost, made when needed; (o) */
			char *text;                 /* the words of the panic it caught last; (o) */
			struct gort__values *values;        /* of keys, key.c; (o) */
			struct gort__warden *wardens;       /* the innermost; (o) */
		} live;
	};
	char name[GORT__NAME_SIZE];
	size_t stack_max;               /* GORT__G_OWN_STACK: bytes mapped */
	void *san;                      /* GORT__G_OWN_STACK: the sanitizer's fiber */
	uint32_t cpu;                   /* where the poller had best have it go on, 0: anywhere; home.c; (o) */
	uint32_t spare[3];
};

_Static_assert(sizeof(struct gort_g) == 256, "the descriptor is four cache lines");

/* The C++ runtime's words about exceptions in progress: a thread's to it, to us each goroutine's. See sched.c. */
struct gort__cxx {
	void *caught;
	unsigned uncaught;
};

struct gort__m {
	gort__hold hold;                /* hold.h */
	uint32_t bias;                  /* 1 + the number of p; GORT__BIAS_NOBODY without one; written by (m), read (r) */
	gort__p *p;                     /* meaningful while hold says OWNED; written inside the library; (m) */
	gort_g *curg;                   /* running goroutine, NULL on g0; (m) */
	int *errno_at;                  /* this thread's errno; (m) */
	struct gort__cxx *cxx;          /* this thread's; of zeros where there is no C++ runtime; (m) */
	gort__ctx g0;                   /* the scheduler's own context, on the thread's stack */
	uintptr_t call;                 /* somebody wants a bias off: bias.h; atomic */
	gort_g *bound;                  /* a plain thread's G; NULL on our own threads */
	uint32_t note;                  /* idle: sleeps while 0; enum gort__note */
	bool spinning;                  /* looking for work, counted in sched.nspinning; (m), or who wakes it */
	bool handed;                    /* has got its P from somebody, and found nothing to run since; (m) */
	bool idle;                      /* in sched.idle_m; under sched.lock */
	bool in_poll;                   /* sleeps in the poller: woken through it; (m), read by who wakes it */
	gort__p *next_p;                /* handed over by who wakes it */
	gort_g *next_g;                 /* for g0: to be run next, when it has left its stack; (m) */
	gort_g *dead;                   /* exited goroutine whose own mapping g0 has to release; (m) */
	gort__m *link;                  /* sched.idle_m; under sched.lock */
	uint32_t id;
	uint32_t tid;                   /* the kernel's number of the thread; 0: it has none now; (r) */
	gort__m *all;                   /* the M made before; fixed */
	uint32_t random;                /* (m) */
	struct {                        /* src/clock.h; (m) */
		uint64_t counter;       /* the processor's, when the clock was read last */
		gort_time time;         /* the clock then */
		gort_time said;         /* the latest time that was counted from */
	} clock;
	uint64_t shared;                /* locks taken that another P had before; (m) */
	struct {                        /* goroutines from elsewhere: src/calm.c; (m) */
		uint64_t tick;          /* the P's when it got some, */
		gort_time at;           /* and when that was; 0: they have been judged */
		uint32_t n;             /* and how many */
		gort_time since, dry_at;        /* when what is judged began; and when it had nothing to do. 0: not */
		uint64_t since_tick, since_done, since_shared, dry_done;        /* counts then */
		uint64_t without;       /* what the others did in a millisecond when it had nothing to do, */
		gort_time without_at;   /* and when that was found; 0: never */
		uint64_t looked;        /* shared, when it was last looked at */
		gort__p *retreat;       /* what its P has is to be left to that one; NULL: it need not be */
	} loot;
	uint32_t calls;                 /* announced calls made; written by (m), read (r) by the monitor */
	uint32_t locks, pins;           /* gort_lock_os_thread, gort_preempt_disable: how deep; (m) */
	uint32_t preempt;               /* the monitor has sent a signal; relaxed. preempt.c */
	uint32_t npreempted;            /* goroutines that can go on on this thread only; (m) */
	gort_g *inbox, *inbox_last;     /* of them, those that others found in their queues; under sched.lock, read (r) */
	uint32_t taken;                 /* enum gort__taken: why its P is gone; by the taker, read by (m) on seeing that */
	bool dying;                     /* its locked goroutine has ended, and takes the thread along; (m) */
	bool used;                      /* some thread's; under m.c's lock */
	gort_g *place;                  /* a plain thread's: the G that goes with it; NULL: one of ours. Fixed */
	void *fault_stack;              /* see gort__os_fault_thread_begin; (m) */
	void *san;                      /* the sanitizer's fiber of g0 */
	uintptr_t g0_lo, g0_hi;         /* bounds of the thread's stack, for sanitizers */
};

enum gort__taken { GORT__TAKEN_BLOCKED, GORT__TAKEN_RUNNING };

/* Of an M: nothing yet, it has been handed next_p, or its thread is to end. */
enum gort__note { GORT__NOTE_NONE, GORT__NOTE_P, GORT__NOTE_END };

/* This thread's M; NULL on a thread that has not called in. Read through gort__m_self only. */
extern GORT_API _Thread_local gort__m *gort__tls __attribute__((tls_model("initial-exec")));

static inline gort__m *gort__m_self(void)
{
	return gort__arch_tls();
}

/* Starts the scheduler if there is none, and makes a plain thread an M with a bound G. 0 or a negative errno. */
GORT_API int gort__m_bind(void);
GORT_API gort__m *gort__enter_slow(gort__m *mp);
GORT_API gort__m *gort__enter_nosched_slow(gort__m *mp);

/*
 * Entering the library. Afterwards the P is the caller's (or the caller is a bound G, mp->p NULL) until gort__leave.
 * gort__enter may reschedule when the P was taken: afterwards the goroutine may be on another thread.
 * gort__enter_nosched stays on the thread; mp->p may be NULL then.
 */
static inline gort__m *gort__enter(void)
{
	gort__m *mp = gort__m_self();

	if (gort__unlikely(mp == NULL) || gort__unlikely(!gort__hold_enter(&mp->hold)))
		return gort__enter_slow(mp);
	return mp;
}

static inline gort__m *gort__enter_nosched(void)
{
	gort__m *mp = gort__m_self();

	if (gort__unlikely(mp == NULL) || gort__unlikely(!gort__hold_enter(&mp->hold)))
		return gort__enter_nosched_slow(mp);
	return mp;
}

static inline void gort__leave(gort__m *mp)
{
	gort__hold_leave(&mp->hold);
}

/* The same by who came in by gort__hold_try_enter, or just by a switch. */
static inline void gort__leave_outermost(gort__m *mp)
{
	gort__hold_leave_outermost(&mp->hold);
}

/*
 * The biased lock (bias.h), by who has entered and holds no other one. gort__bias_lock stays on the thread. In what waits for
 * several, gort__bias_try them all, and before trying again release them and take the bias off the one that was not to be had.
 */
GORT_API void gort__bias_lock_slow(gort__m *mp, gort__bias *b);
GORT_API void gort__bias_take(gort__m *mp, gort__bias *b);

static inline void gort__bias_lock(gort__m *mp, gort__bias *b)
{
	if (gort__unlikely(!gort__bias_mine(b, mp->bias)))
		gort__bias_lock_slow(mp, b);
}

/* Locked, perhaps shared: counts that, if another P had it before. */
static inline void gort__bias_had(gort__m *mp, gort__bias *b)
{
	if (gort__unlikely(gort__plain_read(&b->streak) == 0))
		mp->shared++;
}

static inline void gort__bias_unlock(gort__m *mp, gort__bias *b)
{
	gort__bias_release(b, mp->bias);
}

/* The goroutine that calls, entered. */
static inline gort_g *gort__g_of(gort__m *mp)
{
	return mp->curg;
}

/*
 * Before the caller can be found by a waker, in this order: prepare, arm (only if several may wake it), publish, park; and
 * from publishing to parking in one piece, without leaving and entering, since an entry may yield.
 */
static inline void gort__park_prepare(gort_g *gp, const char *why)
{
	gort__store_relaxed(&gp->wait_reason, why);
	gort__store_relaxed(&gp->status, GORT__G_WAITING);
}

static inline uint64_t gort__ticket_arm(gort_g *gp)
{
	uint64_t t = gort__load_relaxed(&gp->wait) | 1;

	gp->param = NULL;                       /* here and not later: from the next store on it is the winner's */
	gort__store_release(&gp->wait, t);      /* pairs with gort__ticket_claim */
	return t;
}

/* In param of a goroutine whose deadline passed first. */
#define GORT__TIMED_OUT ((void *)(uintptr_t)1)

/* True: the caller, and nobody else, must ready gp. */
static inline bool gort__ticket_claim(gort_g *gp, uint64_t ticket)
{
	uint64_t expected = ticket;

	return gort__cas_acq_rel(&gp->wait, &expected, ticket + 1);
}

/* Published but not going to park after all, and nobody claimed it: takes the preparation back. */
static inline void gort__park_undo(gort_g *gp)
{
	gort__store_relaxed(&gp->status, GORT__G_RUNNING);
}

/*
 * Parks the caller until gort__ready, which may come, from anywhere, even before this call: the goroutine's context is
 * saved by the switch itself, and who is to continue it waits for ctx.running. Returns the M it continues on, entered.
 */
GORT_API gort__m *gort__park(gort__m *mp);

/*
 * As gort__park, with a deadline; the ticket must be armed, and every waker must claim it. When the deadline passes
 * first the runtime claims it. -ETIMEDOUT then, 0 otherwise. *mpp is the M it continues on.
 */
GORT_API int gort__park_until(gort__m **mpp, uint64_t ticket, gort_time deadline);

GORT_API void gort__ready_slow(gort__m *mp, gort_g *gp);
GORT_API void gort__kick_out(gort__m *mp, gort_g *old);

/* Makes gp runnable; exactly once for each park. The caller has entered, in either way. Never reschedules. */
static inline void gort__ready(gort__m *mp, gort_g *gp)
{
	struct gort__runq *q = (struct gort__runq *)mp->p;      /* a P begins with it */
	gort_g *old;

	if (gort__unlikely(q == NULL) || gort__unlikely(gp->flags & GORT__G_BOUND)) {
		gort__ready_slow(mp, gp);
		return;
	}
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	old = q->runnext;
	gort__store_relaxed(&q->runnext, gp);
	if (gort__unlikely(old != NULL))
		gort__kick_out(mp, old);
}

/* The same for many at once: a list through g->link, each claimed or with no other waker. */
GORT_API void gort__ready_all(gort__m *mp, gort_g *list);

/*
 * What a sibling with state of its own is told, in memory of its own, from its constructor to its destructor. Its functions
 * may call nothing that enters, and may be NULL.
 */
struct gort__sibling {
	void (*forked)(void);           /* in a forked child, before anything else there: other threads' locks are nobody's */
	void (*end)(void);              /* by gort_shutdown: no goroutine runs any more; to end threads made by gort__os_thread */
	void (*shut)(void);             /* by it, later: all goroutines are gone, their stacks too; nobody is in a call */
	struct gort__sibling *next;
};
GORT_API void gort__sibling_add(struct gort__sibling *s);
GORT_API void gort__sibling_remove(struct gort__sibling *s);
/* A thread of ours, with a stack of about stack_size bytes; nobody need join it. 0 or a negative errno. */
GORT_API int gort__os_thread(void (*fn)(void *arg), void *arg, size_t stack_size, const char *name, bool block_signals);
/*
 * Such a thread that waits for something to do is no reason not to call a deadlock one: it says so before it sleeps, and who
 * wakes it for something says so for it, before.
 */
GORT_API void gort__thread_rests(void);
GORT_API void gort__thread_wanted(void);

/* "fatal error: <Go's words>" and exit status 2. */
GORT_API GORT_NORETURN void gort__fatal(const char *words);
/* A panic with static words. The caller has left the library and holds no lock. */
GORT_API GORT_NORETURN void gort__panic(const char *words);
/*
 * A goroutine that is sure to start: all it needs is had now. False: out of memory. Not counted, nor shown anywhere, until one
 * of the two below is called, once, from any thread: it goes, or is given back.
 */
struct gort__reserved {
	gort_g *g;
	uint32_t life;                  /* gort_shutdown takes it away: then it goes only if there is memory (else: fatal) */
};
GORT_API bool gort__go_reserve(struct gort__reserved *r);
GORT_API void gort__go_reserved(const struct gort__reserved *r, void (*fn)(void *arg), void *arg);
GORT_API void gort__go_unreserve(const struct gort__reserved *r);
/* fn(arg) as by gort_call, and then(then_arg) after its deferred calls, however it ended. */
GORT_API void gort__call_then(void (*fn)(void *arg), void *arg, void (*then)(void *arg), void *then_arg);

/*
 * A warden: fn(arg) is called when a panic or an exit leaves the frame that it lies in, whether that frame has unwind tables or
 * not. A frame left in any other way pops it, and calls fn itself if it wants to. fn must not panic.
 */
struct gort__warden {
	struct gort__warden *outer;
	void (*fn)(void *arg);
	void *arg;
};
GORT_API void gort__warden_push(struct gort__warden *g);
GORT_API void gort__warden_pop(struct gort__warden *g);

/* The number of the caller's P, from 0; -1: it has none. Entered: nobody else is on that P until the caller leaves. */
GORT_API int gort__p_number(gort__m *mp);

/* An invariant of ours is broken. */
GORT_API GORT_NORETURN void gort__throw(const char *where_what);

/* Fast and uniform enough to shuffle with. */
static inline uint32_t gort__random(gort__m *mp)
{
	uint32_t x = mp->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return mp->random = x;
}

/* Spins without the scheduler: how long a waiter may spin before it should sleep, given the processors. */
GORT_API bool gort__can_spin(void);

#endif
