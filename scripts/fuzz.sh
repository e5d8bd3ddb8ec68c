#!/usr/bin/env bash
# fuzz.sh [EFFORT [COUNTS]]: the parsers against random and mutated bytes, EFFORT (100) times as many as in `make test`.
# REGDNS_SEED repeats one run; each run prints its seed. Writes "passed failed skipped" to the file COUNTS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-build.sh
scripts/build.sh --build-tests
REGDNS_EFFORT=${1:-100} scripts/swift-test.sh fuzz "${2:-/dev/null}" 3000 --skip-build --filter \
    'PropertyTests|MalformedQueryTests|ZoneFileParserTests|JSONTests|SkyDNSMessageTests|KeyLayoutTests|EtcdAPITests.ConnectionTests|EtcdAPITests.TextTests'
