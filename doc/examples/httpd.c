/* SPDX-License-Identifier: MIT */
/*
 * httpd ADDRESS FOLDER [MS] - serves the files of a folder by HTTP/1.1
 *
 * Prints the address that it listens at (":0" takes a free port), and serves until SIGTERM or SIGINT. Then it takes no more
 * connections, closes those on which nothing is going on, finishes what is, and ends; a second signal ends it at once.
 *
 * GET and HEAD; several requests on a connection, one after the other or all at once; parts of files (Range), files that have
 * not changed (If-None-Match). A folder is its index.html. What is too long, too large, too slow, or no request at all is
 * answered with the status that says so, and the connection closed. A client has MS milliseconds (30000) for each step: to
 * begin a request, to send the rest of it, to take some more of a file.
 *
 * How it works: a goroutine for each connection, which reads a request (httprequest.c), answers it, and goes on to the next, as
 * if it were the only one. Deadlines stand for all of its clocks. At the end main sets one in the past for whoever waits for a
 * request to begin; the others see that they are to close when they have answered.
 */
#include <gort/chan.h>
#include <gort/net.h>
#include <gort/signal.h>
#include <gort/sync.h>

#include "httprequest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 8192                    /* bytes of an answer that go out in one piece, with its head */
#define STEP ((size_t)256 << 10)        /* bytes of a file that a client has one deadline for */
#define PARTING GORT_SECOND             /* for a client to read an error before the connection is gone */
#define PAST 1

struct client {
	struct client *next, **at;      /* under lock */
	gort_conn *c;
	bool idle;                      /* waits for a request to begin; under lock */
	struct http_reader reader;
	struct http_request request;
	char out[AT_ONCE];
};

static struct {
	int folder;
	gort_duration patience;
	gort_listener *listener;
	gort_chan *stop;                /* of int: a signal, or 0 when no more connections come */
	gort_mutex lock;
	struct client *clients;         /* under lock */
	bool ending;                    /* under lock: no request begins any more */
	gort_waitgroup all;
} server;

/* --- answers --- */

/* Puts the head of an answer into out. length: of what follows, < 0: nothing can; more: lines of its own. Its length. */
static size_t put_head(struct client *cl, int status, int64_t length, const char *more)
{
	time_t now = time(NULL);
	struct tm tm;
	char date[64], line[64] = "";

	if (length >= 0)
		snprintf(line, sizeof line, "Content-Length: %" PRId64 "\r\n", length);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	return (size_t)snprintf(cl->out, sizeof cl->out, "HTTP/1.1 %d %s\r\nServer: gort-httpd\r\nDate: %s\r\nConnection: %s\r\n"
		"%s%s\r\n", status, http_status_str((enum http_status)status), date,
		cl->request.keep_alive ? "keep-alive" : "close", line, more);
}

/* The same with all n bytes there are behind it. Whether they went out. */
static bool send_out(struct client *cl, size_t n)
{
	gort_conn_set_write_deadline(cl->c, gort_deadline(server.patience));
	return gort_write(cl->c, cl->out, n) == (ptrdiff_t)n;
}

/* A status and its words. */
static bool answer(struct client *cl, int status, const char *more)
{
	const char *words = http_status_str((enum http_status)status);
	char lines[sizeof cl->out / 2];
	size_t n;

	if (status == 304)
		return send_out(cl, put_head(cl, status, -1, more));
	snprintf(lines, sizeof lines, "Content-Type: text/plain\r\n%s", more);
	n = put_head(cl, status, (int64_t)strlen(words) + 5, lines);
	if (!cl->request.head)
		n += (size_t)snprintf(cl->out + n, sizeof cl->out - n, "%d %s\n", status, words);
	return send_out(cl, n);
}

static bool answer_error(struct client *cl, int err)
{
	switch (err) {
	case EACCES: case EPERM: return answer(cl, 403, "");
	case ENOENT: case ENOTDIR: case ENAMETOOLONG: case ELOOP: case ENXIO: return answer(cl, 404, "");
	case EMFILE: case ENFILE: case ENOMEM: return answer(cl, 503, "");
	default: return answer(cl, 500, "");
	}
}

/* To the same path with a slash behind it, where what a folder's page refers to is found. */
static bool answer_moved(struct client *cl)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	char more[3 * HTTP_TARGET_MOST + 64];
	size_t n = (size_t)sprintf(more, "Location: /");

	for (const char *s = cl->request.path; *s != '\0'; s++)
		n += (size_t)sprintf(more + n, strchr(plain, *s) != NULL ? "%c" : "%%%02X", (unsigned char)*s);
	sprintf(more + n, "/\r\n");
	return n + 3 < sizeof cl->out / 3 ? answer(cl, 301, more) : answer(cl, 404, "");
}

/* --- files --- */

static const char *type_of(const char *path)
{
	static const char *const known[][2] = {
		{ "html", "text/html; charset=utf-8" }, { "txt", "text/plain; charset=utf-8" }, { "css", "text/css" },
		{ "js", "text/javascript" }, { "json", "application/json" }, { "png", "image/png" }, { "jpg", "image/jpeg" },
		{ "svg", "image/svg+xml" },
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot != NULL && i < sizeof known / sizeof *known; i++) {
		if (strcmp(dot + 1, known[i][0]) == 0)
			return known[i][1];
	}
	return "application/octet-stream";
}

/* Digits at *s, which moves behind them. The number, INT64_MAX for a larger one, or -1 when there are none. */
static int64_t number(const char **s)
{
	int64_t n = **s >= '0' && **s <= '9' ? 0 : -1;

	for (; **s >= '0' && **s <= '9'; ++*s)
		n = n < INT64_MAX / 10 - 1 ? n * 10 + (**s - '0') : INT64_MAX;
	return n;
}

/*
 * "bytes=FIRST-LAST", "bytes=FIRST-" or "bytes=-HOW-MANY" of a file of so many bytes. 206 with *from and *n, 416 when they are
 * none of the file's; 200 for what we do not know, several ranges being such, which is to be left out of account.
 */
static int parse_range(const char *s, int64_t size, int64_t *from, int64_t *n)
{
	int64_t first, last;

	if (strncmp(s, "bytes=", 6) != 0)
		return 200;
	s += 6;
	first = number(&s);
	if (*s++ != '-')
		return 200;
	last = number(&s);
	if (*s != '\0' || (first < 0 && last < 0) || (first >= 0 && last >= 0 && last < first))
		return 200;
	if (first < 0) {                        /* the last so many */
		first = last < size ? size - last : 0;
		last = last > 0 ? size - 1 : -1;
	} else if (last < 0 || last >= size) {
		last = size - 1;
	}
	if (first >= size || last < first)
		return 416;
	*from = first;
	*n = last - first + 1;
	return 206;
}

/* n bytes of fd behind the head in out, of which so many bytes are there. Whether all of it went out. */
static bool send_file(struct client *cl, size_t head, int fd, int64_t from, int64_t n)
{
	if ((uint64_t)n <= sizeof cl->out - head) {
		while (n > 0) {
			ssize_t k = pread(fd, cl->out + head, (size_t)n, from);

			if (k < 0 && errno == EINTR)
				continue;
			if (k <= 0)             /* it has become shorter than we said: only the end of the connection can tell now */
				return false;
			head += (size_t)k;
			from += k;
			n -= k;
		}
		return send_out(cl, head);
	}
	if (!send_out(cl, head))
		return false;
	while (n > 0) {
		ptrdiff_t k;

		/* one that has passed with some bytes taken is one that was kept */
		gort_conn_set_write_deadline(cl->c, gort_deadline(server.patience));
		k = gort_sendfile(cl->c, fd, from, (uint64_t)n < STEP ? (size_t)n : STEP);
		if (k <= 0)
			return false;
		from += k;
		n -= k;
	}
	return true;
}

/* Does a list of tags have this one in it, or a star? */
static bool has_tag(const char *list, const char *tag)
{
	return strcmp(list, "*") == 0 || strstr(list, tag) != NULL;
}

static bool answer_file(struct client *cl, int fd, const struct stat *st, const char *path)
{
	struct http_request *r = &cl->request;
	int64_t from = 0, n = st->st_size;
	char tag[80], more[512];
	int status = 200;
	size_t head;

	snprintf(tag, sizeof tag, "\"%" PRIx64 "-%" PRIx64 ".%lx\"", (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
		(unsigned long)st->st_mtim.tv_nsec);
	if (has_tag(r->none_match, tag)) {
		snprintf(more, sizeof more, "ETag: %s\r\n", tag);
		return answer(cl, 304, more);
	}
	if (*r->range != '\0' && !r->head && (*r->if_range == '\0' || strcmp(r->if_range, tag) == 0))
		status = parse_range(r->range, st->st_size, &from, &n);
	if (status == 416) {
		snprintf(more, sizeof more, "Content-Range: bytes */%" PRId64 "\r\n", (int64_t)st->st_size);
		return answer(cl, 416, more);
	}
	head = (size_t)snprintf(more, sizeof more, "Content-Type: %s\r\nETag: %s\r\nAccept-Ranges: bytes\r\n", type_of(path), tag);
	if (status == 206)
		snprintf(more + head, sizeof more - head, "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n", from,
			from + n - 1, (int64_t)st->st_size);
	head = put_head(cl, status, n, more);
	return r->head ? send_out(cl, head) : send_file(cl, head, fd, from, n);
}

/* The file, or folder's page, of a request's path. */
static bool answer_path(struct client *cl)
{
	/* not to wait for a writer of a FIFO */
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	const char *path = cl->request.path;
	int fd = openat(server.folder, *path != '\0' ? path : ".", flags);
	struct stat st;
	bool ok;

	if (fd < 0 || fstat(fd, &st) != 0) {
		ok = answer_error(cl, errno);
	} else if (S_ISDIR(st.st_mode)) {
		int page = -1;

		if (cl->request.folder) {
			page = openat(fd, "index.html", flags);
			if (page < 0 || fstat(page, &st) != 0)
				ok = answer_error(cl, errno);
			else
				ok = S_ISREG(st.st_mode) ? answer_file(cl, page, &st, "index.html") : answer(cl, 404, "");
		} else {
			ok = answer_moved(cl);
		}
		if (page >= 0)
			close(page);
	} else if (!S_ISREG(st.st_mode) || cl->request.folder) {
		ok = answer(cl, 404, "");
	} else {
		ok = answer_file(cl, fd, &st, path);
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

/* --- connections --- */

/* False: the server ends, and no request is to begin. Else it may take as long as a client is waited for. */
static bool set_idle(struct client *cl, bool idle)
{
	bool ok;

	gort_mutex_lock(&server.lock);
	ok = !idle || !server.ending;
	cl->idle = idle && ok;
	if (ok)
		gort_conn_set_read_deadline(cl->c, gort_deadline(server.patience));
	gort_mutex_unlock(&server.lock);
	return ok;
}

static bool ending(void)
{
	bool is;

	gort_mutex_lock(&server.lock);
	is = server.ending;
	gort_mutex_unlock(&server.lock);
	return is;
}

/* Answers a request. Whether another may follow. */
static bool serve_one(struct client *cl)
{
	struct http_request *r = &cl->request;
	int status = http_read(&cl->reader, r);
	bool ok;

	if (status == 0)
		return false;
	r->keep_alive = r->keep_alive && !ending();
	if (status == 405)
		ok = answer(cl, 405, "Allow: GET, HEAD\r\n");
	else
		ok = status == 200 ? answer_path(cl) : answer(cl, status, "");
	return ok && r->keep_alive;
}

/*
 * A close with bytes left unread resets the connection, and what was sent last may be lost with it. So we say that there is
 * no more, and let the client finish, for a while.
 */
static void part(struct client *cl)
{
	gort_time until = gort_deadline(PARTING);

	if (gort_conn_shutdown_write(cl->c) == 0 && gort_conn_set_read_deadline(cl->c, until) == 0)
		while (gort_read(cl->c, cl->out, sizeof cl->out) > 0)
			;
	gort_conn_close(cl->c);
}

static void forget(struct client *cl)
{
	gort_mutex_lock(&server.lock);
	*cl->at = cl->next;
	if (cl->next != NULL)
		cl->next->at = cl->at;
	gort_mutex_unlock(&server.lock);
	free(cl);
}

static void serve(void *arg)
{
	struct client *cl = arg;

	/* what came behind the last request is the beginning of the next, which is answered whatever comes */
	while (http_has_begun(&cl->reader) || (set_idle(cl, true) && http_await(&cl->reader) == 1)) {
		set_idle(cl, false);
		if (!serve_one(cl))
			break;
	}
	set_idle(cl, false);                    /* the deadline is its own from now on */
	part(cl);
	forget(cl);
}

/* Has a goroutine serve the connection; without the memory for that it is closed. */
static void begin(gort_conn *c)
{
	struct client *cl = malloc(sizeof *cl);

	if (cl == NULL) {
		gort_conn_close(c);
		return;
	}
	cl->c = c;
	cl->idle = false;
	http_reader_init(&cl->reader, c);
	gort_mutex_lock(&server.lock);
	cl->at = &server.clients;
	cl->next = server.clients;
	if (cl->next != NULL)
		cl->next->at = &cl->next;
	server.clients = cl;
	gort_mutex_unlock(&server.lock);
	if (gort_waitgroup_go(&server.all, serve, cl) != 0) {
		gort_conn_close(c);
		forget(cl);
	}
}

static void accept_all(void *arg)
{
	gort_conn *c;
	int err, none = 0;

	(void)arg;
	while ((err = gort_accept(server.listener, &c)) == 0)
		begin(c);
	if (err != -ECANCELED)
		fprintf(stderr, "httpd: accept: %s\n", gort_strerror(err));
	gort_chan_try_send(server.stop, &none);
}

/* --- the whole --- */

static int fail(const char *what, int err)
{
	fprintf(stderr, "httpd: %s: %s\n", what, gort_strerror(err));
	return 1;
}

/* Nothing begins any more: whoever waits for that need not. */
static void end_idle(void)
{
	gort_mutex_lock(&server.lock);
	server.ending = true;
	for (struct client *cl = server.clients; cl != NULL; cl = cl->next) {
		if (cl->idle)
			gort_conn_set_read_deadline(cl->c, PAST);
	}
	gort_mutex_unlock(&server.lock);
}

static int run(const char *address, const char *folder)
{
	char at[128];
	int signo, err;

	server.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (server.folder < 0)
		return fail(folder, -errno);
	server.stop = gort_chan_new(sizeof(int), 1);
	err = server.stop != NULL ? gort_signal_notify(server.stop, SIGTERM) : -ENOMEM;
	if (err == 0)
		err = gort_signal_notify(server.stop, SIGINT);
	if (err == 0)
		err = gort_listen(&server.listener, "tcp", address, NULL);
	if (err == 0)
		err = gort_waitgroup_go(&server.all, accept_all, NULL);
	if (err != 0)
		return fail(address, err);
	gort_listener_addr(server.listener, at, sizeof at);
	printf("%s\n", at);
	fflush(stdout);

	gort_chan_recv(server.stop, &signo);
	gort_signal_stop(server.stop);
	/* the reference that is left is for the one that accepts: it may be about to, once more */
	gort_listener_close(gort_listener_ref(server.listener));
	end_idle();
	err = gort_waitgroup_wait_until(&server.all, gort_deadline(2 * server.patience + PARTING));
	if (err != 0)
		return fail("clients that are not done", err);
	gort_listener_unref(server.listener);
	gort_chan_unref(server.stop);
	close(server.folder);
	return signo != 0 ? 0 : 1;
}

GORT_MAIN(argc, argv)
{
	char *end = NULL;
	long ms = argc == 4 ? strtol(argv[3], &end, 10) : 30000;

	if ((argc != 3 && argc != 4) || (end != NULL && *end != '\0') || ms < 1 || ms > 3600000) {
		fprintf(stderr, "usage: httpd ADDRESS FOLDER [MILLISECONDS]\n");
		return 2;
	}
	server.patience = ms * GORT_MILLISECOND;
	return run(argv[1], argv[2]);
}
