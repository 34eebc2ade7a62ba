#!/usr/bin/env bash
# Runs the official MCP conformance suite against a server as it is, through the layers, and through
# the layers with a key that has rules, at both revisions, and compares the results scenario by
# scenario. Scenarios of extensions, such as tasks, belong to no revision and are not run.
#
# Usage: tests/conformance/run.sh BINARY
#        tests/conformance/run.sh URL_BARE URL_LAYERED [URL_RESTRICTED]
#
# BINARY is the example conformance-server. With URLs, the servers are running already: the first is
# the endpoint without keys, the others those with a key in their path, since the suite cannot send
# headers. The rules of the last one's key should permit everything.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/../clients/sdks.sh"
# shellcheck source=tests/conformance/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"

revisions=(2025-11-25 2026-07-28)
# In seconds, for one run of the suite. It takes a few.
limit=120

# run_suite REVISION PLACE URL: leaves what the suite found in $work/REVISION/PLACE.
run_suite() {
    local out=$work/$1/$2 log=$work/$1/$2.log
    mkdir -p "$work/$1"
    "$node" "$program" server --url "$3" --suite all --spec-version "$1" --timeout 15000 \
        --output-dir "$out" </dev/null >"$log" 2>&1 &
    local process=$!
    servers+=("$process")
    for ((waited = 0; waited < limit * 10; waited++)); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$process" 2>/dev/null; then
        echo "FAILED $1 $2: the suite did not end within $limit s"
        failed=$((failed + 1))
        stop "$process"
    fi
    # Its status says no more than the results do.
    wait "$process" || true
    unset 'servers[-1]'
}

(($# >= 1 && $# <= 3)) || die 'usage: tests/conformance/run.sh BINARY | URL_BARE URL_LAYERED [URL_RESTRICTED]'
if [[ $# -eq 1 ]]; then
    [[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --example conformance-server --features full"
    binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
fi
prepare_suite
declare -A urls
if [[ $# -eq 1 ]]; then
    # With everything it logs, so that all of it can be searched for the key.
    RUST_LOG=trace start server "$binary" --listen 127.0.0.1:0
    read_key server
    restricted=$(sed -n 's/^restricted //p' "$work/server.out")
    [[ -n $restricted ]] || die "$binary did not print its 'restricted' line"
    urls=([bare]=$url/bare/mcp [layered]=$url/mcp/$key [restricted]=$url/restricted/$restricted)
else
    urls=([bare]=$1 [layered]=$2)
    [[ $# -lt 3 ]] || urls+=([restricted]=$3)
fi
mapfile -t secrets < <(grep -ohE 'mcp_[a-z]+_[0-9A-Za-z]{38}' <<<"${urls[*]}" || true)

for revision in "${revisions[@]}"; do
    note "conformance suite, revision $revision"
    "$node" "$program" list --server --spec-version "$revision" >"$work/scenarios"
    for place in bare layered restricted; do
        [[ -z ${urls[$place]:-} ]] || run_suite "$revision" "$place" "${urls[$place]}"
    done
    "$node" "$suite/compare.mjs" "$work/scenarios" "$work/$revision" "${secrets[@]}" >"$work/compared" ||
        die "cannot compare the results (see above)"
    cat "$work/compared"
    passed=$((passed + $(grep -c '^ok ' "$work/compared" || true)))
    failed=$((failed + $(grep -c '^FAILED ' "$work/compared" || true)))
done
if [[ $# -eq 1 ]]; then
    note 'server'
    check_output server
    key=$restricted
    check_output server
    report server
else
    echo "$passed passed, $failed failed"
    ((failed == 0 && passed > 0))
fi
