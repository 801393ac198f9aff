/* SPDX-License-Identifier: MIT */
/*
 * Singleflight, as Go's golang.org/x/sync/singleflight: of several calls with the same key at the same time one runs the
 * function, and the others wait for its result.
 *
 * A flight is a call under way, found by its key in a chain; each chain is guarded by the table's lock for its address, since
 * the group may be freed by one that has been woken while the one that woke it is on its way out. Flights are counted: the one
 * that runs and those who wait hold one reference each.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

#define CHAINS 64

struct flight {
	struct flight *next;            /* in its chain; under the table's lock, as the next two */
	struct sync_waiter *waiters;
	bool shared;
	bool ended;                     /* by returning, or by a panic; the leader's own */
	bool panicked;                  /* this and all below: written before the waiters are woken */
	uint32_t refs;                  /* atomic */
	int (*fn)(void *arg, void **value);
	void *arg;
	int result;
	void *value;
	gort_panic_info info;           /* with panicked; the message is a copy */
	char *message;
	struct flight **chain;
	char key[];
};

struct gort_singleflight {
	struct flight *chains[CHAINS];
};

gort_singleflight *gort_singleflight_new(void)
{
	return calloc(1, sizeof(gort_singleflight));
}

void gort_singleflight_free(gort_singleflight *s)
{
	bool busy = false;

	if (s == NULL)
		return;
	for (int i = 0; i < CHAINS; i++) {
		gort__sync_lock(&s->chains[i]);
		busy = busy || s->chains[i] != NULL;
		gort__sync_unlock(&s->chains[i]);
	}
	if (busy)
		gort__panic("singleflight: freed while a call is under way");
	free(s);
}

static void unref(void *arg)
{
	struct flight *f = arg;

	/* release: the others' reads are done; acquire: for the one that frees */
	if (gort__add_acq_rel(&f->refs, -1u) != 1)
		return;
	free(f->message);
	free(f);
}

static struct flight **chain_of(gort_singleflight *s, const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return &s->chains[(h ^ h >> 16) % CHAINS];
}

/* Under the table's lock. */
static struct flight *find(struct flight *f, const char *key)
{
	while (f != NULL && strcmp(f->key, key) != 0)
		f = f->next;
	return f;
}

static void call(void *arg)
{
	struct flight *f = arg;

	f->result = f->fn(f->arg, &f->value);
}

static void try_call(void *arg)
{
	struct flight *f = arg;
	gort_panic_info info;

	if (!gort_try(call, f, &info)) {
		f->ended = true;
		return;
	}
	f->message = strdup(info.message);
	f->info = info;
	f->info.message = f->message != NULL ? f->message : "(out of memory for the message)";
	f->panicked = f->ended = true;
}

/* However it ended. */
static void finish(void *arg)
{
	struct flight *f = arg, **at = f->chain;
	struct sync_woken woken;
	struct sync_waiter *w;

	sync_woken_init(&woken);
	gort__sync_lock(f->chain);
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	while ((w = sync_pop(&f->waiters)) != NULL)
		sync_woken_add(&woken, w);
	gort__sync_unlock(f->chain);            /* by address only: the group may be gone once they run */
	sync_wake(&woken);
	if (!f->ended)
		unref(f);               /* an exit, which does not come by result_of */
}

static void panic_again(void *arg)
{
	struct flight *f = arg;

	gort_repanic(&f->info);
}

/* Gives up the reference. */
static int result_of(struct flight *f, void **value, bool *shared)
{
	int r;

	if (f->panicked)
		gort__call_then(panic_again, f, unref, f);
	r = f->result;
	if (value != NULL)
		*value = f->value;
	if (shared != NULL)
		*shared = f->shared;
	unref(f);
	return r;
}

/* Under the table's lock, which it lets go of. Entered. */
static void join(struct flight *f, gort__m *mp)
{
	struct sync_waiter w = { .key = f };

	f->shared = true;
	gort__add_relaxed(&f->refs, 1);
	sync_prepare(mp, &w, "singleflight", GORT_FOREVER);
	sync_push(&f->waiters, &w);
	gort__sync_unlock(f->chain);
	mp = gort__park(mp);
	gort__leave(mp);
}

static struct flight *new_flight(struct flight **chain, const char *key)
{
	size_t size = strlen(key) + 1;
	struct flight *f = malloc(sizeof *f + size);

	if (f == NULL)
		return NULL;
	memset(f, 0, sizeof *f);
	memcpy(f->key, key, size);
	f->chain = chain;
	return f;
}

int gort_singleflight_do(gort_singleflight *s, const char *key, int (*fn)(void *arg, void **value), void *arg, void **value,
			 bool *shared)
{
	struct flight **chain = chain_of(s, key), *mine = NULL, *f;
	gort__m *mp;

	if (fn == NULL)
		gort__fatal("singleflight of nil func value");
	for (;;) {
		mp = gort__enter();
		gort__sync_lock(chain);
		f = find(*chain, key);
		if (f != NULL) {
			join(f, mp);
			free(mine);
			return result_of(f, value, shared);
		}
		if (mine != NULL)
			break;
		gort__sync_unlock(chain);
		gort__leave(mp);
		mine = new_flight(chain, key);
		if (mine == NULL) {
			if (value != NULL)
				*value = NULL;
			if (shared != NULL)
				*shared = false;
			return -ENOMEM;
		}
	}
	mine->fn = fn;
	mine->arg = arg;
	mine->result = -ECANCELED;              /* unless fn returns */
	mine->refs = 1;
	mine->next = *chain;
	*chain = mine;
	gort__sync_unlock(chain);
	gort__leave(mp);
	gort__call_then(try_call, mine, finish, mine);
	return result_of(mine, value, shared);
}
