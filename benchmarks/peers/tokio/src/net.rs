// SPDX-License-Identifier: MIT

//! TCP and HTTP over loopback.

use crate::run;
use bench_common::*;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{spawn, spawn_blocking};

const CONNS: usize = 64;
const DIALLERS: usize = 8;

async fn echoes(mut c: TcpStream) {
    let mut b = [0; 64];
    loop {
        match c.read(&mut b).await {
            Ok(n) if n > 0 && c.write_all(&b[..n]).await.is_ok() => (),
            _ => return,
        }
    }
}

pub fn tcp_echo(n: usize) {
    run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async move {
            while let Ok((c, _)) = listener.accept().await {
                c.set_nodelay(true).unwrap();
                spawn(echoes(c));
            }
        });
        let mut conns = Vec::new();
        for _ in 0..CONNS {
            let c = TcpStream::connect(address).await.unwrap();
            c.set_nodelay(true).unwrap();
            conns.push(c);
        }
        let t = Instant::now();
        let all: Vec<_> = conns
            .into_iter()
            .map(|mut c| {
                spawn(async move {
                    let mut b = [0; 64];
                    for _ in 0..n / CONNS {
                        c.write_all(&b).await.unwrap();
                        c.read_exact(&mut b).await.unwrap();
                    }
                })
            })
            .collect();
        for task in all {
            task.await.unwrap();
        }
        out("tcp_echo", (n / CONNS * CONNS) as f64 / t.elapsed().as_secs_f64(), "msg/s");
    });
}

async fn answers(mut c: TcpStream) {
    let mut b = [0; 64];
    if let Ok(n) = c.read(&mut b).await {
        let _ = c.write_all(&b[..n]).await;
    }
    let _ = c.read(&mut b).await;
}

pub fn tcp_conn_churn(n: usize) {
    run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async move {
            while let Ok((c, _)) = listener.accept().await {
                spawn(answers(c));
            }
        });
        let t = Instant::now();
        let all: Vec<_> = (0..DIALLERS)
            .map(|_| {
                spawn(async move {
                    let mut b = [0; 64];
                    for _ in 0..n / DIALLERS {
                        let mut c = TcpStream::connect(address).await.unwrap();
                        c.set_nodelay(true).unwrap();
                        c.write_all(&b).await.unwrap();
                        c.read_exact(&mut b).await.unwrap();
                        #[allow(deprecated)] // of 0, which it is there for: a reset in place of a farewell
                        c.set_linger(Some(Duration::ZERO)).unwrap();
                    }
                })
            })
            .collect();
        for task in all {
            task.await.unwrap();
        }
        out("tcp_conn_churn", (n / DIALLERS * DIALLERS) as f64 / t.elapsed().as_secs_f64(), "conn/s");
    });
}

async fn greets(mut c: TcpStream) {
    let mut b = [0; 4096];
    let mut len = 0;
    while len < b.len() {
        match c.read(&mut b[len..]).await {
            Ok(n) if n > 0 => len += n,
            _ => return,
        }
        for _ in 0..requests(&mut b, &mut len) {
            if c.write_all(HELLO).await.is_err() {
                return;
            }
        }
    }
}

pub fn http(name: &'static str, connections: usize, seconds: usize) {
    run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        spawn(async move {
            while let Ok((c, _)) = listener.accept().await {
                c.set_nodelay(true).unwrap();
                spawn(greets(c));
            }
        });
        spawn_blocking(move || wrk(name, &address, connections, seconds)).await.unwrap();
    });
}
