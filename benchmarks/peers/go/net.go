// SPDX-License-Identifier: MIT

// TCP and HTTP.

package main

import (
	"io"
	"net"
	"sync"
	"time"
)

func tcpEcho() {
	const C = 64
	n := argN(200000)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				var b [64]byte
				for {
					k, err := c.Read(b[:])
					if err != nil {
						c.Close()
						return
					}
					if _, err := c.Write(b[:k]); err != nil {
						c.Close()
						return
					}
				}
			}()
		}
	}()
	cs := make([]net.Conn, C)
	for i := range cs {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			panic(err)
		}
		cs[i] = c
	}
	var wg sync.WaitGroup
	per := n / C
	t := time.Now()
	for i := range cs {
		wg.Add(1)
		c := cs[i]
		go func() {
			var b [64]byte
			for k := 0; k < per; k++ {
				if _, err := c.Write(b[:]); err != nil {
					panic(err)
				}
				if _, err := io.ReadFull(c, b[:]); err != nil {
					panic(err)
				}
			}
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(t)
	out("tcp_echo", float64(per*C)/d.Seconds(), "msg/s")
	ln.Close()
}

func tcpChurn() {
	n := argN(10000)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				var b [64]byte
				k, err := c.Read(b[:])
				if err == nil {
					c.Write(b[:k])
				}
				c.Read(b[:])
				c.Close()
			}()
		}
	}()
	const W = 8
	var wg sync.WaitGroup
	t := time.Now()
	for w := 0; w < W; w++ {
		wg.Add(1)
		go func() {
			var b [64]byte
			for i := 0; i < n/W; i++ {
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					panic(err)
				}
				c.Write(b[:])
				io.ReadFull(c, b[:])
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(t)
	out("tcp_conn_churn", float64(n/W*W)/d.Seconds(), "conn/s")
	ln.Close()
}
