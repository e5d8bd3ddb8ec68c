# Starts and stops servers under test: sourced by the conformance scripts. Needs $REGDNS and $work (a folder for logs).
server_pids=()

# start_server NAME FLAGS…: starts `regdns serve` and waits until it is ready. Sets server_pid, server_dns, server_http
# and server_etcd (HOST:PORT, or off).
start_server() {
    local name=$1 line='' tries
    shift
    "$REGDNS" serve "$@" >"$work/$name.out" 2>"$work/$name.log" </dev/null &
    server_pid=$!
    server_pids+=("$server_pid")
    for ((tries = 0; tries < 200; tries++)); do
        line=$(grep -m1 '^regdns ready ' "$work/$name.out" 2>/dev/null || true)
        [ -z "$line" ] || break
        if ! kill -0 "$server_pid" 2>/dev/null; then break; fi
        sleep 0.05
    done
    if [ -z "$line" ]; then
        echo "the server did not become ready:" >&2
        cat "$work/$name.log" >&2
        return 1
    fi
    server_dns=$(field dns "$line") server_http=$(field http "$line") server_etcd=$(field etcd "$line")
}

# field NAME LINE: the value of NAME= in the start line.
field() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<"$2"; }

# stop_server: ends the server started last and checks that it ends well.
stop_server() {
    local status=0
    kill -TERM "$server_pid"
    wait "$server_pid" || status=$?
    server_pids=("${server_pids[@]/$server_pid/}")
    if [ "$status" -ne 0 ]; then
        echo "FAIL the server ended with status $status"
        return 1
    fi
}

# Ends what still runs, for a trap.
stop_all_servers() {
    local pid
    for pid in "${server_pids[@]}"; do [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true; done
}
