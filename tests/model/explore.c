/* SPDX-License-Identifier: MIT */
/*
 * The search: threads as coroutines, a stack of choices that each execution follows and the next one changes at its
 * end, and the set of states seen. See model.h.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define CHOICES 4096
#define EVENTS 4096
#define STACK_SIZE (64 * 1024)
#define EXECUTIONS_MAX 20000000

struct thread threads[MODEL_THREADS];
int nthreads;
struct thread *self;
bool direct;

static const model_test *test;
static ucontext_t contexts[MODEL_THREADS], explorer;
static unsigned char stacks[MODEL_THREADS][STACK_SIZE] __attribute__((aligned(64)));

/* how the execution ended */
static enum { RUNNING, ENDED, PRUNED, FAILED, RELEARN } verdict;
static char message[512];

static struct {
	uint8_t n, at;
} choices[CHOICES];
static int nchoices, depth;     /* of those made so far, how many this execution has followed */

static struct event events[EVENTS];
static int nevents;

static struct {
	unsigned long executions, steps, states;
} count;

/* --- the set of states --- */

static uint64_t *seen;
static size_t seen_size;

static void seen_forget(void)
{
	free(seen);
	seen_size = 1 << 16;
	seen = calloc(seen_size, sizeof *seen);
	if (seen == NULL)
		abort();
	count.states = 0;
}

/* False: it is there already. */
static bool seen_add(uint64_t h)
{
	size_t i;

	h += h == 0;
	if (2 * count.states >= seen_size) {
		uint64_t *old = seen;
		size_t size = seen_size;

		seen_size *= 4;
		seen = calloc(seen_size, sizeof *seen);
		if (seen == NULL)
			abort();
		count.states = 0;
		for (i = 0; i < size; i++) {
			if (old[i] != 0)
				seen_add(old[i]);
		}
		free(old);
	}
	for (i = h & (seen_size - 1); seen[i] != 0; i = (i + 1) & (seen_size - 1)) {
		if (seen[i] == h)
			return false;
	}
	seen[i] = h;
	count.states++;
	return true;
}

/* --- choosing --- */

/* Back to the explorer for good: the threads' stacks are used afresh by the next execution. */
static void leave(int how) __attribute__((noreturn));
static void leave(int how)
{
	verdict = how;
	setcontext(&explorer);
	abort();
}

unsigned choose(unsigned n)
{
	unsigned at = 0;

	if (n <= 1)
		return 0;
	if (depth < nchoices) {
		if (choices[depth].n != n)
			model_fail("the model is not deterministic");
		at = choices[depth].at;
	} else {
		if (nchoices == CHOICES)
			model_fail("endless: more than %d choices", CHOICES);
		choices[nchoices].n = (uint8_t)n;
		choices[nchoices++].at = 0;
	}
	depth++;
	return at;
}

/* On to the next combination of choices; false: all have been made. */
static bool next(void)
{
	while (nchoices > 0 && choices[nchoices - 1].at + 1 == choices[nchoices - 1].n)
		nchoices--;
	if (nchoices == 0)
		return false;
	choices[nchoices - 1].at++;
	return true;
}

unsigned live(void)
{
	unsigned set = 0;

	for (int t = 0; t < nthreads; t++)
		set |= threads[t].status != DONE ? 1u << t : 0;
	return set;
}

static bool enabled(struct thread *t)
{
	switch (t->status) {
	case READY:
		return true;
	case LOCKING:
		return loc_newest(t->on) == 0;
	case SPINNING:
		return t->on->n - 1 > t->found[t->on - locs];
	default:
		return false;
	}
}

static void stuck(void)
{
	bool all_may = true;
	char who[256] = "";

	for (int t = 0; t < nthreads; t++) {
		struct thread *th = &threads[t];

		if (th->status == DONE || (th->status == SLEEPING && th->may_sleep))
			continue;
		all_may = false;
		snprintf(who + strlen(who), sizeof who - strlen(who), "%s%s %s %s", who[0] != '\0' ? ", " : "", th->name,
			 th->status == LOCKING ? "locks" : th->status == SPINNING ? "spins on" : "sleeps on",
			 th->on->name != NULL ? th->on->name : "?");
	}
	if (!all_may)
		model_fail("deadlock: %s", who);
	if (test->finish != NULL) {
		direct = true;
		test->finish();
	}
	leave(ENDED);
}

static void run(struct thread *t)
{
	struct thread *from = self;

	if (t == from)
		return;
	self = t;
	if (from == NULL || from->status == DONE)
		setcontext(&contexts[t - threads]);
	else
		swapcontext(&contexts[from - threads], &contexts[t - threads]);
}

/* Who goes on? Returns when it is the caller. */
static void pick(void)
{
	struct thread *can[MODEL_THREADS];
	unsigned n = 0;

	for (struct thread *t = threads; t < threads + nthreads; t++) {
		if (t->resuming) {
			/* runs up to its next step, which concerns nobody */
			t->resuming = false;
			run(t);
			return;
		}
	}
	if (enabled(self))
		can[n++] = self;
	for (struct thread *t = threads; t < threads + nthreads; t++) {
		if (t != self && enabled(t))
			can[n++] = t;
	}
	if (n == 0)
		stuck();
	if (depth == nchoices && !seen_add(state_hash(test->alike)))
		leave(PRUNED);
	run(can[choose(n)]);
}

void learn(struct loc *l, bool writes)
{
	uint8_t me = (uint8_t)(1u << (self - threads));

	if ((l->users & me) && (!writes || (l->writers & me)))
		return;
	l->users |= me;
	if (writes)
		l->writers |= me;
	leave(RELEARN);
}

void step(struct loc *l, bool writes)
{
	uint8_t me = (uint8_t)(1u << (self - threads));

	if (l != NULL) {
		learn(l, writes);
		if (((writes ? l->users : l->writers) & ~me) == 0)
			return;
	}
	count.steps++;
	pick();
}

void wait_for(enum status status, struct loc *l)
{
	self->status = status;
	self->on = l;
	pick();
	self->status = READY;
	self->on = NULL;
}

int model_self(void)
{
	return (int)(self - threads);
}

void model_may_sleep(void)
{
	self->may_sleep = true;
}

bool model_asleep(int thread)
{
	return threads[thread].status == SLEEPING;
}

void model_mark(uint64_t n)
{
	if (!direct)
		self->past = mix(0x6d61726b, n);
}

static void body(int t)
{
	test->threads[t].fn();
	self->status = DONE;
	pick();
	abort();
}

/* --- the trace --- */

void record(enum event_kind kind, struct loc *l, uint64_t a, uint64_t b, unsigned order, unsigned behind)
{
	struct event *e = &events[nevents];

	if (nevents == EVENTS)
		model_fail("endless: more than %d steps", EVENTS);
	nevents++;
	e->kind = kind;
	e->thread = (uint8_t)(self - threads);
	e->other = UINT8_MAX;
	e->order = (uint8_t)order;
	e->behind = (uint8_t)behind;
	e->loc = l;
	e->a = a;
	e->b = b;
	self->past = mix(mix(self->past, (uint64_t)kind << 32 | (uint64_t)(l != NULL ? l - locs : -1)), mix(a, b));
}

void record_other(enum event_kind kind, struct loc *l, unsigned thread)
{
	record(kind, l, thread, 0, 0, 0);
	events[nevents - 1].other = (uint8_t)thread;
}

static void show(char *buf, size_t size, struct loc *l, uint64_t v)
{
	if (l->show != NULL)
		l->show(buf, size, v);
	else if (v > 0xffff)
		snprintf(buf, size, "0x%llx", (unsigned long long)v);
	else
		snprintf(buf, size, "%llu", (unsigned long long)v);
}

static void print_event(const struct event *e)
{
	static const char *const orders[] = { "relaxed", "acquire", "release", "acq_rel", "", "", "", "seq_cst" };
	static const char *const kinds[] = {
		"load", "store", "cas", "cas fails", "xchg", "add", "plain read", "plain write", "fence", "heavy fence",
		"heavy fence reaches", "futex wait: sleeps", "futex wait: returns", "futex wake", "locks", "unlocks",
	};
	char a[64] = "", b[64] = "", name[32];

	printf("#   %-10s ", threads[e->thread].name);
	if (e->other != UINT8_MAX) {
		printf("%s %s\n", e->kind == E_WAKE ? "wakes" : kinds[e->kind], threads[e->other].name);
		return;
	}
	if (e->loc == NULL) {
		printf("%s\n", kinds[e->kind]);
		return;
	}
	show(a, sizeof a, e->loc, e->a);
	show(b, sizeof b, e->loc, e->b);
	snprintf(name, sizeof name, "%s", e->loc->name != NULL ? e->loc->name : "?");
	switch (e->kind) {
	case E_LOAD:
		printf("load %s %s -> %s", orders[e->order], name, a);
		break;
	case E_STORE:
		printf("store %s %s = %s", orders[e->order], name, a);
		break;
	case E_CAS:
	case E_XCHG:
	case E_ADD:
		printf("%s %s %s: %s => %s", kinds[e->kind], orders[e->order], name, a, b);
		break;
	case E_CAS_FAILED:
		printf("cas %s %s fails: %s, not %s", orders[e->order], name, a, b);
		break;
	case E_READ:
		printf("plain read %s -> %s", name, a);
		break;
	case E_WRITE:
		printf("plain write %s = %s", name, a);
		break;
	default:
		printf("%s %s", kinds[e->kind], name);
		break;
	}
	if (e->behind > 0)
		printf("   (%u newer)", e->behind);
	printf("\n");
}

void model_fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof message, format, ap);
	va_end(ap);
	leave(FAILED);
}

/* --- running --- */

static void execute(void)
{
	volatile bool back = false;

	count.executions++;
	depth = nevents = 0;
	direct = true;
	memset(threads, 0, sizeof threads);
	memory_reset();
	for (nthreads = 0; nthreads < MODEL_THREADS && test->threads[nthreads].fn != NULL; nthreads++) {
		ucontext_t *c = &contexts[nthreads];

		threads[nthreads].name = test->threads[nthreads].name;
		threads[nthreads].resuming = true;
		/* later ones are as good to be made over: getcontext is a system call */
		if (c->uc_stack.ss_sp == NULL)
			getcontext(c);
		c->uc_stack.ss_sp = stacks[nthreads];
		c->uc_stack.ss_size = STACK_SIZE;
		c->uc_link = NULL;
		makecontext(c, (void (*)(void))(uintptr_t)body, 1, nthreads);
	}
	verdict = RUNNING;
	self = NULL;
	getcontext(&explorer);
	if (back)
		return;
	back = true;
	test->setup();
	if (test->fault != NULL)
		test->fault();
	direct = false;
	pick();
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void explore(void)
{
	do {
		execute();
		if (verdict == FAILED)
			return;
		if (verdict == RELEARN) {
			nchoices = 0;
			seen_forget();
		} else if (!next()) {
			return;
		}
	} while (count.executions < EXECUTIONS_MAX);
	snprintf(message, sizeof message, "not finished after %d executions", EXECUTIONS_MAX);
	verdict = FAILED;
}

static bool run_test(int number)
{
	double start = now();
	bool failed, ok;

	if (test->lengthy && getenv("MODEL_LENGTHY") == NULL) {
		printf("ok %d - %s # SKIP set MODEL_LENGTHY=1\n", number, test->name);
		return true;
	}
	memory_forget();
	memset(&count, 0, sizeof count);
	nchoices = 0;
	seen_forget();
	explore();
	failed = verdict == FAILED;
	ok = test->finds == NULL ? !failed : failed && strstr(message, test->finds) != NULL;
	printf("%s %d - %s (%s%lu executions, %lu states, %.0f ms)\n", ok ? "ok" : "not ok", number, test->name,
	       test->finds != NULL ? "found after " : "", count.executions, count.states, (now() - start) * 1e3);
	if (test->finds != NULL && !failed)
		printf("# the fault was not found\n");
	if (failed && (!ok || getenv("MODEL_TRACE") != NULL)) {
		printf("# %s\n", message);
		for (int i = 0; i < nevents; i++)
			print_event(&events[i]);
	}
	fflush(stdout);
	return ok;
}

int model_main(const model_test *tests, int n)
{
	int bad = 0;

	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		test = &tests[i];
		bad += !run_test(i + 1);
	}
	seen_forget();
	free(seen);
	return bad > 0;
}
