/* SPDX-License-Identifier: MIT */
/* Reading words of memory that may not be there. */
#include "unwind/unwind.h"

#include "os/os.h"

#include <string.h>

static bool peep(struct gort__peephole *p, uintptr_t addr, uintptr_t *word)
{
	if (addr < p->at || addr - p->at + sizeof *word > p->n) {
		p->at = addr;
		p->n = gort__os_peek(p->bytes, addr, sizeof p->bytes);
		if (p->n < sizeof *word)
			return false;
	}
	memcpy(word, p->bytes + (addr - p->at), sizeof *word);
	return true;
}

bool gort__view_word(struct gort__view *v, uintptr_t addr, uintptr_t *word)
{
	if (addr > UINTPTR_MAX - sizeof *word)
		return false;
	if (addr >= v->copied && addr - v->copied + sizeof *word <= v->n) {
		memcpy(word, v->copy + (addr - v->copied), sizeof *word);
		return true;
	}
	/* a word beside the stack: tables of the unwinder's; beyond the copy of a stack that goes on: nothing to rely on */
	if (addr < v->lo || addr >= v->hi)
		return peep(&v->other, addr, word);
	return v->still && peep(&v->stack, addr, word);
}

uintptr_t gort__view_guess_fp(struct gort__view *v, uintptr_t sp)
{
	uintptr_t word, ret;

	for (uintptr_t at = (sp + sizeof at - 1) & ~(sizeof at - 1); at < v->hi && at - sp < 16 * 1024; at += sizeof at) {
		if (!gort__view_word(v, at, &word) || !gort__view_word(v, at + sizeof at, &ret))
			return 0;
		if (word > at && word < v->hi && word % sizeof word == 0 && gort__os_is_code(ret))
			return at;
	}
	return 0;
}
