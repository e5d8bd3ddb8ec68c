# Stages of a long run: sourced by test.sh. Each stage says how many checks passed and failed, and how long it took.
stage_names=() stage_seconds=() stage_passed=() stage_failed=() stage_skipped=()
# Where a stage writes its counts, and what it prints.
stage_counts=$(mktemp)
stage_output=$(mktemp)
# Lines that tell of failures, of the stages that failed.
stage_faults=$(mktemp)

# stage NAME COMMAND…: runs the command. It may write "passed failed skipped" to $stage_counts; otherwise the stage
# counts as one check.
stage() {
    local name=$1 start=$SECONDS status=0 passed failed skipped
    shift
    printf '\n== %s\n' "$name"
    : >"$stage_counts"
    "$@" > >(tee "$stage_output") 2>&1 || status=$?
    # The copy is whole when tee has ended; a process that was left behind may hold it open.
    timeout 5 tail --pid="$!" -f /dev/null || true
    if [ -s "$stage_counts" ]; then
        read -r passed failed skipped <"$stage_counts"
        # A run that broke off has failed, whatever it counted.
        if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
    else
        passed=$((status == 0)) failed=$((status != 0)) skipped=0
    fi
    if [ "$failed" -gt 0 ] || { [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; }; then
        grep -E '^ *(✘|↳|FAIL|error|skipped|simulator: |REGDNS_S)|: error: ' "$stage_output" | grep -v ' may  ' |
            head -n 40 | sed "s/^/$name: /" >>"$stage_faults"
    fi
    stage_names+=("$name") stage_seconds+=($((SECONDS - start)))
    stage_passed+=("$passed") stage_failed+=("$failed") stage_skipped+=("$skipped")
    return "$status"
}

# Prints the table of the stages, and as the last line `N passed, N failed`. Fails when a check failed, and under CI
# also when one was skipped.
finish_stages() {
    local total=0 passed=0 failed=0 skipped=0 index share
    for index in "${!stage_names[@]}"; do
        total=$((total + stage_seconds[index]))
        passed=$((passed + stage_passed[index]))
        failed=$((failed + stage_failed[index]))
        skipped=$((skipped + stage_skipped[index]))
    done
    printf '\n%-14s %8s %7s %8s %8s %8s\n' stage seconds share passed failed skipped
    for index in "${!stage_names[@]}"; do
        share=$((total == 0 ? 0 : (100 * stage_seconds[index] + total / 2) / total))
        printf '%-14s %8d %6d%% %8d %8d %8d\n' "${stage_names[index]}" "${stage_seconds[index]}" "$share" \
            "${stage_passed[index]}" "${stage_failed[index]}" "${stage_skipped[index]}"
    done
    printf '%-14s %8d %7s %8d %8d %8d\n' total "$total" '' "$passed" "$failed" "$skipped"
    # A long run scrolls away; so what failed is said once more.
    if [ -s "$stage_faults" ]; then printf '\nwhat failed:\n' && cut -c 1-300 "$stage_faults"; fi
    rm -f "$stage_counts" "$stage_output" "$stage_faults"
    if [ "$skipped" -gt 0 ]; then
        echo "$skipped skipped, for the reasons above"
        if [ "${CI:-}" = true ]; then
            echo 'under CI a skipped test counts as failed'
            failed=$((failed + skipped))
        fi
    fi
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
