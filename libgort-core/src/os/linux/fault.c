/* SPDX-License-Identifier: MIT */
/* Bad accesses: shown to the scheduler, which knows its guards; all others go to whoever had the signal before. */
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void (*hit)(uintptr_t addr, const void *uc);

static struct was {
	int signo;
	bool ours;                      /* our handler has been put in its place, and not been taken out */
	struct sigaction action;
} segv = { .signo = SIGSEGV }, bus = { .signo = SIGBUS };

static void on_fault(int signo, siginfo_t *info, void *uc)
{
	struct sigaction *before = signo == SIGSEGV ? &segv.action : &bus.action;

	if (info->si_code > 0)          /* the kernel's word, not somebody's kill() */
		hit((uintptr_t)info->si_addr, uc);
	if (before->sa_flags & SA_SIGINFO) {
		before->sa_sigaction(signo, info, uc);
	} else if (before->sa_handler == SIG_IGN && info->si_code <= 0) {
		return;
	} else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
		before->sa_handler(signo);
	} else {
		/* the default is back in place: the access is made again and the kernel ends the process as it always does */
		sigaction(signo, before, NULL);
		if (info->si_code <= 0)
			raise(signo);
	}
}

/* Where ours could not be taken out it is there still: once more, and it would pass faults on to itself. */
static int put_in(struct was *w)
{
	struct sigaction sa;

	if (w->ours)
		return 0;
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_fault;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigemptyset(&sa.sa_mask);
	if (sigaction(w->signo, &sa, &w->action) != 0)
		return -errno;
	w->ours = true;
	return 0;
}

static void take_out(struct was *w)
{
	struct sigaction now;

	if (!w->ours || sigaction(w->signo, NULL, &now) != 0 || !(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_fault)
		return;
	sigaction(w->signo, &w->action, NULL);
	w->ours = false;
}

int gort__os_fault_init(void (*fn)(uintptr_t addr, const void *uc))
{
	int err;

	hit = fn;
	err = put_in(&segv);
	return err != 0 ? err : put_in(&bus);
}

void gort__os_fault_fini(void)
{
	int saved = errno;

	take_out(&segv);
	take_out(&bus);
	errno = saved;
}

static size_t stack_size(void)
{
	long min = sysconf(_SC_MINSIGSTKSZ);    /* grows with the processor's vector registers */
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = 64 * 1024 + (min > 0 ? (size_t)min : 0);

	return (size + page - 1) & ~(page - 1);
}

void *gort__os_fault_thread_begin(void)
{
	stack_t now, ss;
	void *p;

	if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE))
		return NULL;
	p = mmap(NULL, stack_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	memset(&ss, 0, sizeof ss);
	ss.ss_sp = p;
	ss.ss_size = stack_size();
	if (sigaltstack(&ss, NULL) != 0) {
		munmap(p, stack_size());
		return NULL;
	}
	return p;
}

void gort__os_fault_thread_end(void *stack)
{
	stack_t off;

	if (stack == NULL)
		return;
	memset(&off, 0, sizeof off);
	off.ss_flags = SS_DISABLE;
	sigaltstack(&off, NULL);
	munmap(stack, stack_size());
}
