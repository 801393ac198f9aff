/* SPDX-License-Identifier: MIT */
/* What the files about connections, listeners and packets share. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "desc.h"

#include <sys/socket.h>

struct net_network {
	int family;             /* AF_UNSPEC: either */
	int type;               /* SOCK_... */
};

/* A connection that owns fd, which does not block. 0 or a negative errno: then fd is still the caller's. */
int net_conn_new(struct net_desc **out, int fd, bool socket, bool tcp);

/* A short call beside others: the number stays until net_release. 0, -ECANCELED or -EBADF. */
int net_hold(struct net_desc *d);
void net_release(struct net_desc *d);
/* addr.c: of the socket, or its peer; as text. */
int net_desc_addr(struct net_desc *d, char *buf, size_t size, bool peer);

/* listen.c: a socket of this kind at an address. 0 or an error. */
int net_bind(struct net_desc **out, enum net_kind kind, const struct net_network *n, const char *address, bool reuse_port,
	int backlog);

/* --- addr.c --- */

/* 0 or -EPROTONOSUPPORT. */
int net_network(struct net_network *n, const char *network);

#define NET_HOST_SIZE 256       /* longer than any name */
#define NET_SERVICE_SIZE 64

/*
 * The addresses that the text stands for, in the order to be tried; how many, or an error. passive: no host is the wildcard
 * address, else this machine. Blocks until the deadline at most, where names are to be resolved.
 */
int net_addresses(gort_addr *out, size_t max, const struct net_network *n, const char *address, bool passive,
	gort_time deadline);
/* The same for a host and a service; either may be NULL. */
int net_addresses_of(gort_addr *out, size_t max, const struct net_network *n, const char *host, const char *service,
	bool passive, gort_time deadline);

static inline struct sockaddr *net_sockaddr(const gort_addr *a)
{
	return (struct sockaddr *)a->data;
}

/* --- resolve.c --- */

/* The system's resolver, on a thread of its own. host or service is no number. As net_addresses_of. */
int net_resolve(gort_addr *out, size_t max, const struct net_network *n, const char *host, const char *service, bool passive,
	gort_time deadline);
void net_resolve_end(void);     /* gort_shutdown: the threads are to end, */
void net_resolve_fini(void);    /* and have */
void net_resolve_forget(void);  /* in a forked child */

#endif
