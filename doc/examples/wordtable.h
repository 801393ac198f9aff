/* SPDX-License-Identifier: MIT */
/*
 * wordcount's table of words: how often each distinct word was seen. Any number of goroutines may count into it at the
 * same time: it is cut into shards by the words' hash, each with a mutex of its own.
 */
#ifndef WORDTABLE_H
#define WORDTABLE_H

#include <gort/sync.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORD_SHARD_BITS = 5,
	WORD_SHARDS = 1 << WORD_SHARD_BITS,
	WORD_TOP = 20,
	WORD_SLACK = 8,         /* bytes of white space that must follow a text */
};

#define WORD_MAX ((size_t)1 << 30)      /* a word may be this long, so that a length fits 32 bits */

struct word {
	uint64_t count;
	uint32_t length;
	unsigned char bytes[];          /* not terminated */
};

struct word_table;

/* NULL: out of memory. */
struct word_table *word_table_new(void);
/* NULL is fine. */
void word_table_free(struct word_table *table);

/*
 * Counts the words of text: maximal runs of bytes other than \t \n \v \f \r and space. WORD_SLACK bytes of white space
 * must follow the size bytes, which saves looking for the end at every byte. Adds to *words how many there were.
 * Blocks. False: out of memory.
 */
bool word_table_count(struct word_table *table, const unsigned char *text, size_t size, uint64_t *words);

/* --- when all has been counted ---------------------------------------------------------------------------------- */

/* How many distinct words are in a shard. */
size_t word_table_distinct(const struct word_table *table, unsigned shard);

/*
 * The most frequent words, the best first; those of the same frequency in the order of their bytes. They are the
 * tables', which may neither grow nor be freed while they are used.
 */
struct word_top {
	const struct word *words[WORD_TOP];
	unsigned n;
};

/* Puts a word among the best, if it belongs there. */
void word_top_offer(struct word_top *top, const struct word *word);
/* Offers all words of a shard. */
void word_table_top(const struct word_table *table, unsigned shard, struct word_top *top);

/* Is c one of the six bytes that separate words? */
static inline bool word_space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

#endif
