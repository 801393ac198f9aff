// SPDX-License-Identifier: MIT

//! Spawning, yielding, sleeping, idling.

use crate::run;
use bench_common::*;
use may::coroutine::{sleep, yield_now};
use may::go;
use may::sync::mpsc;
use std::time::{Duration, Instant};

pub fn yields(n: usize) {
    run(move || {
        let t = Instant::now();
        let two: Vec<_> = (0..2)
            .map(|_| {
                go!(move || {
                    for _ in 0..n / 2 {
                        yield_now();
                    }
                })
            })
            .collect();
        for co in two {
            co.join().unwrap();
        }
        out("yield", ns(t, n), "ns/switch");
    });
}

pub fn spawn_join(n: usize) {
    run(move || {
        let t = Instant::now();
        for _ in 0..n / 1000 {
            let batch: Vec<_> = (0..1000).map(|_| go!(|| ())).collect();
            for co in batch {
                co.join().unwrap();
            }
        }
        out("spawn_join", ns(t, n / 1000 * 1000), "ns/goroutine");
    });
}

pub fn spawn_seq(n: usize) {
    run(move || {
        let t = Instant::now();
        for _ in 0..n {
            go!(|| ()).join().unwrap();
        }
        out("spawn_seq", ns(t, n), "ns/goroutine");
    });
}

pub fn idle(span: usize) {
    run(move || {
        for _ in 0..1000 {
            go!(may::coroutine::park);
        }
        let listener = may::net::TcpListener::bind("127.0.0.1:0").unwrap();
        go!(move || listener.accept().map(|_| ()));
        go!(|| loop {
            sleep(Duration::from_millis(100)); // it has no ticker
        });
        sleep(Duration::from_millis(500));
        let (before, t) = (used(), Instant::now());
        sleep(Duration::from_millis(span as u64));
        idle_results(before, t);
    });
}

pub fn wakeup_parallel10us(n: usize) {
    run(move || {
        let (a, a_out) = mpsc::channel();
        let (b, b_out) = mpsc::channel();
        let t = Instant::now();
        let first = go!(move || {
            for _ in 0..n {
                compute(Duration::from_micros(15));
                a.send(()).unwrap();
                compute(Duration::from_micros(10));
                b_out.recv().unwrap();
            }
        });
        let second = go!(move || {
            for _ in 0..n {
                compute(Duration::from_micros(10));
                a_out.recv().unwrap();
                compute(Duration::from_micros(15));
                b.send(()).unwrap();
            }
        });
        first.join().unwrap();
        second.join().unwrap();
        out("wakeup_parallel10us", ns(t, n) / 1000.0, "us/iteration");
    });
}

pub fn sleeps(name: &'static str, n: usize, span: u64) {
    run(move || {
        let mut late = Vec::with_capacity(n);
        for _ in 0..n {
            let t = Instant::now();
            sleep(Duration::from_nanos(span));
            late.push(t.elapsed().as_nanos() as f64 - span as f64);
        }
        lateness(name, late);
    });
}
