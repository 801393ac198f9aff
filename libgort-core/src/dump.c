/* SPDX-License-Identifier: MIT */
/*
 * What a traceback is made of: every goroutine with its state and frames, as Go prints them.
 *
 * The program goes on meanwhile. Nothing here stops a goroutine, takes a lock of the scheduler or is waited for by one, so
 * what is looked at may change, be reused or go away at any moment. The rules that make that safe:
 *
 *   - Descriptors (G and M) are never unmapped. They are read by copying all of one through the kernel (gort__os_peek), and
 *     so are stacks, which may be unmapped meanwhile: nothing that is read here can fault.
 *   - A parked goroutine's stack does not change while it is parked. So: copy the descriptor, copy the stack from the saved
 *     stack pointer, copy the descriptor again. If it says the same both times (same id, waiting, off its stack, same
 *     context, same ticket), the goroutine has been parked all the time, or has run and parked again in the very same
 *     place; then frames further up may be of either time. Otherwise try again. Unwinding works on the copy.
 *   - A thread that runs is asked by a signal to copy its own stack, and goes on. One that sleeps in the kernel is not
 *     disturbed: the kernel says where it sleeps, before and after the copy.
 *   - A frame pointer or a table may say anything: unwinding moves up the stack with every frame, reads inside of it only,
 *     and ends after a while.
 *
 * Frames are collected first, and turned into words afterwards; that takes the dynamic linker's lock and malloc's. Who calls
 * holds neither (traceback.c).
 */
#include "dump.h"

#include "runtime.h"

#include "landing.h"
#include "symbols/symbols.h"
#include "unwind/unwind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY ((size_t)64 * 1024)        /* of each stack */
#define HEAD 32                         /* printed of stacks deeper than GORT__FRAMES */
#define DEEP 200000                     /* frames walked in search of the outermost ones */
#define TEXTS 512                       /* remembered, since many goroutines wait in the same places */

enum kind { OTHER, PUBLIC, INTERNAL, BASE, CALL };

struct text {
	uintptr_t pc;                   /* 0: unused */
	uintptr_t function;             /* where it begins; 0: not known */
	enum kind kind;
	char s[800];
};

struct entry {
	uint64_t id;
	gort_g *g;
};

/* All of one dump. One at a time (busy), and large: not on a stack, nor malloc's. */
static struct {
	uint32_t busy;                  /* 0 free, 1 taken, 2 and waited for; the exclusion of all the rest */
	int fd;
	int err;                        /* of writing; the first */
	gort_g *self;                   /* printed first, as running; NULL: nobody */
	const struct gort__regs *regs;  /* where it stands, if it is not parked: it waits for us */
	const struct gort__frames *given;       /* its frames, when it has left them already; else NULL */
	bool signals;                   /* running threads may be asked */
	uint32_t lines;                 /* grows as long as we get on; (r) */
	size_t n;                       /* in out */
	char out[4096];
	struct gort__regs at;           /* of the stack that is looked at */
	struct gort__view view;
	unsigned char copy[COPY];
	struct gort__frames frames;
	struct gort__symbol symbol;
	struct text text[TEXTS];
} dump;

/* --- writing --- */

static void flush(void)
{
	if (dump.err == 0)
		dump.err = gort__os_write(dump.fd, dump.out, dump.n);
	dump.n = 0;
}

static void put(const char *s)
{
	size_t len = strlen(s);

	gort__store_relaxed(&dump.lines, dump.lines + 1);
	while (len > 0) {
		size_t k = sizeof dump.out - dump.n;

		if (k > len)
			k = len;
		memcpy(dump.out + dump.n, s, k);
		dump.n += k;
		s += k;
		len -= k;
		if (dump.n == sizeof dump.out)
			flush();
	}
}

/* Somebody else's text: one line, whatever is in it. */
static void put_safe(const char *s, size_t most)
{
	char line[128];
	size_t n = 0;

	for (; n < most && n < sizeof line - 1 && s[n] != '\0'; n++)
		line[n] = (unsigned char)s[n] < ' ' || s[n] == '"' || s[n] == '\x7f' ? '?' : s[n];
	line[n] = '\0';
	put(line);
}

/* --- frames --- */

bool gort__frames_add(struct gort__frames *f, uintptr_t pc, bool exact)
{
	size_t i = f->n++;

	pc -= exact ? 0 : 1;
	if (i < GORT__FRAMES)
		f->pc[i] = pc;
	f->tail[i % GORT__FRAMES_TAIL] = pc;
	return f->n < DEEP;
}

static bool add_frame(void *arg, uintptr_t pc, bool exact)
{
	return gort__frames_add(&dump.frames, pc, exact);
}

static uintptr_t frame(size_t i)
{
	return i < GORT__FRAMES ? dump.frames.pc[i] : dump.frames.tail[i % GORT__FRAMES_TAIL];
}

/* Makes the stack [lo, hi) the one that is looked at, with a copy from sp on. False: nothing to be seen. */
static bool copy_stack(uintptr_t sp, uintptr_t lo, uintptr_t hi)
{
	struct gort__view *v = &dump.view;

	dump.frames.n = 0;
	v->lo = sp > lo ? sp : lo;
	v->hi = hi;
	v->copy = dump.copy;
	v->copied = v->lo;
	v->still = false;
	v->stack.n = v->other.n = v->n = 0;
	if (sp >= hi || hi - sp < sizeof sp)
		return false;
	v->n = gort__os_peek(dump.copy, v->copied, hi - v->copied < COPY ? hi - v->copied : COPY);
	return v->n > 0;
}

static void unwind(bool still)
{
	dump.frames.n = 0;
	dump.view.still = still;
	gort__unwind(&dump.view, &dump.at, add_frame, NULL);
}

/* Where a goroutine's stack is. A plain thread's: from where it stands on, and peeking finds its end. */
static void bounds(const gort_g *g, uintptr_t sp, uintptr_t *lo, uintptr_t *hi)
{
	bool ours = !(g->flags & GORT__G_BOUND);

	*lo = ours ? g->stack_lo : sp;
	*hi = ours ? g->stack_hi : sp < UINTPTR_MAX - ((uintptr_t)1 << 30) ? sp + ((uintptr_t)1 << 30) : UINTPTR_MAX;
}

static bool same_wait(const gort_g *a, const gort_g *b)
{
	return a->id == b->id && a->status == b->status && a->flags == b->flags && a->wait == b->wait &&
	       a->wait_reason == b->wait_reason && memcmp(&a->ctx, &b->ctx, offsetof(gort__ctx, seen)) == 0;
}

/* The frames of a goroutine that g, copied from *gp, says is parked. False: it no longer is. */
static bool frames_of_parked(gort_g *gp, const gort_g *g)
{
	uintptr_t lo, hi, sp;
	gort_g now;

	dump.frames.n = 0;
	if (!gort__regs_of_ctx(&dump.at, &g->ctx))
		return true;
	sp = dump.at.r[GORT__REG_SP];
	bounds(g, sp, &lo, &hi);
	if (sp < lo || !copy_stack(sp, lo, hi))
		return gort__os_peek(&now, (uintptr_t)gp, sizeof now) != sizeof now || same_wait(g, &now);
	if (gort__os_peek(&now, (uintptr_t)gp, sizeof now) != sizeof now || !same_wait(g, &now))
		return false;
	unwind(true);
	if (gort__os_peek(&now, (uintptr_t)gp, sizeof now) != sizeof now || !same_wait(g, &now))
		unwind(false);          /* the part that was copied is good */
	return true;
}

struct asked {
	gort_g *g;
	uint64_t id;
	bool right;             /* the thread was running that goroutine */
};

/* On the thread that is asked, in a signal handler. */
static void copy_own_stack(void *arg, const void *uc)
{
	struct asked *a = arg;
	gort__m *mp = gort__m_self();
	uintptr_t lo, hi, sp;

	a->right = mp != NULL && mp->curg == a->g && a->g->id == a->id && gort__regs_of_signal(&dump.at, uc);
	if (!a->right)
		return;
	sp = dump.at.r[GORT__REG_SP];
	bounds(a->g, sp, &lo, &hi);
	a->right = sp >= lo && copy_stack(sp, lo, hi);
}

static uint32_t tid_of(gort__m *mp)
{
	gort__m m;

	return mp != NULL && gort__os_peek(&m, (uintptr_t)mp, sizeof m) == sizeof m ? m.tid : 0;
}

struct runner {
	gort_g *g;
	uint32_t tid;
};

static bool runs(gort__m *mp, void *arg)
{
	struct runner *r = arg;
	gort__m m;

	if (gort__os_peek(&m, (uintptr_t)mp, sizeof m) != sizeof m || m.tid == 0 || m.curg != r->g)
		return true;
	r->tid = m.tid;
	return false;
}

/* The frames of a goroutine that g says is running. What it does, or NULL: it no longer is. */
static const char *frames_of_running(gort_g *gp, const gort_g *g)
{
	struct runner r = { gp, 0 };
	struct asked a = { gp, g->id, false };
	uintptr_t lo, hi, sp, pc, sp_now, pc_now;

	dump.frames.n = 0;
	gort__m_each(runs, &r);
	if (r.tid == 0)
		return NULL;
	switch (gort__os_thread_state(r.tid)) {
	case 'R':
		if (!dump.signals)
			return "running";
		if (!gort__os_interrupt(r.tid, copy_own_stack, &a, gort_deadline(100 * GORT_MILLISECOND)))
			return "running";
		if (!a.right)
			return NULL;
		unwind(false);
		return "running";
	case 'S':
	case 'D':
		if (!gort__os_thread_blocked_at(r.tid, &sp, &pc))
			return NULL;
		bounds(g, sp, &lo, &hi);
		if (sp < lo || !copy_stack(sp, lo, hi))
			return "syscall";
		if (!gort__os_thread_blocked_at(r.tid, &sp_now, &pc_now) || sp_now != sp || pc_now != pc)
			return NULL;
		dump.at.known = 0;
		dump.at.exact = true;
		gort__regs_set(&dump.at, GORT__REG_SP, sp);
		gort__regs_set(&dump.at, GORT__REG_PC, pc);
		unwind(false);
		return "syscall";
	default:
		return "running";
	}
}

/* --- words --- */

/* at: where it begins */
static enum kind kind_of(const char *function, uintptr_t at)
{
	if (at != 0 && (gort__sched_is_base(at) || gort__run_is_base(at) || at == (uintptr_t)gort__landing_call))
		return BASE;
	if (strcmp(function, "call") == 0)
		return CALL;
	if (strncmp(function, "gort__", 6) == 0 || strcmp(function, "switch_to") == 0)
		return INTERNAL;
	return strncmp(function, "gort_", 5) == 0 ? PUBLIC : OTHER;
}

/* Good until the next call. */
static const struct text *text_of(uintptr_t pc)
{
	struct text *t = &dump.text[(pc ^ pc >> 9) % TEXTS];
	struct gort__symbol *s = &dump.symbol;
	const char *function;

	if (t->pc == pc)
		return t;
	gort__symbols_find(pc, s);
	t->pc = pc;
	t->function = s->function[0] != '\0' ? pc - s->in_function : 0;
	t->kind = kind_of(s->function, t->function);
	function = s->function[0] != '\0' ? s->function : "?";
	if (s->file[0] != '\0')
		snprintf(t->s, sizeof t->s, "%s(...)\n\t%s:%d +0x%llx\n", function, s->file, s->line,
			(unsigned long long)s->in_function);
	else if (s->module[0] != '\0')
		snprintf(t->s, sizeof t->s, "%s(...)\n\t%s+0x%llx\n", function, s->module, (unsigned long long)s->in_module);
	else
		snprintf(t->s, sizeof t->s, "%s(...)\n\t0x%llx\n", function, (unsigned long long)pc);
	return t;
}

/* Is pc in fn? Where neither has a name nobody can tell, and the answer is yes. */
static bool is_in(uintptr_t pc, void (*fn)(void *arg))
{
	uintptr_t function = text_of(pc)->function;

	return function == (uintptr_t)fn || (function == 0 && text_of((uintptr_t)fn)->function == 0);
}

/*
 * in_call: it waits or panics in a call of the library. What lies below the public function that was called is left out, as
 * far as names tell. fn: what the goroutine was started with, shown at the end where the compiler has made its last call a
 * jump, or has made it part of another; NULL: none.
 */
static void put_frames(bool in_call, void (*fn)(void *arg))
{
	size_t n = dump.frames.n, first = 0;
	char line[64];

	if (n == 0) {
		put("\tstack unavailable\n");
		if (fn != NULL) {
			put("started as ");
			put(text_of((uintptr_t)fn)->s);
		}
		return;
	}
	if (in_call) {
		while (first + 1 < n && first < 8 && text_of(frame(first))->kind != PUBLIC)
			first++;
		if (text_of(frame(first))->kind != PUBLIC && n > 1) {
			/* the compiler has made it a jump, or it has no name */
			first = 1;
			while (first + 1 < n && text_of(frame(first))->kind == INTERNAL)
				first++;
		}
		for (size_t i = first; i + 1 < n && i < 16; i++) {
			enum kind k = text_of(frame(i))->kind;

			if (k == PUBLIC)
				first = i;
			else if (k != INTERNAL)
				break;
		}
	}
	/* and a goroutine's first frames are ours too: the processor's, those that are known, and perhaps what the last calls */
	for (size_t i = 1; i <= 4 && i < n - first; i++) {
		if (text_of(frame(n - i))->kind == BASE) {
			n -= i;
			break;
		}
	}
	while (n > first + 1 && text_of(frame(n - 1))->kind == BASE)
		n--;
	if (n < dump.frames.n && n > first + 1 && text_of(frame(n - 1))->kind == CALL &&
	    text_of(frame(n - 1))->function != (uintptr_t)fn)
		n--;
	for (size_t i = first; i < n; i++) {
		if (dump.frames.n > GORT__FRAMES && i == HEAD) {
			size_t to = dump.frames.n - GORT__FRAMES_TAIL;

			snprintf(line, sizeof line, "...%zu%s frames elided...\n", to - i, dump.frames.n == DEEP ? " or more" : "");
			put(line);
			i = to;
		}
		if (text_of(frame(i))->kind != BASE)
			put(text_of(frame(i))->s);
	}
	if (fn != NULL && !is_in(frame(n - 1), fn) && text_of((uintptr_t)fn)->kind != BASE) {
		put("started as ");
		put(text_of((uintptr_t)fn)->s);
	}
}

static void put_head(const gort_g *g, uint32_t tid, const char *state, bool waits)
{
	char line[128];

	if (g->flags & GORT__G_BOUND)
		snprintf(line, sizeof line, "thread %u", tid);
	else
		snprintf(line, sizeof line, "goroutine %llu", (unsigned long long)g->id);
	put(line);
	if (g->name[0] != '\0') {
		put(" \"");
		put_safe(g->name, sizeof g->name - 1);
		put("\"");
	}
	put(" [");
	if (waits) {
		uint32_t now = gort__watch_clock();

		line[0] = '\0';
		/* a static string, we were promised */
		if (g->wait_reason != NULL)
			line[gort__os_peek(line, (uintptr_t)g->wait_reason, 64)] = '\0';
		put_safe(line[0] != '\0' ? line : "waiting", 64);
		if (g->ctx.seen != 0 && now - g->ctx.seen >= 60) {
			snprintf(line, sizeof line, ", %u minutes", (now - g->ctx.seen) / 60);
			put(line);
		}
	} else {
		put(state);
	}
	put("]:\n");
}

/* NULL for a plain thread. (One that could not be looked at says no frames at all.) */
static void (*fn_of(const gort_g *g))(void *arg)
{
	return g->flags & GORT__G_BOUND ? NULL : g->fn;
}

/* The one that asks for it all: it is parked for that, or stands where dump.regs says. */
static void put_self(void)
{
	gort_g *gp = dump.self, g;
	uintptr_t lo, hi;

	if (gort__os_peek(&g, (uintptr_t)gp, sizeof g) != sizeof g)
		return;
	if (dump.given != NULL) {
		dump.frames = *dump.given;
	} else if (dump.regs != NULL) {
		dump.at = *dump.regs;
		bounds(&g, dump.at.r[GORT__REG_SP], &lo, &hi);
		copy_stack(dump.at.r[GORT__REG_SP], lo, hi);
		unwind(true);
	} else {
		/* it is about to */
		for (int i = 0; i < 10000; i++) {
			if (g.status == GORT__G_WAITING && g.ctx.running == 0 && frames_of_parked(gp, &g))
				break;
			gort__os_sleep_until(gort__os_now() + 100 * GORT_MICROSECOND);
			gort__os_peek(&g, (uintptr_t)gp, sizeof g);
		}
	}
	put_head(&g, g.flags & GORT__G_BOUND ? tid_of(g.m) : 0, "running", false);
	put_frames(dump.given != NULL || dump.regs == NULL || !dump.regs->exact, fn_of(&g));
	put("\n");
}

/* False: it has ended, or was none of the program's. */
static bool put_one(gort_g *gp, uint64_t id)
{
	const char *state = NULL;
	bool waits = false;
	uint32_t tid = 0;
	gort_g g;

	for (int tries = 0; state == NULL; tries++) {
		waits = false;
		if (gort__os_peek(&g, (uintptr_t)gp, sizeof g) != sizeof g || g.status == GORT__G_FREE || g.id != id)
			return false;
		if (g.flags & GORT__G_BOUND) {
			if (g.status != GORT__G_WAITING)
				return false;
			tid = tid_of(g.m);
		}
		if (g.status == GORT__G_RUNNABLE && (g.flags & GORT__G_FRESH)) {
			dump.frames.n = 0;
			add_frame(NULL, (uintptr_t)g.fn, true);
			state = "runnable";
		} else if (g.status == GORT__G_RUNNING) {
			state = frames_of_running(gp, &g);
		} else if (g.ctx.running == 0 && frames_of_parked(gp, &g)) {
			waits = g.status == GORT__G_WAITING;
			state = "runnable";
		}
		if (state == NULL && tries == 16) {
			/* always on the move */
			dump.frames.n = 0;
			state = "running";
		}
		if (state == NULL)
			gort__os_yield();
	}
	put_head(&g, tid, state, waits);
	put_frames(g.status != GORT__G_RUNNING && !(g.flags & GORT__G_FRESH), fn_of(&g));
	put("\n");
	return true;
}

/* --- all of them --- */

struct list {
	struct entry *at;
	size_t n, room;
};

static bool is_listed(gort_g *gp)
{
	return gort__load_relaxed(&gp->status) != GORT__G_FREE && gp != dump.self;
}

static bool count_one(gort_g *gp, void *arg)
{
	((struct list *)arg)->room += is_listed(gp);
	return true;
}

static bool list_one(gort_g *gp, void *arg)
{
	struct list *l = arg;

	if (is_listed(gp) && l->n < l->room)
		l->at[l->n++] = (struct entry){ gort__load_relaxed(&gp->id), gp };
	return true;
}

/* Plain threads, whose id is 0, come last. */
static bool before(const struct entry *a, const struct entry *b)
{
	return a->id - 1 < b->id - 1;
}

static void sift(struct entry *at, size_t i, size_t n)
{
	for (;;) {
		size_t child = 2 * i + 1;
		struct entry t = at[i];

		if (child >= n)
			return;
		if (child + 1 < n && before(&at[child], &at[child + 1]))
			child++;
		if (!before(&at[i], &at[child]))
			return;
		at[i] = at[child];
		at[child] = t;
		i = child;
	}
}

/* A heap sort: libc's may call malloc, whose lock the dying may hold. */
static void sort(struct entry *at, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(at, i, n);
	for (size_t i = n; i-- > 1;) {
		struct entry t = at[0];

		at[0] = at[i];
		at[i] = t;
		sift(at, 0, i);
	}
}

static void put_all(size_t most)
{
	struct list l = { NULL, 0, 0 };
	size_t bytes, printed = 0, i = 0;
	char line[64];

	if (dump.self != NULL) {
		put_self();
		flush();
		printed++;
	}
	gort__g_each(count_one, &l);
	l.room += l.room / 8 + 64;
	bytes = (l.room * sizeof *l.at + 65535) & ~(size_t)65535;
	l.at = gort__os_reserve(bytes, 1);
	if (l.at == NULL) {
		put("...out of memory: the other goroutines are not listed...\n");
		flush();
		return;
	}
	gort__g_each(list_one, &l);
	sort(l.at, l.n);
	for (; i < l.n && printed < most && dump.err == 0; i++) {
		printed += put_one(l.at[i].g, l.at[i].id);
		if (printed < 100)
			flush();        /* what takes long, or is the last thing we do, shall be seen as far as it comes */
	}
	if (i < l.n && dump.err == 0) {
		snprintf(line, sizeof line, "...%zu more\n", l.n - i);
		put(line);
	}
	flush();
	gort__os_unmap(l.at, bytes);
}

bool gort__dump_begin(gort_time deadline)
{
	uint32_t free_word = 0;

	if (gort__cas_acquire(&dump.busy, &free_word, 1))       /* pairs with the release in gort__dump_end */
		return true;
	while (gort__xchg_acquire(&dump.busy, 2) != 0) {
		if (deadline != GORT_FOREVER && gort__os_now() >= deadline)
			return false;
		gort__os_futex_wait(&dump.busy, 2, deadline);
	}
	return true;
}

void gort__dump_end(void)
{
	if (gort__xchg_acq_rel(&dump.busy, 0) == 2)
		gort__os_futex_wake(&dump.busy, 1);
}

static void begin_words(int fd)
{
	dump.fd = fd;
	dump.err = 0;
	dump.n = 0;
	memset(dump.text, 0, sizeof dump.text);
	gort__symbols_begin();
}

int gort__dump_all(int fd, gort_g *self, const struct gort__regs *regs, const struct gort__frames *given, size_t most)
{
	begin_words(fd);
	dump.self = self;
	dump.regs = regs;
	dump.given = given;
#ifdef GORT__TSAN
	dump.signals = false;           /* ThreadSanitizer delivers them when the thread calls something, not where it stands */
#else
	dump.signals = gort__os_interrupt_begin();
#endif
	gort__unwind_begin();
	put_all(most);
	gort__symbols_end();
	if (dump.signals)
		gort__os_interrupt_end();
	return dump.err;
}

void gort__dump_panic(int fd, const gort_g *gp, const struct gort__frames *given)
{
	begin_words(fd);
	put_head(gp, 0, "running", false);
	dump.frames = *given;
	put_frames(true, fn_of(gp));
	put("\n");
	flush();
	gort__symbols_end();
}

uint32_t gort__dump_lines(void)
{
	return gort__load_relaxed(&dump.lines);
}

void gort__dump_init(void)
{
	gort__store_relaxed(&dump.busy, 0);
}
