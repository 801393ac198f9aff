/* SPDX-License-Identifier: MIT */
/* The memory of the explorer: histories, views and clocks, as described in model.h. state.c makes a hash of it. */
#include "internal.h"

#include <string.h>

struct loc locs[LOCS];
int nlocs;
bool no_heavy;

uint8_t fences[LOCS];

#define ME ((unsigned)(self - threads))

/* --- locations --- */

void memory_forget(void)
{
	memset(locs, 0, sizeof locs);
	nlocs = 0;
}

void memory_reset(void)
{
	memset(fences, 0, sizeof fences);
	no_heavy = false;
	for (struct loc *l = locs; l < locs + nlocs; l++) {
		l->n = 0;
		l->demoted = 0;
		l->split = false;
		l->writer = l->written = 0;
		memset(l->read, 0, sizeof l->read);
	}
}

struct loc *loc_find(const void *at)
{
	for (struct loc *l = locs; l < locs + nlocs; l++) {
		if (l->at == at)
			return l;
	}
	return NULL;
}

static struct loc *loc_make(const void *at)
{
	struct loc *l = loc_find(at);

	if (l == NULL) {
		if (nlocs == LOCS)
			model_fail("more than %d locations: raise LOCS", LOCS);
		l = &locs[nlocs++];
		l->at = at;
	}
	return l;
}

uint64_t peek(const void *at, size_t size)
{
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;

	switch (size) {
	case 1:
		memcpy(&a, at, 1);
		return a;
	case 2:
		memcpy(&b, at, 2);
		return b;
	case 4:
		memcpy(&c, at, 4);
		return c;
	default:
		memcpy(&d, at, 8);
		return d;
	}
}

static void poke(void *at, size_t size, uint64_t v)
{
	uint8_t a = (uint8_t)v;
	uint16_t b = (uint16_t)v;
	uint32_t c = (uint32_t)v;

	memcpy(at, size == 1 ? (void *)&a : size == 2 ? (void *)&b : size == 4 ? (void *)&c : (void *)&v, size);
}

/* The location of an atomic operation. What setup stored is its first store. */
static struct loc *loc_get(const void *at, size_t size)
{
	struct loc *l = loc_make(at);
	uint64_t there = peek(at, size);

	if (l->plain)
		model_fail("both plain and atomic accesses to %s", l->name != NULL ? l->name : "an unnamed location");
	l->size = (uint8_t)size;
	if (l->n == 0) {
		l->n = 1;
		l->stores[0].value = there;
		memset(&l->stores[0].with, 0, sizeof l->stores[0].with);
	} else if (l->stores[l->n - 1].value != there) {
		model_fail("%s was changed behind the explorer's back", l->name != NULL ? l->name : "an unnamed location");
	}
	return l;
}

uint64_t loc_newest(struct loc *l)
{
	return l->stores[l->n - 1].value;
}

void model_name(const void *at, const char *name, void (*show)(char *buf, size_t size, uint64_t value))
{
	struct loc *l = loc_make(at);

	l->name = name;
	l->show = show;
}

void model_demote(const void *at, int kinds)
{
	loc_make(at)->demoted = (uint8_t)kinds;
}

void model_split(const void *at)
{
	loc_make(at)->split = true;
}

void model_drop_fences(int thread)
{
	threads[thread].no_fences = true;
}

void model_drop_heavy(void)
{
	no_heavy = true;
}

/* --- knowing --- */

static void join_view(uint8_t *to, const uint8_t *from)
{
	for (int i = 0; i < nlocs; i++)
		to[i] = to[i] > from[i] ? to[i] : from[i];
}

static void join(struct know *to, const struct know *from)
{
	join_view(to->view, from->view);
	for (int i = 0; i < MODEL_THREADS; i++)
		to->clock[i] = to->clock[i] > from->clock[i] ? to->clock[i] : from->clock[i];
}

static void saw(struct loc *l, int i)
{
	long x = l - locs;

	if (self->now.view[x] < i)
		self->now.view[x] = (uint8_t)i;
	if (self->later.view[x] < i)
		self->later.view[x] = (uint8_t)i;
}

static uint64_t read_from(struct loc *l, int i, model_order order)
{
	saw(l, i);
	self->found[l - locs] = (uint8_t)i;
	join(&self->later, &l->stores[i].with);
	if (order & MODEL_ACQUIRE)
		join(&self->now, &l->stores[i].with);
	return l->stores[i].value;
}

/* passing_on: a read-modify-write's store carries also what the one that it read carried. */
static void append(struct loc *l, uint64_t value, model_order order, bool passing_on)
{
	struct store *s = &l->stores[l->n];

	if (l->n == STORES)
		model_fail("more than %d stores to %s: raise STORES", STORES, l->name != NULL ? l->name : "a location");
	s->value = value;
	s->with = order & MODEL_RELEASE ? self->now : self->fenced;
	if (passing_on)
		join(&s->with, &s[-1].with);
	s->with.view[l - locs] = (uint8_t)l->n;
	saw(l, l->n);
	if (order == MODEL_SEQ_CST)
		fences[l - locs] = (uint8_t)l->n;
	l->n++;
	poke((void *)(uintptr_t)l->at, l->size, value);
}

/* The part of a full fence that another thread's interrupt can play. */
static void exchange_views(struct thread *t)
{
	join_view(t->now.view, t->later.view);
	join_view(fences, t->now.view);
	join_view(t->now.view, fences);
	join_view(t->later.view, fences);
	join_view(t->fenced.view, t->now.view);
}

/* --- the operations --- */

static model_order weakened(struct loc *l, int kind, model_order order)
{
	return l->demoted & kind ? MODEL_RELAXED : order;
}

const void *model_load(const void *at, size_t size, void *out, model_order order)
{
	struct loc *l;
	int floor, i;

	if (direct) {
		memcpy(out, at, size);
		return out;
	}
	l = loc_get(at, size);
	step(l, false);
	order = weakened(l, MODEL_LOADS, order);
	floor = self->now.view[l - locs];
	if (order == MODEL_SEQ_CST && floor < fences[l - locs])
		floor = fences[l - locs];
	i = l->n - 1 - (int)choose((unsigned)(l->n - floor));
	poke(out, size, read_from(l, i, order));
	record(E_LOAD, l, l->stores[i].value, 0, order, (unsigned)(l->n - 1 - i));
	return out;
}

void model_store(void *at, size_t size, const void *value, model_order order)
{
	struct loc *l;

	if (direct) {
		memcpy(at, value, size);
		return;
	}
	l = loc_get(at, size);
	step(l, true);
	order = weakened(l, MODEL_STORES, order);
	append(l, peek(value, size), order, false);
	record(E_STORE, l, peek(value, size), 0, order, 0);
}

bool model_cas(void *at, size_t size, void *expected, const void *value, model_order order, model_order failed)
{
	struct loc *l;
	uint64_t want = peek(expected, size);
	int found[STORES], n = 0, i;

	if (direct) {
		if (memcmp(at, expected, size) == 0) {
			memcpy(at, value, size);
			return true;
		}
		memcpy(expected, at, size);
		return false;
	}
	l = loc_get(at, size);
	step(l, true);
	order = weakened(l, MODEL_RMWS, order);
	failed = weakened(l, MODEL_RMWS, failed);
	/* it succeeds on the newest store only, and may fail on any that it may read and that has another value */
	for (i = l->n - 1; i >= self->now.view[l - locs]; i--) {
		if (i == l->n - 1 || l->stores[i].value != want)
			found[n++] = i;
	}
	i = found[choose((unsigned)n)];
	if (l->stores[i].value != want) {
		poke(expected, size, read_from(l, i, failed));
		record(E_CAS_FAILED, l, l->stores[i].value, want, failed, (unsigned)(l->n - 1 - i));
		return false;
	}
	read_from(l, i, order);
	if (l->split) {
		record(E_LOAD, l, want, 0, order, 0);
		step(l, true);
		append(l, peek(value, size), order, false);
		record(E_STORE, l, peek(value, size), 0, order, 0);
		return true;
	}
	append(l, peek(value, size), order, true);
	record(E_CAS, l, want, peek(value, size), order, 0);
	return true;
}

static void replace(enum event_kind kind, void *at, size_t size, const void *value, void *out, model_order order)
{
	uint64_t old, v = peek(value, size);
	struct loc *l;

	if (direct) {
		old = peek(at, size);
		poke(at, size, kind == E_ADD ? old + v : v);
		poke(out, size, old);
		return;
	}
	l = loc_get(at, size);
	step(l, true);
	order = weakened(l, MODEL_RMWS, order);
	old = read_from(l, l->n - 1, order);
	poke(out, size, old);
	if (kind == E_ADD)
		v += old;
	if (size < 8)
		v &= ((uint64_t)1 << 8 * size) - 1;
	append(l, v, order, true);
	record(kind, l, old, v, order, 0);
}

void model_xchg(void *at, size_t size, const void *value, void *out, model_order order)
{
	replace(E_XCHG, at, size, value, out, order);
}

void model_add(void *at, size_t size, const void *value, void *out, model_order order)
{
	replace(E_ADD, at, size, value, out, order);
}

void model_fence(void)
{
	if (direct || self->no_fences)
		return;
	step(NULL, true);
	join(&self->now, &self->later);
	exchange_views(self);
	self->later = self->fenced = self->now;
	record(E_FENCE, NULL, 0, 0, MODEL_SEQ_CST, 0);
}

void model_fence_heavy(void)
{
	unsigned rest;

	if (direct || no_heavy)
		return;
	rest = live() & ~(1u << ME);
	/* no step: gort__fence_heavy has just fenced */
	exchange_views(self);
	record(E_HEAVY, NULL, 0, 0, 0, 0);
	for (int t = 0; t < nthreads; t++) {
		/* not on a processor: has passed one since it was */
		if (threads[t].status == DONE || threads[t].status == SLEEPING) {
			exchange_views(&threads[t]);
			rest &= ~(1u << t);
		}
	}
	while (rest != 0) {
		unsigned k, bit;

		step(NULL, true);
		k = choose((unsigned)__builtin_popcount(rest));
		bit = rest;

		while (k-- > 0)
			bit &= bit - 1;
		bit = (unsigned)__builtin_ctz(bit);
		rest &= ~(1u << bit);
		exchange_views(&threads[bit]);
		record_other(E_HEAVY_AT, NULL, bit);
	}
	exchange_views(self);
}

/* --- plain memory --- */

static struct loc *plain_get(const void *at, size_t size)
{
	struct loc *l = loc_make(at);

	if (l->n != 0)
		model_fail("both plain and atomic accesses to %s", l->name != NULL ? l->name : "an unnamed location");
	l->plain = true;
	l->size = (uint8_t)size;
	learn(l, false);
	return l;
}

static uint8_t tick(void)
{
	uint8_t c = ++self->now.clock[ME];

	if (c == UINT8_MAX)
		model_fail("too many plain accesses");
	if (self->later.clock[ME] < c)
		self->later.clock[ME] = c;
	return c;
}

static void race(struct loc *l, const char *what, unsigned other)
{
	model_fail("data race on %s: %s by %s, not ordered after what %s did", l->name != NULL ? l->name : "plain memory",
		   what, self->name, threads[other].name);
}

const void *model_plain_read(const void *at, size_t size)
{
	struct loc *l;

	if (direct)
		return at;
	l = plain_get(at, size);
	record(E_READ, l, peek(at, size), 0, 0, 0);
	if (l->written > self->now.clock[l->writer])
		race(l, "read", l->writer);
	l->read[ME] = tick();
	return at;
}

void model_plain_write(const void *at, size_t size)
{
	struct loc *l;

	if (direct)
		return;
	l = plain_get(at, size);
	record(E_WRITE, l, peek(at, size), 0, 0, 0);
	if (l->written > self->now.clock[l->writer])
		race(l, "write", l->writer);
	for (unsigned t = 0; t < MODEL_THREADS; t++) {
		if (l->read[t] > self->now.clock[t])
			race(l, "write", t);
	}
	memset(l->read, 0, sizeof l->read);
	l->writer = (uint8_t)ME;
	l->written = tick();
}

/* --- locks and futexes --- */

void model_lock(uint32_t *word)
{
	struct loc *l;

	if (direct)
		return;
	l = loc_get(word, sizeof *word);
	learn(l, true);
	wait_for(LOCKING, l);
	read_from(l, l->n - 1, MODEL_ACQUIRE);
	append(l, 1, MODEL_RELAXED, true);
	record(E_LOCK, l, 0, 0, MODEL_ACQUIRE, 0);
}

/* No place to switch: nobody can do anything with the word while it is held, so it may as well be free already. */
void model_unlock(uint32_t *word)
{
	struct loc *l;

	if (direct)
		return;
	l = loc_get(word, sizeof *word);
	append(l, 0, MODEL_RELEASE, false);
	record(E_UNLOCK, l, 0, 0, MODEL_RELEASE, 0);
}

void model_spin(const void *at)
{
	struct loc *l = loc_find(at);
	long x = l - locs;

	l->spun = true;
	/* newer than what it found, not than what it knows of by now: a heavy fence may have told it more meanwhile */
	wait_for(SPINNING, l);
	if (self->now.view[x] <= self->found[x])
		self->now.view[x] = (uint8_t)(self->found[x] + 1);
	if (self->later.view[x] < self->now.view[x])
		self->later.view[x] = self->now.view[x];
}

/*
 * The kernel's part: the waiter counts itself in, fences and looks at the word, the waker fences and looks for waiters.
 * So one of them sees the other, but what else they see is not ordered by it.
 */
void model_futex_wait(const uint32_t *word, uint32_t expected)
{
	struct loc *l = loc_get(word, sizeof *word);
	int i;

	learn(l, false);
	step(NULL, true);
	exchange_views(self);
	i = l->n - 1 - (int)choose((unsigned)(l->n - self->now.view[l - locs]));
	if (read_from(l, i, MODEL_RELAXED) != expected) {
		record(E_NO_SLEEP, l, l->stores[i].value, expected, 0, (unsigned)(l->n - 1 - i));
		return;
	}
	record(E_SLEEP, l, expected, 0, 0, (unsigned)(l->n - 1 - i));
	wait_for(SLEEPING, l);
}

void model_futex_wake(const uint32_t *word, int n)
{
	struct loc *l = loc_get(word, sizeof *word);

	step(NULL, true);
	exchange_views(self);
	if (n < 0)
		model_fail("futex wake of %d", n);
	record(E_WAKE, l, (uint64_t)n, 0, 0, 0);
	while (n-- > 0) {
		unsigned sleepers[MODEL_THREADS], k = 0;

		for (int t = 0; t < nthreads; t++) {
			if (threads[t].status == SLEEPING && threads[t].on == l)
				sleepers[k++] = (unsigned)t;
		}
		if (k == 0)
			return;
		k = sleepers[choose(k)];
		threads[k].status = READY;
		threads[k].resuming = true;
		record_other(E_WAKE, l, k);
	}
}
