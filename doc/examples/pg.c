/* SPDX-License-Identifier: MIT */
/*
 * pg [-c CONNECTIONS] [-t MS] CONNINFO < STATEMENTS - runs statements of SQL in PostgreSQL, several at a time
 *
 * A line of the input is a statement, or several with semicolons between. They run in any order, on so many connections (4);
 * what they return is printed in the order of the lines, with tabs between the columns. One that takes longer than MS milliseconds
 * (60000) is cancelled, in the server too. CONNINFO is libpq's: "host=/run/postgresql dbname=shop", or "" for what is usual.
 *
 * Exit status: 0, 1 when some failed (the line, and why, is on stderr), 2 for misuse.
 *
 * How it works: a goroutine for each statement. The pool of connections is a channel with all of them in it: to receive is to
 * take one, to send is to give it back, and who finds none waits. A connection is made when it is first taken, and anew when it
 * was lost, or left in the middle of a transaction. How libpq is made to wait with the others' goroutines: pgconn.c.
 */
#include <gort/chan.h>
#include <gort/sync.h>

#include "pgconn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MOST 100
#define AT_ONCE 10000                   /* goroutines that wait for a connection; no more lines are read meanwhile */

struct statement {
	struct statement *next;
	char *sql;
	PGresult *result;               /* NULL: there is none, or it failed */
	char *error;                    /* NULL: none */
};

static struct {
	const char *conninfo;
	gort_duration patience;
	gort_chan *pool;                /* of PGconn *, which is NULL for one that is not connected */
	gort_sem room;
	gort_waitgroup all;
} run;

static void *must(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "pg: out of memory\n");
		exit(1);
	}
	return p;
}

/* The first line of what the server said, or what there is to say otherwise. */
static char *words(int err, const PGconn *db, const PGresult *result)
{
	const char *said = result != NULL ? PQresultErrorMessage(result) : db != NULL ? PQerrorMessage(db) : "";

	if (err == -ETIMEDOUT)
		return must(strdup("out of time"));
	if (err == -ENOTSUP)
		return must(strdup("COPY to and from the client is not for us"));
	if (err != -EPROTO || *said == '\0')
		return must(strdup(gort_strerror(err)));
	return must(strndup(said, strcspn(said, "\n")));
}

static void execute(void *arg)
{
	struct statement *s = arg;
	PGresult *result = NULL;
	PGconn *db;
	int err = 0;

	gort_chan_recv(run.pool, &db);
	if (db == NULL)
		err = pg_open(&db, run.conninfo, gort_deadline(run.patience));
	if (err == 0)
		err = pg_query(db, s->sql, gort_deadline(run.patience), &result);
	if (err != 0) {
		s->error = words(err, db, result);
		PQclear(result);
	} else {
		s->result = result;
	}
	if (db != NULL && PQtransactionStatus(db) != PQTRANS_IDLE) {
		PQfinish(db);
		db = NULL;
	}
	gort_chan_send(run.pool, &db);
	gort_sem_release(&run.room, 1);
	gort_waitgroup_done(&run.all);
}

/* All of the input. */
static struct statement *start_all(void)
{
	struct statement *first = NULL, **at = &first;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) > 0) {
		struct statement *s = must(calloc(1, sizeof *s));

		s->sql = must(strndup(line, (size_t)(line[n - 1] == '\n' ? n - 1 : n)));
		*at = s;
		at = &s->next;
		gort_sem_acquire(&run.room, 1);
		gort_waitgroup_add(&run.all, 1);
		if (gort_go(execute, s) != 0)
			must(NULL);
	}
	free(line);
	return first;
}

static void print(const PGresult *result)
{
	int rows = PQntuples(result), columns = PQnfields(result);

	for (int i = 0; i < rows; i++) {
		for (int k = 0; k < columns; k++)
			printf("%s%s", k > 0 ? "\t" : "", PQgetvalue(result, i, k));
		printf("\n");
	}
}

/* Frees them, too. How many failed. */
static long print_all(struct statement *s)
{
	long failed = 0;

	for (long line = 1; s != NULL; line++) {
		struct statement *next = s->next;

		if (s->error != NULL) {
			fprintf(stderr, "pg: line %ld: %s\n", line, s->error);
			failed++;
		} else if (s->result != NULL) {
			print(s->result);
		}
		PQclear(s->result);
		free(s->error);
		free(s->sql);
		free(s);
		s = next;
	}
	return failed;
}

static bool number(const char *text, long most, long *n)
{
	char *end;

	*n = strtol(text, &end, 10);
	return end != text && *end == '\0' && *n > 0 && *n <= most;
}

GORT_MAIN(argc, argv)
{
	long connections = 4, patience = 60000, failed;
	struct statement *all;
	PGconn *db = NULL;
	bool ok = true;
	int option;

	while ((option = getopt(argc, argv, "c:t:")) != -1) {
		switch (option) {
		case 'c': ok &= number(optarg, CONNECTIONS_MOST, &connections); break;
		case 't': ok &= number(optarg, 86400000, &patience); break;
		default: ok = false; break;
		}
	}
	if (!ok || optind != argc - 1) {
		fprintf(stderr, "usage: pg [-c CONNECTIONS] [-t MILLISECONDS] CONNINFO < STATEMENTS\n");
		return 2;
	}
	run.conninfo = argv[optind];
	run.patience = patience * GORT_MILLISECOND;
	run.pool = must(gort_chan_new(sizeof(PGconn *), (size_t)connections));
	for (long i = 0; i < connections; i++)
		gort_chan_send(run.pool, &db);
	gort_sem_init(&run.room, AT_ONCE);
	all = start_all();
	gort_waitgroup_wait(&run.all);
	failed = print_all(all);
	while (gort_chan_try_recv(run.pool, &db) == 0)
		PQfinish(db);
	gort_chan_unref(run.pool);
	return failed > 0 || fflush(stdout) != 0;
}
