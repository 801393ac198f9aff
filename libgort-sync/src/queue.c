/* SPDX-License-Identifier: MIT */
/* The table of locks for waiters in the user's objects. */
#include "queue.h"

#include <string.h>

#define BUCKETS 256

static struct bucket {
	_Alignas(64) gort__lock lock;
	struct sync_waiter *shared;
	struct sync_waiter *leaving;    /* written under lock, looked at (r) */
} table[BUCKETS];

/*
 * A forked child has one thread; the others' locks are held by nobody now, and their waiters are gone. After gort_shutdown
 * all waiters are.
 */
static void forget(void)
{
	memset(table, 0, sizeof table);
}

static struct gort__sibling sibling = { .forked = forget, .shut = forget };

static __attribute__((constructor)) void init(void)
{
	gort__sibling_add(&sibling);
}

static __attribute__((destructor)) void fini(void)
{
	gort__sibling_remove(&sibling);
}

static struct bucket *bucket_of(const void *key)
{
	return &table[((uintptr_t)key * 0x9E3779B97F4A7C15ull) >> 56];
}

void gort__sync_lock(const void *key)
{
	gort__lock_lock(&bucket_of(key)->lock);
}

void gort__sync_unlock(const void *key)
{
	struct bucket *b = bucket_of(key);

	gort__lock_unlock(&b->lock);
	/* the table is there before the scheduler has found out whether there is a heavy fence, so its locks do not know */
	if (gort__unlikely(gort__fenced))
		gort__unlock_slow(&b->lock);
}

struct sync_waiter **gort__sync_shared(const void *key)
{
	return &bucket_of(key)->shared;
}

void gort__sync_leaves(struct sync_waiter *w)
{
	sync_push(&bucket_of(w->key)->leaving, w);
}

void gort__sync_left(struct sync_waiter *w)
{
	sync_remove(&bucket_of(w->key)->leaving, w);
}

bool gort__sync_any_leaving(const void *key)
{
	return gort__load_relaxed(&bucket_of(key)->leaving) != NULL;
}

struct sync_waiter *gort__sync_leaving(const void *key)
{
	return bucket_of(key)->leaving;
}
