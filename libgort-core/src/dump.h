/* SPDX-License-Identifier: MIT */
/* What a traceback is made of: see dump.c. All but gort__frames_add and gort__dump_lines between begin and end. */
#ifndef GORT__DUMP_H
#define GORT__DUMP_H

#include <gort/gmp.h>

#define GORT__FRAMES 64         /* printed of one goroutine; of deeper stacks the first of them, and some at the end: */
#define GORT__FRAMES_TAIL 16    /* some of which are ours, and left out */

struct gort__regs;

/* A stack's frames as instructions, the innermost first; of return addresses the calls. */
struct gort__frames {
	size_t n;                       /* seen: the first are in pc, the last in tail, by number modulo its length */
	uintptr_t pc[GORT__FRAMES], tail[GORT__FRAMES_TAIL];
};

/* exact: pc is an instruction, not a return address. False: enough. */
bool gort__frames_add(struct gort__frames *f, uintptr_t pc, bool exact);

/* One dump at a time. False: not by the deadline. */
bool gort__dump_begin(gort_time deadline);
void gort__dump_end(void);
/*
 * All goroutines, at most so many, self first: it is parked for this, or waits where regs says, or has left the frames
 * given. 0 or what writing to fd met first.
 */
int gort__dump_all(int fd, gort_g *self, const struct gort__regs *regs, const struct gort__frames *given, size_t most);
/* The frames that gp, which waits, has left by a panic. */
void gort__dump_panic(int fd, const gort_g *gp, const struct gort__frames *given);
/* Grows as long as a dump gets on. */
uint32_t gort__dump_lines(void);
void gort__dump_init(void);

#endif
