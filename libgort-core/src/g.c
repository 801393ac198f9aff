/* SPDX-License-Identifier: MIT */
/* Goroutine descriptors: type-stable (never unmapped), handed out from per-P lists; ids, names, counts. */
#include "runtime.h"

#include <string.h>

#define CHUNK 1024              /* descriptors carved from one mapping, the first of them being its head */
#define BATCH 128               /* moved between a P and the shared list at a time */
#define FIRST 16                /* new ones at a time */

struct chunk {
	struct chunk *next;     /* the one made before; written before the chunk is published */
	gort_g *g;              /* its CHUNK - 1 descriptors */
	uint32_t used;          /* how many were ever handed out; written under lock, read (r) */
};

_Static_assert(sizeof(struct chunk) <= sizeof(gort_g), "a chunk's head takes the place of one descriptor");

static struct {
	gort__lock lock;
	gort_g *free;           /* batches: the first of each, through its param; in a batch through link. Under lock */
	struct chunk *chunks;   /* newest first; never shortened. Release and acquire; written under lock */
} pool;

void gort__g_init(void)
{
	memset(&pool, 0, sizeof pool);
	gort__lock_init(&pool.lock);
}

/* Under lock. One that was never used; NULL: out of memory. */
static gort_g *new_one(void)
{
	struct chunk *c = pool.chunks;
	gort_g *gp;

	if (c == NULL || c->used == CHUNK - 1) {
		gort_g *pages = gort__os_pages(CHUNK * sizeof *pages);

		if (pages == NULL)
			return NULL;
		c = (struct chunk *)pages;
		c->next = pool.chunks;
		c->g = pages + 1;
		gort__store_release(&pool.chunks, c);   /* pairs with the acquire in gort__g_each */
	}
	gp = c->g + c->used;
	gort__store_relaxed(&c->used, c->used + 1);
	gp->link = NULL;
	return gp;
}

/*
 * Takes no lock: a descriptor, once handed out, stays one, and those handed out meanwhile may be seen or not. Most of
 * what is found changes while it is looked at.
 */
bool gort__g_each(bool (*fn)(gort_g *gp, void *arg), void *arg)
{
	for (struct chunk *c = gort__load_acquire(&pool.chunks); c != NULL; c = c->next) {     /* pairs with pool_take */
		uint32_t n = gort__load_relaxed(&c->used);

		for (uint32_t i = 0; i < n; i++) {
			if (!fn(c->g + i, arg))
				return false;
		}
	}
	return gort__m_each_bound(fn, arg);
}

void gort__g_fini(void)
{
	struct chunk *next;

	for (struct chunk *c = pool.chunks; c != NULL; c = next) {
		next = c->next;
		gort__os_pages_free(c, CHUNK * sizeof(gort_g));
	}
	pool.chunks = NULL;
	pool.free = NULL;
}

/* A batch for a P, or one for who has none; NULL: out of memory. */
static gort_g *refill(gort__p *pp, uint32_t *n)
{
	gort_g *gp;

	gort__lock_lock(&pool.lock);
	gp = pool.free;
	if (gp != NULL && pp != NULL) {
		pool.free = gp->param;
		*n = gp->note;
	} else if (gp != NULL) {
		gort_g *rest = gp->link;

		if (rest != NULL) {
			rest->note = gp->note - 1;
			rest->param = gp->param;
		}
		pool.free = rest != NULL ? rest : gp->param;
		gp->link = NULL;
		*n = 1;
	} else {
		gort_g *more;

		gp = new_one();
		*n = gp != NULL;
		/* few at a time: a descriptor taken here is a page touched */
		while (*n > 0 && pp != NULL && *n < FIRST && (more = new_one()) != NULL) {
			more->link = gp;
			gp = more;
			++*n;
		}
	}
	gort__lock_unlock(&pool.lock);
	return gp;
}

/* A batch of n. */
static void give(gort_g *first, uint32_t n)
{
	if (n == 0)
		return;
	first->note = n;
	gort__lock_lock(&pool.lock);
	first->param = pool.free;
	pool.free = first;
	gort__lock_unlock(&pool.lock);
}

void gort__g_give_all(gort__p *pp)
{
	give(pp->gfree, pp->gfree_n);
	if (pp->gspare != NULL)
		give(pp->gspare, BATCH);
	pp->gfree = pp->gspare = NULL;
	pp->gfree_n = 0;
}

static uint64_t new_id(gort__p *pp)
{
	if (pp == NULL)
		return gort__add_relaxed(&gort__sched.ids, 1) + 1;
	if (gort__unlikely(pp->id_next == pp->id_end)) {
		pp->id_next = gort__add_relaxed(&gort__sched.ids, 16) + 1;
		pp->id_end = pp->id_next + 16;
	}
	return pp->id_next++;
}

static __attribute__((noinline)) gort_g *take_elsewhere(gort__p *pp)
{
	gort_g *gp;
	uint32_t n = BATCH;

	if (pp != NULL && pp->gspare != NULL) {
		gp = pp->gspare;
		pp->gspare = NULL;
	} else {
		gp = refill(pp, &n);
	}
	if (pp != NULL && gp != NULL) {
		pp->gfree = gp->link;
		pp->gfree_n = n - 1;
	}
	return gp;
}

static inline gort_g *take(gort__p *pp)
{
	gort_g *gp;

	if (gort__unlikely(pp == NULL || pp->gfree == NULL))
		return take_elsewhere(pp);
	gp = pp->gfree;
	pp->gfree = gp->link;
	pp->gfree_n--;
	if (gort__likely(pp->gfree != NULL))
		gort__prefetch(&pp->gfree->fn);         /* or the next call waits for its link */
	return gp;
}

void gort__g_number(gort__p *pp, gort_g *gp)
{
	gort__store_relaxed(&gp->id, new_id(pp));
}

gort_g *gort__g_new(gort__p *pp)
{
	gort_g *gp = take(pp);

	if (gort__likely(gp != NULL))
		gort__store_relaxed(&gp->id, new_id(pp));
	return gp;
}

gort_g *gort__g_reserve(gort__p *pp)
{
	gort_g *gp;

	if (!gort__stack_reserve(pp))
		return NULL;
	gp = take(pp);
	if (gort__unlikely(gp == NULL))
		gort__stack_unreserve(pp);
	return gp;
}

void gort__g_unreserve(gort__p *pp, gort_g *gp)
{
	gort__g_free(pp, gp);
	gort__stack_unreserve(pp);
}

void gort__g_reset(gort_g *gp)
{
	gort__store_relaxed(&gp->status, GORT__G_FREE);
	gort__store_relaxed(&gp->id, 0);
	gp->flags = 0;
	gort__store_relaxed(&gp->name[0], '\0');
}

void gort__g_free(gort__p *pp, gort_g *gp)
{
	gort__g_reset(gp);
	if (gort__unlikely(pp == NULL)) {
		gp->link = NULL;
		give(gp, 1);
		return;
	}
	if (gort__unlikely(pp->gfree_n == BATCH)) {
		if (pp->gspare != NULL)
			give(pp->gspare, BATCH);
		pp->gspare = pp->gfree;
		pp->gfree = NULL;
		pp->gfree_n = 0;
	}
	gp->link = pp->gfree;
	pp->gfree = gp;
	pp->gfree_n++;
}

void gort__g_set_name(gort_g *gp, const char *name)
{
	size_t n = name != NULL ? strnlen(name, GORT__NAME_SIZE - 1) : 0;

	/* byte by byte, so that a traceback that reads along sees at worst a mix */
	for (size_t i = 0; i < n; i++)
		gort__store_relaxed(&gp->name[i], name[i]);
	gort__store_relaxed(&gp->name[n], '\0');
}

size_t gort__g_count(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);
	uint64_t live = gort__load_relaxed(&gort__sched.spawned_elsewhere);

	/* ended first: a goroutine that starts and ends in between is not seen as ended only */
	for (uint32_t i = 0; i < n; i++)
		live -= gort__load_relaxed(&gort__sched.ps[i]->ended);
	for (uint32_t i = 0; i < n; i++)
		live += gort__load_relaxed(&gort__sched.ps[i]->spawned);
	return (size_t)live;
}
