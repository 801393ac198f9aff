/* SPDX-License-Identifier: MIT */
/*
 * One end of what across.py has run over a bad link.
 *
 *     across serve ADDRESS             prints where it listens, and serves for ever
 *     across send ADDRESS BYTES MS     so many bytes each way at the same time, within MS milliseconds, and the sums of both
 *     across dial ADDRESS MS           prints whom it has reached
 *
 * What is sent begins with its length, and ends with the sum of what was received, so that either end knows.
 */
#include <gort/net.h>
#include <gort/sync.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 8192                      /* of 8 bytes, that are written at a time */

enum { FROM_CLIENT = 1, FROM_SERVER = 2 };

/* A generator for each direction; and a sum that knows the order. */
struct stream {
	uint64_t state, sum;
};

static void fill(struct stream *s, uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s->state ^= s->state << 13;
		s->state ^= s->state >> 7;
		s->state ^= s->state << 17;
		words[i] = s->state;
	}
}

static void add(struct stream *s, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->sum = (s->sum ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) + (s->sum >> 29);
}

static struct stream stream_of(int who)
{
	return (struct stream){ .state = UINT64_C(0x123456789abcdef) * (unsigned)who, .sum = 1 };
}

/* The sum of so many words by who. */
static uint64_t expected(int who, uint64_t words)
{
	struct stream s = stream_of(who);
	uint64_t block[WORDS];

	while (words > 0) {
		size_t n = words < WORDS ? (size_t)words : WORDS;

		fill(&s, block, n);
		add(&s, block, n);
		words -= n;
	}
	return s.sum;
}

struct half {
	gort_conn *c;
	int who;
	uint64_t words;
	int err;
	gort_waitgroup *wg;
};

static int write_all(gort_conn *c, const void *from, size_t n)
{
	ptrdiff_t k = gort_write(c, from, n);

	/* a short one's error comes with the next */
	if (k >= 0 && (size_t)k < n)
		k = gort_write(c, (const char *)from + k, n - (size_t)k);
	return k < 0 ? (int)k : 0;
}

static int read_all(gort_conn *c, void *to, size_t n)
{
	ptrdiff_t k = gort_read_full(c, to, n);

	return k < 0 ? (int)k : (size_t)k < n ? -EPIPE : 0;
}

static void send_words(void *arg)
{
	struct half *h = arg;
	struct stream s = stream_of(h->who);
	uint64_t block[WORDS], left = h->words;

	while (left > 0 && h->err == 0) {
		size_t n = left < WORDS ? (size_t)left : WORDS;

		fill(&s, block, n);
		h->err = write_all(h->c, block, n * sizeof *block);
		left -= n;
	}
	gort_waitgroup_done(h->wg);
}

/* Both ways at once. 0 when what came is what the other is known to send; the sums are told each other. */
static int exchange(gort_conn *c, int me, int other, uint64_t words)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	struct half h = { .c = c, .who = me, .words = words, .wg = &wg };
	struct stream s = stream_of(other);
	uint64_t block[WORDS], left = words, theirs = 0;
	int err = 0;

	gort_waitgroup_add(&wg, 1);
	if (gort_go(send_words, &h) != 0)
		return -ENOMEM;
	while (left > 0 && err == 0) {
		size_t n = left < WORDS ? (size_t)left : WORDS;

		err = read_all(c, block, n * sizeof *block);
		if (err == 0)
			add(&s, block, n);
		left -= n;
	}
	gort_waitgroup_wait(&wg);
	if (err == 0)
		err = h.err;
	if (err == 0)
		err = write_all(c, &s.sum, sizeof s.sum);
	if (err == 0)
		err = read_all(c, &theirs, sizeof theirs);
	if (err == 0 && (s.sum != expected(other, words) || theirs != expected(me, words)))
		err = -EBADMSG;
	return err;
}

static void serve(void *arg)
{
	gort_conn *c = arg;
	uint64_t words;

	if (read_all(c, &words, sizeof words) == 0)
		exchange(c, FROM_SERVER, FROM_CLIENT, words);
	gort_conn_close(c);
}

static int fail(const char *what, int err)
{
	printf("%s: %s\n", what, gort_strerror(err));
	return 1;
}

static int serve_all(const char *address)
{
	gort_listener *l;
	gort_conn *c;
	char at[128];
	int err = gort_listen(&l, "tcp", address, NULL);

	if (err != 0)
		return fail(address, err);
	gort_listener_addr(l, at, sizeof at);
	printf("%s\n", at);
	fflush(stdout);
	while ((err = gort_accept(l, &c)) == 0) {
		if (gort_go(serve, c) != 0)
			gort_conn_close(c);
	}
	return fail("accept", err);
}

static int send_all(const char *address, uint64_t bytes, gort_time by)
{
	uint64_t words = bytes / 8;
	gort_conn *c;
	int err = gort_dial(&c, "tcp", address, by);

	if (err != 0)
		return fail("dial", err);
	printf("connected\n");
	fflush(stdout);
	gort_conn_set_deadline(c, by);
	err = write_all(c, &words, sizeof words);
	if (err == 0)
		err = exchange(c, FROM_CLIENT, FROM_SERVER, words);
	gort_conn_close(c);
	if (err != 0)
		return fail("send", err);
	printf("%" PRIu64 " bytes each way\n", words * 8);
	return 0;
}

static int dial(const char *address, gort_time by)
{
	gort_time began = gort_now();
	gort_conn *c;
	char at[128];
	int err = gort_dial(&c, "tcp", address, by);

	if (err == 0) {
		gort_conn_remote_addr(c, at, sizeof at);
		gort_conn_close(c);
	}
	printf("%" PRId64 " %s\n", (gort_now() - began) / GORT_MILLISECOND, err == 0 ? at : gort_strerror(err));
	return err != 0;
}

GORT_MAIN(argc, argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve_all(argv[2]);
	if (argc == 5 && strcmp(argv[1], "send") == 0)
		return send_all(argv[2], strtoull(argv[3], NULL, 10), gort_deadline(strtol(argv[4], NULL, 10) * GORT_MILLISECOND));
	if (argc == 4 && strcmp(argv[1], "dial") == 0)
		return dial(argv[2], gort_deadline(strtol(argv[3], NULL, 10) * GORT_MILLISECOND));
	fprintf(stderr, "usage: across serve ADDRESS | across send ADDRESS BYTES MS | across dial ADDRESS MS\n");
	return 2;
}
