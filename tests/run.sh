#!/usr/bin/env bash
# Runs every test: the crate's own, with a private PostgreSQL and a private Redis beside them, then the
# real client SDKs against the quickstart example, against a server with keys for different tools,
# through the gateway with keys and connected to it by OAuth, schemathesis against the admin API, a
# signing client of Python's standard library, a walk through the admin page and the consent page in
# Chromium, and the official conformance suite without the layers, through them, through the gateway, and
# against its authorization server.
# Usage: tests/run.sh, from any directory.
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
    stop_services
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

rust=failed status=0 summary=''

# check NAME TARGET SCRIPT: builds the program (`--example X` or `--bin X`), which cargo test has built
# before with the same features and profile, and runs the script on it.
check() {
    local name=$1 kind=$2 program=$3 script=$4 built=$target/debug/$3 outcome=passed
    local output=$work/${program//-/_}
    [[ $kind == --example ]] && built=$target/debug/examples/$program
    echo "=== $name"
    if ! cargo build "$kind" "$program" --features full; then
        outcome="not run: $program does not build" status=1
    else
        if ! "$script" "$built" | tee "$output"; then
            outcome=failed status=1
        fi
        if [[ $(tail -n 1 "$output") =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
            outcome+=" (${BASH_REMATCH[0]})"
        fi
    fi
    summary+="$name: $outcome"$'\n'
}

echo '=== private PostgreSQL and Redis'
start_services "$work"
echo "$DATABASE_URL $REDIS_URL"

echo '=== cargo test'
if cargo test --features full --no-fail-fast | tee "$work/rust"; then
    rust=passed
else
    status=1
fi
# The stories that run on a database of any kind ran on SQLite; now they run on PostgreSQL.
echo '=== cargo test on PostgreSQL'
if ! MCP_KEYS_TEST_STORE=postgres cargo test --features full --no-fail-fast \
    --test access --test principals --test rotation | tee -a "$work/rust"; then
    rust=failed status=1
fi
rust+=$(awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf " (%d passed, %d failed, %d ignored)", passed, failed, ignored }' "$work/rust")

check 'real clients' --example quickstart tests/clients/run.sh
check 'real clients with different tools' --example mcp_tools tests/clients/tools.sh
check 'real clients through the gateway' --bin mcp-keys tests/clients/gateway.sh
check 'real clients by OAuth' --bin mcp-keys tests/clients/oauth.sh
check 'admin API' --bin mcp-keys tests/clients/admin_api.sh
check 'signing client' --example signed_client tests/clients/signing.sh
check 'pages in a browser' --bin mcp-keys tests/browser/run.sh
check 'conformance suite' --example conformance-server tests/conformance/run.sh
check 'conformance suite through the gateway' --bin mcp-keys tests/conformance/gateway.sh
check 'conformance suite, authorization' --bin mcp-keys tests/conformance/authorization.sh

echo '=== summary'
echo "cargo test: $rust"
printf '%s' "$summary"
exit "$status"
