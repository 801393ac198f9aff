/* SPDX-License-Identifier: MIT */
/* Making an interrupted thread call something, and go on afterwards as if it had not. */
#ifndef GORT__ARCH_INJECT_H
#define GORT__ARCH_INJECT_H

#include <stdbool.h>
#include <stdint.h>

bool gort__arch_can_inject(void);
/* Where the thread stood: the handler's ucontext_t. */
void gort__arch_signal_at(const void *uc, uintptr_t *pc, uintptr_t *sp);
/*
 * In a signal handler on another stack: lays all registers on the interrupted stack, as far down as lo, and changes the
 * handler's ucontext_t so that the thread calls fn when the handler returns. fn gets a ucontext_t that the thread goes on
 * from when fn has returned, on the same thread. False: there is not enough room, and nothing has changed.
 */
bool gort__arch_inject(void *uc, uintptr_t lo, void (*fn)(void *uc));

#endif
