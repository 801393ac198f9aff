/* SPDX-License-Identifier: MIT */
/* Peers that stall, reset, or end where they should not: whoever waits for them is let go, and knows how far it came. */
#include "net.h"

#include <fcntl.h>
#include <sys/uio.h>

#define MUCH ((size_t)64 << 20)         /* more than any way to a peer holds */

/* How a goroutine sends MUCH. */
enum way {
	WRITE,
	WRITEV,
	SENDFILE,
	WAYS
};

struct sender {
	struct task t;
	gort_conn *c;
	enum way way;
	char *block;
	int file;
	ptrdiff_t result;
};

static ptrdiff_t send_much(struct sender *s)
{
	struct iovec iov[64];

	switch (s->way) {
	case WRITE:
		return gort_write(s->c, s->block, MUCH);
	case WRITEV:
		for (int i = 0; i < 64; i++)
			iov[i] = (struct iovec){ s->block + (size_t)i * (MUCH / 64), MUCH / 64 };
		return gort_writev(s->c, iov, 64);
	default:
		return gort_sendfile(s->c, s->file, 0, MUCH);
	}
}

static void sends(void *arg)
{
	struct sender *s = arg;

	task_here(&s->t);
	s->result = send_much(s);
	task_done(&s->t);
}

/* A sender that waits, since its peer reads nothing. */
static bool start_send(struct sender *s, gort_conn *c[2], enum way way, char *block, int file)
{
	if (!tcp_pair(c))
		return false;
	*s = (struct sender){ .c = c[0], .way = way, .block = block, .file = file };
	spawn(sends, s);
	await_parked(&s->t);
	return expect_eq(get(&s->t.done), 0);
}

/* A file of so many zeroes. */
static int open_much(void)
{
	FILE *f = tmpfile();
	int fd = f != NULL ? dup(fileno(f)) : -1;

	if (!expect(fd >= 0) || !expect_eq(ftruncate(fd, (off_t)MUCH), 0))
		return -1;
	fclose(f);
	return fd;
}

GO_TEST(a_peer_that_stalls_holds_a_sender_to_its_deadline)
{
	char *block = calloc(1, MUCH);
	int file = open_much();
	struct sender s;
	gort_conn *c[2];

	for (enum way way = WRITE; way < WAYS; way++) {
		if (!start_send(&s, c, way, block, file))
			return;
		expect_eq(gort_conn_set_write_deadline(c[0], 1), 0);
		await_done(&s.t);
		/* some went out, which is what it says; then there is nothing more to say than this */
		expect(s.result > 0 && (size_t)s.result < MUCH);
		expect_eq(send_much(&s), -ETIMEDOUT);
		/* the peer gets on with it: all that was said to have gone is there, to the byte */
		gort_conn_set_write_deadline(c[0], GORT_FOREVER);
		expect_eq(gort_conn_shutdown_write(c[0]), 0);
		expect_eq(gort_read_full(c[1], block, MUCH), s.result);
		close_pair(c);
	}
	close(file);
	free(block);
}

GO_TEST(a_peer_that_resets_ends_a_sender)
{
	char *block = calloc(1, MUCH);
	int file = open_much();
	struct sender s;
	gort_conn *c[2];

	for (enum way way = WRITE; way < WAYS; way++) {
		if (!start_send(&s, c, way, block, file))
			return;
		expect_eq(gort_conn_set_linger(c[1], 0), 0);
		expect_eq(gort_conn_close(c[1]), 0);
		await_done(&s.t);
		expect(s.result > 0 && (size_t)s.result < MUCH);
		/* the error comes with the next call, once; then there is nobody to send to */
		expect_eq(send_much(&s), -ECONNRESET);
		expect_eq(send_much(&s), -EPIPE);
		gort_conn_close(c[0]);
	}
	close(file);
	free(block);
}

GO_TEST(a_sender_is_closed_under)
{
	char *block = calloc(1, MUCH);
	int file = open_much();
	struct sender s;
	gort_conn *c[2];

	for (enum way way = WRITE; way < WAYS; way++) {
		if (!start_send(&s, c, way, block, file))
			return;
		expect_eq(gort_conn_close(gort_conn_ref(c[0])), 0);
		await_done(&s.t);
		expect(s.result > 0 && (size_t)s.result < MUCH);
		expect_eq(send_much(&s), -ECANCELED);
		close_pair(c);
	}
	close(file);
	free(block);
}

static void reads_100(void *arg)
{
	struct reader *r = arg;

	task_here(&r->t);
	r->result = gort_read_full(r->c, r->buf, 100);
	(void)get(&r->begun);
	task_done(&r->t);
}

/* A reader of 100 bytes has got 60 and waits for more. */
static bool start_100(struct reader *r, gort_conn *c[2])
{
	static const char sixty[60];

	if (!tcp_pair(c))
		return false;
	memset(r, 0, sizeof *r);
	r->c = c[1];
	spawn(reads_100, r);
	await_parked(&r->t);
	expect_eq(gort_write(c[0], sixty, 60), 60);
	await_parked(&r->t);
	set(&r->begun, 1);
	return expect_eq(get(&r->t.done), 0);
}

GO_TEST(a_message_that_stops_half_way)
{
	struct reader r;
	gort_conn *c[2];

	for (int how = 0; how < 4; how++) {
		if (!start_100(&r, c))
			return;
		if (how == 0) {                         /* it is all there will ever be */
			expect_eq(gort_conn_shutdown_write(c[0]), 0);
			expect_eq(end_read(&r), 60);
			expect_eq(gort_read_full(c[1], r.buf, 100), 0);
		} else if (how == 1) {                  /* the peer is reset */
			gort_conn_set_linger(c[0], 0);
			gort_conn_close(gort_conn_ref(c[0]));
			expect_eq(end_read(&r), -ECONNRESET);
		} else if (how == 2) {                  /* it stalls, for too long */
			gort_conn_set_read_deadline(c[1], gort_deadline(GORT_MILLISECOND));
			expect_eq(end_read(&r), -ETIMEDOUT);
		} else {
			gort_conn_close(gort_conn_ref(c[1]));
			expect_eq(end_read(&r), -ECANCELED);
		}
		gort_conn_unref(c[0]);
		gort_conn_unref(c[1]);
	}
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "peers", NULL);
	test_add(&s, a_peer_that_stalls_holds_a_sender_to_its_deadline);
	test_add(&s, a_peer_that_resets_ends_a_sender);
	test_add(&s, a_sender_is_closed_under);
	test_add(&s, a_message_that_stops_half_way);
	return test_end(&s);
}
