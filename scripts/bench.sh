#!/usr/bin/env bash
# bench.sh [options] [SECTION…]: measures a release build beside knot and nsd; Benchmarks/README.md explains it.
# $REGDNS: a binary to measure instead of building one. $BENCH_OPTIONS: options and sections, for `make bench`.
set -euo pipefail
[ -z "${REGDNS:-}" ] || REGDNS=$(realpath "$REGDNS")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Debian keeps servers where only root's PATH looks.
export PATH=$PATH:/usr/sbin:/sbin
scripts/install-bench.sh
if [ -z "${REGDNS:-}" ]; then
    scripts/install-build.sh
    echo '== building regdns (the first release build takes some minutes)'
    CONFIGURATION=release scripts/build.sh --product regdns
    REGDNS=$PWD/.build/release/regdns
fi
export REGDNS
read -ra options <<<"${BENCH_OPTIONS:-}"
exec python3 Benchmarks/bench.py "${options[@]}" "$@"
