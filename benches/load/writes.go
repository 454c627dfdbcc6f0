package main

import (
	"fmt"
	"strings"
)

// largePod gives a pod of 3 KiB as people write them: two containers with probes, resources and an environment.
func largePod(name string, round int) []byte {
	var environment, labels []string
	for i := range 12 {
		environment = append(environment, fmt.Sprintf(`{"name":"SETTING_%d","value":"value of setting %d"}`, i, i))
	}
	for i := range 6 {
		labels = append(labels, fmt.Sprintf(`"example.com/label-%d":"value-%d"`, i, i))
	}
	container := func(name string) string {
		return fmt.Sprintf(`{"name":%q,"image":"registry.k8s.io/pause:3.10.2","args":["--serve","--verbose"],`+
			`"env":[%s],"ports":[{"name":"http-%s","containerPort":80%d,"protocol":"TCP"}],`+
			`"resources":{"requests":{"cpu":"10m","memory":"16Mi"},"limits":{"cpu":"100m","memory":"64Mi"}},`+
			`"readinessProbe":{"httpGet":{"path":"/ready","port":"http-%s"},"periodSeconds":5},`+
			`"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}},`+
			`"volumeMounts":[{"name":"data","mountPath":"/data"},{"name":"settings","mountPath":"/settings"}]}`,
			name, strings.Join(environment, ","), name, len(name), name)
	}
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":{%s},`+
		`"annotations":{"example.com/round":"%d"}},"spec":{"containers":[%s,%s],`+
		`"volumes":[{"name":"data","emptyDir":{}},{"name":"settings","configMap":{"name":"settings"}}],`+
		`"tolerations":[{"key":"example.com/spot","operator":"Exists","effect":"NoSchedule"}],`+
		`"securityContext":{"runAsNonRoot":true,"runAsUser":1000}}}`,
		name, strings.Join(labels, ","), round, container("web"), container("helper"))
}

// applyPods applies changes to pods that were applied before.
func applyPods(c *client, namespace string) results {
	const pods = 100
	apply := func(worker, i, round int) (int, []byte, error) {
		name := fmt.Sprintf("pod-%03d", i%pods)
		path := "/api/v1/namespaces/" + namespace + "/pods/" + name + "?fieldManager=load&force=true"
		return c.do(worker, "PATCH", path, largePod(name, round), "Content-Type", "application/apply-patch+yaml")
	}
	for i := range pods {
		if code, body, err := apply(0, i, 0); err != nil || !created(code) {
			must(fmt.Errorf("apply: %d %v %s", code, err, body))
		}
	}
	out := parallel(*writes, func(worker, i int) (int, []byte, error) {
		return apply(worker, i, 1+i)
	}, created)
	out["bytes"] = len(largePod("pod-000", 0))
	return out
}

const rulesGroup = "rules.load.example.com"

// Ten rules such as definitions have: over scalars, a list and a map.
var rules = []string{
	"self.minReplicas <= self.replicas",
	"self.replicas <= self.maxReplicas",
	"self.maxReplicas < 100",
	"self.name.startsWith('app-')",
	"self.name.matches('^[a-z0-9-]+$')",
	"self.ports.all(p, p > 0 && p < 65536)",
	"self.ports.exists(p, p == 443)",
	"self.tags.all(t, t in ['web', 'api', 'batch'])",
	"self.settings.all(k, self.settings[k] != '')",
	"!has(self.paused) || self.paused == false || self.replicas == 0",
}

// createCustom creates custom resources whose definition has ten rules in CEL.
func createCustom(c *client, namespace string) results {
	var validations []string
	for _, rule := range rules {
		validations = append(validations, fmt.Sprintf(`{"rule":%q}`, rule))
	}
	properties := `"name":{"type":"string","maxLength":63},"paused":{"type":"boolean"},"replicas":{"type":"integer"},` +
		`"minReplicas":{"type":"integer"},"maxReplicas":{"type":"integer"},` +
		`"ports":{"type":"array","maxItems":20,"items":{"type":"integer"}},` +
		`"tags":{"type":"array","maxItems":20,"items":{"type":"string","maxLength":20}},` +
		`"settings":{"type":"object","maxProperties":20,"additionalProperties":{"type":"string","maxLength":200}}`
	definition := fmt.Appendf(nil, `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",`+
		`"metadata":{"name":"apps.%s"},"spec":{"group":%q,"scope":"Namespaced","names":{"plural":"apps","kind":"App"},`+
		`"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{`+
		`"spec":{"type":"object","properties":{%s},"x-kubernetes-validations":[%s]}}}}}]}}`,
		rulesGroup, rulesGroup, properties, strings.Join(validations, ","))
	code, body, err := c.do(0, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
	if err != nil || !(created(code) || code == 409) {
		must(fmt.Errorf("definition: %d %v %s", code, err, body))
	}
	path := "/apis/" + rulesGroup + "/v1/namespaces/" + namespace + "/apps"
	untilOK(c, path)
	return parallel(*writes, func(worker, i int) (int, []byte, error) {
		object := fmt.Appendf(nil, `{"apiVersion":"%s/v1","kind":"App","metadata":{"name":"app-%05d"},"spec":{"name":"app-%05d",`+
			`"replicas":3,"minReplicas":1,"maxReplicas":10,"paused":false,"ports":[80,443,8080,9090],"tags":["web","api"],`+
			`"settings":{"color":"red","size":"large","mode":"fast","region":"eu"}}}`, rulesGroup, i, i)
		return c.do(worker, "POST", path, object)
	}, created)
}
