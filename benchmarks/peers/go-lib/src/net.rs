// SPDX-License-Identifier: MIT

//! TCP and HTTP over loopback.

use bench_common::*;
use go_lib::net::{TcpListener, TcpStream};
use go_lib::sync::WaitGroup;
use go_lib::go;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

const CONNS: usize = 64;
const DIALLERS: usize = 8;

fn echoes(mut c: TcpStream) {
    let mut b = [0; 64];
    loop {
        match c.read(&mut b) {
            Ok(n) if n > 0 && c.write_all(&b[..n]).is_ok() => (),
            _ => return,
        }
    }
}

pub fn tcp_echo(n: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    go!(move || {
        while let Ok(c) = listener.accept() {
            go!(move || echoes(c));
        }
    });
    let conns: Vec<_> = (0..CONNS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let wg = Arc::new(WaitGroup::new());
    wg.add(CONNS as i64);
    let t = Instant::now();
    for mut c in conns {
        let wg = wg.clone();
        go!(move || {
            let mut b = [0; 64];
            for _ in 0..n / CONNS {
                c.write_all(&b).unwrap();
                c.read_exact(&mut b).unwrap();
            }
            wg.done();
        });
    }
    wg.wait();
    out("tcp_echo", (n / CONNS * CONNS) as f64 / t.elapsed().as_secs_f64(), "msg/s");
}

fn answers(mut c: TcpStream) {
    let mut b = [0; 64];
    if let Ok(n) = c.read(&mut b) {
        let _ = c.write_all(&b[..n]);
    }
    let _ = c.read(&mut b);
}

pub fn tcp_conn_churn(n: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    go!(move || {
        while let Ok(c) = listener.accept() {
            go!(move || answers(c));
        }
    });
    let wg = Arc::new(WaitGroup::new());
    wg.add(DIALLERS as i64);
    let t = Instant::now();
    for _ in 0..DIALLERS {
        let wg = wg.clone();
        go!(move || {
            let mut b = [0; 64];
            for _ in 0..n / DIALLERS {
                let mut c = TcpStream::connect(address).unwrap();
                c.write_all(&b).unwrap();
                c.read_exact(&mut b).unwrap();
                linger0(c.as_raw_fd());
            }
            wg.done();
        });
    }
    wg.wait();
    out("tcp_conn_churn", (n / DIALLERS * DIALLERS) as f64 / t.elapsed().as_secs_f64(), "conn/s");
}

fn greets(mut c: TcpStream) {
    let mut b = vec![0; 4096];
    let mut len = 0;
    while len < b.len() {
        match c.read(&mut b[len..]) {
            Ok(n) if n > 0 => len += n,
            _ => return,
        }
        for _ in 0..requests(&mut b, &mut len) {
            if c.write_all(HELLO).is_err() {
                return;
            }
        }
    }
}

/// The server in goroutines; wrk is waited for on a thread of its own, since a goroutine in `with_syscall` would hold up the
/// others where there is one processor.
pub fn http(name: &'static str, connections: usize, seconds: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        wrk(name, &address, connections, seconds);
        std::process::exit(0);
    });
    while let Ok(c) = listener.accept() {
        go!(move || greets(c));
    }
}
