#!/usr/bin/env bash
# install-packages.sh PACKAGE…: installs the Debian packages that are missing, and shows what it does.
set -euo pipefail

missing=()
for package in "$@"; do
    if ! dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then
        missing+=("$package")
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "regdns: packages: ${missing[*]} are missing and there is no apt-get; install them by hand" >&2
    exit 2
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "regdns: packages: ${missing[*]} are missing; install them as root" >&2
        exit 2
    fi
    as_root=(sudo --preserve-env=DEBIAN_FRONTEND)
fi
export DEBIAN_FRONTEND=noninteractive
# Servers among the packages (etcd, knot, nsd) are for tests: Debian must not start them as this machine's own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n# Written while regdns installs test packages; gone afterwards.\nexit 101\n' |
        "${as_root[@]}" tee "$policy" >/dev/null
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    "${as_root[@]}" chmod 755 "$policy"
fi
echo "== installing ${missing[*]}"
install() { "${as_root[@]}" apt-get install --yes --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"; }
# The package lists of a fresh machine are empty or old.
install || { "${as_root[@]}" apt-get update && install; }
