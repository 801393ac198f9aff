/* SPDX-License-Identifier: MIT */
/*
 * Tracebacks: when and on which thread one is made, and for whom. What is in it: dump.c.
 *
 * Finding words for frames takes the dynamic linker's lock and malloc's, so it is done on a thread that holds nothing. For a
 * request, and for a panic that ends a goroutine, that is a thread made for it; for the last words of the program the
 * monitor, which exists already. Whoever dies waits for it as long as it gets on, and then ends the process, come what may.
 */
#include "runtime.h"

#include "arch/regs.h"
#include "dump.h"
#include "unwind/unwind.h"

#include <string.h>

#define FATAL_MAX 100                   /* goroutines printed before a fatal exit */
#define FATAL_WAIT (5 * GORT_SECOND)    /* how long who dies waits for the next line of it */
#define FATAL_WAIT_ALL (30 * GORT_SECOND)       /* and for all of it */

/* --- on request --- */

struct request {
	int fd;
	int result;
	gort_g *self;
	const struct gort__frames *frames;      /* of a panic; NULL: it is for all goroutines */
	uint32_t parked;                /* self is, or as good as; a futex. Release and acquire */
};

static void serve(void *arg)
{
	struct request *r = arg;

	/* it must not be made ready before it is parked */
	while (gort__load_acquire(&r->parked) == 0)     /* pairs with the release in parks */
		gort__os_futex_wait(&r->parked, 0, GORT_FOREVER);
	gort__dump_begin(GORT_FOREVER);
	if (r->frames != NULL)
		gort__dump_panic(r->fd, r->self, r->frames);
	else
		r->result = gort__dump_all(r->fd, r->self, NULL, NULL, SIZE_MAX);
	gort__dump_end();
	gort_ready(r->self);
}

static bool parks(gort_g *g, void *arg)
{
	struct request *r = arg;

	gort__store_release(&r->parked, 1);
	/* r lies on the stack that we are about to leave, and nobody comes back to it before */
	gort__os_futex_wake(&r->parked, 1);
	return true;
}

/* Inline, so as not to be among the frames that are shown. */
static inline __attribute__((always_inline)) int ask(struct request *r)
{
	int err;

	r->self = gort_self();
	err = gort__os_thread(serve, r, GORT__TRACEBACK_STACK, "gort-traceback", true);
	if (err != 0)
		return err;
	gort_park(parks, r, "traceback");
	return r->result;
}

int gort_traceback(int fd)
{
	struct request r = { .fd = fd };

	return gort__started() ? ask(&r) : 0;
}

bool gort__traceback_panic(const struct gort__frames *frames)
{
	struct request r = { .fd = 2, .frames = frames };

	return ask(&r) == 0;
}

/* --- the last words --- */

static struct {
	uint32_t dying;                 /* the thread that ends the process; 0: none */
	uint32_t wanted;                /* 1: the monitor is asked; 2: done. Release and acquire */
	uint32_t quit;                  /* SIGQUIT came; atomic */
	uint32_t dumper;                /* the monitor's thread, once it has begun; atomic */
	gort_g *self;
	struct gort__regs regs;
	const struct gort__frames *frames;      /* those of a panic that it has left; NULL: it stands where regs says */
	bool have_regs;
} last;

static void last_traceback(void)
{
	gort__store_relaxed(&last.dumper, gort__os_tid());
	/* another one under way may be stuck */
	if (gort__dump_begin(gort_deadline(FATAL_WAIT / 2))) {
		gort__dump_all(2, last.self, last.have_regs ? &last.regs : NULL, last.frames, FATAL_MAX);
		gort__dump_end();
	}
	gort__store_release(&last.wanted, 2);   /* pairs with the acquire in gort__traceback_fatal */
	gort__os_futex_wake(&last.wanted, 1);
}

static void quit(void)
{
	static const char words[] = "SIGQUIT: quit\n\n";

	gort__store_relaxed(&last.dumper, gort__os_tid());
	gort__os_print(words, sizeof words - 1);
	gort__dump_begin(GORT_FOREVER);
	gort__dump_all(2, NULL, NULL, NULL, SIZE_MAX);
	gort__os_exit(2);
}

void gort__traceback_poll(void)
{
	if (gort__unlikely(gort__load_acquire(&last.wanted) == 1))      /* pairs with the release in gort__traceback_fatal */
		last_traceback();
	if (gort__unlikely(gort__load_relaxed(&last.quit) != 0))
		quit();
}

void gort__traceback_fini(void)
{
	if (gort__options.quit) {
		gort__os_on_quit_end();
		gort__traceback_poll();         /* it came when the monitor had ended already */
	}
	gort__unwind_fini();
}

/* In a signal handler. */
static void on_quit(void)
{
	/* asked twice: without the dump */
	if (gort__load_relaxed(&last.quit) != 0 || !gort__started())
		gort__os_exit(2);
	gort__store_relaxed(&last.quit, 1);
	gort__sysmon_poke();
}

int gort__traceback_on_quit(void)
{
	return gort__os_on_quit(on_quit);
}

/* Until it is there; no longer than it gets on. */
static void await_last(void)
{
	gort_time give_up = gort_deadline(FATAL_WAIT_ALL), next = gort_deadline(FATAL_WAIT);
	uint32_t lines = gort__dump_lines();

	while (gort__load_acquire(&last.wanted) != 2) {         /* pairs with last_traceback */
		gort__os_futex_wait(&last.wanted, 1, next);
		if (gort__os_now() < next)
			continue;
		if (gort__dump_lines() == lines || next >= give_up)
			return;
		lines = gort__dump_lines();
		next = gort_deadline(FATAL_WAIT);
	}
}

void gort__traceback_fatal(const void *uc, const struct gort__frames *frames)
{
	uint32_t tid = gort__os_tid(), nobody = 0;
	gort__m *mp;
	gort__ctx here;

	if (!gort__started())
		return;
	if (!gort__cas_acq_rel(&last.dying, &nobody, tid)) {
		/* somebody else ends the process already; or it is we, for the second time */
		if (nobody != tid)
			gort__os_sleep_until(gort_deadline(FATAL_WAIT_ALL + 2 * FATAL_WAIT));
		return;
	}
	mp = gort__m_self();
	last.self = mp != NULL ? mp->curg : NULL;
	memset(&here, 0, sizeof here);
	GORT__CTX_HERE(&here);
	last.have_regs = uc != NULL ? gort__regs_of_signal(&last.regs, uc) : gort__regs_of_ctx(&last.regs, &here);
	last.frames = frames;
	if (!last.have_regs && frames == NULL)
		last.self = NULL;
	if (gort__sysmon_here()) {
		last_traceback();
		return;
	}
	gort__store_release(&last.wanted, 1);   /* pairs with the acquire in gort__traceback_poll */
	gort__sysmon_poke();
	await_last();
}

bool gort__traceback_failed(void)
{
	return gort__load_relaxed(&last.dumper) == gort__os_tid();
}

void gort__traceback_init(void)
{
	memset(&last, 0, sizeof last);
	gort__dump_init();
}
