/* SPDX-License-Identifier: MIT */
/* The registers in a ucontext_t, of the processors we know. */
#define _GNU_SOURCE     /* REG_RIP and its like */
#include "arch/regs.h"

#include <ucontext.h>

bool gort__regs_of_signal(struct gort__regs *r, const void *context)
{
	const ucontext_t *uc = context;

	r->known = 0;
	r->exact = true;
#if defined(__x86_64__)
	static const signed char at[GORT__REGS] = {
		REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11,
		REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
	};

	for (int i = 0; i < GORT__REGS; i++)
		gort__regs_set(r, i, (uintptr_t)uc->uc_mcontext.gregs[(int)at[i]]);
	return true;
#elif defined(__aarch64__)
	for (int i = 0; i < 31; i++)
		gort__regs_set(r, i, (uintptr_t)uc->uc_mcontext.regs[i]);
	gort__regs_set(r, GORT__REG_SP, (uintptr_t)uc->uc_mcontext.sp);
	gort__regs_set(r, GORT__REG_PC, (uintptr_t)uc->uc_mcontext.pc);
	return true;
#else
	(void)uc;
	return false;
#endif
}
