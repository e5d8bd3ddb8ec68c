#!/usr/bin/env bash
# swift-test.sh NAME COUNTS SECONDS [swift test options]: runs Swift tests quietly, shows failures and skipped tests with
# their reasons, and writes "passed failed skipped" to the file COUNTS.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=$1 counts=$2 seconds=$3
shift 3
report=.build/$name-report.xml log=.build/$name.log
rm -f "$report"
mkdir -p .build
options=(--configuration "${CONFIGURATION:-debug}")
if [ "${CONFIGURATION:-debug}" = release ]; then options+=(-Xswiftc -enable-testing); fi
timeout --kill-after=30 "$seconds" swift test "${options[@]}" --disable-xctest --no-parallel --xunit-output "$report" "$@" \
    >"$log" 2>&1
status=$?
# Failures with the lines that explain them, every skipped test with its reason, and what repeats a simulator's run.
grep -E '^(✘|↳|➜|simulator: |error:|.*: error: )|skipped' "$log" | grep -vE '^➜.*with 0 |^[✔◇]' || true
if [ "$status" -eq 124 ]; then echo "error: $name ran longer than $seconds seconds and was stopped"; fi
if [ "$status" -ne 0 ]; then echo "the whole output is in $log"; fi
python3 scripts/count-tests.py "$report" >"$counts" || : >"$counts"
[ ! -s "$counts" ] || echo "$name: $(cut -d' ' -f1 "$counts") passed, $(cut -d' ' -f2 "$counts") failed, $(cut -d' ' -f3 "$counts") skipped"
exit "$status"
