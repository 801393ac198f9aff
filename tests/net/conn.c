/* SPDX-License-Identifier: MIT */
/* Connections: what is written comes out, ends are ends and errors are errors. */
#include "net.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

GO_TEST(what_is_written_is_read)
{
	gort_conn *c[2];
	char buf[16] = "";

	if (!tcp_pair(c))
		return;
	expect_eq(gort_write(c[0], "hello", 5), 5);
	expect_eq(gort_read(c[1], buf, sizeof buf), 5);
	expect(memcmp(buf, "hello", 5) == 0);
	expect_eq(gort_write(c[1], "there", 5), 5);
	expect_eq(gort_read_full(c[0], buf, 5), 5);
	expect(memcmp(buf, "there", 5) == 0);
	close_pair(c);
}

GO_TEST(a_read_waits_for_what_is_written)
{
	gort_conn *c[2];
	struct reader r;

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < 100; i++) {
		start_read(&r, c[i % 2]);
		expect_eq(gort_write(c[1 - i % 2], "x", 1), 1);
		expect_eq(end_read(&r), 1);
	}
	close_pair(c);
}

/* Reads that get exactly what they ask for, then nothing: what ends a message must not be taken for what ends them all. */
GO_TEST(messages_read_whole_one_after_the_other)
{
	gort_conn *c[2];
	char buf[8];

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < 200; i++) {
		int n = i % 7 == 0 ? 3 : 1;     /* several at once, sometimes */

		for (int k = 0; k < n; k++)
			expect_eq(gort_write(c[0], "12345678", 8), 8);
		for (int k = 0; k < n; k++)
			expect_eq(gort_read(c[1], buf, 8), 8);
		expect_eq(gort_write(c[1], "12345678", 8), 8);
		expect_eq(gort_read_full(c[0], buf, 8), 8);
	}
	/* and the end after such a one */
	expect_eq(gort_write(c[0], "12345678", 8), 8);
	expect_eq(gort_conn_shutdown_write(c[0]), 0);
	expect_eq(gort_read(c[1], buf, 8), 8);
	expect_eq(gort_read(c[1], buf, 8), 0);
	expect_eq(gort_read(c[1], buf, 8), 0);
	close_pair(c);
}

GO_TEST(the_end_comes_with_the_last_bytes_or_after_them)
{
	char buf[64];

	for (int i = 0; i < 50; i++) {
		gort_conn *c[2];
		struct reader r;

		if (!tcp_pair(c))
			return;
		if (i % 2)
			start_read(&r, c[1]);
		expect_eq(gort_write(c[0], "bye", 3), 3);
		if (i % 4 < 2)
			expect_eq(gort_conn_shutdown_write(c[0]), 0);
		else
			gort_conn_close(gort_conn_ref(c[0]));
		expect_eq(i % 2 ? end_read(&r) : gort_read(c[1], buf, sizeof buf), 3);
		expect_eq(gort_read(c[1], buf, sizeof buf), 0);
		gort_conn_unref(c[0]);
		gort_conn_close(c[1]);
	}
}

GO_TEST(a_shut_down_side_still_reads)
{
	gort_conn *c[2];
	char buf[4];

	if (!tcp_pair(c))
		return;
	expect_eq(gort_conn_shutdown_write(c[0]), 0);
	expect_eq(gort_read(c[1], buf, sizeof buf), 0);
	expect_eq(gort_write(c[1], "abc", 3), 3);
	expect_eq(gort_read(c[0], buf, sizeof buf), 3);
	expect_eq(gort_write(c[0], "x", 1), -EPIPE);
	close_pair(c);
}

GO_TEST(a_read_of_no_bytes_returns_0)
{
	gort_conn *c[2];
	char b;

	if (!tcp_pair(c))
		return;
	expect_eq(gort_read(c[0], &b, 0), 0);
	expect_eq(gort_read(c[0], NULL, 0), 0);
	expect_eq(gort_read_full(c[0], NULL, 0), 0);
	expect_eq(gort_readv(c[0], NULL, 0), 0);
	expect_eq(gort_write(c[0], NULL, 0), 0);
	expect_eq(gort_readv(c[0], NULL, -1), -EINVAL);
	expect_eq(gort_writev(c[0], NULL, 1), -EINVAL);
	close_pair(c);
}

GO_TEST(a_reset_is_an_error_and_no_end)
{
	gort_conn *c[2];
	struct reader r;
	char b;

	if (!tcp_pair(c))
		return;
	start_read(&r, c[1]);
	expect_eq(gort_conn_set_linger(c[0], 0), 0);
	expect_eq(gort_conn_close(c[0]), 0);
	expect_eq(end_read(&r), -ECONNRESET);
	expect_eq(gort_write(c[1], "x", 1), -EPIPE);
	expect_eq(gort_read(c[1], &b, 1), 0);           /* as the system has it: the error was told */
	gort_conn_close(c[1]);
}

static int pipes_raised;

static void on_pipe(int signo)
{
	(void)signo;
	count_up(&pipes_raised);
}

GO_TEST(no_write_raises_sigpipe)
{
	struct sigaction sa = { .sa_handler = on_pipe }, before;
	char x = 'x';
	struct iovec iov = { .iov_base = &x, .iov_len = 1 };
	gort_conn *c[2], *p[2];
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	set(&pipes_raised, 0);
	sigaction(SIGPIPE, &sa, &before);
	if (!tcp_pair(c) || !expect_eq(gort_pipe(p), 0))
		return;
	gort_conn_set_linger(c[0], 0);
	gort_conn_close(c[0]);
	gort_conn_close(p[0]);
	expect_eq(gort_write(p[1], "x", 1), -EPIPE);
	expect_eq(gort_writev(p[1], &iov, 1), -EPIPE);
	expect_eq(gort_sendfile(p[1], file, 0, 100), -EPIPE);
	for (int i = 0; i < 2; i++) {                   /* the reset comes first */
		expect(gort_write(c[1], "x", 1) < 0);
		expect(gort_writev(c[1], &iov, 1) < 0);
		expect(gort_sendfile(c[1], file, 0, 100) < 0);
	}
	gort_conn_close(c[1]);
	gort_conn_close(p[1]);
	close(file);
	expect_eq(get(&pipes_raised), 0);
	sigaction(SIGPIPE, &before, NULL);
}

/* --- much --- */

struct stream {
	gort_conn *c;
	size_t n;
	uint64_t sum;
	int done;
};

static uint64_t mix(uint64_t sum, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ p[i]) * 1099511628211u;
	return sum;
}

static void sends_much(void *arg)
{
	struct stream *s = arg;
	unsigned char *block = malloc(1 << 20);
	uint64_t r = test_random_init(7);
	size_t left = s->n;

	while (left > 0) {
		size_t k = 1 + (size_t)(test_random(&r) % (1 << 20));

		k = k < left ? k : left;
		for (size_t i = 0; i < k; i += 8) {
			uint64_t v = test_random(&r);

			memcpy(block + i, &v, k - i < 8 ? k - i : 8);
		}
		s->sum = mix(s->sum, block, k);
		if (!expect_eq(gort_write(s->c, block, k), k))
			break;
		left -= k;
	}
	gort_conn_shutdown_write(s->c);
	free(block);
	count_up(&s->done);
}

/* A slow reader, so that writes are partial and wait. */
GO_TEST(much_comes_through_a_slow_reader_as_it_was)
{
	gort_conn *c[2];
	struct stream s = { .n = (size_t)test_scale_min(64, 2) << 20 };
	unsigned char *buf = malloc(1 << 16);
	uint64_t sum = 0, r = test_random_init(8);
	size_t got = 0;
	ptrdiff_t k;

	if (!tcp_pair(c))
		return;
	s.c = c[0];
	spawn(sends_much, &s);
	while ((k = gort_read(c[1], buf, 1 + (size_t)(test_random(&r) % (1 << 16)))) > 0) {
		sum = mix(sum, buf, (size_t)k);
		got += (size_t)k;
		if (test_random(&r) % 16 == 0)
			gort_sleep(50 * GORT_MICROSECOND);
	}
	await_count(&s.done, 1);
	expect_eq(k, 0);
	expect_eq(got, s.n);
	expect(sum == s.sum);
	free(buf);
	close_pair(c);
}

static void sends_bytes(void *arg)
{
	struct stream *s = arg;

	gort_conn_set_nodelay(s->c, true);
	for (size_t i = 0; i < s->n; i++) {
		unsigned char b = (unsigned char)i;

		expect_eq(gort_write(s->c, &b, 1), 1);
		if (i % 3 == 0)
			gort_yield();
	}
	count_up(&s->done);
}

GO_TEST(a_byte_at_a_time)
{
	gort_conn *c[2];
	struct stream s = { .n = (size_t)test_scale_min(20000, 500) };
	unsigned char *buf = malloc(s.n);

	if (!tcp_pair(c))
		return;
	s.c = c[0];
	spawn(sends_bytes, &s);
	expect_eq(gort_read_full(c[1], buf, s.n), s.n);
	for (size_t i = 0; i < s.n; i++) {
		if (buf[i] != (unsigned char)i) {
			expect(buf[i] == (unsigned char)i);
			break;
		}
	}
	await_count(&s.done, 1);
	free(buf);
	close_pair(c);
}

GO_TEST(many_buffers_at_once)
{
	enum { N = 300 };
	static char in[N][100], out[N][100];
	struct iovec iov[N], riov[3];
	gort_conn *c[2];
	size_t total = 0;
	char small[3][4];

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < N; i++) {
		memset(in[i], i, sizeof in[i]);
		iov[i].iov_base = in[i];
		iov[i].iov_len = (size_t)(i % 101);     /* empty ones too */
		total += iov[i].iov_len;
	}
	expect_eq(gort_writev(c[0], iov, N), total);
	for (int i = 0; i < N; i++) {
		expect_eq(gort_read_full(c[1], out[i], iov[i].iov_len), iov[i].iov_len);
		expect(memcmp(in[i], out[i], iov[i].iov_len) == 0);
	}
	expect_eq(gort_write(c[0], "abcdefgh", 8), 8);
	for (int i = 0; i < 3; i++) {
		riov[i].iov_base = small[i];
		riov[i].iov_len = i == 1 ? 0 : 4;
	}
	expect_eq(gort_readv(c[1], riov, 3), 8);
	expect(memcmp(small[0], "abcd", 4) == 0 && memcmp(small[2], "efgh", 4) == 0);
	close_pair(c);
}

struct sender {
	gort_conn *c;
	const char *bytes;
	struct iovec *iov;
	int n;
	ptrdiff_t result;
	int done;
};

static void sends_vector(void *arg)
{
	struct sender *s = arg;

	s->result = gort_writev(s->c, s->iov, s->n);
	count_up(&s->done);
}

/* More than the way holds: each partial write goes on where it ended. */
GO_TEST(a_vector_that_does_not_fit_goes_on_where_it_stopped)
{
	enum { N = 200, EACH = 100003 };
	char *big = malloc((size_t)N * EACH), *got = malloc((size_t)N * EACH);
	struct iovec iov[N];
	struct sender s = { .iov = iov, .n = N };
	uint64_t r = test_random_init(3);
	gort_conn *c[2];

	if (!tcp_pair(c))
		return;
	for (size_t i = 0; i < (size_t)N * EACH; i++)
		big[i] = (char)(test_random(&r) >> 32);
	for (int i = 0; i < N; i++)
		iov[i] = (struct iovec){ .iov_base = big + (size_t)i * EACH, .iov_len = EACH };
	s.c = c[0];
	spawn(sends_vector, &s);
	expect_eq(gort_read_full(c[1], got, (size_t)N * EACH), (size_t)N * EACH);
	await_count(&s.done, 1);
	expect_eq(s.result, (size_t)N * EACH);
	expect(memcmp(big, got, (size_t)N * EACH) == 0);
	free(big);
	free(got);
	close_pair(c);
}

struct file_sender {
	gort_conn *c;
	int fd;
	size_t n;
	ptrdiff_t result;
	int done;
};

static void sends_file(void *arg)
{
	struct file_sender *s = arg;

	s->result = gort_sendfile(s->c, s->fd, 1000, s->n);
	gort_conn_shutdown_write(s->c);
	count_up(&s->done);
}

GO_TEST(a_file_is_sent_from_where_it_is_said)
{
	size_t size = 5 << 20;
	char *what = malloc(size), *got = malloc(size);
	struct file_sender s = { .n = 2 * size };
	FILE *f = tmpfile();
	uint64_t r = test_random_init(4);
	gort_conn *c[2];

	if (!tcp_pair(c) || !expect(f != NULL))
		return;
	for (size_t i = 0; i < size; i++)
		what[i] = (char)(test_random(&r) >> 32);
	expect_eq(fwrite(what, 1, size, f), size);
	fflush(f);
	s.c = c[0];
	s.fd = fileno(f);
	spawn(sends_file, &s);
	expect_eq(gort_read_full(c[1], got, size), size - 1000);
	expect(memcmp(what + 1000, got, size - 1000) == 0);
	await_count(&s.done, 1);
	expect_eq(s.result, size - 1000);       /* fewer: the end of the file */
	expect(gort_sendfile(c[1], -1, 0, 10) == -EBADF);
	fclose(f);
	free(what);
	free(got);
	close_pair(c);
}

/* --- who is who --- */

GO_TEST(addresses_are_told)
{
	char a[64], b[64], tiny[4], addr[64];
	gort_listener *l = listen_tcp(addr);
	gort_conn *c, *s;

	expect(strncmp(addr, "127.0.0.1:", 10) == 0);
	expect_eq(gort_listener_addr(l, tiny, sizeof tiny), -ENOSPC);
	if (!expect_eq(gort_dial(&c, "tcp4", addr, GORT_FOREVER), 0) || !expect_eq(gort_accept(l, &s), 0))
		return;
	expect_eq(gort_conn_remote_addr(c, a, sizeof a), strlen(addr));
	expect(strcmp(a, addr) == 0);
	expect(gort_conn_local_addr(c, a, sizeof a) > 0);
	expect(gort_conn_remote_addr(s, b, sizeof b) > 0);
	expect(strcmp(a, b) == 0);
	gort_conn_close(c);
	gort_conn_close(s);
	gort_listener_close(l);
}

GO_TEST(options_are_set)
{
	gort_conn *c[2];
	int fd, v = 0;
	socklen_t len = sizeof v;

	if (!tcp_pair(c))
		return;
	for (int i = 0; i < 2; i++) {
		fd = gort_conn_fd(c[i]);
		expect_eq(getsockopt(fd, 6, 1, &v, &len), 0);   /* TCP_NODELAY */
		expect_eq(v != 0, 1);
		expect_eq(gort_conn_set_nodelay(c[i], false), 0);
		getsockopt(fd, 6, 1, &v, &len);
		expect_eq(v, 0);
		expect_eq(gort_conn_set_keepalive(c[i], 90 * GORT_SECOND), 0);
		getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, &len);
		expect_eq(v, 1);
		expect_eq(gort_conn_set_keepalive(c[i], GORT_FOREVER), 0);
		expect_eq(gort_conn_set_keepalive(c[i], 0), 0);
		getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, &len);
		expect_eq(v, 0);
		expect_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	close_pair(c);
}

GO_TEST(a_pipe_has_a_reading_and_a_writing_end)
{
	gort_conn *p[2];
	struct reader r;
	char b[4] = "";

	if (!expect_eq(gort_pipe(p), 0))
		return;
	start_read(&r, p[0]);
	expect_eq(gort_write(p[1], "abc", 3), 3);
	expect_eq(end_read(&r), 3);
	expect_eq(gort_read(p[1], b, 1), -EBADF);
	expect_eq(gort_write(p[0], b, 1), -EBADF);
	start_read(&r, p[0]);
	expect_eq(gort_conn_close(p[1]), 0);
	expect_eq(end_read(&r), 0);
	gort_conn_close(p[0]);
}

GO_TEST(a_full_pipe_makes_writers_wait)
{
	gort_conn *p[2];
	struct stream s = { .n = 3 << 20 };
	unsigned char *buf = malloc(3 << 20);

	if (!expect_eq(gort_pipe(p), 0))
		return;
	s.c = p[1];
	spawn(sends_much, &s);
	expect_eq(gort_read_full(p[0], buf, s.n), s.n);
	await_count(&s.done, 1);
	expect(mix(0, buf, s.n) == s.sum);
	free(buf);
	close_pair(p);
}

GO_TEST(a_descriptor_becomes_a_connection_and_is_given_back)
{
	gort_conn *c, *d;
	gort_listener *l;
	int fds[2], file, closed;
	char b[4];

	expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	expect_eq(gort_conn_from_fd(&c, fds[0]), 0);
	expect_eq(gort_conn_from_fd(&d, fds[0]), -EEXIST);
	expect_eq(gort_conn_fd(c), fds[0]);
	expect_eq(write(fds[1], "hi", 2), 2);
	expect_eq(gort_read(c, b, sizeof b), 2);
	expect_eq(gort_conn_release_fd(gort_conn_ref(c)), fds[0]);
	expect_eq(gort_read(c, b, 1), -ECANCELED);
	expect_eq(gort_conn_fd(c), -ECANCELED);
	expect_eq(gort_conn_release_fd(c), -EBADF);
	expect(fcntl(fds[0], F_GETFD) >= 0);
	/* and once more: nothing of it was left behind */
	expect_eq(gort_conn_from_fd(&c, fds[0]), 0);
	expect_eq(write(fds[1], "hi", 2), 2);
	expect_eq(gort_read(c, b, sizeof b), 2);
	expect_eq(gort_listener_from_fd(&l, fds[1]), -EINVAL);
	gort_conn_close(c);
	close(fds[1]);

	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	expect_eq(gort_conn_from_fd(&c, file), -EPERM);
	expect_eq(gort_listener_from_fd(&l, file), -ENOTSOCK);
	expect(fcntl(file, F_GETFD) >= 0);
	closed = file;
	close(file);
	expect_eq(gort_conn_from_fd(&c, closed), -EBADF);
	expect_eq(gort_conn_from_fd(&c, -1), -EBADF);
	file = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	expect_eq(gort_conn_from_fd(&c, file), -ENOTSUP);
	close(file);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "conn", NULL);
	test_add(&s, what_is_written_is_read);
	test_add(&s, a_read_waits_for_what_is_written);
	test_add(&s, messages_read_whole_one_after_the_other);
	test_add(&s, the_end_comes_with_the_last_bytes_or_after_them);
	test_add(&s, a_shut_down_side_still_reads);
	test_add(&s, a_read_of_no_bytes_returns_0);
	test_add(&s, a_reset_is_an_error_and_no_end);
	test_add(&s, no_write_raises_sigpipe);
	test_add(&s, much_comes_through_a_slow_reader_as_it_was);
	test_add(&s, a_byte_at_a_time);
	test_add(&s, many_buffers_at_once);
	test_add(&s, a_vector_that_does_not_fit_goes_on_where_it_stopped);
	test_add(&s, a_file_is_sent_from_where_it_is_said);
	test_add(&s, addresses_are_told);
	test_add(&s, options_are_set);
	test_add(&s, a_pipe_has_a_reading_and_a_writing_end);
	test_add(&s, a_full_pipe_makes_writers_wait);
	test_add(&s, a_descriptor_becomes_a_connection_and_is_given_back);
	return test_end(&s);
}
