package main

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// settle is how long servers get to free what a test left behind before their memory is read.
const settle = 3 * time.Second

func pod(name string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":{"app":"load","tier":"bench"}},"spec":{"containers":[{"name":"c","image":"registry.k8s.io/pause:3.10.2","resources":{"requests":{"cpu":"10m","memory":"16Mi"}}}]}}`, name)
}

func configMap(name string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"k":%q}}`, name, strings.Repeat("x", 1024))
}

// createConfigMaps creates ConfigMaps of 1 KiB; bytes on disk count from before, with whatever log the store keeps.
func createConfigMaps(c *client, namespace string) results {
	disk := diskBytes()
	out := parallel(*configMaps, func(worker, i int) (int, []byte, error) {
		return c.do(worker, "POST", "/api/v1/namespaces/"+namespace+"/configmaps", configMap(fmt.Sprintf("cm-%05d", i)))
	}, created)
	out["disk_bytes_each"] = (diskBytes() - disk) / float64(*configMaps)
	return out
}

func getOne(c *client, namespace string) results {
	path := "/api/v1/namespaces/" + namespace + "/configmaps"
	if code, body, err := c.do(0, "POST", path, configMap("one")); err != nil || !created(code) {
		must(fmt.Errorf("create: %d %v %s", code, err, body))
	}
	return parallel(*gets, func(worker, _ int) (int, []byte, error) {
		return c.do(worker, "GET", path+"/one", nil)
	}, func(code int) bool { return code == 200 })
}

func createPods(c *client, namespace string) results {
	time.Sleep(settle)
	before := memory()["pss"].(float64)
	out := parallel(*pods, func(worker, i int) (int, []byte, error) {
		return c.do(worker, "POST", "/api/v1/namespaces/"+namespace+"/pods", pod(fmt.Sprintf("pod-%05d", i)))
	}, created)
	time.Sleep(settle)
	after := memory()
	out["memory_bytes_each"] = (after["pss"].(float64) - before) / float64(*pods)
	out["memory_after"] = after
	return out
}

// listPods lists what createPods made, in each form that clients ask for.
func listPods(c *client, namespace string) results {
	forms := []struct{ name, accept, encoding string }{
		{"json", "application/json", ""},
		{"protobuf", "application/vnd.kubernetes.protobuf", ""},
		{"table", "application/json;as=Table;v=v1;g=meta.k8s.io", ""},
		{"gzip", "application/json", "gzip"},
	}
	out := results{}
	for _, form := range forms {
		headers := []string{"Accept", form.accept}
		if form.encoding != "" {
			headers = append(headers, "Accept-Encoding", form.encoding)
		}
		resetPeak()
		var milliseconds []float64
		length, failure := 0, ""
		for range *repeats {
			start := time.Now()
			code, body, err := c.do(0, "GET", "/api/v1/namespaces/"+namespace+"/pods", nil, headers...)
			milliseconds = append(milliseconds, time.Since(start).Seconds()*1e3)
			length = len(body)
			if err != nil || code != 200 {
				failure = fmt.Sprint(code, " ", err, " ", string(body[:min(len(body), 200)]))
			}
		}
		if failure != "" {
			out[form.name] = results{"error": strings.TrimSpace(failure)}
			continue
		}
		sort.Float64s(milliseconds)
		out[form.name] = results{"bytes": length, "median_ms": milliseconds[len(milliseconds)/2], "memory": memory()}
	}
	return out
}
