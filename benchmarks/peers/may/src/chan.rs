// SPDX-License-Identifier: MIT

//! Channels, all of them without a bound.

use crate::run;
use bench_common::*;
use may::sync::{mpmc, mpsc};
use may::{cqueue, cqueue_add, go};
use std::time::Instant;

pub fn pingpong(n: usize) {
    run(move || {
        let (to, ping) = mpsc::channel();
        let (back, pong) = mpsc::channel();
        let echo = go!(move || {
            while let Ok(v) = ping.recv() {
                back.send(v).unwrap();
            }
        });
        let t = Instant::now();
        let mut sum = 0;
        for i in 0..n {
            to.send(i).unwrap();
            sum += pong.recv().unwrap();
        }
        let each = ns(t, n);
        drop(to);
        echo.join().unwrap();
        check(sum == sum_below(n), "sum");
        out("pingpong", each, "ns/roundtrip");
    });
}

pub fn buffered(n: usize) {
    run(move || {
        let (to, from) = mpsc::channel();
        let t = Instant::now();
        go!(move || {
            for i in 0..n {
                to.send(i).unwrap();
            }
        });
        let mut sum = 0;
        while let Ok(v) = from.recv() {
            sum += v;
        }
        check(sum == sum_below(n), "sum");
        out("buffered", ns(t, n), "ns/item");
    });
}

pub fn mpmc(n: usize) {
    run(move || {
        let (to, from) = mpmc::channel();
        let t = Instant::now();
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let from: mpmc::Receiver<usize> = from.clone();
                go!(move || {
                    let mut sum = 0;
                    while let Ok(v) = from.recv() {
                        sum += v;
                    }
                    sum
                })
            })
            .collect();
        for _ in 0..4 {
            let to = to.clone();
            go!(move || {
                for i in 0..n / 4 {
                    to.send(i).unwrap();
                }
            });
        }
        drop(to);
        let sum: usize = receivers.into_iter().map(|r| r.join().unwrap()).sum();
        check(sum == 4 * sum_below(n / 4), "sum");
        out("mpmc", ns(t, n), "ns/item");
    });
}

pub fn fanin100(n: usize) {
    run(move || {
        let (to, from) = mpsc::channel();
        for _ in 0..100 {
            let to = to.clone();
            go!(move || {
                for i in 0..n / 100 {
                    to.send(i).unwrap();
                }
            });
        }
        let t = Instant::now();
        let mut sum = 0;
        for _ in 0..n / 100 * 100 {
            sum += from.recv().unwrap();
        }
        check(sum == 100 * sum_below(n / 100), "sum");
        out("fanin100", ns(t, n / 100 * 100), "ns/msg");
    });
}

pub fn chan_buf1_same_g(n: usize) {
    run(move || {
        let (to, from) = mpsc::channel();
        let t = Instant::now();
        let mut sum = 0;
        for i in 0..n {
            to.send(i).unwrap();
            sum += from.recv().unwrap();
        }
        check(sum == sum_below(n), "sum");
        out("chan_buf1_same_g", ns(t, n), "ns/send+recv");
    });
}

/// May's select is a queue of events, with a coroutine for each channel.
pub fn select4(n: usize) {
    run(move || {
        let t = Instant::now();
        let mut from = Vec::new();
        for _ in 0..4 {
            let (to, receiver) = mpsc::channel();
            from.push(receiver);
            go!(move || {
                for i in 0..n / 4 {
                    to.send(i).unwrap();
                }
            });
        }
        let from: &[mpsc::Receiver<usize>; 4] = &from.try_into().ok().unwrap();
        let sum = std::sync::atomic::AtomicUsize::new(0);
        let add = |v| sum.fetch_add(v, std::sync::atomic::Ordering::Relaxed);
        cqueue::scope(|queue| {
            cqueue_add!(queue, 0, _ = match from[0].recv() { Ok(v) => add(v), Err(_) => break } => ());
            cqueue_add!(queue, 1, _ = match from[1].recv() { Ok(v) => add(v), Err(_) => break } => ());
            cqueue_add!(queue, 2, _ = match from[2].recv() { Ok(v) => add(v), Err(_) => break } => ());
            cqueue_add!(queue, 3, _ = match from[3].recv() { Ok(v) => add(v), Err(_) => break } => ());
            for _ in 0..n / 4 * 4 {
                queue.poll(None).unwrap();
            }
        });
        out("select4", ns(t, n / 4 * 4), "ns/msg");
        check(sum.into_inner() == 4 * sum_below(n / 4), "sum");
    });
}

pub fn select_default_empty(n: usize) {
    run(move || {
        let (to, from) = mpsc::channel::<usize>();
        let t = Instant::now();
        let got = (0..n).filter(|_| from.try_recv().is_ok()).count();
        check(got == 0, "something came");
        out("select_default_empty", ns(t, n), "ns/op");
        drop(to);
    });
}

pub fn ring(n: usize) {
    run(move || {
        const R: usize = 1000;
        let (first, mut from) = mpsc::channel();
        for _ in 0..R - 1 {
            let (to, next) = mpsc::channel();
            let before = std::mem::replace(&mut from, next);
            go!(move || {
                while let Ok(v) = before.recv() {
                    to.send(v + 1).unwrap();
                }
            });
        }
        let t = Instant::now();
        let (mut v, mut hops) = (0, 0);
        while hops < n {
            first.send(v).unwrap();
            v = from.recv().unwrap() + 1;
            hops += R;
        }
        check(v == hops, "hops");
        out("ring", ns(t, hops), "ns/hop");
    });
}
