#!/usr/bin/env bash
# What the tests need: dig and friends, and Python with two packages in a private environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-packages.sh python3 python3-venv curl bind9-dnsutils procps
if ! .venv/bin/python -c 'import dns, cryptography' 2>/dev/null; then
    echo '== making .venv with dnspython and cryptography'
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement scripts/requirements.txt
fi
