#!/bin/sh
# build.sh DIR: an environment in DIR with the Python client that requirements.txt pins, unless it is there already.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
pins=$(python3 -V && cat build.sh requirements.txt)
pins=$(echo "$pins" | sha256sum)
if [ "$(cat "$out/pins" 2>/dev/null)" = "$pins" ]; then exit; fi
echo "installing the Python client" >&2
rm -rf "$out/venv"
python3 -m venv "$out/venv"
"$out/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
echo "$pins" >"$out/pins"
