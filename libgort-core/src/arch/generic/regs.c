/* SPDX-License-Identifier: MIT */
/* The registers in a saved context, which is a ucontext_t on the stack itself: read as any word of a stack, with care. */
#include "arch/regs.h"

#include "os/os.h"

#include <ucontext.h>

bool gort__regs_of_ctx(struct gort__regs *r, const gort__ctx *c)
{
	ucontext_t uc;

	if (c->uc == NULL || gort__os_peek(&uc, (uintptr_t)c->uc, sizeof uc) != sizeof uc || !gort__regs_of_signal(r, &uc))
		return false;
	r->exact = false;       /* where the saving call returns to */
	return true;
}
