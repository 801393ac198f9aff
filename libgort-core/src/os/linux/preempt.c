/* SPDX-License-Identifier: MIT */
/*
 * Interrupting threads that compute: SIGURG, which nobody minds. Its handler looks where the thread stood. Only in the program's
 * own code, the text of the main executable, may it be made to call something: a library may stand anywhere, with a lock of
 * the allocator's or the loader's, or in the middle of ours. So nothing that others lock may be a part of the executable.
 */
#define _GNU_SOURCE     /* dl_iterate_phdr */
#include "arch/inject.h"
#include "os/linux/signals.h"
#include "os/os.h"

#include <gort/sanitize.h>

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define MASK_SIZE 8             /* of a signal mask, to the kernel; what libc has beside it is never set */

bool gort__os_preempting;

static struct {
	uintptr_t lo, hi;       /* the program's own code */
	uintptr_t (*room)(uintptr_t sp);
	void (*fn)(void);
	struct sigaction before;
} p;

/* The executable is the first object that is told of. */
static int note_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X)) {
			p.lo = info->dlpi_addr + ph->p_vaddr;
			p.hi = p.lo + ph->p_memsz;
		}
	}
	return 1;
}

static bool in_text(uintptr_t at)
{
	return at >= p.lo && at < p.hi;
}

/* On the interrupted stack. What is the thread's and not the goroutine's stays as others have made it meanwhile. */
static void injected(void *context)
{
	ucontext_t *uc = context;
	sigset_t mask;

	p.fn();
	if (sigaltstack(NULL, &uc->uc_stack) == 0 && pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0)
		memcpy(&uc->uc_sigmask, &mask, MASK_SIZE);
}

/* The handler's own frame is on the alternate stack, if the thread has one. */
static bool interrupt(void *context)
{
	const ucontext_t *uc = context;
	uintptr_t pc, sp, lo, here = (uintptr_t)__builtin_frame_address(0);

	gort__arch_signal_at(uc, &pc, &sp);
	if (!in_text(pc) || memcmp(&uc->uc_sigmask, &gort__os_start_mask, MASK_SIZE) != 0)
		return false;           /* with other signals blocked, it is in a handler of the program's, or close to one */
	lo = p.room(sp);
	return lo != 0 && !(here >= lo && here < sp) && gort__arch_inject(context, lo, injected);
}

static void on_urg(int signo, siginfo_t *info, void *uc)
{
	int saved = errno;

	if (!gort__os_answer(uc) && !interrupt(uc) && (info->si_code != SI_TKILL || info->si_pid != getpid())) {
		/* somebody else's */
		if (p.before.sa_flags & SA_SIGINFO)
			p.before.sa_sigaction(signo, info, uc);
		else if (p.before.sa_handler != SIG_DFL && p.before.sa_handler != SIG_IGN)
			p.before.sa_handler(signo);
	}
	errno = saved;
}

const char *gort__os_preempt_init(uintptr_t (*room)(uintptr_t sp), void (*fn)(void))
{
	struct sigaction sa, before;

#if defined(GORT__TSAN) || defined(GORT__ASAN)
	return "not with a sanitizer, which has locks of its own; using retake";
#endif
	if (GORT__ON_VALGRIND())
		return "not on valgrind, which has signal frames of its own; using retake";
	if (!gort__arch_can_inject())
		return "not on this processor; using retake";
	dl_iterate_phdr(note_text, NULL);
	if (p.lo == p.hi || in_text((uintptr_t)gort__os_preempt_init))
		return "libgort is linked into the program and not a shared library; using retake";
	if (in_text((uintptr_t)malloc) || in_text((uintptr_t)dl_iterate_phdr))
		return "malloc or the C library is a part of the program, and may be where it stands; using retake";
	p.room = room;
	p.fn = fn;
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_urg;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigfillset(&sa.sa_mask);
	if (sigaction(SIGURG, NULL, &before) != 0 || sigaction(SIGURG, &sa, NULL) != 0)
		return "no handler to be had for SIGURG; using retake";
	if (!(before.sa_flags & SA_SIGINFO) || before.sa_sigaction != on_urg)
		p.before = before;
	sigdelset(&gort__os_start_mask, SIGURG);
	gort__os_preempting = true;
	return NULL;
}

void gort__os_preempt_fini(void)
{
	struct sigaction now;

	if (!gort__os_preempting)
		return;
	gort__os_preempting = false;
	if (sigaction(SIGURG, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_urg)
		sigaction(SIGURG, &p.before, NULL);
}

void gort__os_preempt(uint32_t tid)
{
	syscall(SYS_tgkill, getpid(), tid, SIGURG);     /* fails for a thread that has ended, whose P is elsewhere now */
}
