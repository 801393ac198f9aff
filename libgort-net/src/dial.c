/* SPDX-License-Identifier: MIT */
/*
 * Dialling. One address is connected to where the caller stands. With several a goroutine is started for each in turn, when
 * the one before has failed or taken a quarter of a second (Happy Eyeballs); the first connection wins, and the others are
 * closed by those that made them. The caller waits on a race, which lives until the last of them has left it.
 */
#include "conn.h"

#include "os/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define MOST 16                         /* addresses that are tried */
#define HEAD_START (250 * GORT_MILLISECOND)
#define UNIX_FIRST GORT_MILLISECOND     /* between tries at a Unix listener whose backlog is full */
#define UNIX_MOST (50 * GORT_MILLISECOND)

/*
 * Connected to itself? A port of this machine that nobody listens on can be the very one that the kernel picks for our end:
 * both sides of TCP's simultaneous open. That is no connection to anybody.
 */
static bool to_itself(int fd, const gort_addr *to)
{
	gort_addr own = { 0 };
	socklen_t len = sizeof own.data;
	const struct sockaddr_in *a = (const struct sockaddr_in *)own.data, *b = (const struct sockaddr_in *)to->data;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)own.data, *b6 = (const struct sockaddr_in6 *)to->data;

	if (getsockname(fd, net_sockaddr(&own), &len) != 0 || a->sin_family != b->sin_family)
		return false;
	if (a->sin_family == AF_INET)
		return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
	return a6->sin6_port == b6->sin6_port && memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

/* The connect is under way, and its desc open: until it has come to an end. 0 or an error. */
static int await_connected(struct net_desc *d, const gort_addr *to, gort_time deadline)
{
	int err = net_set_deadline(d, 1u << NET_WRITE, deadline);

	if (err == 0)
		err = net_begin(d, NET_WRITE);
	if (err != 0)
		return err;
	for (;;) {
		err = net_wait(d, NET_WRITE, GORT_FOREVER);
		if (err != 0)
			break;
		/* what SO_ERROR would say, but exact: a word that is ready says no more than "look" */
		err = net_os_connect(d->fd, net_sockaddr(to), to->len);
		if (err == -EISCONN)
			err = 0;
		if (err != -EALREADY && err != -EINPROGRESS)
			break;
	}
	net_end(d, NET_WRITE);
	if (err == 0)
		err = net_set_deadline(d, 1u << NET_WRITE, GORT_FOREVER);
	return err;
}

struct attempt;
/* What of who is under way: a descriptor that is not connected yet; NULL: nothing. False: it need not go on. */
static bool tell(struct attempt *who, struct net_desc *d);

/* Connects. who: the one to tell of it; NULL: nobody wants to know. */
static int connect_to(struct net_desc **out, const gort_addr *to, int type, gort_time deadline, struct attempt *who)
{
	const struct sockaddr *sa = net_sockaddr(to);
	bool tcp = type == SOCK_STREAM && sa->sa_family != AF_UNIX;
	gort_duration pause = UNIX_FIRST;
	struct net_desc *d;
	int fd, err, opened, on = 1;

again:
	fd = net_os_socket(sa->sa_family, type);
	if (fd < 0)
		return fd;
	if (tcp && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
		err = net_os_error();
		net_os_close(fd);
		return err;
	}
	err = net_os_connect(fd, sa, to->len);
	if (err == -EAGAIN && sa->sa_family == AF_UNIX) {
		/* its backlog is full, and no edge will tell of room */
		gort_time next = gort_deadline(pause);

		net_os_close(fd);
		if (next >= deadline) {
			gort_sleep(deadline - gort_now());
			return -ETIMEDOUT;
		}
		gort_sleep(pause);
		pause = 2 * pause < UNIX_MOST ? 2 * pause : UNIX_MOST;
		goto again;
	}
	if (err != 0 && err != -EINPROGRESS) {
		net_os_close(fd);
		return err;
	}
	opened = net_conn_new(&d, fd, true, tcp);
	if (opened != 0) {
		net_os_close(fd);
		return opened;
	}
	d->inner = true;
	if (err == -EINPROGRESS) {
		if (who != NULL && !tell(who, d)) {
			net_unref(d);
			return -ECANCELED;
		}
		err = await_connected(d, to, deadline);
		if (who != NULL)
			tell(who, NULL);
	}
	if (err == 0 && tcp && to_itself(d->fd, to)) {
		net_unref(d);
		goto again;
	}
	if (err != 0) {
		net_unref(d);
		return err;
	}
	*out = d;
	return 0;
}

/* --- the race --- */

struct attempt {
	struct race *race;
	int i;
	struct net_desc *d;             /* under way; under the race's lock */
};

struct race {
	gort__lock lock;
	uint32_t refs;                  /* atomic */
	int type;
	gort_time deadline;
	int started, ended;             /* under lock */
	bool over;                      /* under lock: who comes now has lost */
	int err;                        /* of the first that failed; under lock */
	struct net_desc *won;           /* under lock */
	gort_g *g;                      /* the caller that waits; under lock */
	uint64_t ticket;
	int seen;                       /* attempts ended, as the caller knows; its own */
	struct attempt attempts[MOST];
	gort_addr to[MOST];
};

static void race_unref(struct race *r)
{
	if (gort__add_acq_rel(&r->refs, -1u) == 1)
		net_free(r);
}

/* False: the race is over. */
static bool tell(struct attempt *a, struct net_desc *d)
{
	bool on;

	gort__lock_lock(&a->race->lock);
	on = !a->race->over;
	a->d = on ? d : NULL;
	gort__lock_unlock(&a->race->lock);
	return on;
}

static void attempt(void *arg)
{
	struct attempt *a = arg;
	struct race *r = a->race;
	struct net_desc *d = NULL;
	int err = connect_to(&d, &r->to[a->i], r->type, r->deadline, a);
	uint64_t ticket;
	gort_g *g;

	gort__lock_lock(&r->lock);
	a->d = NULL;
	r->ended++;
	if (err == 0 && !r->over && r->won == NULL) {
		r->won = d;
		d = NULL;
	} else if (err != 0 && r->err == 0) {
		r->err = err;
	}
	g = r->g;
	ticket = r->ticket;
	r->g = NULL;
	gort__lock_unlock(&r->lock);
	if (g != NULL)
		gort_try_ready(g, ticket);
	net_unref(d);                   /* it came too late */
	race_unref(r);
}

static bool wait_for_end(gort_g *g, void *arg)
{
	struct race *r = arg;
	bool wait;

	gort__lock_lock(&r->lock);
	wait = r->ended == r->seen;
	r->g = wait ? g : NULL;
	r->ticket = gort_park_ticket(g);
	gort__lock_unlock(&r->lock);
	return wait;
}

/* Starts the next attempt. 0 or -ENOMEM. */
static int start_next(struct race *r)
{
	struct attempt *a = &r->attempts[r->started];
	int err;

	*a = (struct attempt){ .race = r, .i = r->started };
	gort__add_relaxed(&r->refs, 1);
	err = gort_go(attempt, a);
	if (err != 0) {
		gort__add_relaxed(&r->refs, -1u);
		return err;
	}
	r->started++;
	return 0;
}

static int race(struct net_desc **out, gort_addr *to, int n, int type, gort_time deadline)
{
	struct race *r = net_alloc(sizeof *r);
	struct net_desc *cancel[MOST];
	int err, ncancel = 0;

	if (r == NULL)
		return -ENOMEM;
	gort__lock_init(&r->lock);
	r->refs = 1;
	r->type = type;
	r->deadline = deadline;
	memcpy(r->to, to, (size_t)n * sizeof *to);
	err = start_next(r);
	while (err == 0) {
		gort_time until = r->started < n ? gort_deadline(HEAD_START) : GORT_FOREVER;
		bool over;

		gort_park_until(wait_for_end, r, "dial", until < deadline ? until : deadline);
		gort__lock_lock(&r->lock);
		r->seen = r->ended;
		over = r->won != NULL || (r->ended == r->started && r->started == n);
		gort__lock_unlock(&r->lock);
		if (over)
			break;
		if (deadline != GORT_FOREVER && deadline <= gort_now())
			err = -ETIMEDOUT;
		else if (r->started < n && start_next(r) != 0 && r->seen == r->started)
			err = -ENOMEM;
	}
	gort__lock_lock(&r->lock);
	r->over = true;
	r->g = NULL;
	*out = r->won;
	if (*out == NULL && err == 0)
		err = r->err;
	for (int i = 0; i < r->started; i++) {
		if (r->attempts[i].d != NULL) {
			net_ref(r->attempts[i].d);
			cancel[ncancel++] = r->attempts[i].d;
		}
	}
	gort__lock_unlock(&r->lock);
	for (int i = 0; i < ncancel; i++)
		net_close(cancel[i], NULL);
	race_unref(r);
	return *out != NULL ? 0 : err;
}

/* One of IPv6 and one of IPv4 in turn, beginning with what the resolver would rather have. */
static void interleave(gort_addr *a, int n)
{
	gort_addr sorted[MOST];
	int at[2] = { 0, 0 }, family = net_sockaddr(&a[0])->sa_family;

	for (int k = 0; k < n; k++) {
		int side = k % 2, *i = &at[side];

		for (int turn = 0; turn < 2; turn++, side = 1 - side, i = &at[side]) {
			while (*i < n && (net_sockaddr(&a[*i])->sa_family == family) != (side == 0))
				++*i;
			if (*i < n)
				break;
		}
		sorted[k] = a[(*i)++];
	}
	memcpy(a, sorted, (size_t)n * sizeof *a);
}

int gort_dial(gort_conn **c, const char *network, const char *address, gort_time deadline)
{
	gort_addr to[MOST];
	struct net_network n;
	struct net_desc *d = NULL;
	int err = net_network(&n, network), k;

	if (err == 0)
		err = net_start();
	if (err != 0)
		return err;
	if (deadline != GORT_FOREVER && deadline <= gort_now())
		return -ETIMEDOUT;
	k = net_addresses(to, MOST, &n, address, false, deadline);
	if (k < 0)
		return k;
	if (k > 1)
		interleave(to, k);
	err = k == 1 ? connect_to(&d, &to[0], n.type, deadline, NULL) : race(&d, to, k, n.type, deadline);
	if (err == 0) {
		d->inner = false;
		*c = (gort_conn *)d;
	}
	return err;
}
