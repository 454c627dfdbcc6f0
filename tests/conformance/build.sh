#!/bin/sh
# build.sh DIR: builds upstream's end-to-end tests, ginkgo and kubectl into DIR, from the module versions that go.mod
# pins, unless they are there from the same pins. Takes ten minutes and more the first time.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
pins=$(cat build.sh go.mod go.sum "$(go env GOROOT)/VERSION" | sha256sum)
[ "$(cat "$out/.pins" 2>/dev/null)" != "$pins" ] || exit 0
rm -f "$out/.pins"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#*.}
stamp() { printf -- ' -X k8s.io/component-base/version.%s=%s' "$1" "$2"; }
flags="-s -w$(stamp gitVersion "$version")$(stamp gitMajor 1)$(stamp gitMinor "${minor%%.*}")$(stamp gitTreeState clean)"
go build -trimpath -ldflags "$flags" -o "$out/kubectl" k8s.io/kubernetes/cmd/kubectl
go build -trimpath -ldflags '-s -w' -o "$out/ginkgo" github.com/onsi/ginkgo/v2/ginkgo
go test -c -vet=off -trimpath -ldflags "$flags" -o "$out/e2e.test" k8s.io/kubernetes/test/e2e
echo "$pins" >"$out/.pins"
