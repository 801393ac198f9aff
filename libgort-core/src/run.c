/* SPDX-License-Identifier: MIT */
/* What programs call: running, spawning, yielding, sleeping, and what a goroutine knows of itself. */
#include "runtime.h"

#include "panic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static inline void count(gort__p *pp)
{
	if (gort__likely(pp != NULL))
		gort__store_relaxed(&pp->spawned, pp->spawned + 1);
	else
		gort__add_relaxed(&gort__sched.spawned_elsewhere, 1);
}

/* A descriptor with id and stack, counted; NULL: out of memory or stacks. */
static gort_g *spawn(gort__p *pp)
{
	gort_g *gp;

	if (!gort__stack_reserve(pp))
		return NULL;
	gp = gort__g_new(pp);
	if (gort__unlikely(gp == NULL)) {
		gort__stack_unreserve(pp);
		return NULL;
	}
	count(pp);
	return gp;
}

static inline void launch(gort__m *mp, gort_g *gp, void (*fn)(void *arg), void *arg, uint32_t flags)
{
	gp->fn = fn;
	gp->arg = arg;
	gp->flags |= flags | GORT__G_FRESH;
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	gort__trace(mp->p, GORT__TRACE_SPAWN, gp, NULL);
	gort__enqueue(mp, gp, true);
}

/* The caller's M; where the scheduler cannot start that is an error to return, not a fatal one. */
static inline int ready_to_spawn(void)
{
	gort__m *mp = gort__m_self();

	return gort__likely(mp != NULL && mp->bound == NULL) ? 0 : gort__m_bind();
}

int gort_go(void (*fn)(void *arg), void *arg)
{
	gort__m *mp;
	gort_g *gp;
	int err;

	if (gort__unlikely(fn == NULL))
		gort__fatal("go of nil func value");
	err = ready_to_spawn();
	if (gort__unlikely(err != 0))
		return err;
	mp = gort__enter_nosched();
	gp = spawn(mp->p);
	if (gort__likely(gp != NULL))
		launch(mp, gp, fn, arg, 0);
	gort__leave(mp);
	return gort__likely(gp != NULL) ? 0 : -ENOMEM;
}

int gort_go_attr(const gort_attr *attr, void (*fn)(void *arg), void *arg)
{
	gort_attr a = GORT_ATTR_INIT;
	gort__m *mp;
	gort_g *gp;
	void *block = NULL;
	uint32_t flags = 0;
	int err;

	if (gort__unlikely(fn == NULL))
		gort__fatal("go of nil func value");
	if (attr != NULL) {
		if (attr->size == 0)
			return -EINVAL;
		for (size_t i = sizeof a; i < attr->size; i++) {
			if (((const unsigned char *)attr)[i] != 0)
				return -E2BIG;
		}
		memcpy(&a, attr, attr->size < sizeof a ? attr->size : sizeof a);
	}
	if (a.stack_max > GORT_STACK_MAX || (a.arg_size > 0 && arg == NULL))
		return -EINVAL;
	err = ready_to_spawn();
	if (err != 0)
		return err;
	err = -ENOMEM;
	if (a.arg_size > GORT__ARG_COPY) {
		/* no object is larger, and valgrind takes such a size for a mistake in the program */
		if (a.arg_size > PTRDIFF_MAX)
			return -ENOMEM;
		block = malloc(a.arg_size);
		if (block == NULL)
			return -ENOMEM;
		memcpy(block, arg, a.arg_size);
		arg = block;
		flags = GORT__G_BLOCK;
	}
	mp = gort__enter_nosched();
	gp = spawn(mp->p);
	if (gp != NULL) {
		err = a.stack_max > gort__stack_slot_max() ? gort__stack_map(gp, a.stack_max) : 0;
		if (err != 0) {
			if (mp->p != NULL)
				gort__store_relaxed(&mp->p->ended, mp->p->ended + 1);
			else
				gort__add_relaxed(&gort__sched.spawned_elsewhere, -1ull);
			gort__stack_unreserve(mp->p);
			gort__g_free(mp->p, gp);
		}
	}
	if (err == 0) {
		if (gp->flags & GORT__G_OWN_STACK)
			gort__stack_unreserve(mp->p);
		if (a.arg_size > 0 && block == NULL) {
			memcpy(gp->arg_copy, arg, a.arg_size);
			flags = GORT__G_COPIED;
		}
		if (a.name != NULL)
			gort__g_set_name(gp, a.name);
		launch(mp, gp, fn, arg, flags);
	}
	gort__leave(mp);
	if (err != 0)
		free(block);
	return err;
}

int gort_go_copy(void (*fn)(void *arg), const void *arg, size_t size)
{
	gort_attr a = GORT_ATTR_INIT;
	gort__m *mp;
	gort_g *gp;
	int err;

	if (gort__unlikely(size > GORT__ARG_COPY || fn == NULL || arg == NULL)) {
		a.arg_size = size;
		return gort_go_attr(size > 0 ? &a : NULL, fn, (void *)(uintptr_t)arg);
	}
	err = ready_to_spawn();
	if (gort__unlikely(err != 0))
		return err;
	mp = gort__enter_nosched();
	gp = spawn(mp->p);
	if (gort__likely(gp != NULL)) {
		memcpy(gp->arg_copy, arg, size);
		launch(mp, gp, fn, NULL, GORT__G_COPIED);
	}
	gort__leave(mp);
	return gort__likely(gp != NULL) ? 0 : -ENOMEM;
}

/* --- reserved ahead --- */

bool gort__go_reserve(struct gort__reserved *r)
{
	gort__m *mp;

	if (ready_to_spawn() != 0)
		return false;
	mp = gort__enter_nosched();
	r->g = gort__g_reserve(mp->p);
	r->life = gort__load_relaxed(&gort__life);
	gort__leave(mp);
	return r->g != NULL;
}

/* It went with its scheduler. */
static bool is_gone(const struct gort__reserved *r)
{
	return gort__unlikely(r->life != gort__load_relaxed(&gort__life));
}

void gort__go_reserved(const struct gort__reserved *r, void (*fn)(void *arg), void *arg)
{
	gort__m *mp;

	if (is_gone(r)) {
		if (gort_go(fn, arg) != 0)
			gort__fatal("out of memory for a goroutine that was reserved before gort_shutdown");
		return;
	}
	mp = gort__enter_nosched();
	gort__g_number(mp->p, r->g);
	count(mp->p);
	launch(mp, r->g, fn, arg, 0);
	gort__leave(mp);
}

void gort__go_unreserve(const struct gort__reserved *r)
{
	gort__m *mp;

	if (is_gone(r))
		return;
	mp = gort__enter_nosched();
	gort__g_unreserve(mp->p, r->g);
	gort__leave(mp);
}

/* --- gort_run --- */

struct run {
	int (*fn)(void *arg);
	void *arg;
	int result;
	gort_g *caller;
};

static void run_fn(void *arg)
{
	struct run *r = arg;

	r->result = r->fn(r->arg);
}

static void run_main(void *arg)
{
	struct run *r = arg;
	gort__m *mp;

	/* a deferred call may still have exited when fn had returned */
	if (!gort__run_guarded(run_fn, r))
		r->result = 0;
	mp = gort__enter();
	gort__ready(mp, r->caller);
	gort__leave(mp);
}

int gort_run(int (*fn)(void *arg), void *arg)
{
	struct run r = { .fn = fn, .arg = arg };
	gort__m *mp;
	gort_g *gp;
	int err;

	if (fn == NULL)
		gort__fatal("go of nil func value");
	err = gort__start_afresh();
	if (err == 0)
		err = ready_to_spawn();
	if (err != 0)
		return err;
	mp = gort__enter();
	gp = spawn(mp->p);
	if (gp == NULL) {
		gort__leave(mp);
		return -ENOMEM;
	}
	/*
	 * From here to the park without leaving: an entry in between might yield, and so queue a caller that run_main has made
	 * ready already.
	 */
	r.caller = gort__g_of(mp);
	gort__park_prepare(r.caller, "gort_run");
	launch(mp, gp, run_main, &r, 0);
	mp = gort__park(mp);
	gort__leave(mp);
	return r.result;
}

struct main_args {
	int (*fn)(int argc, char **argv);
	int argc;
	char **argv;
};

static int call_main(void *arg)
{
	struct main_args *a = arg;

	return a->fn(a->argc, a->argv);
}

int gort__run_main(int (*fn)(int argc, char **argv), int argc, char **argv)
{
	struct main_args a = { .fn = fn, .argc = argc, .argv = argv };

	return gort_run(call_main, &a);
}

bool gort__run_is_base(uintptr_t function)
{
	return function == (uintptr_t)run_main || function == (uintptr_t)run_fn || function == (uintptr_t)call_main ||
	       function == (uintptr_t)gort__run_guarded;
}

/* --- the rest --- */

void gort_sleep(gort_duration d)
{
	gort__m *mp;
	gort_g *gp;
	gort_time until;
	uint64_t ticket;

	if (d <= 0) {
		gort_yield();
		return;
	}
	until = gort_deadline(d);
	mp = gort__m_self();
	if (mp == NULL || mp->bound != NULL) {
		gort__os_sleep_until(until);
		return;
	}
	mp = gort__enter();
	gp = gort__g_of(mp);
	gort__park_prepare(gp, "sleep");
	ticket = gort__ticket_arm(gp);
	gort__park_until(&mp, ticket, until);
	gort__leave(mp);
}

gort_time gort_now(void)
{
	return gort__os_now();
}

gort_time gort_deadline(gort_duration d)
{
	gort_time now = gort__os_now();

	if (d > 0 && now > GORT_FOREVER - d)
		return GORT_FOREVER;
	/* no smaller than 0: a deadline in the past is in the past, however far */
	return d < -now ? 0 : now + d;
}

uint64_t gort_id(void)
{
	gort__m *mp = gort__m_self();

	return mp != NULL ? mp->curg->id : 0;
}

void gort_set_name(const char *name)
{
	gort__m *mp = gort__m_self();

	if (mp != NULL)
		gort__g_set_name(mp->curg, name);
}

size_t gort_num_goroutine(void)
{
	size_t n;

	if (!gort__look_begin())
		return 0;
	n = gort__g_count();
	gort__look_end();
	return n;
}

/* --- parking, for primitives of one's own --- */

gort_g *gort_self(void)
{
	gort__m *mp = gort__enter_nosched();
	gort_g *gp = gort__g_of(mp);

	gort__leave(mp);
	return gp;
}

void gort_park(bool (*commit)(gort_g *g, void *arg), void *arg, gort_wait_reason why)
{
	gort_park_until(commit, arg, why, GORT_FOREVER);
}

int gort_park_until(bool (*commit)(gort_g *g, void *arg), void *arg, gort_wait_reason why, gort_time deadline)
{
	gort__m *mp;
	gort_g *gp;
	uint64_t ticket;
	int result = 0;

	if (deadline != GORT_FOREVER && deadline <= gort__os_now())
		return -ETIMEDOUT;
	mp = gort__enter();
	gp = gort__g_of(mp);
	gort__park_prepare(gp, why);
	ticket = gort__ticket_arm(gp);
	if (commit != NULL && !commit(gp, arg)) {
		/* somebody may have claimed it all the same: then its ready is on the way and is waited for */
		if (gort__ticket_claim(gp, ticket))
			gort__park_undo(gp);
		else
			mp = gort__park(mp);
	} else {
		result = gort__park_until(&mp, ticket, deadline);
	}
	gort__leave(mp);
	return result;
}

uint64_t gort_park_ticket(gort_g *g)
{
	return gort__load_relaxed(&g->wait);
}

bool gort_try_ready(gort_g *g, uint64_t ticket)
{
	gort__m *mp;

	if (!(ticket & 1) || !gort__ticket_claim(g, ticket))
		return false;
	mp = gort__enter_nosched();
	gort__ready(mp, g);
	gort__leave(mp);
	return true;
}

void gort_ready(gort_g *g)
{
	gort_try_ready(g, gort__load_acquire(&g->wait));
}
