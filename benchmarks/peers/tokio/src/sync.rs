// SPDX-License-Identifier: MIT

//! Locks and the like. Tokio's own mutex may be held over an `await`, as Go's may over anything that blocks.

use crate::run;
use bench_common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, Notify, OnceCell, RwLock};
use tokio::task::{spawn, yield_now};
use tokio_util::sync::CancellationToken;

pub fn mutex(n: usize) {
    run(async move {
        let m = Arc::new(Mutex::new(0));
        let t = Instant::now();
        let all: Vec<_> = (0..8)
            .map(|_| {
                let m = m.clone();
                spawn(async move {
                    for _ in 0..n {
                        *m.lock().await += 1;
                    }
                })
            })
            .collect();
        for task in all {
            task.await.unwrap();
        }
        check(*m.lock().await == 8 * n, "count");
        out("mutex", ns(t, 8 * n), "ns/op");
    });
}

pub fn mutex_uncontended(n: usize) {
    run(async move {
        let m = Mutex::new(0);
        let t = Instant::now();
        for _ in 0..n {
            *m.lock().await += 1;
        }
        check(m.into_inner() == n, "count");
        out("mutex_uncontended", ns(t, n), "ns/op");
    });
}

pub fn rwmutex_90_10(n: usize) {
    run(async move {
        let m = Arc::new(RwLock::new(0usize));
        let sink = Arc::new(AtomicUsize::new(0));
        let t = Instant::now();
        let all: Vec<_> = (0..8)
            .map(|g| {
                let (m, sink) = (m.clone(), sink.clone());
                spawn(async move {
                    let mut sum = 0;
                    for i in 0..n {
                        if (i + g) % 10 == 0 {
                            *m.write().await += 1;
                        } else {
                            sum += *m.read().await;
                        }
                    }
                    sink.fetch_add(sum, Ordering::Relaxed);
                })
            })
            .collect();
        for task in all {
            task.await.unwrap();
        }
        let each = ns(t, 8 * n);
        let writes: usize = (0..8).map(|g| (0..n).filter(|i| (i + g) % 10 == 0).count()).sum();
        check(*m.read().await == writes, "count");
        out("rwmutex_90_10", each, "ns/op");
    });
}

pub fn once(n: usize) {
    run(async move {
        let once = OnceCell::new();
        let t = Instant::now();
        for _ in 0..n {
            std::hint::black_box(once.get_or_init(|| async {}).await);
        }
        out("once", ns(t, n), "ns/op");
    });
}

/// Tokio has no condition variable; its users wait for a notification that they have asked for before they let go.
pub fn cond_broadcast(rounds: usize) {
    const W: usize = 100;
    struct State {
        round: usize,
        seen: usize,
    }
    run(async move {
        let m = Arc::new(Mutex::new(State { round: 0, seen: 0 }));
        let (next, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let all: Vec<_> = (0..W)
            .map(|_| {
                let (m, next, done) = (m.clone(), next.clone(), done.clone());
                spawn(async move {
                    let mut s = m.lock().await;
                    for mine in 0..rounds {
                        while s.round == mine {
                            let told = next.notified();
                            tokio::pin!(told);
                            told.as_mut().enable();
                            drop(s);
                            told.await;
                            s = m.lock().await;
                        }
                        s.seen += 1;
                        if s.seen == W {
                            done.notify_one();
                        }
                    }
                })
            })
            .collect();
        let t = Instant::now();
        for _ in 0..rounds {
            let mut s = m.lock().await;
            s.seen = 0;
            s.round += 1;
            next.notify_waiters();
            while s.seen != W {
                drop(s);
                done.notified().await;
                s = m.lock().await;
            }
        }
        for task in all {
            task.await.unwrap();
        }
        out("cond_broadcast", ns(t, rounds * W), "ns/wakeup");
    });
}

pub fn ctx(n: usize) {
    run(async move {
        let root = CancellationToken::new();
        let ready = Arc::new(AtomicUsize::new(0));
        let t = Instant::now();
        let all: Vec<_> = (0..n)
            .map(|_| {
                let (child, ready) = (root.child_token(), ready.clone());
                spawn(async move {
                    ready.fetch_add(1, Ordering::SeqCst);
                    child.cancelled().await;
                })
            })
            .collect();
        while ready.load(Ordering::SeqCst) != n {
            yield_now().await;
        }
        out("ctx_create100k", ms(t), "ms");
        let t = Instant::now();
        root.cancel();
        out("ctx_cancel100k_call", ms(t), "ms");
        for task in all {
            task.await.unwrap();
        }
        out("ctx_cancel100k_all_woken", ms(t), "ms");
    });
}
