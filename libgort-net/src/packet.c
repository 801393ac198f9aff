/* SPDX-License-Identifier: MIT */
/* Packets: UDP and Unix datagrams. */
#include "conn.h"

#include "os/socket.h"

#include <errno.h>

static struct net_desc *desc(gort_packet_conn *p)
{
	return (struct net_desc *)p;
}

int gort_packet_listen(gort_packet_conn **p, const char *network, const char *address)
{
	struct net_network n;
	struct net_desc *d;
	int err = net_network(&n, network);

	if (err == 0 && n.type != SOCK_DGRAM)
		err = -EPROTONOSUPPORT;
	if (err == 0)
		err = net_bind(&d, NET_PACKET, &n, address, false, 0);
	if (err == 0)
		*p = (gort_packet_conn *)d;
	return err;
}

ptrdiff_t gort_recv_from(gort_packet_conn *p, void *buf, size_t n, gort_addr *from)
{
	struct net_desc *d = desc(p);
	gort_addr a = { 0 };
	ptrdiff_t k = net_begin(d, NET_READ);

	if (k != 0)
		return k;
	for (;;) {
		socklen_t len = sizeof a.data;

		k = net_os_recv_from(d->fd, buf, n, net_sockaddr(&a), &len);
		a.len = len;
		if (k != -EAGAIN)
			break;
		k = net_wait(d, NET_READ, GORT_FOREVER);
		if (k != 0)
			break;
	}
	net_end(d, NET_READ);
	if (k >= 0 && from != NULL)
		*from = a;
	return k;
}

ptrdiff_t gort_send_to(gort_packet_conn *p, const void *buf, size_t n, const gort_addr *to)
{
	struct net_desc *d = desc(p);
	ptrdiff_t k;

	if (to == NULL || to->len == 0 || to->len > sizeof to->data)
		return -EDESTADDRREQ;
	k = net_begin(d, NET_WRITE);
	if (k != 0)
		return k;
	for (;;) {
		k = net_os_send_to(d->fd, buf, n, net_sockaddr(to), to->len);
		if (k != -EAGAIN)
			break;
		k = net_wait(d, NET_WRITE, GORT_FOREVER);
		if (k != 0)
			break;
	}
	net_end(d, NET_WRITE);
	return k;
}

int gort_packet_addr(gort_packet_conn *p, char *buf, size_t size)
{
	return net_desc_addr(desc(p), buf, size, false);
}

int gort_packet_set_deadline(gort_packet_conn *p, gort_time t)
{
	return net_set_deadline(desc(p), 1u << NET_READ | 1u << NET_WRITE, t);
}

int gort_packet_close(gort_packet_conn *p)
{
	return net_close(desc(p), NULL);
}

gort_packet_conn *gort_packet_ref(gort_packet_conn *p)
{
	net_ref(desc(p));
	return p;
}

void gort_packet_unref(gort_packet_conn *p)
{
	net_unref(desc(p));
}
