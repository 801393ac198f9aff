/* SPDX-License-Identifier: MIT */
/*
 * Idleness and wakeups: somebody makes work, with no more than a compiler fence before the look at who is idle, while
 * Ms publish that they are idle, run the heavy fence and look for work once more. No execution may end with work
 * waiting, a P idle and everybody asleep.
 *
 * The functions have the names that they have in idle.c and make the same steps in the same order; what is not part
 * of the exchange (timers, which P and which goroutine, when it is calm) is left out. Change them together.
 */
#include "model.h"

#include "runtime.h"

#include <string.h>

#define HUNGRY 1u
#define HUNGRY_FENCED 2u
#define MAKER 0                         /* thread 0 makes the work; the others are Ms that may sleep */

static struct gort__runq ring;          /* the maker's */
static struct gort_g items[4];          /* never looked into */
static uint32_t npidle, nspinning, hungry, queued;
static uint32_t mailed;                 /* to the P of M 1; written under the lock */
static uint32_t sched_lock;
static uint32_t idle_m;                 /* Ms in the list, as bits; under the lock */
static struct {
	uint32_t note;
	bool spinning;
} ms[MODEL_THREADS];

/*
 * Marks (see model_mark): the step of the thread's script, and where in it. None of the functions below keeps a local
 * over a mark that is not named in it.
 */
static uint32_t script[MODEL_THREADS];

static uint32_t calm_procs;             /* 0: it is not calm; else it is, for queues of any length, and there are so many Ps */

/* faults, and what idle.c might do instead */
static bool hungry_wakes, stop_fences, no_second_look, publish_late, mails_quietly, wakes_nobody;

static void names(void)
{
	model_name(&npidle, "npidle", NULL);
	model_name(&nspinning, "nspinning", NULL);
	model_name(&hungry, "hungry", NULL);
	model_name(&queued, "queued", NULL);
	model_name(&mailed, "mailed", NULL);
	model_name(&sched_lock, "sched.lock", NULL);
	model_name(&idle_m, "idle Ms", NULL);
	model_name(&ring.head, "ring.head", NULL);
	model_name(&ring.tail, "ring.tail", NULL);
	for (int i = 0; i < MODEL_THREADS; i++) {
		model_name(&ms[i].note, "note", NULL);
		model_name(&ms[i].spinning, "spinning", NULL);
	}
}

static void setup(void)
{
	gort__fenced = false;
	memset(&ring, 0, sizeof ring);
	memset(ms, 0, sizeof ms);
	memset(script, 0, sizeof script);
	npidle = nspinning = hungry = queued = mailed = sched_lock = idle_m = 0;
	hungry_wakes = stop_fences = no_second_look = publish_late = mails_quietly = wakes_nobody = false;
	calm_procs = 0;
	names();
}

static void setup_fenced(void)
{
	setup();
	gort__fenced = true;
	hungry = HUNGRY_FENCED;
}

static void setup_spinning(void)
{
	setup();
	ms[1].spinning = true;
	nspinning = 1;
}

static void setup_fenced_spinning(void)
{
	setup_fenced();
	ms[1].spinning = true;
	nspinning = 1;
}

/* M 1 has just been woken for what lies in the global queue; M 2 sleeps. */
static void setup_woken(void)
{
	setup_spinning();
	queued = 1;
	npidle = 1;
	idle_m = 1u << 2;
}

/* M 2 sleeps. */
static void setup_asleep(void)
{
	setup();
	npidle = 1;
	idle_m = 1u << 2;
}

/* Two Ps, both held: what lies in the global queue is left to who holds one. */
static void setup_calm(void)
{
	setup();
	calm_procs = 2;
}

static void setup_calm_asleep(void)
{
	setup_asleep();
	calm_procs = 2;
}

static void setup_calm_fenced(void)
{
	setup_fenced();
	calm_procs = 2;
}

static void setup_hungry(void)
{
	setup();
	hungry = HUNGRY;
}

static void finish(void)
{
	bool asleep = true;

	for (int i = 1; i < MODEL_THREADS; i++)
		asleep &= (idle_m & 1u << i) == 0 || model_asleep(i);
	if (npidle > 0 && asleep && (queued > 0 || gort__runq_len(&ring) > 0 || mailed > 0))
		model_fail("lost wakeup: %u in the ring, %u in the global queue, %u in the mail, %u Ps idle",
			   gort__runq_len(&ring), queued, mailed, npidle);
}

static void mark(uint32_t where)
{
	model_mark(where * 16 + script[model_self()]);
}

/* --- who makes work --- */

static void m_hand(int m)
{
	gort__plain_write(&ms[m].spinning, true);
	gort__store_release(&ms[m].note, 1);
	gort__os_futex_wake(&ms[m].note, 1);
}

static void start_m(void)
{
	uint32_t m;

	model_lock(&sched_lock);
	m = gort__plain_read(&idle_m);
	if (m != 0)
		gort__plain_write(&idle_m, m & (m - 1));
	model_unlock(&sched_lock);
	mark(32 + m);
	/* else a new thread, which nobody has to wake */
	if (m != 0)
		m_hand(__builtin_ctz(m));
}

static bool p_from_idle(void)
{
	uint32_t n = gort__load_relaxed(&npidle);

	if (n > 0)
		gort__store_relaxed(&npidle, n - 1);
	return n > 0;
}

static void wake_someone(void)
{
	uint32_t none = 0;
	bool got;

	if (gort__load_relaxed(&npidle) == 0 || gort__load_relaxed(&nspinning) != 0 ||
	    !gort__cas_seq_cst(&nspinning, &none, 1))
		return;
	mark(1);
	model_lock(&sched_lock);
	got = p_from_idle();
	model_unlock(&sched_lock);
	mark(got ? 2 : 3);
	if (got)
		start_m();
	else
		gort__add_seq_cst(&nspinning, -1u);
}

/* calm.c */
static bool calm_keeps(uint32_t mine)
{
	return calm_procs != 0 && gort__load_relaxed(&npidle) + mine < calm_procs;
}

static void enqueue_global(uint32_t n)
{
	model_lock(&sched_lock);
	gort__store_relaxed(&queued, gort__load_relaxed(&queued) + n);
	model_unlock(&sched_lock);
}

static void donate(void)
{
	uint32_t n = (gort__runq_len(&ring) + 1) / 2;

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		gort__runq_pop(&ring);
	mark(16 + n);
	enqueue_global(n);
}

static void surplus(void)
{
	uint32_t h = gort__load_relaxed(&hungry);

	if (h & HUNGRY_FENCED) {
		gort__fence_seq_cst();
		h = gort__load_relaxed(&hungry);
	}
	if (h & HUNGRY) {
		gort__store_relaxed(&hungry, h & ~HUNGRY);
		donate();
		mark(4);
		if (hungry_wakes)
			wake_someone();
	} else if (gort__load_relaxed(&npidle) > 0 && gort__load_relaxed(&nspinning) == 0) {
		donate();
		mark(5);
		wake_someone();
	}
}

static void enqueue(void)
{
	gort__runq_push(&ring, &items[0]);
	gort__fence_compiler();
	if ((gort__load_relaxed(&npidle) | gort__load_relaxed(&hungry)) != 0)
		surplus();
}

/* Each maker goes on in the user's code for ever: what it leaves in its ring is for others to take. */
static void makes_one(void)
{
	enqueue();
}

static void makes_two(void)
{
	enqueue();
	script[MAKER] = 1;
	mark(0);
	enqueue();
}

/* Without a P. */
static void makes_one_global(void)
{
	enqueue_global(1);
	gort__fence_seq_cst();
	if (!calm_keeps(0) && !wakes_nobody)
		wake_someone();
}

/* What the poller has brought, with nobody idle, for M 1's P: home.c. */
static void mails_one(void)
{
	bool idle;

	if (gort__load_relaxed(&npidle) > 0) {
		enqueue();
		return;
	}
	mark(7);
	model_lock(&sched_lock);
	idle = (gort__plain_read(&idle_m) & 1u << 1) != 0;
	if (!idle)
		gort__store_relaxed(&mailed, gort__load_relaxed(&mailed) + 1);
	model_unlock(&sched_lock);
	mark(idle ? 8 : 9);
	if (idle)
		enqueue();
	if (!mails_quietly)
		wake_someone();
}

/* --- Ms --- */

static bool work_waits(void)
{
	return (gort__load_relaxed(&queued) > 0 && !calm_keeps(0)) || gort__runq_len(&ring) > 0 || gort__load_relaxed(&mailed) > 0;
}

static bool mail_open(void)
{
	uint32_t n;

	if (gort__load_relaxed(&mailed) == 0)
		return false;
	model_lock(&sched_lock);
	n = gort__load_relaxed(&mailed);
	gort__store_relaxed(&mailed, 0);
	model_unlock(&sched_lock);
	return n > 0;
}

static void sleep_idle(int me)
{
	while (gort__load_acquire(&ms[me].note) == 0)
		gort__os_futex_wait(&ms[me].note, 0, GORT_FOREVER);
	gort__store_relaxed(&ms[me].note, 0);
}

static void go_idle(int me)
{
	bool spun, got = false;

	if (publish_late)
		gort__fence_heavy();
	model_lock(&sched_lock);
	if ((gort__load_relaxed(&queued) > 0 && !calm_keeps(1)) || (me == 1 && gort__load_relaxed(&mailed) > 0)) {
		model_unlock(&sched_lock);
		return;
	}
	if (!publish_late)
		gort__store_relaxed(&npidle, gort__load_relaxed(&npidle) + 1);
	spun = gort__plain_read(&ms[me].spinning);
	gort__plain_write(&ms[me].spinning, false);
	gort__plain_write(&idle_m, gort__plain_read(&idle_m) | 1u << me);
	model_unlock(&sched_lock);
	mark(spun ? 10 : 11);
	if (spun)
		gort__add_seq_cst(&nspinning, -1u);

	if (!publish_late)
		gort__fence_heavy();
	model_lock(&sched_lock);
	if (publish_late)
		gort__store_relaxed(&npidle, gort__load_relaxed(&npidle) + 1);
	if ((gort__plain_read(&idle_m) & 1u << me) && !no_second_look && work_waits()) {
		got = p_from_idle();
		if (got)
			gort__plain_write(&idle_m, gort__plain_read(&idle_m) & ~(1u << me));
	}
	model_unlock(&sched_lock);
	mark(got ? 12 : 13);
	if (!got)
		sleep_idle(me);
}

static bool take_global(void)
{
	uint32_t n;

	if (gort__load_relaxed(&queued) == 0)
		return false;
	model_lock(&sched_lock);
	n = gort__load_relaxed(&queued);
	if (n > 0)
		gort__store_relaxed(&queued, n - 1);
	model_unlock(&sched_lock);
	return n > 0;
}

/* The beginning of a turn in sched_loop. */
static void found(int me)
{
	if (!gort__plain_read(&ms[me].spinning))
		return;
	gort__plain_write(&ms[me].spinning, false);
	mark(6);
	gort__add_seq_cst(&nspinning, -1u);
	if (stop_fences)
		gort__fence_seq_cst();
	/* its own ring is empty here */
	if (gort__load_relaxed(&npidle) > 0 && gort__load_relaxed(&queued) > 0)
		wake_someone();
}

/* Takes what it finds, and goes idle when that is nothing. */
static void turns(int me)
{
	for (;;) {
		mark(14);
		if (!calm_keeps(1) && take_global()) {
			found(me);
			continue;
		}
		if (me == 1 && mail_open())
			continue;
		/* it will ask for the P, and who has it does not need it */
		if (gort__runq_len(&ring) > 0 || (me != 1 && gort__load_relaxed(&mailed) > 0))
			return;
		mark(15);
		go_idle(me);
	}
}

/* An M that has found nothing and goes idle; woken, it takes what it finds. */
static void goes_idle(void)
{
	model_may_sleep();
	go_idle(model_self());
	turns(model_self());
}

/* An M that is idle, and does the same when it is woken. */
static void is_idle(void)
{
	model_may_sleep();
	sleep_idle(model_self());
	turns(model_self());
}

/* An M that finds something, and whose goroutine then computes for ever. */
static void finds_work(void)
{
	if (take_global())
		found(model_self());
}

/* An M with a P, whose goroutine computes for ever. */
static void computes(void)
{
}

static void sleeps(void)
{
	model_may_sleep();
	sleep_idle(model_self());
	/* woken with a P, it looks around; that it comes is all that is asked here */
}

/* --- faults and remedies --- */

static void without_heavy_fence(void)
{
	model_drop_heavy();
}

static void without_makers_fence(void)
{
	model_drop_fences(MAKER);
}

static void without_second_look(void)
{
	no_second_look = true;
}

static void with_late_publication(void)
{
	publish_late = true;
}

static void with_quiet_mail(void)
{
	mails_quietly = true;
}

static void with_waking_nobody(void)
{
	wakes_nobody = true;
}

static void with_waking(void)
{
	hungry_wakes = true;
}

static void with_fence_after_spinning(void)
{
	stop_fences = true;
}

static void with_fence_after_spinning_only(void)
{
	stop_fences = true;
	model_drop_fences(MAKER);
}

#define TWO(a, b) { { "maker", a }, { "idler", b } }
#define THREE(a, b, c) { { "maker", a }, { "idler", b }, { "other", c } }

static const model_test tests[] = {
	{ "one enqueues, one goes idle", setup, TWO(makes_one, goes_idle), finish },
	{ "one enqueues twice, one goes idle", setup, TWO(makes_two, goes_idle), finish },
	{ "one enqueues, a spinning one goes idle", setup_spinning, TWO(makes_one, goes_idle), finish },
	{ "one enqueues twice, a spinning one goes idle", setup_spinning, TWO(makes_two, goes_idle), finish },
	{ "one enqueues, two go idle", setup, THREE(makes_one, goes_idle, goes_idle), finish, .alike = 2, .lengthy = true },
	{ "one enqueues, one goes idle, one sleeps", setup_asleep, THREE(makes_one, goes_idle, sleeps), finish },
	{ "one enqueues without a P, one goes idle", setup, TWO(makes_one_global, goes_idle), finish },
	{ "one enqueues without a P, a spinning one goes idle", setup_spinning, TWO(makes_one_global, goes_idle), finish },
	{ "fenced: one enqueues, one goes idle", setup_fenced, TWO(makes_one, goes_idle), finish },
	{ "fenced: one enqueues twice, a spinning one goes idle", setup_fenced_spinning, TWO(makes_two, goes_idle), finish },
	{ "one is mailed to an M that goes idle", setup, TWO(mails_one, goes_idle), finish },
	{ "one is mailed to an M that computes, one goes idle", setup, THREE(mails_one, computes, goes_idle), finish },
	{ "one is mailed to an M that goes idle, as does another", setup, THREE(mails_one, goes_idle, goes_idle), finish,
	  .lengthy = true },
	{ "fenced: one is mailed to an M that computes, one goes idle", setup_fenced, THREE(mails_one, computes, goes_idle),
	  finish },
	{ "fault: the same, and the mailer looks at the idle only before", setup_fenced,
	  THREE(mails_one, computes, goes_idle), finish, with_quiet_mail, "lost wakeup" },

	{ "calm: one enqueues without a P, two go idle", setup_calm, THREE(makes_one_global, goes_idle, goes_idle), finish,
	  .alike = 2, .lengthy = true },
	{ "calm, fenced: one enqueues without a P, two go idle", setup_calm_fenced,
	  THREE(makes_one_global, goes_idle, goes_idle), finish, .alike = 2, .lengthy = true },
	{ "calm: one enqueues without a P, one goes idle, one sleeps", setup_calm_asleep,
	  THREE(makes_one_global, goes_idle, is_idle), finish },
	{ "fault: the same, and nobody is ever woken", setup_calm_asleep, THREE(makes_one_global, goes_idle, is_idle), finish,
	  with_waking_nobody, "lost wakeup" },

	{ "fault: no heavy fence", setup, TWO(makes_one, goes_idle), finish, without_heavy_fence, "lost wakeup" },
	{ "fault: no heavy fence, a spinning one", setup_spinning, TWO(makes_one, goes_idle), finish,
	  without_heavy_fence, "lost wakeup" },
	{ "fault: fenced, no fence in surplus", setup_fenced, TWO(makes_one, goes_idle), finish, without_makers_fence,
	  "lost wakeup" },
	{ "fault: no second look", setup, TWO(makes_one, goes_idle), finish, without_second_look, "lost wakeup" },
	{ "fault: idleness is published after the fence", setup, TWO(makes_one, goes_idle), finish, with_late_publication,
	  "lost wakeup" },

	/* as idle.c stands: left to the monitor, or lost; and what would help */
	{ "open: what is donated to the hungry wakes nobody", setup_hungry, TWO(makes_one, goes_idle), finish, NULL,
	  "lost wakeup" },
	{ "remedy: a donation always looks for the idle", setup_hungry, TWO(makes_one, goes_idle), finish, with_waking },
	{ "remedy: the same, twice, with a spinning one", setup_spinning, TWO(makes_two, goes_idle), finish, with_waking },
	{ "open: one without a P relies on a spinning one that stops", setup_woken,
	  THREE(makes_one_global, finds_work, sleeps), finish, NULL, "lost wakeup" },
	{ "remedy: a fence after spinning", setup_woken, THREE(makes_one_global, finds_work, sleeps), finish,
	  with_fence_after_spinning },
	{ "fault: the same, and no fence of the maker's", setup_woken, THREE(makes_one_global, finds_work, sleeps), finish,
	  with_fence_after_spinning_only, "lost wakeup" },
	{ "open: one with a P relies on a spinning one that stops", setup_woken, THREE(makes_one, finds_work, sleeps),
	  finish, with_fence_after_spinning, "lost wakeup" },
};

int main(void)
{
	return model_main(tests, sizeof tests / sizeof *tests);
}
