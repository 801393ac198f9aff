/* SPDX-License-Identifier: MIT */
/* Looking at this process from inside, with care: memory that may not be there, threads, and what they run. */
#define _GNU_SOURCE     /* dl_iterate_phdr */
#include "os/linux/signals.h"
#include "os/os.h"

#include <gort/sanitize.h>

#include <gort/atomic.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- memory --- */

/* Where a filter refuses the call below: the kernel also says EFAULT to a write from what is not there. */
static size_t peek_by_pipe(void *to, uintptr_t from, size_t n)
{
	size_t page = gort__os_page_size(), done = 0;
	int p[2];

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) != 0)
		return 0;
	while (done < n) {
		uintptr_t at = from + done;
		size_t k = page - at % page;
		ssize_t got;

		if (k > n - done)
			k = n - done;
		got = write(p[1], (const void *)at, k);
		if (got <= 0 || read(p[0], (char *)to + done, (size_t)got) != got)
			break;
		done += (size_t)got;
	}
	close(p[0]);
	close(p[1]);
	return done;
}

size_t gort__os_peek(void *to, uintptr_t from, size_t n)
{
	struct iovec mine, theirs;
	int saved = errno;
	ssize_t got;

	if (from > UINTPTR_MAX - n)
		return 0;
	mine = (struct iovec){ to, n };
	theirs = (struct iovec){ (void *)from, n };
	/* not libc's: sanitizers would look at what is read */
	got = syscall(SYS_process_vm_readv, getpid(), &mine, 1, &theirs, 1, 0);
	if (got < 0 && errno != EFAULT)
		got = (ssize_t)peek_by_pipe(to, from, n);
	errno = saved;
	if (got <= 0)
		return 0;
	GORT__PEEKED(to, got);
	return (size_t)got;
}

struct is_code {
	uintptr_t pc;
	bool yes;
};

static int is_code_of(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct is_code *q = arg;

	for (int i = 0; i < info->dlpi_phnum && !q->yes; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		q->yes = ph->p_type == PT_LOAD && (ph->p_flags & PF_X) && q->pc - info->dlpi_addr >= ph->p_vaddr &&
			 q->pc - info->dlpi_addr - ph->p_vaddr < ph->p_memsz;
	}
	return q->yes;
}

bool gort__os_is_code(uintptr_t pc)
{
	struct is_code q = { pc, false };

	dl_iterate_phdr(is_code_of, &q);
	return q.yes;
}

/* --- threads --- */

/* A file of the thread's folder, as a string; its length, 0 when there is none. No stdio: this may be for the last words. */
static size_t read_task(uint32_t tid, const char *name, char *buf, size_t size)
{
	char path[64];
	int saved = errno, fd;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/task/%u/%s", tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, buf, size - 1) : -1;
	if (fd >= 0)
		close(fd);
	errno = saved;
	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

char gort__os_thread_state(uint32_t tid)
{
	char buf[256], *after;

	/* behind the name, which may have any character in it */
	after = read_task(tid, "stat", buf, sizeof buf) > 0 ? strrchr(buf, ')') : NULL;
	return after != NULL && after[1] == ' ' ? after[2] : '\0';
}

bool gort__os_thread_blocked_at(uint32_t tid, uintptr_t *sp, uintptr_t *pc)
{
	char buf[512], *last[2] = { NULL, NULL };

	/* number, six arguments, stack pointer, program counter; or -1 and the two; or "running" */
	if (read_task(tid, "syscall", buf, sizeof buf) == 0)
		return false;
	for (char *s = buf; (s = strstr(s, " 0x")) != NULL; s++) {
		last[0] = last[1];
		last[1] = s + 1;
	}
	if (last[0] == NULL)
		return false;
	*sp = strtoull(last[0], NULL, 16);
	*pc = strtoull(last[1], NULL, 16);
	return *sp != 0 && *pc != 0;
}

/*
 * One thread at a time is asked, under the asker's own exclusion:
 *
 *      IDLE --ask--> WANTED --the handler--> BUSY --> DONE --the asker--> IDLE
 *                      +------- the asker, at its deadline -------------> IDLE
 *
 * The low bits say which; the rest counts, so that a signal delivered late finds another word.
 */
enum { IDLE, WANTED, BUSY, DONE, STEP = 4 };

static struct {
	uint32_t word;                  /* release and acquire */
	uint32_t tid;
	void (*fn)(void *arg, const void *uc);
	void *arg;
} ask;

static struct sigaction before;

bool gort__os_answer(const void *uc)
{
	uint32_t w = gort__load_acquire(&ask.word);     /* pairs with the release in gort__os_interrupt */

	if (w % STEP != WANTED || ask.tid != gort__os_tid() || !gort__cas_acquire(&ask.word, &w, w - WANTED + BUSY))
		return false;
	ask.fn(ask.arg, uc);
	gort__store_release(&ask.word, w - WANTED + DONE);      /* pairs with the acquire in gort__os_interrupt */
	gort__os_futex_wake(&ask.word, 1);
	return true;
}

static void on_ask(int signo, siginfo_t *info, void *uc)
{
	int saved = errno;

	gort__os_answer(uc);
	errno = saved;
}

bool gort__os_interrupt_begin(void)
{
	struct sigaction sa;

	if (gort__os_preempting)
		return true;            /* its handler asks gort__os_answer first */
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = on_ask;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigfillset(&sa.sa_mask);
	if (sigaction(SIGURG, NULL, &before) != 0)
		return false;
	if ((before.sa_flags & SA_SIGINFO) || (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN))
		return false;           /* the program has a use for it */
	return sigaction(SIGURG, &sa, NULL) == 0;
}

void gort__os_interrupt_end(void)
{
	/* one still on its way is ignored, which is the default */
	if (!gort__os_preempting)
		sigaction(SIGURG, &before, NULL);
}

bool gort__os_interrupt(uint32_t tid, void (*fn)(void *arg, const void *uc), void *arg, gort_time deadline)
{
	uint32_t base = gort__load_relaxed(&ask.word) / STEP * STEP + STEP, w;
	bool answered;

	ask.tid = tid;
	ask.fn = fn;
	ask.arg = arg;
	gort__store_release(&ask.word, base + WANTED);  /* pairs with the acquire in on_ask */
	if (syscall(SYS_tgkill, getpid(), tid, SIGURG) == 0) {
		while ((w = gort__load_acquire(&ask.word)) != base + DONE) {    /* pairs with the release in on_ask */
			if (w == base + WANTED && gort__os_now() >= deadline)
				break;
			gort__os_futex_wait(&ask.word, w, w == base + WANTED ? deadline : GORT_FOREVER);
		}
	}
	w = base + WANTED;
	answered = !gort__cas_acquire(&ask.word, &w, base + IDLE);
	while (answered && gort__load_acquire(&ask.word) != base + DONE)        /* it began at the last moment */
		gort__os_futex_wait(&ask.word, base + BUSY, GORT_FOREVER);
	return answered;
}

/* --- being asked from outside, and writing --- */

static void (*quit_fn)(void);
static struct sigaction before_quit;

static void on_quit(int signo)
{
	int saved = errno;

	quit_fn();
	errno = saved;
}

int gort__os_on_quit(void (*fn)(void))
{
	struct sigaction sa;

	quit_fn = fn;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = on_quit;
	sa.sa_flags = SA_ONSTACK | SA_RESTART;
	sigfillset(&sa.sa_mask);
	return sigaction(SIGQUIT, &sa, &before_quit) == 0 ? 0 : -errno;
}

void gort__os_on_quit_end(void)
{
	struct sigaction now;

	if (sigaction(SIGQUIT, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == on_quit)
		sigaction(SIGQUIT, &before_quit, NULL);
}

int gort__os_write(int fd, const char *s, size_t n)
{
	int saved = errno, err = 0;

	while (n > 0 && err == 0) {
		ssize_t k = write(fd, s, n);

		if (k >= 0) {
			s += k;
			n -= (size_t)k;
		} else if (errno == EAGAIN) {
			struct pollfd p = { fd, POLLOUT, 0 };

			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			err = -errno;
		}
	}
	errno = saved;
	return err;
}
