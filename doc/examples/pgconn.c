/* SPDX-License-Identifier: MIT */
/*
 * libpq closes its socket when it likes: when a host does not answer and the next one's turn comes, or on an error, in the middle
 * of any call. The number may be another's a moment later, and a gort_fd that still stood for it would be in the way. So
 * there is one only for as long as a wait takes, in which libpq does nothing.
 */
#include <gort/chan.h>

#include "pgconn.h"

#include <errno.h>

#define STOPPING (2 * GORT_SECOND)      /* for a server to stop what it has been told to */

/* Which of events hold, or a negative error. */
static int wait_for(PGconn *db, int events, gort_time deadline)
{
	gort_fd *f;
	int result = gort_fd_open(&f, PQsocket(db));

	if (result != 0)
		return result == -EBADF ? -EPROTO : result;
	result = gort_fd_wait(f, events, deadline);
	gort_fd_close(f);
	return result;
}

int pg_open(PGconn **db, const char *conninfo, gort_time deadline)
{
	/* as if PQconnectPoll had said so before it was first called */
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	*db = PQconnectStart(conninfo);
	if (*db == NULL)
		return -ENOMEM;
	if (PQstatus(*db) == CONNECTION_BAD)
		return -EPROTO;
	while (next != PGRES_POLLING_OK) {
		int events = wait_for(*db, next == PGRES_POLLING_READING ? GORT_READABLE : GORT_WRITABLE, deadline);

		if (events < 0)
			return events;
		next = PQconnectPoll(*db);
		if (next == PGRES_POLLING_FAILED)
			return -EPROTO;
	}
	return PQsetnonblocking(*db, 1) == 0 ? 0 : -EPROTO;
}

/* Everything goes out. The server may have to get rid of something first, so that is taken too. */
static int flush(PGconn *db, gort_time deadline)
{
	for (;;) {
		int left = PQflush(db), events;

		if (left <= 0)
			return left == 0 ? 0 : -EPROTO;
		events = wait_for(db, GORT_READABLE | GORT_WRITABLE, deadline);
		if (events < 0)
			return events;
		if (events & GORT_READABLE && !PQconsumeInput(db))
			return -EPROTO;
	}
}

/* What is left to come, up to the end. *result as pg_query's. */
static int results(PGconn *db, gort_time deadline, PGresult **result)
{
	bool failed = false;

	for (;;) {
		PGresult *next;
		ExecStatusType status;

		while (PQisBusy(db)) {
			int events = wait_for(db, GORT_READABLE, deadline);

			if (events < 0)
				return events;
			if (!PQconsumeInput(db))
				return -EPROTO;
		}
		next = PQgetResult(db);
		if (next == NULL)
			return failed ? -EPROTO : 0;
		status = PQresultStatus(next);
		if (failed) {
			PQclear(next);
			continue;
		}
		PQclear(*result);
		*result = next;
		failed = status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
			return -ENOTSUP;
	}
}

struct cancel {
	PGcancel *c;
	gort_chan *told;                /* closed when the server has been */
};

static int cancel(void *arg)
{
	char words[256];

	PQcancel(arg, words, sizeof words);     /* what fails is seen by the results that do not come */
	return 0;
}

/* PQcancel makes a connection of its own, and blocks until the server has closed it, for ever if it must. */
static void cancel_and_tell(void *arg)
{
	struct cancel *k = arg;

	gort_blocking(cancel, k->c);
	PQfreeCancel(k->c);
	gort_chan_close(k->told);
	gort_chan_unref(k->told);
}

/* Has the server stop, and takes the results that it has still got. */
static void stop(PGconn *db, gort_time deadline)
{
	struct cancel k = { PQgetCancel(db), gort_chan_new(0, 0) };
	PGresult *result = NULL;
	bool told = false;

	if (k.c != NULL && k.told != NULL) {
		gort_chan_ref(k.told);
		if (gort_go_copy(cancel_and_tell, &k, sizeof k) == 0) {
			k.c = NULL;
			told = gort_chan_recv_until(k.told, NULL, deadline) == -EPIPE;
		} else {
			gort_chan_unref(k.told);
		}
	}
	/* one that has not been told, yet, may stop the next query instead of this */
	if (told && flush(db, deadline) == 0)
		results(db, deadline, &result);
	PQclear(result);
	PQfreeCancel(k.c);
	gort_chan_unref(k.told);
}

int pg_query(PGconn *db, const char *sql, gort_time deadline, PGresult **result)
{
	int err;

	*result = NULL;
	err = PQsendQuery(db, sql) ? flush(db, deadline) : -EPROTO;
	if (err == 0)
		err = results(db, deadline, result);
	if (err == -ETIMEDOUT) {
		PQclear(*result);
		*result = NULL;
		stop(db, gort_deadline(STOPPING));
	}
	return err;
}
