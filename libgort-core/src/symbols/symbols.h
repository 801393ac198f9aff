/* SPDX-License-Identifier: MIT */
/* From an address in code to words. Not for two threads at once. One of libdw.c, dladdr.c. */
#ifndef GORT__SYMBOLS_H
#define GORT__SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

struct gort__symbol {
	char function[256];     /* empty: not known */
	char file[512];         /* empty: not known */
	int line;
	char module[512];       /* the file it was loaded from; empty: not known */
	uintptr_t in_function;  /* how far into the function */
	uintptr_t in_module;    /* how far into the module */
};

void gort__symbols_begin(void);
/* pc is an instruction; for a return address, one less. */
void gort__symbols_find(uintptr_t pc, struct gort__symbol *s);
void gort__symbols_end(void);

#endif
