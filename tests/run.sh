#!/usr/bin/env bash
# Runs every test: the crate's own, then the real client SDKs against the quickstart example and
# against the gateway.
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

work=$(mktemp -d)
# Called by the trap.
# shellcheck disable=SC2317
cleanup() {
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Private PostgreSQL and Redis instances for the store and limiter tests are started here, with
# their addresses exported for cargo test, and are stopped in cleanup. None is needed so far.
start_private_services() {
    :
}

rust=failed clients='not run' gateway='not run' outcome='' status=0

start_private_services

echo '=== cargo test'
if cargo test --features full | tee "$work/rust"; then
    rust=passed
else
    status=1
fi
rust+=$(awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf " (%d passed, %d failed, %d ignored)", passed, failed, ignored }' "$work/rust")

# run_clients SCRIPT BINARY OUTPUT: sets outcome.
run_clients() {
    outcome=passed
    if ! "$1" "$2" | tee "$3"; then
        outcome=failed status=1
    fi
    if [[ $(tail -n 1 "$3") =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
        outcome+=" (${BASH_REMATCH[0]})"
    fi
}

# cargo test has built both programs already, with the same features and profile.
echo '=== real clients'
if cargo build --example quickstart --features full; then
    run_clients tests/clients/run.sh "$target/debug/examples/quickstart" "$work/clients"
    clients=$outcome
else
    clients='not run: the quickstart example does not build' status=1
fi

echo '=== real clients through the gateway'
if cargo build --bin mcp-keys --features full; then
    run_clients tests/clients/gateway.sh "$target/debug/mcp-keys" "$work/gateway"
    gateway=$outcome
else
    gateway='not run: mcp-keys does not build' status=1
fi

echo '=== summary'
echo "cargo test:   $rust"
echo "real clients: $clients"
echo "  by gateway: $gateway"
exit "$status"
