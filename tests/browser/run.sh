#!/usr/bin/env bash
# Walks through the admin page, and then through the pages where people let a program connect, in a real
# browser, with the gateway and a small MCP server behind it.
# Pictures of the pages are left in target/browser.
#
# Usage: tests/browser/run.sh BINARY
#
# BINARY is mcp-keys.
set -euo pipefail

# A page that does not answer is known after 15 seconds. What takes longer than all pages together is
# Chromium or its driver, which hang now and then: once more then, from the beginning.
if [[ -z ${browser_patience:-} ]]; then
    status=0
    browser_patience=420 timeout --kill-after=20 420 "${BASH_SOURCE[0]}" "$@" || status=$?
    [[ $status == 124 || $status == 137 ]] || exit "$status"
    echo '== the browser hung and was ended; the pages are walked through once more'
fi

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/../clients/sdks.sh"

browser=$repository/tests/browser

[[ $# -eq 1 ]] || die 'usage: tests/browser/run.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --bin mcp-keys --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

prepare_folders
need_node
need_chromium
install_npm browser "$browser"
place "$cache/browser" "$browser/"*.mjs

pictures=$repository/target/browser
mkdir -p "$pictures"
rm -f "$pictures/"*.png

store=sqlite://$work/keys.db
key=$("$binary" --store "$store" bootstrap ada </dev/null | grep -oE 'mcp_sk_[0-9A-Za-z]{38}' | head -n 1) ||
    die "$binary did not make the first admin"

start upstream node "$browser/upstream.mjs"
upstream=$url
# With everything it logs, so that all of it can be searched for keys.
RUST_LOG=trace start gateway "$binary" --store "$store" serve --listen 127.0.0.1:0 \
    --admin-listen 127.0.0.1:0 --route "notes=$upstream"
admin=$(sed -n 's/^admin //p' "$work/gateway.out")
[[ -n $admin ]] || die 'the gateway did not print its "admin" line'
url=$url/notes/mcp

run_client 'The admin page in Chromium' node "$cache/browser/walk.mjs" \
    "$chromium" "$admin" "$upstream" "$pictures" "$work/profile" "$work/secrets"

store=sqlite://$work/connections.db
first=$("$binary" --store "$store" bootstrap ada </dev/null | grep -oE 'mcp_sk_[0-9A-Za-z]{38}' | head -n 1) ||
    die "$binary did not make the first admin"
key=$first
RUST_LOG=trace start connecting "$binary" --store "$store" serve --listen 127.0.0.1:0 \
    --route "notes=$upstream" --read-only-tool read_note --oauth --oauth-scope notes:read
url=$url/notes/mcp

run_client 'The consent page in Chromium' node "$cache/browser/consent.mjs" \
    "$chromium" "$upstream" "$pictures" "$work/profile" "$work/given"

note 'what the gateways wrote'
while read -r key; do
    check_output gateway
done < <(cat "$work/secrets" 2>/dev/null || true)
while read -r key; do
    check_output connecting
done < <(cat "$work/given" 2>/dev/null || true)
echo "pictures are in ${pictures#"$repository/"}"
report gateway
