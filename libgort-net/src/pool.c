/* SPDX-License-Identifier: MIT */
/* Where descriptors come from, and how the poller's events get to them: core's hook table (gort/poller.h). */
#include "conn.h"

#include "os/socket.h"
#include "poll/poll.h"

#include <gort/poller.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 64                        /* descriptors made at once */
#define CHUNKS 65536

uint32_t net_epoch;
uint64_t net_fd_waits;

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;                    /* release and acquire; written under start_lock */
static bool once_per_process;           /* under start_lock */
static gort__lock lock;                 /* of the pool; taken alone */
static struct net_desc *chunks[CHUNKS]; /* the first nchunks; fixed once there */
static uint32_t nchunks;                /* written under lock; release and acquire */
static struct net_desc *free_list;      /* under lock */

/* --- the poller's table --- */

static inline struct net_desc *desc_at(uint32_t index)
{
	return &chunks[index / CHUNK][index % CHUNK];
}

uint64_t net_desc_tag(struct net_desc *d)
{
	return (uint64_t)gort__load_relaxed(&d->seq) << 32 | d->index;
}

static gort_g *poll(gort_time until)
{
	struct net_event events[NET_EVENTS];
	uint32_t n = net_poll_wait(events, until);
	gort_g *list = NULL, **end = &list;

	for (uint32_t i = 0; i < n; i++) {
		struct net_desc *d = desc_at((uint32_t)events[i].tag);
		uint32_t seq = (uint32_t)(events[i].tag >> 32), what = events[i].what;

		if (gort__load_relaxed(&d->seq) != seq)
			continue;               /* of an earlier use */
		if (gort__load_relaxed(&d->kind) == NET_FOREIGN) {
			*end = net_foreign_event(d, seq, what, NULL);
			while (*end != NULL)
				end = &(*end)->link;
			continue;
		}
		if (what & NET_EVENT_END)
			gort__store_relaxed(&d->ended, true);   /* before the word, whose reader will look at it */
		for (int dir = NET_READ; dir <= NET_WRITE; dir++) {
			gort_g *gp = what & 1u << dir ? net_ready_fire(&d->dir[dir].ready) : NULL;

			if (gp != NULL) {
				gp->link = NULL;
				*end = gp;
				end = &gp->link;
			}
		}
	}
	return list;
}

static bool waits(void)
{
	uint32_t n = gort__load_acquire(&nchunks);

	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < CHUNK; k++) {
			struct net_desc *d = &chunks[i][k];

			/* whoever waits for a turn waits behind one of these */
			if (net_ready_waits(&d->dir[NET_READ].ready) || net_ready_waits(&d->dir[NET_WRITE].ready) ||
			    (gort__load_relaxed(&d->kind) == NET_FOREIGN && net_foreign_waits(d)))
				return true;
		}
	}
	return false;
}

static void stats(gort_stats *s)
{
	s->fd_waits = gort__load_relaxed(&net_fd_waits);
}

static const gort__poller table = { .poll = poll, .wake = net_poll_wake, .waits = waits, .stats = stats };

/* --- start --- */

static void in_child(void)
{
	/* all that was open is the parent's, and its descriptors stay as they are: desc.h, epoch */
	net_poll_forget();
	net_resolve_forget();
	net_epoch++;
	nchunks = 0;
	free_list = NULL;
	started = false;
	pthread_mutex_init(&start_lock, NULL);
}

int net_start(void)
{
	int err = 0;

	if (gort__likely(gort__load_acquire(&started)))         /* pairs with the release below */
		return 0;
	gort__leave(gort__enter());             /* the scheduler runs, and knows this thread */
	pthread_mutex_lock(&start_lock);
	if (!gort__load_relaxed(&started)) {
		gort__lock_init(&lock);
		err = net_poll_init();
		if (err == 0) {
			if (!once_per_process)
				gort__os_at_fork_child(in_child);
			once_per_process = true;
			gort__poller_register(&table);
			gort__store_release(&started, true);
		}
	}
	pthread_mutex_unlock(&start_lock);
	return err;
}

/* --- the pool --- */

/* Under lock. */
static bool more(void)
{
	struct net_desc *c;

	if (nchunks == CHUNKS)
		return false;
	c = aligned_alloc(_Alignof(struct net_desc), CHUNK * sizeof *c);
	if (c == NULL)
		return false;
	memset(c, 0, CHUNK * sizeof *c);
	for (uint32_t i = CHUNK; i-- > 0;) {
		gort__lock_init(&c[i].lock);
		c[i].index = nchunks * CHUNK + i;
		c[i].link = free_list;
		free_list = &c[i];
	}
	chunks[nchunks] = c;
	gort__store_release(&nchunks, nchunks + 1);     /* pairs with the acquire in waits */
	return true;
}

struct net_desc *net_desc_new(enum net_kind kind)
{
	struct net_desc *d;

	gort__lock_lock(&lock);
	if (free_list == NULL)
		more();
	d = free_list;
	if (d != NULL)
		free_list = d->link;
	gort__lock_unlock(&lock);
	if (d == NULL)
		return NULL;
	for (int dir = NET_READ; dir <= NET_WRITE; dir++) {
		struct net_dir *r = &d->dir[dir];

		/* the word keeps its number: a waker may have been held up since an earlier use */
		net_ready_settle(&r->ready);
		gort__store_relaxed(&r->deadline, GORT_FOREVER);
		r->err = 0;
		r->drained = r->busy = false;
	}
	d->fd = -1;
	d->path = NULL;
	d->closer = NULL;
	d->socket = d->tcp = d->was_full = d->tells_left = false;
	d->in_vain = 0;
	d->armed = 0;
	d->epoch = net_epoch;
	gort__store_relaxed(&d->ended, false);
	gort__store_relaxed(&d->refs, 1);
	gort__store_relaxed(&d->closed, true);          /* until it has a number */
	gort__store_relaxed(&d->kind, (uint8_t)kind);
	return d;
}

static int open_as(struct net_desc *d, int fd, int (*add)(int fd, uint64_t tag))
{
	int err;

	d->fd = fd;
	gort__store_relaxed(&d->closed, false);
	gort__add_relaxed(&d->seq, 1);
	err = add(fd, net_desc_tag(d));
	if (err != 0) {
		gort__store_relaxed(&d->closed, true);
		gort__add_relaxed(&d->seq, 1);
	}
	return err;
}

int net_desc_open(struct net_desc *d, int fd)
{
	return open_as(d, fd, net_poll_add);
}

int net_desc_open_armed(struct net_desc *d, int fd)
{
	return open_as(d, fd, net_poll_add_armed);
}

void net_desc_free(struct net_desc *d)
{
	gort__store_relaxed(&d->kind, NET_FREE);
	gort__lock_lock(&lock);
	d->link = free_list;
	free_list = d;
	gort__lock_unlock(&lock);
}
