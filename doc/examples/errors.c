/* SPDX-License-Identifier: MIT */
/*
 * errors FILE... - reads files side by side; the first error decides the exit status
 *
 * Each file's goroutine sends what became of it. At the first error main closes the channel quit, by which the others
 * see between two blocks that their work is not wanted any more. Exit status as in <sysexits.h>: 0, EX_NOINPUT (no
 * such file), EX_NOPERM, EX_IOERR for every other error, EX_USAGE, EX_OSERR.
 */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/sync.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

struct outcome {
	const char *path;
	uint64_t bytes;
	int err;                        /* 0, -ECANCELED, or the negative errno of what failed */
};

struct task {
	const char *path;
	gort_chan *outcomes;            /* struct outcome */
	gort_chan *quit;                /* nothing is ever sent; closed to stop everybody */
};

/*
 * errno belongs to the thread, and a goroutine may change threads in a call of the library, which the compiler does
 * not know: it may keep errno's address from before. So errno is read in a function of its own, right after the call
 * that set it, and errors are handed on as values.
 */
static __attribute__((noinline)) int last_error(void)
{
	return errno;
}

/* Reads a file to its end, unless quit is closed meanwhile. 0 and *bytes, or a negative errno. */
static int read_file(const char *path, gort_chan *quit, uint64_t *bytes)
{
	char block[16 * 1024];
	FILE *file = fopen(path, "rb");
	int err = 0;
	size_t n;

	if (file == NULL)
		return -last_error();
	do {
		n = fread(block, 1, sizeof block, file);
		if (n < sizeof block && ferror(file))
			err = -last_error();
		else if (gort_chan_try_recv(quit, NULL) == -EPIPE)
			err = -ECANCELED;
		*bytes += n;
	} while (n == sizeof block && err == 0);
	fclose(file);
	return err;
}

static void task(void *arg)
{
	const struct task *t = arg;
	struct outcome o = { t->path, 0, 0 };

	o.err = read_file(t->path, t->quit, &o.bytes);
	gort_chan_send(t->outcomes, &o);
}

static int status_of(int err)
{
	switch (err) {
	case 0: return EX_OK;
	case -ENOENT: return EX_NOINPUT;
	case -EACCES: return EX_NOPERM;
	default: return EX_IOERR;
	}
}

static int run(int n, char **paths)
{
	struct task t = { NULL, gort_chan_new(sizeof(struct outcome), 16), gort_chan_new(0, 0) };
	gort_waitgroup all = GORT_WAITGROUP_INIT;
	struct task *tasks = calloc((size_t)n, sizeof *tasks);
	struct outcome o;
	int started = 0, err = 0, status = EX_OK;

	if (t.outcomes == NULL || t.quit == NULL || tasks == NULL)
		err = -ENOMEM;
	for (; started < n && err == 0; started += err == 0) {
		tasks[started] = t;
		tasks[started].path = paths[started];
		err = gort_waitgroup_go(&all, task, &tasks[started]);
	}
	if (err != 0) {
		fprintf(stderr, "errors: %s\n", gort_strerror(err));
		status = EX_OSERR;
		if (t.quit != NULL)
			gort_chan_close(t.quit);
	}
	while (started-- > 0 && gort_chan_recv(t.outcomes, &o) == 0) {
		if (o.err == 0) {
			printf("%s: %" PRIu64 " bytes\n", o.path, o.bytes);
		} else if (status == EX_OK) {
			fprintf(stderr, "errors: %s: %s\n", o.path, gort_strerror(o.err));
			status = status_of(o.err);
			gort_chan_close(t.quit);
		}
	}
	gort_waitgroup_wait(&all);
	gort_chan_unref(t.outcomes);
	gort_chan_unref(t.quit);
	free(tasks);
	return status;
}

GORT_MAIN(argc, argv)
{
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: errors FILE...\n");
		return EX_USAGE;
	}
	status = run(argc - 1, argv + 1);
	if (fflush(stdout) != 0 && status == EX_OK)
		status = EX_IOERR;
	return status;
}
