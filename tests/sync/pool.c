/* SPDX-License-Identifier: MIT */
/* The pool. */
#include "test.h"

#include <gort/sync.h>

struct item {
	int used;               /* atomic: by how many */
};

static int made, destroyed;

static void *makes(void *arg)
{
	expect(arg == &made);
	count_up(&made);
	return calloc(1, sizeof(struct item));
}

static void destroys(void *item)
{
	count_up(&destroyed);
	free(item);
}

static void reset(void)
{
	set(&made, 0);
	set(&destroyed, 0);
}

GO_TEST(what_was_put_is_got_again_and_all_is_destroyed)
{
	gort_pool *p = gort_pool_new(makes, destroys, &made);
	void *a, *b;

	reset();
	a = gort_pool_get(p);
	b = gort_pool_get(p);
	expect(a != b);
	expect_eq(get(&made), 2);
	gort_pool_put(p, a);
	gort_pool_put(p, b);
	gort_pool_put(p, NULL);
	for (int i = 0; i < 100; i++) {
		a = gort_pool_get(p);
		gort_pool_put(p, a);
	}
	/* on another P there may have been none at first */
	expect(get(&made) <= 2 + gort_maxprocs());
	gort_pool_free(p);
	gort_pool_free(NULL);
	expect_eq(get(&destroyed), get(&made));
}

GO_TEST(without_functions_it_is_just_a_place)
{
	gort_pool *p = gort_pool_new(NULL, NULL, NULL);
	int x;

	expect(gort_pool_get(p) == NULL);
	gort_pool_put(p, &x);
	gort_pool_free(p);
}

GO_TEST(what_there_is_no_room_for_is_destroyed)
{
	static void *items[5000];
	gort_pool *p = gort_pool_new(makes, destroys, &made);

	reset();
	for (int i = 0; i < 5000; i++)
		items[i] = gort_pool_get(p);
	for (int i = 0; i < 5000; i++)
		gort_pool_put(p, items[i]);
	expect(get(&destroyed) > 0);
	expect(get(&destroyed) < 5000);
	gort_pool_free(p);
	expect_eq(get(&destroyed), get(&made));
}

struct users {
	gort_pool *p;
	int rounds, done;
};

static void uses(void *arg)
{
	struct users *u = arg;
	uint64_t r = test_random_init((uintptr_t)&r);
	struct item *held[40];
	int n = 0;

	for (int i = 0; i < u->rounds; i++) {
		if (n < 40 && (n == 0 || test_random(&r) % 2 == 0)) {
			held[n] = gort_pool_get(u->p);
			/* nobody else has it */
			expect_eq(__atomic_fetch_add(&held[n]->used, 1, __ATOMIC_RELAXED), 0);
			n++;
		} else {
			n--;
			expect_eq(__atomic_fetch_sub(&held[n]->used, 1, __ATOMIC_RELAXED), 1);
			gort_pool_put(u->p, held[n]);
		}
		if (test_random(&r) % 16 == 0)
			gort_yield();
	}
	while (n > 0) {
		__atomic_fetch_sub(&held[--n]->used, 1, __ATOMIC_RELAXED);
		gort_pool_put(u->p, held[n]);
	}
	count_up(&u->done);
}

GO_TEST(an_item_is_one_users_at_a_time_whatever_maxprocs_does)
{
	struct users u = { .p = gort_pool_new(makes, destroys, &made), .rounds = (int)test_scale(20000) };
	int was = gort_maxprocs();
	pthread_t t[2];

	reset();
	for (int i = 0; i < 2; i++)
		t[i] = thread_start(uses, &u);
	for (int i = 0; i < 6; i++)
		spawn(uses, &u);
	for (int i = 0; get(&u.done) < 8; i++) {
		gort_set_maxprocs(1 + i % 4);
		gort_yield();
	}
	for (int i = 0; i < 2; i++)
		thread_join(t[i]);
	gort_set_maxprocs(was);
	gort_pool_free(u.p);
	expect_eq(get(&destroyed), get(&made));
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "pool", NULL);
	test_add(&s, what_was_put_is_got_again_and_all_is_destroyed);
	test_add(&s, without_functions_it_is_just_a_place);
	test_add(&s, what_there_is_no_room_for_is_destroyed);
	test_add(&s, an_item_is_one_users_at_a_time_whatever_maxprocs_does);
	return test_end(&s);
}
