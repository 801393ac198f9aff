/* SPDX-License-Identifier: MIT */
/*
 * lookup [FILE] - the addresses of many hosts at once
 *
 * Reads names, one on a line, from FILE or its input, and writes each with its addresses, in the order of the input and as
 * soon as those before it are known. A goroutine per name; a semaphore lets a hundred of them ask at a time, and reading goes no
 * further ahead than that. The status is 1 if a name was not found.
 */
#include <gort/chan.h>
#include <gort/net.h>
#include <gort/sync.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 100
#define MOST 16                         /* addresses of one name */

struct query {
	char *name;
	gort_chan *done;                /* closed when count and addr are there */
	int count;                      /* or an error */
	gort_addr addr[MOST];
};

static gort_sem room;

static void ask(void *arg)
{
	struct query *q = arg;

	q->count = gort_resolve(q->name, NULL, q->addr, MOST);
	gort_sem_release(&room, 1);
	gort_chan_close(q->done);
}

static void query_free(struct query *q)
{
	gort_chan_unref(q->done);
	free(q->name);
	free(q);
}

static struct query *query_new(const char *name)
{
	struct query *q = calloc(1, sizeof *q);

	if (q == NULL)
		return NULL;
	q->name = strdup(name);
	q->done = gort_chan_new(0, 0);
	if (q->name == NULL || q->done == NULL) {
		gort_chan_unref(q->done);
		free(q->name);
		free(q);
		return NULL;
	}
	return q;
}

struct reader {
	FILE *in;
	gort_chan *queries;             /* struct query *, in the order of the input */
	int err;
};

static void read_names(void *arg)
{
	struct reader *r = arg;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while (r->err == 0 && (n = getline(&line, &size, r->in)) >= 0) {
		struct query *q;

		line[strcspn(line, " \t\r\n")] = '\0';
		if (line[0] == '\0')
			continue;
		gort_sem_acquire(&room, 1);
		q = query_new(line);
		if (q != NULL && gort_go(ask, q) == 0) {
			gort_chan_send(r->queries, &q);
			continue;
		}
		gort_sem_release(&room, 1);
		if (q != NULL)
			query_free(q);
		r->err = -ENOMEM;
	}
	if (r->err == 0 && ferror(r->in))
		r->err = -EIO;
	free(line);
	gort_chan_close(r->queries);
}

static bool print(const struct query *q)
{
	char text[128];

	printf("%s", q->name);
	if (q->count < 0)
		printf("\t%s", gort_strerror(q->count));
	for (int i = 0; i < q->count; i++) {
		if (gort_addr_format(&q->addr[i], text, sizeof text) < 0)
			continue;
		*strrchr(text, ':') = '\0';     /* the port, 0 */
		printf("%c%s", i == 0 ? '\t' : ' ', text);
	}
	printf("\n");
	return q->count >= 0;
}

GORT_MAIN(argc, argv)
{
	struct reader r = { .in = stdin, .queries = gort_chan_new(sizeof(struct query *), AT_ONCE) };
	struct query *q;
	bool all = true;

	if (argc > 2) {
		fprintf(stderr, "usage: lookup [FILE]    a name on each line\n");
		return 2;
	}
	if (argc == 2)
		r.in = fopen(argv[1], "r");
	if (r.in == NULL) {
		fprintf(stderr, "lookup: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	gort_sem_init(&room, AT_ONCE);
	if (r.queries == NULL || gort_go(read_names, &r) != 0) {
		fprintf(stderr, "lookup: %s\n", gort_strerror(-ENOMEM));
		return 1;
	}
	while (gort_chan_recv(r.queries, &q) == 0) {
		gort_chan_recv(q->done, NULL);
		all &= print(q);
		fflush(stdout);
		query_free(q);
	}
	gort_chan_unref(r.queries);
	if (r.err != 0)
		fprintf(stderr, "lookup: %s\n", gort_strerror(r.err));
	return all && r.err == 0 ? 0 : 1;
}
