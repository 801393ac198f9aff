/* SPDX-License-Identifier: MIT */
/* The C++ runtime, where the program has one. */
#include "os/os.h"

/* A weak reference: no dependency on a C++ runtime, and its own function where one has been loaded at the start. */
__attribute__((weak)) void *__cxa_get_globals(void);

void *gort__os_cxx_globals(void)
{
	return __cxa_get_globals != NULL ? __cxa_get_globals() : NULL;
}
