/* SPDX-License-Identifier: MIT */
/* A part of the example crawl: references to pages, resolved as RFC 3986 says. */
#ifndef URL_H
#define URL_H

#include <stddef.h>

enum { URL_MOST = 2048 };               /* bytes of a URL that is dealt with */

/* Of an "http" URL that url_resolve made. */
struct url {
	char host[256];                 /* without the brackets of an IPv6 address */
	char port[6];
	char address[272];              /* both, as gort_dial takes them */
	const char *target;             /* the rest, for a request: in the URL's text */
};

/*
 * The URL that a reference in a page stands for, without its fragment. base: what url_resolve made of the page's own, or NULL
 * if the reference must be a whole URL. Of "http" URLs there is one form only: a host in small letters, no port 80, no user, a
 * path; what may not stand in a URL is escaped. The length, or -EINVAL, or -ENAMETOOLONG.
 */
int url_resolve(char out[URL_MOST], const char *base, const char *reference);

/* The parts of one that url_resolve made. 0, -EPROTONOSUPPORT for anything but "http", or -EINVAL. */
int url_split(struct url *u, const char *url);

#endif
