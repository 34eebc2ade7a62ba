#!/usr/bin/env bash
# Runs a signing client of the Python standard library against a server that wants signatures.
#
# Usage: tests/clients/signing.sh BINARY
#
# BINARY is the signed_client example.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/sdks.sh"

[[ $# -eq 1 ]] || die 'usage: tests/clients/signing.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --example signed_client --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

work=$(mktemp -d)
command -v python3 >/dev/null || apt_install python3 ||
    die 'Python 3 is missing; install it (Debian: apt-get install python3)'
start server "$binary" --listen 127.0.0.1:0
for _ in {1..50}; do
    key=$(sed -n 's/^key //p' "$work/server.out")
    [[ -z $key ]] || break
    sleep 0.1
done
[[ -n $key ]] || die "$binary did not print its 'key' line"
run_client 'Python signer' python3 -I "$here/python/signer.py"
note 'server'
check_output server
report server
