#!/bin/sh
# Holds the instructions of a request to benches/budget.txt, give or take three in a hundred.
# Needs valgrind; root gets it installed. `--write` prints a new budget instead of comparing.
set -eu
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq valgrind >/dev/null 2>&1 || {
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq valgrind
    } >/dev/null 2>&1 || true
fi
if ! command -v valgrind >/dev/null; then
    echo "budget: valgrind is missing, so nothing was counted; install it with your package manager" >&2
    exit 1
fi

cases="bare ours ours_limit_headers ours_no_limit ours_malformed ours_unknown"
# shellcheck disable=SC2086
counts=$(cargo bench --quiet --features testing --bench peers -- --quick --only-counts $cases)

if [ "${1:-}" = --write ]; then
    sed -n '/^#/p' benches/budget.txt
    echo "$counts"
    exit
fi

echo "$counts" | awk '
    FILENAME != "-" { if ($0 !~ /^#/ && NF == 2) budget[$1] = $2; next }
    { counted[$1] = $2 }
    END {
        for (name in budget) {
            if (!(name in counted)) { print name ": not counted"; bad = 1; continue }
            ratio = counted[name] / budget[name]
            verdict = ratio > 1.03 ? "TOO MANY" : ratio < 0.97 ? "fewer: lower the budget" : "ok"
            printf "%-24s %8d of %8d  %.3f  %s\n", name, counted[name], budget[name], ratio, verdict
            if (ratio > 1.03) bad = 1
            seen++
        }
        if (!seen) { print "budget.txt holds no case"; bad = 1 }
        exit bad
    }' benches/budget.txt -
