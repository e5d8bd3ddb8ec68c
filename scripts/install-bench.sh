#!/usr/bin/env bash
# What the benchmark needs: a compiler for the load generator, and the servers to compare with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-packages.sh gcc libc6-dev make python3 knot nsd etcd-server
