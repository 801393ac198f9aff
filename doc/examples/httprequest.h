/* SPDX-License-Identifier: MIT */
/* A part of the example httpd: requests of HTTP/1 as they come out of a connection, one after the other. */
#ifndef HTTPREQUEST_H
#define HTTPREQUEST_H

#include "httpcommon.h"

enum {
	/* a head or headers beyond HTTP_HEAD_MOST and HTTP_HEADERS_MOST: 431; a target beyond HTTP_TARGET_MOST: 414 */
	HTTP_BODY_MOST = 65536,         /* bytes of a body, framing included, which is thrown away: 413 */
	HTTP_VALUE_MOST = 256,          /* of a header that we look at; a longer one is as good as none */
};

struct http_request {
	bool head;                      /* HEAD, and no GET */
	bool keep_alive;                /* another request may follow on this connection */
	bool folder;                    /* the path ended with a slash */
	char path[HTTP_TARGET_MOST + 1];        /* without escapes, without "." and ".."; no slash at either end: "" is the root */
	char range[HTTP_VALUE_MOST], if_range[HTTP_VALUE_MOST], none_match[HTTP_VALUE_MOST];   /* "": none */
};

/* Of one connection. */
struct http_reader {
	struct http_input in;
	http_parser parser;

	/* the request that is being read */
	struct http_request *request;
	int status;                     /* what is wrong with it; 0: nothing so far */
	bool refused;                   /* by a callback of ours, with that status */
	bool head_complete, expects;
	unsigned hosts;
	size_t bytes;
	size_t target_len;
	char target[HTTP_TARGET_MOST + 1];
	struct http_header header;
};

void http_reader_init(struct http_reader *rd, gort_conn *c);

/* Is there something of a request already? */
static inline bool http_has_begun(const struct http_reader *rd)
{
	return rd->in.at < rd->in.have;
}

/* Waits for the beginning of a request. 1, 0 at the end of the stream, or a negative error. The caller sets the deadline. */
static inline int http_await(struct http_reader *rd)
{
	return http_input_await(&rd->in);
}

/*
 * Reads a request, all of it. The status to answer with: 200 when it is one for a file; 0 when there is nobody to answer to. Of
 * *r, keep_alive and head are valid in any case.
 */
int http_read(struct http_reader *rd, struct http_request *r);

#endif
