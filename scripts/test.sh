#!/usr/bin/env bash
# test.sh: everything that must hold before a change lands, in one configuration ($CONFIGURATION, default debug).
# Stages: format, tidy, build, tests, conformance. The last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/stages.sh
export CONFIGURATION=${CONFIGURATION:-debug}
# No stage takes so long; one that hangs ends here, and the run within 75 minutes.
limit() { timeout --kill-after=30 "$@"; }

install_all() { scripts/install-build.sh && scripts/install-test.sh; }

format() { limit 300 swift format lint --strict --recursive Sources Tests; }

# Tidy tests read sources and need no other module, so they run before the long build.
tidy() { REGDNS_ONLY_TIDY=1 scripts/swift-test.sh tidy "$stage_counts" 300 --scratch-path .build/tidy; }

build() { limit 1500 scripts/build.sh --build-tests; }

tests() { scripts/swift-test.sh tests "$stage_counts" 1500 --skip-build --skip TidyTests; }

conformance() { limit 1500 scripts/conformance.sh "$stage_counts"; }

run() {
    stage install install_all || return
    stage format format || true
    stage tidy tidy || true
    # Nothing can be tested that does not build.
    stage build build || return
    export REGDNS
    REGDNS=$(swift build --configuration "$CONFIGURATION" --show-bin-path)/regdns
    stage tests tests || true
    stage conformance conformance || true
}
run
finish_stages
