/* SPDX-License-Identifier: MIT */
/* Singleflight. */
#include "test.h"

#include <gort/sync.h>

struct load {
	gort_singleflight *s;
	const char *key;
	int calls;              /* atomic */
	int go;                 /* atomic */
	int result;
};

struct caller {
	struct task task;
	struct load *l;
	int (*fn)(void *arg, void **value);
	int result;
	void *value;
	bool shared, panicked;
	char words[64];
};

static int loads(void *arg, void **value)
{
	struct load *l = arg;

	expect(*value == NULL);
	count_up(&l->calls);
	await_count(&l->go, 1);
	*value = l;
	return l->result;
}

static void does(void *arg)
{
	struct caller *c = arg;

	c->result = gort_singleflight_do(c->l->s, c->l->key, c->fn, c->l, &c->value, &c->shared);
}

static void calls(void *arg)
{
	struct caller *c = arg;
	gort_panic_info info;

	task_here(&c->task);
	c->panicked = gort_try(does, c, &info);
	if (c->panicked)
		snprintf(c->words, sizeof c->words, "%s", info.message);
	task_done(&c->task);
}

/* One in fn, the others waiting for it. */
static void start(struct caller *c, int n, struct load *l, int (*fn)(void *arg, void **value))
{
	for (int i = 0; i < n; i++) {
		c[i] = (struct caller){ .l = l, .fn = fn, .result = -1 };
		spawn(calls, &c[i]);
		if (i == 0)
			await_count(&l->calls, 1);
		else
			await_parked(&c[i].task);
	}
	set(&l->go, 1);
	for (int i = 0; i < n; i++)
		await_done(&c[i].task);
}

GO_TEST(of_many_callers_one_calls_and_all_get_its_result)
{
	struct load l = { .s = gort_singleflight_new(), .key = "page", .result = 5 };
	struct caller c[10];

	start(c, 10, &l, loads);
	expect_eq(get(&l.calls), 1);
	for (int i = 0; i < 10; i++) {
		expect_eq(c[i].result, 5);
		expect(c[i].value == &l);
		expect(c[i].shared);
	}
	/* afterwards it is called anew, and alone */
	start(c, 1, &l, loads);
	expect_eq(get(&l.calls), 2);
	expect(!c[0].shared);
	gort_singleflight_free(l.s);
	gort_singleflight_free(NULL);
}

static int returns(void *arg, void **value)
{
	count_up((int *)arg);
	return -EIO;
}

static int nests(void *arg, void **value)
{
	struct load *l = arg;

	return gort_singleflight_do(l->s, "another", returns, &l->calls, NULL, NULL);
}

GO_TEST(different_keys_do_not_wait_for_each_other)
{
	struct load l = { .s = gort_singleflight_new() };
	char key[16];

	expect_eq(gort_singleflight_do(l.s, "one", nests, &l, NULL, NULL), -EIO);
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof key, "key %d", i);
		expect_eq(gort_singleflight_do(l.s, key, returns, &l.calls, NULL, NULL), -EIO);
	}
	expect_eq(get(&l.calls), 501);
	gort_singleflight_free(l.s);
}

static int panics(void *arg, void **value)
{
	struct load *l = arg;

	count_up(&l->calls);
	await_count(&l->go, 1);
	gort_panic("no page %d", 7);
}

GO_TEST(a_panic_goes_on_in_all_of_them)
{
	struct load l = { .s = gort_singleflight_new(), .key = "" };
	struct caller c[5];

	start(c, 5, &l, panics);
	for (int i = 0; i < 5; i++) {
		expect(c[i].panicked);
		expect(strcmp(c[i].words, "no page 7") == 0);
	}
	gort_singleflight_free(l.s);
}

static int exits(void *arg, void **value)
{
	struct load *l = arg;

	count_up(&l->calls);
	await_count(&l->go, 1);
	gort_goexit();
}

static void leaves(void *arg)
{
	struct load *l = arg;

	gort_singleflight_do(l->s, l->key, exits, l, NULL, NULL);
	(void)expect(false);
}

GO_TEST(an_exit_cancels_the_others)
{
	struct load l = { .s = gort_singleflight_new(), .key = "x" };
	struct caller c[3];

	spawn(leaves, &l);
	await_count(&l.calls, 1);
	for (int i = 0; i < 3; i++) {
		c[i] = (struct caller){ .l = &l, .fn = loads };
		spawn(calls, &c[i]);
		await_parked(&c[i].task);
	}
	set(&l.go, 1);
	for (int i = 0; i < 3; i++) {
		await_done(&c[i].task);
		expect_eq(c[i].result, -ECANCELED);
	}
	gort_singleflight_free(l.s);
}

static void frees(void *arg)
{
	gort_singleflight_free(arg);
}

GO_TEST(freeing_it_under_a_call_panics)
{
	struct load l = { .s = gort_singleflight_new(), .key = "x" };
	struct caller c = { .l = &l, .fn = loads };
	gort_panic_info info = { .message = "" };

	spawn(calls, &c);
	await_count(&l.calls, 1);
	expect(gort_try(frees, l.s, &info));
	expect(strcmp(info.message, "singleflight: freed while a call is under way") == 0);
	set(&l.go, 1);
	await_done(&c.task);
	gort_singleflight_free(l.s);
}

struct crowd {
	gort_singleflight *s;
	int inside[4], done;
	int rounds;
};

struct member {
	struct crowd *c;
	int key;
};

static int alone(void *arg, void **value)
{
	struct member *m = arg;

	expect_eq(count_up(&m->c->inside[m->key]), 1);
	gort_yield();
	__atomic_sub_fetch(&m->c->inside[m->key], 1, __ATOMIC_SEQ_CST);
	*value = &m->c->inside[m->key];
	return m->key;
}

static void joins(void *arg)
{
	static const char *const keys[] = { "a", "b", "c", "d" };
	struct crowd *c = arg;
	uint64_t r = test_random_init((uintptr_t)&r);

	for (int i = 0; i < c->rounds; i++) {
		struct member m = { c, (int)(test_random(&r) % 4) };
		void *value;

		expect_eq(gort_singleflight_do(c->s, keys[m.key], alone, &m, &value, NULL), m.key);
		expect(value == &c->inside[m.key]);
	}
	count_up(&c->done);
}

GO_TEST(a_crowd_over_few_keys)
{
	struct crowd c = { .s = gort_singleflight_new(), .rounds = (int)test_scale(2000) };
	pthread_t t = thread_start(joins, &c);

	for (int i = 0; i < 6; i++)
		spawn(joins, &c);
	await_count(&c.done, 7);
	thread_join(t);
	gort_singleflight_free(c.s);
}

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "singleflight", NULL);
	test_add(&s, of_many_callers_one_calls_and_all_get_its_result);
	test_add(&s, different_keys_do_not_wait_for_each_other);
	test_add(&s, a_panic_goes_on_in_all_of_them);
	test_add(&s, an_exit_cancels_the_others);
	test_add(&s, freeing_it_under_a_call_panics);
	test_add(&s, a_crowd_over_few_keys);
	return test_end(&s);
}
