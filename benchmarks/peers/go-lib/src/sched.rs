// SPDX-License-Identifier: MIT

//! Spawning, yielding, sleeping, locks.

use bench_common::*;
use go_lib::chan::chan;
use go_lib::sync::{Cond, WaitGroup};
use go_lib::{go, gosched, sleep, with_syscall};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub fn yields(n: usize) {
    let wg = Arc::new(WaitGroup::new());
    wg.add(2);
    let t = Instant::now();
    for _ in 0..2 {
        let wg = wg.clone();
        go!(move || {
            for _ in 0..n / 2 {
                gosched();
            }
            wg.done();
        });
    }
    wg.wait();
    out("yield", ns(t, n), "ns/switch");
}

pub fn spawn_join(n: usize) {
    let wg = Arc::new(WaitGroup::new());
    let t = Instant::now();
    for _ in 0..n / 1000 {
        wg.add(1000);
        for _ in 0..1000 {
            let wg = wg.clone();
            go!(move || wg.done());
        }
        wg.wait();
    }
    out("spawn_join", ns(t, n / 1000 * 1000), "ns/goroutine");
}

pub fn spawn_seq(n: usize) {
    let wg = Arc::new(WaitGroup::new());
    let t = Instant::now();
    for _ in 0..n {
        wg.add(1);
        let done = wg.clone();
        go!(move || done.done());
        wg.wait();
    }
    out("spawn_seq", ns(t, n), "ns/goroutine");
}

pub fn idle(span: usize) {
    let (never, wait) = chan::<()>(0);
    for _ in 0..1000 {
        let wait = wait.clone();
        go!(move || {
            wait.recv();
        });
    }
    let listener = go_lib::net::TcpListener::bind("127.0.0.1:0").unwrap();
    go!(move || {
        let _ = listener.accept();
    });
    go!(|| loop {
        sleep(Duration::from_millis(100)); // it has no ticker
    });
    sleep(Duration::from_millis(500));
    let (before, t) = (used(), Instant::now());
    sleep(Duration::from_millis(span as u64));
    idle_results(before, t);
    drop(never);
}

pub fn wakeup_parallel10us(n: usize) {
    let (a, a_out) = chan::<()>(0);
    let (b, b_out) = chan::<()>(0);
    let wg = Arc::new(WaitGroup::new());
    wg.add(2);
    let (first, second) = (wg.clone(), wg.clone());
    let t = Instant::now();
    go!(move || {
        for _ in 0..n {
            compute(Duration::from_micros(15));
            a.send(());
            compute(Duration::from_micros(10));
            b_out.recv();
        }
        first.done();
    });
    go!(move || {
        for _ in 0..n {
            compute(Duration::from_micros(10));
            a_out.recv();
            compute(Duration::from_micros(15));
            b.send(());
        }
        second.done();
    });
    wg.wait();
    out("wakeup_parallel10us", ns(t, n) / 1000.0, "us/iteration");
}

pub fn sleeps(name: &'static str, n: usize, span: u64) {
    let mut late = Vec::with_capacity(n);
    for _ in 0..n {
        let t = Instant::now();
        sleep(Duration::from_nanos(span));
        late.push(t.elapsed().as_nanos() as f64 - span as f64);
    }
    lateness(name, late);
}

pub fn timers(n: usize) {
    let wg = Arc::new(WaitGroup::new());
    let late = Arc::new(AtomicI64::new(0));
    let naps = naps(n);
    wg.add(n as i64);
    let t = Instant::now();
    for d in naps {
        let (wg, late) = (wg.clone(), late.clone());
        go!(move || {
            let t = Instant::now();
            sleep(d);
            let l = t.elapsed().as_nanos() as i64 - d.as_nanos() as i64;
            check(l >= 0, "woken early");
            late.fetch_add(l, Ordering::Relaxed);
            wg.done();
        });
    }
    wg.wait();
    out("timers_total", ms(t), "ms");
    out("timers_late_mean", late.load(Ordering::Relaxed) as f64 / n as f64 / 1e3, "us");
}

pub fn preempt(n: usize) {
    let mut late = Vec::with_capacity(n);
    for _ in 0..n {
        let stop = Arc::new(AtomicBool::new(false));
        let looping = stop.clone();
        go!(move || while !looping.load(Ordering::Relaxed) {});
        gosched();
        let t = Instant::now();
        sleep(Duration::from_millis(1));
        late.push(t.elapsed().as_nanos() as f64 / 1e6 - 1.0);
        stop.store(true, Ordering::Relaxed);
        sleep(Duration::from_millis(1));
    }
    late.sort_by(f64::total_cmp);
    out("preempt_late_p50", late[n / 2], "ms");
    out("preempt_late_p99", late[n * 99 / 100], "ms");
    out("preempt_late_max", late[n - 1], "ms");
}

pub fn syscall_block(_: usize) {
    let wg = Arc::new(WaitGroup::new());
    wg.add(100);
    let t = Instant::now();
    for _ in 0..100 {
        let wg = wg.clone();
        go!(move || {
            with_syscall(nanosleep10ms);
            wg.done();
        });
    }
    wg.wait();
    out("syscall_block", ms(t), "ms");
}

pub fn syscall_getppid(n: usize) {
    let t = Instant::now();
    for _ in 0..n {
        with_syscall(|| unsafe { libc::syscall(libc::SYS_getppid) });
    }
    out("syscall_getppid", ns(t, n), "ns/call");
}

pub fn mutex(n: usize) {
    let m = Arc::new(Mutex::new(0));
    let wg = Arc::new(WaitGroup::new());
    wg.add(8);
    let t = Instant::now();
    for _ in 0..8 {
        let (m, wg) = (m.clone(), wg.clone());
        go!(move || {
            for _ in 0..n {
                *m.lock().unwrap() += 1;
            }
            wg.done();
        });
    }
    wg.wait();
    check(*m.lock().unwrap() == 8 * n, "count");
    out("mutex", ns(t, 8 * n), "ns/op");
}

pub fn cond_broadcast(rounds: usize) {
    const W: usize = 100;
    struct Shared {
        state: Mutex<(usize, usize)>, // the round, and how many have seen it
        next: Cond,
        done: Cond,
    }
    let s = Arc::new(Shared { state: Mutex::new((0, 0)), next: Cond::new(), done: Cond::new() });
    let wg = Arc::new(WaitGroup::new());
    wg.add(W as i64);
    for _ in 0..W {
        let (s, wg) = (s.clone(), wg.clone());
        go!(move || {
            let mut state = s.state.lock().unwrap();
            for mine in 0..rounds {
                while state.0 == mine {
                    state = s.next.wait(&s.state, state);
                }
                state.1 += 1;
                if state.1 == W {
                    s.done.notify_one();
                }
            }
            drop(state);
            wg.done();
        });
    }
    let t = Instant::now();
    let mut state = s.state.lock().unwrap();
    for _ in 0..rounds {
        state.1 = 0;
        state.0 += 1;
        s.next.notify_all();
        while state.1 != W {
            state = s.done.wait(&s.state, state);
        }
    }
    drop(state);
    wg.wait();
    out("cond_broadcast", ns(t, rounds * W), "ns/wakeup");
}
