// SPDX-License-Identifier: MIT

//! Channels and select.

use bench_common::*;
use go_lib::chan::{chan, Receiver};
use go_lib::sync::WaitGroup;
use go_lib::{go, select};
use std::sync::Arc;
use std::time::Instant;

pub fn pingpong(n: usize) {
    let (to, ping) = chan(0);
    let (back, pong) = chan(0);
    go!(move || {
        while let Some(v) = ping.recv() {
            back.send(v);
        }
        back.close();
    });
    let t = Instant::now();
    let mut sum = 0;
    for i in 0..n {
        to.send(i);
        sum += pong.recv().unwrap();
    }
    let each = ns(t, n);
    to.close();
    check(pong.recv().is_none() && sum == sum_below(n), "sum");
    out("pingpong", each, "ns/roundtrip");
}

pub fn one_way(name: &str, n: usize, capacity: usize) {
    let (to, from) = chan(capacity);
    let t = Instant::now();
    go!(move || {
        for i in 0..n {
            to.send(i);
        }
        to.close();
    });
    let mut sum = 0;
    while let Some(v) = from.recv() {
        sum += v;
    }
    check(sum == sum_below(n), "sum");
    out(name, ns(t, n), "ns/item");
}

pub fn mpmc(n: usize) {
    let (to, from) = chan::<usize>(128);
    let (sums_in, sums) = chan(4);
    let senders = Arc::new(WaitGroup::new());
    senders.add(4);
    let t = Instant::now();
    for _ in 0..4 {
        let (from, sums_in) = (from.clone(), sums_in.clone());
        go!(move || {
            let mut sum = 0;
            while let Some(v) = from.recv() {
                sum += v;
            }
            sums_in.send(sum);
        });
    }
    for _ in 0..4 {
        let (to, senders) = (to.clone(), senders.clone());
        go!(move || {
            for i in 0..n / 4 {
                to.send(i);
            }
            senders.done();
        });
    }
    senders.wait();
    to.close();
    let sum: usize = (0..4).map(|_| sums.recv().unwrap()).sum();
    check(sum == 4 * sum_below(n / 4), "sum");
    out("mpmc", ns(t, n), "ns/item");
}

pub fn fanin100(n: usize) {
    let (to, from) = chan(0);
    for _ in 0..100 {
        let to = to.clone();
        go!(move || {
            for i in 0..n / 100 {
                to.send(i);
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
}

pub fn chan_buf1_same_g(n: usize) {
    let (to, from) = chan(1);
    let t = Instant::now();
    let mut sum = 0;
    for i in 0..n {
        to.send(i);
        sum += from.recv().unwrap();
    }
    check(sum == sum_below(n), "sum");
    out("chan_buf1_same_g", ns(t, n), "ns/send+recv");
}

pub fn select4(n: usize) {
    let t = Instant::now();
    let mut from = Vec::new();
    for _ in 0..4 {
        let (to, receiver) = chan(0);
        from.push(receiver);
        go!(move || {
            for i in 0..n / 4 {
                to.send(i);
            }
        });
    }
    let [a, b, c, d]: [Receiver<usize>; 4] = from.try_into().ok().unwrap();
    let mut sum = 0;
    for _ in 0..n / 4 * 4 {
        select! {
            recv(a) -> v => { sum += v.unwrap(); }
            recv(b) -> v => { sum += v.unwrap(); }
            recv(c) -> v => { sum += v.unwrap(); }
            recv(d) -> v => { sum += v.unwrap(); }
        }
    }
    check(sum == 4 * sum_below(n / 4), "sum");
    out("select4", ns(t, n / 4 * 4), "ns/msg");
}

pub fn select_default_empty(n: usize) {
    let (to, from) = chan::<usize>(0);
    let t = Instant::now();
    let got = (0..n).filter(|_| from.try_recv().is_some()).count();
    check(got == 0, "something came");
    out("select_default_empty", ns(t, n), "ns/op");
    drop(to);
}

pub fn ring(n: usize) {
    const R: usize = 1000;
    let (first, mut from) = chan(0);
    for _ in 0..R - 1 {
        let (to, next) = chan(0);
        let before = std::mem::replace(&mut from, next);
        go!(move || {
            while let Some(v) = before.recv() {
                to.send(v + 1);
            }
        });
    }
    let t = Instant::now();
    let (mut v, mut hops) = (0, 0);
    while hops < n {
        first.send(v);
        v = from.recv().unwrap() + 1;
        hops += R;
    }
    check(v == hops, "hops");
    out("ring", ns(t, hops), "ns/hop");
}

pub fn sieve(n: usize) {
    let t = Instant::now();
    let (to, mut from) = chan::<usize>(0);
    go!(move || {
        for i in 2.. {
            to.send(i);
        }
    });
    let mut prime = 0;
    for _ in 0..n {
        prime = from.recv().unwrap();
        let (to, next) = chan(0);
        let before = std::mem::replace(&mut from, next);
        go!(move || {
            while let Some(v) = before.recv() {
                if v % prime != 0 {
                    to.send(v);
                }
            }
        });
    }
    check(n != 2000 || prime == 17389, "prime");
    out("sieve", ms(t), "ms");
}
