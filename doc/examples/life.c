/* SPDX-License-Identifier: MIT */
/*
 * life [N] - Conway's game of life: reads a board, and prints what has become of it after N generations
 *
 * A line of the input is a row, # a living cell, anything else a dead one; short rows are filled up. What leaves the board
 * on one side comes in on the other.
 *
 * Each cell is a goroutine, which knows of the world what its eight neighbours send it. Into each of the channels between
 * two neighbours goes one value a generation, and there is room for it: a cell never waits to tell, only to hear. Since it has
 * to hear from all of them it cannot get ahead of a neighbour by more than a generation, and nothing else keeps them together.
 */
#include <gort/core.h>
#include <gort/sync.h>
#include <gort/typed.h>

#include "number.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef gort_chan_of(bool) bool_chan;

#define MOST 10000      /* rows, and columns */
#define NEIGHBOURS 8
#define ROOM 2          /* what is not read yet, and what comes next: a neighbour may be a generation ahead */

struct cell {
	bool alive;
	unsigned long generations;
	bool_chan out[NEIGHBOURS];      /* to the neighbour in that direction; this cell's own */
	bool_chan in[NEIGHBOURS];       /* from there */
};

struct board {
	int width, height;
	struct cell *cells;
};

static void live(void *arg)
{
	struct cell *c = arg;

	for (unsigned long g = 0; g < c->generations; g++) {
		int around = 0;
		bool alive;

		for (int i = 0; i < NEIGHBOURS; i++)
			gort_send(c->out[i], c->alive);
		for (int i = 0; i < NEIGHBOURS; i++) {
			gort_recv(c->in[i], &alive);
			around += alive;
		}
		c->alive = around == 3 || (around == 2 && c->alive);
	}
}

static struct cell *at(const struct board *b, int x, int y)
{
	return &b->cells[(size_t)((y + b->height) % b->height) * (size_t)b->width + (size_t)((x + b->width) % b->width)];
}

/* False: out of memory. */
static bool join(struct board *b)
{
	static const int dx[NEIGHBOURS] = { -1, 0, 1, -1, 1, -1, 0, 1 }, dy[NEIGHBOURS] = { -1, -1, -1, 0, 0, 1, 1, 1 };

	for (int y = 0; y < b->height; y++) {
		for (int x = 0; x < b->width; x++) {
			for (int i = 0; i < NEIGHBOURS; i++) {
				bool_chan c = gort_make(bool_chan, ROOM);

				if (gort_untyped(c) == NULL)
					return false;
				at(b, x, y)->out[i] = c;
				/* in the opposite direction it comes in; on a narrow board that may be the same cell */
				at(b, x + dx[i], y + dy[i])->in[NEIGHBOURS - 1 - i] = c;
			}
		}
	}
	return true;
}

/* Reads rows until the end of the input. False: out of memory, or it cannot be read. */
static bool read_rows(char ***rows, int *n, size_t *width)
{
	char *line = NULL;
	size_t room = 0;
	bool good = true;

	while (good && getline(&line, &room, stdin) >= 0) {
		char **more = realloc(*rows, ((size_t)*n + 1) * sizeof *more);

		good = more != NULL && *n < MOST;
		if (more != NULL)
			*rows = more;
		if (!good)
			break;
		line[strcspn(line, "\n")] = '\0';
		if (strlen(line) > *width)
			*width = strlen(line);
		(*rows)[(*n)++] = line;
		line = NULL;            /* it has its place now */
		room = 0;
	}
	free(line);
	return good && !ferror(stdin) && *width <= MOST;
}

/* False: out of memory, or the input cannot be read. */
static bool read_board(struct board *b, unsigned long generations)
{
	char **rows = NULL;
	size_t width = 0;
	bool good = read_rows(&rows, &b->height, &width);

	if (good)
		b->cells = calloc((size_t)b->height * width + 1, sizeof *b->cells);
	b->width = (int)width;
	for (int y = 0; y < b->height; y++) {
		for (int x = 0; b->cells != NULL && rows[y][x] != '\0'; x++)
			at(b, x, y)->alive = rows[y][x] == '#';
		free(rows[y]);
	}
	free(rows);
	for (size_t i = 0; b->cells != NULL && i < (size_t)b->height * width; i++)
		b->cells[i].generations = generations;
	return b->cells != NULL && join(b);
}

static void print_board(const struct board *b)
{
	for (int y = 0; y < b->height; y++) {
		for (int x = 0; x < b->width; x++)
			putchar(at(b, x, y)->alive ? '#' : '.');
		putchar('\n');
	}
}

static void free_board(struct board *b)
{
	for (size_t i = 0; b->cells != NULL && i < (size_t)b->height * (size_t)b->width; i++) {
		for (int k = 0; k < NEIGHBOURS; k++)
			gort_drop(b->cells[i].out[k]);
	}
	free(b->cells);
}

GORT_MAIN(argc, argv)
{
	unsigned long generations = number_argument(argc, argv, 1, 1000000);
	gort_waitgroup all = GORT_WAITGROUP_INIT;
	struct board b = { 0, 0, NULL };

	if (!read_board(&b, generations)) {
		fprintf(stderr, "life: cannot read the board\n");
		free_board(&b);
		return 1;
	}
	for (size_t i = 0; i < (size_t)b.height * (size_t)b.width; i++) {
		if (gort_waitgroup_go(&all, live, &b.cells[i]) != 0) {
			fprintf(stderr, "life: cannot start a goroutine\n");
			return 1;       /* with the process go those that wait for it */
		}
	}
	gort_waitgroup_wait(&all);
	print_board(&b);
	free_board(&b);
	return fflush(stdout) == 0 ? 0 : 1;
}
