package main

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/applyconfigurations"
)

// strategicMerge gives an object after a strategic merge patch, as a tree that no type has read yet.
func strategicMerge(question *Question) (*Answer, error) {
	kind := metav1.TypeMeta{}
	if err := json.Unmarshal(question.Object, &kind); err != nil {
		return nil, err
	}
	empty, err := scheme.New(kind.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergePatch(question.Object, question.Patch, empty)
	if err != nil {
		return nil, err
	}
	return &Answer{Object: merged}, nil
}

// Step is one write of a sequence on one object.
type Step struct {
	// Apply makes the step an apply; else it is an update.
	Apply       bool            `json:"apply"`
	Manager     string          `json:"manager"`
	Force       bool            `json:"force"`
	Subresource string          `json:"subresource"`
	Object      json.RawMessage `json:"object"`
}

var types = applyconfigurations.NewTypeConverter(scheme)

// manage plays writes on one object and gives its state after each, with whom its fields belong to. A step that is
// refused leaves the object as it was.
func manage(question *Question) (*Answer, error) {
	states := []Answer{}
	var live runtime.Object
	for _, step := range question.Steps {
		object, err := played(live, step)
		if err != nil {
			states = append(states, *refused(err))
			continue
		}
		live = object
		text, err := json.Marshal(live)
		if err != nil {
			return nil, err
		}
		states = append(states, Answer{Object: text})
	}
	return &Answer{States: states}, nil
}

func played(live runtime.Object, step Step) (runtime.Object, error) {
	object, kind, err := read(step.Object)
	if err != nil && !step.Apply {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read what is applied: %w", err)
	}
	manager, err := managedfields.NewDefaultFieldManager(
		types, scheme, scheme, scheme, kind, kind.GroupVersion(), step.Subresource, nil)
	if err != nil {
		return nil, err
	}
	if live == nil {
		if live, err = scheme.New(kind); err != nil {
			return nil, err
		}
		live.GetObjectKind().SetGroupVersionKind(kind)
	}
	live = live.DeepCopyObject()
	if step.Apply {
		applied, err := tree(step.Object)
		if err != nil {
			return nil, err
		}
		return manager.Apply(live, applied, step.Manager, step.Force)
	}
	return manager.Update(live, object, step.Manager)
}

func tree(text []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(text)
}
