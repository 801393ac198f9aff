/* SPDX-License-Identifier: MIT */
/*
 * An echo server and its client, as echo.c, but over TLS, with OpenSSL.
 *
 *     tlsecho serve ADDRESS CERTIFICATE KEY [MS]       prints the address it listens at (":0" takes a free port), serves for ever
 *     tlsecho talk ADDRESS AUTHORITIES HOST CONNS LINES [MS]
 *
 * CERTIFICATE, KEY and AUTHORITIES are files in PEM. The server lets a client go that has not shaken hands, said something, or
 * taken what it gets, within MS milliseconds (60000), and says on stderr what went wrong. The client has CONNS connections at
 * once send LINES lines each, with as much patience; the certificate must be for HOST, by one of AUTHORITIES. What makes OpenSSL
 * wait with the others' goroutines: tlsconn.c.
 */
#include <gort/sync.h>

#include "tlsconn.h"

#include <errno.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static SSL_CTX *context;
static gort_duration patience = GORT_MINUTE;

static int fail(const char *what, int err, const char *words)
{
	fprintf(stderr, "tlsecho: %s: %s\n", what, err == -EPROTO && words != NULL ? words : gort_strerror(err));
	return 1;
}

/* For what goes wrong before anything is shared: OpenSSL's own words. */
static int fail_openssl(const char *what)
{
	char words[256];

	ERR_error_string_n(ERR_peek_error(), words, sizeof words);
	return fail(what, -EPROTO, words);
}

/* --- the server --- */

static void serve(void *arg)
{
	struct tls t;
	char buf[16384];
	ptrdiff_t n = tls_open(&t, context, arg, NULL, gort_deadline(patience));

	if (n < 0) {
		fail("handshake", (int)n, t.error);
		return;
	}
	while ((n = tls_read(&t, buf, sizeof buf, gort_deadline(patience))) > 0) {
		n = tls_write(&t, buf, (size_t)n, gort_deadline(patience));
		if (n < 0)
			break;
	}
	if (n < 0)
		fail("client", (int)n, t.error);
	tls_close(&t, gort_deadline(patience));
}

static int serve_all(const char *address, const char *certificate, const char *key)
{
	gort_listener *l;
	gort_conn *c;
	char at[128];
	int err;

	context = SSL_CTX_new(TLS_server_method());
	if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		return fail_openssl(certificate);
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
		return fail_openssl(key);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	err = gort_listen(&l, "tcp", address, NULL);
	if (err != 0)
		return fail(address, err, NULL);
	gort_listener_addr(l, at, sizeof at);
	printf("%s\n", at);
	fflush(stdout);
	while ((err = gort_accept(l, &c)) == 0) {
		if (gort_go(serve, c) != 0)
			gort_conn_close(c);             /* no memory for one more */
	}
	gort_listener_close(l);
	return fail("accept", err, NULL);
}

/* --- the client --- */

struct talk {
	const char *address, *host;
	long conn, lines;
	long *right;                    /* lines that came back as they were; atomic */
	gort_waitgroup *wg;
};

static bool read_full(struct tls *t, char *buf, size_t n, gort_time deadline)
{
	for (size_t have = 0; have < n;) {
		ptrdiff_t k = tls_read(t, buf + have, n - have, deadline);

		if (k <= 0)
			return false;
		have += (size_t)k;
	}
	return true;
}

static void talk(void *arg)
{
	struct talk *k = arg;
	gort_time by = gort_deadline(patience);
	char line[64], back[64];
	gort_conn *c;
	struct tls t = { .ssl = NULL };
	int err = gort_dial(&c, "tcp", k->address, by);

	if (err == 0)
		err = tls_open(&t, context, c, k->host, by);
	if (err != 0) {
		fail(k->address, err, t.error);
	} else {
		for (long i = 0; i < k->lines; i++) {
			int n = snprintf(line, sizeof line, "connection %ld, line %ld\n", k->conn, i);

			by = gort_deadline(patience);
			if (tls_write(&t, line, (size_t)n, by) != n || !read_full(&t, back, (size_t)n, by) ||
			    memcmp(line, back, (size_t)n) != 0)
				break;
			__atomic_fetch_add(k->right, 1, __ATOMIC_RELAXED);
		}
		tls_close(&t, by);
	}
	gort_waitgroup_done(k->wg);
}

static int talk_all(const char *address, const char *authorities, const char *host, long conns, long lines)
{
	gort_waitgroup wg = GORT_WAITGROUP_INIT;
	long right = 0;
	struct talk k = { .address = address, .host = host, .lines = lines, .right = &right, .wg = &wg };

	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL || SSL_CTX_load_verify_locations(context, authorities, NULL) != 1)
		return fail_openssl(authorities);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	for (k.conn = 0; k.conn < conns; k.conn++) {
		gort_waitgroup_add(&wg, 1);
		if (gort_go_copy(talk, &k, sizeof k) != 0) {
			gort_waitgroup_done(&wg);
			fail("talk", -ENOMEM, NULL);
			break;
		}
	}
	gort_waitgroup_wait(&wg);
	SSL_CTX_free(context);
	printf("%ld of %ld lines came back\n", right, conns * lines);
	return right == conns * lines ? 0 : 1;
}

static bool number(const char *text, long *n)
{
	char *end;

	*n = strtol(text, &end, 10);
	return end != text && *end == '\0' && *n > 0 && *n <= 86400000;
}

GORT_MAIN(argc, argv)
{
	long conns, lines, ms = 60000;

	signal(SIGPIPE, SIG_IGN);               /* OpenSSL writes to peers that have gone */
	if ((argc == 5 || (argc == 6 && number(argv[5], &ms))) && strcmp(argv[1], "serve") == 0) {
		patience = ms * GORT_MILLISECOND;
		return serve_all(argv[2], argv[3], argv[4]);
	}
	if ((argc == 7 || (argc == 8 && number(argv[7], &ms))) && strcmp(argv[1], "talk") == 0 && number(argv[5], &conns) &&
	    number(argv[6], &lines)) {
		patience = ms * GORT_MILLISECOND;
		return talk_all(argv[2], argv[3], argv[4], conns, lines);
	}
	fprintf(stderr, "usage: tlsecho serve ADDRESS CERTIFICATE KEY [MS] | "
		"tlsecho talk ADDRESS AUTHORITIES HOST CONNS LINES [MS]\n");
	return 2;
}
