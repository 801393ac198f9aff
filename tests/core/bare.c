/* SPDX-License-Identifier: MIT */
/* Compiled without unwind tables; see meson.build. */
#include "bare.h"

static volatile int calls;

void bare(void (*fn)(void *arg), void *arg)
{
	fn(arg);
	calls++;                /* no tail call */
}
