/* SPDX-License-Identifier: MIT */
/*
 * Where goroutines go on that waited for a descriptor.
 *
 * What comes in on a socket is handled fastest on the processor on which it came in: there the kernel has just worked on
 * it, and will on what follows, and who sends is often there as well. libgort-net asks the system for it now and then
 * (g->cpu). So a P that polls does not take over what is at home elsewhere, but puts it into the mail of the P that was
 * last seen to poll on that processor. Both ends of a connection within the process come together that way; mixed up at
 * random each message costs half as much again.
 *
 * That all Ps have something to do comes first. Where there are idle ones nothing is mailed; and a P that has nothing of its
 * own keeps what it finds, which is at home there from then on, until the system says otherwise.
 *
 * The mail is under sched.lock, and so are a P's becoming idle and its retiring: none goes idle over its mail, or gets any
 * afterwards. What lies there waits in the P for whoever looks for work (gort__surplus_len). Who mails looks at npidle
 * afterwards, and who goes idle at the mail; that lock orders the two, without a fence.
 */
#include "runtime.h"

static void note_cpu(gort__p *pp)
{
	uint32_t cpu = gort__os_cpu();

	gort__store_relaxed(&pp->cpu, cpu);
	if (gort__load_relaxed(&gort__sched.on_cpu[cpu % GORT__CPU_SLOTS]) != pp->id + 1)
		gort__store_relaxed(&gort__sched.on_cpu[cpu % GORT__CPU_SLOTS], pp->id + 1);
}

/* Whose mail gp is to go to; NULL: it may as well stay with pp. */
static gort__p *home_of(const gort_g *gp, const gort__p *pp)
{
	uint32_t n;
	gort__p *to;

	if (gp->cpu == 0 || gp->cpu == pp->cpu)
		return NULL;
	n = gort__load_relaxed(&gort__sched.on_cpu[gp->cpu % GORT__CPU_SLOTS]);
	if (n == 0 || n > gort__load_acquire(&gort__sched.nps))
		return NULL;
	to = gort__sched.ps[n - 1];
	return to != pp && gort__load_relaxed(&to->cpu) == gp->cpu ? to : NULL;
}

/* Under sched.lock: is there somebody who opens it? */
static bool takes_mail(const gort__p *to)
{
	return !to->idle && !gort__load_relaxed(&to->retiring) && gort__load_relaxed(&to->m) != NULL;
}

static void post(gort__p *to, gort_g *gp)
{
	gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
	gp->link = NULL;
	if (to->mail == NULL)
		to->mail = gp;
	else
		to->mail_last->link = gp;
	to->mail_last = gp;
	gort__store_relaxed(&to->mailed, to->mailed + 1);
}

/* What cannot be mailed goes to rest. */
static void mail(const gort__p *pp, gort_g *list, struct gort__batch *rest)
{
	gort__lock_lock(&gort__sched.lock);
	for (gort_g *gp = list, *next; gp != NULL; gp = next) {
		gort__p *to = home_of(gp, pp);

		next = gp->link;
		if (to == NULL || !takes_mail(to)) {
			gort__batch_add(rest, gp);
			continue;
		}
		post(to, gp);
	}
	gort__lock_unlock(&gort__sched.lock);
}

void gort__mail_all(gort__p *to, gort__p *from)
{
	gort_g *gp;

	gort__lock_lock(&gort__sched.lock);
	while (takes_mail(to) && (gp = gort__p_any(from)) != NULL)
		post(to, gp);
	gort__lock_unlock(&gort__sched.lock);
}

void gort__mail_open(gort__p *pp)
{
	uint32_t n;
	gort_g *gp;

	gort__lock_lock(&gort__sched.lock);
	n = pp->mailed;
	for (gp = pp->mail; gp != NULL && gort__runq_push(&pp->runq, gp); n--)
		gp = gp->link;
	pp->mail = gp;
	gort__store_relaxed(&pp->mailed, n);
	gort__lock_unlock(&gort__sched.lock);
}

/* pp is the caller's. True: some were mailed. */
static bool to_homes(gort__p *pp, gort_g *list)
{
	struct gort__batch here = { .end = &here.first }, away = { .end = &away.first };
	bool busy;

	for (gort_g *gp = list; gp != NULL; gp = gp->link)
		gort__batch_add(home_of(gp, pp) != NULL ? &away : &here, gp);
	*here.end = *away.end = NULL;
	busy = here.first != NULL || gort__p_has_work(pp);
	if (busy && away.first != NULL) {
		mail(pp, away.first, &here);
		*here.end = NULL;
	} else {
		for (gort_g *gp = away.first; gp != NULL; gp = gp->link)
			gp->cpu = pp->cpu;
		*here.end = away.first;
	}
	if (here.first != NULL)
		gort__enqueue_list(pp, here.first);
	return busy && away.first != NULL;
}

void gort__ready_polled(gort__m *mp, gort_g *list)
{
	gort_g *last = NULL;
	gort__p *pp = mp->p;
	uint32_t n = 0;

	list = gort__ready_threads(mp, list);
	if (list == NULL)
		return;
	if (pp == NULL) {
		for (gort_g *gp = list; gp != NULL; gp = gp->link) {
			gort__store_relaxed(&gp->status, GORT__G_RUNNABLE);
			last = gp;
			n++;
		}
		gort__enqueue_global(list, last, n);
		return;
	}
	note_cpu(pp);
	if (gort__load_relaxed(&gort__sched.npidle) > 0)
		gort__enqueue_list(pp, list);
	else if (to_homes(pp, list))
		gort__wake_someone();
}
