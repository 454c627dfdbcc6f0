#!/bin/sh
# build.sh DIR [PROGRAM...]: builds the host's programs into DIR, from the module versions that the go.mod files pin, as
# releases are built: stripped, without cgo. A program that was built from the same pins is left as it is. The first
# time takes about eight minutes on two cores and 4 GB of Go's cache.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")"
. ./versions.env
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
all="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy agnhost sample-apiserver etcd containerd containerd-shim-runc-v2 ctr coredns"

stamps() {
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf -- ' -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s -X %s.gitTreeState=clean' \
            $package "$KUBERNETES" $package $package "$(echo "$KUBERNETES" | cut -d. -f2)" $package
    done
}

# build PROGRAM MODULE PACKAGE [LINKER FLAGS]
build() {
    pins=$(cat build.sh versions.env "$2"/go.mod "$2"/go.sum "$2"/*.go 2>/dev/null | cat - "$(go env GOROOT)/VERSION" | sha256sum)
    if [ -x "$out/$1" ] && [ "$(cat "$out/.$1.pins" 2>/dev/null)" = "$pins" ]; then return; fi
    echo "building $1"
    (cd "$2" && go build -trimpath -ldflags "-s -w ${4:-}" -o "$out/$1" "$3")
    echo "$pins" >"$out/.$1.pins"
}

for program in ${*:-$all}; do
    case $program in
    kube-*|kubelet) build "$program" . "k8s.io/kubernetes/cmd/$program" "$(stamps)" ;;
    agnhost) build "$program" . k8s.io/kubernetes/test/images/agnhost ;;
    sample-apiserver) build "$program" . "k8s.io/$program" ;;
    etcd) build "$program" etcd go.etcd.io/etcd/server/v3 ;;
    containerd*|ctr) build "$program" containerd "github.com/containerd/containerd/v2/cmd/$program" ;;
    coredns) build "$program" dns . ;;
    *) echo "build.sh: no program is called $program" >&2 && exit 1 ;;
    esac
done
