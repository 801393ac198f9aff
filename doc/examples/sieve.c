/* SPDX-License-Identifier: MIT */
/*
 * sieve [N] - the primes up to N, from a chain of goroutines, one for each prime that was found
 *
 *     count --2 3 4 5 6 7 ...--> filter 2 --3 5 7 9 ...--> filter 3 --5 7 11 ...--> filter 5 --> ... --> main
 *
 * What reaches the end of the chain is a prime, and main puts one more filter there. Each goroutine owns the references
 * to the channels it uses and gives them up when it ends; a channel is freed with the last one.
 */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/sync.h>

#include "number.h"

#include <stdio.h>

struct stage {
	unsigned n;                     /* count: up to here; filter: the prime */
	gort_chan *in;                  /* unsigned; count has none */
	gort_chan *out;                 /* unsigned */
	gort_waitgroup *all;
};

static void count(void *arg)
{
	struct stage *s = arg;

	for (unsigned i = 2; i <= s->n; i++)
		gort_chan_send(s->out, &i);
	gort_chan_close(s->out);
	gort_chan_unref(s->out);
	gort_waitgroup_done(s->all);
}

static void filter(void *arg)
{
	struct stage *s = arg;
	unsigned i;

	while (gort_chan_recv(s->in, &i) == 0) {
		if (i % s->n != 0)
			gort_chan_send(s->out, &i);
	}
	gort_chan_close(s->out);
	gort_chan_unref(s->in);
	gort_chan_unref(s->out);
	gort_waitgroup_done(s->all);
}

/* Starts a stage that sends to a new channel, and takes over the reference to in. That channel, or NULL. */
static gort_chan *start(void (*fn)(void *arg), unsigned n, gort_chan *in, gort_waitgroup *all)
{
	struct stage s = { n, in, gort_chan_new(sizeof(unsigned), 32), all };
	gort_chan *out = gort_chan_ref(s.out);

	gort_waitgroup_add(all, 1);
	/* the goroutine gets a copy of s, as s goes out of scope here */
	if (s.out == NULL || gort_go_copy(fn, &s, sizeof s) != 0) {
		fprintf(stderr, "sieve: out of memory\n");
		gort_chan_unref(s.out);
		gort_chan_unref(out);
		return NULL;
	}
	return out;
}

GORT_MAIN(argc, argv)
{
	unsigned n = (unsigned)number_argument(argc, argv, 1000, 1000000);
	gort_waitgroup all = GORT_WAITGROUP_INIT;
	gort_chan *end = start(count, n, NULL, &all);
	unsigned prime;

	while (end != NULL && gort_chan_recv(end, &prime) == 0) {
		printf("%u\n", prime);
		end = start(filter, prime, end, &all);
	}
	if (end == NULL)
		return 1;               /* the goroutines there are end with the process */
	gort_chan_unref(end);
	gort_waitgroup_wait(&all);
	return fflush(stdout) == 0 ? 0 : 1;
}
