/* SPDX-License-Identifier: MIT */
/*
 * Stacks: slots in arenas of reserved address space. A stack never moves; it grows in place, page by page, as the
 * kernel commits what is touched, down to its guard.
 *
 * The first slots are large (1 GiB), so that a program with few goroutines can recurse as deep as it likes; the rest
 * are small (256 KiB), which costs half a KiB of page tables each. Where the system refuses an arena the size is
 * halved, and at last the slots shrink to 64 KiB. Under a limit on address space everything starts small, and so it does
 * on valgrind.
 *
 * A slot is reserved for a goroutine when it is spawned (so a spawn fails there or never) and chosen when it first
 * runs (so the warmest free one is used again). Reservations are handed to the Ps in batches, as credits. The sum
 *
 *      goroutines with a reservation + credits in Ps + room for the Ps' caches  <=  slots
 *
 * holds under pool.lock, so a slot can always be found.
 *
 * Free slots lie in three places: each P's cache (LIFO, warm), the pool's warm list, and its cold list, whose pages
 * have been given back. The monitor moves slots from warm to cold, and has the Ps give back what lies deep in the
 * stacks of their caches, since nobody can tell how deep a goroutine went.
 */
#include "runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GiB ((size_t)1 << 30)
#define KiB ((size_t)1 << 10)

#define ARENA_MAX (16 * GiB)
#define BIG_SLOT GiB
#define BIG_COUNT 1024
#define SMALL_SLOT (256 * KiB)
#define LEAST_SLOT (64 * KiB)
#define VALGRIND_ARENA (GiB / 16)
#define VALGRIND_SLOT (GiB / 128)       /* of the first ones there: like a thread's stack */
#define ARENAS 8192
#define SLOT_BITS 18                    /* 16 GiB of 64 KiB slots */
#define NIL UINT32_MAX
#define BATCH 64                        /* credits handed to a P at a time */
#define KEEP (16 * KiB)                 /* of a trimmed stack in a cache: the part that is warm for the next user */
#define WARM_MAX 1024                   /* slots the pool keeps with their top pages */
#define FRESH_MAX (GORT__STACK_CACHE / 2)       /* never used slots that are given their guards at a time */
#define LEAK_SEEN ((size_t)32 * KiB)    /* how much of each stack LeakSanitizer is shown */
#define GUARDED 1u
#define SKEW 128                        /* pages by which the tops of large slots differ */
#define MPROTECT_MAX 15000              /* guard pages by mprotect: two mappings each, of 65,530 */

struct slot {
	uint32_t next;                  /* in a free list */
	uint32_t flags;                 /* GUARDED: has its guard; a slot that was never used has 0 */
	uint32_t number;                /* valgrind's for it */
};

struct arena {
	uintptr_t base;
	size_t slot_size, guard_size;
	uint32_t slots;
	struct slot *slot;
	void **san;                     /* sanitizer's fiber for each slot; NULL in other builds */
};

static struct {
	gort__lock lock;
	uint32_t narenas;               /* arenas[0 .. narenas) are complete; release and acquire, for the fault handler */
	uint32_t fresh_arena;           /* next never used slot; under lock */
	uint32_t fresh_slot;
	uint32_t warm, cold;            /* free lists; under lock */
	uint32_t nwarm;
	uint64_t total, reserved;       /* slots; under lock */
	uint32_t big;                   /* large slots so far */
	bool big_refused;
	size_t big_slot, small_slot;    /* sizes to try */
	size_t arena_max;
	size_t arena_next;              /* what was last granted */
	uint32_t protected_n;           /* guards by mprotect */
	uint32_t fresh_max;             /* FRESH_MAX; 1 where the system has no call for several. Atomic */
	uint32_t cache;                 /* how many free stacks a P may keep */
	uint32_t batch;
	enum gort__guard guard;
	size_t page;
	struct arena arenas[ARENAS];
} pool;

static struct arena *arena_of(uint32_t stack)
{
	return &pool.arenas[stack >> SLOT_BITS];
}

static struct slot *slot_of(uint32_t stack)
{
	return &arena_of(stack)->slot[stack & ((1u << SLOT_BITS) - 1)];
}

static uintptr_t slot_base(uint32_t stack)
{
	struct arena *a = arena_of(stack);

	return a->base + (uintptr_t)(stack & ((1u << SLOT_BITS) - 1)) * a->slot_size;
}

static size_t power_of_two(size_t n, size_t least)
{
	size_t p = least;

	while (p < n && p < SIZE_MAX / 2)
		p *= 2;
	return p;
}

static size_t guard_size(size_t slot)
{
	size_t g = slot / 16;

	return g > GiB / 1024 ? GiB / 1024 : g < pool.page ? pool.page : g;
}

int gort__stack_init(void)
{
	size_t budget = gort__os_address_budget();

	memset(&pool, 0, offsetof(__typeof__(pool), arenas));
	gort__lock_init(&pool.lock);
	pool.page = gort__os_page_size();
	pool.warm = pool.cold = NIL;
	pool.guard = gort__options.guard != GORT__GUARD_AUTO ? gort__options.guard : gort__os_guard_best();
	pool.cache = GORT__STACK_CACHE;
	pool.batch = BATCH;
	pool.fresh_max = FRESH_MAX;
	pool.arena_max = ARENA_MAX;
	pool.big_slot = BIG_SLOT;
	pool.small_slot = SMALL_SLOT;
	if (gort__options.stack_max != 0) {
		size_t want = power_of_two(gort__options.stack_max, LEAST_SLOT);

		pool.small_slot = want < ARENA_MAX ? want : ARENA_MAX;
		pool.big_refused = true;
	}
	if (budget < 64 * 1024 * GiB) {
		/* under a limit: no more than an eighth of what is left for each step, and modest stacks */
		pool.big_refused = true;
		if (gort__options.stack_max == 0 && budget < 16 * GiB)
			pool.small_slot = LEAST_SLOT;
		while (pool.arena_max > pool.small_slot && pool.arena_max > budget / 8)
			pool.arena_max /= 2;
		pool.cache = 4;
		pool.batch = 4;
	}
	if (GORT__ON_VALGRIND()) {
		/* it has some tens of GiB for all of the program, and memcheck records every page that may be touched */
		while (pool.arena_max > pool.small_slot && pool.arena_max > VALGRIND_ARENA)
			pool.arena_max /= 2;
		pool.big_slot = VALGRIND_SLOT;
		pool.cache = 4;
	}
	pool.arena_next = pool.arena_max;
	return 0;
}

/*
 * The guard at the bottom of one large slot and the hot top of the one below it shall share a page table, so slots start in
 * the middle of what one page table maps: so far into the mapping.
 */
static size_t shift_of(size_t slot_size)
{
	return slot_size >= GiB / 512 ? GiB / 1024 : 0;
}

static bool arena_add(size_t bytes, size_t slot_size)
{
	struct arena *a = &pool.arenas[pool.narenas];
	uint32_t slots = (uint32_t)(bytes / slot_size);
	size_t shift = shift_of(slot_size);
	size_t align = slot_size < GiB / 512 ? slot_size : GiB / 512;
	size_t meta = slots * sizeof(struct slot);
	char *base;

	if (pool.narenas == ARENAS || slots == 0)
		return false;
	base = gort__os_reserve(bytes + shift, align);
	if (base == NULL)
		return false;
	GORT__STACK_SPACE(base, bytes + shift);
	a->slot = gort__os_pages(meta);
	if (a->slot == NULL) {
		gort__os_unmap(base, bytes + shift);
		return false;
	}
#ifdef GORT__TSAN
	a->san = gort__os_pages(slots * sizeof(void *));
	if (a->san == NULL) {
		gort__os_pages_free(a->slot, meta);
		gort__os_unmap(base, bytes + shift);
		return false;
	}
#endif
	a->base = (uintptr_t)base + shift;
	a->slot_size = slot_size;
	a->guard_size = guard_size(slot_size);
	a->slots = slots;
	pool.total += slots;
	gort__store_release(&pool.narenas, pool.narenas + 1);   /* pairs with the acquire in gort__stack_find */
	return true;
}

/* One more arena; under lock. */
static bool grow(void)
{
	for (size_t bytes = pool.arena_max; !pool.big_refused && bytes >= pool.big_slot; bytes /= 2) {
		if (arena_add(bytes, pool.big_slot)) {
			pool.big += (uint32_t)(bytes / pool.big_slot);
			pool.big_refused = pool.big >= BIG_COUNT;
			return true;
		}
	}
	pool.big_refused = true;
	for (;;) {
		for (; pool.arena_next >= pool.small_slot; pool.arena_next /= 2) {
			if (arena_add(pool.arena_next, pool.small_slot))
				return true;
		}
		if (gort__options.stack_max != 0 || pool.small_slot <= LEAST_SLOT) {
			pool.arena_next = pool.small_slot;      /* address space may come free again */
			return false;
		}
		pool.small_slot = LEAST_SLOT;
		pool.arena_next = pool.arena_max;
	}
}

/* Reserves up to want slots; under lock. */
static uint32_t reserve(uint32_t want)
{
	uint64_t caches = (uint64_t)gort__load_relaxed(&gort__sched.nps) * pool.cache;

	while (pool.reserved + want + caches > pool.total) {
		if (grow())
			continue;
		/* the last ones: all but what the Ps may have in their caches */
		if (pool.reserved + caches >= pool.total)
			return 0;
		if (pool.reserved + want + caches > pool.total)
			want = (uint32_t)(pool.total - pool.reserved - caches);
		break;
	}
	pool.reserved += want;
	return want;
}

bool gort__stack_reserve(gort__p *pp)
{
	uint32_t got;

	if (gort__likely(pp != NULL && pp->credits > 0)) {
		pp->credits--;
		return true;
	}
	gort__lock_lock(&pool.lock);
	got = reserve(pp != NULL ? pool.batch : 1);
	gort__lock_unlock(&pool.lock);
	if (got == 0)
		return false;
	if (pp != NULL)
		pp->credits = got - 1;
	return true;
}

bool gort__stack_admit(uint32_t nps)
{
	bool ok = true;

	gort__lock_lock(&pool.lock);
	while (ok && pool.reserved + (uint64_t)nps * pool.cache > pool.total)
		ok = grow();
	gort__lock_unlock(&pool.lock);
	return ok;
}

static void unreserve(uint32_t n)
{
	gort__lock_lock(&pool.lock);
	pool.reserved -= n;
	gort__lock_unlock(&pool.lock);
}

void gort__stack_unreserve(gort__p *pp)
{
	if (pp == NULL) {
		unreserve(1);
	} else if (gort__unlikely(++pp->credits >= 2 * pool.batch)) {
		pp->credits -= pool.batch;
		unreserve(pool.batch);
	}
}

static void list_push(uint32_t *list, uint32_t stack)
{
	slot_of(stack)->next = *list;
	*list = stack;
}

static uint32_t list_pop(uint32_t *list)
{
	uint32_t stack = *list;

	if (stack != NIL)
		*list = slot_of(stack)->next;
	return stack;
}

/*
 * Slots that nobody ever used, one behind the other: the first, and how many, max at most. Of large ones it is one, which
 * each take a page table for their guard, and shall not lie unused in some P's cache while others make do with small ones.
 * Under lock.
 */
static uint32_t fresh(uint32_t max, uint32_t *n)
{
	while (pool.fresh_arena < pool.narenas) {
		struct arena *a = &pool.arenas[pool.fresh_arena];
		uint32_t first = pool.fresh_slot;

		if (first < a->slots) {
			*n = a->slot_size >= GiB ? 1 : a->slots - first < max ? a->slots - first : max;
			pool.fresh_slot += *n;
			return pool.fresh_arena << SLOT_BITS | first;
		}
		pool.fresh_arena++;
		pool.fresh_slot = 0;
	}
	return NIL;
}

/* May a guard be laid by the chosen means? Counts it. Under lock. */
static bool guard_allowed(void)
{
	if (pool.guard == GORT__GUARD_NONE)
		return false;
	return pool.guard == GORT__GUARD_MADVISE || pool.protected_n++ < MPROTECT_MAX;
}

/* The first use of n slots from first on. */
static void make_ready(uint32_t first, uint32_t n, bool guard)
{
	struct arena *a = arena_of(first);
	void *at[FRESH_MAX];
	uint32_t guarded = 0;

	for (uint32_t i = 0; i < n; i++) {
		uintptr_t base = slot_base(first + i), top = base + a->slot_size;

		GORT__LEAK_ROOT((void *)(top - LEAK_SEEN), LEAK_SEEN);
		slot_of(first + i)->number = GORT__STACK_REGISTER(base + a->guard_size, top);
		at[i] = (void *)base;
	}
	if (guard && n > 1) {
		guarded = gort__os_guard_many(at, n, a->guard_size);
		if (guarded == 0)
			gort__store_relaxed(&pool.fresh_max, 1);
	}
	for (uint32_t i = 0; guard && i < n; i++) {
		if (i < guarded || gort__os_guard(pool.guard, at[i], a->guard_size))
			slot_of(first + i)->flags |= GUARDED;
	}
}

static uint32_t take(gort__p *pp)
{
	uint32_t stack, n = 0;
	bool guard = false;

	gort__lock_lock(&pool.lock);
	stack = list_pop(&pool.warm);
	if (stack != NIL) {
		pool.nwarm--;
		while (pp->nstacks < pool.cache / 2 && pool.warm != NIL) {
			pp->stacks[pp->nstacks++] = list_pop(&pool.warm);
			pool.nwarm--;
		}
	} else {
		/* used before, given back: its page tables are there already */
		stack = list_pop(&pool.cold);
		if (stack == NIL) {
			uint32_t max = gort__load_relaxed(&pool.fresh_max);

			/* those for later go to the cache, for which there is room among the reserved */
			stack = fresh(pool.guard == GORT__GUARD_MPROTECT || max > pool.cache ? 1 : max, &n);
			if (stack == NIL)
				gort__throw("stack.c: no slot for a reserved stack");
			guard = guard_allowed();
		}
	}
	gort__lock_unlock(&pool.lock);
	if (n > 0)
		make_ready(stack, n, guard);
	while (n > 1)
		pp->stacks[pp->nstacks++] = stack + --n;
	return stack;
}

void gort__stack_get(gort__p *pp, gort_g *gp)
{
	uint32_t stack = gort__likely(pp->nstacks > 0) ? pp->stacks[--pp->nstacks] : take(pp);
	struct arena *a = arena_of(stack);
	uintptr_t base = slot_base(stack);

	gp->stack = stack;
	gp->stack_lo = base + a->guard_size;
	/*
	 * Coloured: were all stacks to start at the same offset in their pages, all goroutines' hottest lines would compete
	 * for the same few sets of the caches, of the second-level one too: a thousand goroutines overflow those that belong to
	 * 8 lines of a page. And large slots start at different pages: some processors (AMD's
	 * Zen) find the way within a set by a hash of the address's bits 12 to 27, so that lines at the same offset in slots
	 * 1 GiB apart would throw each other out, however few they are.
	 */
	gp->stack_hi = base + a->slot_size - stack % GORT__CTX_COLOURS * 64 - (a->slot_size >= GiB ? stack % SKEW * pool.page : 0);
	if (gort__unlikely(!(slot_of(stack)->flags & GUARDED)))
		gp->flags |= GORT__G_UNGUARDED;
}

void gort__stack_put(gort__p *pp, uint32_t stack)
{
	if (gort__unlikely(pp->nstacks >= pool.cache)) {
		uint32_t keep = pool.cache / 2, n = pp->nstacks;

		/* the oldest, coldest ones go */
		gort__lock_lock(&pool.lock);
		for (uint32_t i = 0; i < n - keep; i++)
			list_push(&pool.warm, pp->stacks[i]);
		pool.nwarm += n - keep;
		gort__lock_unlock(&pool.lock);
		memmove(pp->stacks, pp->stacks + (n - keep), keep * sizeof pp->stacks[0]);
		pp->nstacks = keep;
	}
	pp->stacks[pp->nstacks++] = stack;
}

void gort__stack_give_all(gort__p *pp)
{
	gort__lock_lock(&pool.lock);
	while (pp->nstacks > 0) {
		list_push(&pool.warm, pp->stacks[--pp->nstacks]);
		pool.nwarm++;
	}
	pool.reserved -= pp->credits;
	pp->credits = 0;
	gort__lock_unlock(&pool.lock);
}

static void trim(uint32_t stack, size_t keep)
{
	struct arena *a = arena_of(stack);
	uintptr_t base = slot_base(stack);

	gort__os_discard((void *)(base + a->guard_size), a->slot_size - a->guard_size - keep);
}

void gort__stack_trim_cache(gort__p *pp)
{
	for (uint32_t i = 0; i < pp->nstacks; i++)
		trim(pp->stacks[i], KEEP);
}

bool gort__stack_trim_pool(void)
{
	/* a bounded piece at a time: the caller comes again */
	for (int i = 0; i < 4096; i++) {
		uint32_t stack;

		gort__lock_lock(&pool.lock);
		stack = list_pop(&pool.warm);
		if (stack != NIL)
			pool.nwarm--;
		gort__lock_unlock(&pool.lock);
		if (stack == NIL)
			return false;
		trim(stack, 0);
		gort__lock_lock(&pool.lock);
		list_push(&pool.cold, stack);
		gort__lock_unlock(&pool.lock);
	}
	return true;
}

int gort__stack_map(gort_g *gp, size_t bytes)
{
	size_t size = power_of_two(bytes, LEAST_SLOT);
	size_t guard = guard_size(size);
	char *p;

	if (size < bytes || size + guard < size)
		return -ENOMEM;
	p = gort__os_reserve(size + guard, pool.page);
	if (p == NULL)
		return -ENOMEM;
	GORT__STACK_SPACE(p, size + guard);
	if (pool.guard == GORT__GUARD_NONE || !gort__os_guard(pool.guard, p, guard))
		gp->flags |= GORT__G_UNGUARDED;
	gp->flags |= GORT__G_OWN_STACK;
	gp->stack_max = size + guard;
	gp->stack_lo = (uintptr_t)p + guard;
	gp->stack_hi = (uintptr_t)p + guard + size;
	gp->stack = GORT__STACK_REGISTER(gp->stack_lo, gp->stack_hi);
	return 0;
}

void gort__stack_unmap(gort_g *gp)
{
	uintptr_t lo = gp->stack_hi - gp->stack_max;

	/* an ended goroutine's last frames; all of one that was left is seen to where that is done */
	GORT__ASAN_CLEAN(gp->stack_hi - LEAK_SEEN, gp->stack_hi);
	GORT__STACK_DEREGISTER(gp->stack);
	gort__os_unmap((void *)lo, gp->stack_max);
	gp->stack_lo = gp->stack_hi = 0;
	gp->stack_max = 0;
}

/* A slot that was used. */
static void slot_end(uint32_t stack)
{
	struct arena *a = arena_of(stack);
	uintptr_t top = slot_base(stack) + a->slot_size;

#ifdef GORT__TSAN
	void *fiber = a->san[stack & ((1u << SLOT_BITS) - 1)];

	if (fiber != NULL)
		__tsan_destroy_fiber(fiber);
#endif
	GORT__LEAK_ROOT_END((void *)(top - LEAK_SEEN), LEAK_SEEN);
	/* what ended goroutines have left; that of the others is seen to where they are discarded */
	GORT__ASAN_CLEAN(top - LEAK_SEEN, top);
	GORT__STACK_DEREGISTER(slot_of(stack)->number);
}

void gort__stack_fini(void)
{
	uint32_t n = pool.narenas;

	gort__store_release(&pool.narenas, 0);  /* the fault handler looks at none any more */
	for (uint32_t i = 0; i < n; i++) {
		struct arena *a = &pool.arenas[i];
		uint32_t used = i < pool.fresh_arena ? a->slots : i == pool.fresh_arena ? pool.fresh_slot : 0;
		size_t shift = shift_of(a->slot_size);

		for (uint32_t k = 0; k < used; k++)
			slot_end(i << SLOT_BITS | k);
		gort__os_unmap((void *)(a->base - shift), shift + a->slots * a->slot_size);
		gort__os_pages_free(a->slot, a->slots * sizeof(struct slot));
		gort__os_pages_free(a->san, a->slots * sizeof(void *));
		*a = (struct arena){ 0 };
	}
}

size_t gort__stack_slot_max(void)
{
	return pool.small_slot - guard_size(pool.small_slot);
}

void gort__stack_stats(gort_stats *s)
{
	gort__lock_lock(&pool.lock);
	s->stacks = pool.reserved;
	s->stack_slots = pool.total;
	for (uint32_t i = 0; i < pool.narenas; i++)
		s->stack_bytes += (uint64_t)pool.arenas[i].slots * pool.arenas[i].slot_size;
	s->guard = pool.guard == GORT__GUARD_MADVISE ? GORT_GUARD_MADVISE :
		   pool.guard == GORT__GUARD_MPROTECT ? GORT_GUARD_MPROTECT : GORT_GUARD_NONE;
	gort__lock_unlock(&pool.lock);
}

bool gort__stack_find(uintptr_t addr, struct gort__stack_at *at)
{
	uint32_t n = gort__load_acquire(&pool.narenas);

	for (uint32_t i = 0; i < n; i++) {
		struct arena *a = &pool.arenas[i];
		uintptr_t off = addr - a->base;

		if (addr < a->base || off >= a->slot_size * a->slots)
			continue;
		at->stack = i << SLOT_BITS | (uint32_t)(off / a->slot_size);
		at->lo = a->base + off / a->slot_size * a->slot_size;
		at->hi = at->lo + a->slot_size;
		at->size = a->slot_size - a->guard_size;
		return off % a->slot_size < a->guard_size;
	}
	return false;
}

#ifdef GORT__TSAN
void **gort__stack_san(gort_g *gp)
{
	if (gp->flags & GORT__G_OWN_STACK)
		return &gp->san;
	return &arena_of(gp->stack)->san[gp->stack & ((1u << SLOT_BITS) - 1)];
}
#endif
