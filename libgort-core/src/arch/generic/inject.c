/* SPDX-License-Identifier: MIT */
/* There is no portable way. */
#include "arch/inject.h"

bool gort__arch_can_inject(void)
{
	return false;
}

void gort__arch_signal_at(const void *uc, uintptr_t *pc, uintptr_t *sp)
{
	(void)uc;
	*pc = *sp = 0;
}

bool gort__arch_inject(void *uc, uintptr_t lo, void (*fn)(void *uc))
{
	(void)uc;
	(void)lo;
	(void)fn;
	return false;
}
