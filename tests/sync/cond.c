/* SPDX-License-Identifier: MIT */
/* The condition variable. */
#include "test.h"

#include <gort/sync.h>

struct place {
	gort_mutex m;
	gort_cond c;
	int go;                 /* guarded by m */
	int order;
	int wakeups;
};

struct waiter {
	struct task task;
	struct place *p;
	gort_time deadline;
	int result, turn;
};

/* Waits once, whatever the state is: a wakeup that is not due shows. */
static void waits_once(void *arg)
{
	struct waiter *w = arg;

	task_here(&w->task);
	gort_mutex_lock(&w->p->m);
	w->result = gort_cond_wait_until(&w->p->c, &w->p->m, w->deadline);
	w->turn = w->p->order++;
	w->p->wakeups++;
	expect(!gort_mutex_try_lock(&w->p->m));
	gort_mutex_unlock(&w->p->m);
	task_done(&w->task);
}

static int wakeups(struct place *p)
{
	int n;

	gort_mutex_lock(&p->m);
	n = p->wakeups;
	gort_mutex_unlock(&p->m);
	return n;
}

static void start(struct waiter *w, struct place *p, int n, gort_time deadline)
{
	for (int i = 0; i < n; i++) {
		w[i] = (struct waiter){ .p = p, .deadline = deadline };
		spawn(waits_once, &w[i]);
		await_parked(&w[i].task);
	}
}

THREAD_TEST(the_struct_has_its_promised_size_and_zero_is_one)
{
	gort_cond a = { 0 }, b = GORT_COND_INIT;

	expect_eq(sizeof(gort_cond), 32);
	expect(memcmp(&a, &b, sizeof a) == 0);
	gort_cond_signal(&a);
	gort_cond_broadcast(&b);
}

GO_TEST(signals_wake_one_each_first_in_first_out)
{
	for (int held = 0; held < 2; held++) {
		struct place p = { .go = 0 };
		struct waiter w[10];

		start(w, &p, 10, GORT_FOREVER);
		for (int i = 0; i < 10; i++) {
			if (held)
				gort_mutex_lock(&p.m);
			gort_cond_signal(&p.c);
			if (held)
				gort_mutex_unlock(&p.m);
			await_done(&w[i].task);
			expect_eq(w[i].turn, i);
			expect_eq(wakeups(&p), i + 1);
		}
	}
}

GO_TEST(a_broadcast_wakes_each_once_in_order)
{
	for (int held = 0; held < 2; held++) {
		struct place p = { .go = 0 };
		struct waiter w[20];

		start(w, &p, 20, GORT_FOREVER);
		if (held)
			gort_mutex_lock(&p.m);
		gort_cond_broadcast(&p.c);
		if (held)
			gort_mutex_unlock(&p.m);
		for (int i = 0; i < 20; i++)
			await_done(&w[i].task);
		expect_eq(wakeups(&p), 20);
		/* the queue for the mutex is that of the condition; a runner may slip in between, but not overtake all of them */
		for (int i = 0; i < 20; i++)
			expect(w[i].turn >= 0 && w[i].turn < 20);
	}
}

GO_TEST(a_signal_without_a_waiter_is_lost)
{
	struct place p = { .go = 0 };
	struct waiter w;

	gort_cond_signal(&p.c);
	gort_cond_broadcast(&p.c);
	start(&w, &p, 1, GORT_FOREVER);
	for (int i = 0; i < 100; i++)
		gort_yield();
	expect_eq(wakeups(&p), 0);
	gort_cond_signal(&p.c);
	await_done(&w.task);
}

GO_TEST(a_wait_with_a_deadline_gives_up_and_uses_no_signal_up)
{
	struct place p = { .go = 0 };
	struct waiter a[2], b;
	gort_time until;

	gort_mutex_lock(&p.m);
	expect_eq(gort_cond_wait_until(&p.c, &p.m, gort_now()), -ETIMEDOUT);
	expect(!gort_mutex_try_lock(&p.m));
	for (int i = 0; i < 5; i++) {
		until = gort_deadline(2 * GORT_MILLISECOND);
		expect_eq(gort_cond_wait_until(&p.c, &p.m, until), -ETIMEDOUT);
		expect(gort_now() >= until);
		expect(!gort_mutex_try_lock(&p.m));
	}
	gort_mutex_unlock(&p.m);
	for (int i = 0; i < 2; i++) {
		a[i] = (struct waiter){ .p = &p, .deadline = gort_deadline(5 * GORT_MILLISECOND) };
		spawn(waits_once, &a[i]);
	}
	start(&b, &p, 1, gort_deadline(GORT_HOUR));
	await_done(&a[0].task);
	await_done(&a[1].task);
	expect_eq(a[0].result, -ETIMEDOUT);
	expect_eq(a[1].result, -ETIMEDOUT);
	gort_cond_signal(&p.c);
	await_done(&b.task);
	expect_eq(b.result, 0);
}

struct bounded {
	gort_mutex m;
	gort_cond filled, emptied;
	int n, items, produced, consumed;
	int done;
};

static void produces(void *arg)
{
	struct bounded *q = arg;

	for (int i = 0; i < q->items; i++) {
		gort_mutex_lock(&q->m);
		while (q->n == 3)
			gort_cond_wait(&q->emptied, &q->m);
		q->n++;
		q->produced++;
		gort_cond_signal(&q->filled);
		gort_mutex_unlock(&q->m);
	}
	count_up(&q->done);
}

static void consumes(void *arg)
{
	struct bounded *q = arg;
	uint64_t r = test_random_init((uintptr_t)&r);

	for (int i = 0; i < q->items; i++) {
		gort_mutex_lock(&q->m);
		while (q->n == 0) {
			/* some with deadlines that may pass just as the signal comes */
			if (test_random(&r) % 4 == 0)
				gort_cond_wait_until(&q->filled, &q->m,
					gort_deadline(1000 + (gort_duration)(test_random(&r) % 3000)));
			else
				gort_cond_wait(&q->filled, &q->m);
		}
		q->n--;
		q->consumed++;
		gort_mutex_unlock(&q->m);
		gort_cond_signal(&q->emptied);
	}
	count_up(&q->done);
}

GO_TEST(a_bounded_queue_passes_everything)
{
	struct bounded q = { .items = (int)test_scale(3000) };
	pthread_t t[2];

	for (int i = 0; i < 4; i++) {
		spawn(produces, &q);
		spawn(consumes, &q);
	}
	t[0] = thread_start(produces, &q);
	t[1] = thread_start(consumes, &q);
	await_count(&q.done, 10);
	thread_join(t[0]);
	thread_join(t[1]);
	expect_eq(q.produced, 5 * q.items);
	expect_eq(q.consumed, 5 * q.items);
}

static void waits_with_another_mutex(void *arg)
{
	struct waiter *w = arg;
	gort_mutex own = GORT_MUTEX_INIT;

	task_here(&w->task);
	gort_mutex_lock(&own);
	gort_cond_wait(&w->p->c, &own);
	expect(!gort_mutex_try_lock(&own));
	gort_mutex_unlock(&own);
	task_done(&w->task);
}

GO_TEST(waiters_may_bring_mutexes_of_their_own)
{
	struct place p = { .go = 0 };
	struct waiter w[6];

	for (int i = 0; i < 6; i++) {
		w[i] = (struct waiter){ .p = &p, .deadline = GORT_FOREVER };
		spawn(i % 3 == 1 ? waits_with_another_mutex : waits_once, &w[i]);
		await_parked(&w[i].task);
	}
	gort_cond_broadcast(&p.c);
	for (int i = 0; i < 6; i++)
		await_done(&w[i].task);
	expect_eq(wakeups(&p), 4);
}

static void waits_for_go(void *arg)
{
	struct place *p = arg;

	gort_mutex_lock(&p->m);
	p->go = 1;
	gort_cond_signal(&p->c);
	gort_mutex_unlock(&p->m);
}

GO_TEST(it_may_be_freed_once_wait_has_returned)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		struct place *p = calloc(1, sizeof *p);

		spawn(waits_for_go, p);
		if (i % 2 == 0)
			gort_yield();
		gort_mutex_lock(&p->m);
		while (!p->go) {
			if (i % 3 != 0) {
				gort_cond_wait(&p->c, &p->m);
			} else if (gort_cond_wait_until(&p->c, &p->m, gort_deadline(2000 + (gort_duration)(i % 4000))) != 0) {
				/* a deadline that had passed already: it was held all the time */
				gort_mutex_unlock(&p->m);
				gort_yield();
				gort_mutex_lock(&p->m);
			}
		}
		gort_mutex_unlock(&p->m);
		memset(p, 0xFF, sizeof *p);
		free(p);
	}
}

static void uses_copy(void *arg)
{
	gort_cond *c = arg, copy;

	gort_cond_signal(c);
	memcpy(&copy, c, sizeof copy);
	gort_cond_signal(&copy);
}

THREAD_TEST(a_copy_panics)
{
	gort_cond c = GORT_COND_INIT;
	gort_panic_info info;

	expect(gort_try(uses_copy, &c, &info));
	expect(strcmp(info.message, "sync.Cond is copied") == 0);
}

static int wait_unlocked_main(void *arg)
{
	struct place p = { .go = 0 };

	gort_cond_wait(&p.c, &p.m);
	return 0;
}

static int wait_unlocked(void)
{
	return gort_run(wait_unlocked_main, NULL);
}

static const struct test_child children[] = {
	{ "wait_unlocked", wait_unlocked }, { NULL, NULL },
};

START_TEST(waiting_with_an_unlocked_mutex_is_fatal)
{
	test_child_says("wait_unlocked", NULL, 2, "fatal error: sync: unlock of unlocked mutex");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "cond", children);
	test_add(&s, the_struct_has_its_promised_size_and_zero_is_one);
	test_add(&s, signals_wake_one_each_first_in_first_out);
	test_add(&s, a_broadcast_wakes_each_once_in_order);
	test_add(&s, a_signal_without_a_waiter_is_lost);
	test_add(&s, a_wait_with_a_deadline_gives_up_and_uses_no_signal_up);
	test_add(&s, a_bounded_queue_passes_everything);
	test_add(&s, waiters_may_bring_mutexes_of_their_own);
	test_add(&s, it_may_be_freed_once_wait_has_returned);
	test_add(&s, a_copy_panics);
	test_add(&s, waiting_with_an_unlocked_mutex_is_fatal);
	return test_end(&s);
}
