/* SPDX-License-Identifier: MIT */
/*
 * Stands in front of libgort-core/private/gort/atomic.h when the suite's own sources are compiled for the explorer: the
 * same names, each of them a step of a model thread (../../model.h says what the steps mean). A name that core's
 * header gets has to be added here too; the compiler says so.
 */
#ifndef GORT__ATOMIC_H
#define GORT__ATOMIC_H

#include "../../model.h"

#include <stdbool.h>
#include <stdint.h>

#define MODEL__VALUE(p, v)         (&(__typeof__(*(p))){ (v) })
#define MODEL__LOAD(p, order) \
	(*(__typeof__(*(p)) *)model_load((p), sizeof *(p), &(uint64_t){ 0 }, order))
#define MODEL__STORE(p, v, order)  model_store((p), sizeof *(p), MODEL__VALUE(p, v), order)
#define MODEL__CAS(p, expected, v, order, failed) \
	model_cas((p), sizeof *(p), (expected), MODEL__VALUE(p, v), order, failed)
#define MODEL__XCHG(p, v, order) __extension__({ \
	__typeof__(*(p)) model_old_; \
	model_xchg((p), sizeof *(p), MODEL__VALUE(p, v), &model_old_, order); \
	model_old_; })
#define MODEL__ADD(p, v, order) __extension__({ \
	__typeof__(*(p)) model_old_; \
	model_add((p), sizeof *(p), MODEL__VALUE(p, v), &model_old_, order); \
	model_old_; })

#define gort__load_relaxed(p)      MODEL__LOAD(p, MODEL_RELAXED)
#define gort__load_acquire(p)      MODEL__LOAD(p, MODEL_ACQUIRE)
#define gort__store_relaxed(p, v)  MODEL__STORE(p, v, MODEL_RELAXED)
#define gort__store_release(p, v)  MODEL__STORE(p, v, MODEL_RELEASE)

#define gort__cas_relaxed(p, expected, v) MODEL__CAS(p, expected, v, MODEL_RELAXED, MODEL_RELAXED)
#define gort__cas_acquire(p, expected, v) MODEL__CAS(p, expected, v, MODEL_ACQUIRE, MODEL_RELAXED)
#define gort__cas_release(p, expected, v) MODEL__CAS(p, expected, v, MODEL_RELEASE, MODEL_RELAXED)
#define gort__cas_acq_rel(p, expected, v) MODEL__CAS(p, expected, v, MODEL_ACQ_REL, MODEL_ACQUIRE)
#define gort__cas_seq_cst(p, expected, v) MODEL__CAS(p, expected, v, MODEL_SEQ_CST, MODEL_SEQ_CST)

#define gort__xchg_acquire(p, v)   MODEL__XCHG(p, v, MODEL_ACQUIRE)
#define gort__xchg_acq_rel(p, v)   MODEL__XCHG(p, v, MODEL_ACQ_REL)

/* A few more steps than the one that it is, and so a few more orders. */
#define gort__or_acquire(p, v) __extension__({ \
	__typeof__(*(p)) model_or_ = gort__load_relaxed(p); \
	while (!gort__cas_acquire(p, &model_or_, model_or_ | (v))) \
		; \
	model_or_; })

#define gort__add_relaxed(p, v)    MODEL__ADD(p, v, MODEL_RELAXED)
#define gort__add_acq_rel(p, v)    MODEL__ADD(p, v, MODEL_ACQ_REL)
#define gort__add_seq_cst(p, v)    MODEL__ADD(p, v, MODEL_SEQ_CST)

#define gort__fence_seq_cst()      model_fence()
/* Orders nothing at run time, so it is no step: what the code needs beyond it must come from the far half. */
#define gort__fence_compiler()     ((void)0)

/* The write's value is worked out first: it may hold steps of its own. */
#define gort__plain_read(p)        (*(__typeof__(p))model_plain_read((p), sizeof *(p)))
#define gort__plain_write(p, v)    ((void)(*(p) = (v)), model_plain_write((p), sizeof *(p)))

#define gort__likely(x)            (x)
#define gort__unlikely(x)          (x)

#endif
