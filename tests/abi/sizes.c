/* SPDX-License-Identifier: MIT */
/* What programs have compiled into them. A number here changes only together with the soversion. */
#include <gort/chan.h>
#include <gort/core.h>
#include <gort/net.h>
#include <gort/sync.h>

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), "offset of " #type "." #field)

SIZE(gort_time, 8);
SIZE(gort_duration, 8);
SIZE(gort_addr, 136);
AT(gort_addr, len, 0);
AT(gort_addr, data, 8);

#if UINTPTR_MAX > 0xffffffff
SIZE(gort_mutex, 16);
SIZE(gort_waitgroup, 24);
SIZE(gort_once, 8);
SIZE(gort_rwmutex, 48);
SIZE(gort_cond, 32);
SIZE(gort_sem, 32);
SIZE(gort_errgroup, 64);
SIZE(gort__mutex_scope, 24);
/* compiled into users, inline */
AT(gort_mutex, state, 0);
AT(gort_rwmutex, state, 0);
AT(gort_once, state, 0);

SIZE(gort_key, 8);
SIZE(gort_panic_info, 24);
AT(gort_panic_info, message, 0);
AT(gort_panic_info, value, 8);
AT(gort_panic_info, goroutine, 16);

SIZE(gort_case, 24);
AT(gort_case, chan, 0);
AT(gort_case, elem, 8);
AT(gort_case, op, 16);
AT(gort_case, result, 20);

/* may grow at its end: it carries its size */
AT(gort_attr, size, 0);
AT(gort_attr, name, 8);
AT(gort_attr, stack_max, 16);
AT(gort_attr, arg_size, 24);
AT(gort_listen_opts, size, 0);
AT(gort_listen_opts, backlog, 8);
AT(gort_listen_opts, reuse_port, 12);
#endif

_Static_assert(GORT_OP_SEND == 1 && GORT_OP_RECV == 2, "operations of a select");
_Static_assert(GORT_READABLE == 1 && GORT_WRITABLE == 2, "events of a descriptor");
_Static_assert(GORT_ENOHOST == -10001 && GORT_EHOSTAGAIN == -10002 && GORT_ESERVICE == -10003 && GORT_EADDRESS == -10004,
	"errors of our own");

int main(void)
{
	return 0;
}
