/* SPDX-License-Identifier: MIT */
/*
 * skynet [LEAVES] - a tree of goroutines with ten children each; the leaves number themselves, everybody sums up
 *
 * A well-known benchmark of spawning and channels: with its 1,000,000 leaves, 1,111,111 goroutines live and end.
 */
#include <gort/chan.h>
#include <gort/core.h>

#include "number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define CHILDREN 10

/* What a node sends to its parent. */
struct sum {
	uint64_t value;
	int err;                        /* 0, or a negative errno: the value is worth nothing */
};

struct node {
	gort_chan *parent;              /* struct sum; a reference */
	uint64_t first, leaves;
};

static void run(void *arg);

/* Splits a node's leaves among its children and adds up what they send. */
static struct sum ask_children(const struct node *node)
{
	struct sum total = { 0, 0 }, sum;
	uint64_t next = node->first, end = node->first + node->leaves;
	gort_chan *results = gort_chan_new(sizeof(struct sum), CHILDREN);
	int started = 0;

	if (results == NULL)
		return (struct sum){ 0, -ENOMEM };
	for (uint64_t left = CHILDREN; left > 0 && total.err == 0; left--) {
		struct node child = { gort_chan_ref(results), next, (end - next) / left };

		next += child.leaves;
		if (child.leaves > 0)
			total.err = gort_go_copy(run, &child, sizeof child);
		if (child.leaves == 0 || total.err != 0)
			gort_chan_unref(child.parent);
		else
			started++;
	}
	while (started-- > 0) {
		gort_chan_recv(results, &sum);  /* is never closed, so cannot fail */
		total.value += sum.value;
		if (total.err == 0)
			total.err = sum.err;
	}
	gort_chan_unref(results);
	return total;
}

static void run(void *arg)
{
	const struct node *node = arg;
	struct sum sum = { node->first, 0 };

	if (node->leaves > 1)
		sum = ask_children(node);
	gort_chan_send(node->parent, &sum);
	gort_chan_unref(node->parent);
}

GORT_MAIN(argc, argv)
{
	struct node root = { NULL, 0, number_argument(argc, argv, 1000000, 1000000000) };
	gort_time start = gort_now();
	struct sum sum = ask_children(&root);

	while (gort_num_goroutine() > 1)        /* some have sent, but not yet given up their reference */
		gort_yield();
	if (sum.err != 0) {
		fprintf(stderr, "skynet: %s\n", gort_strerror(sum.err));
		return 1;
	}
	printf("%" PRIu64 "\n", sum.value);
	fprintf(stderr, "%" PRIu64 " leaves in %" PRId64 " ms\n", root.leaves, (gort_now() - start) / GORT_MILLISECOND);
	return fflush(stdout) == 0 ? 0 : 1;
}
