/* SPDX-License-Identifier: MIT */
/*
 * Signals: a handler that counts them, and a thread that it wakes by a semaphore, for which no descriptor is needed.
 *
 * The handler may run on any thread, on any goroutine's stack and in the middle of malloc, so it does nothing but atomic
 * operations and sem_post. It runs on the alternate stack where its thread has one, as ours have: a goroutine's own may be
 * at its end.
 */
#include "signals.h"

#include <gort/gmp.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

static struct {
	uint32_t came[GORT__SIGNALS];           /* and not been asked for; atomic */
	uint32_t told;                          /* the semaphore has been posted, and nobody has woken for it; atomic */
	bool taken[GORT__SIGNALS];              /* under signal.c's lock, like the next */
	struct sigaction before[GORT__SIGNALS];
} sig;

static sem_t told;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
	sem_init(&told, 0, 0);
}

bool gort__signal_valid(int signo)
{
	switch (signo) {
	case SIGKILL: case SIGSTOP:
	case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: case SIGTRAP: case SIGSYS: case SIGABRT:
		return false;
	default:
		return signo >= 1 && signo < GORT__SIGNALS;
	}
}

void gort__signal_tell(void)
{
	/* acq_rel, as in gort__signal_wait: who finds it set has left what it counted to the one whose exchange comes next */
	if (gort__xchg_acq_rel(&sig.told, 1) == 0)
		sem_post(&told);
}

static void handler(int signo)
{
	int saved = errno;

	gort__add_relaxed(&sig.came[signo], 1);         /* before telling, which releases it */
	gort__signal_tell();
	errno = saved;
}

void gort__signal_wait(void)
{
	while (sem_wait(&told) != 0)
		;
	gort__xchg_acq_rel(&sig.told, 0);
}

unsigned gort__signal_came(int signo)
{
	return gort__load_relaxed(&sig.came[signo]) != 0 ? gort__xchg_acquire(&sig.came[signo], 0) : 0;
}

int gort__signal_take(int signo)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };

	sigfillset(&sa.sa_mask);
	if (sigaction(signo, &sa, &sig.before[signo]) != 0)
		return -errno;
	sig.taken[signo] = true;
	return 0;
}

void gort__signal_restore(int signo)
{
	sigaction(signo, &sig.before[signo], NULL);
	sig.taken[signo] = false;
}

int gort__signal_thread(void (*fn)(void *arg))
{
	pthread_once(&once, init);
	return gort__os_thread(fn, NULL, (size_t)256 * 1024, "gort-signal", true);
}

void gort__signal_forget(void)
{
	for (int i = 1; i < GORT__SIGNALS; i++) {
		if (sig.taken[i])
			gort__signal_restore(i);
		gort__store_relaxed(&sig.came[i], 0);
	}
	gort__store_relaxed(&sig.told, 0);
	sem_init(&told, 0, 0);
}
