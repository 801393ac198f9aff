/* SPDX-License-Identifier: MIT */
/* What libgort-core/src/lock.c, which is compiled into the models as it is, asks of the system. */
#include "model.h"

#include "runtime.h"

void gort__os_fence(void)
{
	model_fence_heavy();
}

void gort__os_futex_wait(uint32_t *word, uint32_t expected, gort_time deadline)
{
	(void)deadline;
	model_futex_wait(word, expected);
}

void gort__os_futex_wake(uint32_t *word, int n)
{
	model_futex_wake(word, n);
}

/* Spinning is only a quicker way to what sleeping comes to. */
bool gort__can_spin(void)
{
	return false;
}

/* The models say themselves which mode they are in. */
bool gort__os_fence_init(void)
{
	return true;
}
