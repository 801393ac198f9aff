/* SPDX-License-Identifier: MIT */
/* TCP and HTTP over loopback, a thread a connection. */
#include "bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS 64
#define DIALLERS 8
#define MESSAGE 64
#define STACK 64                /* KiB, of a connection's thread */

static struct sockaddr_in address;

static int listen_here(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof address;

	address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4096) == 0 &&
		getsockname(fd, (struct sockaddr *)&address, &size) == 0, "no listener");
	return fd;
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "no connection");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

/* A thread for each connection that comes, which owns it. */
struct server {
	int fd;
	void *(*serve)(void *fd);
};

static void *accepts(void *arg)
{
	struct server *s = arg;
	int fd, on = 1;

	while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		pthread_detach(start(s->serve, (void *)(intptr_t)fd, STACK));
	}
	return NULL;
}

static void serve_here(void *(*serve)(void *fd))
{
	static struct server s;

	s = (struct server){ listen_here(), serve };
	pthread_detach(start(accepts, &s, 0));
}

static void *echoes(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char b[MESSAGE];
	ssize_t n;

	while ((n = read(fd, b, sizeof b)) > 0 && write(fd, b, (size_t)n) == n)
		;
	close(fd);
	return NULL;
}

static bool read_full(int fd, char *b, size_t n)
{
	for (size_t had = 0; had < n;) {
		ssize_t k = read(fd, b + had, n - had);

		if (k <= 0)
			return false;
		had += (size_t)k;
	}
	return true;
}

struct client {
	int fd;
	long n;
};

static void *asks(void *arg)
{
	struct client *me = arg;
	char b[MESSAGE] = { 0 };

	for (long i = 0; i < me->n; i++) {
		check(write(me->fd, b, sizeof b) == sizeof b, "a message was not sent");
		check(read_full(me->fd, b, sizeof b), "a message has not come back");
	}
	return NULL;
}

static void tcp_echo(long n)
{
	struct client c[CONNS];
	pthread_t t[CONNS];
	int64_t since;

	serve_here(echoes);
	for (int i = 0; i < CONNS; i++)
		c[i] = (struct client){ dial(), n / CONNS };
	since = now();
	for (int i = 0; i < CONNS; i++)
		t[i] = start(asks, &c[i], STACK);
	for (int i = 0; i < CONNS; i++)
		join(t[i]);
	out("tcp_echo", (double)(n / CONNS * CONNS) / ((double)(now() - since) / 1e9), "msg/s");
}

static void *answers(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char b[MESSAGE];
	ssize_t n = read(fd, b, sizeof b);

	if (n > 0 && write(fd, b, (size_t)n) == n)
		n = read(fd, b, sizeof b);
	close(fd);
	return NULL;
}

static void *dials(void *arg)
{
	struct client *me = arg;
	struct linger l = { 1, 0 };
	char b[MESSAGE] = { 0 };

	for (long i = 0; i < me->n; i++) {
		int fd = dial();

		check(write(fd, b, sizeof b) == sizeof b && read_full(fd, b, sizeof b), "a message has not come back");
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
		close(fd);
	}
	return NULL;
}

static void tcp_conn_churn(long n)
{
	struct client me = { .n = n / DIALLERS };
	pthread_t t[DIALLERS];
	int64_t since;

	serve_here(answers);
	since = now();
	for (int i = 0; i < DIALLERS; i++)
		t[i] = start(dials, &me, STACK);
	for (int i = 0; i < DIALLERS; i++)
		join(t[i]);
	out("tcp_conn_churn", (double)(me.n * DIALLERS) / ((double)(now() - since) / 1e9), "conn/s");
}

/* --- HTTP --- */

static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world";

/* How many requests end in b, which has len bytes; what is left of the last one moves to the front. */
static int requests(char *b, size_t *len)
{
	char *from = b, *end;
	int n = 0;

	while ((end = memmem(from, *len, "\r\n\r\n", 4)) != NULL) {
		end += 4;
		*len -= (size_t)(end - from);
		from = end;
		n++;
	}
	memmove(b, from, *len);
	return n;
}

static void *greets(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char b[4096];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof b && (n = read(fd, b + len, sizeof b - len)) > 0) {
		len += (size_t)n;
		for (int k = requests(b, &len); k > 0; k--) {
			if (write(fd, hello, sizeof hello - 1) != sizeof hello - 1)
				break;
		}
	}
	close(fd);
	return NULL;
}

static void http(const char *name, int connections, long seconds)
{
	char command[256], line[256];
	bool failed = false;
	double rate = 0;
	FILE *f;

	serve_here(greets);
	/* not on our processors alone */
	snprintf(command, sizeof command, "exec taskset 0xffffffff wrk -t1 -c%d -d%lds http://127.0.0.1:%d/", connections, seconds,
		ntohs(address.sin_port));
	f = popen(command, "re");
	check(f != NULL, "wrk has not run");
	while (fgets(line, sizeof line, f) != NULL) {
		sscanf(line, "Requests/sec: %lf", &rate);
		failed = failed || strstr(line, "Socket errors") != NULL || strstr(line, "Non-2xx") != NULL;
	}
	check(pclose(f) == 0 && !failed && rate > 0, "some requests have failed");
	out(name, rate, "req/s");
}

static void http_hello(long n)
{
	http("http_hello", 64, n);
}

static void http_hello_1000(long n)
{
	http("http_hello_1000", 1000, n);
}

const struct item net_items[] = {
	{ "tcp_echo", 200000, tcp_echo },
	{ "tcp_conn_churn", 10000, tcp_conn_churn },
	{ "http_hello", 5, http_hello },
	{ "http_hello_1000", 5, http_hello_1000 },
	{ 0 },
};
