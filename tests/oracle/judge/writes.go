package main

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
)

// warnings collects what upstream would send as Warning headers.
type warnings []string

func (w *warnings) AddWarning(_, text string) {
	*w = append(*w, text)
}

func requestContext(question *Question, kind schema.GroupVersionKind, name string, heard *warnings) context.Context {
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	info := &request.RequestInfo{
		IsResourceRequest: true, APIGroup: kind.Group, APIVersion: kind.Version, Resource: resource.Resource,
		Namespace: question.Namespace, Name: name, Subresource: question.Subresource,
	}
	ctx := request.WithNamespace(request.NewContext(), question.Namespace)
	ctx = request.WithUser(ctx, &user.DefaultInfo{Name: "judge", Groups: []string{"system:masters"}})
	ctx = request.WithRequestInfo(ctx, info)
	return warning.WithWarningRecorder(ctx, heard)
}

// create gives a new object as upstream would store it, or the refusal.
func create(question *Question) (*Answer, error) {
	object, kind, err := readInternal(question.Object)
	if err != nil {
		return nil, err
	}
	rules, known := strategies[kind.GroupKind()]
	if !known {
		return nil, fmt.Errorf("no strategy for %v", kind)
	}
	metadata, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	rest.WipeObjectMetaSystemFields(metadata)
	rest.FillObjectMetaSystemFields(metadata)
	heard := &warnings{}
	if err := rest.BeforeCreate(rules, requestContext(question, kind, metadata.GetName(), heard), object); err != nil {
		return nil, err
	}
	return written(object, kind, heard)
}

// update gives a changed object as upstream would store it, or the refusal.
func update(question *Question) (*Answer, error) {
	object, kind, err := readInternal(question.Object)
	if err != nil {
		return nil, err
	}
	old, _, err := readInternal(question.Old)
	if err != nil {
		return nil, err
	}
	rules, known := updateStrategy(kind.GroupKind(), question.Subresource)
	if !known {
		return nil, fmt.Errorf("no strategy for %v %s", kind, question.Subresource)
	}
	metadata, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	heard := &warnings{}
	ctx := requestContext(question, kind, metadata.GetName(), heard)
	if err := rest.BeforeUpdate(rules, ctx, object, old); err != nil {
		return nil, err
	}
	return written(object, kind, heard)
}

func updateStrategy(kind schema.GroupKind, subresource string) (rest.RESTUpdateStrategy, bool) {
	if subresource == "" {
		rules, known := strategies[kind]
		return rules, known
	}
	rules, known := throughSubresource[subresource][kind]
	return rules, known
}

// written is the object as it comes out of the store, which reads what it wrote and fills in defaults once more.
func written(object runtime.Object, kind schema.GroupVersionKind, heard *warnings) (*Answer, error) {
	text, err := write(object, kind.GroupVersion())
	if err != nil {
		return nil, err
	}
	if object, _, err = readInternal(text); err != nil {
		return nil, err
	}
	text, err = write(object, kind.GroupVersion())
	return &Answer{Object: text, Warnings: *heard}, err
}
