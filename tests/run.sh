#!/usr/bin/env bash
# Runs every test: the crate's own, then the real client SDKs against the quickstart example, then a
# signing client of Python's standard library against the signed_client example.
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

rust=failed clients='not run' signing='not run' status=0

start_private_services

echo '=== cargo test'
if cargo test --features full | tee "$work/rust"; then
    rust=passed
else
    status=1
fi
rust+=$(awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf " (%d passed, %d failed, %d ignored)", passed, failed, ignored }' "$work/rust")

echo '=== real clients'
# cargo test has built the example already, with the same features and profile.
if cargo build --example quickstart --features full; then
    if tests/clients/run.sh "$target/debug/examples/quickstart" | tee "$work/clients"; then
        clients=passed
    else
        clients=failed status=1
    fi
    if [[ $(tail -n 1 "$work/clients") =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
        clients+=" (${BASH_REMATCH[0]})"
    fi
else
    clients='not run: the quickstart example does not build' status=1
fi

echo '=== signing client'
if cargo build --example signed_client --features full; then
    if tests/clients/signing.sh "$target/debug/examples/signed_client" | tee "$work/signing"; then
        signing=passed
    else
        signing=failed status=1
    fi
    if [[ $(tail -n 1 "$work/signing") =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
        signing+=" (${BASH_REMATCH[0]})"
    fi
else
    signing='not run: the signed_client example does not build' status=1
fi

echo '=== summary'
echo "cargo test:     $rust"
echo "real clients:   $clients"
echo "signing client: $signing"
exit "$status"
