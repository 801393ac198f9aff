/* SPDX-License-Identifier: MIT */
/* The clock, sleeping and waking by futex, and sleeping by the clock. */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

gort_time gort__os_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (gort_time)ts.tv_sec * GORT_SECOND + ts.tv_nsec;
}

bool gort__os_clock_is(const char *source)
{
	int saved = errno, fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
	char name[32];
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, name, sizeof name - 1);
		close(fd);
	}
	errno = saved;
	if (n <= 0)
		return false;
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return strcmp(name, source) == 0;
}

static struct timespec *to_timespec(struct timespec *ts, gort_time t)
{
	if (t == GORT_FOREVER)
		return NULL;
	if (t < 0)
		t = 0;
	ts->tv_sec = (time_t)(t / GORT_SECOND);
	ts->tv_nsec = (long)(t % GORT_SECOND);
	return ts;
}

void gort__os_futex_wait(uint32_t *word, uint32_t expected, gort_time deadline)
{
	struct timespec ts;
	int saved = errno;

	/* the BITSET form takes an absolute time of the monotonic clock */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, to_timespec(&ts, deadline), NULL,
		FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

void gort__os_futex_wake(uint32_t *word, int n)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0);
	errno = saved;
}

void gort__os_sleep_until(gort_time deadline)
{
	struct timespec ts;

	to_timespec(&ts, deadline == GORT_FOREVER ? deadline - 1 : deadline);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

void gort__os_yield(void)
{
	sched_yield();
}
