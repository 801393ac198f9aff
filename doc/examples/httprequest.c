/* SPDX-License-Identifier: MIT */
/*
 * Requests. The grammar of HTTP is left to a library, http_parser, which calls back with each piece as it finds it. What is
 * here is all that it leaves open: how much of anything is too much, which headers matter, and what a path may say.
 */
#include "httprequest.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* For a callback to return: the parser stops. */
static int refuse(struct http_reader *rd, int status)
{
	rd->status = status;
	rd->refused = true;
	return -1;
}

/* --- the path --- */

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

/* The byte that "%XX" at s stands for, or -1. */
static int unescape(const char *s, const char *end)
{
	int high = end - s > 2 ? digit(s[1]) : -1, low = end - s > 2 ? digit(s[2]) : -1;

	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/*
 * The path of a request from the form that it has in there. Segments are told apart before anything is unescaped, and
 * none may have a slash in it afterwards, or be "..", wherever it leads: no client that means well sends such. 200 or 400.
 */
static int set_path(struct http_request *r, const char *s, const char *end)
{
	char *out = r->path, *name = out;

	for (; s < end; s++) {
		int c = (unsigned char)*s;
		bool ends = c == '/';

		if (!ends) {
			bool escaped = c == '%';

			if (escaped)
				c = unescape(s, end);
			if (c <= 0 || c == '/')
				return 400;
			s += escaped ? 2 : 0;
			*out++ = (char)c;
			ends = s + 1 == end;
			r->folder = false;
		} else {
			r->folder = true;
		}
		if (!ends)
			continue;
		if (out - name == 2 && memcmp(name, "..", 2) == 0)
			return 400;
		if (out - name == 1 && *name == '.') {
			out = name;
			r->folder = true;
		}
		if (out > name)
			*out++ = '/';
		name = out;
	}
	*out = '\0';
	if (out > r->path)
		out[-1] = '\0';
	return 200;
}

/* The target is a path with perhaps a query behind it, or a URL with one in it. 200 or 400. */
static int set_target(struct http_request *r, const char *target, size_t n)
{
	struct http_parser_url u;
	const char *path;

	http_parser_url_init(&u);
	if (http_parser_parse_url(target, n, 0, &u) != 0)
		return 400;
	r->folder = true;
	if (!(u.field_set & 1 << UF_PATH))
		return 200;
	path = target + u.field_data[UF_PATH].off;
	return *path == '/' ? set_path(r, path, path + u.field_data[UF_PATH].len) : 400;
}

/* --- what the parser calls --- */

static int on_url(http_parser *p, const char *at, size_t n)
{
	struct http_reader *rd = p->data;

	if (n > HTTP_TARGET_MOST - rd->target_len)
		return refuse(rd, 414);
	memcpy(rd->target + rd->target_len, at, n);
	rd->target_len += n;
	return 0;
}

/* There is one, whole. */
static void end_header(struct http_reader *rd)
{
	struct http_header *h = &rd->header;
	struct http_request *r = rd->request;

	http_header_end(h);
	rd->hosts += strcasecmp(h->name, "host") == 0;
	rd->expects = rd->expects || strcasecmp(h->name, "expect") == 0;
	http_header_keep(h, "range", r->range, sizeof r->range);
	http_header_keep(h, "if-range", r->if_range, sizeof r->if_range);
	http_header_keep(h, "if-none-match", r->none_match, sizeof r->none_match);
	http_header_taken(h);
}

static int on_header_name(http_parser *p, const char *at, size_t n)
{
	struct http_reader *rd = p->data;

	if (rd->head_complete)                  /* behind a body */
		return 0;
	if (rd->header.in_value)
		end_header(rd);
	if (memchr(at, ' ', n) != NULL)         /* the parser may be built to take it: another server may see another name */
		return refuse(rd, 400);
	http_header_name(&rd->header, at, n);
	return rd->header.n > HTTP_HEADERS_MOST ? refuse(rd, 431) : 0;
}

static int on_header_value(http_parser *p, const char *at, size_t n)
{
	struct http_reader *rd = p->data;

	if (rd->head_complete)
		return 0;
	if (memchr(at, '\0', n) != NULL)
		return refuse(rd, 400);
	http_header_value(&rd->header, at, n);
	return 0;
}

static int on_head_complete(http_parser *p)
{
	struct http_reader *rd = p->data;
	struct http_request *r = rd->request;
	bool has_length = p->content_length != UINT64_MAX;

	if (rd->header.in_value)
		end_header(rd);
	rd->head_complete = true;
	r->head = p->method == HTTP_HEAD;
	r->keep_alive = http_should_keep_alive(p) != 0;
	p->upgrade = 0;                         /* to nothing that we know */
	if (p->http_major != 1)
		return refuse(rd, 505);
	if (rd->hosts != 1 && (rd->hosts > 1 || p->http_minor > 0))
		return refuse(rd, 400);
	if (has_length && p->content_length > HTTP_BODY_MOST)
		return refuse(rd, 413);
	if (rd->expects && ((has_length && p->content_length > 0) || p->flags & F_CHUNKED))
		return refuse(rd, 417);         /* the body has not been sent, and need not be */
	if (p->method != HTTP_GET && p->method != HTTP_HEAD)
		rd->status = 405;
	else
		rd->status = set_target(r, rd->target, rd->target_len);
	return 0;
}

/* The parser goes no further: what follows is the next request, when its turn comes. */
static int on_complete(http_parser *p)
{
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_header_name,
	.on_header_value = on_header_value,
	.on_headers_complete = on_head_complete,
	.on_message_complete = on_complete,
};

/* The status that an error of the parser's, at the byte c, is answered with. */
static int status_of(enum http_errno err, char c)
{
	switch (err) {
	case HPE_HEADER_OVERFLOW: return 431;
	case HPE_INVALID_METHOD: return isalnum((unsigned char)c) || c == '-' || c == '_' ? 501 : 400;
	default: return 400;
	}
}

/* --- for the server --- */

void http_reader_init(struct http_reader *rd, gort_conn *c)
{
	memset(rd, 0, sizeof *rd);
	http_input_init(&rd->in, c);
	http_parser_set_max_header_size(HTTP_HEAD_MOST);        /* of every parser in this program */
	http_parser_init(&rd->parser, HTTP_REQUEST);
	rd->parser.data = rd;
}

static int fail(struct http_request *r, int status)
{
	r->keep_alive = false;
	return status;
}

int http_read(struct http_reader *rd, struct http_request *r)
{
	memset(r, 0, sizeof *r);
	rd->request = r;
	rd->status = 0;
	rd->refused = rd->head_complete = rd->expects = false;
	rd->hosts = 0;
	rd->bytes = rd->target_len = 0;
	http_header_init(&rd->header);
	for (;;) {
		int more = http_await(rd);
		enum http_errno err;
		size_t n;

		if (more <= 0)
			return fail(r, more == -ETIMEDOUT ? 408 : 0);
		n = http_parser_execute(&rd->parser, &settings, rd->in.buf + rd->in.at, rd->in.have - rd->in.at);
		rd->in.at += n;
		rd->bytes += n;
		err = HTTP_PARSER_ERRNO(&rd->parser);
		if (err == HPE_PAUSED) {
			http_parser_pause(&rd->parser, 0);
			return rd->status;
		}
		if (err != HPE_OK)
			return fail(r, rd->refused ? rd->status : status_of(err, rd->in.buf[rd->in.at < rd->in.have ? rd->in.at : 0]));
		if (rd->bytes > HTTP_HEAD_MOST + HTTP_BODY_MOST)
			return fail(r, 413);
	}
}
