/* SPDX-License-Identifier: MIT */
/*
 * crawl [-n CONNECTIONS] [-p MS] [-t MS] URL - follows the links of a site, and tells which are broken
 *
 * Begins at the URL and goes on to whatever its pages refer to (href and src) on the same host and port, each page once, on so
 * many connections (8), which are kept. Links to other hosts, and all that is not "http", are counted and left alone: a
 * checker that asks all the world is no good neighbour. A page has MS milliseconds (-p, 10000) to come, and is broken if it
 * does not, if it is longer than 4 MiB, cut short, or has a status from 400 on. Redirections are followed, ten at most.
 *
 * Prints a line for each broken link: the page that has it, what it refers to, and why. Exit status: 0 none, 1 some, 2 misuse,
 * 124 none so far, but out of time (-t) or interrupted by SIGINT.
 *
 * How it works: pages are in a list, in the order in which they were found, and workers take them from there, each with a
 * connection of its own. Answers are parsed by http_parser and their HTML by libxml2 while they come, so no page is ever held as
 * a whole. All works under one context; when that is cancelled, by time or signal, a function of the context's sets deadlines in
 * the past, which ends whatever a worker waits for.
 */
#include <gort/chan.h>
#include <gort/context.h>
#include <gort/net.h>
#include <gort/signal.h>
#include <gort/sync.h>

#include "httpanswer.h"
#include "url.h"

#include <errno.h>
#include <libxml/HTMLparser.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDIRECTIONS_MOST 10
#define CONNECTIONS_MOST 256
#define PAST 1

struct page {
	struct page *next;              /* in the list; set under lock, when the next one is found */
	struct page *same;              /* under lock: with the same hash */
	struct link *links;             /* under lock: those that lead here */
	struct page *redirected;        /* its worker's: where to; then anybody's, when all is done. status the same */
	int status;                     /* of HTTP; 0: not looked at; < 0: an error */
	char url[];                     /* as url_resolve makes them, or as it was found when it is no URL */
};

struct link {
	struct link *next;
	const struct page *from;        /* NULL: from the command line */
};

struct worker {
	gort_conn *c;                   /* NULL: none. Written under lock, by its goroutine alone */
	struct http_input in;
	struct page *page;
	char base[URL_MOST];            /* what the page's references are relative to */
	htmlParserCtxtPtr html;         /* while a page is parsed */
};

static struct {
	gort_context *ctx;
	gort_time limit;                /* when it will be cancelled by time */
	gort_duration patience;
	struct url start;

	gort_mutex lock;
	gort_cond more;                 /* next is not NULL, or nothing will come */
	struct page *first, *last, *next;       /* under lock; next: the first that nobody has taken */
	struct page **table;            /* under lock: a power of two of chains */
	size_t pages, slots, elsewhere;         /* under lock */
	int busy;                       /* under lock: workers that have a page, and may find more */
	bool over;                      /* under lock: cancelled */
	struct worker *workers;
	int n;
} crawl;

/* --- pages --- */

static size_t hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static void *must(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "crawl: out of memory\n");
		exit(2);
	}
	return p;
}

/* Under lock. */
static void grow(void)
{
	size_t slots = crawl.slots != 0 ? crawl.slots * 2 : 1024;
	struct page **table = must(calloc(slots, sizeof *table));

	for (struct page *p = crawl.first; p != NULL; p = p->next) {
		struct page **at = &table[hash(p->url) & (slots - 1)];

		p->same = *at;
		*at = p;
	}
	free(crawl.table);
	crawl.table = table;
	crawl.slots = slots;
}

/* Is the URL one of the host that we are at? */
static bool is_here(const char *url)
{
	struct url u;

	return url_split(&u, url) == 0 && strcmp(u.address, crawl.start.address) == 0;
}

/* The page of a URL, a new one if need be, with a link to it. status: that of a new one; 0: somebody is to look. */
static struct page *refer(const struct page *from, const char *url, int status)
{
	struct link *l = must(malloc(sizeof *l));
	struct page *p;

	gort_mutex_lock(&crawl.lock);
	if (crawl.pages >= crawl.slots)
		grow();
	for (p = crawl.table[hash(url) & (crawl.slots - 1)]; p != NULL && strcmp(p->url, url) != 0; p = p->same)
		;
	if (p == NULL) {
		size_t n = strlen(url) + 1;
		struct page **at = &crawl.table[hash(url) & (crawl.slots - 1)];

		p = must(calloc(1, sizeof *p + n));
		memcpy(p->url, url, n);
		p->status = status;
		p->same = *at;
		*at = p;
		*(crawl.last != NULL ? &crawl.last->next : &crawl.first) = p;
		crawl.last = p;
		crawl.pages++;
		if (crawl.next == NULL)
			crawl.next = p;
		gort_cond_signal(&crawl.more);
	}
	*l = (struct link){ p->links, from };
	p->links = l;
	gort_mutex_unlock(&crawl.lock);
	return p;
}

/* A reference on the worker's page. The page that it leads to, or NULL for one that is left alone. */
static struct page *found(struct worker *w, const char *reference)
{
	char url[URL_MOST];
	int n = url_resolve(url, w->base, reference);

	if (n < 0)
		return refer(w->page, reference, n);
	if (is_here(url))
		return refer(w->page, url, 0);
	gort_mutex_lock(&crawl.lock);
	crawl.elsewhere++;
	gort_mutex_unlock(&crawl.lock);
	return NULL;
}

/* --- what is on them --- */

static void on_element(void *arg, const xmlChar *name, const xmlChar **attributes)
{
	struct worker *w = arg;
	bool base = strcmp((const char *)name, "base") == 0;

	for (const xmlChar **a = attributes; a != NULL && a[0] != NULL; a += 2) {
		const char *key = (const char *)a[0], *value = (const char *)a[1];
		char url[URL_MOST];

		if (value == NULL || (strcmp(key, "href") != 0 && strcmp(key, "src") != 0))
			continue;
		if (!base)
			found(w, value);
		else if (url_resolve(url, w->base, value) >= 0)
			strcpy(w->base, url);
	}
}

static bool want(const struct http_answer *a, void *arg)
{
	static htmlSAXHandler handler = { .startElement = on_element };
	struct worker *w = arg;

	if (a->status / 100 != 2 || strncasecmp(a->type, "text/html", 9) != 0)
		return false;
	w->html = must(htmlCreatePushParserCtxt(&handler, w, NULL, 0, NULL, XML_CHAR_ENCODING_NONE));
	htmlCtxtUseOptions(w->html, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET);
	return true;
}

static void body(const char *at, size_t n, void *arg)
{
	struct worker *w = arg;

	htmlParseChunk(w->html, at, (int)n, 0);
}

/* --- getting them --- */

static void hang_up(struct worker *w)
{
	gort_conn *c;

	gort_mutex_lock(&crawl.lock);
	c = w->c;
	w->c = NULL;
	gort_mutex_unlock(&crawl.lock);
	if (c != NULL)
		gort_conn_close(c);
}

/* Makes sure that there is a connection, and sets its deadline. 0 or a negative error. */
static int connect_worker(struct worker *w, gort_time by)
{
	gort_conn *c = w->c;
	int err = 0;

	if (c == NULL) {
		err = gort_dial(&c, "tcp", crawl.start.address, by < crawl.limit ? by : crawl.limit);
		if (err != 0)
			return err;
		http_input_init(&w->in, c);
	}
	gort_mutex_lock(&crawl.lock);
	w->c = c;
	/* from here on cut_off finds it */
	gort_conn_set_deadline(c, crawl.over ? PAST : by);
	gort_mutex_unlock(&crawl.lock);
	return 0;
}

static void get_page(struct worker *w, struct page *p)
{
	gort_time by = gort_deadline(crawl.patience);
	struct http_answer a;
	struct url u;
	int err;

	for (bool used = w->c != NULL;; used = false) {
		w->page = p;
		strcpy(w->base, p->url);
		err = connect_worker(w, by);
		if (err != 0)
			break;
		url_split(&u, p->url);
		/* the name and port, as they stand in the URL */
		u.address[strlen(u.address) - (strcmp(u.port, "80") == 0 ? 3 : 0)] = '\0';
		err = http_get(&w->in, u.address, u.target, &a, want, body, w);
		if (w->html != NULL) {
			htmlParseChunk(w->html, NULL, 0, 1);
			htmlFreeParserCtxt(w->html);
			w->html = NULL;
		}
		if (err != 0 || !a.keep_alive)
			hang_up(w);
		/* the server may have closed what it had kept, just when we used it */
		if (err != -ECONNABORTED || !used)
			break;
	}
	p->status = err != 0 ? err : a.status;
	if (err == 0 && a.status / 100 == 3 && a.location[0] != '\0')
		p->redirected = found(w, a.location);
}

static void work(void *arg)
{
	struct worker *w = arg;

	gort_mutex_lock(&crawl.lock);
	while (!crawl.over) {
		struct page *p = crawl.next;

		if (p == NULL && crawl.busy == 0)
			break;
		if (p == NULL) {
			gort_cond_wait(&crawl.more, &crawl.lock);
			continue;
		}
		crawl.next = p->next;
		if (p->status != 0)             /* is no URL */
			continue;
		crawl.busy++;
		gort_mutex_unlock(&crawl.lock);
		get_page(w, p);
		gort_mutex_lock(&crawl.lock);
		/* then nobody knows why it failed, if it did; a deadline may be noticed here before it is in the context */
		if (crawl.over || gort_now() >= crawl.limit)
			p->status = 0;
		crawl.busy--;
	}
	/* that nothing will come is for all to see */
	gort_cond_broadcast(&crawl.more);
	gort_mutex_unlock(&crawl.lock);
	hang_up(w);
}

/* Runs when the context is cancelled. */
static void cut_off(void *arg)
{
	(void)arg;
	gort_mutex_lock(&crawl.lock);
	crawl.over = true;
	for (int i = 0; i < crawl.n; i++) {
		if (crawl.workers[i].c != NULL)
			gort_conn_set_deadline(crawl.workers[i].c, PAST);
	}
	gort_cond_broadcast(&crawl.more);
	gort_mutex_unlock(&crawl.lock);
}

struct interrupt {
	gort_chan *signals;             /* of int; closed at the end */
	gort_context *ctx;
};

/* Holds a reference of both. */
static void await_interrupt(void *arg)
{
	struct interrupt *i = arg;

	if (gort_chan_recv(i->signals, NULL) == 0) {
		gort_signal_stop(i->signals);   /* the next one ends the program */
		gort_context_cancel(i->ctx);
	}
	gort_chan_unref(i->signals);
	gort_context_unref(i->ctx);
}

/* --- the report --- */

struct broken {
	const char *from, *to;
	char why[96];
};

/* Is a page broken, in the end? If so, says why. */
static bool is_broken(const struct page *p, char *why, size_t size)
{
	int hops = 0;

	for (; p->redirected != NULL && hops <= REDIRECTIONS_MOST; hops++)
		p = p->redirected;
	if (hops > REDIRECTIONS_MOST)
		snprintf(why, size, "more than %d redirections", REDIRECTIONS_MOST);
	else if (p->status >= 400)
		snprintf(why, size, "%d %s", p->status, http_status_str((enum http_status)p->status));
	else if (p->status == -EBADMSG || p->status == -ECONNABORTED)
		snprintf(why, size, "no whole answer of HTTP");
	else if (p->status == -EFBIG)
		snprintf(why, size, "longer than %d MiB", HTTP_WANTED_MOST >> 20);
	else if (p->status == -EINVAL)
		snprintf(why, size, "malformed");
	else if (p->status < 0)
		snprintf(why, size, "%s", gort_strerror(p->status));
	else
		return false;
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct broken *x = a, *y = b;
	int by_page = strcmp(x->from, y->from);

	return by_page != 0 ? by_page : strcmp(x->to, y->to);
}

/* How many broken links there are. */
static size_t report(void)
{
	struct broken *all = NULL, b;
	size_t n = 0, room = 0, told = 0;

	for (const struct page *p = crawl.first; p != NULL; p = p->next) {
		if (!is_broken(p, b.why, sizeof b.why))
			continue;
		for (const struct link *l = p->links; l != NULL; l = l->next) {
			if (n == room) {
				room = room != 0 ? room * 2 : 64;
				all = must(realloc(all, room * sizeof *all));
			}
			b.from = l->from != NULL ? l->from->url : "(the start)";
			b.to = p->url;
			all[n++] = b;
		}
	}
	if (n > 0)
		qsort(all, n, sizeof *all, compare);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && compare(&all[i - 1], &all[i]) == 0)
			continue;
		printf("%s: %s: %s\n", all[i].from, all[i].to, all[i].why);
		told++;
	}
	free(all);
	return told;
}

static void free_pages(void)
{
	struct page *p, *next;

	for (p = crawl.first; p != NULL; p = next) {
		struct link *l, *after;

		next = p->next;
		for (l = p->links; l != NULL; l = after) {
			after = l->next;
			free(l);
		}
		free(p);
	}
	free(crawl.table);
	free(crawl.workers);
}

/* --- the whole --- */

static void start(gort_chan *signals)
{
	struct interrupt i = { gort_chan_ref(signals), gort_context_ref(crawl.ctx) };

	if (gort_signal_notify(signals, SIGINT) != 0 || gort_go_copy(await_interrupt, &i, sizeof i) != 0)
		must(NULL);
}

static int run(const char *text, gort_time limit)
{
	gort_chan *signals = must(gort_chan_new(sizeof(int), 1));
	gort_waitgroup all = GORT_WAITGROUP_INIT;
	gort_context_hook *hook;
	char url[URL_MOST];
	int err = url_resolve(url, NULL, text);
	size_t looked_at = 0, left = 0, broken;

	if (err >= 0)
		err = url_split(&crawl.start, url);
	if (err < 0) {
		fprintf(stderr, "crawl: %s: %s\n", text, gort_strerror(err));
		return 2;
	}
	xmlInitParser();
	crawl.limit = limit;
	crawl.ctx = must(gort_context_with_deadline(gort_context_background(), limit));
	crawl.workers = must(calloc((size_t)crawl.n, sizeof *crawl.workers));
	hook = must(gort_context_after_func(crawl.ctx, cut_off, NULL));
	start(signals);
	refer(NULL, url, 0);
	for (int i = 0; i < crawl.n; i++) {
		if (gort_waitgroup_go(&all, work, &crawl.workers[i]) != 0)
			must(NULL);
	}
	gort_waitgroup_wait(&all);
	gort_signal_stop(signals);
	gort_chan_close(signals);
	gort_chan_unref(signals);
	for (const struct page *p = crawl.first; p != NULL; p = p->next)
		++*(p->status != 0 ? &looked_at : &left);
	broken = report();
	fprintf(stderr, "crawl: %zu pages, %zu broken links, %zu links elsewhere%s\n", looked_at, broken, crawl.elsewhere,
		left == 0 ? "" : gort_context_err(crawl.ctx) == -ECANCELED ? "; interrupted" : "; out of time");
	if (gort_context_hook_stop(hook))
		free_pages();                   /* else cut_off may be at work still */
	gort_context_hook_free(hook);
	gort_context_drop(crawl.ctx);
	return fflush(stdout) != 0 ? 2 : broken > 0 ? 1 : left > 0 ? 124 : 0;
}

static bool number(const char *text, long most, long *n)
{
	char *end;

	*n = strtol(text, &end, 10);
	return end != text && *end == '\0' && *n > 0 && *n <= most;
}

GORT_MAIN(argc, argv)
{
	long n = 8, patience = 10000, limit = 0;
	int option;
	bool ok = true;

	while ((option = getopt(argc, argv, "n:p:t:")) != -1) {
		switch (option) {
		case 'n': ok &= number(optarg, CONNECTIONS_MOST, &n); break;
		case 'p': ok &= number(optarg, 3600000, &patience); break;
		case 't': ok &= number(optarg, 1000000000, &limit); break;
		default: ok = false; break;
		}
	}
	if (!ok || optind != argc - 1) {
		fprintf(stderr, "usage: crawl [-n CONNECTIONS] [-p MILLISECONDS] [-t MILLISECONDS] URL\n");
		return 2;
	}
	crawl.n = (int)n;
	crawl.patience = patience * GORT_MILLISECOND;
	return run(argv[optind], limit > 0 ? gort_deadline(limit * GORT_MILLISECOND) : GORT_FOREVER);
}
