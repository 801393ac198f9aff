/* SPDX-License-Identifier: MIT */
/* A part of the example crawl: requests of HTTP/1.1 sent on a connection, and their answers as they come out of it. */
#ifndef HTTPANSWER_H
#define HTTPANSWER_H

#include "httpcommon.h"

enum {
	HTTP_WANTED_MOST = 4 << 20,     /* bytes of a body that is wanted; a longer one is an error, -EFBIG */
	HTTP_UNWANTED_MOST = 64 << 10,  /* of one that is not: a longer one costs the connection */
};

struct http_answer {
	int status;
	bool keep_alive;                /* there may be another on this connection */
	char location[HTTP_TARGET_MOST + 1], type[64];          /* "": none */
};

/* Is called when the head is there: is the body wanted? */
typedef bool (*http_want_fn)(const struct http_answer *a, void *arg);
/* Is called with the body, in pieces. */
typedef void (*http_body_fn)(const char *at, size_t n, void *arg);

/*
 * Sends a GET and reads its answer. The caller has set a deadline. 0, and the answer; -ECONNABORTED when the connection ended
 * before the first byte, which may happen to one that was used before; -EBADMSG when what comes is no HTTP, or ends too early;
 * -EFBIG; or a negative error of reading or writing. After an error the connection is of no use.
 */
int http_get(struct http_input *in, const char *host, const char *target, struct http_answer *a, http_want_fn want,
             http_body_fn body, void *arg);

#endif
