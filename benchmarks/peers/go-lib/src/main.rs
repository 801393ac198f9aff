// SPDX-License-Identifier: MIT

//! The benchmark items with the crate go-lib, a port of Go's scheduler: goroutines with stacks of their own that grow by
//! being copied, Go's channels and `select!`, `$GOMAXPROCS`. Its mutex is the standard library's, which blocks the thread.
//!
//! A stack is a mapping and a guard of its own, of which Linux gives about 32,000 (vm.max_map_count): a process with more
//! goroutines than that ends with a failed mmap or stands still, so items with a hundred thousand and more are left out.

mod chan;
mod net;
mod sched;

use bench_common::{chosen, Item};

const ITEMS: &[Item] = &[
    Item { name: "yield", size: 10_000_000, run: sched::yields },
    Item { name: "spawn_join", size: 1_000_000, run: sched::spawn_join },
    Item { name: "spawn_seq", size: 1_000_000, run: sched::spawn_seq },
    Item { name: "idle", size: 3000, run: sched::idle },
    Item { name: "wakeup_parallel10us", size: 50_000, run: sched::wakeup_parallel10us },
    Item { name: "sleep1ms", size: 1000, run: |n| sched::sleeps("sleep1ms", n, 1_000_000) },
    Item { name: "sleep50us", size: 2000, run: |n| sched::sleeps("sleep50us", n, 50_000) },
    Item { name: "timers", size: 100_000, run: sched::timers },
    Item { name: "preempt", size: 200, run: sched::preempt },
    Item { name: "syscall_block", size: 1, run: sched::syscall_block },
    Item { name: "syscall_getppid", size: 5_000_000, run: sched::syscall_getppid },
    Item { name: "mutex", size: 500_000, run: sched::mutex },
    Item { name: "cond_broadcast", size: 20_000, run: sched::cond_broadcast },
    Item { name: "pingpong", size: 2_000_000, run: chan::pingpong },
    Item { name: "unbuffered", size: 2_000_000, run: |n| chan::one_way("unbuffered", n, 0) },
    Item { name: "buffered", size: 10_000_000, run: |n| chan::one_way("buffered", n, 128) },
    Item { name: "mpmc", size: 4_000_000, run: chan::mpmc },
    Item { name: "fanin100", size: 2_000_000, run: chan::fanin100 },
    Item { name: "chan_buf1_same_g", size: 20_000_000, run: chan::chan_buf1_same_g },
    Item { name: "select4", size: 1_000_000, run: chan::select4 },
    Item { name: "select_default_empty", size: 50_000_000, run: chan::select_default_empty },
    Item { name: "ring", size: 1_000_000, run: chan::ring },
    Item { name: "sieve", size: 2000, run: chan::sieve },
    Item { name: "tcp_echo", size: 200_000, run: net::tcp_echo },
    Item { name: "tcp_conn_churn", size: 10_000, run: net::tcp_conn_churn },
    Item { name: "http_hello", size: 5, run: |n| net::http("http_hello", 64, n) },
    Item { name: "http_hello_1000", size: 5, run: |n| net::http("http_hello_1000", 1000, n) },
];

#[go_lib::main]
fn first(run: fn(usize), size: usize) {
    run(size)
}

fn main() {
    let (item, size) = chosen(ITEMS);
    first(item.run, size);
    std::process::exit(0); // goroutines that wait for ever hold nothing up
}
