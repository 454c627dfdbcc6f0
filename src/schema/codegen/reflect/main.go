// Command reflect prints what the Go types of one Kubernetes minor say about the wire, as JSON: for every struct that
// a registered kind reaches, the fields with their protobuf numbers, the messages that only Go inlines, pointers and
// omit options, and the defaults and closed sets of values that source markers state; and for every kind when it is
// deprecated. Published OpenAPI documents carry none of this.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// field is one JSON field of a struct. Path is the protobuf number, after the numbers of the messages around it.
type field struct {
	Path []int  `json:"path"`
	Wire string `json:"wire,omitempty"`
	// Duration and Wrapped say what OpenAPI writes as a plain string or list: metav1.Duration, and lists that are
	// protobuf messages of their own.
	Duration bool `json:"duration,omitempty"`
	Wrapped  bool `json:"wrapped,omitempty"`
	// Pointer, OmitEmpty and OmitZero decide what Go leaves out of JSON.
	Pointer   bool `json:"pointer,omitempty"`
	OmitEmpty bool `json:"omitEmpty,omitempty"`
	OmitZero  bool `json:"omitZero,omitempty"`
	// Zero is the default of a scalar without omitempty: an absent list-map key counts as it.
	Zero any `json:"zero,omitempty"`
	// Marked is the default that the source states; Enum the closed set of values, of a list or map those inside.
	Marked any      `json:"marked,omitempty"`
	Enum   []string `json:"enum,omitempty"`
}

type walker struct {
	seen map[reflect.Type]bool
	out  map[string]map[string]field
	from sources
}

// lifecycle is what a kind says of its own end: the minors since which it is deprecated and gone, and what to use then.
type lifecycle struct {
	Deprecated int    `json:"deprecated"`
	Removed    int    `json:"removed,omitempty"`
	Use        string `json:"use,omitempty"`
}

// end gives the lifecycle of a kind that is or will be deprecated. Lists share that of what they hold.
func end(t reflect.Type) *lifecycle {
	if _, isList := t.FieldByName("Items"); isList {
		return nil
	}
	object := reflect.New(t).Interface()
	deprecated, ok := object.(interface{ APILifecycleDeprecated() (int, int) })
	if !ok {
		return nil
	}
	_, minor := deprecated.APILifecycleDeprecated()
	out := &lifecycle{Deprecated: minor}
	if removed, ok := object.(interface{ APILifecycleRemoved() (int, int) }); ok {
		_, out.Removed = removed.APILifecycleRemoved()
	}
	if replaced, ok := object.(interface {
		APILifecycleReplacement() schema.GroupVersionKind
	}); ok {
		use := replaced.APILifecycleReplacement()
		out.Use = use.GroupVersion().String() + "/" + use.Kind
	}
	return out
}

// leaves have a wire form that their Go fields do not show.
var leaves = map[reflect.Type]bool{
	reflect.TypeFor[meta.Time]():                                  true,
	reflect.TypeFor[meta.MicroTime]():                             true,
	reflect.TypeFor[meta.Duration]():                              true,
	reflect.TypeFor[meta.FieldsV1]():                              true,
	reflect.TypeFor[resource.Quantity]():                          true,
	reflect.TypeFor[intstr.IntOrString]():                         true,
	reflect.TypeFor[runtime.RawExtension]():                       true,
	reflect.TypeFor[apiextensions.JSON]():                         true,
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]():       true,
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():        true,
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray](): true,
}

// definitionName turns a Go package path and type into an OpenAPI definition name.
func definitionName(t reflect.Type) string {
	host, rest, _ := strings.Cut(t.PkgPath(), "/")
	parts := strings.Split(host, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".") + "." + strings.ReplaceAll(rest, "/", ".") + "." + t.Name()
}

func (w *walker) visit(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		w.visit(t.Elem())
	case reflect.Struct:
		if w.seen[t] || leaves[t] || !strings.HasPrefix(t.PkgPath(), "k8s.io/") {
			return
		}
		w.seen[t] = true
		fields := map[string]field{}
		w.collect(t, nil, true, fields)
		w.out[definitionName(t)] = fields
	}
}

// collect adds the fields of a struct; those of structs that JSON inlines under the numbers of their message.
func (w *walker) collect(t reflect.Type, within []int, onWire bool, into map[string]field) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		number, wire := protobuf(f.Tag.Get("protobuf"))
		if name == "-" || !f.IsExported() {
			continue
		}
		path := append(append([]int{}, within...), number)
		if name == "" && f.Anonymous {
			w.collect(deref(f.Type), path, onWire && number != 0, into)
			continue
		}
		if name == "" {
			panic("no JSON name: " + t.String() + "." + f.Name)
		}
		if !onWire || number == 0 {
			path, wire = []int{0}, ""
		}
		e := deref(f.Type)
		into[name] = field{
			Path: path, Wire: wire, Duration: e == reflect.TypeFor[meta.Duration](),
			Wrapped: wrapped(e), Pointer: f.Type.Kind() == reflect.Pointer, Zero: zero(f.Type, options),
			OmitEmpty: has(options, "omitempty"), OmitZero: has(options, "omitzero"),
			Marked: w.from.fieldDefault(t, f.Name), Enum: w.from.allowed(item(e)),
		}
		w.visit(f.Type)
	}
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// wrapped tells whether a list, or the list that is a map's value, is a protobuf message of its own.
func wrapped(t reflect.Type) bool {
	if t.Kind() == reflect.Map {
		t = deref(t.Elem())
	}
	return t.Kind() == reflect.Slice && t.Name() != "" && reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ Unmarshal([]byte) error }]())
}

// item is what lists and maps hold, innermost first; any other type itself.
func item(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Map || t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		t = t.Elem()
	}
	return t
}

// zero follows k8s.io/kube-openapi/pkg/generators, mustEnforceDefault, for scalars.
func zero(t reflect.Type, options string) any {
	switch {
	case has(options, "omitempty"):
		return nil
	case t.Kind() == reflect.String || t.Kind() == reflect.Bool || t.Kind() == reflect.Int32 || t.Kind() == reflect.Int64:
		return reflect.Zero(t).Interface()
	}
	return nil
}

// has tells whether a tag has this option.
func has(options, option string) bool {
	return slices.Contains(strings.Split(options, ","), option)
}

// protobuf reads number and wire kind from a tag such as `bytes,1,opt,name=spec`.
func protobuf(tag string) (int, string) {
	if tag == "" || tag == "-" {
		return 0, ""
	}
	parts := strings.Split(tag, ",")
	number, err := strconv.Atoi(parts[1])
	if err != nil {
		panic(err)
	}
	return number, parts[0]
}

func main() {
	s := scheme.Scheme
	for _, add := range []func(*runtime.Scheme) error{apiextensions.AddToScheme, apiregistration.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	w := &walker{seen: map[reflect.Type]bool{}, out: map[string]map[string]field{}, from: sources{}}
	ends := map[string]*lifecycle{}
	for gvk, t := range s.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal {
			continue
		}
		w.visit(t)
		if found := end(t); found != nil {
			ends[gvk.GroupVersion().String()+" "+gvk.Kind] = found
		}
	}
	for _, t := range []reflect.Type{
		reflect.TypeFor[version.Info](), reflect.TypeFor[meta.APIVersions](), reflect.TypeFor[meta.APIGroup](),
		reflect.TypeFor[meta.APIGroupList](), reflect.TypeFor[meta.APIResourceList](), reflect.TypeFor[meta.Status](),
		reflect.TypeFor[meta.WatchEvent](), reflect.TypeFor[meta.DeleteOptions](),
	} {
		w.visit(t)
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", " ")
	out := struct {
		Types map[string]map[string]field `json:"types"`
		Ends  map[string]*lifecycle       `json:"ends"`
	}{w.out, ends}
	if err := e.Encode(out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
