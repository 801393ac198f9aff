// SPDX-License-Identifier: MIT

//! The benchmark items with may: coroutines with stacks of a fixed size, on `$GOMAXPROCS` workers.
//!
//! May's channels have no bound, so none of them holds a sender back; items about that are left out. A coroutine's stack
//! is a mapping and a guard of its own, of which Linux gives about 32,000: items with a million coroutines are left out too.

mod chan;
mod net;
mod sched;
mod sync;

use bench_common::{chosen, procs, Item};

/// Runs the item's first coroutine to its end.
pub fn run<F>(first: F)
where
    F: FnOnce() + Send + 'static,
{
    may::config().set_workers(procs());
    may::go!(first).join().expect("a coroutine has failed");
}

const ITEMS: &[Item] = &[
    Item { name: "yield", size: 10_000_000, run: sched::yields },
    Item { name: "spawn_join", size: 1_000_000, run: sched::spawn_join },
    Item { name: "spawn_seq", size: 1_000_000, run: sched::spawn_seq },
    Item { name: "idle", size: 3000, run: sched::idle },
    Item { name: "wakeup_parallel10us", size: 50_000, run: sched::wakeup_parallel10us },
    Item { name: "sleep1ms", size: 1000, run: |n| sched::sleeps("sleep1ms", n, 1_000_000) },
    Item { name: "sleep50us", size: 2000, run: |n| sched::sleeps("sleep50us", n, 50_000) },
    Item { name: "pingpong", size: 2_000_000, run: chan::pingpong },
    Item { name: "buffered", size: 10_000_000, run: chan::buffered },
    Item { name: "mpmc", size: 4_000_000, run: chan::mpmc },
    Item { name: "fanin100", size: 2_000_000, run: chan::fanin100 },
    Item { name: "chan_buf1_same_g", size: 20_000_000, run: chan::chan_buf1_same_g },
    Item { name: "select4", size: 1_000_000, run: chan::select4 },
    Item { name: "select_default_empty", size: 50_000_000, run: chan::select_default_empty },
    Item { name: "ring", size: 1_000_000, run: chan::ring },
    Item { name: "mutex", size: 500_000, run: sync::mutex },
    Item { name: "mutex_uncontended", size: 50_000_000, run: sync::mutex_uncontended },
    Item { name: "rwmutex_90_10", size: 500_000, run: sync::rwmutex_90_10 },
    Item { name: "cond_broadcast", size: 20_000, run: sync::cond_broadcast },
    Item { name: "tcp_echo", size: 200_000, run: net::tcp_echo },
    Item { name: "tcp_conn_churn", size: 10_000, run: net::tcp_conn_churn },
    Item { name: "http_hello", size: 5, run: |n| net::http("http_hello", 64, n) },
    Item { name: "http_hello_1000", size: 5, run: |n| net::http("http_hello_1000", 1000, n) },
];

fn main() {
    let (item, size) = chosen(ITEMS);
    (item.run)(size);
    std::process::exit(0); // coroutines that wait for ever hold nothing up
}
