/* SPDX-License-Identifier: MIT */
/* Listeners. */
#include "conn.h"

#include "os/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define RETRY_FIRST (5 * GORT_MILLISECOND)
#define RETRY_MOST GORT_SECOND

static struct net_desc *desc(gort_listener *l)
{
	return (struct net_desc *)l;
}

static int option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : net_os_error();
}

/* A socket bound to a; listening if it is a stream's. A number, or an error. both: IPv4 too, where that is IPv6's wildcard. */
static int bound(const gort_addr *a, const struct net_network *n, bool reuse_port, int backlog)
{
	const struct sockaddr *sa = net_sockaddr(a);
	int fd = net_os_socket(sa->sa_family, n->type), err = 0;

	if (fd < 0)
		return fd;
	if (sa->sa_family != AF_UNIX && n->type == SOCK_STREAM) {
		err = option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		/* those accepted have it from the listener: no call for each */
		if (err == 0)
			err = option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	if (err == 0 && sa->sa_family == AF_INET6)
		err = option(fd, IPPROTO_IPV6, IPV6_V6ONLY, n->family == AF_INET6);
	if (err == 0 && reuse_port)
		err = option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (err == 0 && bind(fd, sa, a->len) != 0)
		err = net_os_error();
	if (err == 0 && n->type == SOCK_STREAM && listen(fd, backlog > 0 ? backlog : INT32_MAX) != 0)
		err = net_os_error();
	if (err == 0)
		return fd;
	net_os_close(fd);
	return err;
}

/* The file that a Unix socket's address makes, to be removed with it; NULL: none, or no memory. */
static char *file_of(const gort_addr *a)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)a->data;

	return un->sun_family == AF_UNIX && un->sun_path[0] != '\0' ? strdup(un->sun_path) : NULL;
}

int net_bind(struct net_desc **out, enum net_kind kind, const struct net_network *n, const char *address, bool reuse_port,
	int backlog)
{
	gort_addr a[8];
	struct net_desc *d;
	int fd = GORT_ENOHOST, err = net_start(), k;

	if (err != 0)
		return err;
	k = net_addresses(a, sizeof a / sizeof *a, n, address, true, GORT_FOREVER);
	if (k < 0)
		return k;
	/* the first that this machine can: no IPv6, say */
	for (int i = 0; i < k; i++) {
		fd = bound(&a[i], n, reuse_port, backlog);
		if (fd >= 0) {
			a[0] = a[i];
			break;
		}
		if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
			break;
	}
	if (fd < 0)
		return fd;
	d = net_desc_new(kind);
	if (d == NULL) {
		net_os_close(fd);
		return -ENOMEM;
	}
	d->socket = true;
	err = net_desc_open(d, fd);
	if (err != 0) {
		net_unref(d);
		net_os_close(fd);
		return err;
	}
	d->path = file_of(&a[0]);
	*out = d;
	return 0;
}

int gort_listen(gort_listener **l, const char *network, const char *address, const gort_listen_opts *opts)
{
	gort_listen_opts o = GORT_LISTEN_OPTS_INIT;
	struct net_network n;
	struct net_desc *d;
	int err = net_network(&n, network);

	if (err == 0 && n.type != SOCK_STREAM)
		err = -EPROTONOSUPPORT;
	if (err != 0)
		return err;
	if (opts != NULL) {
		if (opts->size == 0)
			return -EINVAL;
		for (size_t i = sizeof o; i < opts->size; i++) {
			if (((const unsigned char *)opts)[i] != 0)
				return -E2BIG;
		}
		memcpy(&o, opts, opts->size < sizeof o ? opts->size : sizeof o);
		if (o.backlog < 0)
			return -EINVAL;
	}
	err = net_bind(&d, NET_LISTENER, &n, address, o.reuse_port, o.backlog);
	if (err != 0)
		return err;
	d->tcp = n.family != AF_UNIX;
	*l = (gort_listener *)d;
	return 0;
}

int gort_listener_from_fd(gort_listener **l, int fd)
{
	struct net_os_kind kind;
	struct net_desc *d;
	int err = net_start();

	if (err == 0)
		err = net_os_kind(fd, &kind);
	if (err != 0)
		return err;
	if (!kind.socket)
		return -ENOTSOCK;
	if (!kind.listening || !kind.stream)
		return -EINVAL;
	d = net_desc_new(NET_LISTENER);
	if (d == NULL)
		return -ENOMEM;
	d->socket = true;
	d->tcp = kind.protocol == IPPROTO_TCP;
	err = net_desc_open(d, fd);
	if (err != 0) {
		net_unref(d);
		return err;
	}
	/* what is accepted has it from here */
	err = net_os_nonblocking(fd);
	if (err == 0 && d->tcp)
		err = option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (err != 0) {
		net_close(d, &fd);
		return err;
	}
	*l = (gort_listener *)d;
	return 0;
}

/* What the peer did, or its network, before we came: not this listener's matter. */
static bool of_one_connection(int err)
{
	switch (err) {
	case -ECONNABORTED: case -EPROTO: case -EPERM: case -ENETDOWN: case -ENOPROTOOPT: case -EHOSTDOWN: case -EHOSTUNREACH:
	case -ENETUNREACH: case -EOPNOTSUPP: case -ETIMEDOUT:
		return true;
	}
	return false;
}

static bool of_the_moment(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

int gort_accept(gort_listener *l, gort_conn **c)
{
	struct net_desc *d = desc(l), *got = NULL;
	struct net_dir *r = &d->dir[NET_READ];
	gort_duration pause = RETRY_FIRST;
	int err = net_begin(d, NET_READ), fd = -EAGAIN;

	if (err != 0)
		return err;
	for (;;) {
		gort_time until = GORT_FOREVER;

		if (!r->drained) {
			fd = net_os_accept(d->fd);
			if (fd >= 0) {
				err = net_conn_new(&got, fd, true, d->tcp);
				if (err == 0)
					break;
				net_os_close(fd);
				fd = err;
			}
			if (of_one_connection(fd))
				continue;
			if (of_the_moment(fd)) {
				/* what is in the queue makes no edge: look again after a while */
				gort__add_relaxed(&net_fd_waits, 1);
				until = gort_deadline(pause);
				pause = 2 * pause < RETRY_MOST ? 2 * pause : RETRY_MOST;
			} else if (fd != -EAGAIN) {
				err = fd;
				break;
			}
		}
		err = net_wait(d, NET_READ, until);
		if (err == -EAGAIN)
			err = 0;
		if (err != 0)
			break;
	}
	net_end(d, NET_READ);
	if (err == 0)
		*c = (gort_conn *)got;
	return err;
}

int gort_listener_addr(gort_listener *l, char *buf, size_t size)
{
	return net_desc_addr(desc(l), buf, size, false);
}

int gort_listener_set_deadline(gort_listener *l, gort_time t)
{
	return net_set_deadline(desc(l), 1u << NET_READ, t);
}

int gort_listener_close(gort_listener *l)
{
	return net_close(desc(l), NULL);
}

gort_listener *gort_listener_ref(gort_listener *l)
{
	net_ref(desc(l));
	return l;
}

void gort_listener_unref(gort_listener *l)
{
	net_unref(desc(l));
}
