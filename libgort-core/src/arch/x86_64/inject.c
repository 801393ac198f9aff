/* SPDX-License-Identifier: MIT */
/*
 * Linux on x86-64. The signal frame that the kernel has made, with every register there is, is copied to the interrupted
 * stack, and given back to it (rt_sigreturn) when what was called has returned:
 *
 *      sp           as it was
 *      sp - 128     the red zone
 *                   x87, vector registers and whatever else XSAVE knows, at a multiple of 64
 *                   ucontext_t as the kernel has it, at a multiple of 16
 *                   a frame as if injected.S had been called: the return address is where the thread stood
 */
#define _GNU_SOURCE     /* REG_RIP and its like */
#include "arch/inject.h"

#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#define RED_ZONE 128
#define KERNEL_UC (offsetof(ucontext_t, uc_sigmask) + 8)
#define FP_LEGACY 512           /* bytes of FXSAVE, */
#define FP_WORDS 464            /* in which the kernel writes here */
#define FP_MAGIC 0x46505853u    /* this, and then the size of all of it, */
#define FP_MOST (64 * 1024)     /* which is a few KiB */
#define DIRECTION 0x400
#define CALLS 4096              /* for what is called */

void gort__arch_injected(void);         /* injected.S */

_Static_assert(offsetof(ucontext_t, uc_mcontext) == 40, "as in injected.S");

bool gort__arch_can_inject(void)
{
	return true;
}

void gort__arch_signal_at(const void *context, uintptr_t *pc, uintptr_t *sp)
{
	const ucontext_t *uc = context;

	*pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	*sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
}

static size_t fp_size(const char *fp)
{
	uint32_t words[2];

	memcpy(words, fp + FP_WORDS, sizeof words);
	return words[0] == FP_MAGIC && words[1] >= FP_LEGACY ? words[1] : FP_LEGACY;
}

bool gort__arch_inject(void *context, uintptr_t lo, void (*fn)(void *uc))
{
	ucontext_t *uc = context, *copy;
	greg_t *r = uc->uc_mcontext.gregs;
	uintptr_t sp = (uintptr_t)r[REG_RSP], fp, frame[2];
	size_t size;

	if (uc->uc_mcontext.fpregs == NULL)
		return false;
	size = fp_size((const char *)uc->uc_mcontext.fpregs);
	if (size > FP_MOST || sp < lo || sp - lo < RED_ZONE + size + 64 + KERNEL_UC + 16 + sizeof frame + CALLS)
		return false;
	fp = (sp - RED_ZONE - size) & ~(uintptr_t)63;
	copy = (ucontext_t *)((fp - KERNEL_UC) & ~(uintptr_t)15);
	memcpy((void *)fp, uc->uc_mcontext.fpregs, size);
	memcpy(copy, uc, KERNEL_UC);
	copy->uc_mcontext.fpregs = (fpregset_t)fp;
	frame[0] = (uintptr_t)r[REG_RBP];
	frame[1] = (uintptr_t)r[REG_RIP];
	memcpy((char *)copy - sizeof frame, frame, sizeof frame);

	r[REG_RSP] = (greg_t)((uintptr_t)copy - sizeof frame);
	r[REG_RIP] = (greg_t)(uintptr_t)gort__arch_injected;
	r[REG_RBX] = (greg_t)(uintptr_t)copy;
	r[REG_RSI] = (greg_t)(uintptr_t)fn;
	r[REG_EFL] &= ~(greg_t)DIRECTION;
	return true;
}
