/* SPDX-License-Identifier: MIT */
/*
 * Descriptors: what is common to connections, listeners, packet connections and other people's descriptors.
 *
 * Two directions, each with a readiness word (ready.h), a deadline, and a turn: one call at a time is at a direction, the
 * others queue for it. A call begins (net_begin: waits for its turn), tries, waits for an edge (net_wait), tries again, and
 * ends (net_end).
 *
 * Deadlines. A wait has that of its direction for its own. Another one set meanwhile makes it look again, and then it waits
 * with that; so no timer is needed for those who do not wait.
 *
 * Close marks the descriptor closed, has all waiting calls look, and waits until the last call has ended; only then is the
 * number given up. So nobody uses a number that has become somebody else's. Where no call is under way it does not enter, so
 * that what is closed after gort_shutdown does not start the scheduler.
 *
 * What is under the descriptor's lock says so; arming is, so that close and new deadlines cannot miss a wait that is just
 * beginning. The poller takes no lock.
 *
 * Memory is type-stable: descriptors come from chunks that are not given back while there is a poller. A tag is the
 * descriptor's place and the number of its use (seq), which changes when it is closed; an event of an earlier use is known
 * by that, and if it slips through it says no more than "try again".
 */
#ifndef NET_DESC_H
#define NET_DESC_H

#include "ready.h"

#include <gort/net.h>

enum { NET_READ = 0, NET_WRITE = 1 };

enum net_kind { NET_FREE, NET_CONN, NET_LISTENER, NET_PACKET, NET_FOREIGN };

/* A call that waits for its turn; on its own stack. Under the descriptor's lock. */
struct net_turn {
	struct net_turn *next;
	gort_g *g;
	uint64_t ticket;
	bool queued, granted;
};

struct net_dir {
	struct net_ready ready;
	gort_time deadline;             /* written under lock; read relaxed */
	struct net_turn *first, *last;  /* under lock */
	int err;                        /* of the last write, to be told by the next; whose turn it is */
	bool busy;                      /* somebody has the turn; under lock */
	bool drained;                   /* nothing is to be had before the next edge; whose turn it is */
};

struct net_desc {
	struct net_dir dir[2];
	gort__lock lock;
	uint32_t calls;                 /* under way, those in a queue too; under lock */
	int fd;
	bool closed;                    /* written under lock; read relaxed */
	bool ended;                     /* the peer has ended, or there is urgent data: a short read says nothing; relaxed */
	bool socket;                    /* and not a pipe or such; fixed */
	bool tcp;                       /* fixed */
	bool inner;                     /* nobody but a call of ours knows of it yet; that call's */
	/* whose turn it is to read: */
	bool was_full;                  /* the last read got all that it asked for, so there may be more */
	uint8_t in_vain;                /* how often there was none after such a read; see conn.c */
	bool tells_left;                /* the system tells what is left */
	uint16_t ask_in;                /* waits until the system is asked for cpu again, */
	uint16_t ask_gap;               /* and about how many there are between */
	uint32_t cpu;                   /* 1 + the processor where what is read comes in; 0: not known. See net_wait */
	uint8_t kind;                   /* enum net_kind; relaxed */
	uint8_t armed;                  /* NET_FOREIGN: what is asked for, NET_EVENT_...; under lock */
	uint32_t refs;                  /* atomic */
	uint32_t seq;                   /* of the present use; atomic. Odd: in use */
	uint32_t index;                 /* its place; fixed */
	uint32_t epoch;                 /* net_epoch of the poller that watches it; relaxed. See start.c */
	bool closing;                   /* somebody waits for the last call, or is about to, to give up the number */
	gort_g *closer;                 /* that is this one; NULL: it has not got that far. Under lock */
	struct net_waiter *waiters;     /* NET_FOREIGN: fd.c; written under lock, read relaxed */
	union {
		char *path;             /* NET_LISTENER, NET_PACKET: to be unlinked at the end; malloc'ed */
		struct net_desc *link;  /* NET_FREE; under the pool's lock */
	};
} __attribute__((aligned(64)));

#define NET_ASK_GAP_MIN 32
#define NET_ASK_GAP_MAX 512

extern uint32_t net_epoch;              /* the number of the present poller, or the next one; relaxed */

/* The scheduler runs, and the poller is registered. 0 or a negative errno. */
int net_start(void);
/* The poller that watched it is gone. 0: there is another one now; else a negative errno: -EBADF when it is the parent's. */
int net_renew(struct net_desc *d);
static inline bool net_current(const struct net_desc *d)
{
	return gort__load_relaxed(&d->epoch) == gort__load_relaxed(&net_epoch);
}
bool net_inherited(struct net_desc *d); /* is it the parent's, in a forked child? */
/* One with a reference and without a number; NULL: out of memory. After net_start. */
struct net_desc *net_desc_new(enum net_kind kind);
void net_desc_free(struct net_desc *d); /* for net_unref */
struct net_desc *net_desc_at(uint32_t index);
/* All that are in use, until fn says false. */
bool net_desc_each(bool (*fn)(struct net_desc *d, void *arg), void *arg);
void net_pool_init(void);
void net_pool_shut(void);               /* gort_shutdown */
void net_pool_forget(void);             /* in a forked child */
/* Gives it fd, which it watches from now on. 0 or a negative errno; then fd is still the caller's. */
int net_desc_open(struct net_desc *d, int fd);
/* The same for fd of somebody else's; see net_poll_arm. */
int net_desc_open_armed(struct net_desc *d, int fd);
uint64_t net_desc_tag(struct net_desc *d);
void net_ref(struct net_desc *d);
/* Closes with the last one. NULL is fine. */
void net_unref(struct net_desc *d);
/* Ends all calls. The caller's reference is given up. fd_out: where the number goes, which stays open; NULL: closed. */
int net_close(struct net_desc *d, int *fd_out);
void net_give_up(struct net_desc *d, int *fd_out);      /* its number, after the last call */

/* 0: the caller's turn; else a negative errno, and nothing to end. */
int net_begin(struct net_desc *d, int dir);
void net_end(struct net_desc *d, int dir);
/*
 * Blocks until there may be something. 0: try again; else -ETIMEDOUT or -ECANCELED. until: at most until then, for what is there
 * but not to be had at the moment; -EAGAIN.
 */
int net_wait(struct net_desc *d, int dir, gort_time until);
/* For the directions whose bits are set. 0, -ECANCELED or -EBADF. */
int net_set_deadline(struct net_desc *d, unsigned dirs, gort_time t);

/* fd.c: an event of a NET_FOREIGN one. Its waiters, claimed, in front of list. */
gort_g *net_foreign_event(struct net_desc *d, uint32_t tag_seq, uint32_t what, gort_g *list);
bool net_foreign_waits(struct net_desc *d);
/* Under lock: all its waiters, claimed, in front of list. */
gort_g *net_foreign_close(struct net_desc *d, gort_g *list);

/*
 * Memory, zeroed, of calls under way, which gort_shutdown frees when they will not go on. The scheduler runs. NULL: there is
 * none.
 */
void *net_alloc(size_t size);
void net_free(void *memory);
void net_scrap_init(void);
void net_scrap_free(void);
void net_scrap_forget(void);            /* in a forked child */

/* Counted by listen.c, shown in gort_stats. */
extern uint64_t net_fd_waits;

#endif
