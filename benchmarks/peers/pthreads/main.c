/* SPDX-License-Identifier: MIT */
/* The benchmark items with the threads of the kernel. How many processors they may use is said with taskset. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void out(const char *name, double value, const char *unit)
{
	printf("%s %.3f %s\n", name, value, unit);
}

void check(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "wrong result: %s\n", what);
	exit(1);
}

int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

double ns(int64_t since, long n)
{
	return (double)(now() - since) / (double)n;
}

double ms(int64_t since)
{
	return (double)(now() - since) / 1e6;
}

double rss(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kb = 0, v;

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		if (sscanf(line, "VmRSS: %ld", &v) == 1 || sscanf(line, "VmPTE: %ld", &v) == 1)
			kb += v;
	}
	if (f != NULL)
		fclose(f);
	return (double)kb * 1024;
}

pthread_t start(void *(*fn)(void *arg), void *arg, size_t stack)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	if (stack != 0)
		pthread_attr_setstacksize(&attr, stack * 1024);
	check(pthread_create(&t, &attr, fn, arg) == 0, "no thread");
	pthread_attr_destroy(&attr);
	return t;
}

void join(pthread_t t)
{
	check(pthread_join(t, NULL) == 0, "join");
}

/* --- the channel --- */

void chan_init(struct chan *c, long cap)
{
	*c = (struct chan){ .cap = cap, .items = calloc((size_t)(cap > 0 ? cap : 1), sizeof(long)) };
	check(c->items != NULL, "out of memory");
	pthread_mutex_init(&c->m, NULL);
	pthread_cond_init(&c->not_empty, NULL);
	pthread_cond_init(&c->not_full, NULL);
	pthread_cond_init(&c->taken, NULL);
}

void chan_send(struct chan *c, long v)
{
	long room = c->cap > 0 ? c->cap : 1;

	pthread_mutex_lock(&c->m);
	while (c->len == room)
		pthread_cond_wait(&c->not_full, &c->m);
	c->items[(c->head + c->len++) % room] = v;
	pthread_cond_signal(&c->not_empty);
	if (c->cap == 0) {
		uint64_t mine = ++c->sent;

		while (c->received < mine)
			pthread_cond_wait(&c->taken, &c->m);
	}
	pthread_mutex_unlock(&c->m);
}

static bool take(struct chan *c, long *v)
{
	if (c->len == 0)
		return false;
	*v = c->items[c->head];
	c->head = (c->head + 1) % (c->cap > 0 ? c->cap : 1);
	c->len--;
	c->received++;
	if (c->cap == 0)
		pthread_cond_broadcast(&c->taken);
	pthread_cond_signal(&c->not_full);
	return true;
}

bool chan_recv(struct chan *c, long *v)
{
	bool got;

	pthread_mutex_lock(&c->m);
	while (c->len == 0 && !c->closed)
		pthread_cond_wait(&c->not_empty, &c->m);
	got = take(c, v);
	pthread_mutex_unlock(&c->m);
	return got;
}

bool chan_try_recv(struct chan *c, long *v)
{
	bool got;

	pthread_mutex_lock(&c->m);
	got = take(c, v);
	pthread_mutex_unlock(&c->m);
	return got;
}

void chan_close(struct chan *c)
{
	pthread_mutex_lock(&c->m);
	c->closed = true;
	pthread_cond_broadcast(&c->not_empty);
	pthread_mutex_unlock(&c->m);
}

/* --- which item --- */

static const struct item *const areas[] = { thread_items, chan_items, net_items };

int main(int argc, char **argv)
{
	bool list = argc > 1 && strcmp(argv[1], "--list") == 0;

	for (size_t a = 0; a < sizeof areas / sizeof areas[0]; a++) {
		for (const struct item *it = areas[a]; it->name != NULL; it++) {
			if (list) {
				puts(it->name);
			} else if (argc > 1 && strcmp(argv[1], it->name) == 0) {
				it->run(argc > 2 ? atol(argv[2]) : it->size);
				return 0;
			}
		}
	}
	if (list)
		return 0;
	fprintf(stderr, "usage: %s ITEM [SIZE] | --list\n", argv[0]);
	return 2;
}
