/* SPDX-License-Identifier: MIT */
/*
 * chat ADDRESS - a chat room: what one says, all others hear
 *
 *     client --> reader --+            +--> writer --> client
 *     client --> reader --+--> room ---+--> writer --> client
 *                         joins, lines, leaves     one channel each
 *
 * The first line that a client sends is its name; it is in when it hears that it joins. One goroutine, the room, has the list
 * of who is there, so nobody needs a lock: joining, speaking and leaving are messages to it. Each client has a channel with
 * room for some lines, which its writer empties. The room never waits for a client: one whose channel is full does not keep
 * up, and is put out.
 *
 * Ends on SIGINT or SIGTERM: the listener is closed, the room tells everybody, and main waits until the last one has left.
 */
#include <gort/chan.h>
#include <gort/net.h>
#include <gort/signal.h>
#include <gort/sync.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEHIND 64                       /* lines that a client may be behind */
#define LONGEST 1000                    /* bytes of a line; the rest of a longer one is a line of its own */
#define NAME 32
#define PATIENCE (10 * GORT_SECOND)     /* for a client that takes nothing, or does not say its name */

/* A line on its way to several clients. */
struct line {
	int refs;                       /* atomic */
	int len;
	char text[NAME + LONGEST + 8];
};

struct client {
	struct client *next;            /* the room's */
	gort_conn *conn;
	gort_chan *lines;               /* struct line *; closed when it leaves */
	int refs;                       /* its reader's and its writer's; atomic */
	char name[NAME];
};

struct message {
	enum { JOIN, SAY, LEAVE, QUIT } what;
	struct client *client;          /* but for QUIT */
	struct line *line;              /* SAY */
};

static gort_chan *messages;             /* struct message; closed at the end */
static gort_waitgroup clients;

static void line_put(struct line *l)
{
	if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(l);
}

static void client_put(struct client *c)
{
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	gort_conn_close(c->conn);
	gort_chan_unref(c->lines);
	free(c);
	gort_waitgroup_done(&clients);
}

/* One reference, the caller's. NULL: out of memory. */
static struct line *line_new(const char *name, const char *text, int len)
{
	struct line *l = malloc(sizeof *l);

	if (l == NULL)
		return NULL;
	l->refs = 1;
	l->len = snprintf(l->text, sizeof l->text, "%s%s%.*s\n", name, name[0] != '\0' ? ": " : "", len, text);
	return l;
}

/* --- the room --- */

/* To all but one. */
static void tell(struct client *all, const struct client *but, struct line *l)
{
	for (struct client *c = all; c != NULL; c = c->next) {
		if (c == but)
			continue;
		__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
		if (gort_chan_try_send(c->lines, &l) == 0)
			continue;
		line_put(l);
		/* its reader ends with that, and says so */
		gort_conn_set_deadline(c->conn, 0);
	}
}

/* To all. who: of whom it is said; NULL: of the room. */
static void announce(struct client *all, const struct client *who, const char *what)
{
	char text[NAME + 16];
	int n = snprintf(text, sizeof text, "* %s %s", who != NULL ? who->name : "the room", what);
	struct line *l = line_new("", text, n);

	if (l == NULL)
		return;
	tell(all, NULL, l);
	line_put(l);
}

static void room(void *arg)
{
	struct client *all = NULL;
	struct message m;
	bool closing = false;

	(void)arg;
	while (gort_chan_recv(messages, &m) == 0) {
		struct client **at = &all;

		switch (m.what) {
		case JOIN:
			m.client->next = all;
			all = m.client;
			announce(all, m.client, "joins");
			if (closing)
				gort_conn_set_read_deadline(m.client->conn, 0);
			break;
		case SAY:
			tell(all, m.client, m.line);
			line_put(m.line);
			break;
		case LEAVE:
			while (*at != m.client)
				at = &(*at)->next;
			*at = m.client->next;
			announce(all, m.client, "leaves");
			gort_chan_close(m.client->lines);
			client_put(m.client);           /* the reader's, which is through */
			break;
		case QUIT:
			closing = true;
			announce(all, NULL, "closes");
			/* readers end, and writers when they have written what there is */
			for (struct client *c = all; c != NULL; c = c->next)
				gort_conn_set_read_deadline(c->conn, 0);
			break;
		}
	}
}

/* --- a client --- */

static void writer(void *arg)
{
	struct client *c = arg;
	struct line *l;
	bool well = true;

	while (gort_chan_recv(c->lines, &l) == 0) {
		if (well) {
			gort_conn_set_write_deadline(c->conn, gort_deadline(PATIENCE));
			well = gort_write(c->conn, l->text, (size_t)l->len) == l->len;
			if (!well)
				gort_conn_set_read_deadline(c->conn, 0);        /* the reader ends too */
		}
		line_put(l);
	}
	client_put(c);
}

struct input {
	size_t n;
	char buf[LONGEST];
};

/* A line without its end, in in->buf; -1: there are no more. What comes after it stays for the next call, *used bytes on. */
static int next_line(gort_conn *conn, struct input *in, size_t *used)
{
	memmove(in->buf, in->buf + *used, in->n - *used);
	in->n -= *used;
	for (;;) {
		char *end = memchr(in->buf, '\n', in->n);
		size_t len = end != NULL ? (size_t)(end - in->buf) : in->n;
		ptrdiff_t got;

		if (end != NULL || in->n == sizeof in->buf) {
			*used = len + (end != NULL);
			return (int)(len > 0 && in->buf[len - 1] == '\r' ? len - 1 : len);
		}
		got = gort_read(conn, in->buf + in->n, sizeof in->buf - in->n);
		if (got <= 0)
			return -1;
		in->n += (size_t)got;
	}
}

/* Of a client that has said its name. Control characters would do things to others' terminals. */
static void clean(char *text, int len)
{
	for (int i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == '\x7f')
			text[i] = '?';
	}
}

static void reader(void *arg)
{
	struct client *c = arg;
	struct message m = { .what = JOIN, .client = c };
	struct input in = { .n = 0 };
	size_t used = 0;
	int len;

	gort_conn_set_read_deadline(c->conn, gort_deadline(PATIENCE));
	len = next_line(c->conn, &in, &used);
	clean(in.buf, len);
	snprintf(c->name, sizeof c->name, "%.*s", len < 0 ? 0 : len, in.buf);
	if (c->name[0] == '\0' || gort_go(writer, c) != 0) {
		c->refs = 1;                    /* nobody else knows it */
		client_put(c);
		return;
	}
	gort_conn_set_read_deadline(c->conn, GORT_FOREVER);
	gort_chan_send(messages, &m);
	while ((len = next_line(c->conn, &in, &used)) >= 0) {
		clean(in.buf, len);
		m = (struct message){ .what = SAY, .client = c, .line = line_new(c->name, in.buf, len) };
		if (m.line == NULL)
			break;
		gort_chan_send(messages, &m);
	}
	m = (struct message){ .what = LEAVE, .client = c };
	gort_chan_send(messages, &m);
}

/* --- all of it --- */

struct door {
	gort_listener *listener;
	gort_chan *signals;             /* int */
};

static void close_on_signal(void *arg)
{
	struct door *d = arg;
	int signo;

	gort_chan_recv(d->signals, &signo);
	gort_listener_close(d->listener);
}

static void let_in(gort_conn *conn)
{
	struct client *c = calloc(1, sizeof *c);

	if (c != NULL)
		c->lines = gort_chan_new(sizeof(struct line *), BEHIND);
	if (c == NULL || c->lines == NULL) {
		free(c);
		gort_conn_close(conn);
		return;
	}
	c->conn = conn;
	c->refs = 2;
	gort_waitgroup_add(&clients, 1);
	if (gort_go(reader, c) != 0) {
		c->refs = 1;
		client_put(c);
	}
}

GORT_MAIN(argc, argv)
{
	struct door d = { .signals = gort_chan_new(sizeof(int), 1) };
	struct message quit = { .what = QUIT };
	gort_waitgroup rooms = GORT_WAITGROUP_INIT;
	gort_conn *conn;
	char at[128];
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: chat ADDRESS    such as localhost:7000\n");
		return 2;
	}
	err = gort_listen(&d.listener, "tcp", argv[1], NULL);
	if (err != 0) {
		fprintf(stderr, "chat: %s: %s\n", argv[1], gort_strerror(err));
		return 1;
	}
	messages = gort_chan_new(sizeof(struct message), 0);
	if (messages == NULL || d.signals == NULL || gort_signal_notify(d.signals, SIGINT) != 0 ||
	    gort_signal_notify(d.signals, SIGTERM) != 0 || gort_go(close_on_signal, &d) != 0 ||
	    gort_waitgroup_go(&rooms, room, NULL) != 0) {
		fprintf(stderr, "chat: %s\n", gort_strerror(-ENOMEM));
		return 1;
	}
	gort_listener_addr(d.listener, at, sizeof at);
	printf("%s\n", at);
	fflush(stdout);
	while ((err = gort_accept(d.listener, &conn)) == 0)
		let_in(conn);
	if (err != -ECANCELED)
		fprintf(stderr, "chat: accept: %s\n", gort_strerror(err));
	gort_chan_send(messages, &quit);
	gort_waitgroup_wait(&clients);
	gort_chan_close(messages);
	gort_waitgroup_wait(&rooms);
	return err == -ECANCELED ? 0 : 1;
}
