/* SPDX-License-Identifier: MIT */
/*
 * What libgort-net asks of the system about sockets and other descriptors, beside polling (poll/poll.h). Each returns a
 * negative errno when it fails, is tried again when a signal interrupted it, and never blocks but where that is said; nothing
 * here raises SIGPIPE. Descriptors that it makes do not block and are closed by exec.
 *
 * None of these may become part of its caller, and callers do not look at errno themselves. A caller waits and goes on on
 * another thread, but the compiler believes that errno stays where it was.
 */
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <gort/core.h>

#include <sys/socket.h>
#include <sys/uio.h>

#define NET_OS __attribute__((noinline))

/* -errno, of a call that somebody else's function has just made on this thread. */
NET_OS int net_os_error(void);

/* A number, or a negative errno. */
NET_OS int net_os_socket(int family, int type);
NET_OS int net_os_accept(int fd);
NET_OS int net_os_pipe(int fds[2]);
/* 0: connected; -EINPROGRESS: not yet. */
NET_OS int net_os_connect(int fd, const struct sockaddr *sa, socklen_t len);
/* What has become of a connect: SO_ERROR, 0 or negative. */
NET_OS int net_os_socket_error(int fd);
NET_OS void net_os_close(int fd);
NET_OS int net_os_nonblocking(int fd);

NET_OS ptrdiff_t net_os_recv(int fd, void *buf, size_t n);
/* *left: is anything left in the queue? 0: no; -1: not to be known. Wants net_os_tell_left, once; false: there is no such thing. */
NET_OS ptrdiff_t net_os_recv_left(int fd, void *buf, size_t n, int *left);
NET_OS bool net_os_tell_left(int fd);
/* 1 + the processor on which the last packet came in; 0: not to be known. */
NET_OS uint32_t net_os_incoming_cpu(int fd);
NET_OS ptrdiff_t net_os_send(int fd, const void *buf, size_t n);
NET_OS ptrdiff_t net_os_recv_from(int fd, void *buf, size_t n, struct sockaddr *from, socklen_t *len);
NET_OS ptrdiff_t net_os_send_to(int fd, const void *buf, size_t n, const struct sockaddr *to, socklen_t len);
NET_OS ptrdiff_t net_os_recv_iov(int fd, const struct iovec *iov, int n);
NET_OS ptrdiff_t net_os_send_iov(int fd, const struct iovec *iov, int n);
/* The same for what is no socket. */
NET_OS ptrdiff_t net_os_read_iov(int fd, const struct iovec *iov, int n);
NET_OS ptrdiff_t net_os_write_iov(int fd, const struct iovec *iov, int n);
/* From the file from, at *offset, which moves on. May block on a slow disk. */
NET_OS ptrdiff_t net_os_sendfile(int fd, int from, int64_t *offset, size_t n);

/* Which of GORT_READABLE and GORT_WRITABLE, of those asked for, hold now. */
NET_OS int net_os_poll(int fd, int events);

/* A descriptor of somebody else's. */
struct net_os_kind {
	bool socket, stream, listening;
	int family;
	int protocol;
};
NET_OS int net_os_kind(int fd, struct net_os_kind *kind);

#endif
