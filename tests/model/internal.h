/* SPDX-License-Identifier: MIT */
/* What the memory and the search of the explorer share. */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include "model.h"

#define LOCS 40                 /* locations of a model, plain ones included */
#define STORES 48               /* stores to one of them in one execution */

/* What a thread, or the reader of a store, knows. */
struct know {
	uint8_t view[LOCS];             /* the oldest store of each location that may still be read */
	uint8_t clock[MODEL_THREADS];   /* how many plain accesses of each thread happened before */
};

struct store {
	uint64_t value;
	struct know with;               /* what an acquire load of it takes over */
};

struct loc {
	/* kept over all executions of a test */
	const void *at;
	uint8_t size;
	bool plain;
	uint8_t users, writers;         /* bit sets of threads, as learned so far */
	const char *name;
	void (*show)(char *buf, size_t size, uint64_t value);
	/* of this execution */
	uint8_t demoted;                /* MODEL_LOADS ... */
	bool split;
	bool spun;                      /* some thread has waited for a newer store to it; kept over all executions, as users */
	int n;                          /* stores[0] is what setup left; 0: not used yet */
	struct store stores[STORES];
	/* plain: who wrote last and who has read since, by their clocks; 0: nobody */
	uint8_t writer, written;
	uint8_t read[MODEL_THREADS];
};

enum status {
	READY,                          /* about to make its step, or to run up to its next one (resuming) */
	LOCKING,                        /* about to lock on, when it is free */
	SPINNING,                       /* waits for a newer store to on */
	SLEEPING,                       /* on the futex on */
	DONE,
};

struct thread {
	const char *name;
	enum status status;
	bool resuming;
	bool may_sleep;
	bool no_fences;
	struct loc *on;
	uint64_t past;                  /* hash of what its steps returned since the last mark */
	struct know now;                /* what it knows */
	struct know later;              /* and would know after an acquire fence: what its relaxed loads saw */
	uint8_t found[LOCS];            /* the store that its last load of each location found */
	struct know fenced;             /* what it knew at its last release fence: what its relaxed stores carry */
};

/* For the trace. */
enum event_kind {
	E_LOAD, E_STORE, E_CAS, E_CAS_FAILED, E_XCHG, E_ADD, E_READ, E_WRITE, E_FENCE, E_HEAVY, E_HEAVY_AT, E_SLEEP,
	E_NO_SLEEP, E_WAKE, E_LOCK, E_UNLOCK,
};

struct event {
	enum event_kind kind;
	uint8_t thread, other, order, behind;
	struct loc *loc;
	uint64_t a, b;
};

/* For hashes. Not symmetric, and zeros count. */
static inline uint64_t mix(uint64_t h, uint64_t v)
{
	h = h * 0xd6e8feb86659fd93u + v + 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 32) * 0xa0761d6478bd642fu;
	return h ^ h >> 29;
}

/* explore.c */
extern struct thread threads[MODEL_THREADS];
extern int nthreads;
extern struct thread *self;     /* the thread that runs */
extern bool direct;             /* in setup or finish: operations act on the memory itself */

unsigned live(void);            /* threads that are not done, as bits */
void step(struct loc *l, bool writes);  /* a place where others may run; l NULL: the step concerns everybody */
void learn(struct loc *l, bool writes); /* the thread uses l; part of step */
void wait_for(enum status status, struct loc *l);       /* others run until it is over */
unsigned choose(unsigned n);    /* explores each answer */
void record(enum event_kind kind, struct loc *l, uint64_t a, uint64_t b, unsigned order, unsigned behind);
void record_other(enum event_kind kind, struct loc *l, unsigned thread);

/* memory.c */
extern struct loc locs[LOCS];
extern int nlocs;
extern bool no_heavy;
extern uint8_t fences[LOCS];    /* the view that seq_cst fences pass on */

void memory_forget(void);       /* before a test */
void memory_reset(void);        /* before an execution */
struct loc *loc_find(const void *at);   /* or NULL */
uint64_t loc_newest(struct loc *l);
uint64_t peek(const void *at, size_t size);     /* what the real memory holds: the newest value */

/* state.c */
uint64_t state_hash(int alike);

#endif
