// SPDX-License-Identifier: MIT
// Spawning, yielding, sleeping.
#include "bench.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fibers = boost::fibers;
using fibers::fiber;
using fibers::launch;

static void yield(long n)
{
	auto t = clock_type::now();
	auto yields = [n] {
		for (long i = 0; i < n / 2; i++)
			boost::this_fiber::yield();
	};
	fiber a(yields), b(yields);

	a.join();
	b.join();
	out("yield", ns(t, n), "ns/switch");
}

static void spawn_join(long n)
{
	auto t = clock_type::now();

	for (long i = 0; i < n / 1000; i++) {
		std::vector<fiber> batch;

		batch.reserve(1000);
		for (int k = 0; k < 1000; k++)
			batch.emplace_back([] {});
		for (auto &f : batch)
			f.join();
	}
	out("spawn_join", ns(t, n / 1000 * 1000), "ns/goroutine");
}

static void spawn_seq(long n)
{
	auto t = clock_type::now();

	for (long i = 0; i < n; i++)
		fiber([] {}).join();
	out("spawn_seq", ns(t, n), "ns/goroutine");
}

static void spawn1m_unrun(long n)
{
	std::vector<fiber> all;

	all.reserve(n);
	double before = rss();
	for (long i = 0; i < n; i++)
		all.emplace_back(launch::post, std::allocator_arg, small_stack(), [] {});
	double after = rss();
	for (auto &f : all)
		f.join();
	out("spawn1m_unrun", (after - before) / n, "B/goroutine");
}

static void park1m(long n)
{
	fibers::mutex m;
	fibers::condition_variable_any gate;
	bool open = false;
	std::atomic<long> ready{0};
	std::vector<fiber> all;

	all.reserve(n);
	double before = rss();
	auto t = clock_type::now();
	for (long i = 0; i < n; i++) {
		all.emplace_back(launch::post, std::allocator_arg, small_stack(), [&] {
			std::unique_lock<fibers::mutex> lock(m);
			ready++;
			gate.wait(lock, [&] { return open; });
		});
	}
	while (ready != n)
		boost::this_fiber::yield();
	double made = ms(t), after = rss();
	t = clock_type::now();
	{
		std::unique_lock<fibers::mutex> lock(m);
		open = true;
	}
	gate.notify_all();
	for (auto &f : all)
		f.join();
	out("park1m_bytes", (after - before) / n, "B/goroutine");
	out("park1m_create", made, "ms");
	out("park1m_release", ms(t), "ms");
}

static void compute(std::chrono::microseconds d)
{
	auto end = clock_type::now() + d;

	while (clock_type::now() < end)
		;
}

static void wakeup_parallel10us(long n)
{
	using std::chrono::microseconds;
	fibers::unbuffered_channel<char> a, b;
	auto t = clock_type::now();
	fiber first([&] {
		char c;

		for (long i = 0; i < n; i++) {
			compute(microseconds(15));
			a.push(0);
			compute(microseconds(10));
			b.pop(c);
		}
	});
	fiber second([&] {
		char c;

		for (long i = 0; i < n; i++) {
			compute(microseconds(10));
			a.pop(c);
			compute(microseconds(15));
			b.push(0);
		}
	});

	first.join();
	second.join();
	out("wakeup_parallel10us", ns(t, n) / 1000, "us/iteration");
}

static void sleeps(const std::string &name, long n, std::chrono::nanoseconds d)
{
	std::vector<double> late;

	for (long i = 0; i < n; i++) {
		auto t = clock_type::now();

		boost::this_fiber::sleep_for(d);
		late.push_back(std::chrono::duration<double, std::micro>(clock_type::now() - t - d).count());
		check(late.back() >= 0, "woken early");
	}
	std::sort(late.begin(), late.end());
	out((name + "_late_p50").c_str(), late[n / 2], "us");
	out((name + "_late_p99").c_str(), late[n * 99 / 100], "us");
}

static void sleep1ms(long n)
{
	sleeps("sleep1ms", n, std::chrono::milliseconds(1));
}

static void sleep50us(long n)
{
	sleeps("sleep50us", n, std::chrono::microseconds(50));
}

static void timers(long n)
{
	std::vector<fiber> all;
	std::atomic<int64_t> late{0};
	uint64_t r = 42;

	all.reserve(n);
	auto t = clock_type::now();
	for (long i = 0; i < n; i++) {
		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		std::chrono::milliseconds d(1 + r % 100);
		all.emplace_back(launch::post, std::allocator_arg, small_stack(), [d, &late] {
			auto t = clock_type::now();

			boost::this_fiber::sleep_for(d);
			late += std::chrono::nanoseconds(clock_type::now() - t - d).count();
		});
	}
	for (auto &f : all)
		f.join();
	out("timers_total", ms(t), "ms");
	out("timers_late_mean", static_cast<double>(late) / n / 1000, "us");
}

const item sched_items[] = {
	{ "yield", 10000000, yield },
	{ "spawn_join", 1000000, spawn_join },
	{ "spawn_seq", 1000000, spawn_seq },
	{ "spawn1m_unrun", 1000000, spawn1m_unrun },
	{ "park1m", 1000000, park1m },
	{ "wakeup_parallel10us", 50000, wakeup_parallel10us },
	{ "sleep1ms", 1000, sleep1ms },
	{ "sleep50us", 2000, sleep50us },
	{ "timers", 100000, timers },
	{ nullptr, 0, nullptr },
};
