/* SPDX-License-Identifier: MIT */
/*
 * What a thread has in its registers, and below its stack pointer, while it computes: filled with given bits, left alone
 * for a while, and read back. One file of arch/ implements it.
 */
#ifndef GORT_TEST_REGS_H
#define GORT_TEST_REGS_H

#include <stdint.h>

#define REGS_GENERAL 14
#define REGS_VECTORS 16
#define REGS_X87 8
#define REGS_RED 16

struct regs {
	uint64_t general[REGS_GENERAL];
	uint64_t flags;
	uint32_t mxcsr, x87cw;
	uint8_t vector[REGS_VECTORS][32];       /* the upper halves where the processor has them */
	uint8_t x87[REGS_X87][16];              /* of which ten bytes count */
	uint64_t red[REGS_RED];                 /* the red zone */
};

/* Other bits for every n. */
void regs_fill(struct regs *r, uint64_t n);
/* Loads all that this processor has of it, counts to spins (a nanosecond or two each), and stores what is there then. */
void regs_hold(const struct regs *in, struct regs *out, long spins);

#endif
