#!/usr/bin/env bash
# Runs the official MCP conformance suite against a server as it is and through the gateway, and
# compares the results as run.sh does.
#
# Usage: tests/conformance/gateway.sh BINARY
#
# BINARY is mcp-keys; the example conformance-server lies in the folder `examples` beside it.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/../clients/sdks.sh"

[[ $# -eq 1 ]] || die 'usage: tests/conformance/gateway.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --bin mcp-keys --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
server=$(dirname "$binary")/examples/conformance-server
[[ -x $server ]] || die "no program at $server; build it with: cargo build --example conformance-server --features full"

prepare_folders
store=sqlite://$work/keys.db
key=$("$binary" --store "$store" create --name conformance --server conf </dev/null |
    grep -oE 'mcp_sk_[0-9A-Za-z]{38}' | head -n 1) ||
    die "$binary did not create a key"
# Two of them, so that one run does not see what the other one does.
start bare "$server" --listen 127.0.0.1:0
bare=$url
start upstream "$server" --listen 127.0.0.1:0
# With everything it logs, so that all of it can be searched for the key.
RUST_LOG=trace start gateway "$binary" --store "$store" serve --listen 127.0.0.1:0 \
    --route "conf=$url/bare/mcp" --path-keys

out=$work/compared
"$repository/tests/conformance/run.sh" "$bare/bare/mcp" "$url/conf/mcp/$key" | tee "$out" || true
if [[ $(tail -n 1 "$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
else
    die 'the suite ended early'
fi
note 'gateway'
check_output gateway
report gateway
