/* SPDX-License-Identifier: MIT */
/* The table of locks for waiters in the user's objects. */
#include "queue.h"

#include <string.h>

static struct bucket {
	_Alignas(64) gort__lock lock;
	struct sync_waiter *shared;
	struct sync_waiter *turning;
	struct sync_waiter *leaving;    /* written under lock, looked at (r) */
} table[SYNC_BUCKETS];

uint32_t gort__sync_turns[SYNC_BUCKETS];

/*
 * A forked child has one thread; the others' locks are held by nobody now, and their waiters are gone, and whether there is a
 * heavy fence will be asked again. After gort_shutdown all waiters are gone.
 */
static void forget(void)
{
	memset(table, 0, sizeof table);
	memset(gort__sync_turns, 0, sizeof gort__sync_turns);
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
	return &table[sync_bucket(key)];
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

struct sync_waiter **gort__sync_turning(const void *key)
{
	return &bucket_of(key)->turning;
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
