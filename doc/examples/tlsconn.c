/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL on gort_fd_wait. It does as much as it can without blocking, and then says whether it wants to read or to write,
 * whatever it was asked to do; so each of its calls is repeated until it wants nothing any more.
 *
 * What it has to say about an error lies in a queue of the thread's. So that must be empty before a call, and be read before
 * anything that may block: afterwards the thread may be another. tell() sees to both.
 */
#include "tlsconn.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

/* A call of OpenSSL's has returned result. 0: again, when events hold; else the error. Nothing has blocked in between. */
static int tell(struct tls *t, int result, int *events)
{
	int why = SSL_get_error(t->ssl, result), cause = errno;
	unsigned long code;

	*events = why == SSL_ERROR_WANT_READ ? GORT_READABLE : GORT_WRITABLE;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return 0;
	if (why == SSL_ERROR_ZERO_RETURN)
		return -EPIPE;
	t->broken = true;
	if (why == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
		return cause != 0 ? -cause : -ECONNRESET;       /* no error of the system's: the end, where there should be none */
	code = ERR_peek_last_error();
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
	if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return -ECONNRESET;
#endif
	ERR_error_string_n(code, t->error, sizeof t->error);
	return -EPROTO;
}

enum call { SHAKE_HANDS, READ, WRITE, SHUT_DOWN };

/* One call, right after which it is known what came of it. > 0, or as tell(). */
static __attribute__((noinline)) int once(struct tls *t, enum call what, void *buf, int n, int *events)
{
	int result;

	ERR_clear_error();
	errno = 0;
	switch (what) {
	case SHAKE_HANDS: result = SSL_do_handshake(t->ssl); break;
	case READ: result = SSL_read(t->ssl, buf, n); break;
	case WRITE: result = SSL_write(t->ssl, buf, n); break;
	default:
		/* 0: our part is done, and the peer's is not needed */
		result = SSL_shutdown(t->ssl);
		result += result == 0;
		break;
	}
	return result > 0 ? result : tell(t, result, events);
}

static int call(struct tls *t, enum call what, void *buf, int n, gort_time deadline)
{
	for (;;) {
		int events, result;

		/* else a peer that is always ready would be served after any deadline */
		if (deadline != GORT_FOREVER && deadline <= gort_now()) {
			result = -ETIMEDOUT;
		} else {
			result = once(t, what, buf, n, &events);
			if (result != 0)
				return result;
			result = gort_fd_wait(t->fd, events, deadline);
		}
		if (result < 0) {
			/* a write that is given up has gone out in part; a read can be begun again */
			t->broken = t->broken || what != READ;
			return result;
		}
	}
}

static void give_up(struct tls *t)
{
	SSL_free(t->ssl);
	if (t->fd != NULL)
		gort_fd_close(t->fd);
	close(t->number);
}

int tls_open(struct tls *t, SSL_CTX *ctx, gort_conn *c, const char *host, gort_time deadline)
{
	int err = 0;

	*t = (struct tls){ .number = gort_conn_release_fd(c) };
	if (t->number < 0)
		return t->number;
	t->ssl = SSL_new(ctx);
	if (t->ssl == NULL || !SSL_set_fd(t->ssl, t->number))
		err = -ENOMEM;
	if (err == 0 && host != NULL) {
		SSL_set_connect_state(t->ssl);
		SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
		if (!SSL_set_tlsext_host_name(t->ssl, host) || !SSL_set1_host(t->ssl, host))
			err = -ENOMEM;
	} else if (err == 0) {
		SSL_set_accept_state(t->ssl);
	}
	if (err == 0)
		err = gort_fd_open(&t->fd, t->number);
	if (err == 0)
		err = call(t, SHAKE_HANDS, NULL, 0, deadline);
	if (err < 0)
		give_up(t);
	return err < 0 ? err : 0;
}

static int at_most(size_t n)
{
	return n < INT32_MAX ? (int)n : INT32_MAX;
}

ptrdiff_t tls_read(struct tls *t, void *buf, size_t n, gort_time deadline)
{
	int result;

	if (n == 0)
		return 0;
	result = call(t, READ, buf, at_most(n), deadline);
	return result == -EPIPE ? 0 : result;
}

ptrdiff_t tls_write(struct tls *t, const void *buf, size_t n, gort_time deadline)
{
	size_t sent = 0;

	while (sent < n) {
		int result = call(t, WRITE, (char *)buf + sent, at_most(n - sent), deadline);

		if (result < 0)
			return result;
		sent += (size_t)result;
	}
	return (ptrdiff_t)n;
}

int tls_close(struct tls *t, gort_time deadline)
{
	/* after an error OpenSSL wants nothing to be said any more */
	int err = t->broken ? -ECONNABORTED : call(t, SHUT_DOWN, NULL, 0, deadline);

	give_up(t);
	return err < 0 ? err : 0;
}
