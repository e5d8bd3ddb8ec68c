#!/usr/bin/env bash
# What the benchmark needs: a compiler for the load generator, and the servers to compare with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-packages.sh gcc libc6-dev make python3 knot nsd etcd-server
# Section gossip: memberlist's library and serf to compare with, a packet filter for splits.
scripts/install-packages.sh golang-go golang-github-hashicorp-memberlist-dev serf redis-server nftables iproute2 util-linux
