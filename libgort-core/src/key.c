/* SPDX-License-Identifier: MIT */
/*
 * Keys: values that belong to a goroutine. A key is an index into the table of keys and into each goroutine's table of
 * values, and above it a generation: a value whose key is not the one asked for is an older key's, and as good as none.
 * So deleting a key touches no goroutine, and reading one touches nothing but the goroutine's own table.
 */
#include "runtime.h"

#include "panic.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 64
#define CHUNKS 256
#define ROUNDS 4                        /* as PTHREAD_DESTRUCTOR_ITERATIONS */

/*
 * Written under the lock, read without. Deleting moves the key on, first; the next user's destructor comes with a release.
 * So who has read a destructor (acquire) and finds its own key after that has its own destructor.
 */
struct entry {
	gort_key key;                   /* generation << 32 | index; 0: never used */
	void (*destroy)(void *value);
	bool live;                      /* under lock */
	uint32_t next_free;             /* index + 1; under lock */
};

static struct {
	pthread_mutex_t lock;           /* nothing is called under it but the allocator */
	uint32_t since;                 /* generation that new entries begin with; under lock */
	uint32_t n;                     /* entries ever used; under lock */
	uint32_t free;                  /* index + 1, 0: none; under lock */
	struct entry *chunks[CHUNKS];   /* release and acquire; freed by gort_shutdown only */
} keys = { .lock = PTHREAD_MUTEX_INITIALIZER, .since = 1 };

void gort__keys_in_child(void)
{
	pthread_mutex_init(&keys.lock, NULL);
}

static uint32_t index_of(gort_key key)
{
	return (uint32_t)key;
}

static struct entry *entry_of(uint32_t i)
{
	struct entry *chunk = i / CHUNK < CHUNKS ? gort__load_acquire(&keys.chunks[i / CHUNK]) : NULL;

	return chunk != NULL ? &chunk[i % CHUNK] : NULL;
}

/* All keys are deleted. Those made later are others than all there were: a value may still be stored under one of these. */
void gort__keys_fini(void)
{
	pthread_mutex_lock(&keys.lock);
	for (uint32_t i = 0; i < keys.n; i++) {
		uint32_t generation = (uint32_t)(entry_of(i)->key >> 32);

		if (generation >= keys.since)
			keys.since = generation + 1;
	}
	for (uint32_t i = 0; i < CHUNKS && keys.chunks[i] != NULL; i++) {
		free(keys.chunks[i]);
		gort__store_relaxed(&keys.chunks[i], NULL);
	}
	keys.n = keys.free = 0;
	pthread_mutex_unlock(&keys.lock);
}

struct value {
	gort_key key;
	void *value;
};

struct gort__values {
	uint32_t n;
	uint32_t rounds;                /* of destructors, so far */
	uint32_t at;                    /* where the round has got to */
	bool again;                     /* the round has called one */
	struct value v[];
};

int gort_key_new(gort_key *key, void (*destroy)(void *value))
{
	struct entry *e = NULL;
	uint32_t i;
	int err = 0;

	if (key == NULL)
		return -EINVAL;
	pthread_mutex_lock(&keys.lock);
	if (keys.free != 0) {
		i = keys.free - 1;
		e = entry_of(i);
		keys.free = e->next_free;
	} else if (keys.n == CHUNK * CHUNKS) {
		err = -EAGAIN;
	} else {
		i = keys.n;
		e = entry_of(i);
		if (e == NULL) {
			struct entry *chunk = calloc(CHUNK, sizeof *chunk);

			if (chunk != NULL) {
				gort__store_release(&keys.chunks[i / CHUNK], chunk);    /* pairs with the acquire in entry_of */
				e = &chunk[i % CHUNK];
			} else {
				err = -ENOMEM;
			}
		}
		if (e != NULL) {
			keys.n++;
			gort__store_relaxed(&e->key, ((gort_key)keys.since << 32) + i);
		}
	}
	if (e != NULL) {
		e->live = true;
		gort__store_release(&e->destroy, destroy);      /* pairs with the acquire in destructor */
		*key = e->key;
	}
	pthread_mutex_unlock(&keys.lock);
	return err;
}

int gort_key_delete(gort_key key)
{
	struct entry *e = entry_of(index_of(key));
	int err = -EINVAL;

	if (e == NULL)
		return err;
	pthread_mutex_lock(&keys.lock);
	if (e->live && e->key == key) {
		e->live = false;
		/* from here on the key is an old one */
		gort__store_relaxed(&e->key, key + ((gort_key)1 << 32));
		e->next_free = keys.free;
		keys.free = index_of(key) + 1;
		err = 0;
	}
	pthread_mutex_unlock(&keys.lock);
	return err;
}

void *gort_get(gort_key key)
{
	gort__m *mp = gort__m_self();
	struct gort__values *t = mp != NULL ? mp->curg->live.values : NULL;
	uint32_t i = index_of(key);

	return t != NULL && i < t->n && t->v[i].key == key ? t->v[i].value : NULL;
}

int gort_set(gort_key key, void *value)
{
	uint32_t i = index_of(key);
	struct entry *e = entry_of(i);
	struct gort__values *t;
	gort__m *mp;

	/* a key that nobody has deleted; who deletes it at the same time has the same choice as a moment later */
	if (e == NULL || key == 0 || gort__load_relaxed(&e->key) != key)
		return -EINVAL;
	mp = gort__m_self();
	if (gort__unlikely(mp == NULL)) {
		int err;

		if (value == NULL)
			return 0;
		err = gort__m_bind();
		if (err != 0)
			return err;
		mp = gort__m_self();
	}
	t = mp->curg->live.values;
	if (gort__unlikely(t == NULL || i >= t->n)) {
		uint32_t n = t != NULL ? t->n : 0, want = i < 8 ? 8 : 2 * i;

		if (value == NULL)
			return 0;
		t = realloc(t, sizeof *t + want * sizeof t->v[0]);
		if (t == NULL)
			return -ENOMEM;
		if (n == 0)
			memset(t, 0, sizeof *t);
		memset(&t->v[n], 0, (want - n) * sizeof t->v[0]);
		t->n = want;
		mp->curg->live.values = t;
		mp->curg->flags |= GORT__G_LAST;
	}
	t->v[i] = (struct value){ key, value };
	return 0;
}

/* NULL: none, or the key has been deleted. */
static void (*destructor(gort_key key))(void *value)
{
	struct entry *e = entry_of(index_of(key));
	void (*destroy)(void *value) = e != NULL ? gort__load_acquire(&e->destroy) : NULL;

	return e != NULL && gort__load_relaxed(&e->key) == key ? destroy : NULL;
}

/* Where it has got to lies in the table: a destructor may panic, and then it is called once more. */
void gort__keys_destroy(gort_g *gp)
{
	struct gort__values *t;

	/* read anew each time: a destructor may set a key that the table has no room for */
	while ((t = gp->live.values) != NULL && t->rounds < ROUNDS) {
		if (t->at < t->n) {
			struct value *v = &t->v[t->at++];
			void (*destroy)(void *value) = v->value != NULL ? destructor(v->key) : NULL;
			void *value = v->value;

			v->value = NULL;
			if (destroy != NULL) {
				t->again = true;
				destroy(value);
			}
		} else {
			if (!t->again)
				break;
			t->again = false;
			t->at = 0;
			t->rounds++;
		}
	}
}

void gort__keys_free(gort_g *gp)
{
	free(gp->live.values);
	gp->live.values = NULL;
}
