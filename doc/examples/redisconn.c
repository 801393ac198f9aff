/* SPDX-License-Identifier: MIT */
/*
 * hiredis on gort_fd_wait. gort dials, and gives the socket to hiredis, which closes it in redisFree and nowhere else; so one
 * gort_fd serves for all of its life.
 *
 * A shared connection has two goroutines of its own. One sends what has been gathered when it comes to run: with many callers that
 * is a lot at a time. The other gives out the answers, which come in the order of the commands. All of it is under one
 * lock, since a redisContext is for one at a time; nobody holds that while waiting.
 */
#include "redisconn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int redis_open(struct redis *r, const char *network, const char *address, gort_time deadline)
{
	gort_conn *conn;
	int err = gort_dial(&conn, network, address, deadline), fd;

	if (err != 0)
		return err;
	fd = gort_conn_release_fd(conn);        /* it does not block still */
	if (fd < 0)
		return fd;
	r->c = redisConnectFd(fd);
	if (r->c == NULL) {
		close(fd);
		return -ENOMEM;
	}
	r->c->flags &= ~REDIS_BLOCK;            /* so that hiredis knows, too */
	err = gort_fd_open(&r->fd, fd);
	if (err != 0)
		redisFree(r->c);
	return err;
}

void redis_close(struct redis *r)
{
	gort_fd_close(r->fd);
	redisFree(r->c);
}

/* What is wrong, as a number; hiredis' words are in c->errstr. */
static int error(const redisContext *c)
{
	switch (c->err) {
	case REDIS_ERR_EOF: return -ECONNRESET;
	case REDIS_ERR_IO: return -EIO;
	case REDIS_ERR_OOM: return -ENOMEM;
	default: return -EPROTO;
	}
}

int redis_flush(struct redis *r, gort_time deadline)
{
	int done = 0;

	for (;;) {
		int events;

		if (redisBufferWrite(r->c, &done) != REDIS_OK)
			return error(r->c);
		if (done)
			return 0;
		events = gort_fd_wait(r->fd, GORT_WRITABLE, deadline);
		if (events < 0)
			return events;
	}
}

int redis_receive(struct redis *r, redisReply **reply, gort_time deadline)
{
	for (;;) {
		void *next = NULL;
		int events;

		if (redisGetReplyFromReader(r->c, &next) != REDIS_OK)
			return error(r->c);
		*reply = next;
		if (next != NULL)
			return 0;
		events = gort_fd_wait(r->fd, GORT_READABLE, deadline);
		if (events < 0)
			return events;
		if (redisBufferRead(r->c) != REDIS_OK)
			return error(r->c);
	}
}

/* --- by many goroutines at once --- */

struct call {
	struct call *next;
	redisReply *reply;
	bool done, left;                /* left: nobody wants it any more, and it is the receiver's to free */
	gort_cond answered;
};

struct redis_shared {
	struct redis r;
	gort_mutex lock;
	gort_cond gathered;             /* there is something to send, or err is set */
	bool full;                      /* there is */
	int err;                        /* why it is of no use any more; -ECANCELED: it is closed */
	struct call *first, **last;     /* those without an answer, in order */
	gort_waitgroup goroutines;
};

/* Under lock. Nothing comes after this. */
static void break_off(struct redis_shared *s, int err)
{
	if (s->err == 0)
		s->err = err;
	gort_cond_signal(&s->gathered);
	for (struct call *k = s->first; k != NULL; k = k->next)
		gort_cond_signal(&k->answered);
}

static void sender(void *arg)
{
	struct redis_shared *s = arg;
	int done, events;

	gort_mutex_lock(&s->lock);
	while (s->err == 0) {
		if (!s->full) {
			gort_cond_wait(&s->gathered, &s->lock);
			continue;
		}
		if (redisBufferWrite(s->r.c, &done) != REDIS_OK) {
			break_off(s, error(s->r.c));
			break;
		}
		s->full = !done;
		if (done)
			continue;
		gort_mutex_unlock(&s->lock);
		events = gort_fd_wait(s->r.fd, GORT_WRITABLE, GORT_FOREVER);
		gort_mutex_lock(&s->lock);
		if (events < 0)
			break_off(s, events);
	}
	gort_mutex_unlock(&s->lock);
}

/* Under lock. The oldest call gets the answer. False: there is none that wants one. */
static bool give(struct redis_shared *s, redisReply *reply)
{
	struct call *k = s->first;

	if (k == NULL) {
		freeReplyObject(reply);
		return false;
	}
	s->first = k->next;
	if (s->first == NULL)
		s->last = &s->first;
	if (k->left) {
		freeReplyObject(reply);
		free(k);
		return true;
	}
	k->reply = reply;
	k->done = true;
	gort_cond_signal(&k->answered);
	return true;
}

static void receiver(void *arg)
{
	struct redis_shared *s = arg;
	int events;

	gort_mutex_lock(&s->lock);
	while (s->err == 0) {
		void *reply = NULL;
		int err = redisGetReplyFromReader(s->r.c, &reply);

		if (err == REDIS_OK && reply != NULL) {
			if (!give(s, reply))
				break_off(s, -EPROTO);
			continue;
		}
		if (err == REDIS_OK) {
			gort_mutex_unlock(&s->lock);
			events = gort_fd_wait(s->r.fd, GORT_READABLE, GORT_FOREVER);
			gort_mutex_lock(&s->lock);
			if (events < 0) {
				break_off(s, events);
				break;
			}
			err = redisBufferRead(s->r.c);
		}
		if (err != REDIS_OK)
			break_off(s, error(s->r.c));
	}
	gort_mutex_unlock(&s->lock);
}

struct redis_shared *redis_share(const struct redis *r)
{
	struct redis_shared *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->r = *r;
	s->last = &s->first;
	gort_fd_ref(s->r.fd);                   /* the goroutines': they may be on their way to wait when another closes */
	if (gort_waitgroup_go(&s->goroutines, sender, s) == 0 && gort_waitgroup_go(&s->goroutines, receiver, s) == 0)
		return s;
	gort_mutex_lock(&s->lock);
	break_off(s, -ENOMEM);
	gort_mutex_unlock(&s->lock);
	gort_waitgroup_wait(&s->goroutines);
	gort_fd_unref(s->r.fd);
	free(s);
	return NULL;
}

int redis_call(struct redis_shared *s, redisReply **reply, gort_time deadline, const char *format, ...)
{
	struct call *k = calloc(1, sizeof *k);
	va_list arguments;
	int err;

	if (k == NULL)
		return -ENOMEM;
	gort_mutex_lock(&s->lock);
	err = s->err;
	if (err == 0) {
		va_start(arguments, format);
		if (redisvAppendCommand(s->r.c, format, arguments) != REDIS_OK)
			err = -EINVAL;
		va_end(arguments);
	}
	if (err == 0) {
		*s->last = k;
		s->last = &k->next;
		if (!s->full)
			gort_cond_signal(&s->gathered);
		s->full = true;
		while (!k->done && s->err == 0 && err == 0)
			err = gort_cond_wait_until(&k->answered, &s->lock, deadline);
		if (k->done) {
			err = 0;
			*reply = k->reply;
		} else {
			err = s->err != 0 ? s->err : err;
			k->left = true;         /* in the list still */
			k = NULL;
		}
	}
	gort_mutex_unlock(&s->lock);
	free(k);
	return err;
}

void redis_shared_close(struct redis_shared *s)
{
	struct call *k, *next;

	gort_mutex_lock(&s->lock);
	break_off(s, -ECANCELED);
	gort_mutex_unlock(&s->lock);
	gort_fd_close(s->r.fd);                 /* ends their waits */
	gort_waitgroup_wait(&s->goroutines);
	gort_fd_unref(s->r.fd);
	redisFree(s->r.c);
	for (k = s->first; k != NULL; k = next) {
		next = k->next;
		free(k);
	}
	free(s);
}
