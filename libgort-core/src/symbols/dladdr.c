/* SPDX-License-Identifier: MIT */
/* Symbols by dladdr: what the dynamic linker knows, which is what libraries export. No lines. */
#define _GNU_SOURCE     /* dladdr */
#include "symbols/symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

void gort__symbols_begin(void)
{
}

void gort__symbols_find(uintptr_t pc, struct gort__symbol *s)
{
	Dl_info info;

	memset(s, 0, sizeof *s);
	if (dladdr((void *)pc, &info) == 0)
		return;
	if (info.dli_fname != NULL)
		snprintf(s->module, sizeof s->module, "%s", info.dli_fname);
	s->in_module = pc - (uintptr_t)info.dli_fbase;
	if (info.dli_sname != NULL) {
		snprintf(s->function, sizeof s->function, "%s", info.dli_sname);
		s->in_function = pc - (uintptr_t)info.dli_saddr;
	}
}

void gort__symbols_end(void)
{
}
