// SPDX-License-Identifier: MIT

//! Timers and sleeping. Tokio's timers have a resolution of a millisecond.

use crate::run;
use bench_common::*;
use std::future::Future;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::task::spawn;
use tokio::time::{sleep, Instant as TokioInstant};

const HOUR: Duration = Duration::from_secs(3600);

pub fn timers(n: usize) {
    run(async move {
        let naps = naps(n);
        let t = Instant::now();
        let all: Vec<_> = naps
            .into_iter()
            .map(|d| {
                spawn(async move {
                    let t = Instant::now();
                    sleep(d).await;
                    (t.elapsed().as_nanos() as i64) - d.as_nanos() as i64
                })
            })
            .collect();
        let mut late = 0;
        for task in all {
            let l = task.await.unwrap();
            check(l >= 0, "woken early");
            late += l;
        }
        out("timers_total", ms(t), "ms");
        out("timers_late_mean", late as f64 / n as f64 / 1e3, "us");
    });
}

/// A timer is made when it is first polled, and stopped when it is dropped.
pub fn timer_churn(n: usize) {
    run(async move {
        let t = Instant::now();
        for _ in 0..n {
            let timer = sleep(HOUR);
            tokio::pin!(timer);
            let fired = std::future::poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_ready())).await;
            check(!fired, "a timer of an hour has fired");
        }
        out("timer_churn", ns(t, n), "ns/create+stop");
    });
}

pub fn timer_reset(n: usize) {
    run(async move {
        let timer = sleep(HOUR);
        tokio::pin!(timer);
        let fired = std::future::poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_ready())).await;
        check(!fired, "a timer of an hour has fired");
        let t = Instant::now();
        for _ in 0..n {
            timer.as_mut().reset(TokioInstant::now() + HOUR);
        }
        out("timer_reset", ns(t, n), "ns/reset");
    });
}

pub fn sleeps(name: &'static str, n: usize, span: u64) {
    run(async move {
        let mut late = Vec::with_capacity(n);
        for _ in 0..n {
            let t = Instant::now();
            sleep(Duration::from_nanos(span)).await;
            late.push(t.elapsed().as_nanos() as f64 - span as f64);
        }
        lateness(name, late);
    });
}
