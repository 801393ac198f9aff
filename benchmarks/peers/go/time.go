// SPDX-License-Identifier: MIT

// Timers and sleeping.

package main

import (
	"math/rand"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

func timers() {
	n := argN(100000)
	rng := rand.New(rand.NewSource(42))
	ds := make([]time.Duration, n)
	for i := range ds {
		ds[i] = time.Duration(1+rng.Intn(100)) * time.Millisecond
	}
	var wg sync.WaitGroup
	var late int64
	wg.Add(n)
	t := time.Now()
	for i := 0; i < n; i++ {
		d := ds[i]
		go func() {
			t0 := time.Now()
			time.Sleep(d)
			atomic.AddInt64(&late, int64(time.Since(t0)-d))
			wg.Done()
		}()
	}
	wg.Wait()
	out("timers_total", ms(time.Since(t)), "ms")
	out("timers_late_mean", float64(late)/float64(n)/1000, "us")
}

func timerChurn() {
	n := argN(2000000)
	t := time.Now()
	for i := 0; i < n; i++ {
		tm := time.AfterFunc(time.Hour, func() {})
		tm.Stop()
	}
	out("timer_churn", ns(time.Since(t), n), "ns/create+stop")
}

func timerReset() {
	n := argN(5000000)
	tm := time.AfterFunc(time.Hour, func() {})
	t := time.Now()
	for i := 0; i < n; i++ {
		tm.Reset(time.Hour)
	}
	out("timer_reset", ns(time.Since(t), n), "ns/reset")
	tm.Stop()
}

func sleepLat() { // 1ms sleeps, lateness
	n := argN(1000)
	l := make([]float64, n)
	for i := range l {
		t := time.Now()
		time.Sleep(time.Millisecond)
		l[i] = float64((time.Since(t) - time.Millisecond).Nanoseconds()) / 1000
	}
	sort.Float64s(l)
	out("sleep1ms_late_p50", l[n/2], "us")
	out("sleep1ms_late_p99", l[n*99/100], "us")
}

func sleep50() { // 50us sleeps on an idle scheduler
	n := argN(2000)
	l := make([]float64, n)
	for i := range l {
		t := time.Now()
		time.Sleep(50 * time.Microsecond)
		l[i] = float64((time.Since(t)).Nanoseconds())/1000 - 50
	}
	sort.Float64s(l)
	out("sleep50us_late_p50", l[n/2], "us")
	out("sleep50us_late_p99", l[n*99/100], "us")
}
