/* SPDX-License-Identifier: MIT */
/*
 * A part of the example tlsecho: TLS over a connection, by OpenSSL.
 *
 * Reads and writes as gort_read and gort_write, with deadlines, one goroutine at a time: a read may have to write, and the other
 * way round. Errors are negative errnos; -EPROTO: what OpenSSL says about it is in error.
 */
#ifndef TLSCONN_H
#define TLSCONN_H

#include <gort/net.h>

#include <openssl/ssl.h>

struct tls {
	SSL *ssl;
	gort_fd *fd;
	int number;                     /* the socket, which is ours */
	bool broken;                    /* nothing more may be said */
	char error[256];                /* of the last call that returned -EPROTO */
};

/*
 * Takes over c, which is given up in any case, and shakes hands. host: NULL for a server; for a client the name whose
 * certificate it is to be. 0 or a negative error, with which there is nothing to close. Blocks.
 */
int tls_open(struct tls *t, SSL_CTX *ctx, gort_conn *c, const char *host, gort_time deadline);

/* Bytes, at least one; 0 when the peer has said that there are no more; -ECONNRESET when they end without that. Blocks. */
ptrdiff_t tls_read(struct tls *t, void *buf, size_t n, gort_time deadline);

/* All of them, n, or a negative error. Blocks. */
ptrdiff_t tls_write(struct tls *t, const void *buf, size_t n, gort_time deadline);

/* Says that there is no more, and closes. 0, or why the peer may not have heard it. Blocks. */
int tls_close(struct tls *t, gort_time deadline);

#endif
