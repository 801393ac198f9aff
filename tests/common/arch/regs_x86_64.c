/* SPDX-License-Identifier: MIT */
/* regs.h for x86-64; the loop itself is in the assembly file beside this one. */
#include "regs.h"
#include "test.h"

#include <stddef.h>
#include <string.h>

/* C P A Z S D O: what a program may set itself; bit 1 always reads 1, and interrupts are enabled */
#define FLAGS_ALL   0xcd5u
#define FLAGS_FIXED 0x202u

_Static_assert(offsetof(struct regs, flags) == 112 && offsetof(struct regs, vector) == 128 &&
	offsetof(struct regs, x87) == 640 && offsetof(struct regs, red) == 768, "as in regs_x86_64.S");

void regs_hold_x86(const struct regs *in, struct regs *out, long spins, int avx);

static uint64_t next(uint64_t *x)
{
	*x = *x * 6364136223846793005u + 1442695040888963407u;
	return *x ^ *x >> 29;
}

void regs_fill(struct regs *r, uint64_t n)
{
	uint64_t x = n * 0x9e3779b97f4a7c15u + 1;

	memset(r, 0, sizeof *r);
	for (int i = 0; i < REGS_GENERAL; i++)
		r->general[i] = next(&x);
	for (int i = 0; i < REGS_RED; i++)
		r->red[i] = next(&x);
	/* without the trap flag and its like; on valgrind those that are fixed read as 0 */
	r->flags = (next(&x) & FLAGS_ALL) | (test_valgrind() ? 0 : FLAGS_FIXED);
	/* all exceptions masked; rounding modes of every kind, x87 precision always full */
	r->mxcsr = 0x1f80u | (uint32_t)(next(&x) & 3) << 13;
	r->x87cw = 0x37fu | (uint32_t)(next(&x) & 3) << 10;
	for (int i = 0; i < REGS_VECTORS; i++) {
		int bytes = __builtin_cpu_supports("avx") ? 32 : 16;

		for (int k = 0; k < bytes; k += 8) {
			uint64_t v = next(&x);

			memcpy(&r->vector[i][k], &v, sizeof v);
		}
	}
	for (int i = 0; i < REGS_X87; i++) {
		/* valgrind has no more than the bits of a double */
		long double v = test_valgrind() ? (long double)(int32_t)next(&x) : (long double)(int64_t)next(&x) / 3;

		memcpy(r->x87[i], &v, 10);
	}
}

void regs_hold(const struct regs *in, struct regs *out, long spins)
{
	memset(out, 0, sizeof *out);
	regs_hold_x86(in, out, spins, __builtin_cpu_supports("avx") != 0);
}
