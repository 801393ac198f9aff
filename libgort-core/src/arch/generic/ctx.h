/* SPDX-License-Identifier: MIT */
/*
 * The context switch for any processor with POSIX ucontext, and the description of what a processor's file provides:
 *
 *   gort__ctx              a suspended stack; with running, cleared (release) when no thread stands on the stack any more
 *   GORT__CTX_COLOURS      cache lines by which the tops of stacks may differ: the first frames of one that is suspended are to
 *                          stay within a page
 *   gort__ctx_init         makes it start in gort__g_main() on an empty stack [lo, hi)
 *   gort__ctx_switch       saves the caller in from, continues to, returns when somebody continues from
 *   GORT__CTX_INLINE       defined, if it is inline
 *   gort__ctx_jump         continues to; the present stack is left for good
 *   GORT__CTX_HERE         a statement, once in a block: notes where the caller stands, good until the block ends or goes on
 *   gort__arch_tls         this thread's gort__tls, read anew at each call
 *   gort__cpu_relax        a pause in a spin loop
 *   gort__prefetch         a hint that a line will soon be written to
 *   gort__ctx_prefetch     a hint that c will soon be continued, which may not have begun, or may still be running
 */
#ifndef GORT__ARCH_CTX_H
#define GORT__ARCH_CTX_H

#include <gort/atomic.h>
#include <gort/attributes.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

typedef struct gort__ctx {
	void *uc;              /* ucontext_t, in the frame of gort__ctx_switch; NULL: not started yet */
	uintptr_t lo;
	uintptr_t hi;
	uint32_t running;      /* 1 while a thread stands on the stack */
	uint32_t seen;         /* for tracebacks: when it was first seen waiting; 0 since it last ran. See watch.c */
} gort__ctx;

#define GORT__CTX_COLOURS 8             /* a ucontext_t is a quarter of a page, and getcontext wants room */

static inline void gort__ctx_init(gort__ctx *c, uintptr_t lo, uintptr_t hi)
{
	c->uc = NULL;
	c->lo = lo;
	c->hi = hi & ~(uintptr_t)15;
}

void gort__ctx_switch(gort__ctx *from, gort__ctx *to);
GORT_NORETURN void gort__ctx_jump(gort__ctx *to);
GORT_API void *gort__arch_tls(void);

#define GORT__CTX_HERE(c) \
	ucontext_t gort__here; \
	getcontext(&gort__here); \
	(c)->uc = &gort__here

static inline void gort__cpu_relax(void)
{
	gort__fence_compiler();
}

#define gort__prefetch(p) __builtin_prefetch((p), 1, 3)

static inline void gort__ctx_prefetch(const gort__ctx *c)
{
	(void)c;
}

#endif
