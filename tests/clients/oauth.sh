#!/usr/bin/env bash
# Connects the official SDKs by OAuth to the gateway, in front of a server on the official Python SDK: with
# their own providers, without a browser, and with a person who is played by a program.
#
# Usage: tests/clients/oauth.sh BINARY
#
# BINARY is mcp-keys; the example documents-server lies in the folder `examples` beside it.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/sdks.sh"

[[ $# -eq 1 ]] || die 'usage: tests/clients/oauth.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --bin mcp-keys --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

documents=$(dirname "$binary")/examples/documents-server
[[ -x $documents ]] || die "no program at $documents; build it with: cargo build --example documents-server --features full"

# serve NAME FLAG…: the gateway, where it was before if it was anywhere.
listen=127.0.0.1:0
serve() {
    local name=$1
    shift
    # With everything it logs, so that all of it can be searched for secrets.
    RUST_LOG=trace start "$name" "$binary" --store "$store" serve --listen "$listen" --route "notes=$upstream" \
        --read-only-tool echo --read-only-tool whoami --read-only-tool slow --path-keys --oauth "$@"
    listen=${url#http://}
    url=$url/notes/mcp
}

# ended: the gateway that was started last.
ended() {
    stop "$process"
    unset 'servers[-1]'
}

# connect STAGE: all clients, each with what it keeps between the stages.
connect() {
    local stage=$1 state=$work/kept python=(-B -E -s "$here/python/oauth.py" "$1")
    run_client "Python SDK 1.30: $stage" "$cache/python-1.30/bin/python" "${python[@]}" legacy "$state-1.30"
    run_client "Python SDK 2.3: $stage" "$cache/python-2.3/bin/python" "${python[@]}" auto "$state-2.3"
    run_client "Python SDK 2.3, older protocol: $stage" "$cache/python-2.3/bin/python" "${python[@]}" legacy "$state-2.3-legacy"
    run_client "TypeScript SDK 1.32: $stage" node "$cache/typescript/oauth1.mjs" "$stage" default "$state-1.32"
    run_client "TypeScript client 2.4: $stage" node "$cache/typescript/oauth2.mjs" "$stage" default "$state-2.4"
    run_client "TypeScript client 2.4, newer protocol: $stage" node "$cache/typescript/oauth2.mjs" "$stage" auto "$state-2.4-auto"
}

# check_tokens NAME…: no token that a client was given may stand in what these programs wrote.
check_tokens() {
    local name
    grep -ohE '(mcp_sk|mrt)_[0-9A-Za-z_]{30,}' "$work"/kept-* | sed -E 's/.*(.{12})$/\1/' | sort -u >"$work/parts"
    for name in "$@"; do
        if [[ ! -s $work/parts ]] || grep -qFf "$work/parts" "$work/$name.out" "$work/$name.err"; then
            echo "FAILED $name output: it holds a token, or there are none"
            failed=$((failed + 1))
        else
            echo "ok $name output holds no token"
            passed=$((passed + 1))
        fi
    done
}

prepare
store=sqlite://$work/keys.db
key=$("$binary" --store "$store" bootstrap ada </dev/null | grep -oE 'mcp_sk_[0-9A-Za-z]{38}' | head -n 1) ||
    die "$binary did not make the first admin"
export PERSON="node $here/typescript/person.mjs" DISCONNECT="$binary --store $store disconnect" ACCESS_SECONDS=3

start upstream "$cache/python-2.3/bin/python" -I "$here/python/server.py"
upstream=$url
# What the upstream itself says was written.
export NOTES=$upstream/notes

serve renewing --oauth-scope notes:read --oauth-access-lifetime "${ACCESS_SECONDS}s"
connect first
ended

serve patient --oauth-scope notes:read
connect return
run_client 'Python SDK 2.3 with a key, beside OAuth' "$cache/python-2.3/bin/python" -I "$here/python/client.py"
ended

serve demanding --require-scope notes:read --require-scope notes:write --denial-style http --admin-listen 0
for _ in {1..50}; do
    ADMIN_API=$(sed -n 's/^admin //p' "$work/demanding.out")/api/v1
    [[ $ADMIN_API == /api/v1 ]] || break
    sleep 0.1
done
[[ $ADMIN_API != /api/v1 ]] || die "$binary did not print its 'admin' line"
export ADMIN_API
connect more
connect cut
rm -f "$work"/kept-*
connect rights

note 'gateways and server'
for name in renewing patient demanding upstream; do
    check_output "$name"
done
check_tokens renewing patient demanding upstream

note 'programs that are known by a document'
rm -f "$work"/kept-*
start documents "$documents" --listen 127.0.0.1:0
read_key documents
DOCUMENT=$(sed -n 's/^document //p' "$work/documents.out")
export DOCUMENT
connect first
check_output documents
report demanding
