/* SPDX-License-Identifier: MIT */
/*
 * The storm on lifetimes: a mutex, wait group or once is freed the moment the call that ends its use has returned in its
 * owner, while the others are still on their way out of theirs. ASan sees a late touch; elsewhere the memory is filled.
 */
#include "storm.h"

#include <gort/sync.h>

struct owned {
	gort_mutex m;
	gort_waitgroup wg;
	int left;               /* guarded by m */
	int kind;
};

static int done, stop;

/* The last one to leave frees it, inside the section: as a reference count under its own lock does. */
static void under_lock(void *arg)
{
	struct owned *o = arg;
	uint64_t r = test_random_init((uintptr_t)arg);
	bool last;

	if (test_random(&r) % 4 == 0)
		gort_yield();
	if (test_random(&r) % 8 == 0) {
		/* on the way, some give up and come again */
		while (gort_mutex_lock_until(&o->m, gort_deadline((gort_duration)(test_random(&r) % 5000))) != 0)
			;
	} else {
		gort_mutex_lock(&o->m);
	}
	if (test_random(&r) % 4 == 0)
		gort_yield();
	last = --o->left == 0;
	gort_mutex_unlock(&o->m);
	if (last) {
		memset(o, 0xFF, sizeof *o);
		free(o);
	}
	count_up(&done);
}

START_TEST(mutex_lifetime_storm)
{
	struct changer ch = { &stop, 4, 0 };
	int n = (int)test_scale_min(3000, 50), was = gort_maxprocs();
	pthread_t changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	changer = thread_start(storm_changes_procs, &ch);
	for (int i = 0; i < n; i++) {
		struct owned *o = calloc(1, sizeof *o);

		o->left = 8;
		for (int k = 0; k < 7; k++)
			ck_assert_int_eq(gort_go(under_lock, o), 0);
		under_lock(o);          /* a plain thread among them */
	}
	await_count(&done, 8 * n);
	set(&stop, 1);
	thread_join(changer);
	gort_set_maxprocs(was);
}
END_TEST

static void does_its_part(void *arg)
{
	struct owned *o = arg;
	uint64_t r = test_random_init((uintptr_t)arg);

	if (test_random(&r) % 2)
		gort_yield();
	gort_waitgroup_done(&o->wg);
}

static void owns_group(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg);
	int n = (int)test_scale_min(1500, 50);

	for (int i = 0; i < n; i++) {
		struct owned *o = calloc(1, sizeof *o);
		int k = 1 + (int)(test_random(&r) % 6);

		gort_waitgroup_add(&o->wg, k);
		while (k-- > 0)
			expect_eq(gort_go(does_its_part, o), 0);
		if (test_random(&r) % 3 == 0) {
			while (gort_waitgroup_wait_until(&o->wg, gort_deadline((gort_duration)(test_random(&r) % 20000))) != 0)
				;
		} else {
			gort_waitgroup_wait(&o->wg);
		}
		memset(o, 0xFF, sizeof *o);
		free(o);
	}
	count_up(&done);
}

START_TEST(waitgroup_lifetime_storm)
{
	struct changer ch = { &stop, 4, 0 };
	int was = gort_maxprocs();
	pthread_t t, changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(gort_go(owns_group, (void *)i), 0);
	t = thread_start(owns_group, (void *)5);
	await_count(&done, 5);
	thread_join(t);
	set(&stop, 1);
	thread_join(changer);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

/* --- one mutex for many, with every kind of lock --- */

static gort_mutex shared = GORT_MUTEX_INIT;
static long inside, total, taken;

static void locks_in_all_ways(void *arg)
{
	uint64_t r = test_random_init((uintptr_t)arg + 7);

	for (long i = 0; i < test_scale_min(4000, 100); i++) {
		switch (test_random(&r) % 4) {
		case 0:
			if (!gort_mutex_try_lock(&shared)) {
				gort_yield();
				continue;
			}
			break;
		case 1:
			if (gort_mutex_lock_until(&shared, gort_deadline((gort_duration)(test_random(&r) % 30000))) != 0)
				continue;
			break;
		default:
			gort_mutex_lock(&shared);
		}
		expect_eq(++inside, 1);
		total++;
		__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
		if (test_random(&r) % 16 == 0)
			gort_yield();
		if (test_random(&r) % 256 == 0)
			gort_sleep(50 * GORT_MICROSECOND);
		inside--;
		gort_mutex_unlock(&shared);
	}
	count_up(&done);
}

START_TEST(mutex_storm)
{
	struct changer ch = { &stop, 4, 0 };
	int was = gort_maxprocs();
	pthread_t t[2], changer;

	(void)_i;
	set(&done, 0);
	set(&stop, 0);
	inside = total = taken = 0;
	changer = thread_start(storm_changes_procs, &ch);
	for (intptr_t i = 0; i < 10; i++)
		ck_assert_int_eq(gort_go(locks_in_all_ways, (void *)i), 0);
	for (intptr_t i = 0; i < 2; i++)
		t[i] = thread_start(locks_in_all_ways, (void *)(i + 20));
	await_count(&done, 12);
	thread_join(t[0]);
	thread_join(t[1]);
	set(&stop, 1);
	thread_join(changer);
	expect_eq(total, taken);
	/* nobody waits, so no bit may be left */
	expect_eq(shared.state, 0);
	expect(shared.waiters == NULL);
	gort_set_maxprocs(was);
	test_assert();
}
END_TEST

/* --- once: of two callers the one that did not run the function frees it, while the other may still be on its way out --- */

struct short_once {
	gort_once once;
	int value;
};

struct call {
	struct short_once *o;
	bool ran;
};

static void sets_value(void *arg)
{
	struct call *c = arg;

	gort_yield();
	c->ran = true;
	c->o->value++;
}

static void calls_once(void *arg)
{
	struct call c = { arg, false };

	gort_once_do(&c.o->once, sets_value, &c);
	if (!c.ran) {
		expect_eq(c.o->value, 1);
		memset(c.o, 0xFF, sizeof *c.o);
		free(c.o);
	}
	count_up(&done);
}

START_TEST(once_lifetime_storm)
{
	int n = (int)test_scale_min(10000, 50);

	(void)_i;
	set(&done, 0);
	for (int i = 0; i < n; i++) {
		struct short_once *o = calloc(1, sizeof *o);

		ck_assert_int_eq(gort_go(calls_once, o), 0);
		if (i % 4 == 0)
			calls_once(o);
		else
			ck_assert_int_eq(gort_go(calls_once, o), 0);
	}
	await_count(&done, 2 * n);
	test_assert();
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "stress-lifetime", NULL);
	test_add(&s, mutex_lifetime_storm);
	test_add(&s, waitgroup_lifetime_storm);
	test_add(&s, mutex_storm);
	test_add(&s, once_lifetime_storm);
	return test_end(&s);
}
