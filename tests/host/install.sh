#!/bin/sh
# install.sh: installs the Debian packages that the test host and its images are made of, those that are missing.
# `install.sh --missing` only names them.
set -eu
packages="runc containernetworking-plugins iptables conntrack ethtool iproute2 util-linux openssl \
    busybox bind9-dnsutils curl netcat-openbsd nginx-light"
missing=
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ "${1:-}" != --missing ] || { echo "${missing# }" && exit 0; }
[ -n "$missing" ] || exit 0
fail() {
    echo "the test host lacks the packages$missing; $1" >&2
    exit 1
}
command -v apt-get >/dev/null || fail "they are Debian's, and this machine has no apt-get"
[ "$(id -u)" = 0 ] || fail "root alone can install them; run make as root"
apt-get update -q || fail "apt-get cannot reach the packages' archives, see above"
# Debian starts a web server when it is installed; here nobody wants port 80 taken.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
fi
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing ||
    fail "apt-get cannot install them, see above"
