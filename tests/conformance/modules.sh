#!/bin/sh
# modules.sh VERSION: pins upstream's tests anew in go.mod, from the published modules alone, and ginkgo to what they use.
set -eu
cd "$(dirname "$0")"
../tools/kubernetes-module.sh alcove.dev/tests/conformance "$1"
ginkgo=$(go list -mod=mod -m -f '{{.Version}}' github.com/onsi/ginkgo/v2)
go get -tool k8s.io/kubernetes/cmd/kubectl k8s.io/kubernetes/test/e2e "github.com/onsi/ginkgo/v2/ginkgo@$ginkgo"
go get -t k8s.io/kubernetes/test/e2e
