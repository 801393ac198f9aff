/* SPDX-License-Identifier: MIT */
/*
 * Calling a function so that it can be left from any frame below: what setjmp and longjmp are for, in the form of a call
 * that returns once, whichever way. On a processor with assembly of its own it costs a few nanoseconds; the portable form
 * is made of _setjmp and _longjmp, and is what ThreadSanitizer gets too, which follows those two.
 */
#ifndef GORT__LANDING_H
#define GORT__LANDING_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <unwind.h>

struct gort__landing {
	uintptr_t sp;           /* lies in the frame of gort__landing_call: frames below it are those that are left */
	struct _Unwind_Exception *passed;       /* one that has left the call, on its way; NULL in the portable form */
	jmp_buf buf;            /* the portable form's */
};

/* Calls fn(arg). False: fn returned; true: gort__landing_jump ended it. Left by an exception, its frame is taken off. */
bool gort__landing_call(struct gort__landing *l, void (*fn)(void *arg), void *arg);
/* On the same stack, below a gort__landing_call that has not returned, on whatever thread. */
__attribute__((noreturn)) void gort__landing_jump(struct gort__landing *l);

/* panic.c: the assembly's frame has this as its personality, which an unwinder calls when it comes past. */
_Unwind_Reason_Code gort__landing_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
					      struct _Unwind_Exception *e, struct _Unwind_Context *context);

#endif
