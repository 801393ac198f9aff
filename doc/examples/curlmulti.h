/* SPDX-License-Identifier: MIT */
/*
 * A part of the example fetch: libcurl for goroutines. Whatever a transfer is, a goroutine calls curl_perform with it as with
 * curl_easy_perform, and waits. All of them go through one multi handle, which shares connections, names and TLS sessions.
 */
#ifndef CURLMULTI_H
#define CURLMULTI_H

#include <gort/net.h>

#include <curl/curl.h>

struct curl_multi;

/* connections: how many at a time, to all hosts together; 0: any number. NULL: out of memory. Blocks. */
struct curl_multi *curl_multi_new(long connections);

/*
 * Performs a transfer. CURLOPT_PRIVATE and CURLOPT_NOSIGNAL are not for others, and the program ignores SIGPIPE. The handle's
 * callbacks are called in another goroutine, all in the same one, and hold up the others while they block. CURLE_OK, or curl's
 * error. Blocks. From any goroutine.
 */
CURLcode curl_perform(struct curl_multi *m, CURL *easy);

/* Nobody may be in a call. Blocks. */
void curl_multi_free(struct curl_multi *m);

#endif
