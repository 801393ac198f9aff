// SPDX-License-Identifier: MIT

//! The benchmark items with tokio: tasks without stacks of their own, which give way at every `await`.
//!
//! `$TOKIO_FLAVOR=current_thread` takes the runtime of one thread in place of the one with `$GOMAXPROCS` workers. Tokio has
//! no rendezvous channel; where Go's is unbuffered, its users take one of capacity 1, and so do we. Channels of many
//! receivers are async-channel's. The first task is spawned like any other, not run by `block_on`, which would be slower.

mod chan;
mod net;
mod sched;
mod sync;
mod time;

use bench_common::{chosen, procs, Item};
use std::future::Future;

/// Runs the item's first task to its end, among the workers.
pub fn run<F>(first: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let current = std::env::var("TOKIO_FLAVOR").is_ok_and(|f| f == "current_thread");
    let runtime = if current {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(procs()).enable_all().build()
    };
    let runtime = runtime.expect("no runtime");
    runtime.block_on(async { tokio::spawn(first).await.expect("a task has failed") });
    runtime.shutdown_background();
}

const ITEMS: &[Item] = &[
    Item { name: "yield", size: 10_000_000, run: sched::yields },
    Item { name: "spawn_join", size: 1_000_000, run: sched::spawn_join },
    Item { name: "spawn_seq", size: 1_000_000, run: sched::spawn_seq },
    Item { name: "spawn1m_unrun", size: 1_000_000, run: sched::spawn1m_unrun },
    Item { name: "park1m", size: 1_000_000, run: sched::park1m },
    Item { name: "idle", size: 3000, run: sched::idle },
    Item { name: "wakeup_parallel10us", size: 50_000, run: sched::wakeup_parallel10us },
    Item { name: "syscall_block", size: 1, run: sched::syscall_block },
    Item { name: "pingpong", size: 2_000_000, run: chan::pingpong },
    Item { name: "unbuffered", size: 2_000_000, run: |n| chan::one_way("unbuffered", n, 1) },
    Item { name: "buffered", size: 10_000_000, run: |n| chan::one_way("buffered", n, 128) },
    Item { name: "mpmc", size: 4_000_000, run: chan::mpmc },
    Item { name: "fanin100", size: 2_000_000, run: chan::fanin100 },
    Item { name: "fanin1m", size: 1_000_000, run: chan::fanin1m },
    Item { name: "chan_buf1_same_g", size: 20_000_000, run: chan::chan_buf1_same_g },
    Item { name: "select4", size: 1_000_000, run: chan::select4 },
    Item { name: "select_default_empty", size: 50_000_000, run: chan::select_default_empty },
    Item { name: "ring", size: 1_000_000, run: chan::ring },
    Item { name: "sieve", size: 2000, run: chan::sieve },
    Item { name: "skynet_unbuf", size: 1_000_000, run: |n| chan::skynet("skynet_unbuf", n, 1) },
    Item { name: "skynet_buf", size: 1_000_000, run: |n| chan::skynet("skynet_buf", n, 10) },
    Item { name: "mutex", size: 500_000, run: sync::mutex },
    Item { name: "mutex_uncontended", size: 50_000_000, run: sync::mutex_uncontended },
    Item { name: "rwmutex_90_10", size: 500_000, run: sync::rwmutex_90_10 },
    Item { name: "once", size: 100_000_000, run: sync::once },
    Item { name: "cond_broadcast", size: 20_000, run: sync::cond_broadcast },
    Item { name: "ctx", size: 100_000, run: sync::ctx },
    Item { name: "timers", size: 100_000, run: time::timers },
    Item { name: "timer_churn", size: 2_000_000, run: time::timer_churn },
    Item { name: "timer_reset", size: 5_000_000, run: time::timer_reset },
    Item { name: "sleep1ms", size: 1000, run: |n| time::sleeps("sleep1ms", n, 1_000_000) },
    Item { name: "sleep50us", size: 2000, run: |n| time::sleeps("sleep50us", n, 50_000) },
    Item { name: "tcp_echo", size: 200_000, run: net::tcp_echo },
    Item { name: "tcp_conn_churn", size: 10_000, run: net::tcp_conn_churn },
    Item { name: "http_hello", size: 5, run: |n| net::http("http_hello", 64, n) },
    Item { name: "http_hello_1000", size: 5, run: |n| net::http("http_hello_1000", 1000, n) },
];

fn main() {
    let (item, size) = chosen(ITEMS);
    (item.run)(size);
}
