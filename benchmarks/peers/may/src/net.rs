// SPDX-License-Identifier: MIT

//! TCP and HTTP over loopback.

use crate::run;
use bench_common::*;
use may::go;
use may::net::{TcpListener, TcpStream};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
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
    run(move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        go!(move || {
            while let Ok((c, _)) = listener.accept() {
                c.set_nodelay(true).unwrap();
                go!(move || echoes(c));
            }
        });
        let mut conns = Vec::new();
        for _ in 0..CONNS {
            let c = TcpStream::connect(address).unwrap();
            c.set_nodelay(true).unwrap();
            conns.push(c);
        }
        let t = Instant::now();
        let all: Vec<_> = conns
            .into_iter()
            .map(|mut c| {
                go!(move || {
                    let mut b = [0; 64];
                    for _ in 0..n / CONNS {
                        c.write_all(&b).unwrap();
                        c.read_exact(&mut b).unwrap();
                    }
                })
            })
            .collect();
        for co in all {
            co.join().unwrap();
        }
        out("tcp_echo", (n / CONNS * CONNS) as f64 / t.elapsed().as_secs_f64(), "msg/s");
    });
}

fn answers(mut c: TcpStream) {
    let mut b = [0; 64];
    if let Ok(n) = c.read(&mut b) {
        let _ = c.write_all(&b[..n]);
    }
    let _ = c.read(&mut b);
}

pub fn tcp_conn_churn(n: usize) {
    run(move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        go!(move || {
            while let Ok((c, _)) = listener.accept() {
                go!(move || answers(c));
            }
        });
        let t = Instant::now();
        let all: Vec<_> = (0..DIALLERS)
            .map(|_| {
                go!(move || {
                    let mut b = [0; 64];
                    for _ in 0..n / DIALLERS {
                        let mut c = TcpStream::connect(address).unwrap();
                        c.set_nodelay(true).unwrap();
                        c.write_all(&b).unwrap();
                        c.read_exact(&mut b).unwrap();
                        linger0(c.as_raw_fd());
                    }
                })
            })
            .collect();
        for co in all {
            co.join().unwrap();
        }
        out("tcp_conn_churn", (n / DIALLERS * DIALLERS) as f64 / t.elapsed().as_secs_f64(), "conn/s");
    });
}

fn greets(mut c: TcpStream) {
    let mut b = vec![0; 4096]; // the stack is small
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

pub fn http(name: &'static str, connections: usize, seconds: usize) {
    // the server in coroutines, wrk waited for on a thread of its own
    may::config().set_workers(procs());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    go!(move || {
        while let Ok((c, _)) = listener.accept() {
            c.set_nodelay(true).unwrap();
            go!(move || greets(c));
        }
    });
    wrk(name, &address, connections, seconds);
}
