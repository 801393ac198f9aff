/* SPDX-License-Identifier: MIT */
/* Stack overflow, found by a hit guard or by the check at parks; and the ways out for broken rules. */
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Part of its callers, to be no frame of its own in the traceback. */
static inline __attribute__((always_inline)) GORT_NORETURN void die(const char *line, int n, size_t room, const void *uc)
{
	gort__os_print(line, n > 0 && (size_t)n < room ? (size_t)n : room - 1);
	gort__traceback_fatal(uc, NULL);
	gort__os_exit(2);
}

void gort__fatal(const char *words)
{
	char line[256];

	die(line, snprintf(line, sizeof line, "fatal error: %s\n\n", words), sizeof line, NULL);
}

void gort__throw(const char *where_what)
{
	char line[256];
	int n = snprintf(line, sizeof line, "gort: internal error: %s\n", where_what);

	gort__os_print(line, n > 0 ? (size_t)n : 0);
	gort__traceback_fatal(NULL, NULL);
	abort();
}

static GORT_NORETURN void overflow(gort_g *gp, size_t limit, bool own, const char *how, const void *uc)
{
	const char *why = own ? "its stack_max" : gort__options.stack_max != 0 ? "GORT_DEBUG=stackmax" :
			  limit >= (size_t)1 << 20 ? "the size of the first 1,024 stacks" :
			  "the size of all but the first 1,024 stacks; give it a larger stack_max by gort_go_attr";
	char line[512];

	die(line, snprintf(line, sizeof line,
		"gort: goroutine %llu%s%.31s%s exceeds its stack of %zu bytes (%s), found by %s\nfatal error: stack overflow\n\n",
		gp != NULL ? (unsigned long long)gp->id : 0ull, gp != NULL && gp->name[0] != '\0' ? " \"" : "",
		gp != NULL ? gp->name : "", gp != NULL && gp->name[0] != '\0' ? "\"" : "", limit, why, how), sizeof line, uc);
}

void gort__stack_overflow(gort_g *gp)
{
	overflow(gp, gp->stack_hi - gp->stack_lo, gp->flags & GORT__G_OWN_STACK, "the check at a park (it has no guard page)",
		NULL);
}

/* On the alternate stack of the thread that made the access. */
static void hit(uintptr_t addr, const void *uc)
{
	gort__m *mp = gort__m_self();
	gort_g *gp = mp != NULL ? mp->curg : NULL;
	struct gort__stack_at at;

	if (gort__traceback_failed())
		gort__os_exit(2);
	if (gp != NULL && (gp->flags & GORT__G_OWN_STACK)) {
		if (addr < gp->stack_lo && addr >= gp->stack_hi - gp->stack_max)
			overflow(gp, gp->stack_hi - gp->stack_lo, true, "its guard page", uc);
	} else if (gort__stack_find(addr, &at)) {
		/* somebody may also have been handed a wild pointer into another goroutine's guard */
		if (gp != NULL && !(gp->flags & GORT__G_BOUND) && gp->stack == at.stack)
			overflow(gp, at.size, false, "its guard page", uc);
	}
}

void gort__fault_fini(void)
{
	gort__os_fault_fini();
}

int gort__fault_init(void)
{
	return gort__os_fault_init(hit);
}
