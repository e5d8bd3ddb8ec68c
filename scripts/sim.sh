#!/usr/bin/env bash
# sim.sh [SEEDS [COUNTS]]: the simulated cluster with SEEDS (200, or $SEEDS) fresh seeds, printed as REGDNS_SEED=n.
# REGDNS_SEED=n repeats one; REGDNS_SCENARIO='…' a written scenario, telling what happens; REGDNS_SHRINK=n makes those
# that fail smaller, by n runs each at most. Writes "passed failed skipped" to the file COUNTS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "${REGDNS_BUILT:-}" != 1 ]; then
    scripts/install-build.sh
    scripts/build.sh --build-tests
fi
if [ -z "${REGDNS_SEED:-}" ]; then export REGDNS_SIM_SEEDS=${1:-${SEEDS:-200}}; fi
export REGDNS_SHRINK=${REGDNS_SHRINK:-150}
status=0
scripts/swift-test.sh sim "${2:-/dev/null}" 7200 --skip-build --filter 'ClusterSimulationTests.freshSeeds' || status=$?
# What the runs came to, from the first line of the simulator on.
sed -n '/^simulator: /,$p' .build/sim.log | grep -v '^[◇✔✘↳]' || true
exit "$status"
