/* SPDX-License-Identifier: MIT */
/*
 * A part of the example pg: libpq for goroutines. Its calls that do not block do the work, and a goroutine waits in between.
 *
 * A connection is used by one goroutine at a time. Errors are negative errnos; with -EPROTO the words are PQerrorMessage's, or
 * those of the result.
 */
#ifndef PGCONN_H
#define PGCONN_H

#include <gort/net.h>

#include <libpq-fe.h>

/*
 * Connects, with libpq's conninfo. *db is the caller's to PQfinish also after an error, which it may describe; NULL without
 * memory. 0, -ETIMEDOUT, -EPROTO. Blocks; names of hosts are looked up by libpq, which keeps a thread busy meanwhile.
 */
int pg_open(PGconn **db, const char *conninfo, gort_time deadline);

/*
 * Runs what is in sql, perhaps several statements. *result is the last one's, or that of the one which failed, and the caller's
 * to PQclear; NULL: there is none. When the deadline passes the server is told to stop, and -ETIMEDOUT is returned when it
 * has. 0, -ETIMEDOUT, -EPROTO, -ENOTSUP for a COPY from or to the client. When it left the connection fit for another,
 * PQtransactionStatus is PQTRANS_IDLE; else PQfinish is all that is left. Blocks.
 */
int pg_query(PGconn *db, const char *sql, gort_time deadline, PGresult **result);

#endif
