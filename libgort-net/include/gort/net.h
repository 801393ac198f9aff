/* SPDX-License-Identifier: MIT */
/*
 * libgort-net: the network for goroutines, and any other descriptor that can be waited for.
 *
 * Addresses are Go's strings: "127.0.0.1:8080", "[::1]:80", "localhost:http", ":0", and for Unix sockets a path, or "@" and
 * a name without a file. Networks: "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram".
 *
 * Connections, listeners, packet connections and descriptors to wait for are counted: each comes with one reference, _ref adds
 * one, _unref gives one up and accepts NULL, closing with the last. _close ends I/O for everyone at once and gives up the
 * caller's reference. Any goroutine or thread may use one. Reading and writing go on beside each other; several that read
 * (write, accept) are served in turn.
 *
 * Calls that wait end with -ETIMEDOUT when their deadline passes, also one set meanwhile, and with -ECANCELED when the object
 * is closed; with a deadline that has passed they do nothing. SIGPIPE is never raised. Blocking calls may reschedule (core.h).
 *
 * What is open stays so over gort_shutdown, and goes on to work when the scheduler runs again; goroutines that were in the middle
 * of a call on it are as if they had never called. In a forked child all calls return -EBADF for what was open before the fork,
 * but close, which closes the child's copy.
 */
#ifndef GORT_NET_H
#define GORT_NET_H

#include <gort/core.h>

GORT_EXTERN_C_BEGIN

struct iovec;
struct sockaddr;

/* Go: net.Conn, net.Listener, net.PacketConn. */
typedef struct gort_conn gort_conn;
typedef struct gort_listener gort_listener;
typedef struct gort_packet_conn gort_packet_conn;
typedef struct gort_fd gort_fd;

/* --- addresses -------------------------------------------------------------------------------------------------- */

/* An address of a socket, as the system has it. Zeroed: none. */
typedef struct gort_addr {
	uint32_t len;                   /* bytes used in data */
	uint32_t spare;
	uint64_t data[16];              /* a struct sockaddr */
} gort_addr;

/**
 * gort_addr_parse - an address from its text
 *
 * network and address as above; hosts as numbers only (see gort_resolve for names), none is the wildcard address. 0, or
 * -EPROTONOSUPPORT for an unknown network, GORT_EADDRESS, GORT_ESERVICE for a port above 65535 or a name that no service has,
 * -ENAMETOOLONG for a path. Blocks when the port is a name. Go: net.ResolveTCPAddr and others.
 */
GORT_API int gort_addr_parse(gort_addr *a, const char *network, const char *address);

/**
 * gort_addr_format - the text of an address
 *
 * "host:port", "[host]:port", or a path, with a zero byte behind it. Its length, -ENOSPC when buf is too small, or -EINVAL for
 * no address. Never blocks. Go: TCPAddr.String.
 */
GORT_API int gort_addr_format(const gort_addr *a, char *buf, size_t size);

/** gort_addr_to_sockaddr - copies an address to *sa. Its length, -ENOSPC, or -EINVAL for no address. Never blocks. */
GORT_API int gort_addr_to_sockaddr(const gort_addr *a, struct sockaddr *sa, size_t size);

/** gort_addr_from_sockaddr - an address from len bytes at sa. 0, -EAFNOSUPPORT, or -EINVAL for a wrong length. Never blocks. */
GORT_API int gort_addr_from_sockaddr(gort_addr *a, const struct sockaddr *sa, size_t len);

/**
 * gort_resolve - addresses of a host and service
 *
 * host is a name or a number, NULL the wildcard; service a name, a number, or NULL for port 0. Up to max addresses go to
 * out, in the order in which they should be tried; the result is how many, or GORT_ENOHOST, GORT_EHOSTAGAIN, GORT_ESERVICE,
 * -ENOMEM, -EAGAIN when no thread can be had for it. Blocks: the system's resolver runs on threads of its own. Go:
 * Resolver.LookupIPAddr.
 */
GORT_API int gort_resolve(const char *host, const char *service, gort_addr *out, size_t max);

/* --- listening and dialling ------------------------------------------------------------------------------------- */

/* Settings of a listener. Start from GORT_LISTEN_OPTS_INIT. */
typedef struct gort_listen_opts {
	size_t size;            /* sizeof(gort_listen_opts) */
	int backlog;            /* connections that wait to be accepted; 0: as many as the system allows */
	bool reuse_port;        /* several listeners share the port (SO_REUSEPORT) */
} gort_listen_opts;

#define GORT_LISTEN_OPTS_INIT { sizeof(gort_listen_opts), 0, false }

/**
 * gort_listen - take connections at an address
 *
 * network is "tcp" or "unix" or a kin of theirs. A port of 0 is any free one: gort_listener_addr tells. "tcp" without a host
 * listens on IPv6 and IPv4. opts may be NULL. The file of a Unix socket is removed at close. The reference is the caller's. 0,
 * or the errors of gort_addr_parse and gort_resolve, -EINVAL or -E2BIG for opts, or a negative errno of the system (-EADDRINUSE,
 * -EACCES, -EMFILE ...). Blocks only to resolve a name. Go: net.Listen.
 *
 *     gort_listener *l;
 *     gort_conn *c;
 *     if (gort_listen(&l, "tcp", "127.0.0.1:8080", NULL) != 0) ...
 *     while (gort_accept(l, &c) == 0) gort_go(serve, c);
 */
GORT_API int gort_listen(gort_listener **l, const char *network, const char *address, const gort_listen_opts *opts);

/**
 * gort_accept - the next connection
 *
 * Blocks. 0, -ETIMEDOUT, -ECANCELED, or a negative errno. Connections that were aborted before are skipped; with no descriptor
 * or memory free it waits and tries again (fd_waits in gort_stats). Go: Listener.Accept.
 */
GORT_API int gort_accept(gort_listener *l, gort_conn **c);

/** gort_listener_addr - a listener's address as text. The length, or as gort_addr_format. Never blocks. Go: Listener.Addr. */
GORT_API int gort_listener_addr(gort_listener *l, char *buf, size_t size);

/**
 * gort_listener_set_deadline - a time for accepts to end by
 *
 * As gort_conn_set_deadline. 0 or -ECANCELED. Never blocks. Go: TCPListener.SetDeadline.
 */
GORT_API int gort_listener_set_deadline(gort_listener *l, gort_time t);

/**
 * gort_listener_close - take no more connections
 *
 * Accepts in progress return -ECANCELED, and later ones through other references; the caller's reference is given up. 0, or
 * -EBADF when it was closed already (the reference is given up all the same). May block, until those calls have ended. Go:
 * Listener.Close.
 */
GORT_API int gort_listener_close(gort_listener *l);

/** gort_listener_ref - one more reference; returns l. Never blocks. */
GORT_API gort_listener *gort_listener_ref(gort_listener *l);

/** gort_listener_unref - one reference fewer; the last one closes the listener. NULL is fine. Never blocks. */
GORT_API void gort_listener_unref(gort_listener *l);

/**
 * gort_listener_from_fd - a listener from a listening socket that was inherited
 *
 * By systemd's socket activation, say. Takes the number over. 0, -ENOTSOCK, -EINVAL when it does not listen, -EBADF, -EEXIST
 * when it is in use here already; the number is the caller's still then. Never blocks. Go: net.FileListener.
 */
GORT_API int gort_listener_from_fd(gort_listener **l, int fd);

/**
 * gort_dial - connect to an address
 *
 * A host's addresses are tried in turn, the next one when one fails or after a quarter of a second, and the first connection
 * wins (Happy Eyeballs). 0, -ETIMEDOUT, or the error of the first address, or of gort_resolve. Blocks. Go: Dialer.Dial.
 *
 *     err = gort_dial(&c, "tcp", "localhost:8080", gort_deadline(5 * GORT_SECOND));
 */
GORT_API int gort_dial(gort_conn **c, const char *network, const char *address, gort_time deadline);

/* --- connections ------------------------------------------------------------------------------------------------ */

/**
 * gort_read - some bytes
 *
 * Blocks until there are any. How many, 0 at the end of the stream (or n == 0), -ETIMEDOUT, -ECANCELED, -ECONNRESET or another
 * negative errno. Go: Conn.Read.
 */
GORT_API ptrdiff_t gort_read(gort_conn *c, void *buf, size_t n);

/**
 * gort_write - all n bytes
 *
 * Blocks until they are handed to the system. n; fewer only when an error cut it short, which the next call returns; a negative
 * errno when nothing went out. Go: Conn.Write.
 */
GORT_API ptrdiff_t gort_write(gort_conn *c, const void *buf, size_t n);

/** gort_readv - gort_read into n buffers, filled one after the other. -EINVAL for n < 0. Blocks. */
GORT_API ptrdiff_t gort_readv(gort_conn *c, const struct iovec *iov, int n);

/**
 * gort_writev - gort_write of n buffers, without others' bytes in between
 *
 * Of any number. As gort_write; -EINVAL for n < 0. Blocks. Go: Buffers.WriteTo.
 */
GORT_API ptrdiff_t gort_writev(gort_conn *c, const struct iovec *iov, int n);

/**
 * gort_read_full - n bytes
 *
 * As gort_read, until there are n, fewer only at the end of the stream, or a negative errno, what was read before being lost.
 * Blocks. Go: io.ReadFull.
 */
GORT_API ptrdiff_t gort_read_full(gort_conn *c, void *buf, size_t n);

/**
 * gort_sendfile - bytes of a file, without copying them through the program
 *
 * n bytes of the file fd from offset on. As gort_write; fewer also at the end of the file. -EINVAL when fd is no file that can
 * be mapped. Blocks. The disk may hold up the thread, not the other goroutines. Go: TCPConn.ReadFrom.
 */
GORT_API ptrdiff_t gort_sendfile(gort_conn *c, int fd, int64_t offset, size_t n);

/**
 * gort_conn_set_deadline, gort_conn_set_read_deadline, gort_conn_set_write_deadline - a time for reads and writes to end by
 *
 * Calls that are blocked already too. It holds until set again: each call after it returns -ETIMEDOUT. GORT_FOREVER takes it
 * off. 0 or -ECANCELED. Never blocks. Go: Conn.SetDeadline, SetReadDeadline, SetWriteDeadline.
 */
GORT_API int gort_conn_set_deadline(gort_conn *c, gort_time t);
GORT_API int gort_conn_set_read_deadline(gort_conn *c, gort_time t);
GORT_API int gort_conn_set_write_deadline(gort_conn *c, gort_time t);

/**
 * gort_conn_shutdown_write - the end of the stream, for the peer to read
 *
 * What it sends can still be read. 0 or a negative errno. Never blocks. Go: TCPConn.CloseWrite.
 */
GORT_API int gort_conn_shutdown_write(gort_conn *c);

/**
 * gort_conn_local_addr, gort_conn_remote_addr - the addresses of both ends, as text
 *
 * The length, or as gort_addr_format, or a negative errno. Never blocks. Go: Conn.LocalAddr, RemoteAddr.
 */
GORT_API int gort_conn_local_addr(gort_conn *c, char *buf, size_t size);
GORT_API int gort_conn_remote_addr(gort_conn *c, char *buf, size_t size);

/** gort_conn_fd - the number, still the connection's. -ECANCELED: it is closed. Never blocks. */
GORT_API int gort_conn_fd(gort_conn *c);

/**
 * gort_conn_set_nodelay - send small packets at once
 *
 * TCP only, where it is on until set. 0 or a negative errno. Never blocks. Go: TCPConn.SetNoDelay.
 */
GORT_API int gort_conn_set_nodelay(gort_conn *c, bool on);

/**
 * gort_conn_set_keepalive - probe a peer that is silent for so long
 *
 * In whole seconds, rounded up; 0 or less: do not. TCP only, where it is off until set. 0 or a negative errno. Never blocks. Go:
 * TCPConn.SetKeepAlive, SetKeepAlivePeriod.
 */
GORT_API int gort_conn_set_keepalive(gort_conn *c, gort_duration idle);

/**
 * gort_conn_set_linger - what close does with bytes that are not sent yet
 *
 * 0: discards them and resets the connection; < 0, as it is until set: sends them later; else waits for so many seconds. 0 or a
 * negative errno. Never blocks. Go: TCPConn.SetLinger.
 */
GORT_API int gort_conn_set_linger(gort_conn *c, int seconds);

/**
 * gort_conn_close - end all I/O
 *
 * Calls in progress return -ECANCELED, and later ones through other references; when the last of them has returned, the
 * number is given up, and the caller's reference with it. 0, or -EBADF when it was closed already (the reference is given up
 * all the same). May block, until those calls have ended. Go: Conn.Close.
 */
GORT_API int gort_conn_close(gort_conn *c);

/** gort_conn_ref - one more reference; returns c. Never blocks. */
GORT_API gort_conn *gort_conn_ref(gort_conn *c);

/** gort_conn_unref - one reference fewer; the last one closes the connection. NULL is fine. Never blocks. */
GORT_API void gort_conn_unref(gort_conn *c);

/**
 * gort_conn_from_fd - a connection from a connected socket, pipe, terminal or the like
 *
 * Takes the number over and sets it non-blocking. 0, -EBADF, -EPERM when it cannot be waited for (a file), -EEXIST when it is
 * in use here already, -ENOTSUP for a listening or datagram socket; the number is the caller's still then. Never blocks. Go:
 * net.FileConn.
 */
GORT_API int gort_conn_from_fd(gort_conn **c, int fd);

/**
 * gort_conn_release_fd - end a connection, but keep its number
 *
 * As gort_conn_close; the number is the result, and the caller's. It does not block still. -EBADF: closed before. May block. Go:
 * TCPConn.File.
 */
GORT_API int gort_conn_release_fd(gort_conn *c);

/** gort_pipe - a pipe: ends[0] reads, ends[1] writes. 0 or a negative errno. Never blocks. Go: os.Pipe. */
GORT_API int gort_pipe(gort_conn *ends[2]);

/* --- packets ---------------------------------------------------------------------------------------------------- */

/**
 * gort_packet_listen - a socket for packets at an address
 *
 * network is "udp" or a kin of it, or "unixgram". The reference is the caller's. Errors as gort_listen's. Blocks only to resolve
 * a name. Go: net.ListenPacket.
 */
GORT_API int gort_packet_listen(gort_packet_conn **p, const char *network, const char *address);

/**
 * gort_recv_from - the next packet, and where it came from
 *
 * Its length, 0 for an empty one; what is longer than n is cut off. from may be NULL. Blocks. Errors as gort_read's. Go:
 * PacketConn.ReadFrom.
 */
GORT_API ptrdiff_t gort_recv_from(gort_packet_conn *p, void *buf, size_t n, gort_addr *from);

/**
 * gort_send_to - a packet of n bytes
 *
 * n, or a negative errno (-EMSGSIZE, -ECONNREFUSED, -EDESTADDRREQ without an address ...). May block. Go: PacketConn.WriteTo.
 */
GORT_API ptrdiff_t gort_send_to(gort_packet_conn *p, const void *buf, size_t n, const gort_addr *to);

/** gort_packet_addr - the address of its end, as text. As gort_listener_addr. Never blocks. Go: PacketConn.LocalAddr. */
GORT_API int gort_packet_addr(gort_packet_conn *p, char *buf, size_t size);

/**
 * gort_packet_set_deadline - a time for receiving and sending to end by
 *
 * As gort_conn_set_deadline. 0 or -ECANCELED. Never blocks. Go: PacketConn.SetDeadline.
 */
GORT_API int gort_packet_set_deadline(gort_packet_conn *p, gort_time t);

/** gort_packet_close - end receiving and sending. As gort_conn_close. May block. Go: PacketConn.Close. */
GORT_API int gort_packet_close(gort_packet_conn *p);

/** gort_packet_ref - one more reference; returns p. Never blocks. */
GORT_API gort_packet_conn *gort_packet_ref(gort_packet_conn *p);

/** gort_packet_unref - one reference fewer; the last one closes it. NULL is fine. Never blocks. */
GORT_API void gort_packet_unref(gort_packet_conn *p);

/* --- somebody else's descriptors -------------------------------------------------------------------------------- */

/* What to wait for. */
#define GORT_READABLE 1
#define GORT_WRITABLE 2

/**
 * gort_fd_open - to wait for a descriptor that is, and stays, somebody else's
 *
 * A library's socket, an eventfd, a pipe. Changes no flag of it. 0, -EBADF, -EPERM when it cannot be waited for, -EEXIST when
 * it is open here already, -ENOMEM. Never blocks.
 *
 *     gort_fd *f;
 *     gort_fd_open(&f, PQsocket(db));
 *     while (PQconsumeInput(db) && PQisBusy(db)) gort_fd_wait(f, GORT_READABLE, deadline);
 *     gort_fd_close(f);
 */
GORT_API int gort_fd_open(gort_fd **f, int fd);

/**
 * gort_fd_wait - until it can be read or written
 *
 * events is GORT_READABLE, GORT_WRITABLE, or both; which of them hold is returned, all of them after a hang-up or an error.
 * What was ready before the call counts. -ETIMEDOUT, -ECANCELED, -EINVAL for other events. Blocks. Any number may wait.
 */
GORT_API int gort_fd_wait(gort_fd *f, int events, gort_time deadline);

/**
 * gort_fd_close - wait for a descriptor no more
 *
 * Calls that wait return -ECANCELED, and later ones through other references; the caller's reference is given up. Never closes
 * the number: call it before its owner does. 0, or -EBADF when it was closed already (the reference is given up all the same).
 * May block, until those calls have ended.
 */
GORT_API int gort_fd_close(gort_fd *f);

/**
 * gort_fd_ref - one more reference; returns f
 *
 * For a goroutine that waits while another one may close. Never blocks.
 *
 *     gort_go(watch, gort_fd_ref(f));         // waits until it is -ECANCELED, then gort_fd_unref(f)
 *     ...
 *     gort_fd_close(f);
 */
GORT_API gort_fd *gort_fd_ref(gort_fd *f);

/** gort_fd_unref - one reference fewer; the last one closes f, as gort_fd_close. NULL is fine. Never blocks. */
GORT_API void gort_fd_unref(gort_fd *f);

GORT_EXTERN_C_END

#endif
