/* SPDX-License-Identifier: MIT */
/* What a user writes with the macros and structures of the headers, in C11 and in C++17; headers.py compiles it. */
#include <gort/core.h>
#ifdef HAVE_GORT_CHAN_H
#  include <gort/chan.h>
#endif
#ifdef HAVE_GORT_SIGNAL_H
#  include <gort/signal.h>
#endif
#ifdef HAVE_GORT_NET_H
#  include <gort/net.h>
#endif
#ifdef HAVE_GORT_SYNC_H
#  include <gort/sync.h>
#endif
#ifdef HAVE_GORT_CONTEXT_H
#  include <gort/context.h>
#endif
#ifdef HAVE_GORT_TYPED_H
#  include <gort/typed.h>
#endif

#ifdef __cplusplus
#  define ZERO {}
#else
#  define ZERO { 0 }
#endif

static void nothing(void *arg)
{
	(void)arg;
}

static int spawns(void)
{
	gort_attr attr = GORT_ATTR_INIT;

	attr.name = "a name";
	attr.stack_max = GORT_STACK_MAX;
	return gort_go_attr(&attr, nothing, NULL);
}

static int durations(void)
{
	gort_duration d = GORT_NANOSECOND + GORT_MICROSECOND + GORT_MILLISECOND + GORT_SECOND + GORT_MINUTE + GORT_HOUR;

	gort_sleep(d);
	return gort_deadline(d) == GORT_FOREVER;
}

static int times(void)
{
	gort_timer *t = gort_timer_after_func(GORT_HOUR, nothing, NULL);
	int was = gort_timer_reset(t, GORT_MINUTE) + gort_timer_stop(t);

	gort_timer_stop_wait(t);
	gort_timer_free(t);
	return was + gort_go_after(GORT_SECOND, nothing, NULL);
}

static const char *errors(void)
{
	return gort_strerror(GORT_ENOHOST + GORT_EHOSTAGAIN + GORT_ESERVICE + GORT_EADDRESS);
}

#ifdef HAVE_GORT_CHAN_H
static int selects(gort_chan *c)
{
	const int out = 1;
	int in = 0;
	gort_case cases[] = { GORT_CASE_RECV(c, &in), GORT_CASE_SEND(c, &out), GORT_CASE_RECV(NULL, NULL) };

	return gort_select(cases, 3) + cases[0].result + in;
}

static int ticks(void)
{
	gort_chan *late = gort_after(GORT_SECOND);
	gort_ticker *t = gort_ticker_new(GORT_SECOND);
	int r = gort_chan_recv(late, NULL) + gort_chan_recv(gort_ticker_chan(t), NULL);

	gort_ticker_reset(t, GORT_MINUTE);
	gort_ticker_stop(t);
	gort_ticker_free(t);
	gort_chan_unref(late);
	return r;
}
#endif

#ifdef HAVE_GORT_SIGNAL_H
static int signals(gort_chan *c)
{
	return gort_signal_notify(c, 15) + gort_signal_stop(c);
}
#endif

#if defined(HAVE_GORT_TYPED_H) && !defined(__cplusplus)
struct point {
	int x, y;
};
typedef gort_chan_of(struct point) point_chan;

static int types(void)
{
	point_chan c = gort_make(point_chan, 1);
	struct point p = { 1, 2 };
	int result, sum = 0;

	gort_send(c, p);
	gort_recv(c, &p);
	switch (GORT_SELECT(GORT_ON_RECV_OK(c, &p, &result), GORT_ON_SEND(c, (struct point){ 3, 4 }))) {
	case 0: return 0;
	case 1: gort_close(c);
	}
	gort_range(c, v)
		sum += v.x;
	gort_drop(c);
	return sum;
}
#endif

#ifdef HAVE_GORT_SYNC_H
static void embeds(void)
{
	static gort_mutex m = GORT_MUTEX_INIT;
	static gort_waitgroup wg = GORT_WAITGROUP_INIT;
	static gort_once once = GORT_ONCE_INIT;
	static gort_rwmutex rw = GORT_RWMUTEX_INIT;
	static gort_cond c = GORT_COND_INIT;
	static gort_sem s = GORT_SEM_INIT(3);
	static gort_errgroup eg = GORT_ERRGROUP_INIT;
	static struct {
		gort_mutex m;
		gort_waitgroup wg;
		gort_once once;
		gort_rwmutex rw;
		gort_cond c;
		gort_sem s;
		gort_errgroup eg;
	} zeroed;
	gort_rwmutex zrw = ZERO;
	gort_cond zc = ZERO;
	gort_sem zs = ZERO;
	gort_errgroup zeg = ZERO;
	gort_mutex zm = ZERO;
	gort_waitgroup zwg = ZERO;
	gort_once zonce = ZERO;

	gort_mutex_lock(&m);
	gort_waitgroup_wait(&wg);
	gort_once_do(&once, nothing, NULL);
	gort_mutex_lock(&zeroed.m);
	gort_waitgroup_wait(&zeroed.wg);
	gort_once_do(&zeroed.once, nothing, NULL);
	gort_mutex_lock(&zm);
	gort_waitgroup_wait(&zwg);
	gort_once_do(&zonce, nothing, NULL);
	gort_rwmutex_lock(&rw);
	gort_rwmutex_rlock(&zeroed.rw);
	gort_rwmutex_runlock(&zrw);
	gort_cond_signal(&c);
	gort_cond_signal(&zeroed.c);
	gort_cond_signal(&zc);
	gort_sem_acquire(&s, 1);
	gort_sem_acquire(&zeroed.s, 0);
	gort_sem_acquire(&zs, 0);
	gort_errgroup_wait(&eg);
	gort_errgroup_wait(&zeroed.eg);
	gort_errgroup_wait(&zeg);
}

static int scoped(gort_mutex *m)
{
	GORT_MUTEX_SCOPE(m);
	if (m->mode)
		return 1;
	for (int i = 0; i < 3; i++) {
		GORT_MUTEX_SCOPE(m);
		if (i == 1)
			break;
	}
	return 0;
}
#endif

#ifdef HAVE_GORT_NET_H
static int serves(void)
{
	gort_listen_opts opts = GORT_LISTEN_OPTS_INIT;
	gort_addr none = ZERO;
	gort_listener *l = NULL;
	gort_fd *f = NULL;

	opts.reuse_port = true;
	return gort_listen(&l, "tcp", "127.0.0.1:0", &opts) + gort_fd_wait(f, GORT_READABLE | GORT_WRITABLE, GORT_FOREVER) +
		gort_addr_format(&none, NULL, 0);
}
#endif

#ifdef HAVE_GORT_CONTEXT_H
static int contexts(void)
{
	static char key;
	gort_context *timed = gort_context_with_timeout(gort_context_background(), GORT_SECOND);
	gort_context *ctx = gort_context_with_value(timed, &key, &key, NULL);
	gort_context_hook *h = gort_context_after_func(ctx, nothing, NULL);
	gort_case cases[] = { GORT_CASE_RECV(gort_context_done(ctx), NULL) };
	const char *why;
	int r = gort_select_try(cases, 1) + gort_context_cause(ctx, &why);

	gort_context_hook_free(h);
	gort_context_unref(ctx);
	gort_context_drop(timed);
	return r;
}
#endif

GORT_MAIN(argc, argv)
{
	(void)argv;
#ifdef HAVE_GORT_CHAN_H
	selects(NULL);
	ticks();
#endif
#ifdef HAVE_GORT_SIGNAL_H
	signals(NULL);
#endif
#if defined(HAVE_GORT_TYPED_H) && !defined(__cplusplus)
	types();
#endif
#ifdef HAVE_GORT_SYNC_H
	embeds();
	argc += scoped(NULL);
#endif
#ifdef HAVE_GORT_NET_H
	serves();
#endif
#ifdef HAVE_GORT_CONTEXT_H
	contexts();
#endif
	return argc + spawns() + durations() + times() + (errors() != NULL);
}
