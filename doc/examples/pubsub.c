/* SPDX-License-Identifier: MIT */
/*
 * pubsub - reads commands, and brings what is said about a topic to those who have joined it
 *
 *     join NAME TOPIC     from now on NAME hears of TOPIC
 *     leave NAME TOPIC    no longer
 *     say TOPIC TEXT      to everybody who has joined TOPIC
 *
 * Each subscription is a goroutine that receives from a channel of its own and prints. The list of subscriptions is guarded
 * by a mutex, so that commands could come from many goroutines. Leaving closes the channel: what has been said before still
 * arrives, then the loop over the channel ends. A subscriber that does not keep up misses messages, which are counted and
 * reported when it leaves, and holds up nobody else: the publisher only tries to send. At the end of the input all leave.
 */
#include <gort/core.h>
#include <gort/sync.h>
#include <gort/typed.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 1024            /* messages that a subscriber may be behind */

/* What was said. It belongs to all who have it in their channel; the last one frees it. */
struct message {
	int refs;                       /* atomic */
	char text[];
};

typedef gort_chan_of(struct message *) message_chan;

struct subscription {
	struct subscription *next;
	message_chan messages;          /* one reference is the broker's, one the subscriber's */
	unsigned long missed;           /* written before messages is closed, read after */
	char *name, *topic;
};

struct broker {
	gort_mutex lock;
	struct subscription *first;     /* guarded by lock */
	gort_waitgroup subscribers;
};

static void release(struct message *m)
{
	/* release: what others did with it comes before its end; acquire: for the one that ends it */
	if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(m);
}

static void subscriber(void *arg)
{
	struct subscription *s = arg;

	gort_range(s->messages, m) {
		printf("%s: %s: %s\n", s->name, s->topic, m->text);
		release(m);
	}
	if (s->missed > 0)
		printf("%s: %s: (%lu messages missed)\n", s->name, s->topic, s->missed);
	gort_drop(s->messages);
	free(s->name);
	free(s->topic);
	free(s);
}

static struct subscription **find(struct broker *b, const char *name, const char *topic)
{
	struct subscription **p = &b->first;

	while (*p != NULL && (strcmp((*p)->name, name) != 0 || strcmp((*p)->topic, topic) != 0))
		p = &(*p)->next;
	return p;
}

/* 0, -EEXIST or -ENOMEM */
static int join(struct broker *b, const char *name, const char *topic)
{
	struct subscription *s = calloc(1, sizeof *s), **p;
	int err = 0;

	if (s == NULL)
		return -ENOMEM;
	s->messages = gort_make(message_chan, BACKLOG);
	s->name = strdup(name);
	s->topic = strdup(topic);
	gort_mutex_lock(&b->lock);
	p = find(b, name, topic);
	if (*p != NULL)
		err = -EEXIST;
	else if (gort_untyped(s->messages) == NULL || s->name == NULL || s->topic == NULL)
		err = -ENOMEM;
	else
		err = gort_waitgroup_go(&b->subscribers, subscriber, s);
	if (err == 0) {
		gort_ref(s->messages);  /* s cannot go before it is told to: see leave */
		*p = s;
	}
	gort_mutex_unlock(&b->lock);
	if (err != 0) {
		gort_drop(s->messages);
		free(s->name);
		free(s->topic);
		free(s);
	}
	return err;
}

/* 0 or -ENOENT */
static int leave(struct broker *b, const char *name, const char *topic)
{
	struct subscription **p;
	message_chan messages = { 0 };

	gort_mutex_lock(&b->lock);
	p = find(b, name, topic);
	if (*p != NULL) {
		messages = (*p)->messages;
		*p = (*p)->next;
	}
	gort_mutex_unlock(&b->lock);
	if (gort_untyped(messages) == NULL)
		return -ENOENT;
	/* The subscriber may be gone before this returns, with the subscription; so the broker has its own reference. */
	gort_close(messages);
	gort_drop(messages);
	return 0;
}

/* 0 or -ENOMEM */
static int say(struct broker *b, const char *topic, const char *text)
{
	struct message *m = malloc(sizeof *m + strlen(text) + 1);

	if (m == NULL)
		return -ENOMEM;
	m->refs = 1;
	strcpy(m->text, text);
	gort_mutex_lock(&b->lock);
	for (struct subscription *s = b->first; s != NULL; s = s->next) {
		if (strcmp(s->topic, topic) != 0)
			continue;
		/* relaxed: the channel brings it to the other side */
		__atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
		if (gort_try_send(s->messages, m) != 0) {
			s->missed++;
			release(m);
		}
	}
	gort_mutex_unlock(&b->lock);
	release(m);
	return 0;
}

/* 0 or a negative errno */
static int obey(struct broker *b, char *line)
{
	char *command = strtok_r(line, " \t\n", &line);
	char *first = strtok_r(NULL, " \t\n", &line);
	char *rest = strtok_r(NULL, "\n", &line);

	if (command == NULL)
		return 0;
	if (rest == NULL)
		return -EINVAL;
	if (strcmp(command, "say") == 0)
		return say(b, first, rest);
	if (strcmp(command, "join") == 0)
		return join(b, first, rest);
	if (strcmp(command, "leave") == 0)
		return leave(b, first, rest);
	return -EINVAL;
}

GORT_MAIN(argc, argv)
{
	struct broker b = { GORT_MUTEX_INIT, NULL, GORT_WAITGROUP_INIT };
	unsigned long number = 0;
	char *line = NULL;
	size_t room = 0;
	int status = 0;

	if (argc != 1) {
		fprintf(stderr, "usage: %s <COMMANDS\n", argv[0]);
		return 2;
	}
	while (getline(&line, &room, stdin) >= 0) {
		int err = obey(&b, line);

		number++;
		if (err != 0) {
			fprintf(stderr, "pubsub: line %lu: %s\n", number, gort_strerror(err));
			status = 1;
		}
	}
	free(line);
	while (b.first != NULL)
		leave(&b, b.first->name, b.first->topic);
	gort_waitgroup_wait(&b.subscribers);
	return fflush(stdout) == 0 ? status : 1;
}
