/* SPDX-License-Identifier: MIT */
/* The registers in a saved context: three. The switch has its callers spill all others. */
#include "arch/regs.h"

bool gort__regs_of_ctx(struct gort__regs *r, const gort__ctx *c)
{
	r->known = 0;
	r->exact = false;
	gort__regs_set(r, GORT__REG_SP, (uintptr_t)c->sp);
	gort__regs_set(r, GORT__REG_FP, (uintptr_t)c->fp);
	gort__regs_set(r, GORT__REG_PC, (uintptr_t)c->pc);
	return c->sp != NULL;
}
