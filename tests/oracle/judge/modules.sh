#!/bin/sh
# modules.sh VERSION: pins upstream's libraries anew in go.mod, from the published modules alone. k8s.io/kubernetes
# replaces its staging modules by folders, which a consumer does not see: each is pinned to the version published with it.
set -eu
cd "$(dirname "$0")"
staging=v0.${1#v1.}
source=$(cd / && go mod download -json "k8s.io/kubernetes@$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
rm -f go.mod go.sum
{
    printf 'module alcove.dev/tests/oracle/judge\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$1"
    sed -n "s|^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => \./staging.*|	\1 => \1 $staging|p" "$source/go.mod"
    printf ')\n'
} >go.mod
go mod tidy
