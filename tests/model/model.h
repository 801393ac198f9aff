/* SPDX-License-Identifier: MIT */
/*
 * A small explorer of interleavings, weak memory included.
 *
 * A model is a few threads of some dozen atomic operations each, written with the very headers (and lock.c) that
 * the libraries are made of: include/gort/atomic.h in this folder stands in front of core's and makes each operation a
 * step. The explorer runs the threads as coroutines of one thread, again and again, until every order of their steps
 * and every value that a load may legally return has been seen, or something is wrong: an assertion, a data race on
 * plain memory, threads that sleep for ever. It then prints the steps that led there.
 *
 * The memory (memory.c). It is that of C11, made operational in the usual way. Each location keeps all its stores, in
 * the order of execution; each thread keeps for each location the oldest store that it may still read (its view) and,
 * for each other thread, how many of its plain accesses happened before (its clock). A store carries its thread's view
 * and clock, as they are now (release) or were at its last fence (relaxed); an acquire load takes over what the store
 * carried; a read-modify-write reads the newest store and passes on what that one carried. A seq_cst fence also
 * exchanges views, not clocks, with all such fences before it. A seq_cst read-modify-write is no fence: the C standard
 * does not make it one, and arm64 before LSE does not. The heavy fence is a full fence of the caller, then one of each
 * other thread, one after another in any order and with other steps between (so arrive the interrupts of membarrier),
 * then one more of the caller; it exchanges views only, so that what is handed over by plain memory still needs its
 * release and acquire. Not shown are behaviours in which a store overtakes an earlier load or an earlier store of the
 * same thread to another location becomes older than one already seen (load buffering, 2+2W): no exchange of ours
 * rests on their absence, but the explorer would not notice if one did.
 *
 * Plain accesses and operations on locations that no other live thread uses (or, for loads, writes) are no places to
 * switch: they commute with whatever others do. Who uses what is learned on the way; when a new user turns up, the
 * exploration starts afresh, so what counts in the end was explored with the right sets throughout.
 *
 * The search (explore.c) is depth first by re-execution, and prunes by state: the memory, what each thread knows of
 * it, and each thread's own state, which is a function of all values that its steps returned and so is stood for by
 * their hash (model_mark makes it shorter). Nothing is left out but by equal 64-bit hashes: less than 1 in 10^7 for a
 * million states. There is no bound on preemptions, so a model that passes has been explored completely. Memory that
 * neither the macros nor model_lock touch must be a thread's own and follow from its marks, or the hash would not know.
 *
 * Futexes block. There are no spurious wakeups and no timeouts: either only could hide a lost wakeup. A thread that
 * would spin says so by model_spin, and goes on when there is a newer value to be seen.
 *
 * Each model comes with faults: variants in which an order is demoted, a fence dropped or a step replaced by a
 * careless copy, and in which the explorer must find the bug. They show that the model can fail.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- a test and its threads --- */

#define MODEL_THREADS 4

typedef struct model_test {
	const char *name;
	void (*setup)(void);                    /* before each execution: plain stores to the model's memory, names */
	struct {
		const char *name;
		void (*fn)(void);
	} threads[MODEL_THREADS];
	void (*finish)(void);                   /* after each execution that came to its end; asserts */
	void (*fault)(void);                    /* called after setup: what to weaken */
	const char *finds;                      /* what the message of the failure contains; NULL: there must be none */
	int alike;                              /* the last so many threads do the same, and nothing else tells them apart */
	bool lengthy;                           /* takes over five seconds: run only with MODEL_LENGTHY=1 */
} model_test;

/* Runs them and prints TAP. 0 or an exit status. MODEL_TRACE=1 prints the steps that found a fault, too. */
int model_main(const model_test *tests, int n);

/* Ends the execution with a failure. */
void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define model_assert(x) ((x) ? (void)0 : model_fail("assertion failed: %s (%s:%d)", #x, __FILE__, __LINE__))

/* For the output. show writes the value readably; NULL: as a number. */
void model_name(const void *at, const char *name, void (*show)(char *buf, size_t size, uint64_t value));

/*
 * The calling thread's locals that still matter are a function of n, and the rest of its run of n and those: makes
 * states equal that differ only in how the thread came here.
 */
void model_mark(uint64_t n);

/* To be called when a load of *at has returned what the thread does not want: waits for a newer store. */
void model_spin(const void *at);

/* The threads may end asleep on a futex: finish asks which do. */
void model_may_sleep(void);
bool model_asleep(int thread);
int model_self(void);

/* A mutex with acquire and release and nothing else, where the lock's own insides are not what is looked at. */
void model_lock(uint32_t *word);
void model_unlock(uint32_t *word);

/* --- weakening; in force for one execution --- */

/* Operations of these kinds on *at become relaxed. */
enum { MODEL_LOADS = 1, MODEL_STORES = 2, MODEL_RMWS = 4 };
void model_demote(const void *at, int kinds);
/* A read-modify-write on *at becomes a load and a store. */
void model_split(const void *at);
/* This thread's fences do nothing. */
void model_drop_fences(int thread);
/* No thread's heavy fence reaches the others. */
void model_drop_heavy(void);

/* --- what atomic.h is made of --- */

typedef enum model_order {
	MODEL_RELAXED = 0,
	MODEL_ACQUIRE = 1,
	MODEL_RELEASE = 2,
	MODEL_ACQ_REL = 3,
	MODEL_SEQ_CST = 7,
} model_order;

const void *model_load(const void *at, size_t size, void *out, model_order order);
void model_store(void *at, size_t size, const void *value, model_order order);
bool model_cas(void *at, size_t size, void *expected, const void *value, model_order order, model_order failed);
void model_xchg(void *at, size_t size, const void *value, void *out, model_order order);
void model_add(void *at, size_t size, const void *value, void *out, model_order order);
void model_fence(void);
void model_fence_heavy(void);
const void *model_plain_read(const void *at, size_t size);
void model_plain_write(const void *at, size_t size);
void model_futex_wait(const uint32_t *word, uint32_t expected);
void model_futex_wake(const uint32_t *word, int n);

#endif
