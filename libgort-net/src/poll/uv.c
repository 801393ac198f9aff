/* SPDX-License-Identifier: MIT */
/*
 * libuv (1.44 or newer), with a loop of our own that the program does not see. Its uv_poll_t says what is ready now, so there
 * are no edges: arm.h.
 *
 * The loop belongs to one thread at a time, who has the lock. That is held for as long as a look takes, never asleep: who
 * waits sleeps outside, on the loop's descriptor and a pipe of ours, and comes in when there is something. The pipe and not
 * uv_async, since whoever runs the loop takes the latter's wake away, be it meant for another. And ppoll instead of
 * uv_run's own wait, for the nanoseconds; this loop has no timers.
 *
 * Descriptors are added and removed at once, under the lock: errors are the caller's to know, and what is closed has to be
 * out of the set before, or a copy of it in another process would keep it in, ready for ever. What is armed goes through
 * the queue: it takes effect when the loop is run, which needs more stack than a goroutine should have to give.
 *
 * libuv aborts where it runs out of memory for its own table, and where a descriptor cannot be put into the set any more
 * that could at first: somebody has closed it under our feet. Which we ask before, where the number is not ours.
 */
#define _GNU_SOURCE     /* ppoll */
#include "../os/socket.h"
#include "arm.h"
#include "poll.h"

#include <gort/lock.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#define BOTH (NET_EVENT_READ | NET_EVENT_WRITE)
_Static_assert((int)UV_READABLE == NET_EVENT_READ && (int)UV_WRITABLE == NET_EVENT_WRITE && (int)NET_ASKED == BOTH,
	"the one is the other");

/*
 * How many times in a row a descriptor may be ready while nobody waits for it, before it is taken out of the set. Mostly whoever
 * it was told to is about to read it, and to wait again; to look a few times in vain is cheaper than to change the set twice.
 */
#define PATIENCE 8
#define CLOSING_MOST 64         /* handles to be freed, for which one who sleeps is not woken */

#define SLOTS 4096
#define CHUNKS 4096             /* 16 million numbers: sixteen times what Linux allows a process, unless it is told otherwise */

/* A descriptor. All but word and queued under the lock. */
struct watch {
	uv_poll_t handle;               /* first: its address is the watch's */
	struct net_queued queued;       /* by who has pushed it, then who has taken it */
	uint32_t word;                  /* arm.h; atomic */
	uint32_t on;                    /* what the loop watches */
	uint32_t told;                  /* NET_EVENT_..., in the list of events if not 0 */
	uint32_t stale;                 /* how often in a row it was ready in a direction that nobody waits for */
	uint64_t tag;                   /* fixed */
	int fd;                         /* fixed */
	bool foreign;                   /* fixed */
	struct watch *next;             /* in the list of events */
};

static struct poller {
	gort__lock lock;                /* taken alone */
	uv_loop_t loop;
	struct net_queued *queue;       /* arm.h; atomic */
	struct net_queued *taken;       /* out of the queue, and still to be applied */
	struct watch *first, *last;     /* events that nobody has got yet */
	uint32_t closing;               /* handles that libuv has still to let go */
	bool stir;                      /* the loop has to be run before anybody sleeps */
	int wake[2];
	struct poller *let_go;          /* of a parent process */
	struct watch **chunks[CHUNKS];  /* written under the lock; acquire. The watches of SLOTS numbers, NULL: none */
} *the;

static struct poller *let_go;           /* not to be touched, and no leak */

/* --- the beginning and the end --- */

static void closed(uv_handle_t *h)
{
	the->closing--;
	free(h);
}

int net_poll_init(void)
{
	int err;

	the = calloc(1, sizeof *the);
	if (the == NULL)
		return -ENOMEM;
	err = net_os_pipe(the->wake);
	if (err == 0) {
		err = uv_loop_init(&the->loop);
		if (err != 0) {
			close(the->wake[0]);
			close(the->wake[1]);
		}
	}
	if (err != 0) {
		free(the);
		the = NULL;
		return err;
	}
	gort__lock_init(&the->lock);
	return 0;
}

void net_poll_fini(void)
{
	for (size_t i = 0; i < CHUNKS; i++) {
		struct watch **c = the->chunks[i];

		for (size_t k = 0; c != NULL && k < SLOTS; k++) {
			if (c[k] != NULL) {
				the->closing++;
				uv_close((uv_handle_t *)&c[k]->handle, closed);
			}
		}
		free(c);
	}
	while (uv_loop_close(&the->loop) == UV_EBUSY)
		uv_run(&the->loop, UV_RUN_NOWAIT);
	close(the->wake[0]);
	close(the->wake[1]);
	free(the);
	the = NULL;
}

void net_poll_forget(void)
{
	if (the == NULL)
		return;
	/* somebody may have been in the midst of something: even uv_loop_fork would be too much. The set is the parent's, too */
	close(uv_backend_fd(&the->loop));
	close(the->wake[0]);
	close(the->wake[1]);
	the->let_go = let_go;
	let_go = the;
	the = NULL;
}

/* --- descriptors --- */

static struct watch *find(int fd)
{
	struct watch **c = gort__load_acquire(&the->chunks[fd / SLOTS]);        /* pairs with the release in slot */

	return gort__load_relaxed(&c[fd % SLOTS]);
}

/* Under lock. NULL: out of memory. */
static struct watch **slot(int fd)
{
	struct watch **c = the->chunks[fd / SLOTS];

	if (c == NULL) {
		c = calloc(SLOTS, sizeof(*c));
		if (c == NULL)
			return NULL;
		gort__store_release(&the->chunks[fd / SLOTS], c);
	}
	return &c[fd % SLOTS];
}

/* Under lock: in the list of events. */
static void tell(struct watch *w, uint32_t what)
{
	if (w->told == 0) {
		w->next = NULL;
		if (the->first != NULL)
			the->last->next = w;
		else
			the->first = w;
		the->last = w;
	}
	w->told |= what;
}

static void untell(struct watch *w)
{
	struct watch **at = &the->first, *before = NULL;

	if (w->told == 0)
		return;
	while (*at != w) {
		before = *at;
		at = &before->next;
	}
	*at = w->next;
	if (the->last == w)
		the->last = before;
}

static void ready(uv_poll_t *h, int status, int what);

/* Under lock: the loop is to watch it for on. */
static void watch_for(struct watch *w, uint32_t on)
{
	if (on == w->on)
		return;
	w->on = on;
	if (on == 0) {
		uv_poll_stop(&w->handle);
	} else {
		uv_poll_start(&w->handle, (int)on, ready);      /* can fail for two handles of one number only */
		the->stir = true;
	}
}

/* Within uv_run, under lock. */
static void ready(uv_poll_t *h, int status, int what)
{
	struct watch *w = (struct watch *)h;
	uint32_t is = status == 0 && (what & (int)BOTH) != 0 ? (uint32_t)what & BOTH : BOTH;
	uint32_t told = net_arm_tell(&w->word, is), stale = is & w->on & ~told;

	if (told != 0)
		tell(w, told | (status != 0 ? NET_EVENT_END : 0));
	if (status != 0) {
		/* an error. The loop has stopped it, and who asks again has to have it started again */
		w->on = 0;
		uv_poll_stop(h);
		watch_for(w, net_arm_off(&w->word, BOTH));
	} else if (stale == 0) {
		w->stale = 0;
	} else if (++w->stale > PATIENCE) {
		w->stale = 0;
		watch_for(w, net_arm_off(&w->word, stale));
	}
}

/* Its number has been closed: whoever waits should look, and find that out. */
static void fail(struct watch *w)
{
	uint32_t told = 0;

	watch_for(w, 0);
	do
		told |= net_arm_tell(&w->word, BOTH);
	while (net_arm_off(&w->word, BOTH) != 0);
	if (told != 0)
		tell(w, told | NET_EVENT_END);
}

/* Under lock. */
static void apply(struct watch *w)
{
	uint32_t on = net_arm_apply(&w->word);

	if (w->foreign && fcntl(w->fd, F_GETFD) < 0)
		fail(w);
	else
		watch_for(w, on);
}

static int add(int fd, uint64_t tag, bool foreign)
{
	int saved = errno, flags = 0, err = 0;
	struct watch *w, **at;

	if (fd < 0)
		return -EBADF;
	if (foreign)
		flags = fcntl(fd, F_GETFL);
	if (flags < 0) {
		err = -errno;
		errno = saved;
		return err;
	}
	if (fd / SLOTS >= CHUNKS)
		return -EMFILE;
	w = calloc(1, sizeof *w);
	if (w == NULL)
		return -ENOMEM;
	w->fd = fd;
	w->tag = tag;
	w->foreign = foreign;
	gort__lock_lock(&the->lock);
	at = slot(fd);
	if (at == NULL)
		err = -ENOMEM;
	else if (*at != NULL)
		err = -EEXIST;
	else
		err = uv_poll_init(&the->loop, &w->handle, fd);
	if (err == 0)
		gort__store_relaxed(at, w);
	gort__lock_unlock(&the->lock);
	/* libuv has set it, as it does with all; who owns it has not begun to use it yet */
	if (foreign && !(flags & O_NONBLOCK) && err != -EEXIST)
		fcntl(fd, F_SETFL, flags);
	errno = saved;
	if (err != 0)
		free(w);
	return err;
}

int net_poll_add(int fd, uint64_t tag)
{
	return add(fd, tag, false);
}

int net_poll_add_armed(int fd, uint64_t tag)
{
	return add(fd, tag, true);
}

int net_poll_arm(int fd, uint64_t tag, uint32_t what)
{
	struct watch *w = find(fd);

	(void)tag;
	if (net_arm_ask(&w->word, what) && net_queue_push(&the->queue, &w->queued))
		net_poll_wake();
	return 0;
}

/* Under lock: what is in the queue, in front of what was taken before. */
static void take(struct net_queued *q)
{
	while (q != NULL) {
		struct net_queued *next = gort__plain_read(&q->next);

		q->next = the->taken;
		the->taken = q;
		q = next;
	}
}

static struct watch *watch_of(struct net_queued *q)
{
	return (struct watch *)((char *)q - offsetof(struct watch, queued));
}

void net_poll_remove(int fd)
{
	int saved = errno;
	struct net_queued **at;
	struct watch *w;
	bool wake;

	gort__lock_lock(&the->lock);
	w = find(fd);
	gort__store_relaxed(slot(fd), NULL);
	take(net_queue_take(&the->queue));
	if (gort__load_relaxed(&w->word) & NET_QUEUED) {
		for (at = &the->taken; *at != &w->queued; at = &(*at)->next)
			;
		*at = w->queued.next;
	}
	untell(w);
	uv_close((uv_handle_t *)&w->handle, closed);
	the->stir = true;
	wake = ++the->closing == CLOSING_MOST && net_queue_sleeps(&the->queue);
	gort__lock_unlock(&the->lock);
	if (wake)
		net_poll_wake();
	errno = saved;
}

/* --- waiting --- */

/* Under lock. */
static void run(void)
{
	struct net_queued *q;

	take(net_queue_take(&the->queue));
	while ((q = the->taken) != NULL) {
		the->taken = q->next;
		apply(watch_of(q));
	}
	the->stir = false;
	uv_run(&the->loop, UV_RUN_NOWAIT);
}

/* Under lock. */
static uint32_t collect(struct net_event *events)
{
	uint32_t n = 0;

	for (struct watch *w = the->first; w != NULL && n < NET_EVENTS; w = the->first) {
		the->first = w->next;
		events[n].tag = w->tag;
		events[n++].what = w->told;
		w->told = 0;
	}
	return n;
}

/* Until there is something for the loop, or somebody wakes us. */
static void doze(gort_time until)
{
	struct pollfd p[2] = {
		{ .fd = uv_backend_fd(&the->loop), .events = POLLIN },
		{ .fd = the->wake[0], .events = POLLIN },
	};
	struct timespec ts;
	char b[64];

	if (until != GORT_FOREVER) {
		gort_duration left = until - gort_now();

		if (left < 0)
			left = 0;
		ts.tv_sec = (time_t)(left / GORT_SECOND);
		ts.tv_nsec = (long)(left % GORT_SECOND);
	}
	/* a wake that is already there, or comes too late for this time, is one too many, which is none too few */
	if (ppoll(p, 2, until != GORT_FOREVER ? &ts : NULL, NULL) > 0 && p[1].revents != 0 &&
	    read(the->wake[0], b, sizeof b) < 0)
		return;
}

static uint32_t look(struct net_event *events)
{
	uint32_t n;
	bool wake;

	/* somebody else looks, or is about to sleep and looks before, or changes something: the next time, then */
	if (!gort__lock_try(&the->lock))
		return 0;
	if (the->first == NULL)
		run();
	n = collect(events);
	/* what is left, or has to be put into the set, is for the next one, and he may sleep */
	wake = (the->first != NULL || the->stir) && net_queue_sleeps(&the->queue);
	gort__lock_unlock(&the->lock);
	if (wake)
		net_poll_wake();
	return n;
}

static uint32_t sleep_and_look(struct net_event *events, gort_time until)
{
	bool sleeps;
	uint32_t n;

	gort__lock_lock(&the->lock);
	take(net_queue_take(&the->queue));
	/* libuv knows of some more things that have to be done first */
	if (the->first == NULL && (the->stir || the->taken != NULL || uv_backend_timeout(&the->loop) == 0))
		run();
	n = collect(events);
	sleeps = n == 0 && !the->stir && net_queue_sleep(&the->queue);
	gort__lock_unlock(&the->lock);
	if (!sleeps)
		return n;
	doze(until);
	gort__lock_lock(&the->lock);
	take(net_queue_wake(&the->queue));
	if (the->first == NULL)
		run();
	n = collect(events);
	gort__lock_unlock(&the->lock);
	return n;
}

uint32_t net_poll_wait(struct net_event *events, gort_time until)
{
	int saved = errno;
	uint32_t n = until == 0 ? look(events) : sleep_and_look(events, until);

	errno = saved;
	return n;
}

void net_poll_wake(void)
{
	int saved = errno;

	/* full: it is readable, and that is all that is wanted */
	while (write(the->wake[1], "", 1) < 0 && errno == EINTR)
		;
	errno = saved;
}
