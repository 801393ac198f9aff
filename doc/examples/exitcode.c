/* SPDX-License-Identifier: MIT */
/*
 * exitcode [STATUS [goroutine]] - ends with that status, 0 unless given: from main, or from another goroutine
 *
 * Go programs end with a status by os.Exit(run()) in main. Here main returns it: returning from GORT_MAIN ends the
 * process at once, as exit does, and other goroutines with it. So the work is in a function of its own, which has
 * cleaned up before the status is returned. exit() may be called in any goroutine, like os.Exit.
 */
#include <gort/core.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Would keep a program alive that waited for all its goroutines. */
static void sleep_for_long(void *arg)
{
	(void)arg;
	gort_sleep(GORT_HOUR);
}

static void exit_here(void *arg)
{
	const int *status = arg;

	exit(*status);
}

static int run(int argc, char **argv)
{
	char *end = NULL;
	long status = argc > 1 ? strtol(argv[1], &end, 10) : 0;

	if (argc > 3 || (argc > 1 && (end == argv[1] || *end != '\0' || status < 0 || status > 255)) ||
	    (argc > 2 && strcmp(argv[2], "goroutine") != 0)) {
		fprintf(stderr, "usage: exitcode [STATUS [goroutine]]\n");
		return 2;
	}
	if (gort_go(sleep_for_long, NULL) != 0) {
		fprintf(stderr, "exitcode: cannot start a goroutine\n");
		return 1;
	}
	if (argc > 2) {
		int copy = (int)status;

		if (gort_go_copy(exit_here, &copy, sizeof copy) != 0) {
			fprintf(stderr, "exitcode: cannot start a goroutine\n");
			return 1;
		}
		gort_sleep(GORT_HOUR);
	}
	return (int)status;
}

GORT_MAIN(argc, argv)
{
	return run(argc, argv);
}
