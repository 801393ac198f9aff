// SPDX-License-Identifier: MIT
// The benchmark items with Boost.Fiber: fibers with stacks of a fixed size. One processor: the default scheduler on the main
// thread. Several: work_stealing on as many threads, which look for work without sleeping, as it does by default.
#include "bench.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include <sys/resource.h>

namespace fibers = boost::fibers;

void out(const char *name, double value, const char *unit)
{
	std::printf("%s %.3f %s\n", name, value, unit);
}

void check(bool right, const char *what)
{
	if (right)
		return;
	std::fprintf(stderr, "wrong result: %s\n", what);
	std::exit(1);
}

double ns(time_type since, long n)
{
	return std::chrono::duration<double, std::nano>(clock_type::now() - since).count() / n;
}

double ms(time_type since)
{
	return std::chrono::duration<double, std::milli>(clock_type::now() - since).count();
}

double rss()
{
	std::FILE *f = std::fopen("/proc/self/status", "r");
	char line[128];
	long kb = 0, v;

	while (f != nullptr && std::fgets(line, sizeof line, f) != nullptr) {
		if (std::sscanf(line, "VmRSS: %ld", &v) == 1 || std::sscanf(line, "VmPTE: %ld", &v) == 1)
			kb += v;
	}
	if (f != nullptr)
		std::fclose(f);
	return kb * 1024.0;
}

double maxrss()
{
	rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_maxrss / 1024.0;
}

int procs()
{
	const char *s = std::getenv("GOMAXPROCS");

	return s != nullptr ? std::atoi(s) : static_cast<int>(std::thread::hardware_concurrency());
}

static const item *const areas[] = { sched_items, chan_items, sync_items };

// The item in a fiber like any other, so that it may be stolen; the threads beside the main one wait meanwhile.
static void run_on(int n, const item &it, long size)
{
	fibers::mutex m;
	fibers::condition_variable_any ended;
	bool over = false;
	std::vector<std::thread> threads;

	for (int i = 1; i < n; i++) {
		threads.emplace_back([&, n] {
			fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(n);
			std::unique_lock<fibers::mutex> lock(m);
			ended.wait(lock, [&] { return over; });
		});
	}
	if (n > 1)
		fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(n);
	fibers::fiber([&] { it.run(size); }).join();
	{
		std::unique_lock<fibers::mutex> lock(m);
		over = true;
	}
	ended.notify_all();
	for (auto &t : threads)
		t.join();
}

int main(int argc, char **argv)
{
	for (const item *area : areas) {
		for (const item *it = area; it->name != nullptr; it++) {
			if (argc > 1 && std::strcmp(argv[1], "--list") == 0) {
				std::puts(it->name);
			} else if (argc > 1 && std::strcmp(argv[1], it->name) == 0) {
				run_on(procs(), *it, argc > 2 ? std::atol(argv[2]) : it->size);
				return 0;
			}
		}
	}
	if (argc > 1 && std::strcmp(argv[1], "--list") == 0)
		return 0;
	std::fprintf(stderr, "usage: %s ITEM [SIZE] | --list\n", argv[0]);
	return 2;
}
