/* SPDX-License-Identifier: MIT */
/*
 * Arming without edges (libgort-net/src/poll/arm.h), together with the readiness word (ready.h), as uv.c and net_wait use them:
 * somebody waits for bytes, which arrive, one after the other; the poller sleeps, is woken, takes what is asked for into its set,
 * and out of it what nobody waits for (at once: uv.c's patience is none here); another looks in passing; what an earlier wait
 * has asked for is still in force, its deadline having passed. Nobody sleeps while there is something to read, and the poller
 * does not turn round and round over what nobody reads. And a watch that is removed, its number being used again at once, is
 * not touched any more.
 *
 * The functions make the same steps in the same order as those of uv.c that have their names. The kernel's part is bytes
 * under a lock, whether the set has the descriptor, and a word that the one who sleeps waits on: KERNEL when something in the
 * set is ready, WAKE for the pipe, which stays until the one that sleeps has read it.
 */
#include "model.h"

#include "../../libgort-net/src/poll/arm.h"
#include "../../libgort-net/src/ready.h"

#include "os/os.h"

#include <stdio.h>
#include <string.h>

#define READ 1u
#define KERNEL 1u
#define WAKE 2u

static struct watch {
	struct net_queued queued;       /* first */
	uint32_t word;
	uint32_t on;                    /* under lock */
	uint32_t gone;                  /* it has been removed; under lock */
} watches[2];
static struct net_queued *queue, *taken;
static uint32_t lock;                   /* the loop's */
static struct net_ready r;
static gort_g g;
static uint32_t kernel;                 /* the lock of what follows */
static uint32_t bytes, in_set;
static uint32_t events;                 /* KERNEL, WAKE */
static uint32_t got;                    /* the reader's own */
static uint32_t to_read;
static uint32_t turns;                  /* of the poller, in which nothing was told; its own */
static bool kicked, only_looks, sleeps_anyway, look_forgets, off_by_halves, keeps_stale, keeps_queued, wakes_never;

static void show_word(char *buf, size_t size, uint64_t w)
{
	static const char *const names[] = { "nil", "ready", "wait", "?" };

	snprintf(buf, size, "%s %u", names[w & NET_STATE], (unsigned)(w / NET_NEXT));
}

static void show_watch(char *buf, size_t size, uint64_t w)
{
	snprintf(buf, size, "%s%s%s", w & NET_ASKED ? "asked " : "", w & NET_ON ? "on " : "", w & NET_QUEUED ? "queued" : "");
}

static void setup(void)
{
	gort__fenced = false;
	memset(watches, 0, sizeof watches);
	memset(&r, 0, sizeof r);
	memset(&g, 0, sizeof g);
	queue = taken = NULL;
	lock = kernel = bytes = in_set = events = got = turns = 0;
	to_read = 1;
	kicked = only_looks = sleeps_anyway = look_forgets = off_by_halves = keeps_stale = keeps_queued = wakes_never = false;
	model_name(&r.word, "word", show_word);
	model_name(&r.g, "g", NULL);
	model_name(&r.ticket, "ticket", NULL);
	model_name(&g.wait, "G's ticket", NULL);
	model_name(&g.note, "note", NULL);
	model_name(&watches[0].word, "watch", show_watch);
	model_name(&watches[1].word, "other watch", show_watch);
	model_name(&queue, "queue", NULL);
	model_name(&lock, "loop's lock", NULL);
	model_name(&kernel, "kernel", NULL);
	model_name(&bytes, "bytes", NULL);
	model_name(&in_set, "in set", NULL);
	model_name(&events, "events", NULL);
}

static void setup_two(void)
{
	setup();
	to_read = 2;
}

/* A wait has timed out before: it is still asked for, and in the set. */
static void setup_asked(void)
{
	setup();
	watches[0].word = READ | READ << NET_ON_SHIFT;
	watches[0].on = READ;
	in_set = READ;
}

/* Nobody waits; it is ready, and in the set. */
static void setup_stale(void)
{
	setup_asked();
	watches[0].word = READ << NET_ON_SHIFT;
	bytes = 1;
	events = KERNEL;
}

static void setup_stale_two(void)
{
	setup_stale();
	to_read = 2;
}

/*
 * A new deadline has made the reader look (so the word says), which is still asked for; a byte is there, and one more
 * comes: whoever has not heard of what the reader did since may take the word for ready.
 */
static void setup_kicked(void)
{
	setup_asked();
	kicked = true;
	r.word = NET_READY;
	bytes = 1;
	events = KERNEL;
	to_read = 2;
}

static void finish(void)
{
	if (model_asleep(0))
		model_fail("asleep with %u bytes to read", bytes);
	model_assert(got == to_read && bytes == 0);
	model_assert((g.wait & 1) == 0);
	if (turns > 3)
		model_fail("round and round");
}

static void finish_asleep(void)
{
	if (turns > 3)
		model_fail("round and round");
	if (queue != NULL && queue != NET_SLEEPS)
		model_fail("something is in the queue, and the poller sleeps");
}

/* --- the kernel --- */

static void raise(uint32_t what)
{
	uint32_t w = gort__load_relaxed(&events);

	while (!gort__cas_acq_rel(&events, &w, w | what))
		;
	gort__os_futex_wake(&events, MODEL_THREADS);
}

static void lower(uint32_t what)
{
	uint32_t w = gort__load_relaxed(&events);

	while (!gort__cas_acq_rel(&events, &w, w & ~what))
		;
}

/* Under its lock: the loop's descriptor is readable as long as anything in the set is ready. */
static void settle(void)
{
	if (gort__plain_read(&in_set) != 0 && gort__plain_read(&bytes) != 0)
		raise(KERNEL);
	else
		lower(KERNEL);
}

static void kernel_arrives(void)
{
	model_lock(&kernel);
	gort__plain_write(&bytes, gort__plain_read(&bytes) + 1);
	settle();
	model_unlock(&kernel);
}

static uint32_t kernel_read(void)
{
	uint32_t n;

	model_lock(&kernel);
	n = gort__plain_read(&bytes);
	gort__plain_write(&bytes, 0);
	settle();
	model_unlock(&kernel);
	return n;
}

static void kernel_set(uint32_t on)
{
	model_lock(&kernel);
	gort__plain_write(&in_set, on);
	settle();
	model_unlock(&kernel);
}

static uint32_t kernel_poll(void)
{
	uint32_t what;

	model_lock(&kernel);
	what = gort__plain_read(&bytes) != 0 ? gort__plain_read(&in_set) : 0;
	model_unlock(&kernel);
	return what;
}

/* --- as in uv.c --- */

static void wake(void)
{
	if (!wakes_never)
		raise(WAKE);
}

static void poll_arm(struct watch *w, uint32_t what)
{
	/* fault: what is set already is not set once more */
	if (only_looks && (gort__load_acquire(&w->word) & what) == what)
		return;
	if (net_arm_ask(&w->word, what) && net_queue_push(&queue, &w->queued))
		wake();
}

static void watch_for(struct watch *w, uint32_t on)
{
	if (on == gort__plain_read(&w->on))
		return;
	gort__plain_write(&w->on, on);
	kernel_set(on);
}

static void ready(gort_g *gp)
{
	if (gp == NULL)
		return;
	gort__store_release(&g.note, 1);
	gort__os_futex_wake(&g.note, 1);
}

static void take(struct net_queued *q)
{
	while (q != NULL) {
		struct net_queued *next = gort__plain_read(&q->next);

		gort__plain_write(&q->next, gort__plain_read(&taken));
		gort__plain_write(&taken, q);
		q = next;
	}
}

/* Under the loop's lock: the queue, and what the set says. True: somebody is to be told. */
static bool run(void)
{
	struct net_queued *q;
	uint32_t is, told, stale;

	take(net_queue_take(&queue));
	while ((q = gort__plain_read(&taken)) != NULL) {
		struct watch *w = (struct watch *)q;

		gort__plain_write(&taken, gort__plain_read(&q->next));
		if (gort__plain_read(&w->gone))
			model_fail("a watch that is gone was touched");
		watch_for(w, net_arm_apply(&w->word));
	}
	is = kernel_poll();
	if (is == 0)
		return false;
	told = net_arm_tell(&watches[0].word, is);
	stale = is & gort__plain_read(&watches[0].on) & ~told;
	if (stale != 0 && off_by_halves) {
		/* fault: whether it is asked for is looked at, then it is taken out */
		uint32_t w = gort__load_acquire(&watches[0].word);

		if (!(w & stale)) {
			gort__store_release(&watches[0].word, w & ~(stale << NET_ON_SHIFT));
			watch_for(&watches[0], 0);
		}
	} else if (stale != 0 && !keeps_stale) {
		watch_for(&watches[0], net_arm_off(&watches[0].word, stale));
	}
	return told != 0;
}

/* As look: in passing. */
static void looks(void)
{
	bool told;

	model_lock(&lock);
	if (look_forgets) {
		/* fault: takes what there is, be it that somebody sleeps */
		struct net_queued *q = gort__xchg_acq_rel(&queue, NULL);

		take(q != NET_SLEEPS ? q : NULL);
	}
	told = run();
	model_unlock(&lock);
	if (told)
		ready(net_ready_fire(&r));
}

/* As sleep_and_look, for ever. */
static void sleeps(void)
{
	model_may_sleep();
	for (;;) {
		bool told, asleep;

		model_mark(turns);
		model_lock(&lock);
		told = run();
		asleep = !told && net_queue_sleep(&queue);
		if (!told && sleeps_anyway)
			asleep = true;
		model_unlock(&lock);
		if (told) {
			turns = 0;
			ready(net_ready_fire(&r));
			continue;
		}
		if (!asleep)
			continue;
		model_mark(8 + turns);
		while (gort__load_acquire(&events) == 0)
			gort__os_futex_wait(&events, 0, GORT_FOREVER);
		lower(WAKE);
		model_lock(&lock);
		take(net_queue_wake(&queue));
		told = run();
		model_unlock(&lock);
		turns = told ? 0 : turns + 1;
		if (turns > 3)
			model_fail("round and round");
		if (told)
			ready(net_ready_fire(&r));
	}
}

/* As net_poll_remove; then its number is another's. */
static void removes(void)
{
	struct watch *w = &watches[1];
	struct net_queued *q;

	poll_arm(w, READ);
	model_mark(1);
	model_lock(&lock);
	take(net_queue_take(&queue));
	if (!keeps_queued && (gort__load_relaxed(&w->word) & NET_QUEUED)) {
		/* two at most are in it */
		q = gort__plain_read(&taken);
		if (q == &w->queued)
			gort__plain_write(&taken, gort__plain_read(&q->next));
		else
			gort__plain_write(&q->next, gort__plain_read(&w->queued.next));
	}
	gort__plain_write(&w->gone, 1);
	model_unlock(&lock);
}

/* --- who waits, as net_wait --- */

static void reader(void)
{
	model_may_sleep();
	if (kicked)
		net_ready_settle(&r);
	for (;;) {
		uint64_t ticket;

		model_mark(got);
		got += kernel_read();
		if (got == to_read)
			return;
		ticket = gort__ticket_arm(&g);
		if (!net_ready_arm(&r, &g, ticket)) {
			if (!gort__ticket_claim(&g, ticket))
				model_fail("claimed by somebody who cannot know of it");
			continue;
		}
		poll_arm(&watches[0], READ);
		while (gort__load_acquire(&g.note) == 0)
			gort__os_futex_wait(&g.note, 0, GORT_FOREVER);
		gort__store_relaxed(&g.note, 0);
		net_ready_settle(&r);
	}
}

/* Asks once, and nothing comes of it. */
static void asks(void)
{
	poll_arm(&watches[0], READ);
}

static void arrives(void)
{
	kernel_arrives();
}

static void arrives_twice(void)
{
	kernel_arrives();
	model_mark(1);
	kernel_arrives();
}

/* --- faults --- */

static void asking_by_a_look(void) { only_looks = true; }
static void sleeping_whatever_is_queued(void) { sleeps_anyway = true; }
static void a_look_that_forgets_who_sleeps(void) { look_forgets = true; }
static void taking_out_by_load_and_store(void) { off_by_halves = true; }
static void keeping_what_nobody_asks_for(void) { keeps_stale = true; }
static void removing_around_the_queue(void) { keeps_queued = true; }
static void never_waking(void) { wakes_never = true; }

#define READER { "reader", reader }
#define SLEEPER { "sleeper", sleeps }

static const model_test tests[] = {
	{ "a byte arrives", setup, { READER, SLEEPER, { "peer", arrives } }, finish },
	{ "two bytes arrive", setup_two, { READER, SLEEPER, { "peer", arrives_twice } }, finish, .lengthy = true },
	{ "a byte arrives, asked for before", setup_asked, { READER, SLEEPER, { "peer", arrives } }, finish },
	{ "a byte is there that nobody waited for", setup_stale, { READER, SLEEPER }, finish },
	{ "a byte is there, and one more arrives", setup_stale_two, { READER, SLEEPER, { "peer", arrives } }, finish,
	  .lengthy = true },
	{ "a byte is there, and another looks", setup_stale, { READER, SLEEPER, { "looker", looks } }, finish, .lengthy = true },
	{ "a byte arrives, another looks", setup, { READER, SLEEPER, { "peer", arrives }, { "looker", looks } }, finish,
	  .lengthy = true },
	{ "one watch asks, another is removed", setup, { SLEEPER, { "asker", asks }, { "remover", removes } }, finish_asleep },
	{ "one watch asks, another is removed, and one looks", setup,
	  { SLEEPER, { "asker", asks }, { "remover", removes }, { "looker", looks } }, finish_asleep, .lengthy = true },
	{ "a byte arrives, the deadline is another, one looks once", setup_kicked, { READER, SLEEPER, { "peer", arrives } }, finish,
	  .lengthy = true },
	{ "one asks, one sleeps, one looks", setup, { SLEEPER, { "asker", asks }, { "looker", looks } }, finish_asleep },

	{ "fault: asking is a look", setup_kicked, { READER, SLEEPER, { "peer", arrives } }, finish,
	  asking_by_a_look, "asleep" },
	{ "fault: sleeping, whatever is queued", setup, { READER, SLEEPER, { "peer", arrives } }, finish,
	  sleeping_whatever_is_queued, "" },
	{ "fault: a look forgets who sleeps", setup, { SLEEPER, { "asker", asks }, { "looker", looks } }, finish_asleep,
	  a_look_that_forgets_who_sleeps, "the poller sleeps" },
	{ "fault: taken out by load and store", setup_stale_two, { READER, SLEEPER, { "peer", arrives } }, finish,
	  taking_out_by_load_and_store, "asleep" },
	{ "fault: what nobody asks for stays", setup_stale, { SLEEPER, { "asker", asks } }, finish_asleep,
	  keeping_what_nobody_asks_for, "round and round" },
	{ "fault: a watch is removed, and stays in the queue", setup, { SLEEPER, { "remover", removes } }, finish_asleep,
	  removing_around_the_queue, "gone" },
	{ "fault: who pushes does not wake", setup, { READER, SLEEPER, { "peer", arrives } }, finish, never_waking, "asleep" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
