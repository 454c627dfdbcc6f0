package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// syncDeadline is how long pods may take to come to the host, and states to come back, after the last create.
const syncDeadline = 120 * time.Second

// marks notes when each of n things happened, once.
type marks struct {
	at    []atomic.Int64
	heard atomic.Int64
	last  atomic.Int64
	base  time.Time
}

func newMarks(n int) *marks { return &marks{at: make([]atomic.Int64, n), base: time.Now()} }

// mark notes that i happened now; the first time counts. It tells whether this was it.
func (m *marks) mark(i int) bool {
	now := time.Since(m.base).Nanoseconds()
	if i < 0 || i >= len(m.at) || !m.at[i].CompareAndSwap(0, now) {
		return false
	}
	m.last.Store(now)
	m.heard.Add(1)
	return true
}

func (m *marks) wait(n int) {
	for end := time.Now().Add(syncDeadline); m.heard.Load() < int64(n) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// since gives the milliseconds from each mark of earlier to that of m, where both are there.
func (m *marks) since(earlier *marks) []float64 {
	var out []float64
	for i := range m.at {
		from, to := earlier.at[i].Load(), m.at[i].Load()
		if from != 0 && to != 0 {
			out = append(out, float64(to-from)/1e6+m.base.Sub(earlier.base).Seconds()*1e3)
		}
	}
	return out
}

// podNumber reads the number of a pod's name, which both sides' lines carry: sy-00017 and sy-00017-x-NAMESPACE-x-TENANT.
func podNumber(line []byte) int {
	_, rest, ok := bytes.Cut(line, []byte(`"name":"sy-`))
	if !ok || len(rest) < 5 {
		return -1
	}
	number, err := strconv.Atoi(string(rest[:5]))
	if err != nil {
		return -1
	}
	return number
}

// hostRequests gives how many requests a host has answered, watches excepted, as its own metrics say.
func hostRequests(host *client) float64 {
	_, body, err := host.do(0, "GET", "/metrics", nil)
	must(err)
	total := 0.0
	for line := range bytes.Lines(body) {
		if bytes.HasPrefix(line, []byte("apiserver_request_total{")) && !bytes.Contains(line, []byte(`verb="WATCH"`)) {
			fields := bytes.Fields(line)
			value, _ := strconv.ParseFloat(string(fields[len(fields)-1]), 64)
			total += value
		}
	}
	return total
}

// syncPods creates n pods in a tenant, at a rate or as fast as the workers can, and gives when they came to the host.
// With states, it plays the host's kubelet for each: binds it, says that it runs, and notes when the tenant hears of it;
// to_tenant counts from when the host's own watch tells it, report_to_tenant from when the kubelet began to say so.
func syncPods(c, host *client, namespace, hostNamespace string, n int, rate float64, states bool) results {
	time.Sleep(settle)
	before, requests := memory()["pss"].(float64), hostRequests(host)
	path, hostPath := "/api/v1/namespaces/"+namespace+"/pods", "/api/v1/namespaces/"+hostNamespace+"/pods"
	sent, arrived, reported, running, known := newMarks(n), newMarks(n), newMarks(n), newMarks(n), newMarks(n)
	cpu := cpuSeconds()
	// The kubelet's part is played beside the watch, which must not wait for it.
	kubelet := make(chan string, n)
	var own atomic.Int64
	var kubelets sync.WaitGroup
	for worker := range 4 {
		kubelets.Go(func() {
			for name := range kubelet {
				own.Add(2)
				bind := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Binding","metadata":{"name":%q},"target":{"kind":"Node","name":"bench"}}`, name)
				if code, body, err := host.do(worker, "POST", hostPath+"/"+name+"/binding", bind); err != nil || !created(code) {
					fmt.Fprintln(os.Stderr, "load: bind:", code, err, string(body))
				}
				reported.mark(podNumber(fmt.Appendf(nil, `"name":"%s"`, name)))
				status := []byte(`{"status":{"phase":"Running","startTime":"2026-01-01T00:00:00Z"}}`)
				code, body, err := host.do(worker, "PATCH", hostPath+"/"+name+"/status", status, "Content-Type", "application/strategic-merge-patch+json")
				if err != nil || !created(code) {
					fmt.Fprintln(os.Stderr, "load: status:", code, err, string(body))
				}
			}
		})
	}
	onHost := openWatches(host, 1, hostPath, func(_ int, line []byte) {
		// Pods of earlier runs are in the host's namespace too.
		i := podNumber(line)
		if i < 0 || !bytes.Contains(line, []byte("-x-"+namespace+"-x-")) {
			return
		}
		if bytes.Contains(line, []byte(`"phase":"Running"`)) {
			running.mark(i)
		}
		if bytes.HasPrefix(line, []byte(`{"type":"ADDED"`)) && arrived.mark(i) && states {
			_, rest, _ := bytes.Cut(line, []byte(`"name":"sy-`))
			name, _, _ := bytes.Cut(rest, []byte(`"`))
			kubelet <- "sy-" + string(name)
		}
	})
	inTenant := openWatches(c, 1, path, func(_ int, line []byte) {
		if bytes.Contains(line, []byte(`"phase":"Running"`)) {
			known.mark(podNumber(line))
		}
	})
	start := time.Now()
	creates := parallel(n, func(worker, i int) (int, []byte, error) {
		if rate > 0 {
			time.Sleep(time.Duration(float64(i)/rate*1e9) - time.Since(start))
		}
		sent.mark(i)
		return c.do(worker, "POST", path, pod(fmt.Sprintf("sy-%05d", i)))
	}, created)
	arrived.wait(n)
	seconds := (float64(arrived.last.Load())/1e9 - start.Sub(arrived.base).Seconds())
	if states {
		known.wait(n)
	}
	close(kubelet)
	kubelets.Wait()
	onHost.stop()
	inTenant.stop()
	cpu = cpuSeconds() - cpu
	time.Sleep(settle)
	out := results{
		"creates": creates, "events": arrived.heard.Load(), "events_wanted": n, "per_s": float64(arrived.heard.Load()) / seconds,
		"to_host":                quantiles(arrived.since(sent)),
		"cpu_us_each":            cpu * 1e6 / float64(n),
		"memory_bytes_each":      (memory()["pss"].(float64) - before) / float64(n),
		"host_requests_each":     (hostRequests(host) - requests - float64(own.Load())) / float64(n),
		"host_dropped_own_watch": onHost.dropped.Load(),
	}
	if states {
		out["to_tenant"] = quantiles(known.since(running))
		out["report_to_tenant"] = quantiles(known.since(reported))
		out["states"], out["states_wanted"] = known.heard.Load(), n
	}
	return out
}

// directPods creates n pods straight on a host: what it takes without anybody between. With apply, it creates them by
// server-side apply, as a syncer does.
func directPods(host *client, namespace string, n int, apply bool) results {
	path := "/api/v1/namespaces/" + namespace + "/pods"
	return parallel(n, func(worker, i int) (int, []byte, error) {
		name := fmt.Sprintf("di-%05d", i)
		if apply {
			return host.do(worker, "PATCH", path+"/"+name+"?fieldManager=load", pod(name), "Content-Type", "application/apply-patch+yaml")
		}
		return host.do(worker, "POST", path, pod(name))
	}, created)
}

// makeSpace makes a tenant's namespace on a host with what its chart would put there: the Services that its API server
// and its DNS have, and the account that its pods run as.
func makeSpace(host *client, namespace, tenant string) {
	makeNamespace(host, namespace)
	for _, made := range []struct{ path, object string }{
		{"serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"` + tenant + `-workload"}}`},
		{"services", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"` + tenant + `"},"spec":{"ports":[{"name":"https","port":443,"targetPort":8443}]}}`},
		{"services", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"` + tenant + `-dns"},"spec":{"ports":[{"name":"dns","port":53,"protocol":"UDP"}]}}`},
	} {
		path := made.path
		code, body, err := host.do(0, "POST", "/api/v1/namespaces/"+namespace+"/"+path, []byte(made.object))
		if err != nil || !created(code) {
			must(fmt.Errorf("%s in %s: %d %v %s", path, namespace, code, err, body))
		}
	}
}
