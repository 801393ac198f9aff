/* SPDX-License-Identifier: MIT */
/* The portable landing. _setjmp leaves the signal mask alone, which would be a system call. */
#include "landing.h"

#include <gort/sanitize.h>

#include <stddef.h>

GORT__NO_TSAN __attribute__((noinline)) bool gort__landing_call(struct gort__landing *l, void (*fn)(void *arg), void *arg)
{
	l->sp = (uintptr_t)__builtin_frame_address(0);
	l->passed = NULL;
	if (_setjmp(l->buf) != 0)
		return true;
	fn(arg);
	return false;
}

GORT__NO_TSAN void gort__landing_jump(struct gort__landing *l)
{
	_longjmp(l->buf, 1);
}
