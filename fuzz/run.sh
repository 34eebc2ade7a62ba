#!/bin/sh
# Fuzzes every target for a while, from its seeds, and stops at the first fault: what was fed then is in
# fuzz/artifacts/. Works with stable Rust. Needs a C++ compiler; root gets it installed.
# Usage: fuzz/run.sh [SECONDS [TARGET…]]     (default: 20 seconds for each of all targets)
set -eu
cd "$(dirname "$0")"
seconds=${1:-20}
[ $# -eq 0 ] || shift
case $seconds in
    '' | *[!0-9]*) echo "fuzz: seconds must be a number: $seconds" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' Cargo.toml)

if ! command -v c++ >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ >/dev/null 2>&1 || {
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++
    } >/dev/null 2>&1 || true
fi
if ! command -v c++ >/dev/null; then
    echo "fuzz: a C++ compiler is missing (c++); install one with your package manager" >&2
    exit 1
fi

# What cargo-fuzz passes for coverage without a sanitizer. Checks of overflow stay on.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1"
cargo build --quiet --release --target "$host"

for name; do
    program=target/$host/release/$name
    if [ ! -x "$program" ]; then
        echo "fuzz: there is no target $name" >&2
        exit 2
    fi
    mkdir -p "corpus/$name" artifacts
    if ! "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
        -verbosity=0 -print_final_stats=1 -artifact_prefix="artifacts/$name-" \
        "corpus/$name" "seeds/$name" >"artifacts/$name.log" 2>&1; then
        cat "artifacts/$name.log"
        echo "fuzz: $name found a fault" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "artifacts/$name.log")
    echo "$name: $runs runs in $seconds s, no fault"
done
