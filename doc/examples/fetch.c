/* SPDX-License-Identifier: MIT */
/*
 * fetch [-n CONNECTIONS] [-t MS] [-d FOLDER] < URLS - gets many URLs at once
 *
 * A line of the input is a URL, of any kind that libcurl knows. With -d what comes is kept in FOLDER, in files named 1, 2, 3 by
 * the lines, else it is only counted. Prints a line for each, in the order of the input: status, bytes, the URL; or a dash, what
 * went wrong, and the URL. No more than CONNECTIONS (8) are open at a time, and each URL has MS milliseconds (60000).
 *
 * Exit status: 0, 1 when some were not got, or with a status from 400 on, 2 for misuse.
 *
 * A goroutine for each URL, which calls curl_perform as if it were alone, some more at a time than there may be connections. What
 * is behind that, one libcurl for all of them: curlmulti.c.
 */
#include <gort/sync.h>

#include "curlmulti.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MOST 1000

struct fetch {
	struct fetch *next;
	long line;
	char *url;
	FILE *file;                     /* NULL: it is counted only */
	CURLcode result;
	long status;
	int64_t bytes;
	char why[CURL_ERROR_SIZE];
};

static struct {
	struct curl_multi *multi;
	const char *folder;             /* NULL: none */
	long patience;
	gort_sem room;
	gort_waitgroup all;
} run;

static void *must(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "fetch: out of memory\n");
		exit(2);
	}
	return p;
}

static size_t write_some(char *at, size_t one, size_t n, void *arg)
{
	struct fetch *f = arg;

	f->bytes += (int64_t)n;
	return f->file != NULL ? fwrite(at, 1, n, f->file) : n;
}

static CURLcode perform(struct fetch *f)
{
	CURL *c = must(curl_easy_init());
	CURLcode result;

	curl_easy_setopt(c, CURLOPT_URL, f->url);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->why);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, 10L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, run.patience);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_some);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
	result = curl_perform(run.multi, c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &f->status);
	curl_easy_cleanup(c);
	return result;
}

static void fetch(void *arg)
{
	struct fetch *f = arg;
	char path[4096];

	f->result = CURLE_WRITE_ERROR;
	if (run.folder == NULL) {
		f->result = perform(f);
	} else if ((size_t)snprintf(path, sizeof path, "%s/%ld", run.folder, f->line) < sizeof path &&
	           (f->file = fopen(path, "wb")) != NULL) {
		f->result = perform(f);
		if (fclose(f->file) != 0)
			f->result = CURLE_WRITE_ERROR;
	}
	gort_sem_release(&run.room, 1);
	gort_waitgroup_done(&run.all);
}

/* All of the input. */
static struct fetch *start_all(void)
{
	struct fetch *first = NULL, **at = &first;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	for (long number = 1; (n = getline(&line, &size, stdin)) > 0; number++) {
		struct fetch *f = must(calloc(1, sizeof *f));

		f->line = number;
		f->url = must(strndup(line, strcspn(line, "\r\n")));
		*at = f;
		at = &f->next;
		gort_sem_acquire(&run.room, 1);
		gort_waitgroup_add(&run.all, 1);
		if (gort_go(fetch, f) != 0)
			must(NULL);
	}
	free(line);
	return first;
}

/* Frees them, too. Whether all were got. */
static bool print_all(struct fetch *f)
{
	bool all = true;

	while (f != NULL) {
		struct fetch *next = f->next;

		if (f->result == CURLE_OK) {
			printf("%ld %" PRId64 " %s\n", f->status, f->bytes, f->url);
		} else {
			printf("- %s: %s\n", f->why[0] != '\0' ? f->why : curl_easy_strerror(f->result), f->url);
		}
		all = all && f->result == CURLE_OK && f->status < 400;
		free(f->url);
		free(f);
		f = next;
	}
	return all;
}

static bool number(const char *text, long most, long *n)
{
	char *end;

	*n = strtol(text, &end, 10);
	return end != text && *end == '\0' && *n > 0 && *n <= most;
}

GORT_MAIN(argc, argv)
{
	long connections = 8;
	struct fetch *fetches;
	bool ok = true;
	int option;

	run.patience = 60000;
	while ((option = getopt(argc, argv, "n:t:d:")) != -1) {
		switch (option) {
		case 'n': ok &= number(optarg, CONNECTIONS_MOST, &connections); break;
		case 't': ok &= number(optarg, 86400000, &run.patience); break;
		case 'd': run.folder = optarg; break;
		default: ok = false; break;
		}
	}
	if (!ok || optind != argc) {
		fprintf(stderr, "usage: fetch [-n CONNECTIONS] [-t MILLISECONDS] [-d FOLDER] < URLS\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);               /* libcurl's TLS may write to a peer that has gone */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		must(NULL);
	run.multi = must(curl_multi_new(connections));
	gort_sem_init(&run.room, 2 * connections);      /* so that a connection finds another URL at once */
	fetches = start_all();
	gort_waitgroup_wait(&run.all);
	curl_multi_free(run.multi);
	curl_global_cleanup();
	ok = print_all(fetches);
	return fflush(stdout) != 0 ? 2 : !ok;
}
