/* SPDX-License-Identifier: MIT */
/* References, resolved as RFC 3986 (5.2) says. A reference is taken apart into spans of its text, and put together in out. */
#include "url.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *at;                 /* NULL: there is none, which is not the same as an empty one */
	size_t n;
};

struct parts {
	struct span scheme, authority, path, query;
};

struct out {
	char *text;
	size_t n;
	bool full;
};

/* --- taking apart --- */

static struct span until(const char **at, const char *ends)
{
	struct span s = { *at, strcspn(*at, ends) };

	*at += s.n;
	return s;
}

static struct parts take_apart(const char *text)
{
	struct parts p = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	size_t n = isalpha((unsigned char)*text) ? 1 : 0;

	while (n > 0 && (isalnum((unsigned char)text[n]) || (text[n] != '\0' && strchr("+-.", text[n]) != NULL)))
		n++;
	if (n > 0 && text[n] == ':') {
		p.scheme = (struct span){ text, n };
		text += n + 1;
	}
	if (strncmp(text, "//", 2) == 0) {
		text += 2;
		p.authority = until(&text, "/?#");
	}
	p.path = until(&text, "?#");
	if (*text == '?') {
		text++;
		p.query = until(&text, "#");
	}
	return p;
}

/* --- putting together --- */

static void put(struct out *o, const char *s, size_t n)
{
	if (n >= URL_MOST - o->n) {
		o->full = true;
		return;
	}
	memcpy(o->text + o->n, s, n);
	o->n += n;
}

static void put_small(struct out *o, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		put(o, (char[]){ (char)tolower((unsigned char)s.at[i]) }, 1);
}

/* A part of a path, or a query. Browsers escape what should have been, and so do we. */
static void put_escaped(struct out *o, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.at[i];
		char escaped[4];

		if (c > ' ' && c < 0x7f && strchr("\"<>\\^`{|}", c) == NULL) {
			put(o, (const char *)&s.at[i], 1);
		} else {
			snprintf(escaped, sizeof escaped, "%%%02X", c);
			put(o, escaped, 3);
		}
	}
}

/* The path in segments, without "." and with what is before ".." taken back (5.2.4). It begins with a slash. */
static void put_path(struct out *o, size_t root, struct span path)
{
	const char *s = path.at, *end = path.at + path.n;

	while (s < end) {
		const char *name = s + 1, *next = memchr(name, '/', (size_t)(end - name));
		size_t n = (size_t)((next != NULL ? next : end) - name);
		bool up = n == 2 && memcmp(name, "..", 2) == 0, here = n == 1 && *name == '.';

		if (up) {
			while (o->n > root && o->text[o->n - 1] != '/')
				o->n--;
			if (o->n > root)
				o->n--;
		}
		if (!up && !here) {
			put(o, "/", 1);
			put_escaped(o, (struct span){ name, n });
		} else if (next == NULL) {
			put(o, "/", 1);         /* "a/." and "a/.." are folders */
		}
		s = name + n;
	}
}

/* "user@HOST:80": the host and, if it is another than http's, the port. False: there is no host, or the port is none. */
static bool put_authority(struct out *o, struct span a)
{
	const char *end = a.at + a.n, *user = memchr(a.at, '@', a.n), *colon;
	long port = 80;

	while (user != NULL) {
		a = (struct span){ user + 1, (size_t)(end - user - 1) };
		user = memchr(a.at, '@', a.n);
	}
	colon = end;
	while (colon > a.at && colon[-1] >= '0' && colon[-1] <= '9')
		colon--;
	if (colon > a.at && colon[-1] == ':') {
		if (end - colon > 5)
			return false;
		if (colon < end)
			port = strtol(colon, NULL, 10);
		a.n = (size_t)(colon - 1 - a.at);
	}
	for (size_t i = 0; i < a.n; i++) {
		if (!isalnum((unsigned char)a.at[i]) && strchr("-._~[]:%!$&'()*+,;=", a.at[i]) == NULL)
			return false;
	}
	/* colons have their place in IPv6 addresses, which are in brackets */
	if (a.n > 0 && *a.at == '[' ? a.at[a.n - 1] != ']' : memchr(a.at, ':', a.n) != NULL || memchr(a.at, ']', a.n) != NULL)
		return false;
	put_small(o, a);
	if (port != 80) {
		char text[16];

		put(o, text, (size_t)snprintf(text, sizeof text, ":%ld", port));
	}
	return a.n > 0 && port > 0 && port < 65536;
}

int url_resolve(char out[URL_MOST], const char *base, const char *reference)
{
	struct out o = { out, 0, false };
	char text[URL_MOST], merged[2 * URL_MOST];
	struct parts r, b = take_apart(base != NULL ? base : "");
	bool own_path, web;
	size_t n = 0;

	/* HTML allows for blanks around, and for breaks anywhere */
	for (const char *s = reference + strspn(reference, " \t\r\n\f"); *s != '\0'; s++) {
		if (strchr("\t\r\n", *s) != NULL)
			continue;
		if (n == sizeof text - 1)
			return -ENAMETOOLONG;
		text[n++] = *s;
	}
	while (n > 0 && strchr(" \f", text[n - 1]) != NULL)
		n--;
	text[n] = '\0';
	r = take_apart(text);
	if (r.scheme.at == NULL && b.scheme.at == NULL)
		return -EINVAL;
	own_path = r.scheme.at != NULL || r.authority.at != NULL;
	if (r.scheme.at == NULL)
		r.scheme = b.scheme;
	if (!own_path) {
		r.authority = b.authority;
		if (r.path.n == 0) {
			r.path = b.path;
			if (r.query.at == NULL)
				r.query = b.query;
		} else if (*r.path.at != '/') {
			size_t folder = b.path.n;

			while (folder > 0 && b.path.at[folder - 1] != '/')
				folder--;
			n = (size_t)snprintf(merged, sizeof merged, "%s%.*s%.*s", folder == 0 ? "/" : "", (int)folder, b.path.at,
				(int)r.path.n, r.path.at);
			r.path = (struct span){ merged, n };
		}
	}
	put_small(&o, r.scheme);
	web = o.n == 4 && memcmp(out, "http", 4) == 0;
	put(&o, ":", 1);
	if (web && r.authority.at == NULL)
		return -EINVAL;
	if (r.authority.at != NULL) {
		put(&o, "//", 2);
		if (!web)
			put(&o, r.authority.at, r.authority.n);
		else if (!put_authority(&o, r.authority))
			return -EINVAL;
	}
	if (web && r.path.n == 0)
		put(&o, "/", 1);
	else if (r.path.n > 0 && *r.path.at == '/')
		put_path(&o, o.n, r.path);
	else
		put_escaped(&o, r.path);
	if (r.query.at != NULL) {
		put(&o, "?", 1);
		put_escaped(&o, r.query);
	}
	out[o.n] = '\0';
	return o.full ? -ENAMETOOLONG : (int)o.n;
}

int url_split(struct url *u, const char *url)
{
	size_t n, host;
	const char *colon;

	if (strncmp(url, "http://", 7) != 0)
		return -EPROTONOSUPPORT;
	url += 7;
	n = strcspn(url, "/");
	u->target = url + n;
	colon = memchr(url, ':', n);
	if (*url == '[') {
		const char *bracket = memchr(url, ']', n);

		if (bracket == NULL)
			return -EINVAL;
		colon = bracket[1] == ':' ? bracket + 1 : NULL;
		host = (size_t)(bracket - url - 1);
		url++;
	} else {
		host = colon != NULL ? (size_t)(colon - url) : n;
	}
	if (host == 0 || host >= sizeof u->host || (colon != NULL && u->target - colon > 6))
		return -EINVAL;
	snprintf(u->host, sizeof u->host, "%.*s", (int)host, url);
	snprintf(u->port, sizeof u->port, "%.*s", colon != NULL ? (int)(u->target - colon - 1) : 2, colon != NULL ? colon + 1 : "80");
	snprintf(u->address, sizeof u->address, strchr(u->host, ':') != NULL ? "[%s]:%s" : "%s:%s", u->host, u->port);
	return 0;
}
