/* SPDX-License-Identifier: MIT */
/*
 * queue [N] - N messages of different lengths go through a queue that holds so many bytes, not so many messages
 *
 * A channel is bounded by a count. Where a bound is anything else, a mutex and condition variables do it: one for those who
 * wait for a message, one for those who wait for room. Whoever waits looks at its condition again after each wake-up, since
 * somebody else may have been faster.
 */
#include <gort/core.h>
#include <gort/sync.h>

#include "number.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 4096
#define PRODUCERS 3
#define CONSUMERS 2

struct message {
	struct message *next;
	size_t length;
	char text[];
};

struct queue {
	gort_mutex lock;                /* guards all below */
	gort_cond filled, emptied;
	struct message *first, **last;
	size_t bytes;
	bool closed;                    /* no more will come */
};

/* Waits for room; the queue owns m then. A message longer than the queue may go in alone. */
static void push(struct queue *q, struct message *m)
{
	gort_mutex_lock(&q->lock);
	while (q->bytes > 0 && q->bytes + m->length > BYTES)
		gort_cond_wait(&q->emptied, &q->lock);
	m->next = NULL;
	*q->last = m;
	q->last = &m->next;
	q->bytes += m->length;
	gort_cond_signal(&q->filled);
	gort_mutex_unlock(&q->lock);
}

/* Waits for a message, which is the caller's then. NULL: the queue is closed and empty. */
static struct message *pop(struct queue *q)
{
	struct message *m;

	gort_mutex_lock(&q->lock);
	while (q->first == NULL && !q->closed)
		gort_cond_wait(&q->filled, &q->lock);
	m = q->first;
	if (m != NULL) {
		q->first = m->next;
		if (q->first == NULL)
			q->last = &q->first;
		q->bytes -= m->length;
		/* all of them: the one that waits longest may need more room than there is, and another less */
		gort_cond_broadcast(&q->emptied);
	}
	gort_mutex_unlock(&q->lock);
	return m;
}

static void close_queue(struct queue *q)
{
	gort_mutex_lock(&q->lock);
	q->closed = true;
	gort_cond_broadcast(&q->filled);
	gort_mutex_unlock(&q->lock);
}

struct work {
	struct queue *queue;
	unsigned long from, n;          /* a producer's: every third message from there, up to n */
	unsigned long messages;         /* a consumer's sums */
	uint64_t bytes;
	bool failed;
};

static void produce(void *arg)
{
	struct work *w = arg;

	for (unsigned long i = w->from; i < w->n; i += PRODUCERS) {
		size_t length = 1 + i * 37 % 1000;
		struct message *m = malloc(sizeof *m + length);

		if (m == NULL) {
			w->failed = true;
			return;
		}
		m->length = length;
		memset(m->text, (int)(i % 128), length);
		push(w->queue, m);
	}
}

static void consume(void *arg)
{
	struct work *w = arg;
	struct message *m;

	while ((m = pop(w->queue)) != NULL) {
		w->messages++;
		for (size_t i = 0; i < m->length; i++)
			w->failed |= m->text[i] != m->text[0];
		w->bytes += m->length;
		free(m);
	}
}

GORT_MAIN(argc, argv)
{
	unsigned long n = number_argument(argc, argv, 10000, 100000000);
	struct queue q = { .last = &q.first };
	struct work workers[PRODUCERS + CONSUMERS] = { { 0 } }, sum = { 0 };
	gort_waitgroup producers = GORT_WAITGROUP_INIT, consumers = GORT_WAITGROUP_INIT;

	for (unsigned i = 0; i < PRODUCERS + CONSUMERS; i++) {
		bool is_producer = i < PRODUCERS;

		workers[i] = (struct work){ .queue = &q, .from = i, .n = n };
		if (gort_waitgroup_go(is_producer ? &producers : &consumers, is_producer ? produce : consume, &workers[i]) != 0) {
			fprintf(stderr, "queue: cannot start a goroutine\n");
			return 1;
		}
	}
	gort_waitgroup_wait(&producers);
	close_queue(&q);
	gort_waitgroup_wait(&consumers);
	for (unsigned i = 0; i < PRODUCERS + CONSUMERS; i++) {
		sum.messages += workers[i].messages;
		sum.bytes += workers[i].bytes;
		sum.failed |= workers[i].failed;
	}
	printf("%lu messages, %llu bytes\n", sum.messages, (unsigned long long)sum.bytes);
	return fflush(stdout) == 0 && !sum.failed ? 0 : 1;
}
