/* SPDX-License-Identifier: MIT */
/*
 * The asymmetric fence. A hot path writes one word and reads another with only a compiler fence between; the rare
 * outsider writes, calls gort__fence_heavy() and reads. The heavy fence makes every running thread of the process pass
 * a full fence, so one of the two sees the other's write, as if both had fenced.
 *
 * Where the system has no such call (or a seccomp filter refuses it) gort__fenced is set once, before the scheduler's
 * first thread: then each hot path's word carries a bit that sends it to its slow path, which has a full fence of its
 * own. So the fast path tests nothing for it.
 */
#ifndef GORT__FENCE_H
#define GORT__FENCE_H

#include <gort/atomic.h>
#include <gort/attributes.h>

extern GORT_API bool gort__fenced;         /* valid after gort__fence_init */
GORT_API void gort__fence_init(void);      /* before the first lock or hold word is made; idempotent, from any thread */
GORT_API void gort__fence_heavy(void);

#endif
