/* SPDX-License-Identifier: MIT */
/* How many processors this process may use: the affinity mask, cut by the cgroup's CPU quota, ancestors' too. */
#define _GNU_SOURCE     /* CPU_COUNT_S */
#include "os/os.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t affinity(void)
{
	uint32_t n = 0;

	for (int cpus = 1024; cpus <= 1 << 20 && n == 0; cpus *= 4) {   /* the kernel refuses a set smaller than its own */
		cpu_set_t *set = CPU_ALLOC((size_t)cpus);
		size_t size = CPU_ALLOC_SIZE((size_t)cpus);

		if (set == NULL)
			break;
		if (sched_getaffinity(0, size, set) == 0)
			n = (uint32_t)CPU_COUNT_S(size, set);
		CPU_FREE(set);
	}
	return n > 0 ? n : 1;
}

/* Reads up to two numbers ("max" reads as -1); how many were there. */
static int read_numbers(const char *path, long long *a, long long *b)
{
	FILE *f = fopen(path, "re");
	char first[32] = "";
	int n;

	if (f == NULL)
		return 0;
	n = fscanf(f, "%31s %lld", first, b);
	fclose(f);
	if (n < 1)
		return 0;
	*a = strcmp(first, "max") == 0 ? -1 : atoll(first);
	return n;
}

/* Rounded up, as a program with 1.5 processors' worth of quota makes good use of two threads. */
static uint32_t cut(uint32_t cpus, long long quota, long long period)
{
	long long whole;

	if (quota <= 0 || period <= 0)
		return cpus;
	whole = (quota + period - 1) / period;
	return whole < (long long)cpus ? (uint32_t)whole : cpus;
}

static uint32_t cut_at(uint32_t cpus, const char *root, const char *group, bool v2)
{
	char path[4096 + 64];
	long long quota = -1, period = -1, none = 0;

	if (v2) {
		snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
		if (read_numbers(path, &quota, &period) < 2)
			return cpus;
	} else {
		snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", root, group);
		if (read_numbers(path, &quota, &none) < 1)
			return cpus;
		snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", root, group);
		if (read_numbers(path, &period, &none) < 1)
			return cpus;
	}
	return cut(cpus, quota, period);
}

/* Is "cpu" one of the names in a comma list? */
static bool lists_cpu(const char *list)
{
	for (;;) {
		size_t n = strcspn(list, ",");

		if (n == 3 && memcmp(list, "cpu", 3) == 0)
			return true;
		if (list[n] == '\0')
			return false;
		list += n + 1;
	}
}

uint32_t gort__os_cpus(void)
{
	uint32_t cpus = affinity();
	char line[4096];
	int saved = errno;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		/* id:controllers:path, with no controllers in version 2 */
		char *controllers = strchr(line, ':');
		char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		bool v2;

		if (group == NULL)
			continue;
		controllers++;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		v2 = *controllers == '\0';
		if (!v2 && !lists_cpu(controllers))
			continue;
		for (;;) {
			char *slash;

			cpus = cut_at(cpus, v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", strcmp(group, "/") == 0 ? "" : group, v2);
			slash = strrchr(group, '/');
			if (slash == NULL)
				break;
			*slash = '\0';
		}
	}
	if (f != NULL)
		fclose(f);
	errno = saved;
	return cpus;
}

uint32_t gort__os_cpu(void)
{
	int cpu = sched_getcpu();

	return cpu >= 0 ? (uint32_t)cpu + 1 : 0;
}
