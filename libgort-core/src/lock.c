/* SPDX-License-Identifier: MIT */
/* The slow paths of gort/lock.h, and the heavy fence. */
#include "runtime.h"

bool gort__fenced;
#ifdef GORT__TSAN
uint32_t gort__tsan_fence;
#endif
static bool known;              /* gort__fenced has been found out; release and acquire */

void gort__fence_init(void)
{
	if (gort__load_acquire(&known))
		return;
	/* two threads at once find the same answer */
	gort__store_relaxed(&gort__fenced, !gort__os_fence_init());
	gort__store_release(&known, true);
}

void gort__fence_forget(void)
{
	gort__store_relaxed(&known, false);
}

void gort__fence_heavy(void)
{
	gort__fence_seq_cst();          /* for the caller itself, and where there is no membarrier */
	if (!gort__fenced)
		gort__os_fence();
}

void gort__lock_slow(gort__lock *l)
{
	/* The sections are some tens of nanoseconds long; on one processor spinning only keeps the holder from running. */
	if (gort__can_spin()) {
		for (int i = 0; i < 40; i++) {
			gort__cpu_relax();
			if (gort__load_relaxed(&l->word) == 0 && gort__lock_try(l))
				return;
		}
	}
	gort__add_seq_cst(&l->waiters, 1);
	gort__fence_heavy();            /* far half: an unlocker that did not see us has freed the word where we see it */
	while (!gort__lock_try(l))
		gort__os_futex_wait(&l->word, 1, GORT_FOREVER);
	gort__add_relaxed(&l->waiters, -1u);
}

void gort__unlock_slow(gort__lock *l)
{
	gort__fence_seq_cst();          /* in place of the heavy fence where there is none */
	if ((gort__load_relaxed(&l->waiters) & ~GORT__LOCK_FENCED) != 0)
		gort__os_futex_wake(&l->word, 1);
}
