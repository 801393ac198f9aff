/* SPDX-License-Identifier: MIT */
/*
 * A part of the example redis: hiredis for goroutines. It reads, writes and parses; what is here waits in between.
 *
 * Two ways to use a connection: by one goroutine, which sends and receives as it likes (redis_open), or by any number, whose
 * commands go out one behind the other without waiting for answers (redis_share). Errors are negative errnos; -EPROTO: what came
 * is no answer of Redis.
 */
#ifndef REDISCONN_H
#define REDISCONN_H

#include <gort/net.h>
#include <gort/sync.h>

#include <hiredis/hiredis.h>

struct redis {
	redisContext *c;
	gort_fd *fd;
};

/* Connects, network and address as gort_dial's. 0 or a negative error. Blocks. */
int redis_open(struct redis *r, const char *network, const char *address, gort_time deadline);

/* Sends what redisAppendCommand has gathered. Blocks. */
int redis_flush(struct redis *r, gort_time deadline);

/* The next answer, or what is published, the caller's to freeReplyObject. Blocks. */
int redis_receive(struct redis *r, redisReply **reply, gort_time deadline);

/* Nobody may be in a call. */
void redis_close(struct redis *r);

/* --- by many goroutines at once --- */

struct redis_shared;

/* Takes *r over. NULL: out of memory; it is the caller's still. */
struct redis_shared *redis_share(const struct redis *r);

/*
 * A command as redisCommand's, and its answer, the caller's to freeReplyObject. One that is out of time may have been executed
 * all the same. After any other error the connection is of no use. Blocks. From any goroutine.
 */
int redis_call(struct redis_shared *s, redisReply **reply, gort_time deadline, const char *format, ...);

/* Nobody may be in a call. Blocks. */
void redis_shared_close(struct redis_shared *s);

#endif
