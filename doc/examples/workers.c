/* SPDX-License-Identifier: MIT */
/*
 * workers [N] - how many primes are below N: a pool of workers, one for each processor, takes ranges to look through
 *
 *            +--> worker --+
 *     hand_out --> worker --+--> main
 *            +--> worker --+
 *
 * All workers receive from one channel: who is done takes the next job, so that long and short ones even out. They are
 * counted as senders of the other channel (gort_chan_add_sender), which the last of them closes; that tells main that
 * all results are there.
 */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/sync.h>

#include "number.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define RANGE 10000

struct job {
	uint32_t from, to;
};

struct pool {
	uint32_t n;
	gort_chan *jobs;                /* struct job */
	gort_chan *results;             /* uint32_t */
};

static bool is_prime(uint32_t n)
{
	if (n < 2)
		return false;
	for (uint32_t i = 2; i <= n / i; i++) {
		if (n % i == 0)
			return false;
	}
	return true;
}

static void work(void *arg)
{
	struct pool *p = arg;
	struct job job;

	while (gort_chan_recv(p->jobs, &job) == 0) {
		uint32_t primes = 0;

		for (uint32_t i = job.from; i < job.to; i++)
			primes += is_prime(i);
		gort_chan_send(p->results, &primes);
	}
	gort_chan_sender_done(p->results);
}

static void hand_out(void *arg)
{
	struct pool *p = arg;
	struct job job = { 0, 0 };

	while (job.to < p->n) {
		job.from = job.to;
		job.to = p->n - job.from < RANGE ? p->n : job.from + RANGE;
		gort_chan_send(p->jobs, &job);
	}
	gort_chan_close(p->jobs);
}

GORT_MAIN(argc, argv)
{
	struct pool p = { .n = (uint32_t)number_argument(argc, argv, 1000000, UINT32_MAX) };
	gort_waitgroup all = GORT_WAITGROUP_INIT;
	int workers = gort_maxprocs(), started = 0;
	uint32_t primes, sum = 0;
	int status = 1;

	p.jobs = gort_chan_new(sizeof(struct job), 16);
	p.results = gort_chan_new(sizeof(uint32_t), 16);
	if (p.jobs == NULL || p.results == NULL) {
		fprintf(stderr, "workers: out of memory\n");
		goto out;
	}
	gort_chan_add_sender(p.results, workers);
	while (started < workers && gort_waitgroup_go(&all, work, &p) == 0)
		started++;
	/* fewer will do; none will not */
	if (started < workers)
		gort_chan_add_sender(p.results, started - workers);
	if (started == 0 || gort_waitgroup_go(&all, hand_out, &p) != 0) {
		fprintf(stderr, "workers: cannot start a goroutine\n");
		gort_chan_close(p.jobs);
		goto out;
	}
	while (gort_chan_recv(p.results, &primes) == 0)
		sum += primes;
	printf("%u primes below %u\n", (unsigned)sum, (unsigned)p.n);
	status = fflush(stdout) == 0 ? 0 : 1;
out:
	gort_waitgroup_wait(&all);
	gort_chan_unref(p.jobs);
	gort_chan_unref(p.results);
	return status;
}
