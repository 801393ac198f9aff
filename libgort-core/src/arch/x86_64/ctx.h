/* SPDX-License-Identifier: MIT */
/*
 * The context switch on x86-64, System V. See arch/generic/ctx.h for what each processor's file provides.
 *
 * The switch is inline assembly that declares every register clobbered: the compiler saves what is live and nothing
 * else. The frame pointer is saved by hand, since it may be in use as one. The x87 and SSE control words are the
 * thread's, not the goroutine's.
 *
 * running is cleared by the store right after the stack pointer has left the old stack: from then on another thread
 * may continue the goroutine. A plain store is a release on this processor.
 */
#ifndef GORT__ARCH_CTX_H
#define GORT__ARCH_CTX_H

#include <gort/atomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gort__ctx {
	void *sp;              /* 0 */
	void *pc;              /* 8 */
	void *fp;              /* 16 */
	uint32_t running;      /* 24: 1 while a thread stands on the stack */
	uint32_t seen;         /* 28: for tracebacks: when it was first seen waiting; 0 since it last ran. See watch.c */
} gort__ctx;

/* In ctx.S: the outermost frame of every goroutine; calls gort__g_main(), which does not return. */
void gort__ctx_entry(void);

#define GORT__CTX_COLOURS 32

static inline void gort__ctx_init(gort__ctx *c, uintptr_t lo, uintptr_t hi)
{
	(void)lo;
	c->sp = (void *)(hi & ~(uintptr_t)15);
	c->pc = (void *)(uintptr_t)gort__ctx_entry;
	c->fp = NULL;
}

#ifdef __AVX512F__
#define GORT__CTX_CLOBBER_AVX512 \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
	"xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define GORT__CTX_CLOBBER_AVX512
#endif

#define GORT__CTX_INLINE
static inline __attribute__((always_inline)) void gort__ctx_switch(gort__ctx *from, gort__ctx *to)
{
	__asm__ volatile(
		"leaq	1f(%%rip), %%rax\n\t"
		"movq	%%rsp, 0(%0)\n\t"
		"movq	%%rax, 8(%0)\n\t"
		"movq	%%rbp, 16(%0)\n\t"
		"movq	8(%1), %%rax\n\t"
		"movq	16(%1), %%rbp\n\t"
		"movq	0(%1), %%rsp\n\t"
		"movl	$0, 24(%0)\n\t"
		"jmp	*%%rax\n"
		"1:\n\t"
		"endbr64"
		: "+D"(from), "+S"(to)
		:
		: "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc",
		  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
		  "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
		  GORT__CTX_CLOBBER_AVX512);
}

/*
 * Notes where the caller stands, for who wants to see its frames while it waits in what it calls next: good until the
 * calling function goes on. The clobbers have it spill what its callers keep in registers.
 */
#define GORT__CTX_HERE(c) \
	__asm__ volatile( \
		"leaq	1f(%%rip), %%rax\n\t" \
		"movq	%%rsp, 0(%0)\n\t" \
		"movq	%%rax, 8(%0)\n\t" \
		"movq	%%rbp, 16(%0)\n" \
		"1:" \
		: \
		: "D"(c) \
		: "rax", "rbx", "r12", "r13", "r14", "r15", "memory")

/* Leaves the present stack for good. */
static inline __attribute__((always_inline, noreturn)) void gort__ctx_jump(gort__ctx *to)
{
	__asm__ volatile(
		"movq	8(%0), %%rax\n\t"
		"movq	16(%0), %%rbp\n\t"
		"movq	0(%0), %%rsp\n\t"
		"jmp	*%%rax"
		:
		: "S"(to)
		: "memory");
	__builtin_unreachable();
}

/* This thread's value of gort__tls. Volatile: never merged with a read made before a switch. */
static inline __attribute__((always_inline)) void *gort__arch_tls(void)
{
	void *v;

	__asm__ volatile(
		"movq	gort__tls@gottpoff(%%rip), %0\n\t"
		"movq	%%fs:(%0), %0"
		: "=r"(v));
	return v;
}

static inline void gort__cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* A hint that p's line will soon be written to. */
#define gort__prefetch(p) __builtin_prefetch((p), 1, 3)

/* The same for the frames at which c goes on. Relaxed: a thread may be about to leave them; one that has not begun has any. */
static inline void gort__ctx_prefetch(const gort__ctx *c)
{
	uintptr_t sp = (uintptr_t)gort__load_relaxed(&c->sp);

	for (int i = 0; i < 3; i++)
		gort__prefetch((void *)(sp + i * 64));
}

#endif
