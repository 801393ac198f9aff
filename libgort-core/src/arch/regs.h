/* SPDX-License-Identifier: MIT */
/* A processor's registers as an unwinder wants them, numbered as in DWARF. */
#ifndef GORT__ARCH_REGS_H
#define GORT__ARCH_REGS_H

#include <gort/gmp.h>

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
enum { GORT__REG_FP = 6, GORT__REG_SP = 7, GORT__REG_PC = 16, GORT__REGS = 17 };
#elif defined(__aarch64__)
enum { GORT__REG_FP = 29, GORT__REG_SP = 31, GORT__REG_PC = 32, GORT__REGS = 33 };
#else
enum { GORT__REG_FP, GORT__REG_SP, GORT__REG_PC, GORT__REGS };
#endif

struct gort__regs {
	uintptr_t r[GORT__REGS];
	uint64_t known;         /* a bit for each that has a value */
	bool exact;             /* the program counter is the next instruction to run, not where a call returns to */
};

static inline void gort__regs_set(struct gort__regs *r, int i, uintptr_t v)
{
	r->r[i] = v;
	r->known |= (uint64_t)1 << i;
}

/* From what a signal handler is given (a ucontext_t). False: not known for this processor. ucontext.c */
bool gort__regs_of_signal(struct gort__regs *r, const void *uc);
/* From a saved context, whose running is 0. Reads the stack it lies on through gort__os_peek. <arch>/regs.c */
bool gort__regs_of_ctx(struct gort__regs *r, const gort__ctx *c);

#endif
