/* SPDX-License-Identifier: MIT */
/* A part of the examples httpd and crawl: what requests and answers of HTTP/1 have in common, around http_parser. */
#ifndef HTTPCOMMON_H
#define HTTPCOMMON_H

#include <gort/net.h>

#include <http_parser.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum {
	HTTP_HEAD_MOST = 8192,          /* bytes of the first line and headers */
	HTTP_TARGET_MOST = 2048,        /* of a target, or a header that we look at; a longer header is as good as none */
	HTTP_HEADERS_MOST = 100,        /* headers */
};

/* What has come out of a connection, and not been parsed yet. */
struct http_input {
	gort_conn *c;
	size_t at, have;                /* of buf: bytes that have been parsed; that were read */
	char buf[4096];
};

static inline void http_input_init(struct http_input *in, gort_conn *c)
{
	in->c = c;
	in->at = in->have = 0;
}

/* Makes sure that there is something. 1, 0 at the end of the stream, or a negative error. The caller sets the deadline. */
static inline int http_input_await(struct http_input *in)
{
	ptrdiff_t n;

	if (in->at < in->have)
		return 1;
	n = gort_read(in->c, in->buf, sizeof in->buf);
	in->at = 0;
	in->have = n > 0 ? (size_t)n : 0;
	return n > 0 ? 1 : (int)n;
}

/* A header, as the parser hands it over: in pieces, first of the name, then of the value. It is whole when the next begins. */
struct http_header {
	bool in_value;
	unsigned n;                     /* how many there were, this one included */
	size_t name_len, value_len;
	char name[32], value[HTTP_TARGET_MOST + 1];
};

static inline void http_header_init(struct http_header *h)
{
	h->in_value = false;
	h->n = 0;
	h->name_len = h->value_len = 0;
}

/* Adds what fits; what does not, takes the rest with it. */
static inline void http_header_add(char *to, size_t *len, size_t room, const char *at, size_t n)
{
	if (*len + n < room)
		memcpy(to + *len, at, n);
	*len = *len + n < room ? *len + n : 0;
}

/* The header before must have been taken, if there was one. */
static inline void http_header_name(struct http_header *h, const char *at, size_t n)
{
	h->n += h->name_len == 0;
	http_header_add(h->name, &h->name_len, sizeof h->name, at, n);
}

static inline void http_header_value(struct http_header *h, const char *at, size_t n)
{
	h->in_value = true;
	http_header_add(h->value, &h->value_len, sizeof h->value, at, n);
}

/* It is whole: name and value are strings now. http_header_taken makes room for the next. */
static inline void http_header_end(struct http_header *h)
{
	h->name[h->name_len] = h->value[h->value_len] = '\0';
}

static inline void http_header_taken(struct http_header *h)
{
	h->name_len = h->value_len = 0;
	h->in_value = false;
}

/* Copies the value of one with this name, if it fits. */
static inline void http_header_keep(const struct http_header *h, const char *name, char *to, size_t size)
{
	if (strcasecmp(h->name, name) == 0 && h->value_len < size)
		memcpy(to, h->value, h->value_len + 1);
}

#endif
