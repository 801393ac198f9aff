/* SPDX-License-Identifier: MIT */
/* No counter: the clock is read instead. */
#ifndef GORT__COUNTER_H
#define GORT__COUNTER_H

#include <stdint.h>

#define GORT__COUNTER_CLOCK NULL

static inline uint64_t gort__arch_counter(void)
{
	return 0;
}

#endif
