/* SPDX-License-Identifier: MIT */
/* For libgort-context: channels that are closed and nothing else, many of them at a time. */
#ifndef GORT__DONE_H
#define GORT__DONE_H

#include <gort/chan.h>

/*
 * A channel of signals and, in the same piece of memory, size bytes for whoever owns it (*owner, aligned as malloc's). Those
 * live as long as the channel: until gort_chan_unref of the last reference. NULL: out of memory.
 */
GORT_API gort_chan *gort__chan_new_with(size_t size, void **owner);
/*
 * Closes c, and instead of waking who waits appends them to a list through g->link that ends at **end: for gort__ready_all,
 * soon. False: it was closed. What was written before is seen by whoever finds it closed. By who holds no lock.
 */
GORT_API bool gort__chan_close_into(gort_chan *c, gort_g ***end);
GORT_API bool gort__chan_is_closed(const gort_chan *c);

#endif
