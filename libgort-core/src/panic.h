/* SPDX-License-Identifier: MIT */
/*
 * Scopes: what a goroutine that panics or exits comes past on its way out; see panic.c. They lie in the frames of those who
 * made them and are linked from the innermost outward. Only their own goroutine touches them.
 */
#ifndef GORT__PANIC_H
#define GORT__PANIC_H

#include <gort/gmp.h>

#include "landing.h"

#include <unwind.h>

enum gort__scope_kind {
	GORT__SCOPE_TRY,        /* ends a panic */
	GORT__SCOPE_CALL,       /* only runs deferred calls */
	GORT__SCOPE_RUN,        /* gort_run's function: ends an exit; a panic that gets here ends the process */
	GORT__SCOPE_BASE,       /* a goroutine's outermost: both end it */
	GORT__SCOPE_THREAD,     /* a plain thread's outermost, without a landing */
};

/* What a goroutine is about when it leaves frames early. */
enum gort__flight_kind { GORT__FLIGHT_NONE, GORT__FLIGHT_PANIC, GORT__FLIGHT_EXIT };

struct gort__flight {
	enum gort__flight_kind kind;
	gort_panic_info info;
	char *text;                     /* info.message when it is ours to free, else NULL */
	struct gort__frames *frames;    /* where it began, for who reads that nobody has caught it; else NULL */
};

struct gort__deferred {
	void (*fn)(void *arg);
	void *arg;
};

struct gort__more {
	struct gort__more *older;
	struct gort__deferred d;
};

#define GORT__FEW 3

struct gort__scope {
	struct gort__scope *outer;
	enum gort__scope_kind kind;
	uint32_t few_n;                 /* deferred calls in few; the first ones made */
	struct gort__more *more;        /* the others, newest first */
	bool open;                      /* not ended yet */
	bool exiting;                   /* an exit will come past: this scope does not return any more */
	struct gort__flight *told;      /* BASE: what the panic handler is just being told of; else not set */
	struct gort__cxx cxx;           /* the C++ runtime's words at the start */
	struct gort__warden *wardens;   /* the innermost one outside of this scope */
	/* not set at the start */
	struct gort__deferred few[GORT__FEW];
	struct gort__flight flight;     /* what landed here last */
	struct gort__landing landing;
	struct _Unwind_Exception unwinding;     /* on the way here; below here nothing stays in place */
};

/* panic.c */
void gort__base_init(struct gort__scope *base);
/*
 * At the end of a goroutine that has GORT__G_LAST set, or that has landed; outside the library: deferred calls, a panic that
 * nobody has caught, keys.
 */
void gort__base_end(gort_g *gp, struct gort__scope *base, bool landed);
/* The same for a plain thread. */
void gort__thread_end(gort_g *gp);
/* Calls fn(arg) for gort_run. False: its goroutine called gort_goexit, or the like. An uncaught panic ends the process. */
bool gort__run_guarded(void (*fn)(void *arg), void *arg);
void gort__panic_in_child(void);                /* in a forked child: the lock may have been held */
void gort__panic_fini(void);                    /* the default handler again */
/* What a goroutine or thread that does not go on has in malloc's memory; nothing of it is called. Its stack is still there. */
void gort__panic_discard(gort_g *gp);
struct gort__cxx *gort__cxx_globals(void);      /* the calling thread's; never NULL */

/* key.c */
void gort__keys_destroy(gort_g *gp);            /* calls destructors until nothing is left, or long enough */
void gort__keys_free(gort_g *gp);
void gort__keys_in_child(void);
void gort__keys_fini(void);                     /* all are deleted, and none of their destructors is called */

#endif
