/* SPDX-License-Identifier: MIT */
/* Listening, dialling and names; what is wrong with an address; no descriptor free; Unix sockets and packets. */
#include "net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* --- addresses --- */

static void formats(const char *network, const char *text, const char *as)
{
	gort_addr a, b;
	char buf[128];
	struct sockaddr_storage ss;
	int n;

	if (!expect_eq(gort_addr_parse(&a, network, text), 0))
		return;
	expect_eq(gort_addr_format(&a, buf, sizeof buf), strlen(as));
	if (strcmp(buf, as) != 0)
		test_failed(__FILE__, __LINE__, buf);
	expect_eq(gort_addr_format(&a, buf, strlen(as)), -ENOSPC);
	n = gort_addr_to_sockaddr(&a, (struct sockaddr *)&ss, sizeof ss);
	expect(n > 0);
	expect_eq(gort_addr_to_sockaddr(&a, (struct sockaddr *)&ss, (size_t)n - 1), -ENOSPC);
	expect_eq(gort_addr_from_sockaddr(&b, (struct sockaddr *)&ss, (size_t)n), 0);
	expect(memcmp(&a, &b, sizeof a) == 0);
}

GO_TEST(addresses_go_to_text_and_back)
{
	formats("tcp", "127.0.0.1:8080", "127.0.0.1:8080");
	formats("tcp4", "127.0.0.1:0", "127.0.0.1:0");
	formats("udp", "[::1]:80", "[::1]:80");
	formats("tcp6", "[::1]:65535", "[::1]:65535");
	formats("tcp", "127.0.0.1:http", "127.0.0.1:80");
	formats("tcp4", ":1234", "0.0.0.0:1234");
	formats("tcp", ":0", "[::]:0");
	formats("tcp", "127.0.0.1:", "127.0.0.1:0");
	formats("unix", "/tmp/a/path", "/tmp/a/path");
	formats("unixgram", "@a name", "@a name");
}

GO_TEST(malformed_addresses_are_refused)
{
	static const struct {
		const char *network, *address;
		int err;
	} bad[] = {
		{ "tcpp", "127.0.0.1:1", -EPROTONOSUPPORT }, { "", "127.0.0.1:1", -EPROTONOSUPPORT },
		{ NULL, "127.0.0.1:1", -EPROTONOSUPPORT },
		{ "tcp", NULL, GORT_EADDRESS }, { "tcp", "", GORT_EADDRESS }, { "tcp", "127.0.0.1", GORT_EADDRESS },
		{ "tcp", "::1:80", GORT_EADDRESS }, { "tcp", "[::1]", GORT_EADDRESS }, { "tcp", "[::1", GORT_EADDRESS },
		{ "tcp", "[::1]80", GORT_EADDRESS }, { "tcp", "[[::1]]:80", GORT_EADDRESS }, { "tcp", "127.0.0.1:80:81", GORT_EADDRESS },
		{ "tcp", "1.2.3:80", GORT_EADDRESS }, { "tcp", "127.0.0.256:80", GORT_EADDRESS }, { "tcp", "a name:80", GORT_EADDRESS },
		{ "tcp", "127.0.0.1:65536", GORT_ESERVICE }, { "tcp", "127.0.0.1:99999999999999999999", GORT_ESERVICE },
		{ "tcp", "127.0.0.1:-1", GORT_ESERVICE }, { "tcp", "127.0.0.1:no-such-service", GORT_ESERVICE },
		{ "tcp4", "[::1]:80", GORT_EADDRESS }, { "tcp6", "127.0.0.1:80", GORT_EADDRESS }, { "unix", "", GORT_EADDRESS },
	};
	char path[200], tiny[1];
	gort_addr a, none = { 0 };
	gort_listener *l;
	gort_conn *c;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int err = gort_addr_parse(&a, bad[i].network, bad[i].address);

		if (err != bad[i].err) {
			fprintf(stderr, "# %s\n", bad[i].address);
			expect_eq(err, bad[i].err);
		}
		expect(strncmp(gort_strerror(err), "unknown", 7) != 0);
	}
	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	expect_eq(gort_addr_parse(&a, "unix", path), -ENAMETOOLONG);
	path[107] = '\0';
	expect_eq(gort_addr_parse(&a, "unix", path), 0);
	path[0] = '@';
	path[107] = 'x';
	path[108] = '\0';
	expect_eq(gort_addr_parse(&a, "unix", path), 0);
	expect_eq(gort_addr_format(&none, tiny, 1), -EINVAL);
	expect_eq(gort_addr_to_sockaddr(&none, NULL, 0), -EINVAL);
	expect_eq(gort_listen(&l, "udp", "127.0.0.1:0", NULL), -EPROTONOSUPPORT);
	expect_eq(gort_listen(&l, "tcp", "127.0.0.1", NULL), GORT_EADDRESS);
	expect_eq(gort_listen(&l, "tcp", "127.0.0.1:0", &(gort_listen_opts){ 0 }), -EINVAL);
	expect_eq(gort_listen(&l, "tcp", "127.0.0.1:0", &(gort_listen_opts){ sizeof(gort_listen_opts), -1, false }), -EINVAL);
	expect_eq(gort_dial(&c, "nothing", "127.0.0.1:1", GORT_FOREVER), -EPROTONOSUPPORT);
	expect_eq(gort_dial(&c, "tcp", "nowhere", GORT_FOREVER), GORT_EADDRESS);
	expect_eq(gort_dial(&c, "tcp", "127.0.0.1:1", 1), -ETIMEDOUT);
	expect_eq(gort_dial(&c, "unix", "/nonexistent/socket", GORT_FOREVER), -ENOENT);
}

/* --- names --- */

GO_TEST(this_machine_has_a_name)
{
	gort_addr a[8];
	char buf[64];
	int n = gort_resolve("localhost", "80", a, 8);

	if (!expect(n > 0))
		return;
	for (int i = 0; i < n; i++) {
		expect(gort_addr_format(&a[i], buf, sizeof buf) > 0);
		expect(strcmp(buf, "127.0.0.1:80") == 0 || strcmp(buf, "[::1]:80") == 0);
	}
	expect_eq(gort_resolve("localhost", "80", a, 1), 1);
	expect_eq(gort_resolve("localhost", "80", a, 0), 0);
	expect_eq(gort_resolve("127.0.0.1", "81", a, 8), 1);
	gort_addr_format(&a[0], buf, sizeof buf);
	expect(strcmp(buf, "127.0.0.1:81") == 0);
	expect_eq(gort_resolve("127.0.0.1", "65536", a, 8), GORT_ESERVICE);
	expect_eq(gort_resolve("localhost", "no-such-service", a, 8), GORT_ESERVICE);
}

static int resolved;

static void resolves(void *arg)
{
	gort_addr a[8];

	(void)arg;
	expect(gort_resolve("localhost", "http", a, 8) > 0);
	count_up(&resolved);
}

GO_TEST(many_names_at_once)
{
	set(&resolved, 0);
	for (int i = 0; i < 200; i++)
		spawn(resolves, NULL);
	await_count(&resolved, 200);
}

GO_TEST(a_name_that_does_not_resolve)
{
	char host[300];
	gort_addr a[2];
	gort_conn *c;

	memset(host, 'x', sizeof host);
	host[sizeof host - 1] = '\0';
	expect_eq(gort_resolve(host, "80", a, 2), GORT_ENOHOST);
	/* refused without asking anybody: no name has such characters */
	expect_eq(gort_resolve("no such host!", "80", a, 2), GORT_ENOHOST);
	expect_eq(gort_dial(&c, "tcp", "no such host!:80", GORT_FOREVER), GORT_ENOHOST);
}

/* --- dialling --- */

GO_TEST(a_name_is_dialled_at_whichever_address_answers)
{
	char addr[64], name[64];
	gort_listener *l = listen_tcp(addr);
	gort_conn *c, *s;

	snprintf(name, sizeof name, "localhost%s", strchr(addr, ':'));
	for (int i = 0; i < 20; i++) {
		if (!expect_eq(gort_dial(&c, "tcp", name, gort_deadline(LONG_TIME)), 0) || !expect_eq(gort_accept(l, &s), 0))
			return;
		gort_conn_close(c);
		gort_conn_close(s);
	}
	gort_listener_close(l);
	expect_eq(gort_dial(&c, "tcp", name, GORT_FOREVER), -ECONNREFUSED);
	expect_eq(gort_dial(&c, "tcp", addr, GORT_FOREVER), -ECONNREFUSED);
}

GO_TEST(a_port_that_nobody_listens_on_is_not_connected_to_itself)
{
	long n = test_scale_min(20000, 500), refused = 0;
	char addr[64], here[64];
	gort_listener *l = listen_tcp(addr);
	gort_conn *c;

	gort_listener_close(l);
	for (long i = 0; i < n; i++) {
		int err = gort_dial(&c, "tcp", addr, GORT_FOREVER);

		if (err == 0) {
			/* another program may listen there for a moment */
			expect(gort_conn_local_addr(c, here, sizeof here) > 0 && strcmp(here, addr) != 0);
			expect(gort_conn_remote_addr(c, here, sizeof here) > 0 && strcmp(here, addr) == 0);
			gort_conn_close(c);
		}
		refused += err == -ECONNREFUSED;
	}
	expect(refused > n / 2);
}

/* A backlog that is full lets a connect wait for ever, on Linux. */
GO_TEST(a_dial_ends_at_its_deadline)
{
	gort_listen_opts opts = GORT_LISTEN_OPTS_INIT;
	gort_listener *l;
	gort_conn *c[8];
	char addr[64];
	int n = 0, err = 0;

	opts.backlog = 1;
	expect_eq(gort_listen(&l, "tcp", "127.0.0.1:0", &opts), 0);
	expect(gort_listener_addr(l, addr, sizeof addr) > 0);
	while (n < 8 && err == 0) {
		gort_time t = gort_deadline(200 * GORT_MILLISECOND);

		err = gort_dial(&c[n], "tcp", addr, t);
		if (err == 0)
			n++;
		else
			expect(gort_now() >= t);
	}
	expect_eq(err, -ETIMEDOUT);
	while (n > 0)
		gort_conn_close(c[--n]);
	gort_listener_close(l);
}

/* --- accepting --- */

GO_TEST(aborted_connections_are_skipped)
{
	char addr[64];
	gort_listener *l = listen_tcp(addr);
	gort_conn *c, *s;
	char b;

	for (int i = 0; i < 10; i++) {
		expect_eq(gort_dial(&c, "tcp", addr, GORT_FOREVER), 0);
		gort_conn_set_linger(c, 0);
		gort_conn_close(c);
	}
	expect_eq(gort_dial(&c, "tcp", addr, GORT_FOREVER), 0);
	expect_eq(gort_write(c, "x", 1), 1);
	/* Linux hands the reset ones out all the same: they are at their end at once */
	for (int i = 0; i < 11; i++) {
		if (!expect_eq(gort_accept(l, &s), 0) || gort_read(s, &b, 1) == 1)
			break;
		gort_conn_close(s);
	}
	expect_eq(b, 'x');
	gort_conn_close(s);
	gort_conn_close(c);
	gort_listener_close(l);
}

static struct {
	struct task t;
	gort_listener *l;
	gort_conn *c;
	int result;
} acceptor;

static void accepts(void *arg)
{
	(void)arg;
	task_here(&acceptor.t);
	acceptor.result = gort_accept(acceptor.l, &acceptor.c);
	task_done(&acceptor.t);
}

static uint64_t fd_waits(void)
{
	gort_stats s;

	gort_stats_get(&s, sizeof s);
	return s.fd_waits;
}

GO_TEST(without_descriptors_accept_waits_for_one)
{
	struct rlimit limit, before;
	gort_time start = gort_now();
	char addr[64];
	gort_conn *c;

	acceptor.l = listen_tcp(addr);
	expect_eq(gort_dial(&c, "tcp", addr, GORT_FOREVER), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	/* below all numbers that anybody in the process could give back meanwhile */
	limit = before;
	limit.rlim_cur = 0;
	expect_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	spawn(accepts, NULL);
	while (fd_waits() == 0)
		gort_yield();
	/* it waits longer each time: a hundredth of a second is no time to spin in */
	gort_sleep(10 * GORT_MILLISECOND);
	expect(fd_waits() <= 10 + 4 * (uint64_t)((gort_now() - start) / GORT_SECOND));
	expect_eq(get(&acceptor.t.done), 0);
	setrlimit(RLIMIT_NOFILE, &before);
	await_done(&acceptor.t);
	expect_eq(acceptor.result, 0);
	gort_conn_close(acceptor.c);
	gort_conn_close(c);
	gort_listener_close(acceptor.l);
}

GO_TEST(an_inherited_listener_accepts)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	gort_listener *l;
	gort_conn *c, *s;
	char addr[64];

	expect_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	expect_eq(gort_listener_from_fd(&l, fd), -EINVAL);
	expect_eq(listen(fd, 5), 0);
	expect_eq(gort_conn_from_fd(&c, fd), -ENOTSUP);
	expect_eq(gort_listener_from_fd(&l, fd), 0);
	expect(gort_listener_addr(l, addr, sizeof addr) > 0);
	expect_eq(gort_dial(&c, "tcp", addr, GORT_FOREVER), 0);
	expect_eq(gort_accept(l, &s), 0);
	gort_conn_close(c);
	gort_conn_close(s);
	expect_eq(gort_listener_close(l), 0);
	expect(fcntl(fd, F_GETFD) < 0);
}

GO_TEST(several_listeners_share_a_port)
{
	gort_listen_opts opts = GORT_LISTEN_OPTS_INIT;
	gort_listener *a, *b;
	char addr[64];

	opts.reuse_port = true;
	expect_eq(gort_listen(&a, "tcp", "127.0.0.1:0", &opts), 0);
	expect(gort_listener_addr(a, addr, sizeof addr) > 0);
	expect_eq(gort_listen(&b, "tcp", addr, &opts), 0);
	gort_listener_close(b);
	expect_eq(gort_listen(&b, "tcp", addr, NULL), -EADDRINUSE);
	gort_listener_close(a);
}

/* --- IPv6, Unix, packets --- */

static void one_message(const char *network, const char *address)
{
	gort_listener *l;
	gort_conn *c, *s;
	char addr[128], b[8];
	int err = gort_listen(&l, network, address, NULL);

	if (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL) {
		fprintf(stderr, "# no %s here\n", address);
		return;
	}
	expect_eq(err, 0);
	expect(gort_listener_addr(l, addr, sizeof addr) > 0);
	if (!expect_eq(gort_dial(&c, network, addr, GORT_FOREVER), 0) || !expect_eq(gort_accept(l, &s), 0))
		return;
	for (int i = 0; i < 20; i++) {
		expect_eq(gort_write(c, "hello", 5), 5);
		expect_eq(gort_read(s, b, i % 2 ? 8 : 5), 5);
		expect_eq(gort_write(s, "x", 1), 1);
		expect_eq(gort_read(c, b, 1), 1);
	}
	gort_conn_close(c);
	expect_eq(gort_read(s, b, 1), 0);
	gort_conn_close(s);
	gort_listener_close(l);
}

GO_TEST(other_kinds_of_sockets_carry_the_same)
{
	char path[64];
	struct stat st;

	one_message("tcp6", "[::1]:0");
	one_message("tcp", "[::1]:0");
	snprintf(path, sizeof path, "/tmp/gort-test-%d", (int)getpid());
	one_message("unix", path);
	expect(stat(path, &st) < 0);            /* gone with the listener */
	snprintf(path, sizeof path, "@gort-test-%d", (int)getpid());
	one_message("unix", path);
}

/* A Unix listener whose backlog is full makes no edge when there is room. */
GO_TEST(a_full_unix_backlog_is_waited_for)
{
	gort_listen_opts opts = GORT_LISTEN_OPTS_INIT;
	gort_conn *c[8], *s;
	gort_listener *l;
	char path[64];
	int n = 0, err = 0;

	opts.backlog = 1;
	snprintf(path, sizeof path, "@gort-test-full-%d", (int)getpid());
	expect_eq(gort_listen(&l, "unix", path, &opts), 0);
	while (n < 8 && (err = gort_dial(&c[n], "unix", path, gort_deadline(20 * GORT_MILLISECOND))) == 0)
		n++;
	expect_eq(err, -ETIMEDOUT);
	expect_eq(gort_accept(l, &s), 0);
	gort_conn_close(s);
	expect_eq(gort_dial(&c[n], "unix", path, GORT_FOREVER), 0);
	for (; n >= 0; n--)
		gort_conn_close(c[n]);
	gort_listener_close(l);
}

static void packets(const char *network, const char *at, const char *bt)
{
	gort_packet_conn *a, *b;
	gort_addr to, from;
	char addr[128], name[128], buf[16];

	expect_eq(gort_packet_listen(&a, network, at), 0);
	expect_eq(gort_packet_listen(&b, network, bt), 0);
	expect(gort_packet_addr(b, addr, sizeof addr) > 0);
	expect_eq(gort_addr_parse(&to, network, addr), 0);
	for (int i = 0; i < 10; i++) {
		expect_eq(gort_send_to(a, "hello", 5, &to), 5);
		expect_eq(gort_recv_from(b, buf, sizeof buf, &from), 5);
		expect(gort_addr_format(&from, name, sizeof name) > 0);
		expect(gort_packet_addr(a, addr, sizeof addr) > 0);
		expect(strcmp(addr, name) == 0);
		expect_eq(gort_send_to(b, "", 0, &from), 0);
		expect_eq(gort_recv_from(a, buf, sizeof buf, NULL), 0);
	}
	/* what is longer is cut off */
	expect_eq(gort_send_to(a, "0123456789", 10, &to), 10);
	expect_eq(gort_recv_from(b, buf, 4, NULL), 4);
	expect_eq(gort_packet_set_deadline(b, gort_deadline(GORT_MILLISECOND)), 0);
	expect_eq(gort_recv_from(b, buf, 4, NULL), -ETIMEDOUT);
	expect_eq(gort_send_to(b, buf, 4, NULL), -EDESTADDRREQ);
	gort_packet_ref(a);
	expect_eq(gort_packet_close(a), 0);
	expect_eq(gort_recv_from(a, buf, 4, NULL), -ECANCELED);
	expect_eq(gort_packet_close(a), -EBADF);
	gort_packet_unref(b);
}

GO_TEST(packets_come_with_their_sender)
{
	char a[64], b[64];
	gort_packet_conn *p;
	struct stat st;

	packets("udp", "127.0.0.1:0", "127.0.0.1:0");
	snprintf(a, sizeof a, "/tmp/gort-test-a-%d", (int)getpid());
	snprintf(b, sizeof b, "/tmp/gort-test-b-%d", (int)getpid());
	packets("unixgram", a, b);
	expect(stat(a, &st) < 0 && stat(b, &st) < 0);
	expect_eq(gort_packet_listen(&p, "tcp", "127.0.0.1:0"), -EPROTONOSUPPORT);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "listen", NULL);
	test_add(&s, addresses_go_to_text_and_back);
	test_add(&s, malformed_addresses_are_refused);
	test_add(&s, this_machine_has_a_name);
	test_add(&s, many_names_at_once);
	test_add(&s, a_name_that_does_not_resolve);
	test_add(&s, a_name_is_dialled_at_whichever_address_answers);
	test_add(&s, a_port_that_nobody_listens_on_is_not_connected_to_itself);
	test_add(&s, a_dial_ends_at_its_deadline);
	test_add(&s, aborted_connections_are_skipped);
	if (test_no_fork())
		test_skip("without_descriptors_accept_waits_for_one", "it takes them from the others in this process");
	else
		test_add(&s, without_descriptors_accept_waits_for_one);
	test_add(&s, an_inherited_listener_accepts);
	test_add(&s, several_listeners_share_a_port);
	test_add(&s, other_kinds_of_sockets_carry_the_same);
	test_add(&s, a_full_unix_backlog_is_waited_for);
	test_add(&s, packets_come_with_their_sender);
	return test_end(&s);
}
