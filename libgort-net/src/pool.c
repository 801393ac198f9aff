/* SPDX-License-Identifier: MIT */
/*
 * Where descriptors come from. They lie in chunks, so that an event's tag can say which one it is for, and stay where they are
 * until gort_shutdown, which gives back the chunks that nothing of the program's is in.
 */
#include "conn.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 64                        /* descriptors made at once */
#define CHUNKS 65536

static struct {
	gort__lock lock;                /* taken alone */
	bool made;                      /* the lock has been */
	uint32_t nchunks;               /* written under lock; release and acquire */
	struct net_desc *free;          /* under lock */
} pool;
static struct net_desc *chunks[CHUNKS]; /* the first nchunks; fixed while there is a poller, NULL: a gap. Acquire */

void net_pool_init(void)
{
	if (!pool.made)
		gort__lock_init(&pool.lock);
	pool.made = true;
}

void net_pool_forget(void)
{
	pool.made = false;
	pool.nchunks = 0;
	pool.free = NULL;
}

struct net_desc *net_desc_at(uint32_t index)
{
	/* pairs with the release in more: the tag came by way of the kernel, which is no order that the language knows */
	return &gort__load_acquire(&chunks[index / CHUNK])[index % CHUNK];
}

bool net_desc_each(bool (*fn)(struct net_desc *d, void *arg), void *arg)
{
	uint32_t n = gort__load_acquire(&pool.nchunks);

	for (uint32_t i = 0; i < n; i++) {
		struct net_desc *c = gort__load_acquire(&chunks[i]);    /* pairs with the release in more */

		for (uint32_t k = 0; c != NULL && k < CHUNK; k++) {
			if (gort__load_relaxed(&c[k].kind) != NET_FREE && !fn(&c[k], arg))
				return false;
		}
	}
	return true;
}

/* Under lock. */
static void more(void)
{
	struct net_desc *c;
	uint32_t at = 0;

	while (at < pool.nchunks && chunks[at] != NULL)
		at++;
	if (at == CHUNKS)
		return;
	c = aligned_alloc(_Alignof(struct net_desc), CHUNK * sizeof *c);
	if (c == NULL)
		return;
	memset(c, 0, CHUNK * sizeof *c);
	for (uint32_t i = CHUNK; i-- > 0;) {
		gort__lock_init(&c[i].lock);
		c[i].index = at * CHUNK + i;
		c[i].link = pool.free;
		pool.free = &c[i];
	}
	gort__store_release(&chunks[at], c);
	if (at == pool.nchunks)
		gort__store_release(&pool.nchunks, at + 1);     /* pairs with the acquire in net_desc_each */
}

/*
 * gort_shutdown: nobody is in a call any more, and those that were will not come back. What the program has references to goes
 * on to be there; it is as if no call had been under way.
 */
static void settle(struct net_desc *d)
{
	bool closing = d->closing;

	for (int dir = NET_READ; dir <= NET_WRITE; dir++) {
		struct net_dir *r = &d->dir[dir];

		net_ready_settle(&r->ready);
		r->first = r->last = NULL;
		r->busy = r->drained = false;
	}
	gort__lock_init(&d->lock);
	d->calls = 0;
	d->closer = NULL;
	d->closing = false;
	d->armed = 0;
	gort__store_relaxed(&d->waiters, NULL);
	if (d->inner)
		gort__store_relaxed(&d->refs, 1);       /* ours alone, and whoever had it is gone */
	if (closing)
		net_give_up(d, NULL);                   /* it waited for calls to end, before it would */
	if (closing || d->inner)
		net_unref(d);
}

void net_pool_shut(void)
{
	pool.free = NULL;
	for (uint32_t i = 0; i < pool.nchunks; i++) {
		struct net_desc *c = chunks[i];
		bool used = false;

		for (uint32_t k = 0; c != NULL && k < CHUNK; k++) {
			if (c[k].kind != NET_FREE)
				settle(&c[k]);
			used |= c[k].kind != NET_FREE;
		}
		if (!used) {
			free(c);
			chunks[i] = NULL;
		}
	}
	while (pool.nchunks > 0 && chunks[pool.nchunks - 1] == NULL)
		pool.nchunks--;
	pool.free = NULL;
	for (uint32_t i = 0; i < pool.nchunks * CHUNK; i++) {
		struct net_desc *c = chunks[i / CHUNK];

		if (c != NULL && c[i % CHUNK].kind == NET_FREE) {
			c[i % CHUNK].link = pool.free;
			pool.free = &c[i % CHUNK];
		}
	}
}

struct net_desc *net_desc_new(enum net_kind kind)
{
	struct net_desc *d;

	gort__lock_lock(&pool.lock);
	if (pool.free == NULL)
		more();
	d = pool.free;
	if (d != NULL)
		pool.free = d->link;
	gort__lock_unlock(&pool.lock);
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
	gort__store_relaxed(&d->waiters, NULL);
	d->closer = NULL;
	d->closing = false;
	d->socket = d->tcp = d->was_full = d->tells_left = false;
	d->in_vain = 0;
	d->cpu = 0;
	d->ask_in = d->ask_gap = NET_ASK_GAP_MIN;
	d->armed = 0;
	d->inner = false;
	gort__store_relaxed(&d->epoch, gort__load_relaxed(&net_epoch));
	gort__store_relaxed(&d->ended, false);
	gort__store_relaxed(&d->refs, 1);
	gort__store_relaxed(&d->closed, true);          /* until it has a number */
	gort__store_relaxed(&d->kind, (uint8_t)kind);
	return d;
}

void net_desc_free(struct net_desc *d)
{
	gort__store_relaxed(&d->kind, NET_FREE);
	gort__lock_lock(&pool.lock);
	d->link = pool.free;
	pool.free = d;
	gort__lock_unlock(&pool.lock);
}
