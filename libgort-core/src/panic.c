/* SPDX-License-Identifier: MIT */
/*
 * Panics, deferred calls, and goroutines that end early.
 *
 * Scopes (panic.h). gort_try and gort_call each have one in their frame, every goroutine one in its outermost frame. A panic
 * goes to the innermost scope: frames are unwound up to there, by _Unwind_ForcedUnwind, which runs cleanups and destructors
 * where frames have tables for them; its stop function ends it at the scope's landing. Where it comes to a frame without
 * tables it gives up, and we jump to the landing over the frames that are left. Having landed, the scope runs its deferred
 * calls, newest first, and then catches the panic (gort_try) or sends it on to the next scope. gort_goexit goes the same
 * way, past every gort_try, to the goroutine's outermost frame.
 *
 * While a scope runs its deferred calls it is still the innermost one, with a new landing: a panic in one of them lands here
 * again, takes the first one's place, and the remaining calls are made. A scope that gort_goexit has started from is
 * marked: a panic that it catches afterwards (one of a deferred call) is dropped, and the exit goes on, as in Go.
 *
 * Wardens (gmp.h) are for frames without tables: a list through those frames, the innermost first. The unwinder stops at each
 * frame on its way, and there those that lie below, in frames left already, are called: a cleanup that runs in this one
 * would write over them. What is still in the list at the landing is called before the jump.
 *
 * All of it happens outside the library, at depth 0, in the goroutine's own memory: nothing here enters, so the goroutine
 * may lose its P and change threads in every function that is called. The one rule for what is on its way (struct
 * gort__flight, the unwinder's own record) is that it lies in the scope it is going to: all below that may be overwritten
 * by destructors.
 *
 * C++. An exception may leave a gort_try or gort_call; their scope ends like that (the cleanup attribute in their frames), and
 * what is to follow a call follows it then too.
 */
#include "runtime.h"

#include "dump.h"
#include "panic.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXCEPTION_CLASS 0x474f52542d50414eull   /* "GORT-PAN" */

/* --- scopes --- */

static struct gort__cxx no_cxx;         /* stands for the C++ runtime's where there is none; always zero */

struct gort__cxx *gort__cxx_globals(void)
{
	struct gort__cxx *x = gort__os_cxx_globals();

	return x != NULL ? x : &no_cxx;
}

static gort__m *self(void)
{
	gort__m *mp = gort__m_self();

	if (gort__unlikely(mp == NULL)) {
		if (gort__m_bind() != 0)
			gort__fatal("out of memory or threads: the scheduler cannot take this thread in");
		mp = gort__m_self();
	}
	return mp;
}

static inline gort_g *open_scope(struct gort__scope *s, enum gort__scope_kind kind)
{
	gort__m *mp = self();
	gort_g *gp = mp->curg;

	s->outer = gp->live.scope;
	s->kind = kind;
	s->few_n = 0;
	s->more = NULL;
	s->open = true;
	s->exiting = false;
	s->flight.text = NULL;
	s->flight.frames = NULL;
	s->cxx = *mp->cxx;
	s->wardens = gp->live.wardens;
	gp->live.scope = s;
	return gp;
}

static inline void close_scope(gort_g *gp, struct gort__scope *s)
{
	gp->live.scope = s->outer;
	gp->live.wardens = s->wardens;    /* others were left by longjmp, or by an exception without cleanups */
	s->open = false;
}

static inline bool has_deferred(const struct gort__scope *s)
{
	return s->few_n > 0;            /* more are made only when these are full */
}

static bool push(struct gort__scope *s, void (*fn)(void *arg), void *arg)
{
	struct gort__more *m;

	if (s->few_n < GORT__FEW) {
		s->few[s->few_n++] = (struct gort__deferred){ fn, arg };
		return true;
	}
	m = malloc(sizeof *m);
	if (m == NULL)
		return false;
	m->d = (struct gort__deferred){ fn, arg };
	m->older = s->more;
	s->more = m;
	return true;
}

/* The newest; there is one. */
static struct gort__deferred pop(struct gort__scope *s)
{
	struct gort__more *m = s->more;
	struct gort__deferred d;

	if (m == NULL)
		return s->few[--s->few_n];
	d = m->d;
	s->more = m->older;
	free(m);
	return d;
}

static void run_deferred(void *arg)
{
	struct gort__scope *s = arg;

	while (has_deferred(s)) {
		struct gort__deferred d = pop(s);

		d.fn(d.arg);
	}
}

/* After a landing: frames that were jumped over have not told the C++ runtime that they were left. */
static void restore_cxx(const struct gort__scope *s)
{
	struct gort__cxx *x = gort__m_self()->cxx;

	if (x != &no_cxx && (x->caught != s->cxx.caught || x->uncaught != s->cxx.uncaught)) {
		x->caught = s->cxx.caught;
		x->uncaught = s->cxx.uncaught;
	}
}

/* Calls all that is deferred, however often one of them lands here. True: that, or landed before. */
static bool drain(struct gort__scope *s, bool landed)
{
	if (landed)
		restore_cxx(s);
	while (has_deferred(s)) {
		if (gort__landing_call(&s->landing, run_deferred, s)) {
			landed = true;
			restore_cxx(s);
		}
	}
	return landed;
}

/* --- leaving frames --- */

/* Wardens of frames that are left, those whose frames lie below limit. They have not been written over yet. */
static void run_wardens(struct gort__scope *s, uintptr_t limit)
{
	gort_g *gp = gort__m_self()->curg;

	while (gp->live.wardens != s->wardens && (uintptr_t)gp->live.wardens < limit) {
		struct gort__warden *g = gp->live.wardens;

		gp->live.wardens = g->outer;
		g->fn(g->arg);
	}
}

static GORT_NORETURN void land(struct gort__scope *s)
{
	run_wardens(s, s->landing.sp);
	gort__landing_jump(&s->landing);
}

/* A catch (...) or the like has swallowed what was not for it. */
static void swallowed(_Unwind_Reason_Code code, struct _Unwind_Exception *e)
{
	gort__fatal("a C++ catch (...) did not rethrow: a panic or gort_goexit came through it");
}

static _Unwind_Reason_Code stop(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
				struct _Unwind_Exception *e, struct _Unwind_Context *context, void *arg)
{
	struct gort__scope *s = arg;

	/* the context's stack pointer: all of the frame lies above it, and all that is left already below */
	if ((actions & _UA_END_OF_STACK) || _Unwind_GetCFA(context) >= s->landing.sp)
		land(s);
	/* before the cleanups of this frame write over what is below it */
	run_wardens(s, _Unwind_GetCFA(context));
	return _URC_NO_REASON;
}

static void drop(struct gort__flight *f)
{
	free(f->text);
	free(f->frames);
	f->text = NULL;
	f->frames = NULL;
	f->kind = GORT__FLIGHT_NONE;
}

static GORT_NORETURN void end_process(struct gort__scope *s, struct gort__flight *f);

/* From here on outward to the innermost scope. *f may lie in a frame that is left. */
static GORT_NORETURN void fly(gort_g *gp, const struct gort__flight *f)
{
	struct gort__scope *s = gp->live.scope;

	if (s == NULL || s->kind == GORT__SCOPE_THREAD) {
		/* on a plain thread, and nobody to catch it: on top of the stack as it is, for who looks at the core file */
		struct gort__scope last;
		struct gort__flight copy = *f;

		open_scope(&last, GORT__SCOPE_RUN);
		end_process(&last, &copy);
	}
	drop(&s->flight);
	s->flight = *f;
	memset(&s->unwinding, 0, sizeof s->unwinding);
	s->unwinding.exception_class = EXCEPTION_CLASS;
	s->unwinding.exception_cleanup = swallowed;
	GORT__ASAN_LEAVING();           /* destructors run over the frames that are left */
	_Unwind_ForcedUnwind(&s->unwinding, stop, s);
	/* it came to a frame that cannot be unwound */
	land(s);
}

_Unwind_Reason_Code gort__landing_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
					      struct _Unwind_Exception *e, struct _Unwind_Context *context)
{
	/* the scopes within have ended: what comes past here leaves the innermost. Forced unwinding's record is not ours to end */
	if (actions & _UA_CLEANUP_PHASE)
		gort__m_self()->curg->live.scope->landing.passed = actions & _UA_FORCE_UNWIND ? NULL : e;
	return _URC_CONTINUE_UNWIND;
}

/* A deferred call has thrown, with an exception on its way already: in C++ too that is the end. */
static void check_ended(struct gort__scope **s)
{
	if (gort__unlikely((*s)->open))
		gort__fatal("a C++ exception left a deferred call that another exception had caused to run");
}

/* For calls by the cleanup attribute that may panic: clang has abort called when one of those is left, unless it cannot be. */
#define CLEANUP __attribute__((noinline, nothrow))

/*
 * A gort_try or gort_call is left by an exception, or by somebody else's forced unwinding (a thread is cancelled). True: a
 * deferred call has panicked, and that is to take the exception's place.
 */
static bool leave(struct gort__scope *s)
{
	struct gort__scope *ends __attribute__((unused, cleanup(check_ended))) = s;
	struct _Unwind_Exception *passed = s->landing.passed;
	bool landed = drain(s, false);

	if (landed && passed != NULL)
		_Unwind_DeleteException(passed);
	close_scope(gort__m_self()->curg, s);
	return landed;
}

static CLEANUP void left_try(struct gort__scope *s)
{
	if (gort__unlikely(s->open) && leave(s))
		fly(gort__m_self()->curg, &s->flight);
}

/* A gort_call, and what is to happen at its end. */
struct call {
	struct gort__scope scope;
	void (*then)(void *arg);        /* or NULL */
	void *then_arg;
};

static CLEANUP void left_call(struct call *c)
{
	bool landed;

	if (gort__likely(!c->scope.open))
		return;
	landed = leave(&c->scope);
	if (c->then != NULL)
		c->then(c->then_arg);
	if (landed)
		fly(gort__m_self()->curg, &c->scope.flight);
}

/* The goroutine must be in the user's code: our frames hold locks and half a park. */
static void check_outside(gort__m *mp, const char *what)
{
	uint32_t depth = gort__load_relaxed(&mp->hold.depth) & ~GORT__DEPTH_PINNED;
	char line[512];

	if (gort__likely(depth == 0))
		return;
	snprintf(line, sizeof line, "%s %s", what, depth & GORT__DEPTH_ANNOUNCED ?
		"between gort_syscall_enter and gort_syscall_exit" : "inside a park's commit");
	gort__fatal(line);
}

/* --- panics that nobody catches --- */

static struct {
	pthread_mutex_t lock;           /* nothing is called under it */
	void (*fn)(const gort_panic_info *info, void *ctx);
	void *ctx;
} handler = { .lock = PTHREAD_MUTEX_INITIALIZER };

void gort__panic_in_child(void)
{
	pthread_mutex_init(&handler.lock, NULL);
}

void gort__panic_fini(void)
{
	gort_set_panic_handler(NULL, NULL);
}

void gort_set_panic_handler(void (*fn)(const gort_panic_info *info, void *ctx), void *ctx)
{
	pthread_mutex_lock(&handler.lock);
	handler.fn = fn;
	handler.ctx = ctx;
	pthread_mutex_unlock(&handler.lock);
}

/*
 * Go's report. second: what the handler itself panicked with, or NULL. frames: those that were left, or NULL. last: the
 * process ends, with all goroutines shown.
 */
static void print(const gort_panic_info *info, const gort_panic_info *second, const struct gort__frames *frames, bool last)
{
	char line[512], *p = line, *block = NULL;
	size_t size = strlen(info->message) + (second != NULL ? strlen(second->message) : 0) + 100;
	int n;

	if (size > sizeof line) {
		block = malloc(size);
		if (block != NULL)
			p = block;
		else
			size = sizeof line;     /* cut */
	}
	n = snprintf(p, size, "panic: %s\n%s%s%s\n", info->message, second != NULL ? "\tpanic: " : "",
		second != NULL ? second->message : "", second != NULL ? "\n" : "");
	/* the words first: the process may be about to end */
	if (n > 0)
		gort__os_print(p, (size_t)n < size ? (size_t)n : size - 1);
	free(block);
	if (!last && (frames == NULL || !gort__traceback_panic(frames))) {
		n = snprintf(line, sizeof line, "goroutine %llu [running]\n", (unsigned long long)info->goroutine);
		gort__os_print(line, (size_t)n);
	}
	if (last) {
		gort__traceback_fatal(NULL, frames);
		gort__os_exit(2);
	}
}

struct report {
	const gort_panic_info *info;
	bool called;                    /* there is a handler, other than the default one */
};

static void call_handler(void *arg)
{
	struct report *r = arg;
	void (*fn)(const gort_panic_info *info, void *ctx);
	void *ctx;

	pthread_mutex_lock(&handler.lock);
	fn = handler.fn;
	ctx = handler.ctx;
	pthread_mutex_unlock(&handler.lock);
	r->called = fn != NULL;
	if (fn != NULL)
		fn(r->info, ctx);
}

/*
 * To the handler, in a scope s that has landed, with a panic of its own in *f. False: nobody but the default handler was
 * there.
 */
static bool report(struct gort__scope *s, const struct gort__flight *f)
{
	struct report r = { .info = &f->info };
	bool landed = gort__landing_call(&s->landing, call_handler, &r);

	if (landed && s->flight.kind == GORT__FLIGHT_PANIC) {
		/* nothing is left to tell it to */
		print(&f->info, &s->flight.info, f->frames, true);
	}
	return landed || r.called;
}

/* A panic f, on its way past s, that shall end the process. Never lets go of the stack: the rest happens on top. */
static GORT_NORETURN void end_process(struct gort__scope *s, struct gort__flight *f)
{
	s->flight = (struct gort__flight){ .kind = GORT__FLIGHT_NONE };
	if (s->outer != NULL && s->outer->kind == GORT__SCOPE_THREAD) {
		/* the thread's own deferred calls; this scope takes them over, so that what they panic with lands here */
		memcpy(s->few, s->outer->few, sizeof s->few);
		s->few_n = s->outer->few_n;
		s->more = s->outer->more;
		s->outer->few_n = 0;
		s->outer->more = NULL;
	}
	drain(s, false);
	if (s->flight.kind == GORT__FLIGHT_PANIC)
		*f = s->flight;         /* in the first one's place */
	s->flight = (struct gort__flight){ .kind = GORT__FLIGHT_NONE };
	report(s, f);
	print(&f->info, NULL, f->frames, true);
	__builtin_unreachable();
}

/* --- the calls --- */

bool gort_try(void (*fn)(void *arg), void *arg, gort_panic_info *info)
{
	struct gort__scope s __attribute__((cleanup(left_try)));
	gort_g *gp;
	bool landed;

	if (gort__unlikely(fn == NULL))
		gort__fatal("gort_try of nil func value");
	gp = open_scope(&s, GORT__SCOPE_TRY);
	landed = gort__landing_call(&s.landing, fn, arg);
	if (gort__unlikely(landed || has_deferred(&s)))
		landed = drain(&s, landed);
	close_scope(gp, &s);
	if (gort__likely(!landed))
		return false;
	if (s.flight.kind == GORT__FLIGHT_EXIT || s.exiting) {
		struct gort__flight exit = { .kind = GORT__FLIGHT_EXIT };

		drop(&s.flight);
		fly(gp, &exit);
	}
	if (info != NULL)
		*info = s.flight.info;
	/* the words live on until the next panic that is caught */
	free(gp->live.text);
	gp->live.text = s.flight.text;
	gp->flags |= GORT__G_LAST;
	return true;
}

void gort__call_then(void (*fn)(void *arg), void *arg, void (*then)(void *arg), void *then_arg)
{
	struct call c __attribute__((cleanup(left_call)));
	gort_g *gp;
	bool landed;

	if (gort__unlikely(fn == NULL))
		gort__fatal("gort_call of nil func value");
	c.then = then;
	c.then_arg = then_arg;
	gp = open_scope(&c.scope, GORT__SCOPE_CALL);
	landed = gort__landing_call(&c.scope.landing, fn, arg);
	if (gort__unlikely(landed || has_deferred(&c.scope)))
		landed = drain(&c.scope, landed);
	close_scope(gp, &c.scope);
	if (then != NULL)
		then(then_arg);
	if (gort__unlikely(landed))
		fly(gp, &c.scope.flight);
}

void gort_call(void (*fn)(void *arg), void *arg)
{
	gort__call_then(fn, arg, NULL, NULL);
}

bool gort__run_guarded(void (*fn)(void *arg), void *arg)
{
	struct gort__scope s;
	gort_g *gp = open_scope(&s, GORT__SCOPE_RUN);
	bool landed = drain(&s, gort__landing_call(&s.landing, fn, arg));

	if (gort__unlikely(landed && s.flight.kind == GORT__FLIGHT_PANIC)) {
		struct gort__flight f = s.flight;

		end_process(&s, &f);
	}
	close_scope(gp, &s);
	return !landed;
}

/* The outermost scope of a plain thread, made when it is first needed; NULL: out of memory. */
static struct gort__scope *thread_scope(gort_g *gp)
{
	struct gort__scope *s = calloc(1, sizeof *s);

	if (s != NULL) {
		s->kind = GORT__SCOPE_THREAD;
		gp->live.scope = gp->live.root = s;
	}
	return s;
}

int gort_defer(void (*fn)(void *arg), void *arg)
{
	gort_g *gp;
	struct gort__scope *s;

	if (gort__unlikely(fn == NULL))
		gort__fatal("gort_defer of nil func value");
	if (gort__m_self() == NULL && gort__m_bind() != 0)
		return -ENOMEM;
	gp = gort__m_self()->curg;
	s = gp->live.scope;
	if (gort__unlikely(s == NULL)) {
		s = thread_scope(gp);
		if (s == NULL)
			return -ENOMEM;
	}
	if (gort__unlikely(!push(s, fn, arg)))
		return -ENOMEM;
	if (s->kind == GORT__SCOPE_BASE)
		gp->flags |= GORT__G_LAST;
	return 0;
}

void gort__warden_push(struct gort__warden *g)
{
	gort_g *gp = self()->curg;

	g->outer = gp->live.wardens;
	gp->live.wardens = g;
}

void gort__warden_pop(struct gort__warden *g)
{
	/* those within it, if any, were left by longjmp */
	gort__m_self()->curg->live.wardens = g->outer;
}

void gort_undefer(bool run)
{
	gort__m *mp = gort__m_self();
	struct gort__scope *s = mp != NULL ? mp->curg->live.scope : NULL;
	struct gort__deferred d;

	if (s == NULL || !has_deferred(s))
		return;
	d = pop(s);
	if (run)
		d.fn(d.arg);
}

/* --- panicking --- */

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *arg)
{
	int exact = 0;
	uintptr_t pc = _Unwind_GetIPInfo(context, &exact);

	return pc != 0 && gort__frames_add(arg, pc, exact) ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

/*
 * Where the caller stands, if a panic from here comes through to a goroutine's outermost frame, which nobody could tell where
 * it came from. Else, and out of memory, NULL.
 */
static struct gort__frames *frames_if_uncaught(const gort_g *gp)
{
	const struct gort__scope *s = gp->live.scope;
	struct gort__frames *f;

	while (s != NULL && s->kind == GORT__SCOPE_CALL)
		s = s->outer;
	/* a plain thread does not even leave its frames */
	if (s == NULL || s->kind == GORT__SCOPE_TRY || s->kind == GORT__SCOPE_THREAD)
		return NULL;
	f = malloc(sizeof *f);
	if (f != NULL) {
		f->n = 0;
		_Unwind_Backtrace(note_frame, f);
	}
	return f;
}

/* text: the message, when it is ours to free. goroutine: NULL for the caller. */
static GORT_NORETURN void panic(const char *message, char *text, void *value, const uint64_t *goroutine)
{
	struct gort__flight f = { .kind = GORT__FLIGHT_PANIC, .text = text };
	gort__m *mp = gort__m_self();

	f.info.message = message;
	f.info.value = value;
	if (mp == NULL && gort__started() && gort__m_bind() == 0)
		mp = gort__m_self();
	if (mp == NULL) {               /* not even a scope could have been made */
		print(&f.info, NULL, NULL, false);
		gort__os_exit(2);
	}
	f.info.goroutine = goroutine != NULL ? *goroutine : mp->curg->id;
	if ((gort__load_relaxed(&mp->hold.depth) & ~GORT__DEPTH_PINNED) != 0) {
		print(&f.info, NULL, NULL, false);
		check_outside(mp, "panic");
	}
	f.frames = frames_if_uncaught(mp->curg);
	fly(mp->curg, &f);
}

void gort__panic(const char *words)
{
	panic(words, NULL, NULL, NULL);
}

static const char no_message[] = "(no message)";
static const char no_memory[] = "(out of memory for the message)";

static GORT_NORETURN void panic_copy(const char *words, void *value, const uint64_t *goroutine)
{
	size_t size = words != NULL ? strlen(words) + 1 : 0;
	char *t;

	if (words == NULL)
		panic(no_message, NULL, value, goroutine);
	t = malloc(size);
	if (t == NULL)
		panic(no_memory, NULL, value, goroutine);
	memcpy(t, words, size);
	panic(t, t, value, goroutine);
}

void gort_panic(const char *fmt, ...)
{
	char *t;
	va_list args;
	int n;

	if (fmt == NULL)
		panic(no_message, NULL, NULL, NULL);
	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		panic_copy(fmt, NULL, NULL);    /* what cannot be printed is shown as it is written */
	t = malloc((size_t)n + 1);
	if (t == NULL)
		panic(no_memory, NULL, NULL, NULL);
	va_start(args, fmt);
	vsnprintf(t, (size_t)n + 1, fmt, args);
	va_end(args);
	panic(t, t, NULL, NULL);
}

void gort_panic_value(void *value, const char *what)
{
	panic_copy(what, value, NULL);
}

void gort_repanic(const gort_panic_info *info)
{
	if (info == NULL)
		gort__fatal("gort_repanic of nil info");
	panic_copy(info->message, info->value, &info->goroutine);
}

void gort_goexit(void)
{
	static const struct gort__flight f = { .kind = GORT__FLIGHT_EXIT };
	gort__m *mp = gort__m_self();

	if (mp == NULL || (mp->curg->flags & GORT__G_BOUND))
		gort__fatal("gort_goexit on a thread that is no goroutine");
	check_outside(mp, "gort_goexit");
	for (struct gort__scope *s = mp->curg->live.scope; s != NULL; s = s->outer)
		s->exiting = true;
	fly(mp->curg, &f);
}

/* --- a goroutine's or thread's end --- */

void gort__base_init(struct gort__scope *base)
{
	memset(base, 0, offsetof(struct gort__scope, few));
	base->kind = GORT__SCOPE_BASE;
	base->open = true;
	base->flight = (struct gort__flight){ .kind = GORT__FLIGHT_NONE };
}

static void destroy_keys(void *arg)
{
	gort__keys_destroy(arg);
}

static void free_last(gort_g *gp)
{
	gort__keys_free(gp);
	free(gp->live.text);
	gp->live.text = NULL;
}

void gort__base_end(gort_g *gp, struct gort__scope *base, bool landed)
{
	do {
		drain(base, landed);
		if (base->flight.kind == GORT__FLIGHT_PANIC) {
			struct gort__flight f = base->flight;

			base->flight = (struct gort__flight){ .kind = GORT__FLIGHT_NONE };
			base->told = &f;
			if (!report(base, &f))
				print(&f.info, NULL, f.frames, false);
			base->told = NULL;
			drop(&f);
		}
		/* each landing has taken something off: a deferred call, a panic, or a key's value */
		base->flight.kind = GORT__FLIGHT_NONE;
		landed = gort__landing_call(&base->landing, destroy_keys, gp);
	} while (landed || has_deferred(base));
	free_last(gp);
}

void gort__panic_discard(gort_g *gp)
{
	for (struct gort__scope *s = gp->live.scope; s != NULL; s = s->outer) {
		while (s->more != NULL)
			(void)pop(s);
		drop(&s->flight);
		if (s->kind == GORT__SCOPE_BASE && s->told != NULL)
			drop(s->told);
	}
	free_last(gp);
}

void gort__thread_end(gort_g *gp)
{
	struct gort__scope *s;

	do {
		/* a panic is fatal here: nothing lands */
		s = gp->live.root;
		if (s != NULL)
			run_deferred(s);
		gort__keys_destroy(gp);
		s = gp->live.root;
	} while (s != NULL && has_deferred(s));
	free(s);
	gp->live.scope = gp->live.root = NULL;
	free_last(gp);
}
