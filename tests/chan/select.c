/* SPDX-License-Identifier: MIT */
/* Select: which case runs, exactly once, and what it leaves behind. */
#include "test.h"

#include <gort/chan.h>

static gort_chan *new_chan(size_t cap)
{
	gort_chan *c = gort_chan_new(sizeof(int), cap);

	if (c == NULL)
		abort();
	return c;
}

GO_TEST(the_ready_case_runs)
{
	gort_chan *a = new_chan(1), *b = new_chan(1);
	int in = -1, out = 5;
	gort_case cs[] = { GORT_CASE_RECV(a, &in), GORT_CASE_SEND(b, &out) };

	cs[0].result = cs[1].result = 77;
	expect_eq(gort_select(cs, 2), 1);
	expect_eq(cs[1].result, 0);
	expect_eq(cs[0].result, 77);            /* only the one that ran is told */
	gort_chan_send(a, &out);
	expect_eq(gort_select(cs, 2), 0);       /* b is full now */
	expect_eq(cs[0].result, 0);
	expect_eq(in, 5);
	gort_chan_unref(a);
	gort_chan_unref(b);
}

#define READY 4

static void count_uniform(bool send, bool try)
{
	long count[READY] = { 0 }, n = 40000;
	gort_chan *c[READY];
	gort_case cs[READY];
	int v = 0;

	for (int i = 0; i < READY; i++) {
		c[i] = gort_chan_new(0, (size_t)n);
		while (!send && gort_chan_try_send(c[i], NULL) == 0)
			;
		cs[i] = send ? (gort_case)GORT_CASE_SEND(c[i], &v) : (gort_case)GORT_CASE_RECV(c[i], &v);
	}
	for (long k = 0; k < n; k++)
		count[try ? gort_select_try(cs, READY) : gort_select(cs, READY)]++;
	/* expected 10,000 each with a deviation of 87: 8 of those off is no accident */
	for (int i = 0; i < READY; i++) {
		expect(count[i] > n / READY - 700 && count[i] < n / READY + 700);
		gort_chan_unref(c[i]);
	}
}

GO_TEST(the_choice_among_the_ready_is_uniform)
{
	count_uniform(false, false);
	count_uniform(true, false);
	count_uniform(false, true);
	count_uniform(true, true);
}

GO_TEST(null_channels_are_never_chosen)
{
	gort_chan *c = new_chan(100);
	int v = 1;
	gort_case cs[] = { GORT_CASE_RECV(NULL, &v), GORT_CASE_SEND(c, &v), GORT_CASE_SEND(NULL, &v) };

	for (int i = 0; i < 100; i++)
		expect_eq(gort_select(cs, 3), 1);
	expect_eq(gort_select_try(cs, 3), -EAGAIN);
	expect_eq(gort_select_until(cs, 3, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_chan_unref(c);
}

GO_TEST(all_null_or_none_says_none_and_times_out)
{
	int v;
	gort_case cs[] = { GORT_CASE_RECV(NULL, &v), GORT_CASE_SEND(NULL, &v) };
	gort_time until = gort_deadline(2 * GORT_MILLISECOND);

	expect_eq(gort_select_try(cs, 2), -EAGAIN);
	expect_eq(gort_select_try(NULL, 0), -EAGAIN);
	expect_eq(gort_select_until(cs, 2, until), -ETIMEDOUT);
	expect(gort_now() >= until);
	expect_eq(gort_select_until(NULL, 0, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	expect_eq(gort_select_until(NULL, 0, gort_now()), -ETIMEDOUT);
}

struct blocked {
	struct task task;
	gort_case *cases;
	size_t n;
};

static void selects(void *arg)
{
	struct blocked *b = arg;

	task_here(&b->task);
	gort_select(b->cases, b->n);
	task_done(&b->task);
}

GO_TEST(all_null_or_none_blocks_for_ever)
{
	static gort_case nil[] = { GORT_CASE_RECV(NULL, NULL), GORT_CASE_SEND(NULL, NULL) };
	static struct blocked b[2];

	b[0] = (struct blocked){ .cases = nil, .n = 2 };
	b[1] = (struct blocked){ .cases = NULL, .n = 0 };
	for (int i = 0; i < 2; i++) {
		spawn(selects, &b[i]);
		await_parked(&b[i].task);
	}
	for (int i = 0; i < 1000; i++)
		gort_yield();
	expect(!get(&b[0].task.done) && !get(&b[1].task.done));
}

GO_TEST(a_passed_deadline_beats_readiness)
{
	gort_chan *c = new_chan(1);
	int v = 1;
	gort_case cs[] = { GORT_CASE_SEND(c, &v) };

	expect_eq(gort_select_until(cs, 1, gort_now()), -ETIMEDOUT);
	expect_eq(gort_chan_len(c), 0);
	expect_eq(gort_select_until(cs, 1, GORT_FOREVER), 0);
	expect_eq(gort_select_until(cs, 1, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_chan_unref(c);
}

struct peer {
	struct task task;
	gort_chan *c;
	int n;
	int sum;
};

static void sends_ones(void *arg)
{
	struct peer *p = arg;
	int one = 1;

	for (int i = 0; i < p->n; i++)
		gort_chan_send(p->c, &one);
	task_done(&p->task);
}

static void receives_ones(void *arg)
{
	struct peer *p = arg;
	int v;

	for (int i = 0; i < p->n; i++) {
		expect_eq(gort_chan_recv(p->c, &v), 0);
		p->sum += v;
	}
	task_done(&p->task);
}

GO_TEST(one_channel_in_two_cases)
{
	for (size_t cap = 0; cap < 2; cap++) {
		struct peer p = { .c = new_chan(cap), .n = 1000 };
		int a, b, sum = 0, chosen[2] = { 0 };
		gort_case cs[] = { GORT_CASE_RECV(p.c, &a), GORT_CASE_RECV(p.c, &b) };

		spawn(sends_ones, &p);
		for (int i = 0; i < p.n; i++) {
			int k;

			a = b = 0;
			k = gort_select(cs, 2);
			chosen[k]++;
			expect_eq(k == 0 ? a : b, 1);
			expect_eq(k == 0 ? b : a, 0);
			sum += a + b;
		}
		expect_eq(sum, p.n);
		expect(chosen[0] > 0 && chosen[1] > 0);
		await_done(&p.task);
		expect_eq(gort_chan_try_recv(p.c, NULL), -EAGAIN);
		gort_chan_unref(p.c);
	}
}

/* Send and receive on one channel: nobody makes a deal with himself. */
GO_TEST(a_select_does_not_serve_itself)
{
	gort_chan *c = new_chan(0);
	int v = 1, w = -1;
	gort_case cs[] = { GORT_CASE_SEND(c, &v), GORT_CASE_RECV(c, &w) };

	for (int i = 0; i < 10; i++) {
		expect_eq(gort_select_try(cs, 2), -EAGAIN);
		expect_eq(gort_select_until(cs, 2, gort_deadline(100 * GORT_MICROSECOND)), -ETIMEDOUT);
	}
	expect_eq(w, -1);
	expect_eq(gort_chan_try_recv(c, &w), -EAGAIN);
	expect_eq(gort_chan_try_send(c, &w), -EAGAIN);
	gort_chan_unref(c);
}

GO_TEST(after_a_win_no_trace_is_left_on_the_others)
{
	gort_chan *a = new_chan(0), *b = new_chan(0), *d = new_chan(0);
	struct peer p = { .c = a, .n = 1 };
	int v = 0, w = 3, x = -1;
	gort_case cs[] = { GORT_CASE_RECV(a, &v), GORT_CASE_RECV(b, &v), GORT_CASE_SEND(d, &w) };
	struct blocked s = { .cases = cs, .n = 3 };

	spawn(selects, &s);
	await_parked(&s.task);
	spawn(sends_ones, &p);
	await_done(&s.task);
	expect_eq(v, 1);
	/* a waiter left behind would take or give a value here */
	expect_eq(gort_chan_try_send(b, &w), -EAGAIN);
	expect_eq(gort_chan_try_send(a, &w), -EAGAIN);
	expect_eq(gort_chan_try_recv(d, &x), -EAGAIN);
	expect_eq(x, -1);
	await_done(&p.task);
	gort_chan_unref(a);
	gort_chan_unref(b);
	gort_chan_unref(d);
}

/* Its record still lies in the other queue when that one's peer comes: it is passed over, the next in line is served. */
GO_TEST(a_waiter_that_lost_its_select_is_skipped)
{
	for (long i = 0; i < test_scale(500); i++) {
		gort_chan *a = new_chan(0), *b = new_chan(0);
		struct peer r = { .c = b, .n = 1 };
		int v = 0, one = 1;
		gort_case cs[] = { GORT_CASE_RECV(a, &v), GORT_CASE_RECV(b, &v) };
		struct blocked s = { .cases = cs, .n = 2 };

		spawn(selects, &s);
		await_parked(&s.task);
		spawn(receives_ones, &r);
		gort_chan_send(a, &one);        /* the select has won here but may not have run yet */
		gort_chan_send(b, &one);        /* so this one is for r */
		await_done(&s.task);
		await_done(&r.task);
		expect_eq(cs[0].result, 0);
		expect_eq(r.sum, 1);
		expect_eq(v, 1);
		gort_chan_unref(a);
		gort_chan_unref(b);
	}
}

#define WAYS 5

struct mpmc {
	gort_chan *c[WAYS];
	int n;
	int sent, received, done;
	unsigned char *seen;
	int next;
	size_t ncases;
};

static void sends_by_select(void *arg)
{
	struct mpmc *m = arg;
	gort_case cs[WAYS];
	int v;

	while ((v = __atomic_fetch_add(&m->next, 1, __ATOMIC_RELAXED)) < m->n) {
		for (size_t i = 0; i < m->ncases; i++)
			cs[i] = (gort_case)GORT_CASE_SEND(m->c[i], &v);
		gort_select(cs, m->ncases);
		count_up(&m->sent);
	}
	count_up(&m->done);
}

static void receives_by_select(void *arg)
{
	struct mpmc *m = arg;
	gort_case cs[WAYS];
	int v[WAYS], k;

	for (;;) {
		for (size_t i = 0; i < m->ncases; i++)
			cs[i] = (gort_case)GORT_CASE_RECV(m->c[i], &v[i]);
		k = gort_select(cs, m->ncases);
		if (cs[k].result != 0)
			break;
		expect(v[k] >= 0 && v[k] < m->n);
		expect_eq(__atomic_fetch_add(&m->seen[v[k]], 1, __ATOMIC_RELAXED), 0);
		count_up(&m->received);
	}
	count_up(&m->done);
}

GO_TEST(exactly_one_case_commits)
{
	for (size_t ncases = 1; ncases <= WAYS; ncases++) {
		for (size_t cap = 0; cap < 2; cap++) {
			struct mpmc m = { .n = (int)test_scale(4000), .ncases = ncases };

			m.seen = calloc((size_t)m.n, 1);
			for (size_t i = 0; i < WAYS; i++)
				m.c[i] = new_chan(cap);
			for (int i = 0; i < 4; i++) {
				spawn(sends_by_select, &m);
				spawn(receives_by_select, &m);
			}
			await_count(&m.sent, m.n);
			await_count(&m.received, m.n);
			for (size_t i = 0; i < WAYS; i++)
				gort_chan_close(m.c[i]);
			await_count(&m.done, 8);
			for (int i = 0; i < m.n; i++)
				expect_eq(m.seen[i], 1);
			for (size_t i = 0; i < WAYS; i++)
				gort_chan_unref(m.c[i]);
			free(m.seen);
		}
	}
}

struct token {
	gort_chan *c[2];
	int stop;
	struct task task;
};

/* A token that is in the one channel or in the other: the new place is filled before the old one is emptied. */
static void moves_the_token(void *arg)
{
	struct token *t = arg;
	int v = 1;

	for (int i = 0; !get(&t->stop); i++) {
		gort_chan_send(t->c[(i + 1) % 2], &v);
		expect_eq(gort_chan_recv(t->c[i % 2], &v), 0);
	}
	task_done(&t->task);
}

GO_TEST(try_never_says_none_while_one_is_always_ready)
{
	struct token t = { .c = { new_chan(2), new_chan(2) } };
	int v, one = 1;
	gort_case cs[] = { GORT_CASE_RECV(t.c[0], &v), GORT_CASE_RECV(t.c[1], &v) };
	pthread_t mover;

	gort_chan_send(t.c[0], &one);
	mover = thread_start(moves_the_token, &t);
	for (long i = 0; i < test_scale(100000); i++) {
		int k = gort_select_try(cs, 2);

		if (!expect(k >= 0))
			break;
		gort_chan_send(t.c[k], &one);   /* put back; the mover waits for it if it must */
		/* now the token is where it was: the condition holds again */
	}
	set(&t.stop, 1);
	thread_join(mover);
	gort_chan_unref(t.c[0]);
	gort_chan_unref(t.c[1]);
}

GO_TEST(closed_channels_are_ready_to_receive)
{
	gort_chan *a = new_chan(0), *b = new_chan(0);
	int v = -1, n[2] = { 0 };
	gort_case cs[] = { GORT_CASE_RECV(a, &v), GORT_CASE_RECV(b, &v) };

	gort_chan_close(b);
	expect_eq(gort_select(cs, 2), 1);
	expect_eq(cs[1].result, -EPIPE);
	expect_eq(v, 0);
	v = -1;
	expect_eq(gort_select_try(cs, 2), 1);
	expect_eq(v, 0);
	expect_eq(gort_select_until(cs, 2, gort_deadline(GORT_HOUR)), 1);
	gort_chan_close(a);
	for (int i = 0; i < 1000; i++)
		n[gort_select(cs, 2)]++;
	expect(n[0] > 0 && n[1] > 0);
	gort_chan_unref(a);
	gort_chan_unref(b);
}

GO_TEST(close_wakes_a_parked_select)
{
	gort_chan *a = new_chan(0), *b = new_chan(0);
	int v = -1, w = -1;
	gort_case cs[] = { GORT_CASE_RECV(a, &v), GORT_CASE_RECV(b, &w) };
	struct blocked s = { .cases = cs, .n = 2 };

	spawn(selects, &s);
	await_parked(&s.task);
	gort_chan_close(b);
	await_done(&s.task);
	expect_eq(cs[1].result, -EPIPE);
	expect_eq(w, 0);
	expect_eq(v, -1);
	gort_chan_unref(a);
	gort_chan_unref(b);
}

/* With 1 to 300 cases, duplicates among them, parked and not, to each case in turn. */
GO_TEST(hundreds_of_cases_and_duplicates)
{
	static const size_t sizes[] = { 1, 2, 15, 16, 17, 33, 300 };

	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		size_t n = sizes[s];
		gort_chan **c = calloc(n, sizeof *c);
		gort_case *cs = calloc(n, sizeof *cs);
		int v = -1, k;

		for (size_t i = 0; i < n; i++) {
			/* every third is the one before once more */
			c[i] = i % 3 == 2 ? gort_chan_ref(c[i - 1]) : new_chan(0);
			cs[i] = (gort_case)GORT_CASE_RECV(c[i], &v);
		}
		expect_eq(gort_select_try(cs, n), -EAGAIN);
		expect_eq(gort_select_until(cs, n, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
		for (size_t i = 0; i < n; i++) {
			struct peer p = { .c = c[i], .n = 1 };
			struct blocked b = { .cases = cs, .n = n };

			v = -1;
			if (i % 2 == 0) {
				spawn(sends_ones, &p);
				k = gort_select(cs, n);
				expect(k >= 0 && cs[k].chan == c[i]);
			} else {
				spawn(selects, &b);
				await_parked(&b.task);
				spawn(sends_ones, &p);
				await_done(&b.task);
			}
			await_done(&p.task);
			expect_eq(v, 1);
		}
		for (size_t i = 0; i < n; i++) {
			expect_eq(gort_chan_try_send(c[i], &v), -EAGAIN);
			gort_chan_unref(c[i]);
		}
		free(c);
		free(cs);
	}
}

GO_TEST(a_select_with_one_case_behaves_like_the_plain_call)
{
	for (size_t cap = 0; cap < 3; cap++) {
		struct peer p = { .c = new_chan(cap), .n = 500 };
		int v = 1, sum = 0;
		gort_case cs[] = { GORT_CASE_RECV(p.c, &v) }, ss[] = { GORT_CASE_SEND(p.c, &v) };

		spawn(sends_ones, &p);
		for (int i = 0; i < p.n; i++) {
			v = 0;
			expect_eq(gort_select(cs, 1), 0);
			sum += v;
		}
		expect_eq(sum, p.n);
		await_done(&p.task);
		p = (struct peer){ .c = p.c, .n = 500 };
		spawn(receives_ones, &p);
		for (int i = 0; i < p.n; i++) {
			v = 1;
			expect_eq(gort_select(ss, 1), 0);
		}
		await_done(&p.task);
		expect_eq(p.sum, 500);
		gort_chan_unref(p.c);
	}
}

struct busy {
	gort_chan *c;
	int *stop;
	int *done;
};

static void sends_on_and_on(void *arg)
{
	struct busy *b = arg;
	int v = 1;

	while (!get(b->stop))
		gort_chan_send(b->c, &v);
	count_up(b->done);
}

GO_TEST(two_busy_senders_do_not_starve_a_timeout_case)
{
	int stop = 0, done = 0, v, fired = 0;
	gort_chan *a = new_chan(0), *b = new_chan(0), *t = gort_chan_new(0, 1);
	struct busy x = { a, &stop, &done }, y = { b, &stop, &done };
	gort_case cs[] = { GORT_CASE_RECV(a, &v), GORT_CASE_RECV(b, &v), GORT_CASE_RECV(t, NULL) };

	spawn(sends_on_and_on, &x);
	spawn(sends_on_and_on, &y);
	for (int i = 0; i < 1000; i++)
		gort_select(cs, 3);
	gort_chan_send(t, NULL);
	/* once it is there each round picks it with a third's chance at least */
	for (int i = 0; i < 1000 && !fired; i++)
		fired = gort_select(cs, 3) == 2;
	expect(fired);
	set(&stop, 1);
	while (get(&done) < 2) {
		gort_select_until(cs, 2, gort_deadline(100 * GORT_MICROSECOND));
		gort_yield();
	}
	gort_chan_unref(a);
	gort_chan_unref(b);
	gort_chan_unref(t);
}

START_TEST(plain_threads_select)
{
	struct peer p = { .c = new_chan(0), .n = 200 };
	pthread_t t = thread_start(sends_ones, &p);
	gort_chan *other = new_chan(0);
	int v = 0, sum = 0;
	gort_case cs[] = { GORT_CASE_RECV(other, &v), GORT_CASE_RECV(p.c, &v) };

	for (int i = 0; i < p.n; i++) {
		ck_assert_int_eq(gort_select(cs, 2), 1);
		sum += v;
	}
	ck_assert_int_eq(sum, p.n);
	ck_assert_int_eq(gort_select_until(cs, 2, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	thread_join(t);
	gort_chan_unref(other);
	gort_chan_unref(p.c);
}
END_TEST

static int bad_op(void)
{
	gort_chan *c = new_chan(1);
	gort_case cs[] = { { c, NULL, 0, 0 } };

	return gort_select_try(cs, 1);
}

static const struct test_child children[] = { { "bad_op", bad_op }, { NULL, NULL } };

START_TEST(an_op_that_is_neither_is_fatal)
{
	test_child_says("bad_op", NULL, 2, "fatal error: gort_select: ");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "select", children);
	test_add(&s, the_ready_case_runs);
	test_add(&s, the_choice_among_the_ready_is_uniform);
	test_add(&s, null_channels_are_never_chosen);
	test_add(&s, all_null_or_none_says_none_and_times_out);
	test_add(&s, all_null_or_none_blocks_for_ever);
	test_add(&s, a_passed_deadline_beats_readiness);
	test_add(&s, one_channel_in_two_cases);
	test_add(&s, a_select_does_not_serve_itself);
	test_add(&s, after_a_win_no_trace_is_left_on_the_others);
	test_add(&s, a_waiter_that_lost_its_select_is_skipped);
	test_add(&s, exactly_one_case_commits);
	test_add(&s, try_never_says_none_while_one_is_always_ready);
	test_add(&s, closed_channels_are_ready_to_receive);
	test_add(&s, close_wakes_a_parked_select);
	test_add(&s, hundreds_of_cases_and_duplicates);
	test_add(&s, a_select_with_one_case_behaves_like_the_plain_call);
	test_add(&s, two_busy_senders_do_not_starve_a_timeout_case);
	test_add(&s, plain_threads_select);
	test_add(&s, an_op_that_is_neither_is_fatal);
	return test_end(&s);
}
