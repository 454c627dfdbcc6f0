package main

import (
	"bytes"
	"fmt"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/install"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/admission/install"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/authentication/install"
	_ "k8s.io/kubernetes/pkg/apis/authorization/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/certificates/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/events/install"
	_ "k8s.io/kubernetes/pkg/apis/flowcontrol/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	_ "k8s.io/kubernetes/pkg/apis/storagemigration/install"
)

var scheme = legacyscheme.Scheme

var jsonStrict = jsonserializer.NewSerializerWithOptions(
	jsonserializer.DefaultMetaFactory, scheme, scheme, jsonserializer.SerializerOptions{Strict: true})

var protobufs = protobuf.NewSerializer(scheme, scheme)

func init() {
	apiextensions.Install(scheme)
	apiregistration.Install(scheme)
}

// read decodes JSON strictly, without defaults, as its own version.
func read(text []byte) (runtime.Object, schema.GroupVersionKind, error) {
	object, kind, err := jsonStrict.Decode(text, nil, nil)
	if err != nil {
		return nil, schema.GroupVersionKind{}, err
	}
	return object, *kind, nil
}

// readInternal decodes JSON strictly, with defaults, as the form in which upstream judges.
func readInternal(text []byte) (runtime.Object, schema.GroupVersionKind, error) {
	object, kind, err := read(text)
	if err != nil {
		return nil, kind, err
	}
	scheme.Default(object)
	internal, err := scheme.UnsafeConvertToVersion(object, runtime.InternalGroupVersioner)
	return internal, kind, err
}

// write encodes an object as JSON of a version.
func write(object runtime.Object, version schema.GroupVersion) ([]byte, error) {
	var text bytes.Buffer
	encoder := legacyscheme.Codecs.EncoderForVersion(jsonStrict, version)
	if err := encoder.Encode(object, &text); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(text.Bytes()), nil
}

// defaulted gives an object as it is after decoding.
func defaulted(question *Question) (*Answer, error) {
	object, kind, err := readInternal(question.Object)
	if err != nil {
		return nil, err
	}
	text, err := write(object, kind.GroupVersion())
	return &Answer{Object: text}, err
}

// encodeProtobuf gives the bytes of an object as they go over the wire.
func encodeProtobuf(question *Question) (*Answer, error) {
	object, kind, err := read(question.Object)
	if err != nil {
		return nil, err
	}
	object.GetObjectKind().SetGroupVersionKind(kind)
	var text bytes.Buffer
	err = protobufs.Encode(object, &text)
	return &Answer{Protobuf: text.Bytes()}, err
}

// decodeProtobuf gives the JSON of such bytes, without defaults.
func decodeProtobuf(question *Question) (*Answer, error) {
	object, kind, err := protobufs.Decode(question.Protobuf, nil, nil)
	if err != nil {
		return nil, err
	}
	if kind == nil {
		return nil, fmt.Errorf("no kind")
	}
	object.GetObjectKind().SetGroupVersionKind(*kind)
	var text bytes.Buffer
	err = jsonStrict.Encode(object, &text)
	return &Answer{Object: bytes.TrimSpace(text.Bytes())}, err
}
