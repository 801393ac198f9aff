// SPDX-License-Identifier: MIT

//! Channels and select.

use crate::run;
use bench_common::*;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::spawn;

pub fn pingpong(n: usize) {
    run(async move {
        let (to, mut ping) = mpsc::channel(1);
        let (back, mut pong) = mpsc::channel(1);
        let echo = spawn(async move {
            while let Some(v) = ping.recv().await {
                back.send(v).await.unwrap();
            }
        });
        let t = Instant::now();
        let mut sum = 0;
        for i in 0..n {
            to.send(i).await.unwrap();
            sum += pong.recv().await.unwrap();
        }
        let each = ns(t, n);
        drop(to);
        echo.await.unwrap();
        check(sum == sum_below(n), "sum");
        out("pingpong", each, "ns/roundtrip");
    });
}

pub fn one_way(name: &'static str, n: usize, capacity: usize) {
    run(async move {
        let (to, mut from) = mpsc::channel(capacity);
        let t = Instant::now();
        spawn(async move {
            for i in 0..n {
                to.send(i).await.unwrap();
            }
        });
        let mut sum = 0;
        while let Some(v) = from.recv().await {
            sum += v;
        }
        check(sum == sum_below(n), "sum");
        out(name, ns(t, n), "ns/item");
    });
}

pub fn mpmc(n: usize) {
    run(async move {
        let (to, from) = async_channel::bounded(128);
        let t = Instant::now();
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let from = from.clone();
                spawn(async move {
                    let mut sum = 0;
                    while let Ok(v) = from.recv().await {
                        sum += v;
                    }
                    sum
                })
            })
            .collect();
        for _ in 0..4 {
            let to = to.clone();
            spawn(async move {
                for i in 0..n / 4 {
                    to.send(i).await.unwrap();
                }
            });
        }
        drop(to);
        let mut sum = 0;
        for r in receivers {
            sum += r.await.unwrap();
        }
        check(sum == 4 * sum_below(n / 4), "sum");
        out("mpmc", ns(t, n), "ns/item");
    });
}

pub fn fanin100(n: usize) {
    run(async move {
        let (to, mut from) = mpsc::channel(1);
        for _ in 0..100 {
            let to = to.clone();
            spawn(async move {
                for i in 0..n / 100 {
                    to.send(i).await.unwrap();
                }
            });
        }
        let t = Instant::now();
        let mut sum = 0;
        for _ in 0..n / 100 * 100 {
            sum += from.recv().await.unwrap();
        }
        check(sum == 100 * sum_below(n / 100), "sum");
        out("fanin100", ns(t, n / 100 * 100), "ns/msg");
    });
}

pub fn fanin1m(n: usize) {
    run(async move {
        let (to, mut from) = mpsc::channel(16);
        let t = Instant::now();
        for _ in 0..n {
            let to = to.clone();
            spawn(async move { to.send(1).await.unwrap() });
        }
        let mut sum = 0;
        for _ in 0..n {
            sum += from.recv().await.unwrap();
        }
        check(sum == n, "sum");
        out("fanin1m", ms(t), "ms");
    });
}

pub fn chan_buf1_same_g(n: usize) {
    run(async move {
        let (to, mut from) = mpsc::channel(1);
        let t = Instant::now();
        let mut sum = 0;
        for i in 0..n {
            to.send(i).await.unwrap();
            sum += from.recv().await.unwrap();
        }
        check(sum == sum_below(n), "sum");
        out("chan_buf1_same_g", ns(t, n), "ns/send+recv");
    });
}

pub fn select4(n: usize) {
    run(async move {
        let t = Instant::now();
        let mut from = Vec::new();
        for _ in 0..4 {
            let (to, receiver) = mpsc::channel(1);
            from.push(receiver);
            spawn(async move {
                for i in 0..n / 4 {
                    to.send(i).await.unwrap();
                }
            });
        }
        let [mut a, mut b, mut c, mut d]: [mpsc::Receiver<usize>; 4] = from.try_into().unwrap();
        let mut sum = 0;
        for _ in 0..n / 4 * 4 {
            sum += tokio::select! {
                Some(v) = a.recv() => v,
                Some(v) = b.recv() => v,
                Some(v) = c.recv() => v,
                Some(v) = d.recv() => v,
                else => 0,
            };
        }
        check(sum == 4 * sum_below(n / 4), "sum");
        out("select4", ns(t, n / 4 * 4), "ns/msg");
    });
}

pub fn select_default_empty(n: usize) {
    run(async move {
        let (to, mut from) = mpsc::channel::<usize>(1);
        let t = Instant::now();
        let got = (0..n).filter(|_| from.try_recv().is_ok()).count();
        check(got == 0, "something came");
        out("select_default_empty", ns(t, n), "ns/op");
        drop(to);
    });
}

pub fn ring(n: usize) {
    run(async move {
        const R: usize = 1000;
        let (first, mut from) = mpsc::channel(1);
        for _ in 0..R - 1 {
            let (to, next) = mpsc::channel(1);
            let mut before = std::mem::replace(&mut from, next);
            spawn(async move {
                while let Some(v) = before.recv().await {
                    to.send(v + 1).await.unwrap();
                }
            });
        }
        let t = Instant::now();
        let (mut v, mut hops) = (0, 0);
        while hops < n {
            first.send(v).await.unwrap();
            v = from.recv().await.unwrap() + 1;
            hops += R;
        }
        check(v == hops, "hops");
        out("ring", ns(t, hops), "ns/hop");
    });
}

pub fn sieve(n: usize) {
    run(async move {
        let t = Instant::now();
        let (to, mut from) = mpsc::channel::<usize>(1);
        spawn(async move {
            for i in 2.. {
                if to.send(i).await.is_err() {
                    break;
                }
            }
        });
        let mut prime = 0;
        for _ in 0..n {
            prime = from.recv().await.unwrap();
            let (to, next) = mpsc::channel(1);
            let mut before = std::mem::replace(&mut from, next);
            spawn(async move {
                while let Some(v) = before.recv().await {
                    if v % prime != 0 && to.send(v).await.is_err() {
                        break;
                    }
                }
            });
        }
        check(n != 2000 || prime == 17389, "prime");
        out("sieve", ms(t), "ms");
    });
}

fn node(up: mpsc::Sender<usize>, num: usize, size: usize, capacity: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if size == 1 {
            up.send(num).await.unwrap();
            return;
        }
        let (to, mut from) = mpsc::channel(capacity);
        for i in 0..10 {
            spawn(node(to.clone(), num + i * (size / 10), size / 10, capacity));
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += from.recv().await.unwrap();
        }
        up.send(sum).await.unwrap();
    })
}

pub fn skynet(name: &'static str, n: usize, capacity: usize) {
    run(async move {
        let (to, mut from) = mpsc::channel(1);
        let t = Instant::now();
        spawn(node(to, 0, n, capacity));
        let sum = from.recv().await.unwrap();
        check(sum == sum_below(n), "sum");
        out(name, ms(t), "ms");
        out(&format!("{name}_maxrss"), maxrss(), "MiB");
    });
}
