/* SPDX-License-Identifier: MIT */
/*
 * The atomic operations of the whole suite, named by what they do and in which order. A header that holds a lock-free
 * exchange includes this one and nothing of a system, so that tests/model can put its own atomic.h in front of it and
 * walk through every interleaving of the very source that runs.
 */
#ifndef GORT__ATOMIC_H
#define GORT__ATOMIC_H

#include <gort/attributes.h>
#include <gort/sanitize.h>

#include <stdbool.h>
#include <stdint.h>

#define gort__load_relaxed(p)      __atomic_load_n((p), __ATOMIC_RELAXED)
#define gort__load_acquire(p)      __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define gort__store_relaxed(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define gort__store_release(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Compare and swap: true when *p was *expected and is v now; else *expected is what was found. */
#define gort__cas_relaxed(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define gort__cas_acquire(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define gort__cas_release(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define gort__cas_acq_rel(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define gort__cas_seq_cst(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#define gort__xchg_acquire(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define gort__xchg_acq_rel(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

#define gort__or_acquire(p, v)     __atomic_fetch_or((p), (v), __ATOMIC_ACQUIRE)

#define gort__add_relaxed(p, v)    __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define gort__add_release(p, v)    __atomic_fetch_add((p), (v), __ATOMIC_RELEASE)
#define gort__add_acq_rel(p, v)    __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define gort__add_seq_cst(p, v)    __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

#ifdef GORT__TSAN
/* ThreadSanitizer knows no fences; a read-modify-write of one common word is as strong, to it and to the processor. */
extern GORT_API uint32_t gort__tsan_fence;
#define gort__fence_seq_cst()      ((void)__atomic_fetch_add(&gort__tsan_fence, 0, __ATOMIC_SEQ_CST))
#else
#define gort__fence_seq_cst()      __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif
/* Holds the compiler only: the near half of an asymmetric fence (fence.h has the far half). */
#define gort__fence_compiler()     __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* Memory that a protocol hands from one thread to another. Plain here; tests/model checks each touch for a race. */
#define gort__plain_read(p)        (*(p))
#define gort__plain_write(p, v)    ((void)(*(p) = (v)))

#define gort__likely(x)            __builtin_expect(!!(x), 1)
#define gort__unlikely(x)          __builtin_expect(!!(x), 0)

#endif
