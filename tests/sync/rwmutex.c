/* SPDX-License-Identifier: MIT */
/* The reader/writer mutex. */
#include "test.h"

#include <gort/sync.h>

struct shared {
	gort_rwmutex m;
	long a, b;              /* plain, and alike outside of a writer's section */
	int rounds;
	int done;
};

static void reads_and_writes(void *arg)
{
	struct shared *s = arg;
	uint64_t r = test_random_init((uintptr_t)&r);

	for (int i = 0; i < s->rounds; i++) {
		if (test_random(&r) % 8 == 0) {
			gort_rwmutex_lock(&s->m);
			s->a++;
			if (test_random(&r) % 16 == 0)
				gort_yield();           /* holding it */
			s->b++;
			gort_rwmutex_unlock(&s->m);
		} else {
			gort_rwmutex_rlock(&s->m);
			expect_eq(s->a, s->b);
			if (test_random(&r) % 32 == 0)
				gort_yield();
			expect_eq(s->a, s->b);
			gort_rwmutex_runlock(&s->m);
		}
	}
	count_up(&s->done);
}

GO_TEST(writers_exclude_everybody)
{
	struct shared s = { .rounds = (int)test_scale(5000) };
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		t[i] = thread_start(reads_and_writes, &s);
	for (int i = 0; i < 8; i++)
		spawn(reads_and_writes, &s);
	await_count(&s.done, 10);
	for (int i = 0; i < 2; i++)
		thread_join(t[i]);
	expect_eq(s.a, s.b);
	expect(gort_rwmutex_try_lock(&s.m));
}

THREAD_TEST(the_struct_has_its_promised_size_and_zero_is_a_mutex)
{
	gort_rwmutex m = { 0 }, n = GORT_RWMUTEX_INIT;

	expect_eq(sizeof(gort_rwmutex), 48);
	expect(memcmp(&m, &n, sizeof m) == 0);
	gort_rwmutex_lock(&m);
	gort_rwmutex_unlock(&m);
	gort_rwmutex_rlock(&m);
	gort_rwmutex_runlock(&m);
	expect(memcmp(&m, &n, sizeof m) == 0);
}

THREAD_TEST(the_calls_are_functions_too)
{
	gort_rwmutex m = GORT_RWMUTEX_INIT;

	(gort_rwmutex_rlock)(&m);
	expect(!gort_rwmutex_try_lock(&m));
	(gort_rwmutex_runlock)(&m);
	(gort_rwmutex_lock)(&m);
	expect(!gort_rwmutex_try_rlock(&m));
	(gort_rwmutex_unlock)(&m);
	expect(gort_rwmutex_try_lock(&m));
}

THREAD_TEST(the_try_forms_take_what_is_free)
{
	gort_rwmutex m = GORT_RWMUTEX_INIT;

	expect(gort_rwmutex_try_rlock(&m));
	expect(gort_rwmutex_try_rlock(&m));
	expect(!gort_rwmutex_try_lock(&m));
	gort_rwmutex_runlock(&m);
	gort_rwmutex_runlock(&m);
	expect(gort_rwmutex_try_lock(&m));
	expect(!gort_rwmutex_try_lock(&m));
	expect(!gort_rwmutex_try_rlock(&m));
	gort_rwmutex_unlock(&m);
}

struct actor {
	struct task task;
	gort_rwmutex *m;
	int *inside;
	int until;              /* stays inside until so many are */
	int *order, turn;
};

static void reads(void *arg)
{
	struct actor *a = arg;

	task_here(&a->task);
	gort_rwmutex_rlock(a->m);
	a->turn = __atomic_fetch_add(a->order, 1, __ATOMIC_SEQ_CST);
	count_up(a->inside);
	await_count(a->inside, a->until);
	gort_rwmutex_runlock(a->m);
	task_done(&a->task);
}

static void writes(void *arg)
{
	struct actor *a = arg;

	task_here(&a->task);
	gort_rwmutex_lock(a->m);
	a->turn = __atomic_fetch_add(a->order, 1, __ATOMIC_SEQ_CST);
	gort_rwmutex_unlock(a->m);
	task_done(&a->task);
}

GO_TEST(many_readers_are_inside_at_once)
{
	gort_rwmutex m = GORT_RWMUTEX_INIT;
	int inside = 0, order = 0;
	struct actor a[20];

	for (int i = 0; i < 20; i++) {
		a[i] = (struct actor){ .m = &m, .inside = &inside, .until = 20, .order = &order };
		spawn(reads, &a[i]);
	}
	for (int i = 0; i < 20; i++)
		await_done(&a[i].task);
}

GO_TEST(a_waiting_writer_stops_new_readers)
{
	for (int round = 0; round < 50; round++) {
		gort_rwmutex m = GORT_RWMUTEX_INIT;
		int inside = 0, order = 0;
		struct actor w = { .m = &m, .order = &order };
		struct actor r = { .m = &m, .inside = &inside, .until = 1, .order = &order };

		gort_rwmutex_rlock(&m);
		gort_rwmutex_rlock(&m);
		spawn(writes, &w);
		await_parked(&w.task);
		expect(!gort_rwmutex_try_rlock(&m));
		expect(!gort_rwmutex_try_lock(&m));
		spawn(reads, &r);
		await_parked(&r.task);
		gort_rwmutex_runlock(&m);
		gort_yield();
		expect_eq(get(&order), 0);
		gort_rwmutex_runlock(&m);
		await_done(&w.task);
		await_done(&r.task);
		expect_eq(w.turn, 0);
		expect_eq(r.turn, 1);
	}
}

GO_TEST(readers_that_waited_go_before_the_next_writer)
{
	for (int round = 0; round < 50; round++) {
		gort_rwmutex m = GORT_RWMUTEX_INIT;
		int inside = 0, order = 0;
		struct actor w[2], r[3];

		gort_rwmutex_lock(&m);
		for (int i = 0; i < 2; i++) {
			w[i] = (struct actor){ .m = &m, .order = &order };
			spawn(writes, &w[i]);
			await_parked(&w[i].task);
		}
		for (int i = 0; i < 3; i++) {
			r[i] = (struct actor){ .m = &m, .inside = &inside, .until = 3, .order = &order };
			spawn(reads, &r[i]);
			await_parked(&r[i].task);
		}
		gort_rwmutex_unlock(&m);
		for (int i = 0; i < 3; i++) {
			await_done(&r[i].task);
			expect(r[i].turn < 3);
		}
		await_done(&w[0].task);
		await_done(&w[1].task);
		expect_eq(w[0].turn, 3);
		expect_eq(w[1].turn, 4);
	}
}

struct stops {
	gort_rwmutex m;
	int stop, rounds;
	struct task task;
};

/* Has it all the time but for an instant. */
static void greedy_writer(void *arg)
{
	struct stops *s = arg;

	while (!get(&s->stop)) {
		gort_rwmutex_lock(&s->m);
		count_up(&s->rounds);
		gort_rwmutex_unlock(&s->m);
	}
	task_done(&s->task);
}

static void greedy_reader(void *arg)
{
	struct stops *s = arg;

	while (!get(&s->stop)) {
		gort_rwmutex_rlock(&s->m);
		count_up(&s->rounds);
		gort_rwmutex_runlock(&s->m);
	}
	task_done(&s->task);
}

GO_TEST(neither_readers_nor_writers_starve)
{
	struct stops s = { .m = GORT_RWMUTEX_INIT };

	spawn(greedy_writer, &s);
	await_count(&s.rounds, 1);
	for (int i = 0; i < 200; i++) {
		gort_rwmutex_rlock(&s.m);
		gort_rwmutex_runlock(&s.m);
	}
	set(&s.stop, 1);
	await_done(&s.task);
	s = (struct stops){ .m = GORT_RWMUTEX_INIT };
	spawn(greedy_reader, &s);
	await_count(&s.rounds, 1);
	for (int i = 0; i < 200; i++) {
		gort_rwmutex_lock(&s.m);
		gort_rwmutex_unlock(&s.m);
	}
	set(&s.stop, 1);
	await_done(&s.task);
}

static void unlocks(void *arg)
{
	struct actor *a = arg;

	gort_rwmutex_unlock(a->m);
	task_done(&a->task);
}

GO_TEST(another_goroutine_may_unlock)
{
	gort_rwmutex m = GORT_RWMUTEX_INIT;
	struct actor a = { .m = &m };

	gort_rwmutex_lock(&m);
	spawn(unlocks, &a);
	gort_rwmutex_rlock(&m);
	await_done(&a.task);
	gort_rwmutex_runlock(&m);
}

struct short_lived {
	gort_rwmutex m;
	int a;
};

static void writes_last(void *arg)
{
	struct short_lived *s = arg;

	gort_rwmutex_lock(&s->m);
	s->a = 1;
	gort_rwmutex_unlock(&s->m);
}

static void reads_last(void *arg)
{
	struct short_lived *s = arg;

	gort_rwmutex_rlock(&s->m);
	__atomic_store_n(&s->a, 1, __ATOMIC_RELAXED);
	gort_rwmutex_runlock(&s->m);
}

/* The other one may still be on its way out: nobody may touch it afterwards. ASan is the judge. */
GO_TEST(it_may_be_freed_once_the_lock_is_the_owners)
{
	for (long i = 0; i < test_scale(1000000); i++) {
		struct short_lived *s = calloc(1, sizeof *s);
		int a;

		spawn(i % 3 == 0 ? reads_last : writes_last, s);
		if (i % 2 == 0)
			gort_yield();
		do {
			/* after a reader only a writer knows that it has left */
			if (i % 3 == 0 || i % 5 == 0)
				gort_rwmutex_lock(&s->m);
			else
				gort_rwmutex_rlock(&s->m);
			a = __atomic_load_n(&s->a, __ATOMIC_RELAXED);
			if (i % 3 == 0 || i % 5 == 0)
				gort_rwmutex_unlock(&s->m);
			else
				gort_rwmutex_runlock(&s->m);
			if (a == 0)
				gort_yield();
		} while (a == 0);
		memset(s, 0xFF, sizeof *s);
		free(s);
	}
}

static gort_rwmutex abused = GORT_RWMUTEX_INIT;

static int unlock_unlocked(void)
{
	gort_rwmutex_unlock(&abused);
	return 0;
}

static int runlock_unlocked(void)
{
	gort_rwmutex_runlock(&abused);
	return 0;
}

static int unlock_read_locked(void)
{
	gort_rwmutex_rlock(&abused);
	gort_rwmutex_unlock(&abused);
	return 0;
}

static int runlock_write_locked(void)
{
	gort_rwmutex_lock(&abused);
	gort_rwmutex_runlock(&abused);
	return 0;
}

static const struct test_child children[] = {
	{ "unlock_unlocked", unlock_unlocked },
	{ "runlock_unlocked", runlock_unlocked },
	{ "unlock_read_locked", unlock_read_locked },
	{ "runlock_write_locked", runlock_write_locked },
	{ NULL, NULL },
};

START_TEST(mispaired_unlocks_are_fatal)
{
	test_child_says("unlock_unlocked", NULL, 2, "fatal error: sync: Unlock of unlocked RWMutex");
	test_child_says("unlock_read_locked", NULL, 2, "fatal error: sync: Unlock of unlocked RWMutex");
	test_child_says("runlock_unlocked", NULL, 2, "fatal error: sync: RUnlock of unlocked RWMutex");
	test_child_says("runlock_write_locked", NULL, 2, "fatal error: sync: RUnlock of unlocked RWMutex");
}
END_TEST

int main(int argc, char **argv)
{
	struct test_suite s;

	test_begin(&s, argc, argv, "rwmutex", children);
	test_add(&s, writers_exclude_everybody);
	test_add(&s, the_struct_has_its_promised_size_and_zero_is_a_mutex);
	test_add(&s, the_calls_are_functions_too);
	test_add(&s, the_try_forms_take_what_is_free);
	test_add(&s, many_readers_are_inside_at_once);
	test_add(&s, a_waiting_writer_stops_new_readers);
	test_add(&s, readers_that_waited_go_before_the_next_writer);
	test_add(&s, neither_readers_nor_writers_starve);
	test_add(&s, another_goroutine_may_unlock);
	test_add(&s, it_may_be_freed_once_the_lock_is_the_owners);
	test_add(&s, mispaired_unlocks_are_fatal);
	return test_end(&s);
}
