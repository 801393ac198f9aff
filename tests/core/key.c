/* SPDX-License-Identifier: MIT */
/* Values of a goroutine's own. */
#include "test.h"

/* Until this goroutine is the only one; the last test's may still be ending when one begins. */
static void await_others(void)
{
	while (gort_num_goroutine() > 1)
		gort_yield();
}

/* Read and written atomically: where the tests share a process, an earlier one's goroutine may just have looked at it. */
static gort_key key;
static int destroyed, seen_null;

static void new_key(gort_key *k, void (*destroy)(void *value))
{
	gort_key fresh = 0;

	expect_eq(gort_key_new(&fresh, destroy), 0);
	set(k, fresh);
}

static void destroys(void *value)
{
	expect(value != NULL);
	if (gort_get(get(&key)) == NULL)
		count_up(&seen_null);
	gort_yield();
	__atomic_add_fetch(&destroyed, (int)(intptr_t)value, __ATOMIC_SEQ_CST);
}

static void sets(void *arg)
{
	expect(gort_get(get(&key)) == NULL);
	expect_eq(gort_set(get(&key), arg), 0);
	for (int i = 0; i < 20; i++) {
		gort_yield();
		expect(gort_get(get(&key)) == arg);
	}
}

GO_TEST(each_goroutine_has_its_own)
{
	int n = (int)test_scale_min(1000, 100);

	set(&destroyed, 0);
	set(&seen_null, 0);
	new_key(&key, destroys);
	for (intptr_t i = 1; i <= n; i++)
		spawn(sets, (void *)i);
	await_others();
	expect(gort_get(get(&key)) == NULL);
	expect_eq(get(&destroyed), n * (n + 1) / 2);
	expect_eq(get(&seen_null), n);
	expect_eq(gort_key_delete(get(&key)), 0);
}

START_TEST(threads_have_theirs)
{
	pthread_t t[4];

	set(&destroyed, 0);
	new_key(&key, destroys);
	ck_assert_ptr_null(gort_get(get(&key)));
	ck_assert_int_eq(gort_set(get(&key), NULL), 0);
	for (intptr_t i = 0; i < 4; i++)
		t[i] = thread_start(sets, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		thread_join(t[i]);
	ck_assert_int_eq(get(&destroyed), 10);
	ck_assert_int_eq(gort_key_delete(get(&key)), 0);
	test_assert();
}
END_TEST

static void sets_and_takes_back(void *arg)
{
	expect_eq(gort_set(get(&key), arg), 0);
	expect_eq(gort_set(get(&key), NULL), 0);
	expect(gort_get(get(&key)) == NULL);
}

GO_TEST(no_destructor_for_null)
{
	set(&destroyed, 0);
	new_key(&key, destroys);
	spawn(sets_and_takes_back, &key);
	await_others();
	expect_eq(get(&destroyed), 0);
	expect_eq(gort_key_delete(get(&key)), 0);
}

static int deleted;

static void sets_and_waits(void *arg)
{
	expect_eq(gort_set(get(&key), (void *)1), 0);
	count_up((int *)arg);
	while (!get(&deleted))
		gort_yield();
}

GO_TEST(no_destructor_after_delete)
{
	int ready = 0;

	set(&destroyed, 0);
	set(&deleted, 0);
	new_key(&key, destroys);
	spawn(sets_and_waits, &ready);
	await_count(&ready, 1);
	expect_eq(gort_key_delete(get(&key)), 0);
	set(&deleted, 1);
	await_others();
	expect_eq(get(&destroyed), 0);
}

GO_TEST(a_new_key_reads_null_wherever_it_comes_from)
{
	gort_key k, old = 0;

	for (int i = 0; i < 1000; i++) {
		expect_eq(gort_key_new(&k, NULL), 0);
		expect(k != 0 && k != old);
		expect(gort_get(k) == NULL);
		expect_eq(gort_set(k, &k), 0);
		expect(gort_get(k) == &k);
		expect_eq(gort_key_delete(k), 0);
		old = k;
	}
}

GO_TEST(keys_that_are_none_are_refused)
{
	gort_key k;

	expect_eq(gort_key_new(NULL, NULL), -EINVAL);
	expect_eq(gort_set(0, &k), -EINVAL);
	expect_eq(gort_key_delete(0), -EINVAL);
	expect(gort_get(0) == NULL);
	expect_eq(gort_key_new(&k, NULL), 0);
	expect_eq(gort_key_delete(k), 0);
	expect_eq(gort_key_delete(k), -EINVAL);
	expect_eq(gort_set(k, &k), -EINVAL);
	expect_eq(gort_set(~(gort_key)0, &k), -EINVAL);
	expect(gort_get(~(gort_key)0) == NULL);
	expect_eq(gort_key_delete(~(gort_key)0), -EINVAL);
}

#define MANY 1000

GO_TEST(there_may_be_many)
{
	static gort_key k[MANY];

	for (int i = 0; i < MANY; i++)
		expect_eq(gort_key_new(&k[i], NULL), 0);
	for (int i = MANY - 1; i >= 0; i--)
		expect_eq(gort_set(k[i], &k[i]), 0);
	for (int i = 0; i < MANY; i++)
		expect(gort_get(k[i]) == &k[i]);
	for (int i = 0; i < MANY; i++)
		expect_eq(gort_key_delete(k[i]), 0);
}

GO_TEST(their_number_has_an_end)
{
	static gort_key k[20000];
	int n = 0, err = 0;

	while (n < 20000 && (err = gort_key_new(&k[n], NULL)) == 0)
		n++;
	expect(n >= 10000);
	expect_eq(err, -EAGAIN);
	for (int i = 0; i < n; i++)
		expect_eq(gort_key_delete(k[i]), 0);
	new_key(&key, NULL);
	expect_eq(gort_key_delete(get(&key)), 0);
}

static gort_key other;
static int rounds;

static void sets_again(void *value)
{
	count_up(&rounds);
	expect_eq(gort_set(get(&key), value), 0);
}

static void sets_other(void *value)
{
	count_up(&rounds);
	if ((intptr_t)value > 1)
		expect_eq(gort_set(get(&key), (void *)((intptr_t)value - 1)), 0);
}

static void sets_one(void *arg)
{
	expect_eq(gort_set(get(&key), arg), 0);
}

GO_TEST(destructors_that_set_values_get_some_rounds)
{
	set(&rounds, 0);
	new_key(&key, sets_again);
	spawn(sets_one, (void *)1);
	await_others();
	expect_eq(get(&rounds), 4);
	expect_eq(gort_key_delete(get(&key)), 0);

	set(&rounds, 0);
	new_key(&key, sets_other);
	spawn(sets_one, (void *)3);
	await_others();
	expect_eq(get(&rounds), 3);
	expect_eq(gort_key_delete(get(&key)), 0);
}

static void notes_order(void *arg)
{
	expect(gort_get(get(&key)) == &key);          /* destructors come after deferred calls */
	count_up(&rounds);
}

static void defers_and_sets(void *arg)
{
	expect_eq(gort_defer(notes_order, NULL), 0);
	expect_eq(gort_set(get(&key), &key), 0);
	expect_eq(gort_set(get(&other), &key), 0);
	if (arg != NULL)
		gort_goexit();
}

static void panics(void *value)
{
	count_up(&rounds);
	gort_panic("in a destructor");
}

static void handles(const gort_panic_info *info, void *ctx)
{
	expect(strcmp(info->message, "in a destructor") == 0);
	count_up((int *)ctx);
}

GO_TEST(destructors_follow_deferred_calls_and_may_panic)
{
	int handled = 0;

	set(&rounds, 0);
	new_key(&key, panics);
	new_key(&other, panics);
	gort_set_panic_handler(handles, &handled);
	spawn(defers_and_sets, NULL);
	await_others();
	expect_eq(get(&rounds), 3);
	expect_eq(get(&handled), 2);
	spawn(defers_and_sets, &key);
	await_others();
	expect_eq(get(&rounds), 6);
	expect_eq(get(&handled), 4);
	gort_set_panic_handler(NULL, NULL);
	expect_eq(gort_key_delete(get(&key)), 0);
	expect_eq(gort_key_delete(get(&other)), 0);
}

/* --- keys that come and go while goroutines with values end --- */

static int churning;

static void never_called(void *value)
{
	expect(value == NULL);
}

static void churn_user(void *arg)
{
	gort_key *k = arg;

	for (int i = 0; i < 4; i++) {
		/* it may have been deleted in between */
		int err = gort_set(__atomic_load_n(&k[i], __ATOMIC_ACQUIRE), k);

		expect(err == 0 || err == -EINVAL);
		gort_yield();
	}
	count_up(&churning);
}

GO_TEST(keys_may_come_and_go_beside_their_users)
{
	static gort_key k[4];
	int n = (int)test_scale_min(500, 50);

	for (int i = 0; i < 4; i++)
		expect_eq(gort_key_new(&k[i], NULL), 0);
	set(&churning, 0);
	for (int i = 0; i < n; i++) {
		gort_key fresh = 0;

		spawn(churn_user, k);
		expect_eq(gort_key_new(&fresh, never_called), 0);
		expect_eq(gort_key_delete(fresh), 0);
		fresh = k[i % 4];
		expect_eq(gort_key_delete(fresh), 0);
		expect_eq(gort_key_new(&fresh, NULL), 0);
		__atomic_store_n(&k[i % 4], fresh, __ATOMIC_RELEASE);
	}
	await_count(&churning, n);
	for (int i = 0; i < 4; i++)
		expect_eq(gort_key_delete(k[i]), 0);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "key", NULL);
	test_add(&s, each_goroutine_has_its_own);
	test_add(&s, threads_have_theirs);
	test_add(&s, no_destructor_for_null);
	test_add(&s, no_destructor_after_delete);
	test_add(&s, a_new_key_reads_null_wherever_it_comes_from);
	test_add(&s, keys_that_are_none_are_refused);
	test_add(&s, there_may_be_many);
	test_add(&s, their_number_has_an_end);
	test_add(&s, destructors_that_set_values_get_some_rounds);
	test_add(&s, destructors_follow_deferred_calls_and_may_panic);
	test_add(&s, keys_may_come_and_go_beside_their_users);
	return test_end(&s);
}
