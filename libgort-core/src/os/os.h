/* SPDX-License-Identifier: MIT */
/* What the scheduler asks of an operating system. One folder implements it; each function's contract stands here. */
#ifndef GORT__OS_H
#define GORT__OS_H

#include <gort/core.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Monotonic nanoseconds. */
gort_time gort__os_now(void);
/* Does the system make its clocks of this, which it names as it likes? May take system calls. */
bool gort__os_clock_is(const char *source);

/* Sleeps while *word == expected, until woken or the deadline (GORT_FOREVER: none). May return early for no reason. */
void gort__os_futex_wait(uint32_t *word, uint32_t expected, gort_time deadline);
void gort__os_futex_wake(uint32_t *word, int n);
/* Sleeps until the deadline, whatever signals come. */
void gort__os_sleep_until(gort_time deadline);
void gort__os_yield(void);

/* The heavy fence: false when the system has none. Called once, before the first thread of ours. */
bool gort__os_fence_init(void);
void gort__os_fence(void);

/*
 * Address space for stacks: readable and writable, committed on first touch, never huge pages, not in core files, not
 * locked in memory by mlockall. NULL when refused. align is a power of two.
 */
void *gort__os_reserve(size_t size, size_t align);
void gort__os_unmap(void *p, size_t size);
/* The pages' contents go back to the system; they read as zero afterwards. */
void gort__os_discard(void *p, size_t size);
/* Zeroed memory for descriptors, page by page as touched; NULL when refused. */
void *gort__os_pages(size_t size);
void gort__os_pages_free(void *p, size_t size);         /* all of it; NULL is nothing */
/* How much address space the limits of this process leave for stacks; SIZE_MAX when there is no limit to speak of. */
size_t gort__os_address_budget(void);
size_t gort__os_page_size(void);

enum gort__guard { GORT__GUARD_AUTO, GORT__GUARD_MADVISE, GORT__GUARD_MPROTECT, GORT__GUARD_NONE };
/* Which of the two real ones works here, for AUTO. */
enum gort__guard gort__os_guard_best(void);
/* False when refused. */
bool gort__os_guard(enum gort__guard how, void *p, size_t size);
/*
 * Guards by GORT__GUARD_MADVISE in n places, in one call where the system has one for that. How many were laid, from the first
 * on.
 */
#define GORT__OS_GUARDS 32      /* n at most */
uint32_t gort__os_guard_many(void *const *at, uint32_t n, size_t size);

/* Notes the caller's signal mask: that of threads of ours, unless they block signals. */
void gort__os_signals_init(void);
/* gmp.h declares gort__os_thread for the siblings too */
bool gort__os_thread_ours(void);                        /* is the caller one of them? */
/* Waits until no more than so many of them have not returned from fn. */
void gort__os_threads_wait(uint32_t most);
/* Waits until all of them have ended, really: none will execute an instruction of ours any more. */
void gort__os_threads_join(void);
void gort__os_threads_forget(void);                     /* in a forked child: there are none */
/*
 * Does that thread of this process sleep in the kernel? 1: yes; 0: it runs or is ready to; -1: not to be known. What was
 * opened to find out stays open in *w, which the caller has zeroed at first, for the next question.
 */
struct gort__os_watch { uint32_t tid; int file; };
int gort__os_thread_blocked(struct gort__os_watch *w, uint32_t tid);
void gort__os_watch_end(struct gort__os_watch *w);      /* closes it */
/* How many threads this process has; -1: not to be known. */
long gort__os_thread_count(void);
/* Called first on each of them: precise timers. */
void gort__os_thread_begin(void);
void gort__os_thread_stack(uintptr_t *lo, uintptr_t *hi);

/* The system's number of the calling thread; never 0. */
uint32_t gort__os_tid(void);

/* Processors this process may use: affinity mask, cut by the cgroup's quota. At least 1. */
uint32_t gort__os_cpus(void);
/* 1 + the number of the processor that the calling thread is on, as it has just been; 0: not to be known. Cheap. */
uint32_t gort__os_cpu(void);

/* fn(arg) runs when the calling thread ends, if an arg that is not NULL was set by it. */
int gort__os_at_thread_exit(void (*fn)(void *arg));
int gort__os_set_thread_exit(void *arg);
void gort__os_no_thread_exit(void);                     /* never again, for no thread: fn is about to be unloaded */
/* fn runs in each forked child, before anything else there. */
void gort__os_at_fork_child(void (*fn)(void));

/*
 * The calling thread's __cxa_eh_globals of the Itanium C++ interface (how many exceptions are in flight, and those being
 * handled); NULL where no C++ runtime was there when the program started.
 */
void *gort__os_cxx_globals(void);

/* Writes all of it to stderr; safe in a signal handler. */
void gort__os_print(const char *s, size_t n);
GORT_NORETURN void gort__os_exit(int status);

/* --- for tracebacks ------------------------------------------------------------------------------------------------ */

/* Copies n bytes of this process's memory; fewer, when not all of it is there to be read. Never faults. */
size_t gort__os_peek(void *to, uintptr_t from, size_t n);
/* Is there code of a loaded module at pc? */
bool gort__os_is_code(uintptr_t pc);
/* 'R' runs or is ready to; 'S' and 'D' sleep in the kernel; another letter; 0: no such thread, or no way to know. */
char gort__os_thread_state(uint32_t tid);
/* Where a thread that sleeps in the kernel will go on. False: it runs, or there is no way to know. */
bool gort__os_thread_blocked_at(uint32_t tid, uintptr_t *sp, uintptr_t *pc);
/*
 * Has a running thread of this process call fn(arg, uc) where it stands, as a signal handler with that ucontext_t. False: it
 * has not, and will not any more. Between begin and end only; begin is false when there is no way. Not for two threads at
 * once.
 */
bool gort__os_interrupt_begin(void);
bool gort__os_interrupt(uint32_t tid, void (*fn)(void *arg, const void *uc), void *arg, gort_time deadline);
void gort__os_interrupt_end(void);
/* fn is called, as a signal handler, when the user asks the program to quit with a dump (SIGQUIT). 0 or a negative errno. */
int gort__os_on_quit(void (*fn)(void));
void gort__os_on_quit_end(void);                        /* what was there before, unless somebody has put his own in place */
/* Writes all of it. 0 or a negative errno. */
int gort__os_write(int fd, const char *s, size_t n);

/*
 * Faults: hit(addr, uc) is called on an alternate stack with the address of each bad access and the handler's ucontext_t; it
 * does not return if the fault is ours. All others go to the handler that was there before.
 */
int gort__os_fault_init(void (*hit)(uintptr_t addr, const void *uc));
/* The handlers that were there before. Ours stay where somebody else's have been put before them since, and may call them. */
void gort__os_fault_fini(void);
/* An alternate signal stack for the calling thread, unless it has one; NULL: none to be had. */
void *gort__os_fault_thread_begin(void);
void gort__os_fault_thread_end(void *stack);

/* --- preempt=signal ------------------------------------------------------------------------------------------------ */

/*
 * From now on threads can be interrupted: room(sp) is called on them in a signal handler when they stood in the program's own
 * code, sp being their stack pointer. It says how far down that stack may be used, or 0; then all registers are laid on it, and
 * the thread calls fn as if from where it stood, no signal being handled any more; when that returns it goes on there, with
 * all registers as they were. fn may switch stacks, but has to return on the thread it was called on. NULL, or in words why
 * there is no such thing here.
 */
const char *gort__os_preempt_init(uintptr_t (*room)(uintptr_t sp), void (*fn)(void));
void gort__os_preempt(uint32_t tid);
void gort__os_preempt_fini(void);               /* the handler that was there before, unless somebody has put his own in place */

#endif
