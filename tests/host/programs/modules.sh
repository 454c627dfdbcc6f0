#!/bin/sh
# modules.sh: pins the sources of the host's programs anew, one module each, from the published modules alone.
# k8s.io/kubernetes replaces its staging modules by folders, which a consumer does not see: each is pinned to the
# version published with it.
set -eu
cd "$(dirname "$0")"
. ./versions.env
staging=v0.${KUBERNETES#v1.}
source=$(cd / && go mod download -json "k8s.io/kubernetes@$KUBERNETES" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
rm -f go.mod go.sum ./*/go.mod ./*/go.sum
{
    printf 'module alcove.dev/tests/host/programs\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$KUBERNETES"
    sed -n "s|^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => \./staging.*|	\1 => \1 $staging|p" "$source/go.mod"
    printf ')\n'
} >go.mod
kubernetes=k8s.io/kubernetes
go get -tool $kubernetes/cmd/kube-apiserver $kubernetes/cmd/kube-controller-manager $kubernetes/cmd/kube-scheduler \
    $kubernetes/cmd/kubelet $kubernetes/cmd/kube-proxy $kubernetes/test/images/agnhost
module() {
    printf 'module alcove.dev/tests/host/programs/%s\n\ngo 1.26.0\n' "$1" >"$1/go.mod"
}
module etcd && (cd etcd && go get -tool "go.etcd.io/etcd/server/v3@$ETCD")
module containerd && cd containerd
containerd=github.com/containerd/containerd/v2/cmd
go get -tool "$containerd/containerd@$CONTAINERD" "$containerd/containerd-shim-runc-v2@$CONTAINERD" "$containerd/ctr@$CONTAINERD"
cd ..
module dns && cd dns && go get "github.com/coredns/coredns@$COREDNS" && go mod tidy
