/* SPDX-License-Identifier: MIT */
/* What this system's files share about signals. SIGURG is used by trace.c, for a traceback, and by preempt.c. */
#ifndef GORT__OS_LINUX_SIGNALS_H
#define GORT__OS_LINUX_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* thread.c: the signal mask of our threads that run goroutines, as they start */
extern sigset_t gort__os_start_mask;

/* preempt.c: SIGURG has its handler for good; written before there are threads of ours */
extern bool gort__os_preempting;

/* trace.c: was the signal sent by gort__os_interrupt? Then it has been answered */
bool gort__os_answer(const void *uc);

#endif
