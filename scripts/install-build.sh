#!/usr/bin/env bash
# What a build needs besides Swift.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v swift >/dev/null; then
    echo "regdns: swift: is not on the PATH; install Swift 6.2 or newer from https://www.swift.org/install" >&2
    exit 2
fi
scripts/install-packages.sh git ca-certificates libssl-dev libsqlite3-dev
