// SPDX-License-Identifier: MIT
// Channels. A buffered_channel's capacity is a power of two, one of which stays empty.
#include "bench.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace fibers = boost::fibers;
using fibers::channel_op_status;
using fibers::fiber;
using fibers::launch;
using unbuffered_type = fibers::unbuffered_channel<long>;
using buffered_type = fibers::buffered_channel<long>;

static void pingpong(long n)
{
	unbuffered_type to, back;
	fiber echo([&] {
		long v;

		while (to.pop(v) == channel_op_status::success)
			back.push(v);
		back.close();
	});
	auto t = clock_type::now();
	long sum = 0;

	for (long i = 0; i < n; i++) {
		to.push(i);
		sum += back.value_pop();
	}
	double each = ns(t, n);
	to.close();
	echo.join();
	check(sum == sum_below(n), "sum");
	out("pingpong", each, "ns/roundtrip");
}

template <typename Channel>
static void one_way(const char *name, long n, Channel &c)
{
	auto t = clock_type::now();
	fiber sender([&] {
		for (long i = 0; i < n; i++)
			c.push(i);
		c.close();
	});
	long v, sum = 0;

	while (c.pop(v) == channel_op_status::success)
		sum += v;
	check(sum == sum_below(n), "sum");
	out(name, ns(t, n), "ns/item");
	sender.join();
}

static void unbuffered(long n)
{
	unbuffered_type c;

	one_way("unbuffered", n, c);
}

static void buffered(long n)
{
	buffered_type c(128);

	one_way("buffered", n, c);
}

static void mpmc(long n)
{
	buffered_type c(128);
	std::vector<fiber> senders, receivers;
	std::atomic<long> all{0};
	auto t = clock_type::now();

	for (int i = 0; i < 4; i++) {
		receivers.emplace_back([&] {
			long v, sum = 0;

			while (c.pop(v) == channel_op_status::success)
				sum += v;
			all += sum;
		});
	}
	for (int i = 0; i < 4; i++) {
		senders.emplace_back([&] {
			for (long k = 0; k < n / 4; k++)
				c.push(k);
		});
	}
	for (auto &f : senders)
		f.join();
	c.close();
	for (auto &f : receivers)
		f.join();
	check(all == 4 * sum_below(n / 4), "sum");
	out("mpmc", ns(t, n), "ns/item");
}

static void fanin100(long n)
{
	unbuffered_type c;
	std::vector<fiber> senders;

	for (int i = 0; i < 100; i++) {
		senders.emplace_back([&] {
			for (long k = 0; k < n / 100; k++)
				c.push(k);
		});
	}
	auto t = clock_type::now();
	long sum = 0;
	for (long i = 0; i < n / 100 * 100; i++) {
		sum += c.value_pop();
	}
	check(sum == 100 * sum_below(n / 100), "sum");
	out("fanin100", ns(t, n / 100 * 100), "ns/msg");
	for (auto &f : senders)
		f.join();
}

static void fanin1m(long n)
{
	buffered_type c(16);
	std::vector<fiber> senders;
	auto t = clock_type::now();
	long sum = 0;

	senders.reserve(n);
	for (long i = 0; i < n; i++)
		senders.emplace_back(launch::post, std::allocator_arg, small_stack(), [&] { c.push(1); });
	for (long i = 0; i < n; i++) {
		sum += c.value_pop();
	}
	check(sum == n, "sum");
	out("fanin1m", ms(t), "ms");
	for (auto &f : senders)
		f.join();
}

static void chan_buf1_same_g(long n)
{
	buffered_type c(2);
	auto t = clock_type::now();
	long sum = 0;

	for (long i = 0; i < n; i++) {
		c.push(i);
		sum += c.value_pop();
	}
	check(sum == sum_below(n), "sum");
	out("chan_buf1_same_g", ns(t, n), "ns/send+recv");
}

static void select_default_empty(long n)
{
	buffered_type c(2);
	auto t = clock_type::now();
	long v, got = 0;

	for (long i = 0; i < n; i++)
		got += c.try_pop(v) == channel_op_status::success;
	check(got == 0, "something came");
	out("select_default_empty", ns(t, n), "ns/op");
}

static void ring(long n)
{
	const long R = 1000;
	std::vector<std::unique_ptr<unbuffered_type>> c;
	std::vector<fiber> all;

	for (long i = 0; i < R; i++)
		c.push_back(std::make_unique<unbuffered_type>());
	for (long i = 0; i < R - 1; i++) {
		all.emplace_back([in = c[i].get(), to = c[i + 1].get()] {
			long v;

			while (in->pop(v) == channel_op_status::success)
				to->push(v + 1);
			to->close();
		});
	}
	auto t = clock_type::now();
	long v = 0, hops = 0;
	while (hops < n) {
		c[0]->push(v);
		v = c[R - 1]->value_pop() + 1;
		hops += R;
	}
	double each = ns(t, hops);
	c[0]->close();
	for (auto &f : all)
		f.join();
	check(v == hops, "hops");
	out("ring", each, "ns/hop");
}

static void sieve(long n)
{
	auto t = clock_type::now();
	auto in = std::make_shared<unbuffered_type>();
	std::vector<fiber> all;
	long prime = 0;

	all.emplace_back([in] {
		for (long i = 2;; i++)
			in->push(i);
	});
	for (long i = 0; i < n; i++) {
		prime = in->value_pop();
		auto to = std::make_shared<unbuffered_type>();
		all.emplace_back([in, to, prime] {
			long v;

			while (in->pop(v) == channel_op_status::success) {
				if (v % prime != 0)
					to->push(v);
			}
		});
		in = to;
	}
	check(n != 2000 || prime == 17389, "prime");
	out("sieve", ms(t), "ms");
	std::fflush(stdout);
	std::_Exit(0);          // the others stand in the middle of it
}

template <typename Channel, typename Make>
static void node(Channel &up, long num, long size, Make make)
{
	if (size == 1) {
		up.push(num);
		return;
	}
	auto c = make();
	std::vector<fiber> children;
	long sum = 0;

	for (long i = 0; i < 10; i++) {
		children.emplace_back(launch::post, std::allocator_arg, small_stack(), [=, &c = *c] {
			node(c, num + i * (size / 10), size / 10, make);
		});
	}
	for (int i = 0; i < 10; i++) {
		sum += c->value_pop();
	}
	for (auto &f : children)
		f.join();
	up.push(sum);
}

template <typename Make>
static void skynet(const std::string &name, long n, Make make)
{
	auto c = make();
	auto t = clock_type::now();
	fiber root([&] { node(*c, 0, n, make); });
	long sum = c->value_pop();
	root.join();
	check(sum == sum_below(n), "sum");
	out(name.c_str(), ms(t), "ms");
	out((name + "_maxrss").c_str(), maxrss(), "MiB");
}

static void skynet_unbuf(long n)
{
	skynet("skynet_unbuf", n, [] { return std::make_unique<unbuffered_type>(); });
}

static void skynet_buf(long n)
{
	skynet("skynet_buf", n, [] { return std::make_unique<buffered_type>(16); });
}

const item chan_items[] = {
	{ "pingpong", 2000000, pingpong },
	{ "unbuffered", 2000000, unbuffered },
	{ "buffered", 10000000, buffered },
	{ "mpmc", 4000000, mpmc },
	{ "fanin100", 2000000, fanin100 },
	{ "fanin1m", 1000000, fanin1m },
	{ "chan_buf1_same_g", 20000000, chan_buf1_same_g },
	{ "select_default_empty", 50000000, select_default_empty },
	{ "ring", 1000000, ring },
	{ "sieve", 2000, sieve },
	{ "skynet_unbuf", 1000000, skynet_unbuf },
	{ "skynet_buf", 1000000, skynet_buf },
	{ nullptr, 0, nullptr },
};
