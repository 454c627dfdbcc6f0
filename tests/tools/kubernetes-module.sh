#!/bin/sh
# kubernetes-module.sh MODULE VERSION: starts a Go module named MODULE in the current folder, over, that can use
# k8s.io/kubernetes at VERSION from the published modules alone. Upstream replaces its staging modules by folders, which a
# consumer does not see: each is pinned to the version published with it.
set -eu
source=$(cd / && go mod download -json "k8s.io/kubernetes@$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
rm -f go.mod go.sum
{
    printf 'module %s\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$1" "$2"
    sed -n "s|^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => \./staging.*|	\1 => \1 v0.${2#v1.}|p" "$source/go.mod"
    printf ')\n'
} >go.mod
