/* SPDX-License-Identifier: MIT */
/* What the benchmark items share. An item prints "name value unit" lines, or JSON objects with --json, by bench_out. */
#ifndef BENCH_H
#define BENCH_H

#include <gort/chan.h>
#include <gort/core.h>
#include <gort/sync.h>

#include <stddef.h>
#include <stdint.h>

struct bench_item {
	const char *name;
	void (*run)(long n);            /* in a goroutine */
	long n;                         /* the default size */
};

/* each ends with a NULL name */
extern const struct bench_item bench_sched[], bench_block[], bench_chan[], bench_sync[], bench_time[],
	bench_context[], bench_net[], bench_http[], bench_idle[], bench_scale[];

void bench_out(const char *name, double value, const char *unit);
/* Stops the program: the work was done wrong, so its time counts for nothing. */
void bench_check(bool right, const char *what);

double bench_ns(gort_time since, long n);       /* nanoseconds for each of n */
double bench_ms(gort_time since);
double bench_rss(void);                         /* bytes resident, page tables included */
double bench_maxrss(void);                      /* MiB */

/* Out of memory is no result. */
void bench_go(void (*fn)(void *arg), void *arg);
gort_chan *bench_chan_new(size_t elem, size_t cap);

#endif
