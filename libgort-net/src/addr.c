/* SPDX-License-Identifier: MIT */
/* Addresses: text and back, without asking anybody where numbers say it. */
#include "conn.h"

#include "os/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

_Static_assert(sizeof(struct sockaddr_storage) <= sizeof((gort_addr){ 0 }.data), "an address fits");

int net_network(struct net_network *n, const char *network)
{
	static const struct {
		const char *name;
		struct net_network n;
	} known[] = {
		{ "tcp", { AF_UNSPEC, SOCK_STREAM } }, { "tcp4", { AF_INET, SOCK_STREAM } }, { "tcp6", { AF_INET6, SOCK_STREAM } },
		{ "udp", { AF_UNSPEC, SOCK_DGRAM } }, { "udp4", { AF_INET, SOCK_DGRAM } }, { "udp6", { AF_INET6, SOCK_DGRAM } },
		{ "unix", { AF_UNIX, SOCK_STREAM } }, { "unixgram", { AF_UNIX, SOCK_DGRAM } },
	};

	for (size_t i = 0; network != NULL && i < sizeof known / sizeof *known; i++) {
		if (strcmp(network, known[i].name) == 0) {
			*n = known[i].n;
			return 0;
		}
	}
	return -EPROTONOSUPPORT;
}

/* --- Unix --- */

static int unix_address(gort_addr *a, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)a->data;
	size_t n = strlen(path), room = sizeof un->sun_path;

	if (n == 0)
		return GORT_EADDRESS;
	/* a path ends with a zero byte, a name without a file has one in front, where the text has "@" */
	if (n > room - (path[0] != '@'))
		return -ENAMETOOLONG;
	memset(a, 0, sizeof *a);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n);
	if (path[0] == '@')
		un->sun_path[0] = '\0';
	a->len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'));
	return 1;
}

/* --- IP --- */

/* 0 to 65535; -1 for a name; GORT_ESERVICE for what is neither: a larger number, or what resolvers would take for one. */
static int port_number(const char *service)
{
	int n = 0;

	if (service == NULL)
		return 0;
	if (service[strspn(service, "0123456789")] != '\0')
		return strchr("+- \t\n\v\f\r", *service) != NULL ? GORT_ESERVICE : -1;
	for (const char *s = service; *s != '\0'; s++) {
		n = n * 10 + (*s - '0');
		if (n > 65535)
			return GORT_ESERVICE;
	}
	return n;
}

static void ip4(gort_addr *a, struct in_addr ip, int port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)a->data;

	memset(a, 0, sizeof *a);
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	in->sin_addr = ip;
	a->len = sizeof *in;
}

static void ip6(gort_addr *a, struct in6_addr ip, int port, uint32_t scope)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)a->data;

	memset(a, 0, sizeof *a);
	in->sin6_family = AF_INET6;
	in->sin6_port = htons((uint16_t)port);
	in->sin6_addr = ip;
	in->sin6_scope_id = scope;
	a->len = sizeof *in;
}

/* Host as a number, "%" and an interface perhaps behind it. 1, or 0 when it is no number, or an error. */
static int number(gort_addr *a, const struct net_network *n, const char *host, int port)
{
	struct in_addr v4;
	struct in6_addr v6;
	char text[INET6_ADDRSTRLEN];
	const char *zone = strchr(host, '%');
	size_t len = zone != NULL ? (size_t)(zone - host) : strlen(host);
	uint32_t scope = 0;

	if (len >= sizeof text)
		return 0;
	memcpy(text, host, len);
	text[len] = '\0';
	if (zone == NULL && inet_pton(AF_INET, text, &v4) == 1) {
		if (n->family == AF_INET6)
			return GORT_EADDRESS;
		ip4(a, v4, port);
		return 1;
	}
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return 0;
	if (n->family == AF_INET)
		return GORT_EADDRESS;
	if (zone != NULL) {
		scope = if_nametoindex(zone + 1);
		if (scope == 0 && sscanf(zone + 1, "%u", &scope) != 1)
			return GORT_EADDRESS;
	}
	ip6(a, v6, port, scope);
	return 1;
}

int net_addresses_of(gort_addr *out, size_t max, const struct net_network *n, const char *host, const char *service,
	bool passive, gort_time deadline)
{
	int port = port_number(service), got;
	size_t k = 0;

	if (max == 0)
		return 0;
	if (port == GORT_ESERVICE)
		return port;
	if (host != NULL && *host == '\0')
		host = NULL;
	if (port < 0)
		return net_resolve(out, max, n, host, service, passive, deadline);
	if (host != NULL) {
		got = number(out, n, host, port);
		return got != 0 ? got : net_resolve(out, max, n, host, service, passive, deadline);
	}
	/* a listener of either kind takes both at the wildcard of IPv6; who connects tries IPv4 of this machine first */
	for (int turn = 0; turn < 2; turn++) {
		int family = (turn == 0) == passive ? AF_INET6 : AF_INET;

		if ((n->family != AF_UNSPEC && n->family != family) || k == max)
			continue;
		if (family == AF_INET)
			ip4(&out[k++], (struct in_addr){ htonl(passive ? INADDR_ANY : INADDR_LOOPBACK) }, port);
		else
			ip6(&out[k++], passive ? in6addr_any : in6addr_loopback, port, 0);
	}
	return (int)k;
}

/* "host:service" in two. 0 or an error. */
static int split(const char *address, char *host, char *service)
{
	const char *from = address, *to, *port;

	if (*address == '[') {
		from++;
		to = strchr(from, ']');
		if (to == NULL || to[1] != ':')
			return GORT_EADDRESS;
		port = to + 2;
	} else {
		to = strchr(from, ':');
		if (to == NULL)
			return GORT_EADDRESS;
		port = to + 1;
	}
	if (strpbrk(port, ":[]") != NULL || strcspn(from, "[]") < (size_t)(to - from))
		return GORT_EADDRESS;
	if ((size_t)(to - from) >= NET_HOST_SIZE)
		return GORT_ENOHOST;
	if (strlen(port) >= NET_SERVICE_SIZE)
		return GORT_ESERVICE;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	strcpy(service, port);
	return 0;
}

int net_addresses(gort_addr *out, size_t max, const struct net_network *n, const char *address, bool passive,
	gort_time deadline)
{
	char host[NET_HOST_SIZE], service[NET_SERVICE_SIZE];
	int err;

	if (address == NULL)
		return GORT_EADDRESS;
	if (n->family == AF_UNIX)
		return unix_address(out, address);
	err = split(address, host, service);
	return err != 0 ? err : net_addresses_of(out, max, n, host, service, passive, deadline);
}

int gort_addr_parse(gort_addr *a, const char *network, const char *address)
{
	char host[NET_HOST_SIZE], service[NET_SERVICE_SIZE];
	struct net_network n;
	gort_addr got;
	int err = net_network(&n, network);

	if (err != 0)
		return err;
	if (address == NULL)
		return GORT_EADDRESS;
	if (n.family != AF_UNIX) {
		err = split(address, host, service);
		if (err != 0)
			return err;
		if (*host != '\0' && number(&got, &n, host, 0) != 1)
			return GORT_EADDRESS;
	}
	err = net_addresses(&got, 1, &n, address, true, GORT_FOREVER);
	if (err <= 0)
		return err;
	*a = got;
	return 0;
}

/* --- back --- */

int gort_addr_format(const gort_addr *a, char *buf, size_t size)
{
	const struct sockaddr *sa = net_sockaddr(a);
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 16];
	int n;

	if (a->len < sizeof sa->sa_family)
		return -EINVAL;
	if (sa->sa_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)sa;
		size_t len = a->len - offsetof(struct sockaddr_un, sun_path);

		/* one that is bound to nothing has no path */
		if (len > 0 && un->sun_path[0] != '\0')
			len = strnlen(un->sun_path, len);
		if (size < len + 1)
			return -ENOSPC;
		memcpy(buf, un->sun_path, len);
		if (len > 0 && buf[0] == '\0')
			buf[0] = '@';
		buf[len] = '\0';
		return (int)len;
	}
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		if (inet_ntop(AF_INET, &in->sin_addr, text, sizeof text) == NULL)
			return -EINVAL;
		n = snprintf(buf, size, "%s:%u", text, ntohs(in->sin_port));
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)sa;
		char zone[IF_NAMESIZE + 16] = "";

		if (inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text) == NULL)
			return -EINVAL;
		if (in->sin6_scope_id != 0) {
			zone[0] = '%';
			if (if_indextoname(in->sin6_scope_id, zone + 1) == NULL)
				snprintf(zone + 1, sizeof zone - 1, "%u", in->sin6_scope_id);
		}
		n = snprintf(buf, size, "[%s%s]:%u", text, zone, ntohs(in->sin6_port));
	} else {
		return -EINVAL;
	}
	return (size_t)n < size ? n : -ENOSPC;
}

int gort_addr_to_sockaddr(const gort_addr *a, struct sockaddr *sa, size_t size)
{
	if (a->len == 0)
		return -EINVAL;
	if (size < a->len)
		return -ENOSPC;
	memcpy(sa, a->data, a->len);
	return (int)a->len;
}

int gort_addr_from_sockaddr(gort_addr *a, const struct sockaddr *sa, size_t len)
{
	size_t least;

	if (len < sizeof sa->sa_family || len > sizeof a->data)
		return -EINVAL;
	switch (sa->sa_family) {
	case AF_INET: least = sizeof(struct sockaddr_in); break;
	case AF_INET6: least = sizeof(struct sockaddr_in6); break;
	case AF_UNIX: least = offsetof(struct sockaddr_un, sun_path); break;
	default: return -EAFNOSUPPORT;
	}
	if (len < least || (sa->sa_family == AF_UNIX && len > sizeof(struct sockaddr_un)))
		return -EINVAL;
	memset(a, 0, sizeof *a);
	memcpy(a->data, sa, len);
	a->len = (uint32_t)len;
	return 0;
}

int net_desc_addr(struct net_desc *d, char *buf, size_t size, bool peer)
{
	gort_addr a = { 0 };
	socklen_t len = sizeof a.data;
	int err = net_hold(d);

	if (err != 0)
		return err;
	err = (peer ? getpeername : getsockname)(d->fd, net_sockaddr(&a), &len) == 0 ? 0 : net_os_error();
	net_release(d);
	if (err != 0)
		return err;
	a.len = len;
	return gort_addr_format(&a, buf, size);
}
