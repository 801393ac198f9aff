// SPDX-License-Identifier: MIT

// Channels and select.

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func pingpong() {
	n := argN(2000000)
	a, b := make(chan int), make(chan int)
	go func() {
		for v := range a {
			b <- v
		}
		close(b)
	}()
	t := time.Now()
	for i := 0; i < n; i++ {
		a <- i
		<-b
	}
	d := time.Since(t)
	close(a)
	out("pingpong", ns(d, n), "ns/roundtrip")
}

func buffered() {
	n := argN(10000000)
	c := make(chan int, 128)
	t := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			c <- i
		}
		close(c)
	}()
	s := 0
	for v := range c {
		s += v
	}
	d := time.Since(t)
	if s != n*(n-1)/2 {
		panic("sum")
	}
	out("buffered", ns(d, n), "ns/item")
}

func unbuffered() { // one way stream
	n := argN(2000000)
	c := make(chan int)
	t := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			c <- i
		}
		close(c)
	}()
	s := 0
	for v := range c {
		s += v
	}
	d := time.Since(t)
	if s != n*(n-1)/2 {
		panic("sum")
	}
	out("unbuffered", ns(d, n), "ns/item")
}

func mpmc() {
	n := argN(4000000)
	c := make(chan int, 128)
	var pw, cw sync.WaitGroup
	var sum int64
	t := time.Now()
	for k := 0; k < 4; k++ {
		cw.Add(1)
		go func() {
			s := 0
			for v := range c {
				s += v
			}
			atomic.AddInt64(&sum, int64(s))
			cw.Done()
		}()
	}
	for k := 0; k < 4; k++ {
		pw.Add(1)
		go func() {
			for i := 0; i < n/4; i++ {
				c <- i
			}
			pw.Done()
		}()
	}
	pw.Wait()
	close(c)
	cw.Wait()
	d := time.Since(t)
	m := int64(n / 4)
	if sum != 4*(m*(m-1)/2) {
		panic("sum")
	}
	out("mpmc", ns(d, n), "ns/item")
}

func select4() {
	n := argN(1000000)
	var cs [4]chan int
	for k := range cs {
		cs[k] = make(chan int)
	}
	t := time.Now()
	for k := range cs {
		c := cs[k]
		go func() {
			for i := 0; i < n/4; i++ {
				c <- i
			}
		}()
	}
	s := 0
	for i := 0; i < n; i++ {
		select {
		case v := <-cs[0]:
			s += v
		case v := <-cs[1]:
			s += v
		case v := <-cs[2]:
			s += v
		case v := <-cs[3]:
			s += v
		}
	}
	out("select4", ns(time.Since(t), n), "ns/msg")
}

func skyU(c chan int, num, size int) {
	if size == 1 {
		c <- num
		return
	}
	rc := make(chan int)
	for i := 0; i < 10; i++ {
		go skyU(rc, num+i*(size/10), size/10)
	}
	s := 0
	for i := 0; i < 10; i++ {
		s += <-rc
	}
	c <- s
}

func skyB(c chan int, num, size int) {
	if size == 1 {
		c <- num
		return
	}
	rc := make(chan int, 10)
	for i := 0; i < 10; i++ {
		go skyB(rc, num+i*(size/10), size/10)
	}
	s := 0
	for i := 0; i < 10; i++ {
		s += <-rc
	}
	c <- s
}

func skynet(f func(chan int, int, int), name string) {
	n := argN(1000000)
	c := make(chan int)
	t := time.Now()
	go f(c, 0, n)
	v := <-c
	d := time.Since(t)
	if v != n*(n-1)/2 {
		panic("skynet")
	}
	out(name, ms(d), "ms")
	out(name+"_maxrss", float64(maxrss())/1024, "MiB")
}

func ring() {
	const R = 1000
	hops := argN(1000000)
	first := make(chan int)
	in := first
	for i := 0; i < R-1; i++ {
		nx := make(chan int)
		go func(in, nx chan int) {
			for v := range in {
				nx <- v + 1
			}
			close(nx)
		}(in, nx)
		in = nx
	}
	last := in
	t := time.Now()
	h := 0
	go func() { first <- 0 }()
	for {
		v := <-last
		h += R // each lap is R channel hops
		if h >= hops {
			_ = v
			break
		}
		first <- v + 1
	}
	d := time.Since(t)
	close(first)
	out("ring", ns(d, h), "ns/hop")
}

func sieve() {
	n := argN(2000)
	gen := func(c chan<- int) {
		for i := 2; ; i++ {
			c <- i
		}
	}
	filter := func(in <-chan int, o chan<- int, p int) {
		for {
			i := <-in
			if i%p != 0 {
				o <- i
			}
		}
	}
	t := time.Now()
	c := make(chan int)
	go gen(c)
	p := 0
	for i := 0; i < n; i++ {
		p = <-c
		c1 := make(chan int)
		go filter(c, c1, p)
		c = c1
	}
	d := time.Since(t)
	if n == 2000 && p != 17389 {
		panic(p)
	}
	out("sieve", ms(d), "ms")
}

// fan-in of WaitGroup etc: 100 producers on one chan
func fanin100() {
	n := argN(2000000)
	c := make(chan int)
	for k := 0; k < 100; k++ {
		go func() {
			for i := 0; i < n/100; i++ {
				c <- i
			}
		}()
	}
	t := time.Now()
	s := 0
	for i := 0; i < n/100*100; i++ {
		s += <-c
	}
	if s != 100*(n/100*(n/100-1)/2) {
		panic("sum")
	}
	out("fanin100", ns(time.Since(t), n), "ns/msg")
}

func fanin1m() { // every sender has its goroutine before the receiver starts
	n := argN(1000000)
	c := make(chan int, 16)
	t := time.Now()
	for i := 0; i < n; i++ {
		go func() { c <- 1 }()
	}
	s := 0
	for i := 0; i < n; i++ {
		s += <-c
	}
	d := time.Since(t)
	if s != n {
		panic("sum")
	}
	out("fanin1m", ms(d), "ms")
}

func selectDefault() {
	n := argN(50000000)
	c := make(chan int)
	x := 0
	t := time.Now()
	for i := 0; i < n; i++ {
		select {
		case v := <-c:
			x += v
		default:
		}
	}
	out("select_default_empty", ns(time.Since(t), n), "ns/op")
}

func chanUncont() {
	n := argN(20000000)
	c := make(chan int, 1)
	t := time.Now()
	for i := 0; i < n; i++ {
		c <- i
		<-c
	}
	out("chan_buf1_same_g", ns(time.Since(t), n), "ns/send+recv")
}
