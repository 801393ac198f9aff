// SPDX-License-Identifier: MIT

// Spawning, yielding, stacks, system calls.

package main

import (
	"net"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func yield() {
	n := argN(10000000)
	var wg sync.WaitGroup
	wg.Add(2)
	t := time.Now()
	for k := 0; k < 2; k++ {
		go func() {
			for i := 0; i < n/2; i++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	out("yield", ns(time.Since(t), n), "ns/switch")
}

func spawnJoin() {
	n := argN(1000000)
	const B = 1000
	t := time.Now()
	var wg sync.WaitGroup
	for i := 0; i < n/B; i++ {
		wg.Add(B)
		for j := 0; j < B; j++ {
			go func() { wg.Done() }()
		}
		wg.Wait()
	}
	out("spawn_join", ns(time.Since(t), n), "ns/goroutine")
}

func spawnSeq() { // spawn one, join one
	n := argN(1000000)
	t := time.Now()
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func() { wg.Done() }()
		wg.Wait()
	}
	out("spawn_seq", ns(time.Since(t), n), "ns/goroutine")
}

func park1m() {
	n := argN(1000000)
	gate := make(chan struct{})
	var ready int64
	var wg sync.WaitGroup
	wg.Add(n)
	r0 := rss()
	t := time.Now()
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt64(&ready, 1)
			<-gate
			wg.Done()
		}()
	}
	for atomic.LoadInt64(&ready) != int64(n) {
		runtime.Gosched()
	}
	// give every goroutine the time to really block
	for {
		runtime.Gosched()
		break
	}
	d := time.Since(t)
	r1 := rss()
	t = time.Now()
	close(gate)
	wg.Wait()
	d2 := time.Since(t)
	out("park1m_bytes", float64(r1-r0)/float64(n), "B/goroutine")
	out("park1m_create", ms(d), "ms")
	out("park1m_release", ms(d2), "ms")
}

// CPU burnt per second by an idle runtime: 1000 parked goroutines, a listener, one 100ms ticker
func idleCPU() {
	span := time.Duration(argN(3000)) * time.Millisecond
	for i := 0; i < 1000; i++ {
		go func() { select {} }()
	}
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	go ln.Accept()
	go func() {
		for range time.Tick(100 * time.Millisecond) {
		}
	}()
	time.Sleep(500 * time.Millisecond)
	cpu := func() (float64, int64) {
		var ru syscall.Rusage
		syscall.Getrusage(0, &ru)
		return float64(ru.Utime.Sec+ru.Stime.Sec)*1e6 + float64(ru.Utime.Usec+ru.Stime.Usec), ru.Nvcsw
	}
	c0, v0 := cpu()
	t := time.Now()
	time.Sleep(span)
	s := time.Since(t).Seconds()
	c1, v1 := cpu()
	out("idle_cpu", (c1-c0)/s, "us/s")
	out("idle_ctxsw", float64(v1-v0)/s, "1/s")
	out("idle_rss", float64(rss())/1024, "KiB")
}

// cross-P wakeup: two goroutines that each spin 10us between handoffs
func wakePar() {
	n := argN(50000)
	spin := func(d time.Duration) {
		e := time.Now().Add(d)
		for time.Now().Before(e) {
		}
	}
	a, b := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	t := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			spin(15 * time.Microsecond)
			a <- struct{}{}
			spin(10 * time.Microsecond)
			<-b
		}
		done <- struct{}{}
	}()
	go func() {
		for i := 0; i < n; i++ {
			spin(10 * time.Microsecond)
			<-a
			spin(15 * time.Microsecond)
			b <- struct{}{}
		}
		done <- struct{}{}
	}()
	<-done
	<-done
	out("wakeup_parallel10us", ns(time.Since(t), n)/1000, "us/iteration")
}

// A fresh endless loop for every sample: what counts is how soon a loop that makes no calls gives way.
func preempt() {
	n := argN(200)
	l := make([]float64, n)
	for i := range l {
		var stop atomic.Bool
		go func() {
			for !stop.Load() { // no calls: the load is inlined
			}
		}()
		runtime.Gosched()
		t := time.Now()
		time.Sleep(time.Millisecond)
		l[i] = float64((time.Since(t) - time.Millisecond).Nanoseconds()) / 1e6
		stop.Store(true)
		time.Sleep(time.Millisecond)
	}
	sort.Float64s(l)
	out("preempt_late_p50", l[n/2], "ms")
	out("preempt_late_p99", l[n*99/100], "ms")
	out("preempt_late_max", l[n-1], "ms")
}

func syscallBlock(name string) {
	const G = 100
	var wg sync.WaitGroup
	wg.Add(G)
	t := time.Now()
	for g := 0; g < G; g++ {
		go func() {
			ts := syscall.Timespec{Sec: 0, Nsec: 10000000}
			syscall.Nanosleep(&ts, nil)
			wg.Done()
		}()
	}
	wg.Wait()
	out(name, ms(time.Since(t)), "ms")
}

func syscallFast() {
	n := argN(5000000)
	t := time.Now()
	for i := 0; i < n; i++ {
		syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
	}
	out("syscall_getppid", ns(time.Since(t), n), "ns/call")
	t = time.Now()
	for i := 0; i < n; i++ {
		syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
	}
	out("syscall_getppid_raw", ns(time.Since(t), n), "ns/call")
}

//go:noinline
func deep(n int, p *byte) int {
	var buf [64]byte
	buf[n&63] = *p
	if n == 0 {
		return int(buf[0])
	}
	return deep(n-1, &buf[n&63]) + 1
}

func deepRec() {
	n := argN(1000000)
	debug.SetMaxStack(1 << 32)
	c := make(chan int)
	r0 := rss()
	t := time.Now()
	go func() { var b byte; c <- deep(n, &b) }()
	v := <-c
	d := time.Since(t)
	if v != n {
		panic(v)
	}
	out("deep_rec", ms(d), "ms")
	out("deep_rec_rss", float64(rss()-r0)/float64(n), "B/level")
	t = time.Now()
	go func() {
		var b byte
		deep(n, &b)
		t := time.Now()
		c <- deep(n, &b)
		out("deep_rec_warm", ms(time.Since(t)), "ms")
		c <- 0
	}()
	<-c
	<-c
}
