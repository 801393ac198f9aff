/* SPDX-License-Identifier: MIT */
/* What callers get wrong: each has a code that fits, words that help, and harms nothing that comes after. */
#include "net.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* What gort_strerror says of err has text in it. */
static void says(int err, const char *text)
{
	if (strstr(gort_strerror(err), text) == NULL) {
		fprintf(stderr, "# %d: %s\n", err, gort_strerror(err));
		test_failed(__FILE__, __LINE__, text);
	}
}

GO_TEST(codes_have_words)
{
	says(-EPROTONOSUPPORT, "not supported");
	says(GORT_EADDRESS, "malformed network address");
	says(GORT_ESERVICE, "no such service or port");
	says(GORT_ENOHOST, "no such host");
	says(GORT_EHOSTAGAIN, "try again");
	says(-ENAMETOOLONG, "too long");
	says(-EBADF, "descriptor");
	says(-EPERM, "not permitted");
	says(-EEXIST, "exists");
	says(-ENOTSOCK, "socket");
	says(-ETIMEDOUT, "timed out");
	says(-ECANCELED, "anceled");
	says(-EMFILE, "open files");
	says(-EADDRINUSE, "in use");
	says(-ENOSPC, "space");
}

/* --- addresses, wherever one is taken --- */

static void refused(const char *network, const char *address, int err)
{
	static const char *const packets[] = { "udp", "udp4", "udp6", "unixgram", NULL };
	gort_packet_conn *p = NULL;
	gort_listener *l = NULL;
	gort_conn *c = NULL;
	bool packet = false, ok;

	for (int i = 0; packets[i] != NULL; i++)
		packet = packet || (network != NULL && strcmp(network, packets[i]) == 0);
	ok = expect_eq(gort_dial(&c, network, address, GORT_FOREVER), err);
	ok = expect_eq(gort_listen(&l, network, address, NULL), packet ? -EPROTONOSUPPORT : err) && ok;
	ok = expect_eq(gort_packet_listen(&p, network, address), packet || err == -EPROTONOSUPPORT ? err : -EPROTONOSUPPORT) && ok;
	expect(c == NULL && l == NULL && p == NULL);
	if (!ok)
		fprintf(stderr, "# %s %.60s\n", network, address);
}

GO_TEST(bad_addresses_are_refused_by_whoever_takes_one)
{
	char path[300], port[300], host[700];

	static const char *const networks[] = { "", "TCP", "tcp ", "ip", "tcp5", "http", "unixpacket", NULL };

	for (int i = 0; networks[i] != NULL; i++)
		refused(networks[i], "127.0.0.1:1", -EPROTONOSUPPORT);
	refused(NULL, "127.0.0.1:1", -EPROTONOSUPPORT);

	static const char *const malformed[] = { "", "127.0.0.1", "::1:80", "[::1]", "[::1", "[::1]80", "[[::1]]:80",
						 "127.0.0.1:80:81", "localhost", "]:80", "[]]:80", "127.0.0.1:[80]" };

	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		refused("tcp", malformed[i], GORT_EADDRESS);
		refused("udp", malformed[i], GORT_EADDRESS);
	}
	refused("tcp", NULL, GORT_EADDRESS);
	refused("udp", NULL, GORT_EADDRESS);
	refused("unix", NULL, GORT_EADDRESS);
	refused("unix", "", GORT_EADDRESS);
	refused("unixgram", "", GORT_EADDRESS);
	refused("tcp4", "[::1]:0", GORT_EADDRESS);
	refused("udp6", "127.0.0.1:0", GORT_EADDRESS);

	static const char *const ports[] = { "65536", "-1", "99999999999999999999999", "4294967297", "18446744073709551617", "no-such",
					     "80 ", " 80", "0x50", "+80" };

	for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
		snprintf(port, sizeof port, "127.0.0.1:%s", ports[i]);
		refused("tcp", port, GORT_ESERVICE);
		refused("udp", port, GORT_ESERVICE);
	}
	memset(port + 10, '9', sizeof port - 10);
	port[sizeof port - 1] = '\0';
	refused("tcp", port, GORT_ESERVICE);

	memset(host, 'x', sizeof host);
	strcpy(host + sizeof host - 10, ":80");
	refused("tcp", host, GORT_ENOHOST);
	refused("tcp", "no such host!:80", GORT_ENOHOST);

	memset(path, 'x', sizeof path);
	path[0] = '/';
	for (size_t n = 108; n < sizeof path; n += 63) {        /* 108: one too many for the zero byte behind it */
		path[n] = '\0';
		refused("unix", path, -ENAMETOOLONG);
		refused("unixgram", path, -ENAMETOOLONG);
		path[n] = 'x';
	}
	path[0] = '@';
	path[109] = '\0';
	refused("unix", path, -ENAMETOOLONG);
}

GO_TEST(unix_sockets_that_are_not_there)
{
	char path[64];
	gort_listener *l, *again;
	gort_conn *c;
	int file;

	expect_eq(gort_dial(&c, "unix", "/nonexistent/socket", GORT_FOREVER), -ENOENT);
	expect_eq(gort_listen(&l, "unix", "/nonexistent/socket", NULL), -ENOENT);
	expect_eq(gort_dial(&c, "unix", "@gort-test-nobody", GORT_FOREVER), -ECONNREFUSED);
	snprintf(path, sizeof path, "/tmp/gort-test-bad-%d", (int)getpid());
	file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	expect(file >= 0);
	expect_eq(gort_dial(&c, "unix", path, GORT_FOREVER), -ECONNREFUSED);
	expect_eq(gort_listen(&l, "unix", path, NULL), -EADDRINUSE);
	expect_eq(access(path, F_OK), 0);       /* a file of somebody else's is left where it is */
	close(file);
	unlink(path);
	expect_eq(gort_listen(&l, "unix", path, NULL), 0);
	expect_eq(gort_listen(&again, "unix", path, NULL), -EADDRINUSE);
	expect_eq(gort_dial(&c, "unix", path, GORT_FOREVER), 0);
	gort_conn_close(c);
	gort_listener_close(l);
	expect(access(path, F_OK) < 0);
}

GO_TEST(sockaddrs_that_are_none)
{
	struct sockaddr_storage ss = { .ss_family = AF_INET };
	struct sockaddr *sa = (struct sockaddr *)&ss;
	gort_addr a = { 0 };

	expect_eq(gort_addr_from_sockaddr(&a, sa, 0), -EINVAL);
	expect_eq(gort_addr_from_sockaddr(&a, sa, 1), -EINVAL);
	expect_eq(gort_addr_from_sockaddr(&a, sa, 8), -EINVAL);
	expect_eq(gort_addr_from_sockaddr(&a, sa, sizeof ss + 1), -EINVAL);
	ss.ss_family = AF_UNIX;
	expect_eq(gort_addr_from_sockaddr(&a, sa, sizeof ss), -EINVAL);
	ss.ss_family = 250;
	expect_eq(gort_addr_from_sockaddr(&a, sa, sizeof ss), -EAFNOSUPPORT);
	expect_eq(a.len, 0);
}

/* --- descriptors --- */

/* Whoever takes a number says err of this one. */
static void is_refused(int fd, int as_fd, int as_conn, int as_listener)
{
	gort_listener *l = NULL;
	gort_conn *c = NULL;
	gort_fd *f = NULL;

	expect_eq(gort_fd_open(&f, fd), as_fd);
	expect_eq(gort_conn_from_fd(&c, fd), as_conn);
	expect_eq(gort_listener_from_fd(&l, fd), as_listener);
	expect(f == NULL && c == NULL && l == NULL);
}

GO_TEST(numbers_that_cannot_be_waited_for)
{
	gort_conn *c[2], *p[2];
	gort_listener *l;
	char addr[64];
	gort_fd *f;
	int fd;

	is_refused(-1, -EBADF, -EBADF, -EBADF);
	is_refused(INT32_MIN, -EBADF, -EBADF, -EBADF);
	is_refused(INT32_MAX, -EBADF, -EBADF, -EBADF);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_refused(fd, -EPERM, -EPERM, -ENOTSOCK);
	close(fd);
	is_refused(fd, -EBADF, -EBADF, -EBADF);

	/* those that are in use here already */
	l = listen_tcp(addr);
	if (!tcp_pair(c) || !expect_eq(gort_pipe(p), 0))
		return;
	is_refused(gort_conn_fd(c[0]), -EEXIST, -EEXIST, -EINVAL);
	is_refused(gort_conn_fd(p[0]), -EEXIST, -EEXIST, -ENOTSOCK);
	fd = eventfd(0, EFD_CLOEXEC);
	expect_eq(gort_fd_open(&f, fd), 0);
	is_refused(fd, -EEXIST, -EEXIST, -ENOTSOCK);
	expect_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	/* and what was there goes on */
	expect_eq(gort_fd_wait(f, GORT_WRITABLE, GORT_FOREVER), GORT_WRITABLE);
	gort_fd_close(f);
	close(fd);
	expect_eq(gort_write(c[0], "x", 1), 1);
	expect_eq(gort_read(c[1], addr, 1), 1);
	close_pair(c);
	close_pair(p);
	gort_listener_close(l);
}

/* Somebody closes the number under a connection's feet. */
GO_TEST(a_number_closed_by_somebody_else)
{
	gort_conn *c[2];
	char b;

	if (!tcp_pair(c))
		return;
	close(gort_conn_fd(c[0]));
	expect_eq(gort_write(c[0], "x", 1), -EBADF);
	expect_eq(gort_read(c[0], &b, 1), -EBADF);
	expect_eq(gort_sendfile(c[0], 0, 0, 1), -EBADF);
	expect_eq(gort_conn_set_nodelay(c[0], true), -EBADF);
	expect_eq(gort_conn_local_addr(c[0], &b, 1), -EBADF);
	expect_eq(gort_conn_shutdown_write(c[0]), -EBADF);
	gort_conn_close(c[0]);
	expect_eq(gort_read(c[1], &b, 1), 0);
	gort_conn_close(c[1]);
}

GO_TEST(files_that_cannot_be_sent)
{
	gort_conn *c[2];
	char b[8];
	int fd, p[2];

	if (!tcp_pair(c) || !expect_eq(pipe(p), 0))
		return;
	expect_eq(gort_sendfile(c[0], -1, 0, 1), -EBADF);
	expect_eq(gort_sendfile(c[0], p[0], 0, 1), -EINVAL);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	expect_eq(gort_sendfile(c[0], fd, 0, 1), -EINVAL);
	close(fd);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	expect_eq(gort_sendfile(c[0], fd, -1, 1), -EINVAL);
	expect_eq(gort_sendfile(c[0], fd, (int64_t)1 << 40, 10), 0);
	expect_eq(gort_sendfile(c[0], fd, 0, 0), 0);
	expect_eq(gort_sendfile(c[0], fd, 1, 3), 3);
	close(fd);
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	expect_eq(gort_sendfile(c[0], fd, 0, 1), -EBADF);
	close(fd);
	expect_eq(gort_read(c[1], b, sizeof b), 3);
	expect(memcmp(b, "ELF", 3) == 0);
	close(p[0]);
	close(p[1]);
	close_pair(c);
}

/* --- nothing, and too late --- */

GO_TEST(sizes_of_0)
{
	gort_packet_conn *p;
	gort_listener *l;
	gort_conn *c[2];
	char addr[64], b[4];
	gort_addr to;

	l = listen_tcp(addr);
	if (!tcp_pair(c) || !expect_eq(gort_packet_listen(&p, "udp", "127.0.0.1:0"), 0))
		return;
	expect_eq(gort_listener_addr(l, NULL, 0), -ENOSPC);
	expect_eq(gort_conn_local_addr(c[0], NULL, 0), -ENOSPC);
	expect_eq(gort_conn_remote_addr(c[0], NULL, 0), -ENOSPC);
	expect_eq(gort_packet_addr(p, NULL, 0), -ENOSPC);
	expect_eq(gort_resolve("127.0.0.1", "80", NULL, 0), 0);
	expect_eq(gort_writev(c[0], NULL, 0), 0);
	expect_eq(gort_write(c[0], NULL, 0), 0);
	expect_eq(gort_writev(c[0], &(struct iovec){ NULL, 0 }, 1), 0);
	expect_eq(gort_readv(c[1], &(struct iovec){ NULL, 0 }, 1), 0);
	expect_eq(gort_writev(c[0], NULL, -1), -EINVAL);
	expect_eq(gort_readv(c[1], NULL, 1), -EINVAL);
	/* an empty packet goes, and one that nobody has room for is gone */
	expect(gort_packet_addr(p, addr, sizeof addr) > 0);
	expect_eq(gort_addr_parse(&to, "udp", addr), 0);
	expect_eq(gort_send_to(p, NULL, 0, &to), 0);
	expect_eq(gort_recv_from(p, NULL, 0, NULL), 0);
	expect_eq(gort_send_to(p, "abc", 3, &to), 3);
	expect_eq(gort_recv_from(p, NULL, 0, NULL), 0);
	expect_eq(gort_send_to(p, "de", 2, &to), 2);
	expect_eq(gort_recv_from(p, b, sizeof b, NULL), 2);
	expect(memcmp(b, "de", 2) == 0);
	to = (gort_addr){ 0 };
	expect_eq(gort_send_to(p, "x", 1, &to), -EDESTADDRREQ);
	to.len = sizeof to.data + 1;
	expect_eq(gort_send_to(p, "x", 1, &to), -EDESTADDRREQ);
	gort_packet_close(p);
	gort_listener_close(l);
	close_pair(c);
}

GO_TEST(past_deadlines_end_every_call_before_it_does_anything)
{
	static const gort_time past[] = { 1, 0, -1, INT64_MIN };
	char x = 'x';
	struct iovec iov = { .iov_base = &x, .iov_len = 1 };
	gort_packet_conn *p;
	gort_listener *l;
	gort_conn *c[2], *d = NULL;
	char addr[64], paddr[64], b[4];
	gort_addr to;
	gort_fd *f;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), e = eventfd(1, EFD_CLOEXEC);

	l = listen_tcp(addr);
	if (!tcp_pair(c) || !expect_eq(gort_packet_listen(&p, "udp", "127.0.0.1:0"), 0) || !expect_eq(gort_fd_open(&f, e), 0))
		return;
	expect(gort_packet_addr(p, paddr, sizeof paddr) > 0);
	expect_eq(gort_addr_parse(&to, "udp", paddr), 0);
	expect_eq(gort_send_to(p, "abc", 3, &to), 3);
	expect_eq(gort_write(c[1], "abc", 3), 3);
	for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
		expect_eq(gort_conn_set_deadline(c[0], past[i]), 0);
		expect_eq(gort_read(c[0], b, 1), -ETIMEDOUT);
		expect_eq(gort_read(c[0], b, 0), -ETIMEDOUT);
		expect_eq(gort_read_full(c[0], b, 1), -ETIMEDOUT);
		expect_eq(gort_readv(c[0], &(struct iovec){ b, 1 }, 1), -ETIMEDOUT);
		expect_eq(gort_write(c[0], "x", 1), -ETIMEDOUT);
		expect_eq(gort_writev(c[0], &iov, 1), -ETIMEDOUT);
		expect_eq(gort_sendfile(c[0], fd, 0, 1), -ETIMEDOUT);
		expect_eq(gort_packet_set_deadline(p, past[i]), 0);
		expect_eq(gort_recv_from(p, b, 1, NULL), -ETIMEDOUT);
		expect_eq(gort_send_to(p, "x", 1, &to), -ETIMEDOUT);
		expect_eq(gort_listener_set_deadline(l, past[i]), 0);
		expect_eq(gort_accept(l, &d), -ETIMEDOUT);
		expect_eq(gort_dial(&d, "tcp", addr, past[i]), -ETIMEDOUT);
		expect_eq(gort_dial(&d, "tcp", "localhost:80", past[i]), -ETIMEDOUT);
		expect_eq(gort_fd_wait(f, GORT_READABLE | GORT_WRITABLE, past[i]), -ETIMEDOUT);
		expect(d == NULL);
	}
	/* nothing came, went, or was dialled */
	gort_conn_set_deadline(c[0], GORT_FOREVER);
	gort_packet_set_deadline(p, GORT_FOREVER);
	gort_listener_set_deadline(l, gort_deadline(GORT_MILLISECOND));
	expect_eq(gort_read(c[0], b, sizeof b), 3);
	expect_eq(gort_recv_from(p, b, sizeof b, NULL), 3);
	expect_eq(gort_accept(l, &d), -ETIMEDOUT);
	expect_eq(gort_conn_shutdown_write(c[0]), 0);
	expect_eq(gort_read(c[1], b, sizeof b), 0);
	gort_fd_close(f);
	gort_packet_close(p);
	gort_listener_close(l);
	close_pair(c);
	close(fd);
	close(e);
}

GO_TEST(what_is_closed_says_so_to_every_call)
{
	char x = 'x';
	struct iovec iov = { .iov_base = &x, .iov_len = 1 };
	gort_packet_conn *p;
	gort_listener *l;
	gort_conn *c[2], *d;
	char addr[64];
	gort_addr to;

	l = listen_tcp(addr);
	if (!tcp_pair(c) || !expect_eq(gort_packet_listen(&p, "udp", "127.0.0.1:0"), 0))
		return;
	expect_eq(gort_addr_parse(&to, "udp", addr), 0);
	gort_listener_close(gort_listener_ref(l));
	gort_packet_close(gort_packet_ref(p));
	gort_conn_close(gort_conn_ref(c[0]));
	expect_eq(gort_read_full(c[0], addr, 1), -ECANCELED);
	expect_eq(gort_readv(c[0], &(struct iovec){ addr, 1 }, 1), -ECANCELED);
	expect_eq(gort_write(c[0], "x", 1), -ECANCELED);
	expect_eq(gort_writev(c[0], &iov, 1), -ECANCELED);
	expect_eq(gort_sendfile(c[0], 0, 0, 1), -ECANCELED);
	expect_eq(gort_conn_set_read_deadline(c[0], 1), -ECANCELED);
	expect_eq(gort_conn_set_write_deadline(c[0], 1), -ECANCELED);
	expect_eq(gort_conn_set_nodelay(c[0], true), -ECANCELED);
	expect_eq(gort_conn_set_keepalive(c[0], GORT_SECOND), -ECANCELED);
	expect_eq(gort_conn_set_linger(c[0], 0), -ECANCELED);
	expect_eq(gort_conn_remote_addr(c[0], addr, sizeof addr), -ECANCELED);
	expect_eq(gort_conn_fd(c[0]), -ECANCELED);
	expect_eq(gort_accept(l, &d), -ECANCELED);
	expect_eq(gort_listener_addr(l, addr, sizeof addr), -ECANCELED);
	expect_eq(gort_listener_set_deadline(l, 1), -ECANCELED);
	expect_eq(gort_recv_from(p, addr, 1, NULL), -ECANCELED);
	expect_eq(gort_send_to(p, "x", 1, &to), -ECANCELED);
	expect_eq(gort_packet_addr(p, addr, sizeof addr), -ECANCELED);
	expect_eq(gort_packet_set_deadline(p, 1), -ECANCELED);
	gort_listener_unref(l);
	gort_packet_unref(p);
	close_pair(c);
}

/* --- no descriptor free --- */

/* As many as there are, and no more: dup takes what is left. */
static int take_all(int *spare, int most, struct rlimit *before)
{
	struct rlimit limit;
	int n = 0, top = dup(0);

	getrlimit(RLIMIT_NOFILE, before);
	limit = *before;
	limit.rlim_cur = (rlim_t)top + 1;
	expect_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	spare[n++] = top;
	while (n < most && (spare[n] = dup(0)) >= 0)
		n++;
	expect(n < most && errno == EMFILE);
	return n;
}

static void give_back(int *spare, int n, struct rlimit *before)
{
	while (n > 0)
		close(spare[--n]);
	setrlimit(RLIMIT_NOFILE, before);
}

GO_TEST(without_descriptors_all_that_opens_one_says_so)
{
	struct rlimit before;
	int spare[64], n;
	gort_packet_conn *p;
	gort_listener *l, *l2;
	gort_conn *c[2], *d;
	char addr[64], b;

	/* the very first call, which has to start the poller, too: that is no end of it */
	n = take_all(spare, 64, &before);
	expect_eq(gort_pipe(c), -EMFILE);
	expect_eq(gort_listen(&l, "tcp", "127.0.0.1:0", NULL), -EMFILE);
	give_back(spare, n, &before);
	l = listen_tcp(addr);
	if (!tcp_pair(c))
		return;
	n = take_all(spare, 64, &before);
	for (int i = 0; i < 10; i++) {
		expect_eq(gort_dial(&d, "tcp", addr, GORT_FOREVER), -EMFILE);
		expect_eq(gort_dial(&d, "tcp", ":1", GORT_FOREVER), -EMFILE);
		expect_eq(gort_listen(&l2, "tcp", "127.0.0.1:0", NULL), -EMFILE);
		expect_eq(gort_packet_listen(&p, "udp", "127.0.0.1:0"), -EMFILE);
		expect_eq(gort_pipe((gort_conn *[2]){ NULL, NULL }), -EMFILE);
	}
	/* what is open works on */
	expect_eq(gort_write(c[0], "x", 1), 1);
	expect_eq(gort_read(c[1], &b, 1), 1);
	give_back(spare, n, &before);
	expect_eq(gort_dial(&d, "tcp", addr, GORT_FOREVER), 0);
	gort_conn_close(d);
	gort_listener_close(l);
	close_pair(c);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "bad", NULL);
	test_add(&s, codes_have_words);
	test_add(&s, bad_addresses_are_refused_by_whoever_takes_one);
	test_add(&s, unix_sockets_that_are_not_there);
	test_add(&s, sockaddrs_that_are_none);
	test_add(&s, numbers_that_cannot_be_waited_for);
	test_add(&s, a_number_closed_by_somebody_else);
	test_add(&s, files_that_cannot_be_sent);
	test_add(&s, sizes_of_0);
	test_add(&s, past_deadlines_end_every_call_before_it_does_anything);
	test_add(&s, what_is_closed_says_so_to_every_call);
	if (test_no_fork())
		test_skip("without_descriptors_all_that_opens_one_says_so", "it takes them from the others in this process");
	else
		test_add(&s, without_descriptors_all_that_opens_one_says_so);
	return test_end(&s);
}
