// SPDX-License-Identifier: MIT

// The benchmark items in Go, the reference for what each of them does. One per invocation:
//
//	GOMAXPROCS=n go-bench ITEM [SIZE]
//	go-bench --list
//
// prints one or more lines "name value unit". benchmarks/compare runs it beside gort-bench.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func out(name string, v float64, unit string) {
	fmt.Printf("%s %.3f %s\n", name, v, unit)
}

func ns(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / float64(n) }

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func argN(def int) int {
	if len(os.Args) > 2 {
		if v, e := strconv.Atoi(os.Args[2]); e == nil {
			return v
		}
	}
	return def
}

// Bytes resident, page tables included.
func rss() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	kb := int64(0)
	for _, l := range strings.Split(string(b), "\n") {
		f := strings.Fields(l)
		if len(f) > 1 && (f[0] == "VmRSS:" || f[0] == "VmPTE:") {
			v, _ := strconv.ParseInt(f[1], 10, 64)
			kb += v
		}
	}
	return kb * 1024
}

func maxrss() int64 {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return ru.Maxrss // KiB
}

func main() {
	items := map[string]func(){
		"yield":                   yield,
		"spawn_join":              spawnJoin,
		"spawn_seq":               spawnSeq,
		"pingpong":                pingpong,
		"buffered":                buffered,
		"unbuffered":              unbuffered,
		"mpmc":                    mpmc,
		"select4":                 select4,
		"skynet_unbuf":            func() { skynet(skyU, "skynet_unbuf") },
		"skynet_buf":              func() { skynet(skyB, "skynet_buf") },
		"park1m":                  park1m,
		"mutex":                   mutexB,
		"mutex_uncontended":       mutexUncont,
		"rwmutex_90_10":           rwmutex,
		"cond_broadcast":          condBcast,
		"timers":                  timers,
		"timer_churn":             timerChurn,
		"timer_reset":             timerReset,
		"sleep1ms":                sleepLat,
		"ring":                    ring,
		"sleep50us":               sleep50,
		"idle":                    idleCPU,
		"wakeup_parallel10us":     wakePar,
		"sieve":                   sieve,
		"tcp_echo":                tcpEcho,
		"tcp_conn_churn":          tcpChurn,
		"http_hello":              func() { httpHello("http_hello", 64, minimal) },
		"http_hello_1000":         func() { httpHello("http_hello_1000", 1000, minimal) },
		"http_hello_nethttp":      func() { httpHello("http_hello_nethttp", 64, nethttp) },
		"http_hello_1000_nethttp": func() { httpHello("http_hello_1000_nethttp", 1000, nethttp) },
		"ctx":                     ctxCancel,
		"preempt":                 preempt,
		"syscall_block":           func() { syscallBlock("syscall_block") },
		"syscall_block_plain":     func() { syscallBlock("syscall_block_plain") },
		"syscall_getppid":         syscallFast,
		"deep_rec":                deepRec,
		"once":                    onceB,
		"fanin100":                fanin100,
		"fanin1m":                 fanin1m,
		"select_default_empty":    selectDefault,
		"chan_buf1_same_g":        chanUncont,
	}
	if len(os.Args) == 2 && os.Args[1] == "--list" {
		for name := range items {
			fmt.Println(name)
		}
		return
	}
	if len(os.Args) < 2 || items[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go-bench ITEM [SIZE] | --list")
		os.Exit(2)
	}
	items[os.Args[1]]()
}
