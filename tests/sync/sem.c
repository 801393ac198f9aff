/* SPDX-License-Identifier: MIT */
/* The weighted semaphore. */
#include "test.h"

#include <gort/sync.h>

THREAD_TEST(the_struct_has_its_promised_size_and_zero_is_an_empty_one)
{
	gort_sem a = { 0 }, b = GORT_SEM_INIT(0), c;

	expect_eq(sizeof(gort_sem), 32);
	gort_sem_init(&c, 0);
	expect(memcmp(&a, &b, sizeof a) == 0);
	expect(memcmp(&a, &c, sizeof a) == 0);
	expect(gort_sem_try_acquire(&a, 0));
	expect(!gort_sem_try_acquire(&a, 1));
	gort_sem_acquire(&a, 0);
	gort_sem_release(&a, 0);
}

struct shared {
	gort_sem s;
	long inside;            /* atomic: how much is taken */
	int rounds, done;
};

static void takes_some(void *arg)
{
	struct shared *s = arg;
	uint64_t r = test_random_init((uintptr_t)&r);

	for (int i = 0; i < s->rounds; i++) {
		long n = (long)(test_random(&r) % 6);
		bool had = true;

		switch (test_random(&r) % 4) {
		case 0:
			had = gort_sem_try_acquire(&s->s, n);
			break;
		case 1:
			had = gort_sem_acquire_until(&s->s, n, gort_deadline((gort_duration)(test_random(&r) % 2000))) == 0;
			break;
		default:
			gort_sem_acquire(&s->s, n);
			break;
		}
		if (!had)
			continue;
		expect(__atomic_add_fetch(&s->inside, n, __ATOMIC_RELAXED) <= 5);
		if (test_random(&r) % 16 == 0)
			gort_yield();
		__atomic_sub_fetch(&s->inside, n, __ATOMIC_RELAXED);
		gort_sem_release(&s->s, n);
	}
	count_up(&s->done);
}

GO_TEST(never_more_than_the_whole_is_taken)
{
	struct shared s = { .s = GORT_SEM_INIT(5), .rounds = (int)test_scale(3000) };
	pthread_t t = thread_start(takes_some, &s);

	for (int i = 0; i < 8; i++)
		spawn(takes_some, &s);
	await_count(&s.done, 9);
	thread_join(t);
	expect_eq(s.inside, 0);
	expect(gort_sem_try_acquire(&s.s, 5));
}

struct waiter {
	struct task task;
	gort_sem *s;
	int64_t n;
	gort_time deadline;
	int result;
	int *order, turn;
};

static void acquires(void *arg)
{
	struct waiter *w = arg;

	task_here(&w->task);
	w->result = gort_sem_acquire_until(w->s, w->n, w->deadline);
	w->turn = __atomic_fetch_add(w->order, 1, __ATOMIC_SEQ_CST);
	task_done(&w->task);
}

static void start(struct waiter *w, gort_sem *s, int64_t n, gort_time deadline, int *order)
{
	*w = (struct waiter){ .s = s, .n = n, .deadline = deadline, .order = order };
	spawn(acquires, w);
	await_parked(&w->task);
}

GO_TEST(first_in_first_out_and_a_big_one_is_not_starved_by_small_ones)
{
	gort_sem s = GORT_SEM_INIT(10);
	int order = 0;
	struct waiter big, small[3];

	gort_sem_acquire(&s, 9);
	start(&big, &s, 10, GORT_FOREVER, &order);
	for (int i = 0; i < 3; i++)
		start(&small[i], &s, 1, GORT_FOREVER, &order);
	/* one is free, and yet: */
	expect(!gort_sem_try_acquire(&s, 1));
	for (int i = 0; i < 10; i++)
		gort_yield();
	expect_eq(get(&order), 0);
	gort_sem_release(&s, 9);
	await_done(&big.task);
	expect_eq(get(&order), 1);
	gort_sem_release(&s, 1);
	await_done(&small[0].task);
	expect_eq(get(&order), 2);
	gort_sem_release(&s, 9);
	await_done(&small[1].task);
	await_done(&small[2].task);
	gort_sem_release(&s, 3);
	expect(gort_sem_try_acquire(&s, 10));
}

GO_TEST(a_wait_with_a_deadline_gives_up_and_lets_those_behind_it_in)
{
	gort_sem s = GORT_SEM_INIT(3);
	int order = 0;
	struct waiter big = { .s = &s, .n = 3, .deadline = gort_deadline(20 * GORT_MILLISECOND), .order = &order }, small;
	gort_time until;

	expect_eq(gort_sem_acquire_until(&s, 1, gort_now()), -ETIMEDOUT);
	expect_eq(gort_sem_acquire_until(&s, 2, gort_deadline(GORT_HOUR)), 0);
	until = gort_deadline(2 * GORT_MILLISECOND);
	expect_eq(gort_sem_acquire_until(&s, 2, until), -ETIMEDOUT);
	expect(gort_now() >= until);
	spawn(acquires, &big);
	start(&small, &s, 1, GORT_FOREVER, &order);     /* behind it, or there it has given up by now */
	await_done(&small.task);
	await_done(&big.task);
	expect_eq(big.result, -ETIMEDOUT);
	gort_sem_release(&s, 3);
	expect(gort_sem_try_acquire(&s, 3));
}

static void releases(void *arg)
{
	gort_sem_release(arg, 1);
}

GO_TEST(it_may_be_freed_once_acquire_has_returned)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		gort_sem *s = malloc(sizeof *s);

		gort_sem_init(s, 2);
		gort_sem_acquire(s, 1);
		spawn(releases, s);
		if (i % 2 == 0)
			gort_yield();
		if (i % 3 == 0) {
			while (gort_sem_acquire_until(s, 2, gort_deadline(2000 + (gort_duration)(i % 4000))) != 0)
				;
		} else {
			gort_sem_acquire(s, 2);
		}
		memset(s, 0xFF, sizeof *s);
		free(s);
	}
}

static void acquires_negative(void *arg)
{
	gort_sem_acquire(arg, -1);
}

static void tries_negative(void *arg)
{
	gort_sem_try_acquire(arg, -1);
}

static void releases_negative(void *arg)
{
	gort_sem_release(arg, INT64_MIN);
}

static void inits_negative(void *arg)
{
	gort_sem_init(arg, -1);
}

static void acquires_too_much(void *arg)
{
	gort_sem_acquire(arg, 4);
}

static void acquires_too_much_until(void *arg)
{
	gort_sem_acquire_until(arg, INT64_MAX, GORT_FOREVER);
}

static void releases_too_much(void *arg)
{
	gort_sem_release(arg, 3);
}

static void says(void (*fn)(void *arg), gort_sem *s, const char *words)
{
	gort_panic_info info = { .message = "" };

	expect(gort_try(fn, s, &info));
	expect(strcmp(info.message, words) == 0);
}

GO_TEST(bad_requests_panic)
{
	gort_sem s = GORT_SEM_INIT(3);
	int order = 0;
	struct waiter w;

	says(acquires_negative, &s, "semaphore: negative count");
	says(tries_negative, &s, "semaphore: negative count");
	says(releases_negative, &s, "semaphore: negative count");
	says(inits_negative, &s, "semaphore: bad size");
	says(acquires_too_much, &s, "semaphore: acquire of more than the whole");
	says(acquires_too_much_until, &s, "semaphore: acquire of more than the whole");
	expect(!gort_sem_try_acquire(&s, 4));
	gort_sem_acquire(&s, 2);
	says(releases_too_much, &s, "semaphore: released more than held");
	/* with somebody waiting, too */
	start(&w, &s, 3, GORT_FOREVER, &order);
	says(releases_too_much, &s, "semaphore: released more than held");
	gort_sem_release(&s, 2);
	await_done(&w.task);
	gort_sem_release(&s, 3);
	expect(gort_sem_try_acquire(&s, 3));
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "sem", NULL);
	test_add(&s, the_struct_has_its_promised_size_and_zero_is_an_empty_one);
	test_add(&s, never_more_than_the_whole_is_taken);
	test_add(&s, first_in_first_out_and_a_big_one_is_not_starved_by_small_ones);
	test_add(&s, a_wait_with_a_deadline_gives_up_and_lets_those_behind_it_in);
	test_add(&s, it_may_be_freed_once_acquire_has_returned);
	test_add(&s, bad_requests_panic);
	return test_end(&s);
}
