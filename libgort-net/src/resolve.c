/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses: the system's resolver, which may take seconds, and more stack than a goroutine would like to spend.
 * It runs on a few threads of our own, started when needed and kept; those that have nothing to do park like any plain
 * thread, so that the scheduler knows that they are no reason not to call a deadlock one.
 *
 * A job outlives a caller whose deadline has passed: it has a reference of each side.
 */
#define _GNU_SOURCE     /* pthread_setname_np */
#include "conn.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define WORKER_STACK ((size_t)1 << 20)
#define MOST 32                         /* addresses of one name */

struct job {
	struct job *next;               /* under lock */
	char host[NET_HOST_SIZE], service[NET_SERVICE_SIZE];
	bool has_host, has_service, passive;
	struct net_network network;
	int result;                     /* how many, or an error; the worker's until done */
	gort_addr found[MOST];
	gort_g *g;                      /* the caller that waits, on this ticket; NULL: does not yet. Under lock */
	uint64_t ticket;
	bool done;                      /* under lock */
	uint32_t refs;                  /* atomic */
};

/* A worker that waits for a job; on its own stack. Under lock. */
struct worker {
	struct worker *next;
	gort_g *g;
	struct job *job;
};

static struct {
	gort__lock lock;                /* zeroed until the first use: begin */
	bool begun;
	struct job *first, **end;
	struct worker *idle;
	int workers;
} pool;

static pthread_mutex_t begin_lock = PTHREAD_MUTEX_INITIALIZER;

static void job_unref(struct job *j)
{
	if (gort__add_acq_rel(&j->refs, -1u) == 1)
		free(j);
}

/* --- on a worker --- */

static int error_of(int err)
{
	switch (err) {
	case EAI_MEMORY: return -ENOMEM;
	case EAI_SYSTEM: return errno != 0 ? -errno : -EIO;
	case EAI_SERVICE: return GORT_ESERVICE;
	case EAI_AGAIN: return GORT_EHOSTAGAIN;
	default: return GORT_ENOHOST;
	}
}

static void look_up(struct job *j)
{
	struct addrinfo hints = { .ai_family = j->network.family, .ai_socktype = j->network.type }, *list = NULL;
	int err;

	hints.ai_flags = j->passive ? AI_PASSIVE : AI_ADDRCONFIG;
	errno = 0;
	err = getaddrinfo(j->has_host ? j->host : NULL, j->has_service ? j->service : NULL, &hints, &list);
	if (err != 0) {
		j->result = error_of(err);
		return;
	}
	j->result = 0;
	for (struct addrinfo *a = list; a != NULL && j->result < MOST; a = a->ai_next) {
		if (gort_addr_from_sockaddr(&j->found[j->result], a->ai_addr, a->ai_addrlen) == 0)
			j->result++;
	}
	freeaddrinfo(list);
	if (j->result == 0)
		j->result = GORT_ENOHOST;
}

static bool wait_for_job(gort_g *g, void *arg)
{
	struct worker *w = arg;
	bool wait;

	gort__lock_lock(&pool.lock);
	w->job = pool.first;
	wait = w->job == NULL;
	if (!wait) {
		pool.first = w->job->next;
		if (pool.first == NULL)
			pool.end = &pool.first;
	} else {
		w->g = g;
		w->next = pool.idle;
		pool.idle = w;
	}
	gort__lock_unlock(&pool.lock);
	return wait;                    /* it may have been given one by now, and be about to be woken */
}

static void *worker(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "gort-resolve");
	for (;;) {
		struct worker w = { 0 };
		uint64_t ticket;
		gort_g *g;

		gort_park(wait_for_job, &w, "resolver idle");
		look_up(w.job);
		gort__lock_lock(&pool.lock);
		w.job->done = true;
		g = w.job->g;
		ticket = w.job->ticket;
		gort__lock_unlock(&pool.lock);
		/* a caller whose time was up is gone; its ticket wins nothing */
		if (g != NULL)
			gort_try_ready(g, ticket);
		job_unref(w.job);
	}
	return NULL;
}

/* All but those of a fault of its own: no signal of the program's is for this thread. */
static int start_worker(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t t;
	int err = pthread_attr_init(&attr);

	if (err != 0)
		return -err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	sigfillset(&all);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&t, &attr, worker, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* --- for callers --- */

static void begin(void)
{
	pthread_mutex_lock(&begin_lock);
	if (!pool.begun) {
		gort__lock_init(&pool.lock);
		pool.end = &pool.first;
		gort__store_release(&pool.begun, true);         /* pairs with the acquire in net_resolve */
	}
	pthread_mutex_unlock(&begin_lock);
}

void net_resolve_forget(void)
{
	memset(&pool, 0, sizeof pool);
	pthread_mutex_init(&begin_lock, NULL);
}

/* Gives it to a worker that waits, or queues it for one. 0, or an error: nobody will ever do it, and it is the caller's. */
static int submit(struct job *j)
{
	struct worker *w;
	bool start = false;
	int err = 0;

	gort__lock_lock(&pool.lock);
	w = pool.idle;
	if (w != NULL) {
		pool.idle = w->next;
		w->job = j;
	} else {
		*pool.end = j;
		pool.end = &j->next;
		start = pool.workers < WORKERS;
		pool.workers += start;
	}
	gort__lock_unlock(&pool.lock);
	if (w != NULL)
		gort_ready(w->g);
	if (!start)
		return 0;
	err = start_worker();
	if (err == 0)
		return 0;
	gort__lock_lock(&pool.lock);
	if (--pool.workers > 0) {
		err = 0;                        /* one of the others comes to it */
	} else {
		/* nobody has taken it: there is nobody. Whoever queued beside us has the same answer */
		struct job **at = &pool.first;

		while (*at != j)
			at = &(*at)->next;
		*at = j->next;
		if (j->next == NULL)
			pool.end = at;
	}
	gort__lock_unlock(&pool.lock);
	return err;
}

static bool wait_for_result(gort_g *g, void *arg)
{
	struct job *j = arg;
	bool wait;

	gort__lock_lock(&pool.lock);
	wait = !j->done;
	j->g = g;
	j->ticket = gort_park_ticket(g);
	gort__lock_unlock(&pool.lock);
	return wait;
}

int net_resolve(gort_addr *out, size_t max, const struct net_network *n, const char *host, const char *service, bool passive,
	gort_time deadline)
{
	struct job *j;
	int result;

	if (host != NULL && strlen(host) >= NET_HOST_SIZE)
		return GORT_ENOHOST;
	if (service != NULL && strlen(service) >= NET_SERVICE_SIZE)
		return GORT_ESERVICE;
	gort__leave(gort__enter());             /* the scheduler runs; and locks can be made */
	if (!gort__load_acquire(&pool.begun))
		begin();
	j = calloc(1, sizeof *j);
	if (j == NULL)
		return -ENOMEM;
	j->network = *n;
	j->passive = passive;
	j->has_host = host != NULL;
	j->has_service = service != NULL;
	strcpy(j->host, host != NULL ? host : "");
	strcpy(j->service, service != NULL ? service : "");
	j->refs = 2;
	result = submit(j);
	if (result != 0) {
		free(j);
		return result;
	}
	result = gort_park_until(wait_for_result, j, "resolve", deadline);
	if (result == 0) {
		result = j->result;
		if (result > 0) {
			if ((size_t)result > max)
				result = (int)(max < INT_MAX ? max : INT_MAX);
			memcpy(out, j->found, (size_t)result * sizeof *out);
		}
	}
	job_unref(j);
	return result;
}

int gort_resolve(const char *host, const char *service, gort_addr *out, size_t max)
{
	struct net_network any = { .family = AF_UNSPEC, .type = SOCK_STREAM };

	return net_addresses_of(out, max, &any, host, service, host == NULL, GORT_FOREVER);
}
