#!/bin/sh
# modules.sh: pins the peers' sources anew in go.mod and etcd/go.mod, from the published modules alone.
set -eu
cd "$(dirname "$0")"
. ./versions.env
rm -f etcd/go.mod etcd/go.sum
../../tests/tools/kubernetes-module.sh alcove.dev/benches/peers "$KUBERNETES"
go get -tool k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
printf 'module alcove.dev/benches/peers/etcd\n\ngo 1.26.0\n' >etcd/go.mod
cd etcd && go get -tool "go.etcd.io/etcd/server/v3@$ETCD"
