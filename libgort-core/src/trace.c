/* SPDX-License-Identifier: MIT */
/*
 * The trace: what ran where and when, as JSON that Chrome's about:tracing and Perfetto show. Each P has a ring that its
 * holder writes and the drain reads: one writer, one reader, head and tail published by release and read by acquire. A full
 * ring drops events and counts them, so a trace costs bounded memory and never holds up a goroutine. The monitor drains the
 * rings, and so does gort_trace_stop.
 *
 * The file is a JSON array whose end may be missing, as viewers allow: a program that crashes leaves a trace that can be
 * read up to then.
 */
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING 16384                      /* events; a power of two */

struct event {
	gort_time at;
	uint64_t g;
	const char *why;                /* static */
	uint32_t kind;
	uint32_t p;
	char name[GORT__NAME_SIZE];
};

struct gort__trace_ring {
	uint32_t head;                  /* next to be read; by the drain */
	uint32_t tail;                  /* next to be written; by the P's holder */
	uint32_t dropped;               /* by the P's holder */
	struct event e[RING];
};

uint32_t gort__tracing;

/* Under lock, which is not ours to spin on: writing to a file takes long. No goroutine's path takes it. */
static struct {
	pthread_mutex_t lock;
	int file;                       /* -1: none */
	int error;                      /* the first that writing met, negative */
	size_t n;                       /* in buf */
	char buf[65536];                /* not stdio's, which a forked child would write once more at its exit */
	gort_time began;
	bool first;                     /* no event was written yet */
	bool at_exit;                   /* gort_trace_stop is registered with atexit */
	struct gort__trace_ring taken;  /* what was taken from Ps: written under lock too */
} trace = { .lock = PTHREAD_MUTEX_INITIALIZER, .file = -1 };

static void put(struct gort__trace_ring *r, uint32_t p, enum gort__trace_kind kind, const gort_g *gp, const char *why)
{
	uint32_t tail = gort__load_relaxed(&r->tail);
	struct event *e = &r->e[tail % RING];

	if (tail - gort__load_acquire(&r->head) == RING) {      /* pairs with the release in drain_ring */
		gort__store_relaxed(&r->dropped, gort__load_relaxed(&r->dropped) + 1);
		return;
	}
	e->at = gort__os_now();
	e->kind = kind;
	e->p = p;
	e->why = why;
	e->g = 0;
	e->name[0] = '\0';
	if (gp != NULL) {
		e->g = gp->id;
		for (size_t i = 0; i < sizeof e->name; i++)     /* gort_set_name may be writing */
			e->name[i] = gort__load_relaxed(&gp->name[i]);
		e->name[sizeof e->name - 1] = '\0';
	}
	gort__store_release(&r->tail, tail + 1);                /* pairs with the acquire in drain_ring */
}

void gort__trace_event(gort__p *pp, enum gort__trace_kind kind, const gort_g *gp, const char *why)
{
	if (pp == NULL)
		return;
	if (gort__load_relaxed(&pp->trace) == NULL) {
		struct gort__trace_ring *r = gort__os_pages(sizeof *r);

		if (r == NULL)
			return;
		gort__store_release(&pp->trace, r);             /* pairs with the acquire in drain */
	}
	put(pp->trace, pp->id, kind, gp, why);
}

/* --- writing --- */

static void flush(void)
{
	for (size_t at = 0; at < trace.n && trace.error == 0;) {
		ssize_t k = write(trace.file, trace.buf + at, trace.n - at);

		if (k >= 0)
			at += (size_t)k;
		else if (errno != EINTR)
			trace.error = -errno;
	}
	trace.n = 0;
}

static GORT_PRINTF(1, 2) void emit(const char *fmt, ...)
{
	va_list ap;

	if (trace.n > sizeof trace.buf - 512)           /* more than any piece is long */
		flush();
	va_start(ap, fmt);
	trace.n += (size_t)vsnprintf(trace.buf + trace.n, sizeof trace.buf - trace.n, fmt, ap);
	va_end(ap);
}

static void emit_string(const char *s)
{
	emit("\"");
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			emit("\\%c", c);
		else if (c < 0x20)
			emit("\\u%04x", c);
		else
			emit("%c", c);
	}
	emit("\"");
}

static void emit_event(const struct event *e)
{
	static const char *const phase[] = { "B", "E", "E", "i", "i", "i" };
	char name[GORT__NAME_SIZE + 32];

	if (e->kind == GORT__TRACE_STEAL)
		snprintf(name, sizeof name, "steal");
	else if (e->kind == GORT__TRACE_TAKE)
		snprintf(name, sizeof name, "retake");
	else
		snprintf(name, sizeof name, "%sG%llu%s%s", e->kind == GORT__TRACE_SPAWN ? "go " : "", (unsigned long long)e->g,
			e->name[0] != '\0' ? " " : "", e->name);
	emit(trace.first ? "\n" : ",\n");
	trace.first = false;
	emit("{\"name\":");
	emit_string(name);
	emit(",\"ph\":\"%s\",\"pid\":1,\"tid\":%u,\"ts\":%.3f", phase[e->kind], e->p, (double)(e->at - trace.began) / 1000);
	if (*phase[e->kind] == 'i')
		emit(",\"s\":\"t\"");
	if (e->kind == GORT__TRACE_STOP || e->kind == GORT__TRACE_TAKE || e->kind == GORT__TRACE_END) {
		emit(",\"args\":{\"why\":");
		emit_string(e->kind == GORT__TRACE_END ? "ended" : e->why != NULL ? e->why : "runnable");
		emit("}");
	}
	emit("}");
}

static void drain_ring(struct gort__trace_ring *r)
{
	uint32_t head = gort__load_relaxed(&r->head), tail = gort__load_acquire(&r->tail);

	for (; head != tail; head++) {
		emit_event(&r->e[head % RING]);
		gort__store_release(&r->head, head + 1);
	}
}

/* Under lock, with a file. */
static void drain(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);

	for (uint32_t i = 0; i < n; i++) {
		struct gort__trace_ring *r = gort__load_acquire(&gort__sched.ps[i]->trace);

		if (r != NULL)
			drain_ring(r);
	}
	drain_ring(&trace.taken);
}

void gort__trace_drain(void)
{
	pthread_mutex_lock(&trace.lock);
	if (trace.file >= 0) {
		drain();
		flush();
	}
	pthread_mutex_unlock(&trace.lock);
}

void gort__trace_taken(uint32_t p, const char *why)
{
	pthread_mutex_lock(&trace.lock);
	if (trace.file >= 0) {
		put(&trace.taken, p, GORT__TRACE_TAKE, NULL, why);
		put(&trace.taken, p, GORT__TRACE_STOP, NULL, why);      /* the goroutine goes on without it */
	}
	pthread_mutex_unlock(&trace.lock);
}

/* --- on and off --- */

/* What lies in the rings from before is nothing of this trace. Under lock. */
static void forget(void)
{
	uint32_t n = gort__load_acquire(&gort__sched.nps);

	for (uint32_t i = 0; i < n; i++) {
		struct gort__trace_ring *r = gort__load_acquire(&gort__sched.ps[i]->trace);

		if (r != NULL) {
			gort__store_release(&r->head, gort__load_acquire(&r->tail));
			gort__store_relaxed(&r->dropped, 0);
		}
	}
}

static void at_exit(void)
{
	gort_trace_stop();
}

int gort_trace_start(const char *path)
{
	int err = path == NULL || *path == '\0' ? -EINVAL : gort__start();

	if (err != 0)
		return err;
	pthread_mutex_lock(&trace.lock);
	if (trace.file >= 0) {
		err = -EBUSY;
	} else {
		trace.file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		err = trace.file < 0 ? -errno : 0;
	}
	if (err == 0) {
		forget();
		trace.began = gort__os_now();
		trace.first = true;
		trace.error = 0;
		trace.n = 0;
		emit("[");
		if (!trace.at_exit)
			trace.at_exit = atexit(at_exit) == 0;
		gort__store_relaxed(&gort__tracing, 1);
	}
	pthread_mutex_unlock(&trace.lock);
	if (err == 0)
		gort__sysmon_hurry();
	return err;
}

int gort_trace_stop(void)
{
	unsigned long dropped = 0;
	int err = 0;

	pthread_mutex_lock(&trace.lock);
	if (trace.file < 0) {
		err = -EINVAL;
	} else {
		uint32_t n = gort__load_acquire(&gort__sched.nps);

		gort__store_relaxed(&gort__tracing, 0);
		drain();
		for (uint32_t i = 0; i < n; i++) {
			struct gort__trace_ring *r = gort__load_acquire(&gort__sched.ps[i]->trace);

			dropped += r != NULL ? gort__load_relaxed(&r->dropped) : 0;
		}
		emit("\n]\n");
		flush();
		err = trace.error;              /* a full disk, say */
		if (close(trace.file) != 0 && err == 0)
			err = -errno;
		trace.file = -1;
	}
	pthread_mutex_unlock(&trace.lock);
	if (dropped > 0)
		gort__say("the trace lacks %lu events, which came too fast to be written", dropped);
	return err;
}

void gort__trace_ring_free(struct gort__trace_ring *r)
{
	gort__os_pages_free(r, sizeof *r);
}

void gort__trace_fini(void)
{
	gort_trace_stop();
	/* whoever starts one now finds no P */
	pthread_mutex_lock(&trace.lock);
	gort__store_relaxed(&gort__sched.nps, 0);
	pthread_mutex_unlock(&trace.lock);
}

/* A forked child has no thread to write the trace, and the file is its parent's. */
void gort__trace_forget(void)
{
	pthread_mutex_init(&trace.lock, NULL);
	trace.file = -1;
	gort__store_relaxed(&gort__tracing, 0);
}
