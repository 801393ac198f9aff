// SPDX-License-Identifier: MIT

//! Spawning, yielding, idling.

use crate::run;
use bench_common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Notify};
use tokio::task::{spawn, yield_now, JoinSet};

pub fn yields(n: usize) {
    run(async move {
        let t = Instant::now();
        let two: Vec<_> = (0..2)
            .map(|_| {
                spawn(async move {
                    for _ in 0..n / 2 {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in two {
            task.await.unwrap();
        }
        out("yield", ns(t, n), "ns/switch");
    });
}

pub fn spawn_join(n: usize) {
    run(async move {
        let t = Instant::now();
        for _ in 0..n / 1000 {
            let batch: Vec<_> = (0..1000).map(|_| spawn(async {})).collect();
            for task in batch {
                task.await.unwrap();
            }
        }
        out("spawn_join", ns(t, n / 1000 * 1000), "ns/goroutine");
    });
}

pub fn spawn_seq(n: usize) {
    run(async move {
        let t = Instant::now();
        for _ in 0..n {
            spawn(async {}).await.unwrap();
        }
        out("spawn_seq", ns(t, n), "ns/goroutine");
    });
}

pub fn spawn1m_unrun(n: usize) {
    run(async move {
        let before = rss();
        let ran = Arc::new(AtomicUsize::new(0));
        let mut all = JoinSet::new();
        for _ in 0..n {
            let ran = ran.clone();
            all.spawn(async move {
                ran.fetch_add(1, Ordering::Relaxed);
            });
        }
        let after = rss();
        check(procs() > 1 || ran.load(Ordering::Relaxed) == 0, "some have run");
        while all.join_next().await.is_some() {}
        out("spawn1m_unrun", (after - before) / n as f64, "B/goroutine");
    });
}

pub fn park1m(n: usize) {
    run(async move {
        let gate = Arc::new(Notify::new());
        let ready = Arc::new(AtomicUsize::new(0));
        let before = rss();
        let t = Instant::now();
        let mut all = Vec::with_capacity(n);
        for _ in 0..n {
            let (gate, ready) = (gate.clone(), ready.clone());
            all.push(spawn(async move {
                let open = gate.notified();
                tokio::pin!(open);
                open.as_mut().enable(); // counts from here on for notify_waiters
                ready.fetch_add(1, Ordering::Relaxed);
                open.await;
            }));
        }
        while ready.load(Ordering::Relaxed) != n {
            yield_now().await;
        }
        let made = ms(t);
        let after = rss();
        let t = Instant::now();
        gate.notify_waiters();
        for task in all {
            task.await.unwrap();
        }
        let released = ms(t);
        out("park1m_bytes", (after - before) / n as f64, "B/goroutine");
        out("park1m_create", made, "ms");
        out("park1m_release", released, "ms");
    });
}

pub fn idle(span: usize) {
    run(async move {
        for _ in 0..1000 {
            spawn(std::future::pending::<()>());
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        spawn(async move { listener.accept().await.map(|_| ()) });
        spawn(async {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticks.tick().await;
            }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (before, t) = (used(), Instant::now());
        tokio::time::sleep(Duration::from_millis(span as u64)).await;
        idle_results(before, t);
    });
}

pub fn wakeup_parallel10us(n: usize) {
    run(async move {
        let (a, mut a_out) = mpsc::channel::<()>(1);
        let (b, mut b_out) = mpsc::channel::<()>(1);
        let t = Instant::now();
        let first = spawn(async move {
            for _ in 0..n {
                compute(Duration::from_micros(15));
                a.send(()).await.unwrap();
                compute(Duration::from_micros(10));
                b_out.recv().await.unwrap();
            }
        });
        let second = spawn(async move {
            for _ in 0..n {
                compute(Duration::from_micros(10));
                a_out.recv().await.unwrap();
                compute(Duration::from_micros(15));
                b.send(()).await.unwrap();
            }
        });
        first.await.unwrap();
        second.await.unwrap();
        out("wakeup_parallel10us", ns(t, n) / 1000.0, "us/iteration");
    });
}

/// Announced: on the threads that are there for what blocks.
pub fn syscall_block(_: usize) {
    run(async {
        let t = Instant::now();
        let all: Vec<_> = (0..100).map(|_| tokio::task::spawn_blocking(nanosleep10ms)).collect();
        for task in all {
            task.await.unwrap();
        }
        out("syscall_block", ms(t), "ms");
    });
}
