// SPDX-License-Identifier: MIT

//! What the peers in Rust share: arguments, output, what the process uses, wrk.

use std::time::{Duration, Instant};

pub struct Item {
    pub name: &'static str,
    pub size: usize,
    pub run: fn(usize),
}

/// `PROGRAM --list`, or `PROGRAM ITEM [SIZE]`: which item, of which size.
pub fn chosen(items: &[Item]) -> (&Item, usize) {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("--list") {
        for item in items {
            println!("{}", item.name);
        }
        std::process::exit(0);
    }
    let item = args.get(1).and_then(|name| items.iter().find(|i| i.name == name));
    match item {
        Some(item) => (item, args.get(2).map_or(item.size, |s| s.parse().expect("the size must be a number"))),
        None => {
            eprintln!("usage: {} ITEM [SIZE] | --list", args[0]);
            std::process::exit(2);
        }
    }
}

/// How many processors to use: $GOMAXPROCS, else all.
pub fn procs() -> usize {
    match std::env::var("GOMAXPROCS") {
        Ok(n) => n.parse().expect("GOMAXPROCS must be a number"),
        Err(_) => std::thread::available_parallelism().map_or(1, |n| n.get()),
    }
}

pub fn out(name: &str, value: f64, unit: &str) {
    println!("{name} {value:.3} {unit}");
}

/// A run whose work was done wrong does not count.
pub fn check(right: bool, what: &str) {
    if !right {
        eprintln!("wrong result: {what}");
        std::process::exit(1);
    }
}

pub fn ns(since: Instant, n: usize) -> f64 {
    since.elapsed().as_nanos() as f64 / n as f64
}

pub fn ms(since: Instant) -> f64 {
    since.elapsed().as_nanos() as f64 / 1e6
}

/// 0 + 1 + ... + (n - 1)
pub fn sum_below(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// Bytes resident, page tables included.
pub fn rss() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib: usize = status
        .lines()
        .filter(|l| l.starts_with("VmRSS:") || l.starts_with("VmPTE:"))
        .filter_map(|l| l.split_whitespace().nth(1)?.parse::<usize>().ok())
        .sum();
    kib as f64 * 1024.0
}

fn usage() -> libc::rusage {
    let mut ru = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut ru) };
    ru
}

/// MiB
pub fn maxrss() -> f64 {
    usage().ru_maxrss as f64 / 1024.0
}

/// Microseconds of processor time, and voluntary context switches.
pub fn used() -> (f64, f64) {
    let ru = usage();
    let us = |t: libc::timeval| t.tv_sec as f64 * 1e6 + t.tv_usec as f64;
    (us(ru.ru_utime) + us(ru.ru_stime), ru.ru_nvcsw as f64)
}

pub fn idle_results(before: (f64, f64), since: Instant) {
    let (s, after) = (since.elapsed().as_secs_f64(), used());
    out("idle_cpu", (after.0 - before.0) / s, "us/s");
    out("idle_ctxsw", (after.1 - before.1) / s, "1/s");
    out("idle_rss", rss() / 1024.0, "KiB");
}

/// The lateness of sleeps, in nanoseconds, as its middle and its worst hundredth.
pub fn lateness(name: &str, mut late: Vec<f64>) {
    check(late.iter().all(|&l| l >= 0.0), "woken early");
    late.sort_by(f64::total_cmp);
    let n = late.len();
    out(&format!("{name}_late_p50"), late[n / 2] / 1e3, "us");
    out(&format!("{name}_late_p99"), late[n * 99 / 100] / 1e3, "us");
}

/// 1 to 100 ms, the same in every run
pub fn naps(n: usize) -> Vec<Duration> {
    let mut r: u64 = 42;
    (0..n)
        .map(|_| {
            r ^= r << 13;
            r ^= r >> 7;
            r ^= r << 17;
            Duration::from_millis(1 + r % 100)
        })
        .collect()
}

pub fn compute(d: Duration) {
    let end = Instant::now() + d;
    while Instant::now() < end {}
}

pub fn nanosleep10ms() {
    let ts = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    unsafe { libc::nanosleep(&ts, std::ptr::null_mut()) };
}

pub const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world";

/// How many requests end within `b[..len]`; what is left of the last one moves to the front.
pub fn requests(b: &mut [u8], len: &mut usize) -> usize {
    let (mut from, mut n) = (0, 0);
    while let Some(at) = b[from..*len].windows(4).position(|w| w == b"\r\n\r\n") {
        from += at + 4;
        n += 1;
    }
    b.copy_within(from..*len, 0);
    *len -= from;
    n
}

/// Lets wrk, a process of its own, ask the server at `address`.
pub fn wrk(name: &str, address: &str, connections: usize, seconds: usize) {
    let asked = std::process::Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), &format!("http://{address}/")])
        .output();
    let said = match asked {
        Ok(done) => String::from_utf8_lossy(&done.stdout).into_owned(),
        Err(e) => format!("wrk: {e}"),
    };
    let rate = said.lines().find_map(|l| l.trim().strip_prefix("Requests/sec:")?.trim().parse::<f64>().ok());
    match rate {
        Some(rate) if rate > 0.0 && !said.contains("Socket errors") && !said.contains("Non-2xx") => out(name, rate, "req/s"),
        _ => check(false, &said),
    }
}

/// Makes the close of a socket a reset, so that nothing of it is left waiting.
pub fn linger0(fd: i32) {
    let l = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = std::mem::size_of_val(&l) as libc::socklen_t;
    let set = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const l).cast(), size) };
    check(set == 0, "linger");
}
