/* SPDX-License-Identifier: MIT */
/* Constructors out of memory: NULL or -ENOMEM, and nothing is lost. And waiting takes no memory at all. */
#include "interpose.h"
#include "test.h"

#include <gort/sync.h>

static int ran;

static int returns(void *arg, void **value)
{
	ran++;
	*value = arg;
	return 0;
}

THREAD_TEST(constructors_return_null)
{
	gort_pool *p;
	gort_barrier *b;
	gort_singleflight *s;

	interpose_fail(INTERPOSE_MALLOC, 1, true);
	p = gort_pool_new(NULL, NULL, NULL);
	b = gort_barrier_new(2);
	s = gort_singleflight_new();
	interpose_fail(INTERPOSE_MALLOC, 0, false);
	expect(p == NULL);
	expect(b == NULL);
	expect(s == NULL);
	expect(interpose_failed(INTERPOSE_MALLOC) >= 3);
}

GO_TEST(singleflight_without_memory_calls_nothing)
{
	gort_singleflight *s = gort_singleflight_new();
	void *value = &ran;
	bool shared = true;
	int r;

	ran = 0;
	interpose_fail(INTERPOSE_MALLOC, 1, true);
	r = gort_singleflight_do(s, "key", returns, &ran, &value, &shared);
	interpose_fail(INTERPOSE_MALLOC, 0, false);
	expect_eq(r, -ENOMEM);
	expect_eq(ran, 0);
	expect(value == NULL);
	expect(!shared);
	expect_eq(gort_singleflight_do(s, "key", returns, &ran, &value, &shared), 0);
	expect(value == &ran);
	gort_singleflight_free(s);
}

static void destroys(void *item)
{
	ran++;
}

GO_TEST(a_pool_without_memory_for_a_share_keeps_what_it_gets)
{
	gort_pool *p = gort_pool_new(NULL, destroys, NULL);
	int x;

	ran = 0;
	interpose_fail(INTERPOSE_MALLOC, 1, true);
	gort_pool_put(p, &x);
	expect(gort_pool_get(p) == &x);
	gort_pool_put(p, &x);
	interpose_fail(INTERPOSE_MALLOC, 0, false);
	gort_pool_free(p);
	expect_eq(ran, 1);
}

/* --- a round of waits of every kind --- */

struct all {
	gort_mutex m;
	gort_rwmutex rw;
	gort_cond c;
	gort_sem s;
	gort_waitgroup wg, ended;
	gort_once once;
	gort_barrier *b;
	int turn;               /* guarded by m */
	int inside, waiting;
};

static void slow(void *arg)
{
	struct all *a = arg;

	count_up(&a->inside);
	for (int i = 0; i < 100; i++)
		gort_yield();
}

static void other(void *arg)
{
	struct all *a = arg;

	gort_once_do(&a->once, slow, a);
	gort_barrier_wait(a->b);
	gort_mutex_lock(&a->m);
	while (a->turn == 0)
		gort_cond_wait(&a->c, &a->m);
	gort_mutex_unlock(&a->m);
	gort_rwmutex_rlock(&a->rw);
	gort_rwmutex_runlock(&a->rw);
	gort_rwmutex_lock(&a->rw);
	gort_yield();
	gort_rwmutex_unlock(&a->rw);
	gort_sem_acquire(&a->s, 2);
	gort_yield();
	gort_sem_release(&a->s, 2);
	gort_waitgroup_wait(&a->wg);
	gort_waitgroup_done(&a->ended);
}

static void waits_all(struct all *a)
{
	gort_waitgroup_add(&a->wg, 1);
	gort_rwmutex_lock(&a->rw);
	gort_sem_acquire(&a->s, 1);
	gort_barrier_wait(a->b);
	for (int i = 0; i < 20; i++)
		gort_yield();
	gort_mutex_lock(&a->m);
	a->turn = 1;
	gort_cond_broadcast(&a->c);
	gort_yield();
	gort_mutex_unlock(&a->m);
	for (int i = 0; i < 20; i++)
		gort_yield();
	gort_rwmutex_unlock(&a->rw);
	for (int i = 0; i < 20; i++)
		gort_yield();
	gort_sem_release(&a->s, 1);
	for (int i = 0; i < 20; i++)
		gort_yield();
	gort_waitgroup_done(&a->wg);
}

/* What a round took. Only the first use of a stack, of a thread and the like may take anything. */
static long round_takes(void)
{
	struct all a = { .s = GORT_SEM_INIT(2), .b = gort_barrier_new(5) };
	long before, took;

	gort_waitgroup_add(&a.ended, 4);
	for (int i = 0; i < 4; i++)
		spawn(other, &a);
	await_count(&a.inside, 1);
	before = interpose_calls(INTERPOSE_MALLOC);
	waits_all(&a);
	gort_waitgroup_wait(&a.ended);
	took = interpose_calls(INTERPOSE_MALLOC) - before;
	gort_barrier_free(a.b);
	return took;
}

/*
 * The scheduler may need one more stack or thread in any round, depending on what the machine lets run when. A wait that
 * takes memory takes it in every one of them.
 */
GO_TEST(no_wait_takes_memory)
{
	long least = round_takes();

	for (int i = 0; i < 50 && least != 0; i++) {
		long took = round_takes();

		least = took < least ? took : least;
	}
	expect_eq(least, 0);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "memory", NULL);
	if (test_valgrind()) {
		test_skip("constructors_return_null, singleflight_without_memory_calls_nothing",
			"valgrind puts its own malloc before the one that fails");
	} else {
		test_add(&s, constructors_return_null);
		test_add(&s, singleflight_without_memory_calls_nothing);
	}
	test_add(&s, a_pool_without_memory_for_a_share_keeps_what_it_gets);
	test_add(&s, no_wait_takes_memory);
	return test_end(&s);
}
