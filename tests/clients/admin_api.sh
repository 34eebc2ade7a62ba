#!/usr/bin/env bash
# Asks the admin API of a gateway on SQLite whatever its OpenAPI document allows, and what it does not,
# with schemathesis.
#
# Usage: tests/clients/admin_api.sh BINARY
#
# BINARY is mcp-keys.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/sdks.sh"

[[ $# -eq 1 ]] || die 'usage: tests/clients/admin_api.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --bin mcp-keys --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

# How long it may take in seconds, how many requests of each kind are made up, and from which seed.
seconds=75 examples=8 seed=20260728

prepare_folders
need_python
install_python schemathesis schemathesis

store=sqlite://$work/keys.db
# No server is asked: what is asked for is the keys themselves.
start gateway "$binary" --store "$store" serve --listen 127.0.0.1:0 --upstream http://127.0.0.1:9 \
    --admin-listen 0
for _ in {1..50}; do
    admin=$(sed -n 's/^admin //p' "$work/gateway.out")
    [[ -z $admin ]] || break
    sleep 0.1
done
[[ -n $admin ]] || die "$binary did not print its 'admin' line"

note 'schemathesis'
status=0
# It leaves what it found in the folder that it runs in.
cd "$work"
ADMIN_API=$admin/api/v1 MCP_KEYS=$binary MCP_KEYS_STORE=$store PYTHONPATH=$here/python \
    SCHEMATHESIS_HOOKS=admin_api timeout "$((seconds + 30))" \
    "$cache/python-schemathesis/bin/st" --no-color --config-file "$here/schemathesis.toml" run \
    "$admin/api/v1/openapi.json" --phases examples,coverage,fuzzing,stateful \
    --max-examples "$examples" --max-time "$seconds" --seed "$seed" --workers 1 </dev/null >"$work/schemathesis.out" 2>&1 || status=$?
cat "$work/schemathesis.out"
# Each phase counts the operations, or for the stateful one the scenarios, that passed and failed.
count() {
    awk -v word="$1" '/^=+ .* =+$/ { exit } { for (i = 2; i <= NF; i++) if ($i == word) sum += $(i - 1) }
        END { print sum + 0 }' "$work/schemathesis.out"
}
passed=$(count passed) failed=$(count failed)
if ((status && !failed)); then
    echo "FAILED schemathesis: it ended with status $status"
    failed=1
fi

report gateway
