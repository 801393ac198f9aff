/* SPDX-License-Identifier: MIT */
/* The typed layer: what goes in comes out, arguments are evaluated once, and loops and switches are those of C. */
#include "test.h"

#include <gort/typed.h>

struct point {
	int x, y;
};

struct large {
	long numbers[300];
};

typedef struct {
} nothing;

typedef int callback(int n);

typedef gort_chan_of(int) int_chan;
typedef gort_chan_of(long) long_chan;
typedef gort_chan_of(bool) bool_chan;
typedef gort_chan_of(struct point) point_chan;
typedef gort_chan_of(struct large) large_chan;
typedef gort_chan_of(const char *) string_chan;
typedef gort_chan_of(callback *) callback_chan;
typedef gort_chan_of(nothing) nothing_chan;
typedef gort_chan_of(int_chan) int_chan_chan;

_Static_assert(sizeof(int_chan) == sizeof(gort_chan *), "a typed channel is as large as an untyped one");

static int twice(int n)
{
	return 2 * n;
}

GO_TEST(every_type_comes_out_as_it_went_in)
{
	long_chan longs = gort_make(long_chan, 2);
	bool_chan bools = gort_make(bool_chan, 2);
	point_chan points = gort_make(point_chan, 2);
	large_chan larges = gort_make(large_chan, 1);
	string_chan strings = gort_make(string_chan, 3);
	callback_chan callbacks = gort_make(callback_chan, 2);
	struct large big = { { 0 } }, big2;
	struct { unsigned low : 3; } bits = { 5 };
	char text[] = "array";
	struct point pt = { 5, 6 }, *pp = &pt;
	const char *str;
	callback *fn;
	long l;
	bool b;

	gort_send(longs, 42);
	gort_send(longs, bits.low);
	expect(gort_recv(longs, &l) == 0 && l == 42);
	expect(gort_recv(longs, &l) == 0 && l == 5);
	gort_send(bools, pp);
	gort_send(bools, 0.0);
	expect(gort_recv(bools, &b) == 0 && b);
	expect(gort_recv(bools, &b) == 0 && !b);
	gort_send(points, pt);
	gort_send(points, (struct point){ 7, 8 });
	pt = (struct point){ 0, 0 };
	expect(gort_recv(points, &pt) == 0 && pt.x == 5 && pt.y == 6);
	expect(gort_recv(points, &pt) == 0 && pt.x == 7 && pt.y == 8);
	for (int i = 0; i < 300; i++)
		big.numbers[i] = i;
	gort_send(larges, big);
	expect(gort_recv(larges, &big2) == 0 && memcmp(&big, &big2, sizeof big) == 0);
	gort_send(strings, "literal");
	gort_send(strings, text);
	gort_send(strings, NULL);
	expect(gort_recv(strings, &str) == 0 && strcmp(str, "literal") == 0);
	expect(gort_recv(strings, &str) == 0 && str == text);
	expect(gort_recv(strings, &str) == 0 && str == NULL);
	gort_send(callbacks, twice);
	gort_send(callbacks, 0);
	expect(gort_recv(callbacks, &fn) == 0 && fn(21) == 42);
	expect(gort_recv(callbacks, &fn) == 0 && fn == NULL);
	gort_drop(longs);
	gort_drop(bools);
	gort_drop(points);
	gort_drop(larges);
	gort_drop(strings);
	gort_drop(callbacks);
}

GO_TEST(elements_without_a_size_are_signals)
{
	nothing_chan c = gort_make(nothing_chan, 2);
	nothing n = { };

	gort_send(c, (nothing){ });
	expect_eq(gort_try_send(c, n), 0);
	expect_eq(gort_try_send(c, n), -EAGAIN);
	expect_eq(gort_recv(c, &n), 0);
	expect_eq(gort_recv(c, NULL), 0);
	expect_eq(gort_try_recv(c, &n), -EAGAIN);
	gort_drop(c);
}

GO_TEST(all_calls_answer_as_the_untyped_ones)
{
	int_chan c = gort_make(int_chan, 2), nil = { 0 };
	int v = -1;

	expect_eq(gort_cap(c), 2);
	expect_eq(gort_try_recv(c, &v), -EAGAIN);
	expect_eq(gort_recv_until(c, &v, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	expect_eq(v, -1);
	expect_eq(gort_try_send(c, 1), 0);
	expect_eq(gort_send_until(c, 2, gort_deadline(GORT_HOUR)), 0);
	expect_eq(gort_len(c), 2);
	expect_eq(gort_try_send(c, 3), -EAGAIN);
	expect_eq(gort_send_until(c, 3, gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	expect_eq(gort_recv_until(c, &v, gort_deadline(GORT_HOUR)), 0);
	expect_eq(v, 1);
	gort_close(c);
	expect_eq(gort_try_recv(c, &v), 0);
	expect_eq(v, 2);
	expect_eq(gort_recv(c, &v), -EPIPE);
	expect_eq(v, 0);
	gort_drop(c);

	expect(gort_untyped(nil) == NULL);
	expect_eq(gort_try_send(nil, 1), -EAGAIN);
	expect_eq(gort_try_recv(nil, NULL), -EAGAIN);
	expect_eq(gort_len(nil) + gort_cap(nil), 0);
	gort_drop(nil);
	expect(gort_untyped(gort_make(int_chan, SIZE_MAX)) == NULL);
}

static void sends_on_closed(void *arg)
{
	int_chan c = gort_typed(int_chan, arg);

	gort_send(c, 1);
}

static void selects_on_closed(void *arg)
{
	int_chan c = gort_typed(int_chan, arg);

	GORT_SELECT(GORT_ON_SEND(c, 1));
}

GO_TEST(sends_on_a_closed_channel_panic)
{
	int_chan c = gort_make(int_chan, 2);
	gort_panic_info info;

	gort_close(c);
	expect(gort_try(sends_on_closed, gort_untyped(c), &info));
	expect(strcmp(info.message, "send on closed channel") == 0);
	expect(gort_try(selects_on_closed, gort_untyped(c), &info));
	expect(strcmp(info.message, "send on closed channel") == 0);
	gort_drop(c);
}

/* --- evaluated once --------------------------------------------------------------------------------------------- */

static int asked;

static int_chan ask(int_chan c)
{
	asked++;
	return c;
}

static gort_time ask_when(void)
{
	asked++;
	return gort_deadline(GORT_HOUR);
}

GO_TEST(arguments_are_evaluated_once)
{
	int_chan c = gort_make(int_chan, 100), copy, array[] = { c, { 0 } }, *p = array;
	int values[10] = { 0 }, *v = values, n = 0, results[3] = { 1, 1, 1 }, *r = results;

	asked = 0;
	gort_send(ask(c), n++);
	expect_eq(gort_try_send(ask(c), n++), 0);
	expect_eq(gort_send_until(ask(c), n++, ask_when()), 0);
	expect_eq(GORT_SELECT(GORT_ON_SEND(ask(c), n++)), 0);
	expect_eq(GORT_SELECT_TRY(GORT_ON_SEND(ask(c), n++)), 0);
	expect_eq(GORT_SELECT_UNTIL(ask_when(), GORT_ON_SEND(ask(c), n++)), 0);
	expect_eq(asked, 8);
	expect_eq(gort_len(ask(c)), 6);
	expect_eq(gort_cap(ask(c)), 100);
	expect_eq(asked, 10);
	expect_eq(gort_recv(ask(c), v++), 0);
	expect_eq(gort_try_recv(ask(c), v++), 0);
	expect_eq(gort_recv_until(ask(c), v++, ask_when()), 0);
	expect_eq(GORT_SELECT(GORT_ON_RECV(ask(c), v++)), 0);
	expect_eq(GORT_SELECT(GORT_ON_RECV_OK(ask(c), v++, r++)), 0);
	expect_eq(asked, 16);
	expect(v == values + 5 && r == results + 1 && results[0] == 0 && results[1] == 1);
	for (int i = 0; i < 5; i++)
		expect_eq(values[i], i);
	copy = gort_ref(ask(c));
	gort_add_sender(ask(c), 2);
	gort_sender_done(ask(c));
	expect_eq(asked, 19);
	expect(gort_untyped(*p++) == gort_untyped(c));
	expect(p == array + 1);
	gort_close(ask(c));
	n = 0;
	gort_range(ask(c), x)
		n += x;
	expect_eq(n, 5);
	expect_eq(asked, 21);
	gort_drop(ask(copy));
	gort_drop(ask(c));
	expect_eq(asked, 23);
}

/* --- range ------------------------------------------------------------------------------------------------------ */

static int_chan filled(int n)
{
	int_chan c = gort_make(int_chan, (size_t)n);

	for (int i = 0; i < n; i++)
		gort_send(c, i);
	gort_close(c);
	return c;
}

static int first_above(int_chan c, int limit)
{
	gort_range(c, v) {
		if (v > limit)
			return v;
	}
	return -1;
}

GO_TEST(a_range_is_a_loop_of_c)
{
	int_chan c = filled(100), d;
	int sum = 0, before;

	gort_range(c, v) {
		if (v % 2 != 0)
			continue;
		if (v == 10)
			break;
		sum += v;
	}
	expect_eq(sum, 0 + 2 + 4 + 6 + 8);
	expect_eq(first_above(c, 20), 21);
	gort_range(c, v) {
		v += 100;               /* its own variable */
		if (v > 130)
			goto out;
	}
	expect_eq(gort_len(c), -1);     /* not reached */
out:
	expect_eq(gort_len(c), 100 - 32);
	d = filled(10);
	sum = 0;
	gort_range(c, v) {
		before = sum;
		gort_range(d, w) {
			if (w == 5)
				break;          /* the inner one */
			sum += w;
		}
		if (before == sum && gort_len(d) == 0)
			break;
	}
	expect_eq(sum, 0 + 1 + 2 + 3 + 4 + 6 + 7 + 8 + 9);
	expect(gort_len(c) > 0);
	/* an else belongs to the if that it seems to */
	if (sum == 0)
		gort_range(c, v)
			sum += v;
	else
		sum = -1;
	expect_eq(sum, -1);
	switch (sum) {
	case -1:
		gort_range(c, v) {
			if (v == 50)
				break;
		}
		sum = 1;
		break;
	default:
		sum = 2;
	}
	expect_eq(sum, 1);
	expect_eq(gort_len(c), 49);
	gort_range(c, v)
		sum = v;
	expect_eq(sum, 99);
	gort_range(c, v)
		expect_eq(v, -1);       /* never */
	gort_drop(c);
	gort_drop(d);
}

/* --- select ----------------------------------------------------------------------------------------------------- */

GO_TEST(a_select_says_which_case_ran)
{
	int_chan c = gort_make(int_chan, 1), nil = { 0 };
	string_chan s = gort_make(string_chan, 1);
	const char *text = NULL;
	int v = -1;

	expect_eq(GORT_SELECT(GORT_ON_RECV(c, &v), GORT_ON_RECV(s, &text), GORT_ON_SEND(s, "sent")), 2);
	expect_eq(GORT_SELECT(GORT_ON_RECV(c, &v), GORT_ON_RECV(s, &text), GORT_ON_SEND(s, "sent")), 1);
	expect(text != NULL && strcmp(text, "sent") == 0);
	expect_eq(GORT_SELECT_TRY(GORT_ON_RECV(c, &v), GORT_ON_RECV(s, &text)), -EAGAIN);
	expect_eq(GORT_SELECT_TRY(GORT_ON_RECV(nil, &v), GORT_ON_SEND(nil, 1), GORT_ON_SEND(c, 9)), 2);
	expect_eq(GORT_SELECT_UNTIL(gort_now(), GORT_ON_RECV(c, &v)), -ETIMEDOUT);
	expect_eq(GORT_SELECT_UNTIL(gort_deadline(GORT_HOUR), GORT_ON_RECV(c, &v)), 0);
	expect_eq(v, 9);
	expect_eq(GORT_SELECT_UNTIL(gort_deadline(GORT_MILLISECOND), GORT_ON_RECV(c, &v)), -ETIMEDOUT);
	expect_eq(GORT_SELECT_TRY(), -EAGAIN);
	expect_eq(GORT_SELECT_UNTIL(gort_deadline(GORT_MILLISECOND)), -ETIMEDOUT);
	gort_drop(c);
	gort_drop(s);
}

GO_TEST(a_select_takes_untyped_channels_too)
{
	gort_chan *quit = gort_chan_new(0, 1), *shorts = gort_chan_new(sizeof(short), 1);
	int_chan c = gort_make(int_chan, 1);
	const short out = 5;
	short in = 0;
	int v;

	expect_eq(GORT_SELECT(GORT_ON_RECV(c, &v), GORT_CASE_RECV(quit, NULL), GORT_CASE_SEND(shorts, &out)), 2);
	expect_eq(GORT_SELECT(GORT_CASE_RECV(shorts, &in), GORT_ON_RECV(c, &v), GORT_CASE_RECV(quit, NULL)), 0);
	expect_eq(in, 5);
	gort_chan_close(quit);
	expect_eq(GORT_SELECT(GORT_CASE_RECV(shorts, &in), GORT_ON_RECV(c, &v), GORT_CASE_RECV(quit, NULL)), 2);
	gort_chan_unref(quit);
	gort_chan_unref(shorts);
	gort_drop(c);
}

GO_TEST(only_the_case_that_ran_has_a_result)
{
	int_chan a = gort_make(int_chan, 1), b = gort_make(int_chan, 1), closed = gort_make(int_chan, 1);
	int v = -1, ra = 1, rb = 1, rc = 1, ran;

	gort_close(closed);
	expect_eq(GORT_SELECT_TRY(GORT_ON_RECV_OK(a, &v, &ra), GORT_ON_RECV_OK(b, &v, &rb)), -EAGAIN);
	expect(ra == 1 && rb == 1);
	gort_send(b, 7);
	expect_eq(GORT_SELECT(GORT_ON_RECV_OK(a, &v, &ra), GORT_ON_SEND(b, 1), GORT_ON_RECV_OK(b, &v, &rb)), 2);
	expect(ra == 1 && rb == 0 && v == 7);
	rb = 1;
	expect_eq(GORT_SELECT(GORT_ON_RECV_OK(a, &v, &ra), GORT_ON_RECV_OK(closed, &v, &rc), GORT_ON_RECV_OK(b, &v, &rb)), 1);
	expect(ra == 1 && rb == 1 && rc == -EPIPE && v == 0);
	rc = 1;
	gort_send(a, 1);
	expect_eq(GORT_SELECT(GORT_ON_RECV(a, &v), GORT_ON_RECV_OK(b, &v, &rb)), 0);
	expect(rb == 1);
	/* the same twice: only its place tells which it was */
	for (int i = 0; i < 100; i++) {
		ra = rb = rc = 1;
		ran = GORT_SELECT(GORT_ON_RECV_OK(closed, &v, &ra), GORT_ON_RECV_OK(closed, &v, &rb),
			GORT_ON_RECV_OK(closed, &v, &rc));
		expect_eq(ra, ran == 0 ? -EPIPE : 1);
		expect_eq(rb, ran == 1 ? -EPIPE : 1);
		expect_eq(rc, ran == 2 ? -EPIPE : 1);
	}
	gort_drop(a);
	gort_drop(b);
	gort_drop(closed);
}

/* More than a select has on its stack, every other with a result; the one that is ready is each in turn. */
GO_TEST(many_cases_and_results)
{
	int_chan c[20];
	int v[20], r[20];

	for (int i = 0; i < 20; i++)
		c[i] = gort_make(int_chan, 1);
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 20; j++)
			v[j] = r[j] = -1;
		gort_send(c[i], 100 + i);
#define PAIR(n) GORT_ON_RECV_OK(c[n], &v[n], &r[n]), GORT_ON_RECV(c[n + 1], &v[n + 1])
		expect_eq(GORT_SELECT(PAIR(0), PAIR(2), PAIR(4), PAIR(6), PAIR(8), PAIR(10), PAIR(12), PAIR(14), PAIR(16),
			PAIR(18)), i);
#undef PAIR
		for (int j = 0; j < 20; j++) {
			expect_eq(v[j], j == i ? 100 + i : -1);
			expect_eq(r[j], j == i && i % 2 == 0 ? 0 : -1);
		}
	}
	for (int i = 0; i < 20; i++)
		gort_drop(c[i]);
}

struct merge {
	int_chan a, b;
	gort_chan *quit;
	int sum, odd;
	int result;
};

/* continue and return are the loop's and the function's. */
static int merges(struct merge *m)
{
	for (;;) {
		int v, ok = 0;

		switch (GORT_SELECT(GORT_ON_RECV_OK(m->a, &v, &ok), GORT_ON_RECV(m->b, &v), GORT_CASE_RECV(m->quit, NULL))) {
		case 0:
			if (ok == -EPIPE)
				return 1;
			if (v % 2 == 0)
				continue;
			m->odd++;
			break;
		case 1:
			break;
		case 2:
			return 2;
		}
		m->sum += v;
	}
}

GO_TEST(continue_and_return_are_the_callers)
{
	struct merge m = { gort_make(int_chan, 10), gort_make(int_chan, 10), gort_chan_new(0, 0), 0, 0, 0 };

	for (int i = 1; i <= 10; i++)
		gort_send(m.a, i);
	gort_close(m.a);
	expect_eq(merges(&m), 1);
	expect_eq(m.odd, 5);
	expect_eq(m.sum, 1 + 3 + 5 + 7 + 9);
	gort_drop(m.a);
	m.a = (int_chan){ 0 };
	gort_chan_close(m.quit);
	expect_eq(merges(&m), 2);
	gort_drop(m.b);
	gort_chan_unref(m.quit);
}

/* --- inside of each other ---------------------------------------------------------------------------------------- */

/* -Wshadow has a point in the select inside of a select; it works all the same. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

GO_TEST(uses_stand_in_expressions_and_in_each_other)
{
	int_chan c = gort_make(int_chan, 10), d, other;
	int_chan_chan chans = gort_make(int_chan_chan, 2);
	int v = 1, w = 0, n = 0;

	gort_send(c, gort_try_recv(c, &v));
	expect(gort_recv(c, &v) == 0 && v == -EAGAIN);
	gort_send(c, (gort_send(c, 3), 4));
	expect_eq(gort_recv(c, &v) + gort_recv(c, &w) + v + w, 7);
	gort_send(c, 0);
	gort_send(c, GORT_SELECT(GORT_ON_RECV(c, &v), GORT_ON_RECV((int_chan){ 0 }, &v)) + 10);
	expect(gort_try_recv(c, &v) == 0 ? v == 10 : false);
	gort_send(c, 5);
	expect_eq(GORT_SELECT(GORT_ON_SEND(c, GORT_SELECT(GORT_ON_SEND((int_chan){ 0 }, 1), GORT_ON_RECV(c, &v)) + v)), 0);
	for (; gort_try_recv(c, &v) == 0 && v == 6; n++)
		gort_send(c, v + 1);
	expect_eq(n, 1);
	expect_eq(v, 7);
	gort_send(chans, c);
	gort_send(chans, other = gort_make(int_chan, 1));
	gort_close(chans);
	gort_range(chans, x) {
		gort_send(x, 8);
		n += (int)gort_len(x);
	}
	expect_eq(n, 3);
	expect(gort_recv(c, &v) == 0 && v == 8);
	d = gort_typed(int_chan, gort_untyped(c));
	gort_send(gort_untyped(d) == gort_untyped(c) ? c : d, 9);
	expect(gort_recv(d, &v) == 0 && v == 9);
	gort_drop(c);
	gort_drop(other);
	gort_drop(chans);
}

#pragma GCC diagnostic pop

/* --- between goroutines ------------------------------------------------------------------------------------------ */

static void produces(void *arg)
{
	point_chan c = gort_typed(point_chan, arg);

	for (int i = 1; i <= 1000; i++)
		gort_send(c, (struct point){ i, -i });
	gort_sender_done(c);
	gort_drop(c);
}

GO_TEST(goroutines_share_a_channel)
{
	for (size_t cap = 0; cap < 3; cap++) {
		point_chan c = gort_make(point_chan, cap);
		long sum = 0, n = 0;

		gort_add_sender(c, 4);
		for (int i = 0; i < 4; i++)
			spawn(produces, gort_untyped(gort_ref(c)));
		gort_range(c, p) {
			expect_eq(p.x, -p.y);
			sum += p.x;
			n++;
		}
		expect_eq(n, 4000);
		expect_eq(sum, 4 * 500500);
		gort_drop(c);
	}
}

START_TEST(plain_threads_use_it_too)
{
	point_chan c = gort_make(point_chan, 1);
	pthread_t t;
	struct point p;
	int n = 0;

	gort_add_sender(c, 1);
	t = thread_start(produces, gort_untyped(gort_ref(c)));
	while (gort_recv(c, &p) == 0)
		n += p.x == -p.y;
	ck_assert_int_eq(n, 1000);
	thread_join(t);
	gort_drop(c);
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "typed", NULL);
	test_add(&s, every_type_comes_out_as_it_went_in);
	test_add(&s, elements_without_a_size_are_signals);
	test_add(&s, all_calls_answer_as_the_untyped_ones);
	test_add(&s, sends_on_a_closed_channel_panic);
	test_add(&s, arguments_are_evaluated_once);
	test_add(&s, a_range_is_a_loop_of_c);
	test_add(&s, a_select_says_which_case_ran);
	test_add(&s, a_select_takes_untyped_channels_too);
	test_add(&s, only_the_case_that_ran_has_a_result);
	test_add(&s, many_cases_and_results);
	test_add(&s, continue_and_return_are_the_callers);
	test_add(&s, uses_stand_in_expressions_and_in_each_other);
	test_add(&s, goroutines_share_a_channel);
	test_add(&s, plain_threads_use_it_too);
	return test_end(&s);
}
