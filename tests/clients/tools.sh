#!/usr/bin/env bash
# Runs the real client SDKs against a server whose keys may call different tools.
#
# Usage: tests/clients/tools.sh BINARY
#
# BINARY is the mcp_tools example.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/sdks.sh"

[[ $# -eq 1 ]] || die 'usage: tests/clients/tools.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --example mcp_tools --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

# Sets key to what the clients take for all keys: `name=key,…`.
read_keys() { # NAME of the server
    for _ in {1..50}; do
        key=$(sed -nE 's/^key ([a-z]+) (mcp_sk_[0-9A-Za-z]{38})$/\1=\2/p' "$work/$1.out" | paste -sd, -)
        [[ $key != *=*,*=*,*=*,*=* ]] || return 0
        sleep 0.1
    done
    die "$1 did not print its four 'key' lines"
}

runs=0

# Each client has a server of its own, so that none finds a limit used up by another one.
run_tools() { # NAME COMMAND…
    runs=$((runs + 1))
    start "server$runs" "$binary" --listen 127.0.0.1:0
    read_keys "server$runs"
    run_client "$@"
    stop "$process"
    unset 'servers[-1]'
}

prepare
# Not isolated, since it takes what it shares from the program beside it.
python=(-B -E -s "$here/python/tools.py")
run_tools 'Python SDK 1.30' "$cache/python-1.30/bin/python" "${python[@]}" legacy
run_tools 'Python SDK 2.3' "$cache/python-2.3/bin/python" "${python[@]}" auto
run_tools 'Python SDK 2.3, older protocol' "$cache/python-2.3/bin/python" "${python[@]}" legacy
run_tools 'TypeScript SDK 1.32' node "$cache/typescript/tools1.mjs" default
run_tools 'TypeScript client 2.4' node "$cache/typescript/tools2.mjs" default
run_tools 'TypeScript client 2.4, newer protocol' node "$cache/typescript/tools2.mjs" auto
report "server$runs"
