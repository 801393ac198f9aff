/* SPDX-License-Identifier: MIT */
/* The portable context switch, on ucontext: slow (it saves the signal mask by a system call), and everywhere. */
#include "runtime.h"

#include <ucontext.h>

/*
 * Who left its stack in the switch under way on this thread: whoever comes next marks it as left. Read and written
 * through a pointer taken anew by a function that no compiler merges.
 */
static _Thread_local gort__ctx *leaving;

static __attribute__((noinline)) gort__ctx **leaving_at(void)
{
	gort__ctx **at = &leaving;

	__asm__ volatile("" : "+r"(at) : : "memory");
	return at;
}

static void arrived(void)
{
	gort__ctx **at = leaving_at();
	gort__ctx *from = *at;

	*at = NULL;
	if (from != NULL)
		gort__store_release(&from->running, 0);    /* pairs with the acquire in gort__g_settle */
}

static void first_frame(void)
{
	arrived();
	gort__g_main();
}

/* A fresh context's ucontext_t lies at the top of its own stack. */
static __attribute__((noinline)) void make(gort__ctx *to)
{
	ucontext_t *uc = (ucontext_t *)((to->hi - sizeof *uc) & ~(uintptr_t)63);

	to->uc = uc;
	if (getcontext(uc) != 0)
		gort__throw("getcontext failed");
	/* nothing kept in a register over getcontext, which to the compiler may return twice */
	uc = to->uc;
	uc->uc_stack.ss_sp = (void *)to->lo;
	uc->uc_stack.ss_size = (uintptr_t)uc - to->lo;
	uc->uc_link = NULL;
	makecontext(uc, first_frame, 0);
}

static ucontext_t *target(gort__ctx *to)
{
	if (to->uc == NULL)
		make(to);
	return to->uc;
}

void gort__ctx_switch(gort__ctx *from, gort__ctx *to)
{
	ucontext_t here;
	ucontext_t *there = target(to);

	from->uc = &here;
	*leaving_at() = from;
	if (swapcontext(&here, there) != 0)
		gort__throw("swapcontext failed");
	arrived();
}

void gort__ctx_jump(gort__ctx *to)
{
	ucontext_t *there = target(to);

	*leaving_at() = NULL;
	setcontext(there);
	gort__throw("setcontext failed");
}

__attribute__((noinline)) void *gort__arch_tls(void)
{
	void *v = gort__tls;

	__asm__ volatile("" : "+r"(v) : : "memory");
	return v;
}
