#!/usr/bin/env bash
# test-long.sh: what is too long for every change. Stages: fuzz, store (random histories), threads (the tests under
# ThreadSanitizer), memory (the server under AddressSanitizer against all conformance suites and a long flood).
# Writes the result to Tests/long-results.md.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
export CONFIGURATION=debug

install_all() { scripts/install-build.sh && scripts/install-test.sh; }

fuzz() { scripts/fuzz.sh 30 "$stage_counts"; }

store() {
    REGDNS_EFFORT=30 scripts/swift-test.sh store "$stage_counts" 3000 --skip-build \
        --filter 'SoakTests|MergeTests|TombstoneTests|BatchTests'
}

# A build of its own, and only tests that start threads of ours.
threads() {
    local options=(--sanitize=thread --scratch-path .build/threads)
    scripts/build.sh --build-tests "${options[@]}" || return
    TSAN_OPTIONS="halt_on_error=0 exitcode=66" scripts/swift-test.sh threads "$stage_counts" 3000 --skip-build \
        "${options[@]}" --filter 'RegistryStoreTests|DNSServerTests|HTTPAdminTests|EtcdAPITests'
    local status=$?
    if grep -q 'WARNING: ThreadSanitizer' .build/threads.log; then
        grep -A 12 'WARNING: ThreadSanitizer' .build/threads.log | head -n 60
        return 1
    fi
    return "$status"
}

memory() {
    scripts/build.sh --product regdns --sanitize=address --scratch-path .build/memory || return
    # Swift's runtime keeps what it allocates once; only faults are looked for, not what is left at the end.
    ASAN_OPTIONS=detect_leaks=0 REGDNS=$PWD/.build/memory/debug/regdns FLOOD=2000000 \
        scripts/conformance.sh "$stage_counts"
}

run() {
    stage install install_all || return
    stage fuzz fuzz || true
    stage store store || true
    stage threads threads || true
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
