// load puts the same load on any Kubernetes API server and prints one JSON object of results. It speaks HTTP/2 with
// the standard library alone, so that it measures the server and not a client library, and knows nothing of who
// serves: what it asks for is what every API server answers.
//
//	load -kubeconfig FILE -pids name=pid,... -tests cm,get,pods,list,watch,watchpaced,idle
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"
)

var (
	kubeconfig = flag.String("kubeconfig", "", "kubeconfig of one cluster and one user")
	workers    = flag.Int("workers", 32, "concurrent workers")
	conns      = flag.Int("conns", 4, "TCP connections that the workers are spread over")
	tests      = flag.String("tests", "cm,get,pods,list,watch,watchpaced,idle", "which of ready,sa,cm,get,pods,list,watch,watchpaced,idle,apply,custom,space,sync,direct")
	configMaps = flag.Int("configmaps", 5000, "ConfigMaps to create")
	gets       = flag.Int("gets", 20000, "GETs")
	writes     = flag.Int("writes", 5000, "applies, and custom resources to create")
	pods       = flag.Int("pods", 10000, "pods to create")
	repeats    = flag.Int("list-repeats", 5, "times each LIST is repeated")
	watchers   = flag.Int("watchers", 100, "watchers in the fan-out tests")
	watchPods  = flag.Int("watch-pods", 1000, "pods created in the fan-out tests")
	watchRate  = flag.Float64("watch-rate", 100, "pods per second in the paced fan-out test")
	hostConfig = flag.String("host-kubeconfig", "", "kubeconfig of the tenant's host, for sync and direct")
	hostSpace  = flag.String("host-namespace", "", "namespace of the tenant on its host")
	tenant     = flag.String("tenant", "bench", "name of the tenant, for space")
	syncPodsN  = flag.Int("sync-pods", 200, "pods created in the tests sync and direct")
	syncRate   = flag.Float64("sync-rate", 0, "pods per second in the test sync; 0: as fast as can be")
	syncStates = flag.Bool("sync-states", false, "play the kubelet of the host in the test sync, and wait for the states in the tenant")
	byApply    = flag.Bool("by-apply", false, "create by server-side apply in the test direct")
	idlers     = flag.Int("idle", 1000, "idle watchers")
	pids       = flag.String("pids", "", "name=pid,... of server processes on this machine to be measured")
	dataDir    = flag.String("data", "", "the server's data directory on this machine, to be measured")
	since      = flag.Float64("since", 0, "unix time that ready and sa count from")
	wait       = flag.Duration("wait", 2*time.Minute, "how long ready and sa wait")
)

// results is a JSON object; the names in it are what run.py reads.
type results = map[string]any

func main() {
	flag.Parse()
	config, err := readKubeconfig(*kubeconfig)
	must(err)
	c := newClient(config, *conns)
	namespace := fmt.Sprintf("load-%06x", rand.Intn(1<<24))
	out := results{}
	for test := range strings.SplitSeq(*tests, ",") {
		fmt.Fprintln(os.Stderr, "load:", test)
		switch test {
		case "ready":
			out["ready_s"] = untilOK(c, "/readyz")
		case "sa":
			out["default_sa_s"] = untilOK(c, "/api/v1/namespaces/default/serviceaccounts/default")
		case "cm":
			out["configmap_create"] = createConfigMaps(c, makeNamespace(c, namespace+"-c"))
		case "get":
			out["get"] = getOne(c, makeNamespace(c, namespace+"-g"))
		case "pods":
			out["pod_create"] = createPods(c, makeNamespace(c, namespace+"-l"))
		case "list":
			out["list"] = listPods(c, namespace+"-l")
		case "watch":
			out["watch"] = fanOut(c, makeNamespace(c, namespace+"-w"), 0)
		case "watchpaced":
			out["watch_paced"] = fanOut(c, makeNamespace(c, namespace+"-p"), *watchRate)
		case "idle":
			out["idle_watchers"] = idleWatchers(config, makeNamespace(c, namespace+"-i"))
		case "apply":
			out["apply"] = applyPods(c, makeNamespace(c, namespace+"-a"))
		case "custom":
			out["custom_create"] = createCustom(c, makeNamespace(c, namespace+"-x"))
		case "sync":
			host := newClient(readHost(), *conns)
			out["sync"] = syncPods(c, host, makeNamespace(c, namespace+"-s"), *hostSpace, *syncPodsN, *syncRate, *syncStates)
		case "space":
			makeSpace(newClient(readHost(), 1), *hostSpace, *tenant)
		case "direct":
			host := newClient(readHost(), *conns)
			out["direct"] = directPods(host, makeNamespace(host, namespace+"-d"), *syncPodsN, *byApply)
		default:
			must(fmt.Errorf("no test is named %q", test))
		}
	}
	must(json.NewEncoder(os.Stdout).Encode(out))
}

func readHost() *access {
	config, err := readKubeconfig(*hostConfig)
	must(err)
	return config
}

// makeNamespace makes a namespace with its default ServiceAccount, which pods need and not every server under test
// has a controller for.
func makeNamespace(c *client, name string) string {
	code, body, err := c.do(0, "POST", "/api/v1/namespaces", fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, name))
	if err != nil || !created(code) {
		must(fmt.Errorf("namespace %s: %d %v %s", name, code, err, body))
	}
	account := []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`)
	code, body, err = c.do(0, "POST", "/api/v1/namespaces/"+name+"/serviceaccounts", account)
	if err != nil || !(created(code) || code == 409) {
		must(fmt.Errorf("service account in %s: %d %v %s", name, code, err, body))
	}
	return name
}

// untilOK asks until the answer is 200, and gives the time since -since; -1 when that never was.
func untilOK(c *client, path string) float64 {
	for end := time.Now().Add(*wait); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if code, _, err := c.do(0, "GET", path, nil); err == nil && code == 200 {
			return float64(time.Now().UnixNano())/1e9 - *since
		}
	}
	return -1
}

func created(code int) bool { return code == 200 || code == 201 }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
