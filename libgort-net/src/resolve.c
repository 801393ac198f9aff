/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses: the system's resolver, which may take seconds, and more stack than a goroutine would like to spend.
 * It runs on a few threads of our own, started when needed and kept until gort_shutdown, which waits for what the resolver is
 * asked just then.
 *
 * A job outlives a caller whose deadline has passed: it has a reference of each side.
 */
#include "conn.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
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

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wanted;          /* wakes was raised, or ending set */
	struct job *first, **end;       /* under lock, as what follows */
	unsigned workers, idle, wakes;  /* threads there are; that rest; that have been woken, and not noticed */
	bool ending;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER, .end = &pool.first };

static void job_unref(struct job *j)
{
	if (gort__add_acq_rel(&j->refs, -1u) == 1)
		net_free(j);
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

/* Under lock. NULL: the thread is to end. */
static struct job *next_job(void)
{
	struct job *j;

	while (pool.first == NULL && !pool.ending) {
		pool.idle++;
		gort__thread_rests();
		while (pool.wakes == 0 && !pool.ending)
			pthread_cond_wait(&pool.wanted, &pool.lock);
		pool.wakes -= pool.wakes > 0;
	}
	if (pool.ending)
		return NULL;
	j = pool.first;
	pool.first = j->next;
	if (pool.first == NULL)
		pool.end = &pool.first;
	return j;
}

static void worker(void *arg)
{
	struct job *j;

	(void)arg;
	pthread_mutex_lock(&pool.lock);
	while ((j = next_job()) != NULL) {
		uint64_t ticket;
		gort_g *g;

		pthread_mutex_unlock(&pool.lock);
		look_up(j);
		pthread_mutex_lock(&pool.lock);
		j->done = true;
		g = pool.ending ? NULL : j->g;
		ticket = j->ticket;
		pthread_mutex_unlock(&pool.lock);
		/* a caller whose time was up is gone; its ticket wins nothing */
		if (g != NULL)
			gort_try_ready(g, ticket);
		job_unref(j);
		pthread_mutex_lock(&pool.lock);
	}
	pthread_mutex_unlock(&pool.lock);
}

void net_resolve_end(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.ending = true;
	pthread_cond_broadcast(&pool.wanted);
	pthread_mutex_unlock(&pool.lock);
}

void net_resolve_fini(void)
{
	pool.first = NULL;
	pool.end = &pool.first;
	pool.workers = pool.idle = pool.wakes = 0;
	pool.ending = false;
}

void net_resolve_forget(void)
{
	net_resolve_fini();
	pthread_mutex_init(&pool.lock, NULL);
	pthread_cond_init(&pool.wanted, NULL);
}

/* --- for callers --- */

/* Under lock. */
static void take_back(struct job *j)
{
	struct job **at = &pool.first;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	if (j->next == NULL)
		pool.end = at;
}

/* For a worker, a new one perhaps. 0, or an error: nobody will ever do it, and it is the caller's. */
static int submit(struct job *j)
{
	int err = 0;

	pthread_mutex_lock(&pool.lock);
	*pool.end = j;
	pool.end = &j->next;
	if (pool.idle > 0) {
		pool.idle--;
		pool.wakes++;
		gort__thread_wanted();
		pthread_cond_signal(&pool.wanted);
	} else if (pool.workers < WORKERS) {
		/* under the lock, so that gort_shutdown knows of it, and those beside us too */
		err = gort__os_thread(worker, NULL, WORKER_STACK, "gort-resolve", true);
		if (err == 0)
			pool.workers++;
		else if (pool.workers > 0)
			err = 0;                /* one of the others comes to it */
		else
			take_back(j);
	}
	pthread_mutex_unlock(&pool.lock);
	return err;
}

static bool wait_for_result(gort_g *g, void *arg)
{
	struct job *j = arg;
	bool wait;

	pthread_mutex_lock(&pool.lock);
	wait = !j->done;
	j->g = g;
	j->ticket = gort_park_ticket(g);
	pthread_mutex_unlock(&pool.lock);
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
	result = net_start();
	if (result != 0)
		return result;
	j = net_alloc(sizeof *j);
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
		net_free(j);
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
