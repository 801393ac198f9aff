/* SPDX-License-Identifier: MIT */
/*
 * fanin FILE... - prints the lines of several files, pipes or terminals as they come, each after its file's name
 *
 *     read --lines-->+
 *     read --lines-->+ select --> main
 *     read --lines-->+
 *
 * Each file has a goroutine and a channel of its own, and main selects among all of the channels: whoever has a line next is
 * served, and among several each as likely, so that none can crowd out the others. How many cases there are is known when
 * the program runs, so they stand in an array; a channel that has been closed is set to NULL, which is never ready.
 * "-" is the standard input. A reader that waits for its pipe occupies a thread, but no processor.
 */
#include <gort/core.h>
#include <gort/typed.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef gort_chan_of(char *) line_chan;         /* each line is the receiver's to free */

struct source {
	const char *path;
	line_chan lines;
	int err;                        /* 0 or a negative errno; to be read once lines is closed */
};

/* errno belongs to the thread, so it is read in a function of its own, right after the call that set it: see errors.c */
static __attribute__((noinline)) int last_error(void)
{
	return errno;
}

static void read_lines(void *arg)
{
	struct source *s = arg;
	line_chan out = s->lines;       /* once it is closed, *s may be gone */
	FILE *file = strcmp(s->path, "-") == 0 ? stdin : fopen(s->path, "rb");
	char *line = NULL;
	size_t room = 0;

	if (file == NULL)
		s->err = -last_error();
	while (file != NULL && getline(&line, &room, file) >= 0) {
		gort_send(out, line);
		line = NULL;            /* it has a new owner */
		room = 0;
	}
	if (file != NULL && ferror(file))
		s->err = -last_error();
	free(line);
	if (file != NULL && file != stdin)
		fclose(file);
	gort_close(out);
	gort_drop(out);
}

/* Prints what comes, until all n are closed. The exit status. */
static int merge(struct source *sources, gort_case *cases, char **lines, int n)
{
	int open = n, status = 0;

	for (int i = 0; i < n; i++)
		cases[i] = (gort_case)GORT_CASE_RECV(gort_untyped(sources[i].lines), &lines[i]);
	while (open > 0) {
		int i = gort_select(cases, (size_t)n);

		if (cases[i].result == 0) {
			size_t length = strlen(lines[i]);

			printf("%s: %s%s", sources[i].path, lines[i], length > 0 && lines[i][length - 1] == '\n' ? "" : "\n");
			free(lines[i]);
			fflush(stdout);
			continue;
		}
		if (sources[i].err != 0) {
			fprintf(stderr, "fanin: %s: %s\n", sources[i].path, gort_strerror(sources[i].err));
			status = 1;
		}
		cases[i].chan = NULL;
		open--;
	}
	return ferror(stdout) ? 1 : status;
}

/* Starts the readers. False: out of memory. */
static bool start(struct source *sources, char **paths, int n)
{
	for (int i = 0; i < n; i++) {
		struct source *s = &sources[i];

		s->path = paths[i];
		s->lines = gort_make(line_chan, 1);
		/* a reference for the reader, and one for merge */
		if (gort_untyped(gort_ref(s->lines)) == NULL || gort_go(read_lines, s) != 0)
			return false;
	}
	return true;
}

GORT_MAIN(argc, argv)
{
	int n = argc - 1, status;
	struct source *sources;
	gort_case *cases;
	char **lines;

	if (n < 1) {
		fprintf(stderr, "usage: %s FILE...\n", argv[0]);
		return 2;
	}
	sources = calloc((size_t)n, sizeof *sources);
	cases = calloc((size_t)n, sizeof *cases);
	lines = calloc((size_t)n, sizeof *lines);
	if (sources == NULL || cases == NULL || lines == NULL || !start(sources, argv + 1, n)) {
		fprintf(stderr, "fanin: out of memory\n");
		return 1;               /* which ends the readers too */
	}
	status = merge(sources, cases, lines, n);
	for (int i = 0; i < n; i++)
		gort_drop(sources[i].lines);
	free(sources);
	free(cases);
	free(lines);
	return status;
}
