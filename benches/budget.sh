#!/bin/sh
# Holds the instructions of a request to benches/budget.txt, at most five in a hundred more: those of a
# build for tests, which is there already where the tests have run, or with `--release` those of a build
# as services are shipped, which takes its time. Needs valgrind; root gets it installed.
# Usage: benches/budget.sh [--release] [--write]     `--write` prints a new column instead of comparing.
set -eu
cd "$(dirname "$0")/.."

column=2 profile='--profile dev' write=''
for argument; do
    case $argument in
        --release) column=3 profile='' ;;
        --write) write=1 ;;
        *) echo "budget: usage: benches/budget.sh [--release] [--write]" >&2; exit 2 ;;
    esac
done

if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq valgrind >/dev/null 2>&1 || {
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq valgrind
    } >/dev/null 2>&1 || true
fi
if ! command -v valgrind >/dev/null; then
    echo "budget: valgrind is missing, so nothing was counted; install it with your package manager" >&2
    exit 1
fi

# As `.ci/run` builds it: what is built to be changed again is divided otherwise, and counts otherwise.
export CARGO_INCREMENTAL=0

cases="bare ours ours_limit_headers ours_no_limit ours_malformed ours_unknown"
# shellcheck disable=SC2086
counts=$(cargo bench --quiet $profile --features full --bench peers -- --quick --only-counts $cases)

if [ -n "$write" ]; then
    echo "$counts"
    exit
fi

echo "$counts" | awk -v column="$column" '
    FILENAME != "-" { if ($0 !~ /^#/ && NF == 3) budget[$1] = $column; next }
    { counted[$1] = $2 }
    END {
        for (name in budget) {
            if (!(name in counted)) { print name ": not counted"; bad = 1; continue }
            ratio = counted[name] / budget[name]
            verdict = ratio > 1.05 ? "TOO MANY" : ratio < 0.95 ? "fewer: lower the budget" : "ok"
            printf "%-24s %8d of %8d  %.3f  %s\n", name, counted[name], budget[name], ratio, verdict
            if (ratio > 1.05) bad = 1
            seen++
        }
        if (!seen) { print "budget.txt holds no case"; bad = 1 }
        exit bad
    }' benches/budget.txt -
