/* SPDX-License-Identifier: MIT */
/*
 * search [-t MS] TEXT PATH... - the name of a file that contains TEXT, the first that is found
 *
 * Every file and directory below the PATHs is looked at by a goroutine of its own, all under one context. The first find
 * cancels it, and so does its deadline, MS milliseconds after the start; the others see that between two blocks or two names,
 * and stop. Exit status: 0 found, 1 not there, 2 misuse or something could not be read, 124 out of time.
 *
 * A read that blocks is not interrupted by that: main does not wait for the goroutines for long, and ends the process.
 */
#define _GNU_SOURCE             /* memmem */

#include <gort/context.h>
#include <gort/core.h>
#include <gort/sync.h>
#include <gort/typed.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 64                /* that are open at a time */
#define BLOCK (64 * 1024)

typedef gort_chan_of(char *) path_chan;

struct search {
	const char *text;
	size_t length;
	gort_context *ctx;
	path_chan found;                /* room for one; closed when all have ended */
	gort_sem files;
	gort_waitgroup all;
	bool failed;                    /* atomic */
};

struct task {
	struct search *search;
	char *path;                     /* the task's to free, or to give away */
};

/* errno belongs to the thread, so it is read in a function of its own, right after the call that set it: see errors.c */
static __attribute__((noinline)) int last_error(void)
{
	return errno;
}

static void report(struct search *s, const char *path, int err)
{
	fprintf(stderr, "search: %s: %s\n", path, gort_strerror(err));
	__atomic_store_n(&s->failed, true, __ATOMIC_RELAXED);   /* read when all have ended */
}

static void look_at(void *arg);

/* path is given away. */
static void start(struct search *s, char *path)
{
	struct task t = { s, path };

	gort_waitgroup_add(&s->all, 1);
	if (path == NULL || gort_go_copy(look_at, &t, sizeof t) != 0) {
		report(s, path != NULL ? path : "", -ENOMEM);
		free(path);
		gort_waitgroup_done(&s->all);
	}
}

static void look_into_directory(struct search *s, const char *path, DIR *directory)
{
	struct dirent *entry;
	char *below;

	while (!gort_context_is_done(s->ctx) && (entry = readdir(directory)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || entry->d_type == DT_LNK)
			continue;
		if (asprintf(&below, "%s/%s", path, entry->d_name) < 0)
			below = NULL;
		start(s, below);
	}
}

/* Is the text in it? The blocks overlap by its length, so that it may lie across two. A negative errno, 0 or 1. */
static int look_into_file(struct search *s, FILE *file)
{
	char *block = malloc(BLOCK + s->length);
	size_t kept = 0, n;
	int result = block == NULL ? -ENOMEM : 0;

	while (result == 0 && !gort_context_is_done(s->ctx) && (n = fread(block + kept, 1, BLOCK, file)) > 0) {
		n += kept;
		result = memmem(block, n, s->text, s->length) != NULL;
		kept = n < s->length - 1 ? n : s->length - 1;
		memmove(block, block + n - kept, kept);
	}
	if (result == 0 && ferror(file))
		result = -last_error();
	free(block);
	return result;
}

/* A negative errno, 0 or 1: the text is in the file. */
static int look_into(struct search *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;
	FILE *file = NULL;
	DIR *directory = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 ||
	    (S_ISDIR(st.st_mode) ? (directory = fdopendir(fd)) == NULL : (file = fdopen(fd, "rb")) == NULL)) {
		result = -last_error();
		if (fd >= 0)
			close(fd);
	} else if (directory != NULL) {
		look_into_directory(s, path, directory);
		closedir(directory);
	} else {
		result = look_into_file(s, file);
		fclose(file);
	}
	return result;
}

static void look_at(void *arg)
{
	struct task *t = arg;
	struct search *s = t->search;
	int result = 0;

	gort_sem_acquire(&s->files, 1);
	if (!gort_context_is_done(s->ctx))
		result = look_into(s, t->path);
	gort_sem_release(&s->files, 1);
	if (result < 0)
		report(s, t->path, result);
	/* only the first one finds room */
	if (result == 1 && gort_try_send(s->found, t->path) == 0) {
		t->path = NULL;
		gort_context_cancel(s->ctx);
	}
	free(t->path);
	gort_waitgroup_done(&s->all);
}

static void close_when_all_have_ended(void *arg)
{
	struct search *s = arg;

	gort_waitgroup_wait(&s->all);
	gort_close(s->found);
}

/* The exit status. */
static int await(struct search *s)
{
	char *path = NULL;
	int result = -EAGAIN;

	/* The one who cancels has sent before, so that a cancelled search has found something. */
	if (GORT_SELECT(GORT_ON_RECV_OK(s->found, &path, &result), GORT_CASE_RECV(gort_context_done(s->ctx), NULL)) == 1)
		result = gort_try_recv(s->found, &path);
	if (result == 0) {
		printf("%s\n", path);
		free(path);
		gort_recv_until(s->found, &path, gort_deadline(GORT_SECOND));   /* -EPIPE: the others have ended */
		return 0;
	}
	if (gort_context_err(s->ctx) == -ETIMEDOUT) {
		fprintf(stderr, "search: out of time\n");
		return 124;
	}
	return __atomic_load_n(&s->failed, __ATOMIC_RELAXED) ? 2 : 1;
}

GORT_MAIN(argc, argv)
{
	static struct search s = { .files = GORT_SEM_INIT(FILES) };     /* goroutines may be left when main returns */
	gort_time deadline = GORT_FOREVER;
	int first = 1, status;
	char *end;

	if (argc > 2 && strcmp(argv[1], "-t") == 0) {
		long ms = strtol(argv[2], &end, 10);

		first = end == argv[2] || *end != '\0' || ms < 0 || ms > 1000000000 ? argc : 3;
		deadline = gort_deadline(ms * GORT_MILLISECOND);
	}
	if (argc < first + 2 || argv[first][0] == '\0') {
		fprintf(stderr, "usage: %s [-t MS] TEXT PATH...\n", argv[0]);
		return 2;
	}
	s.text = argv[first];
	s.length = strlen(s.text);
	s.ctx = gort_context_with_deadline(gort_context_background(), deadline);
	s.found = gort_make(path_chan, 1);
	if (s.ctx == NULL || gort_untyped(s.found) == NULL) {
		fprintf(stderr, "search: out of memory\n");
		return 2;
	}
	for (int i = first + 1; i < argc; i++)
		start(&s, strdup(argv[i]));
	if (gort_go(close_when_all_have_ended, &s) != 0) {
		fprintf(stderr, "search: out of memory\n");
		return 2;
	}
	status = await(&s);
	return fflush(stdout) == 0 ? status : 2;
}
