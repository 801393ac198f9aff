/* SPDX-License-Identifier: MIT */
/* gort-bench [--json] ITEM [SIZE], or --list. $GOMAXPROCS sets P. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static bool json;

void bench_out(const char *name, double value, const char *unit)
{
	if (json)
		printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"procs\": %d}\n", name, value, unit, gort_maxprocs());
	else
		printf("%s %.3f %s\n", name, value, unit);
	fflush(stdout);
}

void bench_check(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "gort-bench: wrong result: %s\n", what);
	exit(1);
}

double bench_ns(gort_time since, long n)
{
	return (double)(gort_now() - since) / (double)n;
}

double bench_ms(gort_time since)
{
	return (double)(gort_now() - since) / 1e6;
}

double bench_rss(void)
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

double bench_maxrss(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)ru.ru_maxrss / 1024;
}

void bench_go(void (*fn)(void *arg), void *arg)
{
	bench_check(gort_go(fn, arg) == 0, "out of memory");
}

gort_chan *bench_chan_new(size_t elem, size_t cap)
{
	gort_chan *c = gort_chan_new(elem, cap);

	bench_check(c != NULL, "out of memory");
	return c;
}

static const struct bench_item *const areas[] = {
	bench_sched, bench_chan, bench_sync, bench_time, bench_idle, bench_block, bench_context, bench_net, bench_http,
	bench_scale,
};

static const struct bench_item *find(const char *name)
{
	for (size_t a = 0; a < sizeof areas / sizeof areas[0]; a++) {
		for (const struct bench_item *it = areas[a]; it->name != NULL; it++) {
			if (strcmp(it->name, name) == 0)
				return it;
		}
	}
	return NULL;
}

static void list(void)
{
	for (size_t a = 0; a < sizeof areas / sizeof areas[0]; a++) {
		for (const struct bench_item *it = areas[a]; it->name != NULL; it++)
			puts(it->name);
	}
}

GORT_MAIN(argc, argv)
{
	const struct bench_item *it;
	char *end = NULL;
	long n;
	int i = 1;

	if (i < argc && strcmp(argv[i], "--json") == 0) {
		json = true;
		i++;
	}
	if (i < argc && strcmp(argv[i], "--list") == 0) {
		list();
		return 0;
	}
	it = i < argc ? find(argv[i]) : NULL;
	if (it == NULL) {
		fprintf(stderr, "usage: gort-bench [--json] ITEM [SIZE]\n       gort-bench --list\n");
		return 2;
	}
	n = it->n;
	if (i + 1 < argc) {
		errno = 0;
		n = strtol(argv[i + 1], &end, 10);
		if (errno != 0 || *end != '\0' || n <= 0) {
			fprintf(stderr, "gort-bench: the size must be a positive number, not \"%s\"\n", argv[i + 1]);
			return 2;
		}
	}
	it->run(n);
	return 0;
}
