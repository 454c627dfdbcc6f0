package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Connections share their streams: upstream's client puts every informer of a process on one, kubelets have one each.
const watchersPerConn = 25

// deadline is how long the fan-out waits for events after the last create.
const deadline = 60 * time.Second

// watching is a set of open watches.
type watching struct {
	cancel  context.CancelFunc
	all     sync.WaitGroup
	opened  int64
	failed  atomic.Int64
	dropped atomic.Int64
}

func (w *watching) stop() {
	w.cancel()
	w.all.Wait()
}

// openWatches opens n watches of a path from its newest state, and calls heard for every line of every watch. When the
// server ends a watch, as some do with those that do not keep up, it goes on from the last event, as clients do.
func openWatches(c *client, n int, path string, heard func(watcher int, line []byte)) *watching {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watching{cancel: cancel}
	var opening sync.WaitGroup
	var opened atomic.Int64
	turn := make(chan struct{}, 64)
	for watcher := range n {
		opening.Add(1)
		w.all.Go(func() {
			turn <- struct{}{}
			response, err := c.open(ctx, watcher, "GET", path+"?watch=1&resourceVersion=0", nil)
			<-turn
			if err == nil && response.StatusCode == 200 {
				opened.Add(1)
			} else if err == nil {
				response.Body.Close()
			}
			opening.Done()
			for err == nil && response.StatusCode == 200 {
				revision := read(response, watcher, heard)
				if ctx.Err() != nil {
					return
				}
				w.dropped.Add(1)
				response, err = c.open(ctx, watcher, "GET", path+"?watch=1&resourceVersion="+revision, nil)
			}
			w.failed.Add(1)
		})
	}
	opening.Wait()
	w.opened = opened.Load()
	return w
}

// read reads a watch to its end, and gives the revision of its last event.
func read(response *http.Response, watcher int, heard func(int, []byte)) string {
	defer response.Body.Close()
	size := 16 << 10
	if heard == nil {
		size = 64
	}
	revision := "0"
	for lines := bufio.NewReaderSize(response.Body, size); ; {
		line, err := lines.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return revision
		}
		if heard != nil {
			if _, rest, ok := bytes.Cut(line, []byte(`"resourceVersion":"`)); ok {
				number, _, _ := bytes.Cut(rest, []byte(`"`))
				revision = string(number)
			}
			heard(watcher, line)
		}
	}
}

// fanOut creates pods before the eyes of many watchers: as fast as the workers can, or at a rate, so that latency is
// not queueing behind the creates. Latency counts from the moment a create is sent.
func fanOut(c *client, namespace string, rate float64) results {
	path := "/api/v1/namespaces/" + namespace + "/pods"
	sent := make([]atomic.Int64, *watchPods)
	latencies := make([][]float64, *watchers)
	var heard, last atomic.Int64
	base := time.Now()
	resetPeak()
	watching := openWatches(newClient(c.access, max(1, *watchers/watchersPerConn)), *watchers, path, func(watcher int, line []byte) {
		_, rest, ok := bytes.Cut(line, []byte(`"name":"wp-`))
		if !ok || !bytes.HasPrefix(line, []byte(`{"type":"ADDED"`)) {
			return
		}
		number, _, _ := bytes.Cut(rest, []byte(`"`))
		i, err := strconv.Atoi(string(number))
		if err != nil {
			return
		}
		now := time.Since(base).Nanoseconds()
		latencies[watcher] = append(latencies[watcher], float64(now-sent[i].Load())/1e6)
		last.Store(now)
		heard.Add(1)
	})
	start := time.Since(base).Nanoseconds()
	creates := parallel(*watchPods, func(worker, i int) (int, []byte, error) {
		if rate > 0 {
			time.Sleep(time.Duration(float64(i)/rate*1e9) - (time.Since(base) - time.Duration(start)))
		}
		sent[i].Store(time.Since(base).Nanoseconds())
		return c.do(worker, "POST", path, pod(fmt.Sprintf("wp-%05d", i)))
	}, created)
	wanted := watching.opened * int64(*watchPods)
	for end := time.Now().Add(deadline); heard.Load() < wanted && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	seconds := float64(last.Load()-start) / 1e9
	after := memory()
	watching.stop()
	var all []float64
	for _, some := range latencies {
		all = append(all, some...)
	}
	return merge(results{
		"watchers": watching.opened, "dropped": watching.dropped.Load(), "failed": watching.failed.Load(), "events": heard.Load(), "events_wanted": wanted,
		"events_per_s": float64(heard.Load()) / seconds, "creates": creates, "memory": after,
	}, quantiles(all))
}

// idleWatchers opens many watches that hear nothing, and gives what one costs.
func idleWatchers(config *access, namespace string) results {
	c := newClient(config, max(1, *idlers/watchersPerConn))
	time.Sleep(settle)
	before := memory()["pss"].(float64)
	watching := openWatches(c, *idlers, "/api/v1/namespaces/"+namespace+"/configmaps", nil)
	time.Sleep(settle)
	after := memory()["pss"].(float64)
	out := results{"watchers": watching.opened, "bytes_each": (after - before) / float64(max(watching.opened, 1))}
	watching.stop()
	out["failed"] = watching.failed.Load()
	return out
}
