/* SPDX-License-Identifier: MIT */
/*
 * ratelimit RATE [BURST] - copies lines from its input to its output, no more than RATE a second
 *
 * A line takes a token, of which there is a bucket: a channel with room for BURST of them, 1 unless given. It is full in the
 * beginning, and with every tick of a ticker one comes back, if there is room. So after a quiet time up to BURST lines may
 * follow each other at once; in the long run it is RATE a second.
 */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/sync.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST 1000000

struct bucket {
	gort_chan *tokens;              /* without values: only how many there are matters */
	gort_chan *quit;                /* closed at the end */
	gort_ticker *ticker;
};

static void refill(void *arg)
{
	struct bucket *b = arg;
	gort_case cases[] = { GORT_CASE_RECV(gort_ticker_chan(b->ticker), NULL), GORT_CASE_RECV(b->quit, NULL) };

	while (gort_select(cases, 2) == 0)
		gort_chan_try_send(b->tokens, NULL);    /* a full bucket stays so */
}

static bool copy_lines(struct bucket *b)
{
	char *line = NULL;
	size_t room = 0;
	bool good = true;

	while (good && getline(&line, &room, stdin) >= 0) {
		gort_chan_recv(b->tokens, NULL);
		good = fputs(line, stdout) >= 0 && fflush(stdout) == 0;
	}
	free(line);
	return good && feof(stdin);
}

/* A number from 1 to MOST, or 0. */
static unsigned number(const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	return *text < '0' || *text > '9' || *end != '\0' || errno != 0 || n > MOST ? 0 : (unsigned)n;
}

GORT_MAIN(argc, argv)
{
	unsigned rate = argc == 2 || argc == 3 ? number(argv[1]) : 0, burst = argc == 3 ? number(argv[2]) : 1;
	gort_waitgroup all = GORT_WAITGROUP_INIT;
	struct bucket b = { NULL, NULL, NULL };
	bool good = false;

	if (rate == 0 || burst == 0) {
		fprintf(stderr, "usage: %s RATE [BURST] <LINES (numbers from 1 to %d)\n", argv[0], MOST);
		return 2;
	}
	b.tokens = gort_chan_new(0, burst);
	b.quit = gort_chan_new(0, 0);
	b.ticker = gort_ticker_new(GORT_SECOND / rate);
	while (gort_chan_try_send(b.tokens, NULL) == 0) {
	}
	if (b.tokens == NULL || b.quit == NULL || b.ticker == NULL || gort_waitgroup_go(&all, refill, &b) != 0)
		fprintf(stderr, "ratelimit: out of memory\n");
	else
		good = copy_lines(&b);
	if (b.quit != NULL)
		gort_chan_close(b.quit);
	gort_waitgroup_wait(&all);
	gort_ticker_free(b.ticker);
	gort_chan_unref(b.tokens);
	gort_chan_unref(b.quit);
	return good ? 0 : 1;
}
