/* SPDX-License-Identifier: MIT */
/*
 * libgort-core: goroutines for C. Running and spawning, yielding, sleeping, time, and what primitives are built from.
 *
 * Rules for every call of every gort library:
 *   - Any thread may call, before, during and outside gort_run. In a goroutine a blocking call parks the goroutine; on a
 *     plain thread it blocks that thread. Nothing is async-signal-safe.
 *   - A call that can fail returns a negative errno (or NULL); errno itself is left as it was.
 *   - After a call said to block or reschedule the goroutine may be on another thread: hold no pthread mutex across it,
 *     and no pointer to thread-local storage. errno keeps its value.
 *   - In a forked child only gort_run may be called, which starts afresh; exec, posix_spawn and system are fine.
 */
#ifndef GORT_CORE_H
#define GORT_CORE_H

#include <gort/attributes.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

GORT_EXTERN_C_BEGIN

/* --- time ------------------------------------------------------------------------------------------------------- */

/* A point in time: nanoseconds of the monotonic clock. Go: time.Time. */
typedef int64_t gort_time;
/* A span of time in nanoseconds. Go: time.Duration. */
typedef int64_t gort_duration;

#define GORT_NANOSECOND  ((gort_duration)1)
#define GORT_MICROSECOND (1000 * GORT_NANOSECOND)
#define GORT_MILLISECOND (1000 * GORT_MICROSECOND)
#define GORT_SECOND      (1000 * GORT_MILLISECOND)
#define GORT_MINUTE      (60 * GORT_SECOND)
#define GORT_HOUR        (60 * GORT_MINUTE)

/* A deadline that never comes. */
#define GORT_FOREVER INT64_MAX

/**
 * gort_now - the time
 *
 * Never blocks. From anywhere. Go: time.Now (its monotonic part).
 */
GORT_API gort_time gort_now(void);

/**
 * gort_deadline - the time d from now
 *
 * Saturates: a d that overflows gives GORT_FOREVER, one in the past a time that has passed. Never blocks. From anywhere.
 *
 *     if (gort_chan_recv_until(c, &v, gort_deadline(50 * GORT_MILLISECOND)) == -ETIMEDOUT) ...
 */
GORT_API gort_time gort_deadline(gort_duration d);

/* --- running ---------------------------------------------------------------------------------------------------- */

/**
 * gort_run - run fn as a goroutine and return its result
 *
 * Blocks until fn has returned; other goroutines go on. May be called again, from several threads at once, and inside a
 * goroutine. Starts the scheduler if it does not run yet. 0 if fn's goroutine ended by gort_goexit; -ENOMEM or -EAGAIN
 * when the scheduler or the goroutine cannot be had. A NULL fn is fatal. Go: what runs main.main.
 *
 *     static int work(void *arg) { ... return 0; }
 *     int main(void) { return gort_run(work, NULL); }
 */
GORT_API int gort_run(int (*fn)(void *arg), void *arg);

/**
 * gort_shutdown - end the scheduler and give everything back
 *
 * For leak checkers, for plugins that are about to be unloaded, and for programs that want their threads gone. On a plain
 * thread, as the last call. When it returns the library has no thread, mapping, descriptor or memory left, signal handlers are
 * those that were there before, and unloading the libraries is safe. The next call that needs the scheduler starts it
 * afresh, with the environment as it is then. Nothing where nothing runs.
 *
 * Goroutines that wait are left where they are: nothing of theirs is called, neither deferred calls nor destructors, and
 * what they have allocated, locked or opened stays so. Those that run, or are about to, go on to where they next wait,
 * yield or end; that is waited for, so one that computes without a call, or is inside a system call, holds gort_shutdown
 * up, and so does a name that is being looked up (gort_resolve), which may take seconds. Wait for what should be finished
 * (gort_waitgroup_wait), as in Go before main returns.
 *
 * Whatever a goroutine that is left was waiting in, or had locked, is not to be used again, but to be given up: a channel by
 * gort_chan_unref, a mutex and its like by being zeroed. All others go on to work. Timers, tickers and contexts' deadlines
 * are stopped; they may be set again, and freed (gort_ticker_free needs the scheduler, so call it before). Signals are not
 * asked for any more (gort_signal_notify), keys are deleted (gort_key_new), the panic handler is the default one, numbers in
 * gort_stats begin at 0; goroutines' ids go on.
 *
 * Blocks. Fatal in a goroutine, between gort_syscall_enter and _exit and the like, and while another thread waits in a call
 * of libgort (gort_run, say). Other threads must not call in before it has returned; those that have called in before keep
 * some kilobytes until they end, and their deferred calls. Go: what happens when main returns.
 *
 *     result = gort_run(work, NULL);
 *     gort_shutdown();
 */
GORT_API void gort_shutdown(void);

GORT_API int gort__run_main(int (*fn)(int argc, char **argv), int argc, char **argv);

/**
 * GORT_MAIN - a main function that is a goroutine
 *
 * Stands in place of main(). Returning ends the process with that status, whatever other goroutines do. Go: func main.
 *
 *     GORT_MAIN(argc, argv) { gort_go(worker, NULL); ...; return 0; }
 */
#define GORT_MAIN(argc, argv) \
	static int gort__main(int argc, char **argv); \
	int main(int argc, char **argv) { return gort__run_main(gort__main, argc, argv); } \
	static int gort__main(int argc, char **argv)

/* Settings of a goroutine. Start from GORT_ATTR_INIT. */
typedef struct gort_attr {
	size_t size;            /* sizeof(gort_attr) */
	const char *name;       /* for tracebacks; copied, cut at 31 bytes; NULL: none */
	size_t stack_max;       /* bytes its stack may grow to, rounded up; 0: the default; at most 1 TiB */
	size_t arg_size;        /* > 0: the goroutine gets a copy of so many bytes at arg, aligned as malloc's */
} gort_attr;

#define GORT_ATTR_INIT { sizeof(gort_attr), NULL, 0, 0 }
/* The most that stack_max may be. */
#define GORT_STACK_MAX ((size_t)1 << 40)

/**
 * gort_go - start a goroutine
 *
 * fn(arg) will run concurrently. 0, or -ENOMEM when memory or address space for a stack cannot be had; once 0, it will
 * run. Neither blocks nor reschedules. From anywhere. arg stays the caller's. A NULL fn is fatal. Go: the go statement.
 *
 * A stack starts at one page and grows in place: to 1 GiB for the first 1,024 stacks in use, to 256 KiB (less a guard)
 * for the others; see gort_go_attr for more.
 *
 *     if (gort_go(serve, conn) != 0) { ... out of memory ... }
 */
GORT_API int gort_go(void (*fn)(void *arg), void *arg);

/**
 * gort_go_copy - start a goroutine with a private copy of its argument
 *
 * As gort_go; fn gets a copy of size bytes at arg, aligned as malloc's, which goes away when the goroutine ends. Copies
 * of up to 64 bytes take no malloc. -EINVAL for a NULL arg with size > 0. Go: go func(p T) {...}(p).
 *
 *     struct job j = { path, depth };
 *     gort_go_copy(walk, &j, sizeof j);
 */
GORT_API int gort_go_copy(void (*fn)(void *arg), const void *arg, size_t size);

/**
 * gort_go_attr - start a goroutine with settings
 *
 * As gort_go; attr may be NULL. -EINVAL for a size of 0, a stack_max above GORT_STACK_MAX, or a NULL arg with
 * arg_size > 0; -E2BIG for settings of a newer version that this one does not know.
 *
 *     gort_attr a = GORT_ATTR_INIT;
 *     a.name = "parser";
 *     a.stack_max = (size_t)1 << 30;
 *     gort_go_attr(&a, parse, doc);
 */
GORT_API int gort_go_attr(const gort_attr *attr, void (*fn)(void *arg), void *arg);

/**
 * gort_go_after - start a goroutine in d nanoseconds
 *
 * fn(arg) runs as by gort_go, d from now at the earliest; for d of 0 or less at once. What it takes is had now: 0, or -ENOMEM;
 * once 0, it will run. There is no handle to call it off by: see gort_timer_after_func. Neither blocks nor reschedules. From
 * anywhere. arg stays the caller's. A NULL fn is fatal. Go: time.AfterFunc without looking at the result.
 *
 *     gort_go_after(5 * GORT_SECOND, forget, entry);
 */
GORT_API int gort_go_after(gort_duration d, void (*fn)(void *arg), void *arg);

/**
 * gort_yield - let others run
 *
 * Reschedules: the goroutine goes to the back of the queue. On a plain thread: sched_yield. Go: runtime.Gosched.
 */
GORT_API void gort_yield(void);

/**
 * gort_sleep - sleep for d nanoseconds
 *
 * Blocks for d at least; 0 or less yields. Go: time.Sleep.
 *
 *     gort_sleep(10 * GORT_MILLISECOND);
 */
GORT_API void gort_sleep(gort_duration d);

/**
 * gort_goexit - end this goroutine
 *
 * Frames are unwound and deferred calls run as by a panic (below), but no gort_try ends it; other goroutines go on. In the
 * goroutine of a gort_run, gort_run returns 0. Blocks if what it runs does. Fatal on a plain thread, and inside the commit of
 * a park. Go: runtime.Goexit.
 */
GORT_API GORT_NORETURN void gort_goexit(void);

/* --- about goroutines ------------------------------------------------------------------------------------------- */

/**
 * gort_id - this goroutine's number
 *
 * Never given twice; 0 on a thread that is no goroutine. Never blocks.
 */
GORT_API uint64_t gort_id(void);

/**
 * gort_set_name - name this goroutine, for tracebacks
 *
 * name is copied, cut at 31 bytes; NULL takes the name away. Never blocks; nothing on a thread that never called in.
 */
GORT_API void gort_set_name(const char *name);

/**
 * gort_num_goroutine - how many goroutines there are
 *
 * Spawned and not yet ended; the library's own are not counted. Never blocks. Go: runtime.NumGoroutine.
 */
GORT_API size_t gort_num_goroutine(void);

/**
 * gort_maxprocs - how many goroutines may run at the same time
 *
 * At start $GOMAXPROCS, else the processors of the affinity mask, cut by the cgroup's quota. Never blocks. Go:
 * runtime.GOMAXPROCS(0).
 */
GORT_API int gort_maxprocs(void);

/**
 * gort_set_maxprocs - set how many goroutines may run at the same time
 *
 * Returns the old value; n < 1 only reads; more than 1,024 count as 1,024. Up and down take effect before it returns.
 * May block for a moment. Go: runtime.GOMAXPROCS.
 */
GORT_API int gort_set_maxprocs(int n);

/* --- timers ----------------------------------------------------------------------------------------------------- */

/*
 * A timer runs a function in a goroutine of its own, once for each time it is set. Timers of the same instant start their
 * goroutines in the order in which they were set. A timer that is pending keeps the program from being taken for
 * deadlocked. Each has memory for its goroutine reserved, so that firing cannot fail.
 *
 * The calls below may be made from anywhere, by several goroutines at once, and inside the timer's function; but none after
 * gort_timer_free. A NULL timer panics, but in gort_timer_free.
 */

/* Go: time.Timer, as time.AfterFunc gives it. */
typedef struct gort_timer gort_timer;

/**
 * gort_timer_after_func - have fn(arg) called in d nanoseconds
 *
 * In a goroutine of its own, d from now at the earliest; 0 or less: at once. A d that overflows is as good as for ever.
 * NULL: out of memory. The timer is the caller's to free, also when it has fired; arg stays the caller's. Neither blocks nor
 * reschedules. From anywhere. A NULL fn is fatal. Go: time.AfterFunc.
 *
 *     gort_timer *t = gort_timer_after_func(30 * GORT_SECOND, hang_up, conn);
 *     ...
 *     gort_timer_free(t);
 */
GORT_API gort_timer *gort_timer_after_func(gort_duration d, void (*fn)(void *arg), void *arg);

/**
 * gort_timer_stop - call the timer off
 *
 * True: it was pending, and fn will not be called for that. False: it has fired already, or was stopped; fn may be running
 * still, or be just about to: see gort_timer_stop_wait. Never blocks. From anywhere, in fn too. Go: Timer.Stop.
 */
GORT_API bool gort_timer_stop(gort_timer *t);

/**
 * gort_timer_reset - have the timer fire d from now
 *
 * Whether it is pending, has fired or was stopped. True: it was pending. Does not wait for fn: if that still runs when the
 * timer fires again, both run at the same time (when there is no memory for a second goroutine, one after the other). Never
 * blocks nor fails. From anywhere, in fn too. Go: Timer.Reset.
 *
 *     while (read_some(conn)) gort_timer_reset(t, 30 * GORT_SECOND);
 */
GORT_API bool gort_timer_reset(gort_timer *t, gort_duration d);

/**
 * gort_timer_stop_wait - call the timer off, and wait for fn
 *
 * When it returns fn does not run, and will not until somebody sets the timer again; also what fn itself sets meanwhile is
 * called off. After it whatever fn uses may be freed. Blocks while fn runs. From anywhere but fn, where it is fatal. Go has
 * nothing of the kind.
 */
GORT_API void gort_timer_stop_wait(gort_timer *t);

/**
 * gort_timer_free - call the timer off, and give it up
 *
 * fn may still be running, and goes on. NULL is fine. Never blocks. From anywhere, in fn too. Go: the garbage collector.
 */
GORT_API void gort_timer_free(gort_timer *t);

/* --- panics and deferred calls ---------------------------------------------------------------------------------- */

/*
 * A panic leaves the frames between it and the innermost gort_try. On the way it runs, in the order of leaving, the deferred
 * calls of gort_call and gort_try and, in frames that have the tables for it, cleanups: destructors in C++, cleanup
 * attributes in C that is compiled with -fexceptions. C without them is left as by longjmp.
 *
 * A panic in a deferred call takes the place of the one that was under way, and is caught by the same gort_try. Without a
 * gort_try the panic handler is called and the goroutine ends; but in the goroutine of a gort_run, and on a plain thread,
 * the process ends: "panic: <message>" on stderr and exit status 2, after deferred calls and handler. The same happens when
 * the handler itself panics.
 *
 * From C++: an exception may leave a gort_try or gort_call, which then end, and is not caught there; one that leaves a
 * goroutine's function ends the program (std::terminate). A panic is no exception: a catch (...) that it comes through
 * must rethrow, a noexcept function (a destructor, say) that it would leave calls std::terminate. A goroutine may block
 * inside a catch block and go on in another thread, if the C++ runtime was there when the program started.
 *
 * A cleanup that panics while one is under way: compiled by gcc, the new panic takes the first one's place; clang has abort
 * called, in C too.
 *
 * longjmp must not leave a function called by gort_try, gort_call, gort_run or gort_go.
 */

/* What was caught. */
typedef struct gort_panic_info {
	const char *message;    /* lives until the goroutine's next panic or its end; a thread's, that it calls gort_shutdown */
	void *value;            /* gort_panic_value's */
	uint64_t goroutine;     /* where it came from; 0: a plain thread */
} gort_panic_info;

/**
 * gort_panic - panic with a message
 *
 * Formatted as by printf. Blocks if what it runs on the way does. From anywhere but the commit of a park, and not between
 * gort_syscall_enter and _exit (fatal). Go: panic(fmt.Sprintf(...)).
 *
 *     if (n < 0) gort_panic("negative length %d", n);
 */
GORT_API GORT_NORETURN void gort_panic(const char *fmt, ...) GORT_PRINTF(1, 2);

/**
 * gort_panic_value - panic with a value
 *
 * value is for whoever catches it, and is not looked at; what, which is copied, is the message. As gort_panic otherwise. Go:
 * panic(v).
 */
GORT_API GORT_NORETURN void gort_panic_value(void *value, const char *what);

/**
 * gort_repanic - go on with a panic that was caught
 *
 * Message, value and goroutine are info's; the message is copied. A NULL info is fatal. As gort_panic otherwise. Go:
 * panic(recover()).
 */
GORT_API GORT_NORETURN void gort_repanic(const gort_panic_info *info);

/**
 * gort_try - call fn(arg), and catch its panic
 *
 * True: fn panicked, or one of its deferred calls, and info says with what; info may be NULL. False: it returned. A
 * gort_goexit is not caught. Blocks, or changes the thread, if fn does. Some nanoseconds. From anywhere. A NULL fn is
 * fatal. Go: recover in a deferred function.
 *
 *     gort_panic_info info;
 *     if (gort_try(handle, request, &info)) log_error(info.message);
 */
GORT_API bool gort_try(void (*fn)(void *arg), void *arg, gort_panic_info *info);

/**
 * gort_defer - have fn(arg) called later
 *
 * When the innermost gort_try or gort_call ends, or, outside of both, when the goroutine or thread does; however it ends,
 * the newest first. 0 or -ENOMEM; the first three of a scope need no memory. arg stays the caller's. Never blocks. From
 * anywhere. A NULL fn is fatal. Go: the defer statement, but for when it runs: see gort_call.
 *
 *     f = fopen(path, "r");
 *     if (f == NULL) return;
 *     gort_defer(close_file, f);
 */
GORT_API int gort_defer(void (*fn)(void *arg), void *arg);

/**
 * gort_call - call fn(arg), and run what it deferred
 *
 * When fn has returned, panicked or exited; a panic goes on afterwards. What Go does for every function. Blocks if fn does.
 * From anywhere. A NULL fn is fatal.
 */
GORT_API void gort_call(void (*fn)(void *arg), void *arg);

/**
 * gort_undefer - take the newest deferred call back
 *
 * Of the innermost gort_try or gort_call, or of the goroutine outside of both; with run set it is called now. If there is
 * none, nothing. From anywhere.
 */
GORT_API void gort_undefer(bool run);

/**
 * gort_set_panic_handler - what is called for a panic that nobody catches
 *
 * fn(info, ctx) is called in the goroutine that panicked, after its deferred calls, when its frames have been left; it may
 * block and call anything. NULL: the default again, which prints "panic: <message>" and the frames it came from to stderr.
 * Where the panic ends the process that is printed whatever the handler does. Never blocks. From anywhere.
 */
GORT_API void gort_set_panic_handler(void (*fn)(const gort_panic_info *info, void *ctx), void *ctx);

/* --- values of a goroutine's own ---------------------------------------------------------------------------------- */

/* Names a value that each goroutine, and each plain thread, has its own of. 0 is none. */
typedef uint64_t gort_key;

/**
 * gort_key_new - make a key
 *
 * Everybody's value is NULL. destroy(value) is called at the end of each goroutine or thread whose value is not NULL then,
 * after its deferred calls; the value is NULL meanwhile. Destructors that set values again get up to four rounds. destroy
 * may be NULL, may block, and may panic. 0, -EAGAIN when there are 16,384 keys, -ENOMEM. Never blocks. From anywhere. Go has
 * nothing of the kind; POSIX: pthread_key_create.
 *
 *     static gort_key request_key;
 *     gort_key_new(&request_key, free);
 *     gort_set(request_key, strdup(id));
 */
GORT_API int gort_key_new(gort_key *key, void (*destroy)(void *value));

/** gort_key_delete - give a key back; no destructor is called, now or later. 0, or -EINVAL for one that is none. Never blocks. */
GORT_API int gort_key_delete(gort_key key);

/** gort_get - the caller's value; NULL if it has set none since the key was made. Never blocks; a few nanoseconds. */
GORT_API void *gort_get(gort_key key);

/** gort_set - set the caller's value. 0, -ENOMEM, or -EINVAL for a key that is none. Never blocks. The value stays yours. */
GORT_API int gort_set(gort_key key, void *value);

/* --- calls that block, and staying put ---------------------------------------------------------------------------- */

/**
 * gort_syscall_enter, gort_syscall_exit - announce a call that may block
 *
 * Around a system call or a library's call that may sleep in the kernel. Not needed: a goroutine that blocks unannounced
 * loses its processor to the others too, some 100 microseconds later. In between no call of libgort may be made (fatal),
 * but for those that never block nor reschedule. gort_syscall_exit may reschedule; the goroutine stays on its thread in
 * between. From anywhere; on a plain thread it does nothing. Unbalanced: fatal. Go: runtime.entersyscall, exitsyscall.
 *
 *     gort_syscall_enter();
 *     n = read(fd, buf, sizeof buf);
 *     err = errno;
 *     gort_syscall_exit();
 */
GORT_API void gort_syscall_enter(void);
GORT_API void gort_syscall_exit(void);

/**
 * gort_blocking - run fn, which will block, without a processor
 *
 * Hands the processor to the other goroutines at once, runs fn(arg), waits for a processor again and returns fn's result.
 * For calls known to take long; a few microseconds when others wait. fn may call libgort. From anywhere; on a plain thread
 * it is just a call. A NULL fn is fatal.
 *
 *     static int wait_child(void *arg) { int st; return waitpid(*(pid_t *)arg, &st, 0) < 0 ? -errno : st; }
 *     status = gort_blocking(wait_child, &pid);
 */
GORT_API int gort_blocking(int (*fn)(void *arg), void *arg);

/**
 * gort_lock_os_thread, gort_unlock_os_thread - stay on this thread
 *
 * For libraries with state per thread. Nests; one unlock too many is nothing. A goroutine that ends locked takes its thread
 * along. Its switches cost those of threads. May reschedule. From anywhere; nothing on a plain thread. Go:
 * runtime.LockOSThread.
 */
GORT_API void gort_lock_os_thread(void);
GORT_API void gort_unlock_os_thread(void);

/**
 * gort_preempt_disable, gort_preempt_enable - keep thread and processor
 *
 * In between the processor is not taken away, however long the goroutine computes or blocks in the kernel, and it stays on
 * its thread. For short sections only: the others wait. Nests; enable without disable, and a goroutine that ends in
 * between, are fatal. May reschedule. From anywhere.
 */
GORT_API void gort_preempt_disable(void);
GORT_API void gort_preempt_enable(void);

/* --- to build primitives of one's own --------------------------------------------------------------------------- */

/* A goroutine, or a plain thread that called in. Valid until it ends. Go: *runtime.g. */
typedef struct gort_g gort_g;
/* Why a goroutine waits: a static string, as tracebacks show it. */
typedef const char *gort_wait_reason;

/** gort_self - the caller. Never blocks. Go: runtime.getg. */
GORT_API gort_g *gort_self(void);

/**
 * gort_park - block until somebody calls gort_ready
 *
 * commit(g, arg) runs first, when the goroutine may already be made ready: it publishes g to whoever will wake it, and lets
 * go of the lock that guards that place. It must not block. False: do not park after all. NULL: park. Go:
 * runtime.gopark.
 *
 *     static bool enqueue(gort_g *g, void *arg) { struct queue *q = arg; q->waiter = g; unlock(q); return true; }
 *     lock(q); if (q->empty) gort_park(enqueue, q, "queue empty"); else unlock(q);
 */
GORT_API void gort_park(bool (*commit)(gort_g *g, void *arg), void *arg, gort_wait_reason why);

/**
 * gort_park_until - gort_park with a deadline
 *
 * 0, or -ETIMEDOUT when the deadline passed first. A deadline that has passed already: -ETIMEDOUT, and commit is not
 * called. Whoever wakes it must use a ticket, taken in commit: see gort_park_ticket.
 */
GORT_API int gort_park_until(bool (*commit)(gort_g *g, void *arg), void *arg, gort_wait_reason why, gort_time deadline);

/**
 * gort_ready - make a parked goroutine runnable
 *
 * Exactly once for each park. From any thread. Never blocks. Go: runtime.goready.
 */
GORT_API void gort_ready(gort_g *g);

/**
 * gort_park_ticket - the ticket of the park under way
 *
 * To be taken in commit, when several parties may wake the goroutine; each calls gort_try_ready with it, now or much later.
 */
GORT_API uint64_t gort_park_ticket(gort_g *g);

/**
 * gort_try_ready - make it runnable, unless somebody else was first
 *
 * True for the one that woke it. From any thread; also when the goroutine has long gone on. Never blocks.
 */
GORT_API bool gort_try_ready(gort_g *g, uint64_t ticket);

/* --- looking inside --------------------------------------------------------------------------------------------- */

enum { GORT_GUARD_NONE, GORT_GUARD_MPROTECT, GORT_GUARD_MADVISE };
enum { GORT_FENCE_ASYMMETRIC, GORT_FENCE_FULL };

/* Numbers about the scheduler. New ones come at the end. */
typedef struct gort_stats {
	/* now */
	uint64_t goroutines, runnable, running, waiting;        /* the last three about add up to the first */
	uint64_t procs, idle_procs;
	uint64_t threads, idle_threads, spinning_threads;       /* that run goroutines: ours, not those that only call in */
	uint64_t blocked_threads, detached_threads;     /* of them, whose P was taken while they blocked, and computed */
	uint64_t timers;                /* deadlines; those called off leave with a delay */
	uint64_t stacks;                /* reserved for goroutines, and ahead */
	uint64_t stack_slots, stack_bytes;      /* address space there is for them; memory is used as touched */
	/* since the start */
	uint64_t spawns, switches, parks, steals;
	uint64_t retakes, preemptions;  /* Ps taken from blocked threads, and from computing ones (or those interrupted) */
	uint64_t polls;
	/* how it works here */
	uint32_t guard;                 /* GORT_GUARD_...: what lies at the end of a stack */
	uint32_t fence;                 /* GORT_FENCE_FULL: no membarrier(2), so every entry pays for a fence */
	uint64_t threads_refused;       /* times that the system would not give another thread */
	uint64_t fd_waits;              /* times that gort_accept waited for a descriptor to become free */
} gort_stats;

/**
 * gort_stats_get - numbers about the scheduler
 *
 * size is sizeof(gort_stats) as the program knows it; what this library knows not is 0. 0, or -EINVAL for NULL or a size
 * of 0. Never blocks. From anywhere. Go: runtime.ReadMemStats, runtime/metrics.
 *
 *     gort_stats s;
 *     gort_stats_get(&s, sizeof s);
 *     printf("%llu goroutines\n", (unsigned long long)s.goroutines);
 */
GORT_API int gort_stats_get(gort_stats *out, size_t size);

/**
 * gort_traceback - write what every goroutine is doing to a file descriptor
 *
 * For each: its number and name, what it does or waits for, for how long, and its frames, innermost first, as Go prints
 * them; the caller's come first, plain threads that wait in one of our calls last, as "thread":
 *
 *     goroutine 7 "parser" [chan receive, 3 minutes]:
 *     gort_chan_recv(...)
 *             /src/libgort-chan/src/chan.c:261 +0x5b
 *     parse(...)
 *             /src/parser.c:88 +0x2c
 *
 * The time is in whole minutes, from when the wait was noticed, up to ten seconds after it began. Nothing is stopped
 * meanwhile: each goroutine is shown as it was at some moment of the call. A goroutine that computes gets a signal (SIGURG,
 * with SA_RESTART, ignored as ever before and after) to copy its stack, unless the program handles SIGURG itself; one
 * that sleeps in a system call is not disturbed. Frames without a name or line show the module and the place in it.
 *
 * 0, or a negative errno: of writing, or -EAGAIN when no thread can be had. Nothing is written before the scheduler has
 * started. Blocks. From anywhere. Go: pprof.Lookup("goroutine").WriteTo(w, 2), runtime.Stack(buf, true).
 *
 *     gort_traceback(STDERR_FILENO);
 */
GORT_API int gort_traceback(int fd);

/**
 * gort_trace_start, gort_trace_stop - write down what runs where and when
 *
 * To a file of JSON for Perfetto or Chrome's about:tracing: a track for each P, with what ran there, why it stopped, spawns,
 * steals and Ps taken back. Memory is bounded; events that come too fast to be written are left out, and counted on stderr
 * at the end. The file ends well at exit() too. 0 or a negative errno: -EBUSY while there is a trace, -EINVAL for no path or
 * for a stop without a trace, those of opening and writing the file. GORT_DEBUG=trace=PATH traces the whole program. May block
 * in the kernel. From anywhere. Go: runtime/trace.Start, Stop.
 *
 *     gort_trace_start("run.json"); ...; gort_trace_stop();
 */
GORT_API int gort_trace_start(const char *path);
GORT_API int gort_trace_stop(void);

/* --- errors and version ----------------------------------------------------------------------------------------- */

#define GORT_ENOHOST    (-10001)        /* no such host */
#define GORT_EHOSTAGAIN (-10002)        /* the name server did not answer; try again */
#define GORT_ESERVICE   (-10003)        /* no such service or port */
#define GORT_EADDRESS   (-10004)        /* malformed network address */

/**
 * gort_strerror - what a negative code of ours or an errno means
 *
 * err may be negative or positive. A static string, or one that lives until this thread's next call. Never blocks.
 */
GORT_API const char *gort_strerror(int err);

/** gort_version - "major.minor.patch" of the library that runs. */
GORT_API const char *gort_version(void);

GORT_EXTERN_C_END

#endif
