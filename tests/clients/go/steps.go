package main

import (
	"encoding/json"
	"fmt"
	"strings"

	authorization "k8s.io/api/authorization/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applies "k8s.io/client-go/applyconfigurations/core/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

const group = "go.clients.example.com"

const widgets = `{
  "apiVersion": "apiextensions.k8s.io/v1",
  "kind": "CustomResourceDefinition",
  "metadata": {"name": "widgets.` + group + `"},
  "spec": {
    "group": "` + group + `", "scope": "Namespaced",
    "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
    "versions": [{
      "name": "v1", "served": true, "storage": true,
      "subresources": {"scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
      "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}},
        "status": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}
    }]
  }
}`

func (u user) steps() {
	maps := u.client.CoreV1().ConfigMaps(u.namespace)
	u.objects(maps)
	u.lists(maps)
	u.watches(maps)
	u.changes(maps)
	u.applies(maps)
	u.custom()
	u.ends(maps)
}

func (u user) objects(maps corev1.ConfigMapInterface) {
	fmt.Println("created", told(must(maps.Create(u, configMap("one", nil, "1"), meta.CreateOptions{})), "a"))
	_, err := maps.Create(u, configMap("one", nil, "1"), meta.CreateOptions{})
	refused(err)
	fmt.Println("read", told(must(maps.Get(u, "one", meta.GetOptions{})), "a"))
	_, err = maps.Get(u, "two", meta.GetOptions{})
	refused(err)
}

func (u user) lists(maps corev1.ConfigMapInterface) {
	for number := range 10 {
		object := configMap(fmt.Sprintf("item-%d", number), map[string]string{"group": "items"}, "")
		must(maps.Create(u, object, meta.CreateOptions{}))
	}
	all := must(u.dynamic.Resource(v1.SchemeGroupVersion.WithResource("configmaps")).Namespace(u.namespace).
		List(u, meta.ListOptions{LabelSelector: "group=items"}))
	fmt.Println("listed" + namesOf(all.Items, func(o unstructured.Unstructured) string { return o.GetName() }))
	options := meta.ListOptions{LabelSelector: "group in (items)", Limit: 4}
	for {
		page := must(maps.List(u, options))
		names := namesOf(page.Items, func(o v1.ConfigMap) string { return o.Name })
		if options.Continue = page.Continue; options.Continue == "" {
			fmt.Println("page" + names)
			return
		}
		fmt.Println("page" + names + ", more")
	}
}

func (u user) watches(maps corev1.ConfigMapInterface) {
	since := must(maps.List(u, meta.ListOptions{})).ResourceVersion
	must(maps.Create(u, configMap("watched", nil, "1"), meta.CreateOptions{}))
	must(maps.Patch(u, "watched", types.MergePatchType, []byte(`{"data":{"a":"2"}}`), meta.PatchOptions{}))
	check(maps.Delete(u, "watched", meta.DeleteOptions{}))
	options := meta.ListOptions{ResourceVersion: since, FieldSelector: "metadata.name=watched"}
	events := must(maps.Watch(u, options))
	defer events.Stop()
	for event := range events.ResultChan() {
		fmt.Println("watched", event.Type, event.Object.(*v1.ConfigMap).Name)
		if event.Type == "DELETED" {
			return
		}
	}
}

func (u user) changes(maps corev1.ConfigMapInterface) {
	old := must(maps.Get(u, "one", meta.GetOptions{}))
	old.Data["a"] = "2"
	fmt.Println("updated", told(must(maps.Update(u, old, meta.UpdateOptions{})), "a"))
	_, err := maps.Update(u, old, meta.UpdateOptions{})
	refused(err)
	operations := `[{"op":"test","path":"/data/a","value":"2"},{"op":"replace","path":"/data/a","value":"3"}]`
	for _, patch := range []struct {
		name string
		kind types.PatchType
		text string
	}{{"json", types.JSONPatchType, operations}, {"merge", types.MergePatchType, `{"data":{"a":"4"}}`}} {
		patched := must(maps.Patch(u, "one", patch.kind, []byte(patch.text), meta.PatchOptions{}))
		fmt.Println("patched with", patch.name, told(patched, "a"))
	}
	templates := u.client.CoreV1().PodTemplates(u.namespace)
	web := v1.PodTemplate{ObjectMeta: meta.ObjectMeta{Name: "web"}}
	web.Template.Spec.Containers = []v1.Container{{Name: "a", Image: "nginx:1"}, {Name: "b", Image: "busybox"}}
	must(templates.Create(u, &web, meta.CreateOptions{}))
	patch := `{"template":{"spec":{"containers":[{"name":"a","image":"nginx:2"}]}}}`
	patched := must(templates.Patch(u, "web", types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{}))
	images := namesOf(patched.Template.Spec.Containers, func(c v1.Container) string { return c.Name + "=" + c.Image })
	fmt.Println("patched with strategic" + images)
}

func (u user) applies(maps corev1.ConfigMapInterface) {
	apply := func(manager, value string, force bool) (*v1.ConfigMap, error) {
		object := applies.ConfigMap("one", u.namespace).WithData(map[string]string{"b": value})
		return maps.Apply(u, object, meta.ApplyOptions{FieldManager: manager, Force: force})
	}
	fmt.Println("applied by first", told(must(apply("first", "5", false)), "b"))
	_, err := apply("second", "6", false)
	refused(err)
	fmt.Println("forced by second", told(must(apply("second", "6", true)), "b"))
}

func (u user) custom() {
	var definition unstructured.Unstructured
	check(json.Unmarshal([]byte(widgets), &definition.Object))
	definitions := u.dynamic.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	must(definitions.Create(u, &definition, meta.CreateOptions{}))
	u.established(definition.GetName())
	fmt.Println("defined widgets")

	all := u.dynamic.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: "widgets"}).
		Namespace(u.namespace)
	size := func(object *unstructured.Unstructured) int64 {
		number, _, err := unstructured.NestedInt64(object.Object, "spec", "size")
		return must(number, err)
	}
	red := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/v1", "kind": "Widget", "metadata": map[string]any{"name": "red"}, "spec": map[string]any{}}}
	fmt.Printf("created widget red size=%d\n", size(must(all.Create(u, &red, meta.CreateOptions{}))))
	must(all.Patch(u, "red", types.MergePatchType, []byte(`{"spec":{"replicas":5}}`), meta.PatchOptions{}, "scale"))
	fmt.Println("scaled widget red to", size(must(all.Get(u, "red", meta.GetOptions{}))))
	items := must(all.List(u, meta.ListOptions{})).Items
	fmt.Println("listed widgets" + namesOf(items, func(o unstructured.Unstructured) string { return o.GetName() }))
	check(definitions.Delete(u, definition.GetName(), meta.DeleteOptions{}))
}

// Waits until a definition is served.
func (u user) established(name string) {
	options := meta.ListOptions{FieldSelector: "metadata.name=" + name}
	events := must(u.dynamic.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}).Watch(u, options))
	defer events.Stop()
	for event := range events.ResultChan() {
		object := event.Object.(*unstructured.Unstructured).Object
		conditions, _, err := unstructured.NestedSlice(object, "status", "conditions")
		for _, condition := range must(conditions, err) {
			condition := condition.(map[string]any)
			if condition["type"] == "Established" && condition["status"] == "True" {
				return
			}
		}
	}
}

func (u user) ends(maps corev1.ConfigMapInterface) {
	background := meta.DeletePropagationBackground
	check(maps.Delete(u, "one", meta.DeleteOptions{PropagationPolicy: &background}))
	fmt.Println("deleted one")
	_, err := maps.Get(u, "one", meta.GetOptions{})
	refused(err)
	selected := meta.ListOptions{LabelSelector: "group=items"}
	check(maps.DeleteCollection(u, meta.DeleteOptions{}, selected))
	fmt.Printf("deleted group, %d left\n", len(must(maps.List(u, selected)).Items))
	review := authorization.SelfSubjectAccessReview{Spec: authorization.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorization.ResourceAttributes{Verb: "create", Resource: "pods", Namespace: u.namespace}}}
	answer := must(u.client.AuthorizationV1().SelfSubjectAccessReviews().Create(u, &review, meta.CreateOptions{}))
	fmt.Println(map[bool]string{true: "may", false: "may not"}[answer.Status.Allowed], "create pods")
}

func refused(err error) {
	status, is := err.(errors.APIStatus)
	if !is {
		fmt.Println("not refused:", err)
		return
	}
	fmt.Println("refused", status.Status().Code, status.Status().Reason)
}

func configMap(name string, labels map[string]string, value string) *v1.ConfigMap {
	return &v1.ConfigMap{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels},
		Data:       map[string]string{"a": value},
	}
}

func told(object *v1.ConfigMap, key string) string {
	return object.Name + " " + key + "=" + object.Data[key]
}

func namesOf[T any](items []T, name func(T) string) string {
	var text strings.Builder
	for _, item := range items {
		text.WriteString(" " + name(item))
	}
	return text.String()
}
