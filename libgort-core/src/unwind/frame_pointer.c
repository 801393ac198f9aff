/* SPDX-License-Identifier: MIT */
/*
 * Unwinding by frame pointers: what there is without libunwind. Right for code that keeps them, as ours does; code compiled
 * without them is skipped at best, and ends the walk at worst. Each frame pointer must lie on the stack, above the one
 * before; each return address in some module's code.
 */
#include "unwind/unwind.h"

#include "os/os.h"

void gort__unwind_begin(void)
{
}

void gort__unwind_fini(void)
{
}

void gort__unwind(struct gort__view *v, const struct gort__regs *from, bool (*frame)(void *arg, uintptr_t pc, bool exact),
	void *arg)
{
	uintptr_t fp = from->r[GORT__REG_FP], last = from->r[GORT__REG_SP], pc;

	if (!frame(arg, from->r[GORT__REG_PC], from->exact))
		return;
	if (!(from->known >> GORT__REG_FP & 1))
		fp = gort__view_guess_fp(v, last);
	while (fp % sizeof fp == 0 && fp >= v->lo && fp >= last && fp < v->hi - 2 * sizeof fp) {
		last = fp + 1;
		if (!gort__view_word(v, fp + sizeof fp, &pc) || !gort__view_word(v, fp, &fp) || !gort__os_is_code(pc) ||
		    !frame(arg, pc, false))
			return;
	}
}
