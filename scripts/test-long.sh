#!/usr/bin/env bash
# test-long.sh: what is too long for every change. Stages: fuzz, store (random histories), sim (the simulated cluster,
# 1,000 seeds), lab (five nodes in network namespaces for ten minutes), memory (the server under AddressSanitizer against
# all other conformance suites and a long flood).
# Writes the result to Tests/long-results.md.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
export CONFIGURATION=debug

install_all() { scripts/install-build.sh && scripts/install-test.sh; }

fuzz() { scripts/fuzz.sh 30 "$stage_counts"; }

store() {
    REGDNS_EFFORT=30 scripts/swift-test.sh store "$stage_counts" 3000 --skip-build \
        --filter 'SoakTests|MergeTests|TombstoneTests|BatchTests|CrashTests|DamageTests'
}

lab() { LAB_NODES=5 LAB_SECONDS=600 LAB_LEASE=10 scripts/conformance.sh "$stage_counts" lab; }
sim() { REGDNS_BUILT=1 scripts/sim.sh 1000 "$stage_counts"; }

memory() {
    scripts/build.sh --product regdns --sanitize=address --scratch-path .build/memory || return
    # Swift's runtime keeps what it allocates once; only faults are looked for, not what is left at the end.
    ASAN_OPTIONS=detect_leaks=0 REGDNS=$PWD/.build/memory/debug/regdns FLOOD=2000000 REGDNS_ALL_CASES=1 CRASH_ROUNDS=20 \
        scripts/conformance.sh "$stage_counts" skydns amalgam8 malformed compliance etcd cluster crash
}

run() {
    stage install install_all || return
    stage fuzz fuzz || true
    stage store store || true
    stage lab lab || true
    stage sim sim || true
    stage memory memory || true
}
run
report=$(mktemp)
finish_stages | tee "$report"
status=${PIPESTATUS[0]}
{
    echo '# The last long run'
    echo
    echo "\`make test-long\` on $(date -u +%Y-%m-%d), $(nproc) cores, $(swift --version 2>/dev/null | grep -o 'Swift version [0-9.]*' | head -n 1), at commit $(git rev-parse --short HEAD)."
    echo
    sed 's/^/    /' "$report" | sed 's/ *$//'
} >Tests/long-results.md
rm -f "$report"
exit "$status"
