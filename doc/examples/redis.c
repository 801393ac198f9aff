/* SPDX-License-Identifier: MIT */
/*
 * redis [-t MS] ADDRESS count KEY < LINES      counts how often each line occurs, in the hash KEY
 * redis [-t MS] ADDRESS publish CHANNEL < LINES    publishes each line
 * redis [-t MS] ADDRESS follow CHANNEL...      prints what is published, a channel and a message a line, until SIGINT
 *
 * ADDRESS is HOST:PORT, or the path of a Unix socket. The server has MS milliseconds (10000) for each answer.
 *
 * count and publish have a goroutine for each line, up to some hundred at a time, on one connection: while one waits for its
 * answer the commands of the others are on their way. count prints how many lines there were, and publish how many have got
 * them. How hiredis is made to wait with the others' goroutines: redisconn.c.
 */
#include <gort/chan.h>
#include <gort/signal.h>

#include "redisconn.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT_ONCE 500

static struct {
	gort_duration patience;
	struct redis_shared *shared;
	const char *command, *key;
	gort_sem room;
	gort_waitgroup all;
	gort_mutex lock;
	int64_t sum;                    /* under lock: of the answers */
	long lines, failed;             /* under lock */
} run;

static int fail(const char *what, int err)
{
	fprintf(stderr, "redis: %s: %s\n", what, gort_strerror(err));
	return 1;
}

/* The number that an answer is. Complains of what is none, but not of each when the connection is gone. */
static void take(int err, const redisReply *reply)
{
	gort_mutex_lock(&run.lock);
	if (err == 0 && reply->type == REDIS_REPLY_INTEGER) {
		run.sum += reply->integer;
		run.lines++;
	} else if (run.failed++ == 0) {
		fprintf(stderr, "redis: %s: %s\n", run.key,
			err != 0 ? gort_strerror(err) : reply->type == REDIS_REPLY_ERROR ? reply->str : "no number");
	}
	gort_mutex_unlock(&run.lock);
}

/* A line, which is freed. */
static void send_line(void *arg)
{
	char *line = arg;
	redisReply *reply = NULL;
	int err;

	if (strcmp(run.command, "count") == 0)
		err = redis_call(run.shared, &reply, gort_deadline(run.patience), "HINCRBY %s %b 1", run.key, line, strlen(line));
	else
		err = redis_call(run.shared, &reply, gort_deadline(run.patience), "PUBLISH %s %b", run.key, line, strlen(line));
	take(err, reply);
	freeReplyObject(reply);
	free(line);
	gort_sem_release(&run.room, 1);
	gort_waitgroup_done(&run.all);
}

/* All lines of the input. The exit status. */
static int send_all(const struct redis *r)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	run.shared = redis_share(r);
	if (run.shared == NULL)
		return fail("lines", -ENOMEM);
	gort_sem_init(&run.room, AT_ONCE);
	while ((n = getline(&line, &size, stdin)) > 0) {
		line[line[n - 1] == '\n' ? n - 1 : n] = '\0';
		gort_sem_acquire(&run.room, 1);
		gort_waitgroup_add(&run.all, 1);
		if (gort_go(send_line, line) != 0) {
			gort_waitgroup_done(&run.all);
			free(line);
			run.failed++;
			fail("lines", -ENOMEM);
		}
		line = NULL;                    /* it was given away */
	}
	free(line);
	gort_waitgroup_wait(&run.all);
	redis_shared_close(run.shared);
	printf("%" PRId64 "\n", strcmp(run.command, "count") == 0 ? run.lines : run.sum);
	return run.failed > 0 || fflush(stdout) != 0;
}

/* --- what is published --- */

struct following {
	struct redis *r;
	gort_chan *end;                 /* of int: an error, or 0 after a signal */
};

static void await_signal(void *arg)
{
	struct following *f = arg;
	gort_chan *signals = gort_chan_new(sizeof(int), 1);
	int none = 0, err = signals != NULL ? gort_signal_notify(signals, SIGINT) : -ENOMEM;

	if (err == 0)
		err = gort_signal_notify(signals, SIGTERM);
	gort_chan_recv(err == 0 ? signals : NULL, NULL);
	gort_chan_try_send(f->end, &none);
}

/* ["message", channel, text]; "subscribe" tells that we are heard. */
static void print(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING)
		return;
	if (strcmp(reply->element[0]->str, "subscribe") == 0)
		fprintf(stderr, "following %s\n", reply->element[1]->str);
	else if (reply->element[2]->type == REDIS_REPLY_STRING)
		printf("%s %s\n", reply->element[1]->str, reply->element[2]->str);
	fflush(stdout);
}

static void receive_all(void *arg)
{
	struct following *f = arg;
	redisReply *reply;
	int err;

	while ((err = redis_receive(f->r, &reply, GORT_FOREVER)) == 0) {
		print(reply);
		if (reply->type == REDIS_REPLY_ERROR)
			err = -EPROTO;
		freeReplyObject(reply);
		if (err != 0)
			break;
	}
	gort_chan_try_send(f->end, &err);
}

/* The exit status. */
static int follow(struct redis *r, int n, char **channels)
{
	struct following f = { r, gort_chan_new(sizeof(int), 1) };
	int err = f.end == NULL ? -ENOMEM : 0;

	for (int i = 0; i < n && err == 0; i++)
		err = redisAppendCommand(r->c, "SUBSCRIBE %s", channels[i]) == REDIS_OK ? 0 : -ENOMEM;
	if (err == 0)
		err = redis_flush(r, gort_deadline(run.patience));
	if (err == 0 && (gort_go(await_signal, &f) != 0 || gort_go(receive_all, &f) != 0))
		err = -ENOMEM;
	if (err == 0)
		gort_chan_recv(f.end, &err);
	return err != 0 ? fail("follow", err) : 0;      /* which ends the goroutines, too */
}

GORT_MAIN(argc, argv)
{
	const char *network, *address;
	long ms = 10000;
	bool ok = true, follows;
	struct redis r;
	char *end;
	int option, err;

	while ((option = getopt(argc, argv, "+t:")) != -1) {
		if (option == 't') {
			ms = strtol(optarg, &end, 10);
			ok &= end != optarg && *end == '\0' && ms > 0 && ms <= 3600000;
		} else {
			ok = false;
		}
	}
	argv += optind;
	argc -= optind;
	follows = ok && argc >= 3 && strcmp(argv[1], "follow") == 0;
	if (!follows && !(ok && argc == 3 && (strcmp(argv[1], "count") == 0 || strcmp(argv[1], "publish") == 0))) {
		fprintf(stderr, "usage: redis [-t MS] ADDRESS count KEY | publish CHANNEL | follow CHANNEL...\n");
		return 2;
	}
	address = argv[0];
	network = strchr(address, '/') != NULL ? "unix" : "tcp";
	run.command = argv[1];
	run.key = argv[2];
	run.patience = ms * GORT_MILLISECOND;
	err = redis_open(&r, network, address, gort_deadline(run.patience));
	if (err != 0)
		return fail(address, err);
	return follows ? follow(&r, argc - 2, argv + 2) : send_all(&r);
}
