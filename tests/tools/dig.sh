#!/bin/sh
# dig.sh: puts dig, which asks our DNS server in tests, onto a Debian machine.
set -eu
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "dig is missing, and only root can install it here: apt-get install bind9-dnsutils, or your system's package with dig" >&2
    exit 1
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends bind9-dnsutils
