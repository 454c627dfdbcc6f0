#!/bin/sh
# modules.sh: pins the sources of the host's programs anew, one module each, from the published modules alone.
set -eu
cd "$(dirname "$0")"
. ./versions.env
rm -f ./*/go.mod ./*/go.sum
../../tools/kubernetes-module.sh alcove.dev/tests/host/programs "$KUBERNETES"
kubernetes=k8s.io/kubernetes
go get -tool $kubernetes/cmd/kube-apiserver $kubernetes/cmd/kube-controller-manager $kubernetes/cmd/kube-scheduler \
    $kubernetes/cmd/kubelet $kubernetes/cmd/kube-proxy $kubernetes/test/images/agnhost \
    "k8s.io/sample-apiserver@v0.${KUBERNETES#v1.}"
module() {
    printf 'module alcove.dev/tests/host/programs/%s\n\ngo 1.26.0\n' "$1" >"$1/go.mod"
}
module etcd && (cd etcd && go get -tool "go.etcd.io/etcd/server/v3@$ETCD")
module containerd && cd containerd
containerd=github.com/containerd/containerd/v2/cmd
go get -tool "$containerd/containerd@$CONTAINERD" "$containerd/containerd-shim-runc-v2@$CONTAINERD" "$containerd/ctr@$CONTAINERD"
cd ..
module dns && cd dns && go get "github.com/coredns/coredns@$COREDNS" && go mod tidy
