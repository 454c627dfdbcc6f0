package main

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// podSecurity judges a pod by a level of the Pod Security Standards. What it must not ask for comes as warnings.
func podSecurity(question *Question) (*Answer, error) {
	level, version, _ := strings.Cut(question.Policy, ":")
	var rules api.LevelVersion
	var err error
	if rules.Level, err = api.ParseLevel(level); err != nil {
		return nil, err
	}
	if rules.Version, err = api.ParseVersion(version); err != nil {
		return nil, err
	}
	var pod corev1.Pod
	if err := json.Unmarshal(question.Object, &pod); err != nil {
		return nil, err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, err
	}
	answer := &Answer{}
	for _, found := range evaluator.EvaluatePod(rules, &pod.ObjectMeta, &pod.Spec) {
		if !found.Allowed {
			answer.Warnings = append(answer.Warnings, fmt.Sprintf("%s (%s)", found.ForbiddenReason, found.ForbiddenDetail))
		}
	}
	return answer, nil
}
