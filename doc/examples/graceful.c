/* SPDX-License-Identifier: MIT */
/*
 * graceful [MS] - begins a job every 10 ms, each of which takes MS milliseconds; on Ctrl-C it finishes those begun, and ends
 *
 * What a server does: SIGINT comes through a channel, as anything else does that main waits for. Then nothing new is begun,
 * and the jobs under way get some time. Since the signal is given back first, a second Ctrl-C ends the program at once.
 */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/signal.h>
#include <gort/sync.h>
#include <gort/typed.h>

#include "number.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define PATIENCE (60 * GORT_SECOND)

typedef gort_chan_of(int) signal_chan;
typedef gort_chan_of(gort_time) time_chan;

struct job {
	unsigned long number;
	gort_duration takes;
	gort_waitgroup *all;
};

static void work(void *arg)
{
	struct job *job = arg;

	gort_sleep(job->takes);
	printf("job %lu is done\n", job->number);
	gort_waitgroup_done(job->all);
}

/* Begins jobs until an interrupt comes. How many, or a negative errno. */
static long serve(signal_chan interrupts, time_chan ticks, gort_duration takes, gort_waitgroup *all)
{
	for (struct job job = { 1, takes, all };; job.number++) {
		int signo;

		switch (GORT_SELECT(GORT_ON_RECV(interrupts, &signo), GORT_ON_RECV(ticks, NULL))) {
		case 0:
			return (long)job.number - 1;
		case 1:
			gort_waitgroup_add(all, 1);
			printf("job %lu has begun\n", job.number);
			fflush(stdout);
			if (gort_go_copy(work, &job, sizeof job) != 0) {
				gort_waitgroup_done(all);
				return -ENOMEM;
			}
		}
	}
}

GORT_MAIN(argc, argv)
{
	gort_duration takes = (gort_duration)number_argument(argc, argv, 200, 1000000) * GORT_MILLISECOND;
	signal_chan interrupts = gort_make(signal_chan, 1);
	gort_ticker *ticker = gort_ticker_new(10 * GORT_MILLISECOND);
	static gort_waitgroup all;      /* of jobs that may outlive main's patience */
	long begun = -ENOMEM;
	int err;

	if (gort_untyped(interrupts) != NULL && ticker != NULL)
		begun = gort_signal_notify(gort_untyped(interrupts), SIGINT);
	if (begun == 0)
		begun = serve(interrupts, gort_typed(time_chan, gort_ticker_chan(ticker)), takes, &all);
	if (begun < 0) {
		fprintf(stderr, "graceful: %s\n", gort_strerror((int)begun));
		return 1;
	}
	printf("interrupted\n");
	fflush(stdout);
	gort_signal_stop(gort_untyped(interrupts));
	gort_ticker_free(ticker);
	gort_drop(interrupts);
	err = gort_waitgroup_wait_until(&all, gort_deadline(PATIENCE));
	if (err != 0) {
		fprintf(stderr, "graceful: some jobs take too long\n");
		return 1;
	}
	printf("%ld jobs are done\n", begun);
	return fflush(stdout) == 0 ? 0 : 1;
}
