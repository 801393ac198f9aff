/* SPDX-License-Identifier: MIT */
/* The examples' only option: a number as the first argument. */
#ifndef NUMBER_H
#define NUMBER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* argv[1] as a number up to max, or preset when there is none. Anything else: prints the usage and exits with 2. */
static inline unsigned long number_argument(int argc, char **argv, unsigned long preset, unsigned long max)
{
	char *end;
	unsigned long n;

	if (argc == 1)
		return preset;
	errno = 0;
	n = strtoul(argc == 2 ? argv[1] : "", &end, 10);
	if (argc != 2 || argv[1][0] < '0' || argv[1][0] > '9' || *end != '\0' || errno != 0 || n > max) {
		fprintf(stderr, "usage: %s [NUMBER up to %lu]\n", argv[0], max);
		exit(2);
	}
	return n;
}

#endif
