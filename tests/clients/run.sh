#!/usr/bin/env bash
# Runs the real client SDKs against a server that wants a key.
#
# Usage: tests/clients/run.sh BINARY
#
# BINARY is the quickstart example.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/sdks.sh"

[[ $# -eq 1 ]] || die 'usage: tests/clients/run.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --example quickstart --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

prepare
start server "$binary" --listen 127.0.0.1:0 --store memory
read_key server
run_clients
note 'server'
check_output server
report server
