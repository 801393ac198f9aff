/* SPDX-License-Identifier: MIT */
/*
 * socks5 [-a FILE] [-t MS] ADDRESS - a SOCKS5 proxy (RFC 1928)
 *
 * Prints the address that it listens at (":0" takes a free port), and connects its clients to whatever they name: IPv4, IPv6,
 * or a host that is looked up here. With -a only those who give a name and password (RFC 1929) that stand in FILE, as
 * NAME:PASSWORD on a line. Of the commands there is CONNECT alone. It lets everybody who may use it reach all that this machine
 * can reach, itself included: listen where only those are who may.
 *
 * A client has MS milliseconds (10000) to say what it wants, and a connection as long to come about. Then it is bytes both ways
 * for as long as the two like; when one says that it has no more to send, the other is told, and can go on itself.
 *
 * On SIGTERM or SIGINT nobody is let in any more, and who has not said what it wants is let go; the others have MS milliseconds
 * to come to their end. A second signal ends it at once. Exit status 0, or 1 when some had to be cut off.
 */
#include <gort/chan.h>
#include <gort/net.h>
#include <gort/signal.h>
#include <gort/sync.h>

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 16384                     /* bytes that are passed on at a time */
#define PARTING GORT_SECOND             /* for a client to read why before the connection is gone */
#define PROBE GORT_MINUTE               /* of silence, after which a peer is asked whether it is still there */
#define PAST 1
#define USERS_MOST 65536                /* bytes of the file */

enum { VERSION = 5, NO_AUTHENTICATION = 0, USER_PASSWORD = 2, NONE_ACCEPTABLE = 0xff, USER_VERSION = 1, CONNECT = 1 };
enum { IPV4 = 1, NAME = 3, IPV6 = 4 };
enum reply { DONE, FAILED, NOT_ALLOWED, NO_NETWORK, NO_HOST, REFUSED, TTL_EXPIRED, NO_COMMAND, NO_ADDRESS_TYPE, GONE = 256 };

struct tunnel {
	struct tunnel *next, **at;      /* under lock */
	gort_conn *client;
	gort_conn *target;              /* under lock until it is set; NULL: the client has not got what it wants yet */
};

static struct {
	char *users;                    /* "\nNAME:PASSWORD\n...\n", or NULL: anybody */
	gort_duration patience;
	gort_listener *listener;
	gort_chan *stop;                /* of int: a signal, or 0 when no more connections come */
	gort_mutex lock;
	struct tunnel *tunnels;         /* under lock */
	bool ending;                    /* under lock: nothing begins any more */
	gort_waitgroup all;
} server;

/* --- what the client says --- */

static bool get(struct tunnel *t, void *to, size_t n)
{
	return gort_read_full(t->client, to, n) == (ptrdiff_t)n;
}

static bool put(struct tunnel *t, const void *from, size_t n)
{
	return gort_write(t->client, from, n) == (ptrdiff_t)n;
}

/* A byte with a length, and so many bytes, with a zero byte behind them. The length, or -1. */
static int get_string(struct tunnel *t, char to[256])
{
	unsigned char n;

	if (!get(t, &n, 1) || !get(t, to, n))
		return -1;
	to[n] = '\0';
	return n;
}

/* Takes as long whatever it finds. */
static bool is_user(const char *name, const char *password)
{
	char line[520];
	size_t n = (size_t)snprintf(line, sizeof line, "\n%s:%s\n", name, password), users = strlen(server.users);
	unsigned differs = 1;

	for (size_t i = 0; i + n <= users; i++) {
		unsigned d = 0;

		for (size_t k = 0; k < n; k++)
			d |= (unsigned char)(line[k] ^ server.users[i + k]);
		differs &= d != 0;
	}
	return !differs;
}

/* The name and password. */
static bool authenticate(struct tunnel *t)
{
	char name[256], password[256];
	unsigned char version, answer[2] = { USER_VERSION, 1 };
	int n, k;

	if (!get(t, &version, 1) || version != USER_VERSION || (n = get_string(t, name)) < 0 || (k = get_string(t, password)) < 0)
		return false;
	/* neither may have in it what ends it in the file */
	if ((size_t)n == strlen(name) && (size_t)k == strlen(password) && strpbrk(name, ":\n") == NULL &&
	    strchr(password, '\n') == NULL && is_user(name, password))
		answer[1] = 0;
	return put(t, answer, sizeof answer) && answer[1] == 0;
}

/* How it is to be known. False: there is nothing more to say. */
static bool greet(struct tunnel *t)
{
	unsigned char head[2], methods[255], method = server.users != NULL ? USER_PASSWORD : NO_AUTHENTICATION;

	if (!get(t, head, sizeof head) || head[0] != VERSION || !get(t, methods, head[1]))
		return false;
	if (memchr(methods, method, head[1]) == NULL)
		method = NONE_ACCEPTABLE;
	head[1] = method;
	if (!put(t, head, sizeof head) || method == NONE_ACCEPTABLE)
		return false;
	return method == NO_AUTHENTICATION || authenticate(t);
}

/* What to connect to, as gort_dial takes it. DONE, a reply, or GONE: there is nobody to reply to. */
static enum reply get_request(struct tunnel *t, char *address, size_t size)
{
	unsigned char head[4], ip[16], port[2];
	char name[256];
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	gort_addr a;

	if (!get(t, head, sizeof head))
		return GONE;
	if (head[0] != VERSION)
		return FAILED;
	switch (head[3]) {
	case IPV4:
		if (!get(t, ip, 4) || !get(t, port, 2))
			return GONE;
		memcpy(&in.sin_addr, ip, 4);
		memcpy(&in.sin_port, port, 2);
		gort_addr_from_sockaddr(&a, (struct sockaddr *)&in, sizeof in);
		gort_addr_format(&a, address, size);
		break;
	case IPV6:
		if (!get(t, ip, 16) || !get(t, port, 2))
			return GONE;
		memcpy(&in6.sin6_addr, ip, 16);
		memcpy(&in6.sin6_port, port, 2);
		gort_addr_from_sockaddr(&a, (struct sockaddr *)&in6, sizeof in6);
		gort_addr_format(&a, address, size);
		break;
	case NAME: {
		int n = get_string(t, name);

		if (n < 0 || !get(t, port, 2))
			return GONE;
		/* what would mean something else to gort_dial is no name */
		if (n == 0 || (size_t)n != strlen(name) || strpbrk(name, "[]% \r\n\t") != NULL)
			return NO_HOST;
		snprintf(address, size, strchr(name, ':') != NULL ? "[%s]:%d" : "%s:%d", name, port[0] << 8 | port[1]);
		break;
	}
	default:
		return NO_ADDRESS_TYPE;         /* how long it is nobody knows */
	}
	return head[1] == CONNECT ? DONE : NO_COMMAND;
}

static enum reply reply_of(int err)
{
	switch (err) {
	case 0: return DONE;
	case -ECONNREFUSED: return REFUSED;
	case -ENETUNREACH: case -EADDRNOTAVAIL: case -EAFNOSUPPORT: case -ENETDOWN: return NO_NETWORK;
	case -EHOSTUNREACH: case -EHOSTDOWN: case -ETIMEDOUT: return NO_HOST;
	case GORT_ENOHOST: case GORT_EHOSTAGAIN: case GORT_EADDRESS: return NO_HOST;
	case -EACCES: case -EPERM: return NOT_ALLOWED;
	default: return FAILED;
	}
}

/* The reply, with the address that the target sees; one of zeroes when there is none. */
static bool put_reply(struct tunnel *t, enum reply code, gort_conn *target)
{
	unsigned char out[4 + 16 + 2] = { VERSION, (unsigned char)code, 0, IPV4 };
	struct sockaddr_storage sa = { .ss_family = AF_INET };
	size_t n = 4;
	char text[80];
	gort_addr a;

	if (target != NULL && gort_conn_local_addr(target, text, sizeof text) > 0 && gort_addr_parse(&a, "tcp", text) == 0)
		gort_addr_to_sockaddr(&a, (struct sockaddr *)&sa, sizeof sa);
	if (sa.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&sa;

		out[3] = IPV6;
		memcpy(out + n, &in6->sin6_addr, 16);
		memcpy(out + n + 16, &in6->sin6_port, 2);
		n += 18;
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&sa;

		memcpy(out + n, &in->sin_addr, 4);
		memcpy(out + n + 4, &in->sin_port, 2);
		n += 6;
	}
	return put(t, out, n);
}

/* --- tunnels --- */

struct way {
	gort_conn *from, *to;
};

/* Passes on what there is, and that there is no more. */
static void flow(void *arg)
{
	struct way *w = arg;
	char buf[PIECE];
	ptrdiff_t n;

	while ((n = gort_read(w->from, buf, sizeof buf)) > 0 && gort_write(w->to, buf, (size_t)n) == n)
		;
	if (n == 0 && gort_conn_shutdown_write(w->to) == 0)
		return;
	/* one of them is broken: the other way is of no use either, and nobody is to take this for an end in good order */
	gort_conn_set_linger(w->from, 0);
	gort_conn_set_linger(w->to, 0);
	gort_conn_set_deadline(w->from, PAST);
	gort_conn_set_deadline(w->to, PAST);
}

/* Both ways, until both have ended. */
static void pass_on(struct tunnel *t)
{
	struct way up = { t->client, t->target }, down = { t->target, t->client };
	gort_waitgroup wg = GORT_WAITGROUP_INIT;

	gort_conn_set_keepalive(t->client, PROBE);
	gort_conn_set_keepalive(t->target, PROBE);
	if (gort_waitgroup_go(&wg, flow, &up) != 0)
		return;
	flow(&down);
	gort_waitgroup_wait(&wg);
}

/* The target is connected, and the client's clock stops. False: everything ends, and this comes too late. */
static bool join(struct tunnel *t, gort_conn *target)
{
	bool ok;

	gort_mutex_lock(&server.lock);
	ok = !server.ending;
	if (ok) {
		t->target = target;
		gort_conn_set_deadline(t->client, GORT_FOREVER);
	}
	gort_mutex_unlock(&server.lock);
	return ok;
}

/*
 * A close with bytes left unread resets the connection, and what was sent last may be lost with it. So we say that there is no
 * more, and let the client finish, for a while.
 */
static void part(struct tunnel *t)
{
	char buf[512];

	if (gort_conn_shutdown_write(t->client) == 0 && gort_conn_set_read_deadline(t->client, gort_deadline(PARTING)) == 0)
		while (gort_read(t->client, buf, sizeof buf) > 0)
			;
}

static void forget(struct tunnel *t)
{
	gort_mutex_lock(&server.lock);
	*t->at = t->next;
	if (t->next != NULL)
		t->next->at = t->at;
	gort_mutex_unlock(&server.lock);
	/* out of the list nobody else knows them */
	if (t->target != NULL)
		gort_conn_close(t->target);
	gort_conn_close(t->client);
	free(t);
}

static void serve(void *arg)
{
	struct tunnel *t = arg;
	enum reply code = GONE;
	char address[300];
	gort_conn *target = NULL;

	if (greet(t))
		code = get_request(t, address, sizeof address);
	if (code == DONE) {
		code = reply_of(gort_dial(&target, "tcp", address, gort_deadline(server.patience)));
		/* the answer is written as part of the tunnel, since the clock for the handshake may have run out meanwhile */
		if (code == DONE && !join(t, target)) {
			gort_conn_close(target);
			code = FAILED;
		}
	}
	if (code == DONE) {
		if (put_reply(t, DONE, target))
			pass_on(t);
	} else {
		gort_conn_set_write_deadline(t->client, gort_deadline(PARTING));
		if (code != GONE)
			put_reply(t, code, NULL);
		part(t);
	}
	forget(t);
}

/* Has a goroutine serve the client; without the memory for that it is let go. */
static void begin(gort_conn *c)
{
	struct tunnel *t = malloc(sizeof *t);

	if (t == NULL) {
		gort_conn_close(c);
		return;
	}
	t->client = c;
	t->target = NULL;
	gort_mutex_lock(&server.lock);
	/* one clock for all that it has to say: who says a byte now and then gains no time */
	gort_conn_set_deadline(c, server.ending ? PAST : gort_deadline(server.patience));
	t->at = &server.tunnels;
	t->next = server.tunnels;
	if (t->next != NULL)
		t->next->at = &t->next;
	server.tunnels = t;
	gort_mutex_unlock(&server.lock);
	if (gort_waitgroup_go(&server.all, serve, t) != 0)
		forget(t);
}

static void accept_all(void *arg)
{
	gort_conn *c;
	int err, none = 0;

	(void)arg;
	while ((err = gort_accept(server.listener, &c)) == 0)
		begin(c);
	if (err != -ECANCELED)
		fprintf(stderr, "socks5: accept: %s\n", gort_strerror(err));
	gort_chan_try_send(server.stop, &none);
}

/* --- the whole --- */

static int fail(const char *what, int err)
{
	fprintf(stderr, "socks5: %s: %s\n", what, gort_strerror(err));
	return 1;
}

/* Those who have not got what they want, or all of them. */
static void let_go(bool all)
{
	gort_mutex_lock(&server.lock);
	server.ending = true;
	for (struct tunnel *t = server.tunnels; t != NULL; t = t->next) {
		if (t->target == NULL || all)
			gort_conn_set_read_deadline(t->client, PAST);
		if (t->target != NULL && all) {
			gort_conn_set_write_deadline(t->client, PAST);
			gort_conn_set_deadline(t->target, PAST);
		}
	}
	gort_mutex_unlock(&server.lock);
}

static int run(const char *address)
{
	char at[128];
	int signo, err;

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
	let_go(false);
	err = gort_waitgroup_wait_until(&server.all, gort_deadline(server.patience));
	if (err != 0) {
		let_go(true);
		gort_waitgroup_wait_until(&server.all, gort_deadline(server.patience + PARTING));
		return fail("cut off what was not done", err);
	}
	gort_listener_unref(server.listener);
	gort_chan_unref(server.stop);
	free(server.users);
	return signo != 0 ? 0 : 1;
}

/* The file of names, as a whole. 0 or a negative errno. */
static int read_users(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n;
	int err = f == NULL ? -errno : 0;

	if (f == NULL)
		return err;
	server.users = malloc(USERS_MOST + 4);
	if (server.users == NULL) {
		fclose(f);
		return -ENOMEM;
	}
	server.users[0] = '\n';
	n = fread(server.users + 1, 1, USERS_MOST + 1, f);
	err = ferror(f) ? -EIO : n > USERS_MOST ? -EFBIG : memchr(server.users + 1, '\0', n) != NULL ? -EINVAL : 0;
	fclose(f);
	strcpy(server.users + 1 + n, "\n");
	return err;
}

GORT_MAIN(argc, argv)
{
	const char *file = NULL;
	char *end = NULL;
	long ms = 10000;
	int option, err;

	while ((option = getopt(argc, argv, "a:t:")) != -1) {
		if (option == 'a')
			file = optarg;
		else if (option == 't')
			ms = strtol(optarg, &end, 10);
		if (option == '?' || (option == 't' && (end == optarg || *end != '\0' || ms < 1 || ms > 3600000)))
			optind = argc;
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: socks5 [-a FILE] [-t MILLISECONDS] ADDRESS\n");
		return 2;
	}
	server.patience = ms * GORT_MILLISECOND;
	err = file != NULL ? read_users(file) : 0;
	return err != 0 ? fail(file, err) : run(argv[optind]);
}
