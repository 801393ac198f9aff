/* SPDX-License-Identifier: MIT */
/*
 * Walking up a stack that may change, vanish or be garbage meanwhile. Nothing of it is ever touched by an ordinary load:
 * words come from a copy made beforehand or, where the owner stands still, through the kernel (gort__os_peek), which
 * says so when there is nothing to read.
 */
#ifndef GORT__UNWIND_H
#define GORT__UNWIND_H

#include "arch/regs.h"

#include <stddef.h>

struct gort__view {
	uintptr_t lo, hi;               /* the stack; no frame lies outside */
	const unsigned char *copy;      /* what was at [copied, copied + n) */
	uintptr_t copied;
	size_t n;
	bool still;                     /* its owner waits for us: beyond the copy read what is there */
	struct gort__peephole { uintptr_t at; size_t n; unsigned char bytes[512]; } stack, other;       /* read lately */
};

/* A word of the stack, or of anything else in memory. False: none there, or none that holds still. view.c */
bool gort__view_word(struct gort__view *v, uintptr_t addr, uintptr_t *word);

/*
 * The frame pointer of whoever called from sp, where nobody knows it: the first place further up that looks like one, a
 * pointer up the stack with an address of code behind it. 0: none found. A leftover may look like one too.
 */
uintptr_t gort__view_guess_fp(struct gort__view *v, uintptr_t sp);

/* Before the first of some unwindings between which no code comes or goes, or not much. */
void gort__unwind_begin(void);
/* What begin has made goes away. */
void gort__unwind_fini(void);
/*
 * Calls frame for each frame, innermost first, until it says false or the frames end. exact as in gort__regs. One of
 * libunwind.c, frame_pointer.c; not for two threads at once.
 */
void gort__unwind(struct gort__view *v, const struct gort__regs *from, bool (*frame)(void *arg, uintptr_t pc, bool exact),
	void *arg);

#endif
