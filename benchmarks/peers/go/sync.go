// SPDX-License-Identifier: MIT

// Mutexes and the like, and contexts.

package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func mutexB() {
	const G = 8
	n := argN(500000)
	var mu sync.Mutex
	var wg sync.WaitGroup
	x := 0
	t := time.Now()
	for g := 0; g < G; g++ {
		wg.Add(1)
		go func() {
			for i := 0; i < n; i++ {
				mu.Lock()
				x++
				mu.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	if x != G*n {
		panic("mutex")
	}
	out("mutex", ns(time.Since(t), G*n), "ns/op")
}

func mutexUncont() {
	n := argN(50000000)
	var mu sync.Mutex
	x := 0
	t := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		x++
		mu.Unlock()
	}
	out("mutex_uncontended", ns(time.Since(t), n), "ns/op")
}

func rwmutex() {
	const G = 8
	n := argN(500000)
	var mu sync.RWMutex
	var wg sync.WaitGroup
	x := 0
	sink := int64(0)
	t := time.Now()
	for g := 0; g < G; g++ {
		wg.Add(1)
		go func(g int) {
			s := 0
			for i := 0; i < n; i++ {
				if (i+g)%10 == 0 {
					mu.Lock()
					x++
					mu.Unlock()
				} else {
					mu.RLock()
					s += x
					mu.RUnlock()
				}
			}
			atomic.AddInt64(&sink, int64(s))
			wg.Done()
		}(g)
	}
	wg.Wait()
	out("rwmutex_90_10", ns(time.Since(t), G*n), "ns/op")
}

// cond broadcast: 100 waiters, R rounds; every waiter must see every round
func condBcast() {
	const W = 100
	rounds := argN(20000)
	var mu sync.Mutex
	c := sync.NewCond(&mu)
	done := sync.NewCond(&mu)
	round, seen := 0, 0
	var wg sync.WaitGroup
	for w := 0; w < W; w++ {
		wg.Add(1)
		go func() {
			my := 0
			mu.Lock()
			for my < rounds {
				for round == my {
					c.Wait()
				}
				my++
				seen++
				if seen == W {
					done.Signal()
				}
			}
			mu.Unlock()
			wg.Done()
		}()
	}
	t := time.Now()
	mu.Lock()
	for r := 0; r < rounds; r++ {
		seen = 0
		round++
		c.Broadcast()
		for seen != W {
			done.Wait()
		}
	}
	mu.Unlock()
	wg.Wait()
	out("cond_broadcast", ns(time.Since(t), rounds*W), "ns/wakeup")
}

func ctxCancel() {
	n := argN(100000)
	root, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var ready int64
	t := time.Now()
	for i := 0; i < n; i++ {
		c, cc := context.WithCancel(root)
		_ = cc
		wg.Add(1)
		go func() {
			atomic.AddInt64(&ready, 1)
			<-c.Done()
			wg.Done()
		}()
	}
	for atomic.LoadInt64(&ready) != int64(n) {
		runtime.Gosched()
	}
	d := time.Since(t)
	t = time.Now()
	cancel()
	d2 := time.Since(t)
	wg.Wait()
	d3 := time.Since(t)
	out("ctx_create100k", ms(d), "ms")
	out("ctx_cancel100k_call", ms(d2), "ms")
	out("ctx_cancel100k_all_woken", ms(d3), "ms")
}

func onceB() {
	n := argN(100000000)
	var o sync.Once
	t := time.Now()
	for i := 0; i < n; i++ {
		o.Do(func() {})
	}
	out("once", ns(time.Since(t), n), "ns/op")
}
