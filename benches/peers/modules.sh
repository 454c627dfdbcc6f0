#!/bin/sh
# modules.sh: pins the peers' sources anew in go.mod and etcd/go.mod, from the published modules alone.
# k8s.io/kubernetes replaces its staging modules by folders, which a consumer does not see: each is pinned to the
# version published with it.
set -eu
cd "$(dirname "$0")"
. ./versions.env
staging=v0.${KUBERNETES#v1.}
source=$(cd / && go mod download -json "k8s.io/kubernetes@$KUBERNETES" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
rm -f go.mod go.sum etcd/go.mod etcd/go.sum
{
    printf 'module alcove.dev/benches/peers\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$KUBERNETES"
    sed -n "s|^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => \./staging.*|	\1 => \1 $staging|p" "$source/go.mod"
    printf ')\n'
} >go.mod
go get -tool k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
printf 'module alcove.dev/benches/peers/etcd\n\ngo 1.26.0\n' >etcd/go.mod
cd etcd && go get -tool "go.etcd.io/etcd/server/v3@$ETCD"
