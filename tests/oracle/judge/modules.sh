#!/bin/sh
# modules.sh VERSION: pins upstream's libraries anew in go.mod, from the published modules alone.
set -eu
cd "$(dirname "$0")"
../../tools/kubernetes-module.sh alcove.dev/tests/oracle/judge "$1"
go mod tidy
