#!/bin/sh
# build.sh DIR: builds kube-apiserver, kube-controller-manager and etcd into DIR, as their releases are built: stripped,
# without cgo. Takes minutes the first time, seconds when Go's cache has them.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
. ./versions.env
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
stamp() { printf -- ' -X %s.%s=%s' k8s.io/component-base/version "$1" "$2"; }
version=${KUBERNETES#v}
minor=${version#*.}
flags="-s -w$(stamp gitVersion "$KUBERNETES")$(stamp gitMajor "${version%%.*}")$(stamp gitMinor "${minor%%.*}")$(stamp gitTreeState clean)"
for program in kube-apiserver kube-controller-manager; do
    go build -trimpath -ldflags "$flags" -o "$out/$program" "k8s.io/kubernetes/cmd/$program"
done
cd etcd && go build -trimpath -ldflags '-s -w' -o "$out/etcd" go.etcd.io/etcd/server/v3
