/* SPDX-License-Identifier: MIT */
/*
 * Symbols by elfutils: static functions too, and lines where there is debugging information: in the module itself, or
 * below /usr/lib/debug by its build id. Nothing is fetched from a network.
 */
#include "symbols/symbols.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The standard one may ask a server for what is not there. */
static int find_elf(Dwfl_Module *m, void **data, const char *name, Dwarf_Addr base, char **file, Elf **elf)
{
	struct stat st;
	int fd;

	/* a mapped device is not to be opened: that may have effects */
	if (name[0] != '/' || stat(name, &st) != 0 || !S_ISREG(st.st_mode))
		return -1;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		*file = strdup(name);
	return fd;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = dwfl_build_id_find_debuginfo,
};

static Dwfl *dwfl;

void gort__symbols_begin(void)
{
	/* anew each time: modules come and go */
	dwfl = dwfl_begin(&callbacks);
	if (dwfl == NULL)
		return;
	if (dwfl_linux_proc_report(dwfl, getpid()) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0) {
		dwfl_end(dwfl);
		dwfl = NULL;
	}
}

/* a/b/../c is a/c: builds outside of the tree name their sources by such ways. */
static void shorten(char *path)
{
	char *up;

	while ((up = strstr(path, "/../")) != NULL) {
		char *before = up;

		while (before > path && before[-1] != '/')
			before--;
		if (before == path || memcmp(before, "../", 3) == 0)
			return;
		memmove(before, up + 4, strlen(up + 4) + 1);
	}
}

void gort__symbols_find(uintptr_t pc, struct gort__symbol *s)
{
	Dwfl_Module *m = dwfl != NULL ? dwfl_addrmodule(dwfl, pc) : NULL;
	const char *name, *file, *where;
	Dwarf_Addr start = 0, bias;
	Dwfl_Line *l;
	GElf_Off off;
	GElf_Sym sym;

	memset(s, 0, sizeof *s);
	if (m == NULL)
		return;
	name = dwfl_module_info(m, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	if (name != NULL)
		snprintf(s->module, sizeof s->module, "%s", name);
	s->in_module = pc - start;
	name = dwfl_module_addrinfo(m, pc, &off, &sym, NULL, NULL, &bias);
	if (name != NULL) {
		/* of no interest here: a version, and what compilers call a part or a variant of a function */
		snprintf(s->function, sizeof s->function, "%.*s", (int)strcspn(name, "@."), name);
		s->in_function = off;
	}
	l = dwfl_module_getsrc(m, pc);
	file = l != NULL ? dwfl_lineinfo(l, NULL, &s->line, NULL, NULL, NULL) : NULL;
	if (file == NULL)
		return;
	where = file[0] != '/' ? dwfl_line_comp_dir(l) : NULL;
	snprintf(s->file, sizeof s->file, "%s%s%s", where != NULL ? where : "", where != NULL ? "/" : "", file);
	shorten(s->file);
}

void gort__symbols_end(void)
{
	if (dwfl != NULL)
		dwfl_end(dwfl);
	dwfl = NULL;
}
