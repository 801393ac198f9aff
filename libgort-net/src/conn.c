/* SPDX-License-Identifier: MIT */
/* Connections: reading and writing. What opens them is in listen.c, dial.c and below. */
#include "conn.h"

#include "os/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>

#define BATCH 64                        /* buffers handed to the system at once */

static struct net_desc *desc(gort_conn *c)
{
	return (struct net_desc *)c;
}

/* --- reading --- */

/*
 * To find out by a read that there is nothing left, before waiting, costs a system call for each message. What is shorter
 * than was asked for was all there is, in TCP: but where the peer has ended, or sent urgent data, which cuts a read short.
 * Where messages are read whole, to the byte, the system is asked to tell with each read what is left, once that has been
 * in vain a few times. Either way what arrives afterwards makes an edge.
 */
#define IN_VAIN 2

static inline void note_read(struct net_desc *d, ptrdiff_t got, size_t asked, int left)
{
	if (got <= 0)
		return;
	d->was_full = (size_t)got == asked && left != 0;
	if (!d->was_full && d->tcp && !gort__load_relaxed(&d->ended))
		d->dir[NET_READ].drained = true;
}

/* The last read had all that it asked for, and there was no more. */
static __attribute__((noinline)) void note_vain(struct net_desc *d)
{
	d->was_full = false;
	if (d->tcp && !d->tells_left && ++d->in_vain == IN_VAIN)
		d->tells_left = net_os_tell_left(d->fd);
}

/* Tries and waits, by turns, until fn says something else than -EAGAIN. The caller has the turn. */
#define TRY(d, direction, result, call) do { \
		for (;;) { \
			int try_err_; \
			if (!(d)->dir[direction].drained) { \
				result = (call); \
				if (result != -EAGAIN) \
					break; \
				if (direction == NET_READ && (d)->was_full) \
					note_vain(d); \
			} \
			try_err_ = net_wait(d, direction, GORT_FOREVER); \
			if (try_err_ != 0) { \
				result = try_err_; \
				break; \
			} \
		} \
	} while (0)

static inline ptrdiff_t recv_some(struct net_desc *d, void *buf, size_t n, int *left)
{
	struct iovec one = { .iov_base = buf, .iov_len = n };

	*left = -1;
	if (gort__unlikely(!d->socket))
		return net_os_read_iov(d->fd, &one, 1);
	return d->tells_left ? net_os_recv_left(d->fd, buf, n, left) : net_os_recv(d->fd, buf, n);
}

static inline ptrdiff_t send_some(struct net_desc *d, const void *buf, size_t n)
{
	struct iovec one = { .iov_base = (void *)buf, .iov_len = n };

	return gort__likely(d->socket) ? net_os_send(d->fd, buf, n) : net_os_write_iov(d->fd, &one, 1);
}

/* The caller has the turn. */
static ptrdiff_t read_some(struct net_desc *d, void *buf, size_t n)
{
	ptrdiff_t k;
	int left = -1;

	TRY(d, NET_READ, k, recv_some(d, buf, n, &left));
	note_read(d, k, n, left);
	return k;
}

ptrdiff_t gort_read(gort_conn *c, void *buf, size_t n)
{
	struct net_desc *d = desc(c);
	ptrdiff_t k = net_begin(d, NET_READ);

	if (k != 0)
		return k;
	if (n > 0)
		k = read_some(d, buf, n);
	net_end(d, NET_READ);
	return k;
}

ptrdiff_t gort_read_full(gort_conn *c, void *buf, size_t n)
{
	struct net_desc *d = desc(c);
	ptrdiff_t k = net_begin(d, NET_READ);
	size_t got = 0;

	if (k != 0)
		return k;
	if (n > PTRDIFF_MAX)
		n = PTRDIFF_MAX;
	while (got < n && (k = read_some(d, (char *)buf + got, n - got)) > 0)
		got += (size_t)k;
	net_end(d, NET_READ);
	return k < 0 ? k : (ptrdiff_t)got;
}

/*
 * A position in a list of buffers. fill copies what comes next from there, at most BATCH buffers, none of them empty; how
 * many, and their bytes.
 */
struct cursor {
	const struct iovec *iov;
	int n;
	size_t used;                    /* of the first */
};

static int fill(struct cursor *at, struct iovec *batch, size_t *bytes)
{
	size_t used = at->used;
	int k = 0;

	*bytes = 0;
	for (int i = 0; i < at->n && k < BATCH; i++, used = 0) {
		size_t len = at->iov[i].iov_len - used;

		if (len == 0)
			continue;
		if (len > (size_t)PTRDIFF_MAX - *bytes)         /* more than a result can say: the rest comes later */
			break;
		batch[k].iov_base = (char *)at->iov[i].iov_base + used;
		batch[k++].iov_len = len;
		*bytes += len;
	}
	return k;
}

static void advance(struct cursor *at, size_t bytes)
{
	while (at->n > 0 && bytes >= at->iov->iov_len - at->used) {
		bytes -= at->iov->iov_len - at->used;
		at->used = 0;
		at->iov++;
		at->n--;
	}
	at->used += bytes;
}

ptrdiff_t gort_readv(gort_conn *c, const struct iovec *iov, int n)
{
	struct net_desc *d = desc(c);
	struct cursor at = { .iov = iov, .n = n };
	struct iovec batch[BATCH];
	size_t bytes;
	ptrdiff_t k;
	int m;

	if (n < 0 || (n > 0 && iov == NULL))
		return -EINVAL;
	k = net_begin(d, NET_READ);
	if (k != 0)
		return k;
	m = fill(&at, batch, &bytes);
	if (m > 0) {
		TRY(d, NET_READ, k, d->socket ? net_os_recv_iov(d->fd, batch, m) : net_os_read_iov(d->fd, batch, m));
		note_read(d, k, bytes, -1);
	}
	net_end(d, NET_READ);
	return k;
}

/* --- writing --- */

/* 0: go on. Else what the last write had no way to say. */
static ptrdiff_t begin_write(struct net_desc *d)
{
	struct net_dir *r = &d->dir[NET_WRITE];
	ptrdiff_t err = net_begin(d, NET_WRITE);

	if (err == 0 && gort__unlikely(r->err != 0)) {
		err = r->err;
		r->err = 0;
		net_end(d, NET_WRITE);
	}
	return err;
}

/* done bytes have gone out, of all that should; then came err (0: none). What to return. */
static ptrdiff_t end_write(struct net_desc *d, size_t done, ptrdiff_t err)
{
	/* a deadline and a close are there for the next call to see */
	if (err < 0 && done > 0 && err != -ETIMEDOUT && err != -ECANCELED)
		d->dir[NET_WRITE].err = (int)err;
	net_end(d, NET_WRITE);
	return done > 0 ? (ptrdiff_t)done : err;
}

ptrdiff_t gort_write(gort_conn *c, const void *buf, size_t n)
{
	struct net_desc *d = desc(c);
	ptrdiff_t k = begin_write(d);
	size_t done = 0;

	if (k != 0)
		return k;
	if (n > PTRDIFF_MAX)
		n = PTRDIFF_MAX;
	/* an empty packet is one to be sent, too */
	do {
		TRY(d, NET_WRITE, k, send_some(d, (const char *)buf + done, n - done));
		if (k > 0)
			done += (size_t)k;
	} while (k > 0 && done < n);
	return end_write(d, done, k < 0 ? k : 0);
}

ptrdiff_t gort_writev(gort_conn *c, const struct iovec *iov, int n)
{
	struct net_desc *d = desc(c);
	struct cursor at = { .iov = iov, .n = n };
	struct iovec batch[BATCH];
	size_t done = 0, bytes;
	ptrdiff_t k;
	int m;

	if (n < 0 || (n > 0 && iov == NULL))
		return -EINVAL;
	k = begin_write(d);
	if (k != 0)
		return k;
	while (done < PTRDIFF_MAX && (m = fill(&at, batch, &bytes)) > 0) {
		TRY(d, NET_WRITE, k, d->socket ? net_os_send_iov(d->fd, batch, m) : net_os_write_iov(d->fd, batch, m));
		if (k <= 0)
			break;
		done += (size_t)k;
		advance(&at, (size_t)k);
	}
	return end_write(d, done, k < 0 ? k : 0);
}

ptrdiff_t gort_sendfile(gort_conn *c, int fd, int64_t offset, size_t n)
{
	struct net_desc *d = desc(c);
	ptrdiff_t k = begin_write(d);
	size_t done = 0;

	if (k != 0)
		return k;
	if (n > PTRDIFF_MAX)
		n = PTRDIFF_MAX;
	while (done < n) {
		TRY(d, NET_WRITE, k, net_os_sendfile(d->fd, fd, &offset, n - done));
		if (k <= 0)
			break;
		done += (size_t)k;
	}
	return end_write(d, done, k < 0 ? k : 0);
}

/* --- deadlines, options, addresses --- */

int gort_conn_set_deadline(gort_conn *c, gort_time t)
{
	return net_set_deadline(desc(c), 1u << NET_READ | 1u << NET_WRITE, t);
}

int gort_conn_set_read_deadline(gort_conn *c, gort_time t)
{
	return net_set_deadline(desc(c), 1u << NET_READ, t);
}

int gort_conn_set_write_deadline(gort_conn *c, gort_time t)
{
	return net_set_deadline(desc(c), 1u << NET_WRITE, t);
}

int gort_conn_shutdown_write(gort_conn *c)
{
	struct net_desc *d = desc(c);
	int err = net_hold(d);

	if (err != 0)
		return err;
	err = shutdown(d->fd, SHUT_WR) == 0 ? 0 : net_os_error();
	net_release(d);
	return err;
}

int gort_conn_local_addr(gort_conn *c, char *buf, size_t size)
{
	return net_desc_addr(desc(c), buf, size, false);
}

int gort_conn_remote_addr(gort_conn *c, char *buf, size_t size)
{
	return net_desc_addr(desc(c), buf, size, true);
}

int gort_conn_fd(gort_conn *c)
{
	struct net_desc *d = desc(c);

	return gort__load_relaxed(&d->closed) ? -ECANCELED : d->fd;
}

static int set_option(struct net_desc *d, int level, int option, const void *value, socklen_t len)
{
	int err = net_hold(d);

	if (err != 0)
		return err;
	err = setsockopt(d->fd, level, option, value, len) == 0 ? 0 : net_os_error();
	net_release(d);
	return err;
}

int gort_conn_set_nodelay(gort_conn *c, bool on)
{
	int value = on;

	return set_option(desc(c), IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
}

int gort_conn_set_keepalive(gort_conn *c, gort_duration idle)
{
	int on = idle > 0, err;
	int64_t seconds = idle / GORT_SECOND + (idle % GORT_SECOND > 0);
	int value = seconds < 32767 ? (int)seconds : 32767;     /* as long as the system takes */

	err = set_option(desc(c), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	if (err == 0 && on)
		err = set_option(desc(c), IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value);
	return err;
}

int gort_conn_set_linger(gort_conn *c, int seconds)
{
	struct linger l = { .l_onoff = seconds >= 0, .l_linger = seconds >= 0 ? seconds : 0 };

	return set_option(desc(c), SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

/* --- the end --- */

int gort_conn_close(gort_conn *c)
{
	return net_close(desc(c), NULL);
}

int gort_conn_release_fd(gort_conn *c)
{
	int fd, err = net_close(desc(c), &fd);

	return err == 0 ? fd : err;
}

gort_conn *gort_conn_ref(gort_conn *c)
{
	net_ref(desc(c));
	return c;
}

void gort_conn_unref(gort_conn *c)
{
	net_unref(desc(c));
}

/* --- other ways to get one --- */

int net_conn_new(struct net_desc **out, int fd, bool socket, bool tcp)
{
	struct net_desc *d = net_desc_new(NET_CONN);
	int err;

	if (d == NULL)
		return -ENOMEM;
	d->socket = socket;
	d->tcp = tcp;
	err = net_desc_open(d, fd);
	if (err != 0) {
		net_unref(d);
		return err;
	}
	*out = d;
	return 0;
}

int gort_conn_from_fd(gort_conn **c, int fd)
{
	struct net_os_kind kind;
	struct net_desc *d = NULL;
	int err = net_start();

	if (err == 0)
		err = net_os_kind(fd, &kind);
	if (err != 0)
		return err;
	if (kind.socket && (kind.listening || !kind.stream))
		return -ENOTSUP;
	err = net_conn_new(&d, fd, kind.socket, kind.socket && kind.protocol == IPPROTO_TCP);
	if (err != 0)
		return err;
	err = net_os_nonblocking(fd);
	if (err != 0) {
		gort_conn_release_fd((gort_conn *)d);
		return err;
	}
	*c = (gort_conn *)d;
	return 0;
}

int gort_pipe(gort_conn *ends[2])
{
	struct net_desc *d[2];
	int fds[2], err = net_start();

	if (err == 0)
		err = net_os_pipe(fds);
	if (err != 0)
		return err;
	err = net_conn_new(&d[0], fds[0], false, false);
	if (err != 0) {
		net_os_close(fds[0]);
		net_os_close(fds[1]);
		return err;
	}
	err = net_conn_new(&d[1], fds[1], false, false);
	if (err != 0) {
		net_unref(d[0]);
		net_os_close(fds[1]);
		return err;
	}
	ends[0] = (gort_conn *)d[0];
	ends[1] = (gort_conn *)d[1];
	return 0;
}
