/* SPDX-License-Identifier: MIT */
/* regs.h for processors without a loop of their own: as much as a compiler keeps in registers by itself. */
#include "regs.h"

#include <string.h>

void regs_fill(struct regs *r, uint64_t n)
{
	uint64_t x = n;

	memset(r, 0, sizeof *r);
	for (int i = 0; i < REGS_GENERAL; i++)
		r->general[i] = x = x * 6364136223846793005u + 1442695040888963407u;
}

void regs_hold(const struct regs *in, struct regs *out, long spins)
{
	uint64_t a = in->general[0], b = in->general[1], c = in->general[2], d = in->general[3];
	double x = (double)in->general[4], y = (double)in->general[5], z = (double)in->general[6];
	double u = x, v = y, w = z;
	volatile long left = spins;

	*out = *in;
	while (left > 0) {
		left = left - 1;
		/* there and back again: nothing is constant for the compiler, and nothing changes */
		a ^= (uint64_t)left;
		a ^= (uint64_t)left;
		u = -u;
		v = -v;
		w = -w;
		b = ~b;
		c = ~c;
		d = ~d;
	}
	if (spins & 1) {
		u = -u;
		v = -v;
		w = -w;
		b = ~b;
		c = ~c;
		d = ~d;
	}
	out->general[0] = a;
	out->general[1] = b;
	out->general[2] = c;
	out->general[3] = d;
	if (u != x || v != y || w != z)
		out->general[4] = ~in->general[4];
}
