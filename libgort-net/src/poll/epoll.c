/* SPDX-License-Identifier: MIT */
/*
 * epoll(7). Our own connections are registered once, edge-triggered, for both directions: to arm each wait would be a
 * system call more for each message. The eventfd that wakes the one that waits is level-triggered, and only that one reads
 * it; who merely looks leaves it for the other, whom the kernel then wakes.
 *
 * A descriptor that is closed leaves the set by itself with its open file. A child process that has got a copy of it by
 * fork keeps it in, without harm: its events bear an old tag, which nobody knows any more.
 */
#define _GNU_SOURCE     /* epoll_pwait2 */
#include "os/socket.h"
#include "poll.h"

#include <gort/atomic.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)
#define WAKE_TAG UINT64_MAX             /* no descriptor has it */

static int set = -1, wakefd = -1;
static bool coarse;                     /* the kernel has no epoll_pwait2: (r) */

int net_poll_init(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = WAKE_TAG };
	int err = 0;

	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		return -errno;
	wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wakefd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, wakefd, &e) != 0)
		err = -errno;
	if (err != 0)
		net_poll_fini();
	return err;
}

void net_poll_fini(void)
{
	if (set >= 0)
		close(set);
	if (wakefd >= 0)
		close(wakefd);
	set = wakefd = -1;
}

void net_poll_forget(void)
{
	net_poll_fini();                /* the child's numbers only: what they stand for is the parent's too */
}

static int control(int op, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event e = { .events = events, .data.u64 = tag };

	return epoll_ctl(set, op, fd, &e) == 0 ? 0 : net_os_error();
}

int net_poll_add(int fd, uint64_t tag)
{
	return control(EPOLL_CTL_ADD, fd, EDGES, tag);
}

int net_poll_add_armed(int fd, uint64_t tag)
{
	/* what always comes, a hang-up, comes once: with nobody waiting it tells nothing, and the next arm asks again */
	return control(EPOLL_CTL_ADD, fd, EPOLLONESHOT, tag);
}

int net_poll_arm(int fd, uint64_t tag, uint32_t what)
{
	uint32_t events = EPOLLONESHOT;

	if (what & NET_EVENT_READ)
		events |= EPOLLIN | EPOLLRDHUP;
	if (what & NET_EVENT_WRITE)
		events |= EPOLLOUT;
	return control(EPOLL_CTL_MOD, fd, events, tag);
}

void net_poll_remove(int fd)
{
	control(EPOLL_CTL_DEL, fd, 0, 0);
}

/* Nanoseconds where the kernel can; else milliseconds, not too early. */
static int wait_events(struct epoll_event *events, gort_time until)
{
	gort_duration left = 0;
	int n;

	if (until == 0)
		return epoll_wait(set, events, NET_EVENTS, 0);
	if (until == GORT_FOREVER)
		return epoll_wait(set, events, NET_EVENTS, -1);
	left = until - gort_now();
	if (left < 0)
		left = 0;
	if (!gort__load_relaxed(&coarse)) {
		struct timespec ts = { .tv_sec = (time_t)(left / GORT_SECOND), .tv_nsec = (long)(left % GORT_SECOND) };

		n = epoll_pwait2(set, events, NET_EVENTS, &ts, NULL);
		if (n >= 0 || errno != ENOSYS)
			return n;
		gort__store_relaxed(&coarse, true);
	}
	left = (left + GORT_MILLISECOND - 1) / GORT_MILLISECOND;
	return epoll_wait(set, events, NET_EVENTS, left < 1000000 ? (int)left : 1000000);
}

uint32_t net_poll_wait(struct net_event *events, gort_time until)
{
	struct epoll_event es[NET_EVENTS];
	int saved = errno;
	int n = wait_events(es, until);
	uint32_t out = 0;

	for (int i = 0; i < n; i++) {
		uint32_t e = es[i].events;

		if (es[i].data.u64 == WAKE_TAG) {
			uint64_t count;

			/* the one that waits is woken by it, and nobody else: who looks in passing leaves it */
			if (until != 0 && read(wakefd, &count, sizeof count) < 0)
				continue;       /* not there any more: a wake too many, which is none too few */
			continue;
		}
		events[out].tag = es[i].data.u64;
		events[out].what = (e & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR) ? NET_EVENT_READ : 0) |
				   (e & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? NET_EVENT_WRITE : 0) |
				   (e & (EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR) ? NET_EVENT_END : 0);
		out++;
	}
	errno = saved;
	return out;
}

void net_poll_wake(void)
{
	const uint64_t one = 1;
	int saved = errno;

	/* full: it is readable, and that is all that is wanted */
	while (write(wakefd, &one, sizeof one) < 0 && errno == EINTR)
		;
	errno = saved;
}
