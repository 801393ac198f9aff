/* SPDX-License-Identifier: MIT */
/* Contexts. */
#include "bench.h"

#include <gort/context.h>

#include <stdlib.h>

struct crowd {
	gort_waitgroup wg;
	long ready;             /* atomic */
};

struct waiter {
	struct crowd *crowd;
	gort_context *ctx;
};

static void waits(void *arg)
{
	struct waiter *w = arg;

	__atomic_fetch_add(&w->crowd->ready, 1, __ATOMIC_SEQ_CST);
	gort_chan_recv(gort_context_done(w->ctx), NULL);
	gort_waitgroup_done(&w->crowd->wg);
}

static void ctx(long n)
{
	gort_context *root = gort_context_with_cancel(gort_context_background());
	gort_context **children = malloc((size_t)n * sizeof *children);
	struct crowd c = { .ready = 0 };
	gort_time t;

	bench_check(root != NULL && children != NULL, "out of memory");
	t = gort_now();
	for (long i = 0; i < n; i++) {
		struct waiter w = { &c, gort_context_with_cancel(root) };

		bench_check(w.ctx != NULL, "out of memory");
		children[i] = w.ctx;
		gort_waitgroup_add(&c.wg, 1);
		bench_check(gort_go_copy(waits, &w, sizeof w) == 0, "out of memory");
	}
	while (__atomic_load_n(&c.ready, __ATOMIC_SEQ_CST) != n)
		gort_yield();
	bench_out("ctx_create100k", bench_ms(t), "ms");
	t = gort_now();
	gort_context_cancel(root);
	bench_out("ctx_cancel100k_call", bench_ms(t), "ms");
	gort_waitgroup_wait(&c.wg);
	bench_out("ctx_cancel100k_all_woken", bench_ms(t), "ms");
	for (long i = 0; i < n; i++)
		gort_context_drop(children[i]);
	gort_context_drop(root);
	free(children);
}

const struct bench_item bench_context[] = {
	{ "ctx", ctx, 100000 },
	{ 0 },
};
