#!/usr/bin/env bash
# Runs the real client SDKs against the gateway in front of a server on the official Python SDK, and
# tries to get around the rules of a key there.
#
# Usage: tests/clients/gateway.sh BINARY
#
# BINARY is mcp-keys.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/sdks.sh"

[[ $# -eq 1 ]] || die 'usage: tests/clients/gateway.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --bin mcp-keys --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

# create_key OPTION…: prints a key for the server notes. In clear it is the one word of the answer
# that looks like one.
create_key() {
    "$binary" --store "$store" create --name clients --server notes --scope '*' "$@" </dev/null |
        grep -oE 'mcp_sk_[0-9A-Za-z]{38}' | head -n 1 ||
        die "$binary did not create a key"
}

# bypass VERSION KIND KEY: tries to get around the rules of the key, which are of that kind, in front of
# that SDK.
bypass() {
    local runs=$work/runs-$1-$2
    start "counting-$1-$2" "$cache/python-$1/bin/python" -I "$here/python/bypass_server.py" "$runs"
    start "gateway-$1-$2" "$binary" --store "$store" serve --listen 127.0.0.1:0 \
        --route "notes=$url" --read-only-tool read_note
    url=$url/notes/mcp key=$3
    run_client "Ways around the rules of a $2 key, to the Python SDK $1" \
        "$cache/python-$1/bin/python" -I "$here/python/bypass.py" "$runs" "$free"
}

prepare
store=sqlite://$work/keys.db
free=$(create_key)
key=$free

start upstream "$cache/python-2.3/bin/python" -I "$here/python/server.py"
upstream=$url
# With everything it logs, so that all of it can be searched for the key.
RUST_LOG=trace start gateway "$binary" --store "$store" serve --listen 127.0.0.1:0 \
    --route "notes=$upstream" --path-keys
url=$url/notes/mcp
run_clients
note 'gateway and server'
check_output gateway
check_output upstream

reader=$(create_key --read-only)
ruled=$(create_key --allow-tool read_note)
for version in 1.30 2.3; do
    bypass "$version" read-only "$reader"
    bypass "$version" ruled "$ruled"
done
report gateway
