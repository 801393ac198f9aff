/* SPDX-License-Identifier: MIT */
/*
 * Signals as values: who asked for which, and the thread that sends them.
 *
 * A handler can do next to nothing, so it counts the signal and wakes a thread of ours (signals.h), which sends it to whoever
 * asked. The thread lives while somebody asks for something; it holds no P.
 */
#include "chan.h"
#include "signals.h"

#include <gort/signal.h>

#include <stdlib.h>

/* A channel and what it has asked for. */
struct listener {
	struct listener *next;
	gort_chan *chan;
	bool wants[GORT__SIGNALS];
};

/* All under lock, whose rank is before those of channels. */
static struct {
	gort__lock lock;
	struct listener *first, **end;  /* in the order in which they first asked */
	uint32_t wanted[GORT__SIGNALS]; /* by how many */
	bool thread;                    /* there is one */
} reg;

static gort__lock init_lock;
static uint32_t ready;                  /* reg; release and acquire */

static void forked(void)
{
	/* the thread is gone, and so is whoever held the lock */
	gort__signal_forget();
	memset(&reg, 0, sizeof reg);
	reg.end = &reg.first;
	gort__lock_init(&reg.lock);
	gort__lock_init(&init_lock);
}

static void init(void)
{
	if (gort__load_acquire(&ready))
		return;
	gort__fence_init();
	gort__lock_lock(&init_lock);
	if (!ready) {
		reg.end = &reg.first;
		gort__lock_init(&reg.lock);
		gort__store_release(&ready, 1);
	}
	gort__lock_unlock(&init_lock);
}

static void send_to(gort_chan *c, int signo)
{
	_Alignas(8) int value[2] = { signo };           /* room for any element that copy_elem copies in one go */
	struct waiter *wake = NULL;
	gort__m *mp;

	mp = gort__enter_nosched();
	gort__bias_lock(mp, &c->lock);
	(void)send_locked(c, value, &wake);             /* full or closed: lost */
	gort__bias_unlock(mp, &c->lock);
	if (wake != NULL)
		wake_peer(mp, wake);
	gort__leave(mp);
}

/* What has come, to whoever wants it. Under lock. */
static void deliver(void)
{
	for (int i = 1; i < GORT__SIGNALS; i++) {
		for (unsigned n = gort__signal_came(i); n > 0; n--) {
			for (struct listener *l = reg.first; l != NULL; l = l->next) {
				if (l->wants[i])
					send_to(l->chan, i);
			}
		}
	}
}

static void thread(void *arg)
{
	(void)arg;
	for (bool on = true; on;) {
		gort__signal_wait();
		gort__lock_lock(&reg.lock);
		deliver();
		on = reg.thread = reg.first != NULL;
		gort__lock_unlock(&reg.lock);
	}
}

/* Where the pointer to c's listener stands, or NULL. */
static struct listener **find(gort_chan *c)
{
	for (struct listener **at = &reg.first; *at != NULL; at = &(*at)->next) {
		if ((*at)->chan == c)
			return at;
	}
	return NULL;
}

static void add(struct listener *l, gort_chan *c)
{
	l->chan = gort_chan_ref(c);
	*reg.end = l;
	reg.end = &l->next;
}

/* Out of the list; what it had asked for alone is as it was. */
static struct listener *take_out(struct listener **at)
{
	struct listener *l = *at;

	for (int i = 1; i < GORT__SIGNALS; i++) {
		if (l->wants[i] && --reg.wanted[i] == 0)
			gort__signal_restore(i);
	}
	deliver();                      /* what came before that is still for it */
	*at = l->next;
	if (l->next == NULL)
		reg.end = at;
	if (reg.first == NULL && reg.thread)
		gort__signal_tell();    /* the thread can go */
	return l;
}

/* gort_shutdown: nobody is left to tell. */
static void end(void)
{
	struct listener *l, *next;

	if (!gort__load_acquire(&ready))
		return;
	gort__lock_lock(&reg.lock);
	l = reg.first;
	reg.first = NULL;
	reg.end = &reg.first;
	for (int i = 1; i < GORT__SIGNALS; i++) {
		if (reg.wanted[i] > 0)
			gort__signal_restore(i);
		reg.wanted[i] = 0;
	}
	if (reg.thread)
		gort__signal_tell();
	gort__lock_unlock(&reg.lock);
	for (; l != NULL; l = next) {
		next = l->next;
		gort_chan_unref(l->chan);
		free(l);
	}
}

static struct gort__sibling sibling = { .forked = forked, .end = end };

static __attribute__((constructor)) void loaded(void)
{
	gort__sibling_add(&sibling);
}

static __attribute__((destructor)) void unloaded(void)
{
	gort__sibling_remove(&sibling);
}

int gort_signal_notify(gort_chan *c, int signo)
{
	struct listener *fresh, **at;
	int err = 0;

	if (c == NULL || c->elem_size != sizeof(int) || !gort__signal_valid(signo))
		return -EINVAL;
	err = gort__m_bind();           /* the thread below needs the scheduler, and ends with it */
	if (err != 0)
		return err;
	init();
	fresh = calloc(1, sizeof *fresh);
	if (fresh == NULL)
		return -ENOMEM;
	gort__lock_lock(&reg.lock);
	at = find(c);
	if (at == NULL) {
		at = reg.end;
		add(fresh, c);
		fresh = NULL;
	}
	if (!reg.thread) {
		err = gort__signal_thread(thread);
		reg.thread = err == 0;
	}
	if (err == 0 && reg.wanted[signo] == 0)
		err = gort__signal_take(signo);
	if (err == 0 && !(*at)->wants[signo]) {
		(*at)->wants[signo] = true;
		reg.wanted[signo]++;
	}
	if (err != 0 && fresh == NULL)
		fresh = take_out(at);   /* asked for nothing before, and gets nothing now */
	gort__lock_unlock(&reg.lock);
	if (err != 0 && fresh != NULL)
		gort_chan_unref(fresh->chan);
	free(fresh);
	return err;
}

int gort_signal_stop(gort_chan *c)
{
	struct listener *l = NULL, **at;

	init();
	gort__lock_lock(&reg.lock);
	at = find(c);
	if (at != NULL)
		l = take_out(at);
	gort__lock_unlock(&reg.lock);
	if (l == NULL)
		return -EINVAL;
	gort_chan_unref(l->chan);
	free(l);
	return 0;
}
