/* SPDX-License-Identifier: MIT */
/*
 * libgort-sync's queue.h in a form that the explorer can follow, for models that include that library's sources. The lists
 * themselves are not its memory: so the order of those in them, and a digest of what else the table's lock guards, is
 * written to words that are, at each change, and read by whoever takes the lock.
 *
 * A waiter parks on its note, whose value says what it is woken for.
 */
#ifndef MODEL_WAITQUEUE_H
#define MODEL_WAITQUEUE_H

#include "model.h"

#include "runtime.h"

#include <gort/sync.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GORT__SYNC_QUEUE_H      /* this stands in its place */

struct sync_waiter {
	struct sync_waiter *next, *prev;
	gort_g *g;
	const void *key;
	uint64_t ticket;
	gort_mutex *mutex;
	gort_time since;
	int64_t need;
	bool queued, granted, adopted, called, turns;
};

#define MS MODEL_THREADS
#define QUEUES 2
static gort_g gs[MS];
static uint32_t notes[MS];              /* WOKEN_NOTE and so on: what the waiter is woken for */
static gort_time clocks[MS];            /* each thread's own */
static gort_time hurry;                 /* how far a clock goes on at each look */
static bool may_spin;
static int may_spin_left[MS];
static uint32_t table_word;             /* the table's lock */
static struct sync_waiter **queues[QUEUES];
static uint32_t orders[QUEUES];         /* who is queued, the oldest in the lowest digit */
static uint64_t guarded;                /* the digest of what else it guards */
static uint64_t (*digest)(void);        /* NULL: nothing else */
static uint64_t armed;                  /* ticket + 1 of the one with a deadline */
static bool drop_wakes, drop_lock, drop_claims;

#define TIMED_OUT_NOTE 9

static void gort__sync_lock(const void *key)
{
	if (!drop_lock)
		model_lock(&table_word);
	for (int i = 0; i < QUEUES; i++)
		(void)gort__plain_read(&orders[i]);
	(void)gort__plain_read(&guarded);
}

static void gort__sync_unlock(const void *key)
{
	if (digest != NULL)
		gort__plain_write(&guarded, digest());
	if (!drop_lock)
		model_unlock(&table_word);
}

#define SYNC_READY 1u
#define SYNC_FENCED 2u
#define SYNC_TURN 4u
static uint32_t turns_word;             /* the table's word, one for all */
static struct sync_waiter *turning_list;        /* and its list */
static int outsider;                    /* a thread that the scheduler has not seen yet; -1: none is */

static inline uint32_t *sync_turns(const void *key)
{
	return &turns_word;
}

static inline struct sync_waiter **gort__sync_turning(const void *key)
{
	return &turning_list;
}

static void changed(struct sync_waiter **head)
{
	uint32_t digits = 0, at = 1, i = head == queues[0] ? 0 : 1;

	for (struct sync_waiter *w = *head; w != NULL; w = w->next, at *= MS + 1)
		digits += at * (uint32_t)(w->g - gs + 1);
	gort__plain_write(&orders[i], digits);
}

static inline void sync_push(struct sync_waiter **head, struct sync_waiter *w)
{
	struct sync_waiter **at = head;

	while (*at != NULL)
		at = &(*at)->next;
	w->next = NULL;
	w->queued = true;
	*at = w;
	changed(head);
}

static inline void sync_push_front(struct sync_waiter **head, struct sync_waiter *w)
{
	w->next = *head;
	w->queued = true;
	*head = w;
	changed(head);
}

static void sync_remove(struct sync_waiter **head, struct sync_waiter *w)
{
	struct sync_waiter **at = head;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->queued = false;
	changed(head);
}

static inline struct sync_waiter *sync_pop(struct sync_waiter **head)
{
	struct sync_waiter *w;

	while ((w = *head) != NULL) {
		sync_remove(head, w);
		if (w->ticket == 0 || w->adopted || gort__ticket_claim(w->g, w->ticket) || drop_claims)
			return w;
	}
	return NULL;
}

static inline void sync_wake_one(struct sync_waiter *w)
{
	uint32_t *note = &notes[w->g - gs];

	if (drop_wakes)
		return;
	gort__store_release(note, 1 + (uint32_t)w->granted + 2 * (uint32_t)w->called);
	model_futex_wake(note, 1);
}

struct sync_woken {
	struct sync_waiter *waiters[MS];
	int n;
};

static inline void sync_woken_init(struct sync_woken *l)
{
	l->n = 0;
}

static inline void sync_woken_add(struct sync_woken *l, struct sync_waiter *w)
{
	l->waiters[l->n++] = w;
}

static inline void sync_wake(struct sync_woken *l)
{
	for (int i = 0; i < l->n; i++)
		sync_wake_one(l->waiters[i]);
}

static inline void sync_prepare(gort__m *mp, struct sync_waiter *w, const char *why, gort_time deadline)
{
	w->g = &gs[model_self()];
	w->ticket = deadline != GORT_FOREVER ? gort__ticket_arm(w->g) : 0;
}

static inline int sync_park(gort__m **mpp, struct sync_waiter *w, gort_time deadline)
{
	uint32_t *note = &notes[model_self()], n;

	if (deadline != GORT_FOREVER)
		gort__store_release(&armed, w->ticket + 1);
	while ((n = gort__load_acquire(note)) == 0)
		model_futex_wait(note, 0);
	gort__store_relaxed(note, 0);
	return n == TIMED_OUT_NOTE ? -ETIMEDOUT : 0;
}

/* t is what armed says: the deadline of that wait, which is always thread 1's, passes. 0: it has not begun. */
static inline void deadline_passes(uint64_t t)
{
	if (t == 0 || !gort__ticket_claim(&gs[1], t - 1))
		return;
	gort__store_release(&notes[1], TIMED_OUT_NOTE);
	model_futex_wake(&notes[1], 1);
}

/* Once for each thread, so that both ways are gone. */
static inline bool sync_may_spin(gort__m *mp)
{
	return may_spin && may_spin_left[model_self()]-- > 0;
}

static inline void sync_pause(void)
{
}

static inline bool sync_too_late(gort_time deadline)
{
	return false;
}

static inline gort_time model_now(void)
{
	return clocks[model_self()] += hurry;
}

#define gort_now model_now
#define gort__enter() ((gort__m *)NULL)
#define gort__leave(mp) ((void)(mp))
#define gort__m_self() (model_self() != outsider ? (gort__m *)&outsider : NULL)
#define gort__park_undo(g) ((void)(g))
#define gort__fatal(words) model_fail("%s", words)
#define gort__panic(words) model_fail("%s", words)
#define gort__park(mp) (sync_park(&(gort__m *){ NULL }, NULL, GORT_FOREVER), (mp))

static inline void waitqueue_setup(void)
{
	static const char *const names[] = { "note 0", "note 1", "note 2", "note 3" };

	memset(gs, 0, sizeof gs);
	memset(clocks, 0, sizeof clocks);
	table_word = 0;
	guarded = 0;
	armed = 0;
	hurry = 1;
	turns_word = 0;
	turning_list = NULL;
	outsider = -1;
	may_spin = drop_wakes = drop_lock = drop_claims = false;
	model_name(&table_word, "table", NULL);
	model_name(&guarded, "guarded", NULL);
	model_name(&turns_word, "turns", NULL);
	model_name(&armed, "armed", NULL);
	for (int i = 0; i < QUEUES; i++) {
		orders[i] = 0;
		model_name(&orders[i], i == 0 ? "queue" : "second queue", NULL);
	}
	for (int i = 0; i < MS; i++) {
		notes[i] = 0;
		may_spin_left[i] = 1;
		model_name(&notes[i], names[i], NULL);
		model_name(&gs[i].wait, "ticket", NULL);
		model_name(&gs[i].wait_reason, "reason", NULL);
	}
}

#endif
