#!/usr/bin/env bash
# What the tests need: dig and friends, a real etcd with its clients, what makes network namespaces and a small library
# for them, and Python packages in a private environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-packages.sh python3 python3-venv curl bind9-dnsutils procps \
    etcd-server etcd-client openssl protobuf-compiler serf strace iproute2 gcc libc6-dev
# Made anew when the list of packages has changed.
if ! cmp --silent scripts/requirements.txt .venv/requirements.txt; then
    echo '== making .venv with the Python packages of scripts/requirements.txt'
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement scripts/requirements.txt
    cp scripts/requirements.txt .venv/requirements.txt
fi
