/* SPDX-License-Identifier: MIT */
/*
 * hello [NAME...] - a goroutine for each name says hello
 *
 * The lines come in any order. GORT_MAIN makes main a goroutine; when it returns the process ends, whatever the others
 * do, so it waits for them.
 */
#include <gort/core.h>
#include <gort/sync.h>

#include <stdio.h>

static void greet(void *arg)
{
	const char *name = arg;

	printf("hello, %s\n", name);
}

GORT_MAIN(argc, argv)
{
	gort_waitgroup greeted = GORT_WAITGROUP_INIT;
	char world[] = "world";
	int err = 0;

	if (argc < 2)
		err = gort_waitgroup_go(&greeted, greet, world);
	for (int i = 1; i < argc && err == 0; i++)
		err = gort_waitgroup_go(&greeted, greet, argv[i]);
	gort_waitgroup_wait(&greeted);
	if (err != 0) {
		fprintf(stderr, "hello: %s\n", gort_strerror(err));
		return 1;
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
