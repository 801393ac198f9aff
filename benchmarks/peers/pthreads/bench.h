/* SPDX-License-Identifier: MIT */
/* What the items share: output, checks, threads, and the channel that C programs make of a mutex and two conditions. */
#ifndef BENCH_H
#define BENCH_H

#define _GNU_SOURCE

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct item {
	const char *name;
	long size;
	void (*run)(long n);
};

extern const struct item thread_items[], chan_items[], net_items[];     /* each ends with a NULL name */

void out(const char *name, double value, const char *unit);
void check(bool right, const char *what);       /* a run whose work was done wrong does not count */
int64_t now(void);
double ns(int64_t since, long n);
double ms(int64_t since);
double rss(void);                               /* bytes resident, page tables included */

/* stack: its size in KiB; 0: as it is by default */
pthread_t start(void *(*fn)(void *arg), void *arg, size_t stack);
void join(pthread_t t);

/* Of longs. Capacity 0: a sender waits until its item is taken. */
struct chan {
	pthread_mutex_t m;
	pthread_cond_t not_empty, not_full, taken;
	long cap, len, head;
	uint64_t sent, received;                /* of capacity 0 */
	bool closed;
	long *items;
};

void chan_init(struct chan *c, long cap);
void chan_send(struct chan *c, long v);
bool chan_recv(struct chan *c, long *v);        /* false: closed and empty */
bool chan_try_recv(struct chan *c, long *v);
void chan_close(struct chan *c);

#endif
