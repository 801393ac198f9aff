// SPDX-License-Identifier: MIT
// Mutex and condition variable.
#include "bench.hpp"

#include <mutex>
#include <vector>

namespace fibers = boost::fibers;
using fibers::fiber;

static void mutex(long n)
{
	fibers::mutex m;
	std::vector<fiber> all;
	long x = 0;
	auto t = clock_type::now();

	for (int g = 0; g < 8; g++) {
		all.emplace_back([&] {
			for (long i = 0; i < n; i++) {
				std::lock_guard<fibers::mutex> lock(m);
				x++;
			}
		});
	}
	for (auto &f : all)
		f.join();
	check(x == 8 * n, "count");
	out("mutex", ns(t, 8 * n), "ns/op");
}

static void mutex_uncontended(long n)
{
	fibers::mutex m;
	long x = 0;
	auto t = clock_type::now();

	for (long i = 0; i < n; i++) {
		std::lock_guard<fibers::mutex> lock(m);
		x++;
	}
	check(x == n, "count");
	out("mutex_uncontended", ns(t, n), "ns/op");
}

static void cond_broadcast(long rounds)
{
	const long W = 100;
	fibers::mutex m;
	fibers::condition_variable next, done;
	long round = 0, seen = 0;
	std::vector<fiber> all;

	for (long w = 0; w < W; w++) {
		all.emplace_back([&] {
			std::unique_lock<fibers::mutex> lock(m);

			for (long mine = 0; mine < rounds; mine++) {
				next.wait(lock, [&] { return round != mine; });
				if (++seen == W)
					done.notify_one();
			}
		});
	}
	auto t = clock_type::now();
	{
		std::unique_lock<fibers::mutex> lock(m);

		for (long r = 0; r < rounds; r++) {
			seen = 0;
			round++;
			next.notify_all();
			done.wait(lock, [&] { return seen == W; });
		}
	}
	for (auto &f : all)
		f.join();
	out("cond_broadcast", ns(t, rounds * W), "ns/wakeup");
}

const item sync_items[] = {
	{ "mutex", 500000, mutex },
	{ "mutex_uncontended", 50000000, mutex_uncontended },
	{ "cond_broadcast", 20000, cond_broadcast },
	{ nullptr, 0, nullptr },
};
