/* SPDX-License-Identifier: MIT */
/* A counter that every processor of the machine has alike, and that is read sooner than the clock. */
#ifndef GORT__COUNTER_H
#define GORT__COUNTER_H

#include <stdint.h>

/* What the system's clocks are made of, when they are made of this counter: then it is constant, and the same everywhere. */
#define GORT__COUNTER_CLOCK "tsc"

/* Not ordered with what stands before and after: it may be read some ten nanoseconds earlier or later. */
static inline uint64_t gort__arch_counter(void)
{
	return __builtin_ia32_rdtsc();
}

#endif
