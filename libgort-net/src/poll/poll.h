/* SPDX-License-Identifier: MIT */
/*
 * What libgort-net asks of a poller. One file of this folder implements it, chosen when the library is configured
 * (-Dpoller); each function's contract stands here, and doc/design/pollers.md says what is behind it. All but init, fini and
 * forget may be called by many threads at once.
 *
 * There are two kinds, by NET_POLL_EDGES, which Meson defines. Where it is 1 the system tells whenever something comes, and
 * forgets what is closed. Where it is 0 it tells what is ready when it is asked, and has to be told what to forget. Which it
 * is decides who arms: for our own connections nobody, or each wait. Other people's descriptors are armed for each wait.
 *
 * A tag is a number that comes back with each event. Events of a descriptor may come back, with its tag, until some time
 * after it has been removed or closed.
 */
#ifndef NET_POLL_H
#define NET_POLL_H

#include <gort/core.h>

enum {
	NET_EVENT_READ = 1,     /* there may be something to read */
	NET_EVENT_WRITE = 2,    /* there may be room to write */
	NET_EVENT_END = 4,      /* the peer has ended its side, or all, or there is an error, or urgent data */
};

struct net_event {
	uint64_t tag;
	uint32_t what;          /* NET_EVENT_... */
};

#define NET_EVENTS 128          /* as many as are asked for at once */

/* Once, before all others. 0 or a negative errno; then it may be tried again. */
int net_poll_init(void);
/* Gives up all that init and add have taken, nobody being in a call. */
void net_poll_fini(void);
/* In a forked child: what is there belongs to the parent, and is let go without touching it. init may follow. */
void net_poll_forget(void);

/*
 * Edges of fd, for as long as it is open: an event whenever it becomes readable or writable, or more so, or ends, and one at
 * once for what it is already. Without NET_POLL_EDGES: as net_poll_add_armed, and fd is our own and does not block. 0,
 * -EEXIST when fd is watched already, -EPERM when it is none that can be, or another negative errno.
 */
int net_poll_add(int fd, uint64_t tag);
/* Fd, somebody else's, is to be watched by net_poll_arm, and is not yet. Its flags stay as they are. Errors as net_poll_add's. */
int net_poll_add_armed(int fd, uint64_t tag);
/*
 * Asks for one event for each direction in what (NET_EVENT_READ, _WRITE): when it is ready, or fd ends; at once if it is
 * already. One event may be for both.
 *
 * For what net_poll_add has added, without NET_POLL_EDGES, a direction stays asked for until an event has said it, and
 * neither an event of the other nor a call for the other does anything to that; it cannot fail. For what net_poll_add_armed
 * has added it may: a call may take the place of the one before, and an event use up all that was asked for; so what is
 * wanted is to be asked for together, and anew after each event. Then there is 0 or a negative errno.
 */
int net_poll_arm(int fd, uint64_t tag, uint32_t what);
/*
 * Fd is not watched any more. It is still open, and nobody arms it. With NET_POLL_EDGES one that is to be closed needs no
 * removing; without, it does, before.
 */
void net_poll_remove(int fd);

/*
 * Events, at most NET_EVENTS; how many. until 0: those there are. Else waits for some, until then at most, or until
 * net_poll_wake; may return early with none. Only one thread at a time waits; others may look meanwhile, and take no wake
 * away from it.
 */
uint32_t net_poll_wait(struct net_event *events, gort_time until);
/* Ends a wait, that of now or the next one. Safe from any thread; never blocks. */
void net_poll_wake(void);

#endif
