/* SPDX-License-Identifier: MIT */
/*
 * mergesort - sorts the lines of its input by their bytes, the halves in goroutines of their own
 *
 * Each part is cut in two: one half is sorted by a goroutine of an error group, the other one here; then both are merged.
 * An error group is a wait group for functions that can fail: its wait returns the first error, which goes up from part to
 * part. Below some hundred lines a goroutine costs more than it brings.
 */
#include <gort/core.h>
#include <gort/sync.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL 256

struct line {
	char *text;
	size_t length;
};

struct part {
	struct line *lines;
	size_t n;
};

static int compare(const void *left, const void *right)
{
	const struct line *a = left, *b = right;
	int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);

	return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* Two sorted parts, one behind the other, become one. The left one makes room for that. 0 or -ENOMEM. */
static int merge(struct part left, struct part right)
{
	struct line *to = left.lines, *spare = malloc(left.n * sizeof *spare), *from = spare;

	if (spare == NULL)
		return -ENOMEM;
	memcpy(spare, left.lines, left.n * sizeof *spare);
	while (left.n > 0) {
		if (right.n > 0 && compare(right.lines, from) < 0) {
			*to++ = *right.lines++;
			right.n--;
		} else {
			*to++ = *from++;
			left.n--;
		}
	}
	free(spare);
	return 0;
}

/* 0 or -ENOMEM */
static int sort(void *arg)
{
	struct part *p = arg, left = { p->lines, p->n / 2 }, right = { p->lines + p->n / 2, p->n - p->n / 2 };
	gort_errgroup halves = GORT_ERRGROUP_INIT;
	int err, other;

	if (p->n <= SMALL) {
		qsort(p->lines, p->n, sizeof *p->lines, compare);
		return 0;
	}
	err = gort_errgroup_go(&halves, sort, &left);
	if (err == 0)
		err = sort(&right);
	/* in any case: left must not go out of scope while somebody works on it */
	other = gort_errgroup_wait(&halves);
	if (err == 0)
		err = other;
	return err == 0 ? merge(left, right) : err;
}

/* 0 or -ENOMEM; p->n lines are there in any case. */
static int read_lines(struct part *p)
{
	size_t room = 0, size = 0;
	char *text = NULL;
	ssize_t length;

	while ((length = getline(&text, &size, stdin)) >= 0) {
		if (p->n == room) {
			struct line *more = realloc(p->lines, (room = 2 * room + 64) * sizeof *more);

			if (more == NULL)
				break;
			p->lines = more;
		}
		if (length > 0 && text[length - 1] == '\n')
			length--;
		p->lines[p->n++] = (struct line){ text, (size_t)length };
		text = NULL;
		size = 0;
	}
	free(text);
	return feof(stdin) ? 0 : -ENOMEM;
}

GORT_MAIN(argc, argv)
{
	struct part all = { NULL, 0 };
	int err;

	if (argc != 1) {
		fprintf(stderr, "usage: %s <LINES\n", argv[0]);
		return 2;
	}
	err = read_lines(&all);
	if (err == 0 && all.n > 0)
		err = sort(&all);
	if (err != 0)
		fprintf(stderr, "mergesort: %s\n", gort_strerror(err));
	for (size_t i = 0; i < all.n; i++) {
		if (err == 0) {
			fwrite(all.lines[i].text, 1, all.lines[i].length, stdout);
			putchar('\n');
		}
		free(all.lines[i].text);
	}
	free(all.lines);
	return fflush(stdout) == 0 && err == 0 ? 0 : 1;
}
