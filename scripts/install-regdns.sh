#!/usr/bin/env bash
# Builds the release binary and installs it to $PREFIX/bin (default /usr/local).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-build.sh
CONFIGURATION=release scripts/build.sh --product regdns
to=${DESTDIR:-}${PREFIX:-/usr/local}/bin
install -d "$to"
install -m 755 .build/release/regdns "$to/regdns"
echo "installed $to/regdns"
