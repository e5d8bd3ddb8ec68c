#!/usr/bin/env bash
# without-services.sh COMMAND…: runs a command that installs packages, and keeps Debian from starting the servers in
# them: a benchmark's knot and nsd must not end up as this machine's DNS servers on port 53.
set -euo pipefail
policy=/usr/sbin/policy-rc.d
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
# Servers that are here already are this machine's business, and so is a policy of its own.
if { command -v knotd && command -v nsd; } >/dev/null || [ -e "$policy" ] || ! command -v apt-get >/dev/null; then
    exec "$@"
fi
printf '#!/bin/sh\n# Written by a benchmark run of regdns; gone when it has installed its packages.\nexit 101\n' |
    "${as_root[@]}" tee "$policy" >/dev/null
trap '"${as_root[@]}" rm -f "$policy"' EXIT
"${as_root[@]}" chmod 755 "$policy"
"$@"
