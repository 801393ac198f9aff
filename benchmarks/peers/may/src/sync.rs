// SPDX-License-Identifier: MIT

//! Locks and the like.

use crate::run;
use bench_common::*;
use may::go;
use may::sync::{Condvar, Mutex, RwLock};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Instant;

pub fn mutex(n: usize) {
    run(move || {
        let m = Arc::new(Mutex::new(0));
        let t = Instant::now();
        let all: Vec<_> = (0..8)
            .map(|_| {
                let m = m.clone();
                go!(move || {
                    for _ in 0..n {
                        *m.lock().unwrap() += 1;
                    }
                })
            })
            .collect();
        for co in all {
            co.join().unwrap();
        }
        check(*m.lock().unwrap() == 8 * n, "count");
        out("mutex", ns(t, 8 * n), "ns/op");
    });
}

pub fn mutex_uncontended(n: usize) {
    run(move || {
        let m = Mutex::new(0);
        let t = Instant::now();
        for _ in 0..n {
            *m.lock().unwrap() += 1;
        }
        check(*m.lock().unwrap() == n, "count");
        out("mutex_uncontended", ns(t, n), "ns/op");
    });
}

pub fn rwmutex_90_10(n: usize) {
    run(move || {
        let m = Arc::new(RwLock::new(0usize));
        let sink = Arc::new(AtomicUsize::new(0));
        let t = Instant::now();
        let all: Vec<_> = (0..8)
            .map(|g| {
                let (m, sink) = (m.clone(), sink.clone());
                go!(move || {
                    let mut sum = 0;
                    for i in 0..n {
                        if (i + g) % 10 == 0 {
                            *m.write().unwrap() += 1;
                        } else {
                            sum += *m.read().unwrap();
                        }
                    }
                    sink.fetch_add(sum, Ordering::Relaxed);
                })
            })
            .collect();
        for co in all {
            co.join().unwrap();
        }
        let each = ns(t, 8 * n);
        let writes: usize = (0..8).map(|g| (0..n).filter(|i| (i + g) % 10 == 0).count()).sum();
        check(*m.read().unwrap() == writes, "count");
        out("rwmutex_90_10", each, "ns/op");
    });
}

pub fn cond_broadcast(rounds: usize) {
    const W: usize = 100;
    struct Shared {
        state: Mutex<(usize, usize)>, // the round, and how many have seen it
        next: Condvar,
        done: Condvar,
    }
    run(move || {
        let s = Arc::new(Shared { state: Mutex::new((0, 0)), next: Condvar::new(), done: Condvar::new() });
        let all: Vec<_> = (0..W)
            .map(|_| {
                let s = s.clone();
                go!(move || {
                    let mut state = s.state.lock().unwrap();
                    for mine in 0..rounds {
                        while state.0 == mine {
                            state = s.next.wait(state).unwrap();
                        }
                        state.1 += 1;
                        if state.1 == W {
                            s.done.notify_one();
                        }
                    }
                })
            })
            .collect();
        let t = Instant::now();
        let mut state = s.state.lock().unwrap();
        for _ in 0..rounds {
            state.1 = 0;
            state.0 += 1;
            s.next.notify_all();
            while state.1 != W {
                state = s.done.wait(state).unwrap();
            }
        }
        drop(state);
        for co in all {
            co.join().unwrap();
        }
        out("cond_broadcast", ns(t, rounds * W), "ns/wakeup");
    });
}
