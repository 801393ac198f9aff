/* SPDX-License-Identifier: MIT */
/* Error texts and the version. */
#include <gort/core.h>

#include "version.h"

#include <stdio.h>
#include <string.h>

const char *gort_strerror(int err)
{
	static _Thread_local char text[96];
	int number = err < 0 && err > -10000 ? -err : err;      /* never the negation of INT_MIN */

	switch (err) {
	case GORT_ENOHOST: return "no such host";
	case GORT_EHOSTAGAIN: return "the name server did not answer; try again";
	case GORT_ESERVICE: return "no such service or port";
	case GORT_EADDRESS: return "malformed network address";
	}
	if (number < 0 || strerror_r(number, text, sizeof text) != 0)
		snprintf(text, sizeof text, "unknown error %d", err);
	return text;
}

const char *gort_version(void)
{
	return GORT__VERSION;
}
