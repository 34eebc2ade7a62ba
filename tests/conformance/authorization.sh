#!/usr/bin/env bash
# Runs the `authorization` command of the official MCP conformance suite against the gateway's
# authorization server, at all revisions. The person at the browser is played by a program.
#
# Usage: tests/conformance/authorization.sh BINARY
#
# BINARY is mcp-keys.
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/../clients/sdks.sh"
# shellcheck source=tests/conformance/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"

[[ $# -eq 1 ]] || die 'usage: tests/conformance/authorization.sh BINARY'
[[ -x $1 && ! -d $1 ]] || die "no program at $1; build it with: cargo build --bin mcp-keys --features full"
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

revisions=(2025-03-26 2025-06-18 2025-11-25 2026-07-28)
# In seconds, for one run of the suite. It takes one or two.
limit=60

# free_port: one that nothing listens on.
free_port() {
    node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => {
        console.log(s.address().port); s.close(); });'
}

# register CALLBACK: the id of a client that may be sent back there.
register() {
    node -e '
        const [endpoint, callback] = process.argv.slice(1);
        fetch(endpoint, { method: "POST", headers: { "content-type": "application/json" },
            body: JSON.stringify({ client_name: "conformance", redirect_uris: [callback],
                token_endpoint_auth_method: "none" }) })
            .then(async (answer) => answer.ok ? answer.json() : Promise.reject(new Error(await answer.text())))
            .then((client) => console.log(client.client_id));' "$1" "$2"
}

# run_suite NAME OPTION…: leaves what the suite found in $work/NAME.
run_suite() {
    local name=$1 log=$work/$1.log asked='' callback
    shift
    "$node" "$program" authorization --url "$issuer" --client-id "$client" --port "$port" \
        --output-dir "$work/$name" "$@" </dev/null >"$log" 2>&1 &
    local process=$!
    servers+=("$process")
    for ((waited = 0; waited < limit * 10; waited++)); do
        kill -0 "$process" 2>/dev/null || break
        if [[ -z $asked ]]; then
            asked=$(grep -m 1 -osE '^https?://[^ ]*[?&]code_challenge=.*' "$log" || true)
            if [[ -n $asked ]]; then
                callback=$(PERSON_KEY=$key node "$here/typescript/person.mjs" "$asked") &&
                    node -e 'fetch(process.argv[1])' "$callback" ||
                    echo "    the person did not come back"
            fi
        fi
        sleep 0.1
    done
    if kill -0 "$process" 2>/dev/null; then
        echo "FAILED $name: the suite did not end within $limit s"
        failed=$((failed + 1))
        stop "$process"
    fi
    # Its status says no more than the results do.
    wait "$process" || true
    unset 'servers[-1]'
    "$node" "$suite/authorization.mjs" "$name" "$work/$name" >"$work/judged" ||
        { cat "$log" >&2; die "cannot read the results (see above)"; }
    cat "$work/judged"
    passed=$((passed + $(grep -c '^ok ' "$work/judged" || true)))
    failed=$((failed + $(grep -c '^FAILED ' "$work/judged" || true)))
}

prepare_suite
store=sqlite://$work/keys.db
key=$("$binary" --store "$store" bootstrap ada </dev/null | grep -oE 'mcp_sk_[0-9A-Za-z]{38}' | head -n 1) ||
    die "$binary did not make the first admin"
# Nothing is asked of the server behind: it need not be there.
RUST_LOG=trace start gateway "$binary" --store "$store" serve --listen 127.0.0.1:0 \
    --route notes=http://127.0.0.1:9 --oauth --oauth-scope notes:read --oauth-client-documents '*'
issuer=$url
port=$(free_port)
client=$(register "$issuer/oauth/register" "http://127.0.0.1:$port/callback")

for revision in "${revisions[@]}"; do
    note "conformance suite, authorization, revision $revision"
    run_suite "$revision" --spec-version "$revision" --resource "$issuer/notes/mcp"
done
note 'conformance suite, authorization, without a resource'
run_suite unnamed
note 'gateway'
check_output gateway
report gateway
