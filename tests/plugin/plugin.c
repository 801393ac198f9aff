/* SPDX-License-Identifier: MIT */
/* The plugin: all that it uses of libgort comes and goes with it. */
#include <gort/chan.h>
#include <gort/sync.h>

int plugin_run(int rounds);
void plugin_call(void);

static gort_chan *never;
static gort_key key;
static gort_waitgroup senders;

static void works(void *arg)
{
	gort_chan *c = arg;
	int v = 1;

	gort_set(key, &key);
	gort_chan_send(c, &v);
	gort_chan_unref(c);
	gort_waitgroup_done(&senders);
	gort_chan_recv(never, NULL);            /* it is left there */
}

static void is_locked(void *arg)
{
	gort_lock_os_thread();
	works(arg);
}

static int work(void *arg)
{
	gort_chan *c = gort_chan_new(sizeof(int), 2);
	int sum = 0, v;

	if (c == NULL || never == NULL)
		return -1;
	gort_waitgroup_add(&senders, 10);
	for (int i = 0; i < 10; i++) {
		/* whoever sends holds a reference, which it would keep for ever were it left before it has given it up */
		if (gort_go(i % 4 == 0 ? is_locked : works, gort_chan_ref(c)) != 0)
			return -1;
	}
	for (int i = 0; i < 10; i++) {
		gort_chan_recv(c, &v);
		sum += v;
	}
	gort_waitgroup_wait(&senders);
	gort_chan_unref(c);
	gort_sleep(GORT_MICROSECOND);
	return sum;
}

int plugin_run(int rounds)
{
	int result = 10;

	for (int i = 0; i < rounds && result == 10; i++) {
		never = gort_chan_new(0, 0);
		if (gort_key_new(&key, NULL) != 0)
			return -1;
		result = gort_run(work, NULL);
		gort_shutdown();
		gort_chan_unref(never);
	}
	return result;
}

static int nothing(void *arg)
{
	return 0;
}

static void later(void *arg)
{
}

void plugin_call(void)
{
	static gort_mutex m;

	gort_mutex_lock(&m);
	gort_mutex_unlock(&m);
	gort_run(nothing, NULL);
	gort_defer(later, NULL);
}
