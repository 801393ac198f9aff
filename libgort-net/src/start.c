/* SPDX-License-Identifier: MIT */
/*
 * What begins with the first call and ends with gort_shutdown: the poller, registered with core through its table of functions
 * (gort/poller.h), and how its events get to descriptors.
 *
 * Descriptors outlive it. Each has the number of the poller that watches it, net_epoch when that began; a call that finds
 * another one there comes to net_renew. After a gort_shutdown a poller is begun that watches all that are still open. In a
 * forked child they are the parent's, and stay as they are.
 */
#include "conn.h"

#include "os/socket.h"
#include "poll/poll.h"

#include <gort/poller.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

uint32_t net_epoch = 1;
uint64_t net_fd_waits;

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;                    /* release and acquire; written under start_lock */
static uint32_t forked_at;              /* net_epoch in the child at the last fork: what is older is the parent's */

/* --- the poller's table --- */

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
		struct net_desc *d = net_desc_at((uint32_t)events[i].tag);
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

static bool at_rest(struct net_desc *d, void *arg)
{
	(void)arg;
	/* whoever waits for a turn waits behind one of these */
	return !net_ready_waits(&d->dir[NET_READ].ready) && !net_ready_waits(&d->dir[NET_WRITE].ready) &&
	       !(gort__load_relaxed(&d->kind) == NET_FOREIGN && net_foreign_waits(d));
}

static bool waits(void)
{
	return !net_desc_each(at_rest, NULL);
}

static void stats(gort_stats *s)
{
	s->fd_waits = gort__load_relaxed(&net_fd_waits);
}

static const gort__poller table = { .poll = poll, .wake = net_poll_wake, .waits = waits, .stats = stats };

/* --- descriptors and the poller --- */

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

/* One that a former poller watched. *arg: an error. */
static bool open_again(struct net_desc *d, void *arg)
{
	bool foreign = gort__load_relaxed(&d->kind) == NET_FOREIGN;
	int err;

	if (gort__load_relaxed(&d->closed))
		return true;
	err = (foreign ? net_poll_add_armed : net_poll_add)(d->fd, net_desc_tag(d));
	if (err != 0 && foreign) {
		/* it is closed, or another by now: so its owner should have called gort_fd_close */
		gort__store_relaxed(&d->closed, true);
		err = 0;
	}
	if (err == 0)
		gort__store_relaxed(&d->epoch, gort__load_relaxed(&net_epoch));
	*(int *)arg = err;
	return err == 0;
}

/* --- the beginning and the end --- */

/* Under start_lock, entered. */
static int start(void)
{
	int err;

	net_pool_init();
	net_scrap_init();
	err = net_poll_init();
	if (err != 0)
		return err;
	net_desc_each(open_again, &err);
	if (err != 0) {
		net_poll_fini();
		return err;
	}
	gort__poller_register(&table);
	gort__store_release(&started, true);    /* pairs with the acquire in net_start */
	return 0;
}

int net_start(void)
{
	gort__m *mp;
	int err = 0;

	if (gort__likely(gort__load_acquire(&started)))         /* pairs with the release in start */
		return 0;
	gort__leave(gort__enter());             /* the scheduler runs, and knows this thread */
	pthread_mutex_lock(&start_lock);
	mp = gort__enter_nosched();             /* inside, so that gort_shutdown comes before or after */
	if (!gort__load_relaxed(&started))
		err = start();
	gort__leave(mp);
	pthread_mutex_unlock(&start_lock);
	return err;
}

bool net_inherited(struct net_desc *d)
{
	return (int32_t)(gort__load_relaxed(&d->epoch) - forked_at) < 0;
}

int net_renew(struct net_desc *d)
{
	return net_inherited(d) ? -EBADF : net_start();
}

static void forked(void)
{
	net_poll_forget();
	net_resolve_forget();
	net_scrap_forget();
	net_pool_forget();
	pthread_mutex_init(&start_lock, NULL);
	forked_at = ++net_epoch;
	net_fd_waits = 0;
	started = false;
}

static void shut(void)
{
	if (!started)
		return;
	net_pool_shut();                /* closes some */
	net_scrap_free();
	net_resolve_fini();
	net_poll_fini();
	gort__store_relaxed(&net_epoch, net_epoch + 1);
	net_fd_waits = 0;
	started = false;
}

static struct gort__sibling sibling = { .forked = forked, .end = net_resolve_end, .shut = shut };

static __attribute__((constructor)) void loaded(void)
{
	gort__sibling_add(&sibling);
}

static __attribute__((destructor)) void unloaded(void)
{
	gort__sibling_remove(&sibling);
}

/* --- scrap --- */

struct scrap {
	struct scrap *next, **at;       /* under lock */
	_Alignas(max_align_t) unsigned char memory[];
};

static struct {
	gort__lock lock;                /* taken alone */
	bool made;                      /* the lock has been */
	struct scrap *first;            /* under lock */
} scraps;

void net_scrap_init(void)
{
	if (!scraps.made)
		gort__lock_init(&scraps.lock);
	scraps.made = true;
}

void net_scrap_forget(void)
{
	scraps.made = false;
	scraps.first = NULL;
}

void net_scrap_free(void)
{
	for (struct scrap *s = scraps.first, *next; s != NULL; s = next) {
		next = s->next;
		free(s);
	}
	scraps.first = NULL;
}

void *net_alloc(size_t size)
{
	struct scrap *s = calloc(1, offsetof(struct scrap, memory) + size);

	if (s == NULL)
		return NULL;
	gort__lock_lock(&scraps.lock);
	s->next = scraps.first;
	s->at = &scraps.first;
	if (s->next != NULL)
		s->next->at = &s->next;
	scraps.first = s;
	gort__lock_unlock(&scraps.lock);
	return s->memory;
}

void net_free(void *memory)
{
	struct scrap *s = (struct scrap *)((char *)memory - offsetof(struct scrap, memory));

	gort__lock_lock(&scraps.lock);
	*s->at = s->next;
	if (s->next != NULL)
		s->next->at = s->at;
	gort__lock_unlock(&scraps.lock);
	free(s);
}
