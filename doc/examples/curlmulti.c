/* SPDX-License-Identifier: MIT */
/*
 * libcurl's multi interface (curl_multi_socket_action) on gort_fd_wait.
 *
 *     curl_perform --> work ------+
 *                                 +--> driver, which alone calls curl --> answers to curl_perform
 *     watcher, per socket --> events
 *
 * A multi handle is for one at a time, so a goroutine, the driver, has it. It tells us by a callback which sockets it is
 * interested in, and each gets a goroutine that waits for it, a watcher; by another, when it wants to be called at the latest,
 * which is the deadline of the driver's select.
 *
 * A watcher waits, tells the driver, and waits again when that has dealt with it: before, the socket would be ready still. When
 * curl wants something else of a socket, or nothing any more, the driver closes the watcher's gort_fd and its channel. Wherever
 * the watcher is just then, one of them tells it, and as it has a reference to both, neither can be another's by then. The
 * socket is closed by curl after that: gort_fd_close has come back only when nobody waits on it any more.
 */
#include "curlmulti.h"

#include <gort/chan.h>
#include <gort/sync.h>

#include <errno.h>
#include <stdlib.h>

struct watcher {
	int refs;                       /* the driver's, and its goroutine's; atomic */
	curl_socket_t s;
	int events;                     /* what it waits for */
	gort_fd *fd;
	gort_chan *again;               /* no values: the driver is through with what it was told; closed: the watcher is to end */
	bool ended;                     /* the driver's */
	struct curl_multi *m;
};

struct event {
	struct watcher *w;
	int events;
};

struct work {
	CURL *easy;
	CURLcode result;
	gort_chan *done;                /* no values, closed */
};

struct curl_multi {
	CURLM *multi;
	gort_chan *work;                /* struct work *; closed at the end */
	gort_chan *events;              /* struct event */
	gort_time timer;                /* the driver's: when curl wants to be called */
	gort_waitgroup goroutines;
};

/* --- watchers --- */

static void watcher_put(struct watcher *w)
{
	if (__atomic_sub_fetch(&w->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	gort_fd_unref(w->fd);
	gort_chan_unref(w->again);
	free(w);
}

static void watch(void *arg)
{
	struct watcher *w = arg;
	struct event e = { w, 0 };

	while ((e.events = gort_fd_wait(w->fd, w->events, GORT_FOREVER)) > 0) {
		gort_case tell[] = { GORT_CASE_SEND(w->m->events, &e), GORT_CASE_RECV(w->again, NULL) };

		if (gort_select(tell, 2) == 1 || gort_chan_recv(w->again, NULL) != 0)
			break;
	}
	watcher_put(w);
}

/* NULL: without memory. The reference is the driver's. */
static struct watcher *watcher_new(struct curl_multi *m, curl_socket_t s, int events)
{
	struct watcher *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	*w = (struct watcher){ .refs = 1, .s = s, .events = events, .again = gort_chan_new(0, 1), .m = m };
	if (w->again == NULL || gort_fd_open(&w->fd, s) != 0) {
		watcher_put(w);
		return NULL;
	}
	w->refs = 2;
	if (gort_waitgroup_go(&m->goroutines, watch, w) != 0) {
		w->refs = 1;
		watcher_put(w);
		return NULL;
	}
	return w;
}

static void watcher_end(struct watcher *w)
{
	w->ended = true;
	gort_fd_close(gort_fd_ref(w->fd));
	gort_chan_close(w->again);
	watcher_put(w);
}

/* --- what curl calls --- */

static int on_socket(CURL *easy, curl_socket_t s, int what, void *arg, void *of_socket)
{
	struct curl_multi *m = arg;
	struct watcher *w = of_socket;
	int events = (what & CURL_POLL_IN ? GORT_READABLE : 0) | (what & CURL_POLL_OUT ? GORT_WRITABLE : 0);

	if (what == CURL_POLL_REMOVE)
		events = 0;
	if (w != NULL && w->events == events)
		return 0;
	if (w != NULL)
		watcher_end(w);
	w = events != 0 ? watcher_new(m, s, events) : NULL;
	curl_multi_assign(m->multi, s, w);
	return events != 0 && w == NULL ? -1 : 0;       /* an error ends all transfers */
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct curl_multi *m = arg;

	m->timer = ms < 0 ? GORT_FOREVER : gort_deadline(ms * GORT_MILLISECOND);
	return 0;
}

/* --- the driver --- */

static void finish(struct work *w, CURLcode result)
{
	w->result = result;
	gort_chan_close(w->done);
}

static void begin(struct curl_multi *m, struct work *w)
{
	if (curl_easy_setopt(w->easy, CURLOPT_PRIVATE, w) != CURLE_OK ||
	    curl_easy_setopt(w->easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK || curl_multi_add_handle(m->multi, w->easy) != CURLM_OK)
		finish(w, CURLE_FAILED_INIT);
}

/* Those transfers that have come to their end. */
static void collect(struct curl_multi *m)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(m->multi, &left)) != NULL) {
		CURL *easy = message->easy_handle;
		CURLcode result = message->data.result;
		char *w = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &w);
		curl_multi_remove_handle(m->multi, easy);
		finish((struct work *)w, result);
	}
}

static void act(struct curl_multi *m, curl_socket_t s, int events)
{
	int running, what = (events & GORT_READABLE ? CURL_CSELECT_IN : 0) | (events & GORT_WRITABLE ? CURL_CSELECT_OUT : 0);

	curl_multi_socket_action(m->multi, s, what, &running);
	collect(m);
}

static void drive(void *arg)
{
	struct curl_multi *m = arg;
	struct work *w;
	struct event e;

	for (;;) {
		gort_case cases[] = { GORT_CASE_RECV(m->work, &w), GORT_CASE_RECV(m->events, &e) };
		int which = gort_select_until(cases, 2, m->timer);

		if (which == 0) {
			if (cases[0].result != 0)
				break;
			begin(m, w);            /* curl sets its timer for it to go on */
		} else if (which == 1) {
			__atomic_add_fetch(&e.w->refs, 1, __ATOMIC_RELAXED);    /* it may be ended by this */
			act(m, e.w->s, e.events);
			if (!e.w->ended)
				gort_chan_send(e.w->again, NULL);
			watcher_put(e.w);
		} else {
			m->timer = GORT_FOREVER;
			act(m, CURL_SOCKET_TIMEOUT, 0);
		}
	}
	curl_multi_cleanup(m->multi);           /* closes kept connections, and so ends their watchers */
}

/* --- for others --- */

struct curl_multi *curl_multi_new(long connections)
{
	struct curl_multi *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->timer = GORT_FOREVER;
	m->multi = curl_multi_init();
	m->work = gort_chan_new(sizeof(struct work *), 0);
	m->events = gort_chan_new(sizeof(struct event), 0);
	if (m->multi == NULL || m->work == NULL || m->events == NULL)
		goto none;
	curl_multi_setopt(m->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(m->multi, CURLMOPT_SOCKETDATA, m);
	curl_multi_setopt(m->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(m->multi, CURLMOPT_TIMERDATA, m);
	curl_multi_setopt(m->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
	/* else it keeps four for each transfer under way, and closes what is more just when there are few */
	if (connections > 0)
		curl_multi_setopt(m->multi, CURLMOPT_MAXCONNECTS, connections);
	if (gort_waitgroup_go(&m->goroutines, drive, m) == 0)
		return m;
none:
	curl_multi_cleanup(m->multi);
	gort_chan_unref(m->work);
	gort_chan_unref(m->events);
	free(m);
	return NULL;
}

CURLcode curl_perform(struct curl_multi *m, CURL *easy)
{
	struct work w = { .easy = easy, .done = gort_chan_new(0, 0) }, *at = &w;

	if (w.done == NULL)
		return CURLE_OUT_OF_MEMORY;
	gort_chan_send(m->work, &at);
	gort_chan_recv(w.done, NULL);
	gort_chan_unref(w.done);
	return w.result;
}

void curl_multi_free(struct curl_multi *m)
{
	gort_chan_close(m->work);
	gort_waitgroup_wait(&m->goroutines);
	gort_chan_unref(m->work);
	gort_chan_unref(m->events);
	free(m);
}
