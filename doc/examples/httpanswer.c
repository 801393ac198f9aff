/* SPDX-License-Identifier: MIT */
/* Answers. As with requests (httprequest.c), what is here is what http_parser leaves open: how much is too much, and the end. */
#include "httpanswer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct reader {
	http_parser parser;
	struct http_answer *answer;
	struct http_header header;
	http_want_fn want;
	http_body_fn body;
	void *arg;
	bool head_complete, wanted, complete;
	size_t bytes;                   /* of the body */
	int err;                        /* why it goes no further */
};

static int refuse(struct reader *rd, int err)
{
	rd->err = err;
	return -1;
}

static void end_header(struct reader *rd)
{
	http_header_end(&rd->header);
	http_header_keep(&rd->header, "location", rd->answer->location, sizeof rd->answer->location);
	http_header_keep(&rd->header, "content-type", rd->answer->type, sizeof rd->answer->type);
	http_header_taken(&rd->header);
}

static int on_begin(http_parser *p)
{
	struct reader *rd = p->data;

	http_header_init(&rd->header);
	rd->head_complete = false;
	memset(rd->answer, 0, sizeof *rd->answer);
	return 0;
}

static int on_header_name(http_parser *p, const char *at, size_t n)
{
	struct reader *rd = p->data;

	if (rd->head_complete)                  /* behind a body */
		return 0;
	if (rd->header.in_value)
		end_header(rd);
	http_header_name(&rd->header, at, n);
	return rd->header.n > HTTP_HEADERS_MOST ? refuse(rd, -EBADMSG) : 0;
}

static int on_header_value(http_parser *p, const char *at, size_t n)
{
	struct reader *rd = p->data;

	if (!rd->head_complete)
		http_header_value(&rd->header, at, n);
	return 0;
}

static int on_head_complete(http_parser *p)
{
	struct reader *rd = p->data;

	if (rd->header.in_value)
		end_header(rd);
	rd->head_complete = true;
	rd->answer->status = (int)p->status_code;
	p->upgrade = 0;                         /* nobody asked for that */
	if (p->status_code / 100 != 1)
		rd->wanted = rd->want(rd->answer, rd->arg);
	return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
	struct reader *rd = p->data;

	rd->bytes += n;
	if (!rd->wanted)
		return rd->bytes > HTTP_UNWANTED_MOST ? refuse(rd, 0) : 0;
	if (rd->bytes > HTTP_WANTED_MOST)
		return refuse(rd, -EFBIG);
	rd->body(at, n, rd->arg);
	return 0;
}

/* The parser goes no further, but behind a "100 Continue" and its like, which the answer follows. */
static int on_complete(http_parser *p)
{
	struct reader *rd = p->data;

	if (p->status_code / 100 == 1)
		return 0;
	rd->complete = true;
	rd->answer->keep_alive = http_should_keep_alive(p) != 0;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin,
	.on_header_field = on_header_name,
	.on_header_value = on_header_value,
	.on_headers_complete = on_head_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static int read_answer(struct http_input *in, struct reader *rd)
{
	bool first = true;

	for (;;) {
		int more = http_input_await(in);
		enum http_errno err;

		if (first && (more == 0 || more == -ECONNRESET || more == -EPIPE))
			return -ECONNABORTED;
		if (more < 0)
			return more;
		first = false;
		/* nothing at all tells the parser that the end has come, which may be that of the body, too */
		in->at += http_parser_execute(&rd->parser, &settings, in->buf + in->at, in->have - in->at);
		err = HTTP_PARSER_ERRNO(&rd->parser);
		if (rd->complete)
			return 0;
		if (rd->err != 0)
			return rd->err;
		if (rd->head_complete && !rd->wanted && err != HPE_OK && rd->bytes > HTTP_UNWANTED_MOST)
			return 0;               /* enough of it; there will be no other answer here */
		if (err != HPE_OK || more == 0)
			return -EBADMSG;
	}
}

int http_get(struct http_input *in, const char *host, const char *target, struct http_answer *a, http_want_fn want,
             http_body_fn body, void *arg)
{
	struct reader rd = { .answer = a, .want = want, .body = body, .arg = arg };
	char request[HTTP_TARGET_MOST + 512];
	ptrdiff_t sent;
	int n, err;

	n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gort-crawl\r\nAccept: */*\r\n\r\n",
		target, host);
	if (n < 0 || (size_t)n >= sizeof request)
		return -ENAMETOOLONG;
	memset(a, 0, sizeof *a);
	http_parser_set_max_header_size(HTTP_HEAD_MOST);        /* of every parser in this program */
	http_parser_init(&rd.parser, HTTP_RESPONSE);
	rd.parser.data = &rd;
	sent = gort_write(in->c, request, (size_t)n);
	if (sent == -EPIPE || sent == -ECONNRESET)
		return -ECONNABORTED;
	if (sent < 0)
		return (int)sent;
	err = read_answer(in, &rd);
	/* what nobody asked for makes one wary of the rest */
	a->keep_alive = a->keep_alive && in->at == in->have;
	return err;
}
