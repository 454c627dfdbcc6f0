// Judge answers for upstream's own libraries: a line of JSON in, a line of JSON out, until its input ends.
//
// A question names an operation and what it is about. The answer has what the operation gives, or the Status with
// which an API server of upstream would refuse, or what went wrong in it. Nothing is kept from one question to the next.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/capabilities"
)

// Question is one line of input. Which fields matter depends on the operation.
type Question struct {
	Operation string          `json:"op"`
	Object    json.RawMessage `json:"object,omitempty"`
	Old       json.RawMessage `json:"old,omitempty"`
	Patch     json.RawMessage `json:"patch,omitempty"`
	Protobuf  []byte          `json:"protobuf,omitempty"`
	Namespace string          `json:"namespace,omitempty"`
	// Subresource that a write goes through.
	Subresource string `json:"subresource,omitempty"`
	Steps       []Step `json:"steps,omitempty"`
	// Policy is a level of the Pod Security Standards and the version of its rules, such as `baseline:v1.30`.
	Policy string `json:"policy,omitempty"`
}

// Answer is one line of output.
type Answer struct {
	Object   json.RawMessage `json:"object,omitempty"`
	Protobuf []byte          `json:"protobuf,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	// Status is what upstream's server would answer instead.
	Status *metav1.Status `json:"status,omitempty"`
	// Error is a failure that has no status of its own.
	Error string `json:"error,omitempty"`
	// States are those after each step.
	States []Answer `json:"states,omitempty"`
}

var operations = map[string]func(*Question) (*Answer, error){
	"default":         defaulted,
	"create":          create,
	"update":          update,
	"encode-protobuf": encodeProtobuf,
	"decode-protobuf": decodeProtobuf,
	"table":           table,
	"strategic-merge": strategicMerge,
	"manage":          manage,
	"pod-security":    podSecurity,
}

func main() {
	// As clusters are set up: what a container may be is no business of validation.
	capabilities.Setup(true, 0)
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		text, err := json.Marshal(answer(line))
		if err != nil {
			panic(err)
		}
		out.Write(append(text, '\n'))
		// Whoever asks sends many questions at once: the last of them is answered when nothing more waits.
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

func answer(line []byte) (given *Answer) {
	defer func() {
		if caught := recover(); caught != nil {
			given = &Answer{Error: fmt.Sprintf("panic: %v\n%s", caught, debug.Stack())}
		}
	}()
	question := &Question{}
	if err := json.Unmarshal(line, question); err != nil {
		return &Answer{Error: err.Error()}
	}
	operation, known := operations[question.Operation]
	if !known {
		return &Answer{Error: fmt.Sprintf("no operation %q", question.Operation)}
	}
	given, err := operation(question)
	if err != nil {
		return refused(err)
	}
	return given
}

// refused tells of an error, as a Status where it is one.
func refused(err error) *Answer {
	if status, is := err.(apierrors.APIStatus); is {
		text := status.Status()
		return &Answer{Status: &text}
	}
	return &Answer{Error: err.Error()}
}
