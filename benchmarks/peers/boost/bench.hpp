// SPDX-License-Identifier: MIT
// What the items share.
#pragma once

#include <boost/fiber/all.hpp>

#include <chrono>

using clock_type = std::chrono::steady_clock;
using time_type = clock_type::time_point;

struct item {
	const char *name;
	long size;
	void (*run)(long n);
};

extern const item sched_items[], chan_items[], sync_items[]; // each ends with a null name

void out(const char *name, double value, const char *unit);
void check(bool right, const char *what);       // a run whose work was done wrong does not count
double ns(time_type since, long n);
double ms(time_type since);
double rss();                                   // bytes resident, page tables included
double maxrss();                                // MiB
int procs();

inline long sum_below(long n) { return n * (n - 1) / 2; }

// For items with so many fibers that the size of a stack decides. With two pages park1m crashes here.
inline auto small_stack()
{
	return boost::fibers::fixedsize_stack(4 * boost::context::stack_traits::page_size());
}
