/* SPDX-License-Identifier: MIT */
/*
 * Unwinding by the tables that the compiler leaves, with libunwind in its remote form: as if the stack were another
 * process's, all it wants to know goes through functions of ours, which cannot fault. Only where the tables of a function
 * are is a question about this process, and libunwind answers it as for its local form.
 */
#include "unwind/unwind.h"

#include <libunwind.h>

static unw_addr_space_t space;

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need, void *arg)
{
	return unw_get_accessors(unw_local_addr_space)->find_proc_info(unw_local_addr_space, ip, pi, need, NULL);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	unw_get_accessors(unw_local_addr_space)->put_unwind_info(unw_local_addr_space, pi, NULL);
}

/* The run-time code that programs may register with libunwind: not looked for. */
static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	return -UNW_ENOINFO;
}

struct from {
	struct gort__view *view;
	const struct gort__regs *regs;
	uintptr_t sp;           /* of the frame that is looked at */
};

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *word, int write, void *arg)
{
	struct from *f = arg;
	uintptr_t w;

	if (write || !gort__view_word(f->view, (uintptr_t)addr, &w))
		return -UNW_EINVAL;
	*word = w;
	return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *word, int write, void *arg)
{
	struct from *f = arg;

	if (write || reg < 0 || reg >= GORT__REGS)
		return -UNW_EBADREG;
	if (!(f->regs->known >> reg & 1)) {
		/* asked for only where a frame is found by it: of a thread that sleeps in the kernel */
		*word = reg == GORT__REG_FP ? gort__view_guess_fp(f->view, f->sp) : 0;
		return *word != 0 ? 0 : -UNW_EBADREG;
	}
	*word = f->regs->r[reg];
	/* taken for a return address, one behind a call; where it is none, the function is the one it stands in */
	if (reg == GORT__REG_PC && f->regs->exact)
		++*word;
	return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *v, int write, void *arg)
{
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *c, void *arg)
{
	return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t addr, char *buf, size_t size, unw_word_t *off, void *arg)
{
	return -UNW_ENOINFO;
}

static unw_accessors_t accessors = {
	.find_proc_info = find_proc_info,
	.put_unwind_info = put_unwind_info,
	.get_dyn_info_list_addr = get_dyn_info_list_addr,
	.access_mem = access_mem,
	.access_reg = access_reg,
	.access_fpreg = access_fpreg,
	.resume = resume,
	.get_proc_name = get_proc_name,
};

void gort__unwind_begin(void)
{
	if (space == NULL) {
		space = unw_create_addr_space(&accessors, 0);
		if (space != NULL)
			unw_set_caching_policy(space, UNW_CACHE_GLOBAL);
	} else {
		/* code may have been unloaded, and other code be in its place */
		unw_flush_cache(space, 0, 0);
	}
}

void gort__unwind_fini(void)
{
	if (space != NULL)
		unw_destroy_addr_space(space);
	space = NULL;
}

void gort__unwind(struct gort__view *v, const struct gort__regs *from, bool (*frame)(void *arg, uintptr_t pc, bool exact),
	void *arg)
{
	struct from f = { v, from, from->r[GORT__REG_SP] };
	uintptr_t last = from->r[GORT__REG_SP];
	unw_cursor_t c;

	if (!frame(arg, from->r[GORT__REG_PC], from->exact) || space == NULL || unw_init_remote(&c, space, &f) != 0)
		return;
	while (unw_step(&c) > 0) {
		unw_word_t pc, sp;

		/* whatever the tables say: a caller's frame lies further up the same stack */
		if (unw_get_reg(&c, UNW_REG_IP, &pc) != 0 || unw_get_reg(&c, UNW_REG_SP, &sp) != 0 || pc == 0 ||
		    sp <= last || sp < v->lo || sp > v->hi)
			return;
		last = f.sp = (uintptr_t)sp;
		if (!frame(arg, (uintptr_t)pc, unw_is_signal_frame(&c) > 0))
			return;
	}
}
