package main

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// parallel runs n operations over the workers, and gives rates, latencies and the server's CPU time.
func parallel(n int, operate func(worker, i int) (int, []byte, error), ok func(int) bool) results {
	var next, errors atomic.Int64
	var once sync.Once
	var first string
	latencies := make([]float64, n)
	cpu := cpuSeconds()
	start := time.Now()
	var all sync.WaitGroup
	for worker := range *workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				began := time.Now()
				code, body, err := operate(worker, i)
				latencies[i] = time.Since(began).Seconds() * 1e3
				if err != nil || !ok(code) {
					errors.Add(1)
					once.Do(func() { first = fmt.Sprint(code, " ", err, " ", string(body[:min(len(body), 200)])) })
				}
			}
		})
	}
	all.Wait()
	seconds := time.Since(start).Seconds()
	out := results{"n": n, "per_s": float64(n) / seconds, "errors": errors.Load(), "cpu_us_each": (cpuSeconds() - cpu) * 1e6 / float64(n)}
	if first != "" {
		out["first_error"] = first
		fmt.Fprintln(os.Stderr, "load: first error:", first)
	}
	return merge(out, quantiles(latencies))
}

func quantiles(milliseconds []float64) results {
	sort.Float64s(milliseconds)
	at := func(q float64) float64 {
		if len(milliseconds) == 0 {
			return math.MaxFloat64
		}
		return milliseconds[int(q*float64(len(milliseconds)-1))]
	}
	return results{"p50_ms": at(.5), "p99_ms": at(.99), "max_ms": at(1)}
}

func merge(into, from results) results {
	for key, value := range from {
		into[key] = value
	}
	return into
}

// servers gives the processes to be measured.
func servers() []string {
	var found []string
	for pair := range strings.SplitSeq(*pids, ",") {
		if _, pid, ok := strings.Cut(pair, "="); ok {
			found = append(found, pid)
		}
	}
	return found
}

// memory gives the servers' memory together, in bytes: proportional, resident, and the peak since resetPeak.
// proc(5): /proc/PID/smaps_rollup and status.
func memory() results {
	sum := results{}
	add := func(name, file, key string) {
		total := 0.0
		for _, pid := range servers() {
			text, _ := os.ReadFile("/proc/" + pid + "/" + file)
			for line := range strings.Lines(string(text)) {
				if rest, ok := strings.CutPrefix(line, key+":"); ok {
					kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
					total += kib * 1024
				}
			}
		}
		sum[name] = total
	}
	add("pss", "smaps_rollup", "Pss")
	add("rss", "smaps_rollup", "Rss")
	add("peak", "status", "VmHWM")
	return sum
}

// resetPeak lets the peak start from what is resident now: proc(5), clear_refs.
func resetPeak() {
	for _, pid := range servers() {
		if err := os.WriteFile("/proc/"+pid+"/clear_refs", []byte("5"), 0); err != nil {
			fmt.Fprintln(os.Stderr, "load: the peak of", pid, "counts from its start:", err)
		}
	}
}

// cpuSeconds gives the CPU time of the servers so far. Threads that ended take theirs along in stat's sum.
func cpuSeconds() float64 {
	total := 0.0
	for _, pid := range servers() {
		text, _ := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 12 {
			user, _ := strconv.ParseFloat(fields[11], 64)
			system, _ := strconv.ParseFloat(fields[12], 64)
			total += (user + system) / 100 // USER_HZ is 100 on every Linux
		}
	}
	return total
}

// diskBytes gives what the data directory takes on disk.
func diskBytes() float64 {
	total := int64(0)
	_ = filepath.WalkDir(*dataDir, func(path string, _ fs.DirEntry, err error) error {
		var stat syscall.Stat_t
		if err == nil && syscall.Lstat(path, &stat) == nil {
			total += stat.Blocks * 512
		}
		return nil
	})
	return float64(total)
}
