/* SPDX-License-Identifier: MIT */
#include <gort/core.h>

#include <stdio.h>

static int work(void *arg)
{
	gort_yield();
	return *(int *)arg;
}

int main(void)
{
	int status = 3;

	printf("%d\n", gort_run(work, &status));
	return 0;
}
