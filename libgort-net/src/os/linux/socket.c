/* SPDX-License-Identifier: MIT */
/*
 * Sockets and pipes of Linux. What is called for each message goes to the kernel by its number: the C library's functions
 * are places where a thread may be cancelled, and each pays two atomic operations for that.
 */
#define _GNU_SOURCE     /* accept4, pipe2 */
#include "../socket.h"

#include <gort/net.h>
#include <gort/sanitize.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ThreadSanitizer watches the C library's functions: what is written before a send happened before what follows the receive. */
#ifdef GORT__TSAN
#define RECV(fd, buf, n) recv(fd, buf, n, MSG_DONTWAIT)
#define SEND(fd, buf, n) send(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL)
#define RECVMSG(fd, m)   recvmsg(fd, m, MSG_DONTWAIT)
#else
#define RECV(fd, buf, n) syscall(SYS_recvfrom, fd, buf, n, MSG_DONTWAIT, NULL, NULL)
#define SEND(fd, buf, n) syscall(SYS_sendto, fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0)
#define RECVMSG(fd, m)   syscall(SYS_recvmsg, fd, m, MSG_DONTWAIT)
#endif

/* Repeats a call while signals interrupt it; errno stays as it was. */
#define RETRY(result, call) do { \
		int retry_saved_ = errno; \
		do \
			result = (call); \
		while (result < 0 && errno == EINTR); \
		if (result < 0) { \
			result = -errno; \
			errno = retry_saved_; \
		} \
	} while (0)

int net_os_error(void)
{
	return -errno;
}

int net_os_socket(int family, int type)
{
	int fd;

	RETRY(fd, socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	return fd;
}

int net_os_accept(int fd)
{
	int got;

	RETRY(got, accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	return got;
}

int net_os_pipe(int fds[2])
{
	int err;

	RETRY(err, pipe2(fds, O_NONBLOCK | O_CLOEXEC));
	return err;
}

int net_os_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	/* by its number: ThreadSanitizer takes any connect, also one that asks what has become of it, for a new descriptor */
	int saved = errno, err = syscall(SYS_connect, fd, sa, len) == 0 ? 0 : -errno;

	errno = saved;
	return err == -EINTR ? -EINPROGRESS : err;      /* it goes on all the same */
}

int net_os_socket_error(int fd)
{
	int got = 0, err;
	socklen_t len = sizeof got;

	RETRY(err, getsockopt(fd, SOL_SOCKET, SO_ERROR, &got, &len));
	return err != 0 ? err : -got;
}

void net_os_close(int fd)
{
	int saved = errno;

	close(fd);              /* the number is free whatever it says */
	errno = saved;
}

int net_os_nonblocking(int fd)
{
	int flags, err;

	RETRY(flags, fcntl(fd, F_GETFL));
	if (flags < 0 || (flags & O_NONBLOCK))
		return flags < 0 ? flags : 0;
	RETRY(err, fcntl(fd, F_SETFL, flags | O_NONBLOCK));
	return err;
}

ptrdiff_t net_os_recv(int fd, void *buf, size_t n)
{
	ptrdiff_t k;

	RETRY(k, RECV(fd, buf, n));
	return k;
}

ptrdiff_t net_os_send(int fd, const void *buf, size_t n)
{
	ptrdiff_t k;

	RETRY(k, SEND(fd, buf, n));
	return k;
}

bool net_os_tell_left(int fd)
{
	int on = 1, saved = errno;
	bool ok = setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on) == 0;

	errno = saved;
	return ok;
}

uint32_t net_os_incoming_cpu(int fd)
{
	int cpu = -1, saved = errno;
	socklen_t len = sizeof cpu;

	if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &len) != 0)
		cpu = -1;
	errno = saved;
	return cpu >= 0 ? (uint32_t)cpu + 1 : 0;
}

ptrdiff_t net_os_recv_left(int fd, void *buf, size_t n, int *left)
{
	union {
		struct cmsghdr head;
		unsigned char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ptrdiff_t k;

	RETRY(k, RECVMSG(fd, &m));
	*left = -1;
	if (k > 0 && m.msg_controllen >= CMSG_LEN(sizeof(int)) && control.head.cmsg_level == IPPROTO_TCP &&
	    control.head.cmsg_type == TCP_CM_INQ)
		memcpy(left, CMSG_DATA(&control.head), sizeof *left);
	return k;
}

ptrdiff_t net_os_recv_from(int fd, void *buf, size_t n, struct sockaddr *from, socklen_t *len)
{
	ptrdiff_t k;

	RETRY(k, recvfrom(fd, buf, n, MSG_DONTWAIT, from, len));
	return k;
}

ptrdiff_t net_os_send_to(int fd, const void *buf, size_t n, const struct sockaddr *to, socklen_t len)
{
	ptrdiff_t k;

	RETRY(k, sendto(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL, to, len));
	return k;
}

ptrdiff_t net_os_recv_iov(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ptrdiff_t k;

	RETRY(k, recvmsg(fd, &m, MSG_DONTWAIT));
	return k;
}

ptrdiff_t net_os_send_iov(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ptrdiff_t k;

	RETRY(k, sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL));
	return k;
}

/*
 * For calls that have no flag against SIGPIPE: it is held back in this thread, and taken away again if it was raised. One
 * that was pending before stays.
 */
struct no_pipe {
	sigset_t pipe, before;
	bool pending;
};

static void no_pipe_begin(struct no_pipe *np)
{
	sigset_t pending;

	sigemptyset(&np->pipe);
	sigaddset(&np->pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &np->pipe, &np->before);
	/* it can be pending only where it was blocked */
	np->pending = sigismember(&np->before, SIGPIPE) == 1 && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void no_pipe_end(struct no_pipe *np, ptrdiff_t result)
{
	const struct timespec at_once = { 0 };
	int saved = errno;

	if (result == -EPIPE && !np->pending) {
		while (sigtimedwait(&np->pipe, NULL, &at_once) < 0 && errno == EINTR)
			;
	}
	if (sigismember(&np->before, SIGPIPE) != 1)
		pthread_sigmask(SIG_SETMASK, &np->before, NULL);
	errno = saved;
}

ptrdiff_t net_os_read_iov(int fd, const struct iovec *iov, int n)
{
	ptrdiff_t k;

	RETRY(k, readv(fd, iov, n));
	return k;
}

ptrdiff_t net_os_write_iov(int fd, const struct iovec *iov, int n)
{
	struct no_pipe np;
	ptrdiff_t k;

	no_pipe_begin(&np);
	RETRY(k, writev(fd, iov, n));
	no_pipe_end(&np, k);
	return k;
}

ptrdiff_t net_os_sendfile(int fd, int from, int64_t *offset, size_t n)
{
	struct no_pipe np;
	off_t at = (off_t)*offset;
	ptrdiff_t k;

	no_pipe_begin(&np);
	RETRY(k, sendfile(fd, from, &at, n));
	no_pipe_end(&np, k);
	*offset = at;
	return k != -ESPIPE ? k : -EINVAL;      /* a pipe is one more thing that is no file */
}

int net_os_poll(int fd, int events)
{
	struct pollfd p = { .fd = fd };
	int n, got = 0;

	if (events & GORT_READABLE)
		p.events |= POLLIN | POLLRDHUP;
	if (events & GORT_WRITABLE)
		p.events |= POLLOUT;
	RETRY(n, poll(&p, 1, 0));
	if (n <= 0)
		return n;
	if (p.revents & POLLNVAL)
		return -EBADF;
	if (p.revents & (POLLHUP | POLLERR))
		return events;
	if (p.revents & (POLLIN | POLLRDHUP))
		got |= GORT_READABLE;
	if (p.revents & POLLOUT)
		got |= GORT_WRITABLE;
	return got & events;
}

int net_os_kind(int fd, struct net_os_kind *kind)
{
	socklen_t len = sizeof(int);
	struct stat st;
	int value = 0, err;

	*kind = (struct net_os_kind){ .stream = true };
	RETRY(err, fstat(fd, &st));
	if (err != 0)
		return err;
	if (!S_ISSOCK(st.st_mode))
		return 0;
	kind->socket = true;
	RETRY(err, getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
	if (err != 0)
		return err;
	kind->stream = value == SOCK_STREAM;
	RETRY(err, getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &kind->family, &len));
	if (err == 0)
		RETRY(err, getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &kind->protocol, &len));
	if (err == 0)
		RETRY(err, getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len));
	kind->listening = err == 0 && value != 0;
	return err;
}
