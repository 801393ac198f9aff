/* SPDX-License-Identifier: MIT */
/* What signal.c asks of the operating system: one file in os/<system>/ has it. */
#ifndef GORT__SIGNAL_IMPL_H
#define GORT__SIGNAL_IMPL_H

#include <stdbool.h>

#define GORT__SIGNALS 65        /* they are numbered from 1 */

/* Can the signal be asked for? */
bool gort__signal_valid(int signo);
/*
 * From now on the signal, whichever thread takes it, is counted, and the thread below told. What was there before is kept.
 * 0 or a negative errno.
 */
int gort__signal_take(int signo);
/* What was there before is there again. */
void gort__signal_restore(int signo);
/* How often the signal came since the last call. */
unsigned gort__signal_came(int signo);
/*
 * A thread of ours that runs fn(NULL) and ends, with all signals blocked but those of faults. It counts as one that may do
 * anything at any time, so that the program is not taken for deadlocked. 0 or a negative errno.
 */
int gort__signal_thread(void (*fn)(void *arg));
/* That thread's: sleeps until told. */
void gort__signal_wait(void);
void gort__signal_tell(void);
/* In a forked child, before anything else: all that was taken is restored, and forgotten. */
void gort__signal_forget(void);

#endif
