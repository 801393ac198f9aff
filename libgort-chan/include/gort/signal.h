/* SPDX-License-Identifier: MIT */
/*
 * libgort-chan: signals as values. A signal that has been asked for arrives in channels, whichever thread takes it, instead
 * of doing what it did before. Go: os/signal.
 */
#ifndef GORT_SIGNAL_H
#define GORT_SIGNAL_H

#include <gort/chan.h>

GORT_EXTERN_C_BEGIN

/**
 * gort_signal_notify - have a signal arrive in a channel
 *
 * c is a channel of int, which gets the signal's number; call it again for more signals, and with other channels for the same
 * signal. Nothing waits for a reader: what finds the channel full is lost, so give it room (1 for a request to stop). A
 * channel with signals is held by a reference until gort_signal_stop. While any signal is asked for, the program is not taken
 * for deadlocked. What is sent is limited only by what the system merges: of equal signals sent at the same time one may
 * arrive.
 *
 * 0, also when the channel gets that signal already. -EINVAL: a NULL channel, one whose elements are no int, what is no
 * signal, cannot be caught (SIGKILL, SIGSTOP), or tells of a fault of the program's own (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 * SIGTRAP, SIGSYS, SIGABRT). -ENOMEM, -EAGAIN: no memory, no thread. Never blocks. From anywhere. In a forked child nothing is
 * asked for. Go: signal.Notify.
 *
 *     gort_chan *stop = gort_chan_new(sizeof(int), 1);
 *     gort_signal_notify(stop, SIGINT);
 *     gort_signal_notify(stop, SIGTERM);
 *     gort_chan_recv(stop, NULL);
 */
GORT_API int gort_signal_notify(gort_chan *c, int signo);

/**
 * gort_signal_stop - no more signals into this channel
 *
 * When it returns none is sent to c any more; what the channel holds stays there. A signal that no other channel gets does
 * again what it did before it was first asked for. 0, or -EINVAL for a channel that gets none. Never blocks. From anywhere. Go:
 * signal.Stop.
 */
GORT_API int gort_signal_stop(gort_chan *c);

GORT_EXTERN_C_END

#endif
