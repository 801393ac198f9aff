// SPDX-License-Identifier: MIT

// A keep-alive HTTP server; wrk, a process of its own, asks, and what it counts is the result.

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// The smallest kind: each request that ends with an empty line gets the same answer.
func minimal(l net.Listener) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world")
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReaderSize(c, 4096)
			for {
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) <= 2 {
						break
					}
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// What Go's users write; it does more.
func nethttp(l net.Listener) {
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello world") }))
}

func httpHello(name string, connections int, serve func(l net.Listener)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go serve(l)
	b, err := exec.Command("wrk", "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", argN(5)),
		"http://"+l.Addr().String()+"/").Output()
	if err != nil {
		panic(err)
	}
	said := string(b)
	found := regexp.MustCompile(`Requests/sec: +([0-9.]+)`).FindStringSubmatch(said)
	if found == nil || strings.Contains(said, "Socket errors") || strings.Contains(said, "Non-2xx") {
		panic(said)
	}
	rate, _ := strconv.ParseFloat(found[1], 64)
	out(name, rate, "req/s")
}
