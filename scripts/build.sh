#!/usr/bin/env bash
# build.sh [swift build options]: builds in $CONFIGURATION (default debug) with progress, and prints the binary's path
# on file descriptor 3 when that is open.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
configuration=${CONFIGURATION:-debug}
options=(--configuration "$configuration")
# Tests see internals of the modules; release builds need to be told so.
if [[ " $* " == *" --build-tests "* && $configuration == release ]]; then options+=(-Xswiftc -enable-testing); fi
swift build "${options[@]}" "$@"
