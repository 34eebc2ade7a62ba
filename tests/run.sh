#!/usr/bin/env bash
# Runs every test: the crate's own, with a private PostgreSQL and a private Redis beside them, then, a few
# at a time, the stories of any database on PostgreSQL, the real client SDKs against the quickstart example,
# against a server with keys for different tools, through the gateway with keys and connected to it by
# OAuth, schemathesis against the admin API, a signing client of Python's standard library, a walk through
# the admin page and the consent page in Chromium, and the official conformance suite without the layers,
# through them, through the gateway, and against its authorization server.
# Usage: tests/run.sh, from any directory. MCP_KEYS_TEST_LANES says how many run at a time (3).
set -euo pipefail

# A relative target directory means one below the caller's directory.
if [[ -n ${CARGO_TARGET_DIR:-} && $CARGO_TARGET_DIR != /* ]]; then
    export CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}

if ! command -v cargo >/dev/null; then
    echo 'tests: cargo is missing; install a Rust toolchain of at least the rust-version in Cargo.toml and put cargo in PATH' >&2
    exit 1
fi

# shellcheck source=tests/services.sh
source tests/services.sh

work=$(mktemp -d)
# Called by the trap.
# shellcheck disable=SC2317
cleanup() {
    local process
    for process in $(jobs -p); do
        kill "$process" 2>/dev/null || true
    done
    stop_services
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# How many of the scripts with real clients run side by side. They wait most of the time.
lanes=${MCP_KEYS_TEST_LANES:-3}
status=0 names=() commands=()

# check NAME COMMAND…: something to run beside others, once everything is built.
check() {
    names+=("$1")
    shift
    commands+=("$(printf '%q ' "$@")")
}

# script NAME TARGET PROGRAM SCRIPT: a check that is a script with a program (`--example X` or `--bin X`),
# which cargo test has built before with the same features and profile.
script() {
    local built=$target/debug/$3
    [[ $2 == --example ]] && built=$target/debug/examples/$3
    check "$1" "$4" "$built"
}

# Runs a check, shows what it wrote in one piece, and leaves what to say of it at the end.
run_check() {
    local number=$1 output=$work/check.$1 outcome=passed code=0 started=$SECONDS process
    bash -c "exec ${commands[number]}" >"$output" 2>&1 </dev/null &
    process=$!
    # It has servers of its own to stop.
    trap 'kill "$process" 2>/dev/null; wait "$process"; exit 143' TERM
    wait "$process" || { code=$?; outcome=failed; }
    if [[ $(tail -n 1 "$output") =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
        outcome+=" (${BASH_REMATCH[0]})"
    fi
    echo "${names[number]}: $outcome, $((SECONDS - started)) s" >"$work/outcome.$number"
    {
        flock 9
        echo "=== ${names[number]}"
        cat "$output"
    } 9>"$work/screen"
    return "$code"
}

echo '=== private PostgreSQL and Redis'
start_services "$work"
echo "$DATABASE_URL $REDIS_URL"

echo '=== what the clients need is installed in the background'
tests/clients/prepare.sh </dev/null >"$work/prepared" 2>&1 &
preparing=$!

echo '=== cargo test'
cargo test --features full --no-fail-fast | tee "$work/rust" || status=1

# The longest first.
script 'real clients through the gateway' --bin mcp-keys tests/clients/gateway.sh
script 'real clients by OAuth' --bin mcp-keys tests/clients/oauth.sh
# The stories that run on a database of any kind ran on SQLite; now they run on PostgreSQL.
check 'stories on PostgreSQL' env MCP_KEYS_TEST_STORE=postgres cargo test --features full --no-fail-fast \
    --test access --test principals --test rotation
script 'admin API' --bin mcp-keys tests/clients/admin_api.sh
script 'pages in a browser' --bin mcp-keys tests/browser/run.sh
script 'conformance suite' --example conformance-server tests/conformance/run.sh
script 'conformance suite through the gateway' --bin mcp-keys tests/conformance/gateway.sh
script 'real clients' --example quickstart tests/clients/run.sh
script 'real clients with different tools' --example mcp_tools tests/clients/tools.sh
script 'conformance suite, authorization' --bin mcp-keys tests/conformance/authorization.sh
script 'signing client' --example signed_client tests/clients/signing.sh

wait "$preparing" || { echo 'not everything could be installed:' >&2; cat "$work/prepared" >&2; }
cargo build --features full --bin mcp-keys --examples
echo "=== ${#names[@]} checks, $lanes side by side"
running=0
for number in "${!names[@]}"; do
    if ((running == lanes)); then
        wait -n || status=1
        running=$((running - 1))
    fi
    run_check "$number" &
    running=$((running + 1))
done
while ((running)); do
    wait -n || status=1
    running=$((running - 1))
done

echo '=== summary'
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf "cargo test: %d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$work/rust"
for number in "${!names[@]}"; do
    cat "$work/outcome.$number"
done
((status == 0)) && echo 'all passed' || echo 'something failed'
exit "$status"
