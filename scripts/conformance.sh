#!/usr/bin/env bash
# conformance.sh [COUNTS] [SUITE…]: runs the black-box suites of Tests/Conformance against $REGDNS (default: a fresh build
# in $CONFIGURATION). Suites: skydns, amalgam8, malformed, compliance, etcd, cluster, crash, lab. Writes
# "passed failed skipped" to the file COUNTS when one is given ("-" for none); the last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
counts=${1:--}
[ $# -eq 0 ] || shift
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(skydns amalgam8 malformed compliance etcd cluster crash lab)
scripts/install-test.sh || exit 2
if [ -z "${REGDNS:-}" ]; then
    scripts/install-build.sh && scripts/build.sh --product regdns || exit 2
    REGDNS=$PWD/.build/${CONFIGURATION:-debug}/regdns
fi
export REGDNS
python=$PWD/.venv/bin/python
cases=$PWD/Tests/Conformance
work=$(mktemp -d)
source scripts/server.sh
trap 'stop_all_servers; rm -rf "$work"' EXIT

passed=0 failed=0 skipped=0

# suite NAME SECONDS COMMAND…: runs a runner that ends with `N passed, N failed` and adds its counts.
suite() {
    local name=$1 seconds=$2 start=$SECONDS status=0 line
    shift 2
    printf -- '-- %s\n' "$name"
    timeout --kill-after=10 "$seconds" "$@" >"$work/suite.log" 2>&1 || status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/suite.log" | tail -n 1)
    # Failures and remarks in full, successes as a number.
    grep -vE '^(ok +|[0-9]+ passed, )' "$work/suite.log"
    if [ -z "$line" ]; then
        echo "FAIL $name broke off with status $status"
        failed=$((failed + 1))
        return
    fi
    echo "$name: $line, $((SECONDS - start)) s"
    passed=$((passed + ${line%% *}))
    line=${line#*, }
    failed=$((failed + ${line%% *}))
    # Checks of level "may" are features a server can do without; rfc_check.py counts them as failed all the same.
    local may
    may=$(grep -oE '\bmay [0-9]+/[0-9]+' "$work/suite.log" | tail -n 1)
    if [ -n "$may" ]; then
        may=${may#may }
        echo "$name: $((${may#*/} - ${may%/*})) optional features are not there (level may)"
        failed=$((failed - (${may#*/} - ${may%/*})))
    fi
}

# check NAME COMMAND…: one check of ours.
check() {
    local name=$1
    shift
    if "$@"; then passed=$((passed + 1)); else
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
}

load_fixture() { "$python" "$cases/compliance/load_fixture.py" "http://$server_etcd" "$cases/compliance/fixture.json"; }

# play_skydns TITLE PUT STORE FILE…: the cases of the files, stored through a door of regdns, or, when STORE is the URL
# of a real etcd, put there and served with it as the store.
play_skydns() {
    local title=$1 put=$2 store=$3 dns etcd upstream
    shift 3
    { read -r dns && read -r etcd && read -r upstream; } < <(scripts/free-ports.py 2 91)
    local where=(--own-store --etcd "http://127.0.0.1:$etcd")
    [ -z "$store" ] || where=(--clear --settle 0.6 --etcd "$store")
    REGDNS_CASE_ETCD=127.0.0.1:$etcd
    export REGDNS_CASE_ETCD
    if [ -n "$store" ]; then export REGDNS_CASE_STORE=$store; else unset REGDNS_CASE_STORE; fi
    suite "$title" 900 "$python" "$cases/skydns/run_cases.py" --dns "127.0.0.1:$dns" --put "$put" "${where[@]}" \
        --dialect recommended --skip-requires coredns,multi-zone,dnssec \
        --upstream-port "$upstream" \
        --server-cmd "$python $cases/skydns/start_regdns.py {config} {dns} {cases}" "$@"
}

# Which third of the case files is played a second time; the seed is printed, so that a failure can be repeated.
seed=${REGDNS_SEED:-$RANDOM}

# Sets chosen to a third of the case files, or to all of them with $REGDNS_ALL_CASES.
choose_files() {
    local files=("$cases"/skydns/cases/*.json)
    chosen=("${files[@]}")
    [ -z "${REGDNS_ALL_CASES:-}" ] || return 0
    readarray -t chosen < <("$python" -c 'import random, sys
files = sys.argv[2:]
print("\n".join(sorted(random.Random(sys.argv[1]).sample(files, (len(files) + 2) // 3))))' "$1" "${files[@]}")
}

run_skydns() {
    local chosen
    echo 'left out: coredns (ways of CoreDNS that differ), multi-zone and dnssec (not in this version)'
    play_skydns skydns etcd-v2 '' "$cases"/skydns/cases/*.json
    choose_files "$seed v3"
    play_skydns "skydns by etcd v3 (REGDNS_SEED=$seed)" etcd-v3 '' "${chosen[@]}"
}

# An etcd cluster as the store.
run_cluster() {
    local chosen
    start_etcd cluster || { failed=$((failed + 1)) && return; }
    choose_files "$seed cluster"
    play_skydns "skydns with etcd as the store (REGDNS_SEED=$seed)" etcd-v3 "http://$etcd_client" "${chosen[@]}"
    play_proxy "$etcd_client" "$etcd_pid"
}

# play_proxy STORE PID: the etcd port in front of the etcd at STORE beside another etcd of its own; ends both.
play_proxy() {
    local store=$1 store_pid=$2
    # Each etcd has its own count of revisions, and both must be quiet.
    start_etcd beside || { failed=$((failed + 1)) && return; }
    start_server proxy --dns 127.0.0.1:0 --http 127.0.0.1:0 --etcd 127.0.0.1:0 --forward off \
        --store etcd --store-address "http://$store" || { failed=$((failed + 1)) && return; }
    suite 'etcd port in front of etcd' 600 "$python" "$cases/etcd/run_diff.py" --ref "$etcd_client" \
        --target "$server_etcd" --cases "$cases/etcd/cases" --level full
    # What is refused without a cluster.
    suite 'etcd port in front of etcd: calls of a cluster' 600 "$python" "$cases/etcd/run_diff.py" \
        --ref "$etcd_client" --target "$server_etcd" --cases "$cases/etcd/cluster" --level full
    suite 'etcd clients in front of etcd' 600 "$python" "$cases/etcd/clients_check.py" "$server_etcd"
    check 'the server stops' stop_server
    stop_etcd
    etcd_pid=$store_pid
    stop_etcd
}

run_amalgam8() {
    local rest=("$cases"/amalgam8/cases/rest_{http,lifecycle,query,register}.json)
    start_server amalgam8-default --dns 127.0.0.1:0 --http 127.0.0.1:0 --etcd off --forward off || { failed=$((failed + 1)) && return; }
    suite 'amalgam8 default' 600 "$python" "$cases/amalgam8/run_http.py" --base "http://$server_http" \
        --profile default "${rest[@]}"
    check 'the server stops' stop_server
    start_server amalgam8-fastttl --dns 127.0.0.1:0 --http 127.0.0.1:0 --etcd off --forward off \
        --lease-default 2s --lease-min 1s --lease-max 4s || { failed=$((failed + 1)) && return; }
    suite 'amalgam8 fastttl' 600 "$python" "$cases/amalgam8/run_http.py" --base "http://$server_http" \
        --profile fastttl "$cases/amalgam8/cases/rest_ttl.json"
    check 'the server stops' stop_server
}

run_malformed() {
    start_server malformed --dns 127.0.0.1:0 --http 127.0.0.1:0 --etcd 127.0.0.1:0 --forward off ||
        { failed=$((failed + 1)) && return; }
    check 'the fixture loads' load_fixture
    suite malformed 900 "$python" "$cases/malformed/malformed_run.py" "$server_dns" --set all --tcp \
        --flood "${FLOOD:-200000}" --pid "$server_pid"
    check 'the server stops' stop_server
}

run_compliance() {
    local upstream
    start_server compliance --dns 127.0.0.1:0 --http 127.0.0.1:0 --etcd 127.0.0.1:0 --forward off ||
        { failed=$((failed + 1)) && return; }
    check 'the fixture loads' load_fixture
    suite 'compliance rfc' 600 "$python" "$cases/compliance/rfc_check.py" "$server_dns"
    check 'the server stops' stop_server
    read -r upstream < <(scripts/free-ports.py 1)
    start_server forwarder --dns 127.0.0.1:0 --http 127.0.0.1:0 --etcd 127.0.0.1:0 --forward "127.0.0.1:$upstream" ||
        { failed=$((failed + 1)) && return; }
    check 'the fixture loads' load_fixture
    suite 'compliance forwarder' 600 "$python" "$cases/compliance/forwarder_check.py" "$server_dns" \
        --upstream "127.0.0.1:$upstream"
    check 'the server stops' stop_server
}

# start_etcd NAME: starts a real etcd with one member and waits until it is ready. Sets etcd_pid and etcd_client.
start_etcd() {
    local name=$1 client peer tries
    { read -r client && read -r peer; } < <(scripts/free-ports.py 2)
    etcd_client=127.0.0.1:$client
    (cd "$work" && exec etcd --name "$name" --data-dir "$work/$name" --enable-v2=true \
        --listen-client-urls "http://$etcd_client" --advertise-client-urls "http://$etcd_client" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "$name=http://127.0.0.1:$peer") >"$work/$name.log" 2>&1 </dev/null &
    etcd_pid=$!
    server_pids+=("$etcd_pid")
    for ((tries = 0; tries < 200; tries++)); do
        if curl --silent --fail --max-time 1 "http://$etcd_client/health" | grep -q true; then return; fi
        kill -0 "$etcd_pid" 2>/dev/null || break
        sleep 0.05
    done
    echo "etcd did not become ready:" >&2
    tail -n 20 "$work/$name.log" >&2
    return 1
}

stop_etcd() {
    kill "$etcd_pid"
    wait "$etcd_pid" 2>/dev/null
    server_pids=("${server_pids[@]/$etcd_pid/}")
}

run_etcd() {
    start_etcd reference || { failed=$((failed + 1)) && return; }
    start_server etcd --dns 127.0.0.1:0 --http 127.0.0.1:0 --etcd 127.0.0.1:0 --forward off ||
        { failed=$((failed + 1)) && return; }
    suite 'etcd beside etcd' 600 "$python" "$cases/etcd/run_diff.py" --ref "$etcd_client" --target "$server_etcd" \
        --cases "$cases/etcd/cases" --level full
    suite 'etcd clients' 600 "$python" "$cases/etcd/clients_check.py" "$server_etcd" --perf
    check 'the server stops' stop_server
    stop_etcd
}

# serve_data FOLDER HTTP ETCD FLAGS…: the command line of a server that keeps registrations in a folder of $work.
serve_data() {
    local folder=$1 http=$2 etcd=$3
    shift 3
    echo "$REGDNS serve --dns 127.0.0.1:0 --http 127.0.0.1:$http --etcd 127.0.0.1:$etcd --forward off" \
        "--data-dir $work/$folder $*"
}

# What was acknowledged is there after kill -9, and with --sync always was on the disk before it was acknowledged.
run_crash() {
    local http etcd sync body request
    { read -r http && read -r etcd; } < <(scripts/free-ports.py 2)
    for sync in interval always; do
        check "kill -9, sync $sync" "$python" "$cases/crash/kill9_loop.py" --port "$etcd" --kind etcdv2 \
            --rounds "${CRASH_ROUNDS:-3}" --start "$(serve_data "kill-$sync" "$http" "$etcd" --sync "$sync")"
    done
    request='PUT /v2/keys/crash/{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n'
    request+='Content-Type: application/x-www-form-urlencoded\r\n\r\nvalue=1'
    check 'etcd v2 replies after the sync' "$python" "$cases/crash/fsync_order.py" --port "$etcd" --journal registry.db \
        --start "$(serve_data sync-v2 "$http" "$etcd" --sync always)" --send "$request"
    body='{"key":"a2V5","value":"{n}AA="}'
    request='POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 29\r\n\r\n'$body
    check 'etcd v3 replies after the sync' "$python" "$cases/crash/fsync_order.py" --port "$etcd" --journal registry.db \
        --start "$(serve_data sync-v3 "$http" "$etcd" --sync always)" --count 10 --send "$request"
    body='{"service_name":"s{n}","endpoint":{"type":"tcp","value":"10.0.0.1:80"}}'
    request='POST /api/v1/instances HTTP/1.1\r\nHost: x\r\nContent-Length: 69\r\nContent-Type: application/json\r\n\r\n'$body
    check 'HTTP replies after the sync' "$python" "$cases/crash/fsync_order.py" --port "$http" --journal registry.db \
        --start "$(serve_data sync-http "$http" "$etcd" --sync always)" --count 10 --send "$request"
}

# Nodes in network namespaces while things go wrong: $LAB_NODES of them, for $LAB_SECONDS, with leases of $LAB_LEASE s.
run_lab() {
    local reason seconds=${LAB_SECONDS:-60} privileged=()
    suite 'lab: its judge' 120 "$python" -B "$cases/lab/judge_test.py"
    # Without root, a user namespace does where the system allows it.
    [ "$(id -u)" -eq 0 ] || privileged=(unshare --user --map-root-user)
    if ! reason=$("${privileged[@]}" "$python" -B "$cases/lab/run_lab.py" --check 2>&1); then
        echo "skipped lab: no network namespaces can be made here: $reason"
        skipped=$((skipped + 1))
        return
    fi
    suite "lab (REGDNS_SEED=$seed)" $((2 * seconds + 180)) "${privileged[@]}" "$python" -B "$cases/lab/run_lab.py" \
        --regdns "$REGDNS" --nodes "${LAB_NODES:-3}" --seconds "$seconds" --lease "${LAB_LEASE:-4}" --seed "$seed"
}

for name in "${suites[@]}"; do "run_$name"; done
[ "$counts" = - ] || echo "$passed $failed $skipped" >"$counts"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
