/* SPDX-License-Identifier: MIT */
/*
 * Open addressing with linear probing. A slot has eight bytes: the word's hash, and where the word lies among the
 * shard's words, which stand one behind the other, so that a new one costs no malloc.
 *
 * In a big tree most words are rare and the table is far larger than any cache. So the words of a text are first found,
 * hashed and sorted by shard, and their slots prefetched; and a shard is locked for many words at once.
 */
#include "wordtable.h"

#include <stdlib.h>
#include <string.h>

enum {
	BATCH = 64,                     /* words of a shard looked up together */
	FIRST_SLOTS = 64,               /* of a shard; a power of two */
	FIRST_BYTES = 1024,
	UNIT = 8,                       /* alignment of struct word */
};

struct slot {
	uint32_t hash;
	uint32_t at;                    /* in units from the start of words; 0: this slot is free */
};

struct shard {
	gort_mutex lock;                /* of all below */
	struct slot *slots;
	size_t mask;                    /* number of slots - 1 */
	size_t nwords;
	unsigned char *words;           /* struct word, each rounded up to units; the first unit is not used */
	size_t used, room;              /* units */
};

struct word_table {
	struct shard shards[WORD_SHARDS];
};

struct word_table *word_table_new(void)
{
	struct word_table *table = calloc(1, sizeof *table);

	for (unsigned i = 0; table != NULL && i < WORD_SHARDS; i++) {
		struct shard *shard = &table->shards[i];

		shard->slots = calloc(FIRST_SLOTS, sizeof *shard->slots);
		shard->mask = FIRST_SLOTS - 1;
		shard->words = malloc(FIRST_BYTES);
		shard->used = 1;
		shard->room = FIRST_BYTES / UNIT;
		if (shard->slots == NULL || shard->words == NULL) {
			word_table_free(table);
			table = NULL;
		}
	}
	return table;
}

void word_table_free(struct word_table *table)
{
	if (table == NULL)
		return;
	for (unsigned i = 0; i < WORD_SHARDS; i++) {
		free(table->shards[i].slots);
		free(table->shards[i].words);
	}
	free(table);
}

/* --- slots and words -------------------------------------------------------------------------------------------- */

static struct word *word_at(const struct shard *shard, uint32_t at)
{
	return (struct word *)(void *)(shard->words + (size_t)at * UNIT);
}

/* The slot of this word, or the free one where it belongs. */
static struct slot *find(const struct shard *shard, const unsigned char *bytes, uint32_t length, uint32_t hash)
{
	for (size_t i = hash;; i++) {
		struct slot *slot = &shard->slots[i & shard->mask];

		if (slot->at == 0)
			return slot;
		if (slot->hash == hash) {
			const struct word *word = word_at(shard, slot->at);

			if (word->length == length && memcmp(word->bytes, bytes, length) == 0)
				return slot;
		}
	}
}

/* Doubles the slots. False: out of memory. */
static bool more_slots(struct shard *shard)
{
	size_t mask = 2 * shard->mask + 1;
	struct slot *slots = calloc(mask + 1, sizeof *slots);

	if (slots == NULL)
		return false;
	for (size_t i = 0; i <= shard->mask; i++) {
		const struct slot *slot = &shard->slots[i];
		size_t to = slot->hash;

		if (slot->at == 0)
			continue;
		while (slots[to & mask].at != 0)
			to++;
		slots[to & mask] = *slot;
	}
	free(shard->slots);
	shard->slots = slots;
	shard->mask = mask;
	return true;
}

/* Doubles the room for words, or more for a long one. False: out of memory. */
static bool more_room(struct shard *shard, size_t units)
{
	size_t room = shard->room + (units > shard->room ? units : shard->room);
	void *words = shard->used + units <= UINT32_MAX ? realloc(shard->words, room * UNIT) : NULL;

	if (words == NULL)
		return false;
	shard->words = words;
	shard->room = room;
	return true;
}

/* Counts a word once more, a new one if need be. False: out of memory. */
static bool add(struct shard *shard, const unsigned char *bytes, uint32_t length, uint32_t hash)
{
	struct slot *slot = find(shard, bytes, length, hash);
	size_t units = (sizeof(struct word) + length + UNIT - 1) / UNIT;
	struct word *word;

	if (slot->at != 0) {
		word_at(shard, slot->at)->count++;
		return true;
	}
	if (shard->nwords >= (shard->mask + 1) / 8 * 5) {       /* three slots in eight stay free */
		if (!more_slots(shard))
			return false;
		slot = find(shard, bytes, length, hash);
	}
	if (units > shard->room - shard->used && !more_room(shard, units))
		return false;
	*slot = (struct slot){ hash, (uint32_t)shard->used };
	shard->used += units;
	shard->nwords++;
	word = word_at(shard, slot->at);
	word->count = 1;
	word->length = length;
	memcpy(word->bytes, bytes, length);
	return true;
}

/* --- counting --------------------------------------------------------------------------------------------------- */

/* Eight bytes, the first one lowest; compilers make one load of it. */
static inline uint64_t load8(const unsigned char *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
	       (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

#define EACH(byte) (0x0101010101010101 * (uint64_t)(byte))

/* Eight bytes at once: the upper bit of each byte that is white space. No sum below carries into the next byte. */
static inline uint64_t spaces(uint64_t v)
{
	uint64_t low = v & EACH(0x7f);
	uint64_t from_tab = low + EACH(0x80 - '\t');
	uint64_t after_cr = low + EACH(0x80 - '\r' - 1);
	uint64_t no_blank = (low ^ EACH(' ')) + EACH(0x7f);

	return ((from_tab & ~after_cr) | ~no_blank) & ~v & EACH(0x80);
}

static inline uint64_t mix(uint64_t hash, uint64_t v)
{
	hash = (hash ^ v) * 0x9fb21c651e98df25;
	return hash ^ hash >> 32;
}

struct token {
	const unsigned char *bytes;
	uint32_t length, hash;
};

/* Finds and hashes the next word in one pass: its shard is the hash's upper bits. -1: there is none. */
static inline int next_token(const unsigned char **at, const unsigned char *end, struct token *token)
{
	const unsigned char *p = *at;
	uint64_t hash = 0, v, found;

	while (p < end && (found = ~spaces(load8(p)) & EACH(0x80)) == 0)
		p += 8;
	if (p >= end)
		return -1;
	p += __builtin_ctzll(found) / 8;
	if (p >= end)
		return -1;
	token->bytes = p;
	while ((found = spaces(v = load8(p))) == 0) {
		hash = mix(hash, v);
		p += 8;
	}
	/* the bytes in front of the first white space; the length tells "a" from "a\0" */
	v &= (found & -found) / 0x80 - 1;
	p += __builtin_ctzll(found) / 8;
	token->length = (uint32_t)(p - token->bytes);
	hash = mix(mix(hash, v), token->length);
	token->hash = (uint32_t)hash;
	*at = p;
	return (int)(hash >> (64 - WORD_SHARD_BITS));
}

static bool count_batch(struct shard *shard, const struct token *tokens, unsigned n)
{
	bool good = true;

	gort_mutex_lock(&shard->lock);
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(&shard->slots[tokens[i].hash & shard->mask]);
	for (unsigned i = 0; i < n && good; i++)
		good = add(shard, tokens[i].bytes, tokens[i].length, tokens[i].hash);
	gort_mutex_unlock(&shard->lock);
	return good;
}

bool word_table_count(struct word_table *table, const unsigned char *text, size_t size, uint64_t *words)
{
	const unsigned char *end = text + size;
	struct token batches[WORD_SHARDS][BATCH], token;
	unsigned n[WORD_SHARDS] = { 0 };
	int shard;

	while ((shard = next_token(&text, end, &token)) >= 0) {
		batches[shard][n[shard]++] = token;
		if (n[shard] == BATCH) {
			if (!count_batch(&table->shards[shard], batches[shard], BATCH))
				return false;
			n[shard] = 0;
			*words += BATCH;
		}
	}
	for (unsigned i = 0; i < WORD_SHARDS; i++) {
		if (n[i] > 0 && !count_batch(&table->shards[i], batches[i], n[i]))
			return false;
		*words += n[i];
	}
	return true;
}

/* --- what was counted ------------------------------------------------------------------------------------------- */

size_t word_table_distinct(const struct word_table *table, unsigned shard)
{
	return table->shards[shard].nwords;
}

/* Is a to be shown before b? */
static bool before(const struct word *a, const struct word *b)
{
	int order;

	if (a->count != b->count)
		return a->count > b->count;
	order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
	return order != 0 ? order < 0 : a->length < b->length;
}

void word_top_offer(struct word_top *top, const struct word *word)
{
	unsigned i;

	if (top->n == WORD_TOP && !before(word, top->words[WORD_TOP - 1]))
		return;
	i = top->n < WORD_TOP ? top->n++ : WORD_TOP - 1;
	for (; i > 0 && before(word, top->words[i - 1]); i--)
		top->words[i] = top->words[i - 1];
	top->words[i] = word;
}

void word_table_top(const struct word_table *table, unsigned shard, struct word_top *top)
{
	const struct shard *s = &table->shards[shard];

	for (size_t at = 1; at < s->used;) {
		const struct word *word = word_at(s, (uint32_t)at);

		word_top_offer(top, word);
		at += (sizeof *word + word->length + UNIT - 1) / UNIT;
	}
}
