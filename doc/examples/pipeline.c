/* SPDX-License-Identifier: MIT */
/*
 * pipeline [N] - three stages joined by channels: the numbers from 1 to N, their squares, printing
 *
 *     count --numbers--> square --squares--> main
 *
 * Each stage closes its channel when it has nothing more to send, which ends the loop of the stage behind it. A stage
 * works ahead of the next one by what its channel holds, and then waits: memory is bounded, however large N is.
 */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/sync.h>

#include "number.h"

#include <inttypes.h>
#include <stdio.h>

struct pipeline {
	uint32_t n;
	gort_chan *numbers;             /* uint64_t */
	gort_chan *squares;             /* uint64_t */
};

static void count(void *arg)
{
	struct pipeline *p = arg;

	for (uint64_t i = 1; i <= p->n; i++)
		gort_chan_send(p->numbers, &i);
	gort_chan_close(p->numbers);
}

static void square(void *arg)
{
	struct pipeline *p = arg;
	uint64_t i;

	while (gort_chan_recv(p->numbers, &i) == 0) {
		i *= i;
		gort_chan_send(p->squares, &i);
	}
	gort_chan_close(p->squares);
}

static void print(struct pipeline *p)
{
	uint64_t i, sum = 0;

	while (gort_chan_recv(p->squares, &i) == 0) {
		printf("%" PRIu64 "\n", i);
		sum += i;
	}
	printf("sum %" PRIu64 "\n", sum);
}

GORT_MAIN(argc, argv)
{
	struct pipeline p = { .n = (uint32_t)number_argument(argc, argv, 10, UINT32_MAX) };
	gort_waitgroup stages = GORT_WAITGROUP_INIT;
	int status = 1;

	p.numbers = gort_chan_new(sizeof(uint64_t), 16);
	p.squares = gort_chan_new(sizeof(uint64_t), 16);
	if (p.numbers == NULL || p.squares == NULL) {
		fprintf(stderr, "pipeline: out of memory\n");
	} else if (gort_waitgroup_go(&stages, square, &p) != 0) {
		fprintf(stderr, "pipeline: cannot start a goroutine\n");
	} else if (gort_waitgroup_go(&stages, count, &p) != 0) {
		fprintf(stderr, "pipeline: cannot start a goroutine\n");
		gort_chan_close(p.numbers);     /* so that square ends */
	} else {
		print(&p);
		status = fflush(stdout) == 0 ? 0 : 1;
	}
	gort_waitgroup_wait(&stages);           /* the channels must live until their last call has returned */
	gort_chan_unref(p.numbers);
	gort_chan_unref(p.squares);
	return status;
}
