# shellcheck shell=bash
# The official conformance suite, for the scripts that run it. Sourced, after tests/clients/sdks.sh; sets
# `suite` (this folder), and `node` and `program` once it is prepared.

suite=$repository/tests/conformance

# The suite wants Node.js 22; where the one in PATH is older, npm brings one along.
prepare_suite() {
    prepare_folders
    need_node
    node=node
    local own=() major
    major=$(node -p 'parseInt(process.versions.node)')
    ((major < 22)) || own=(--omit=optional)
    install_npm conformance "$suite" "${own[@]}"
    if ((major < 22)); then
        node=$cache/conformance/node_modules/.bin/node
        "$node" --version >/dev/null 2>&1 ||
            die "the suite needs Node.js 22 or newer, this is $(command node -v), and npm has none for this system; put a newer node first in PATH"
    fi
    program=$cache/conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js
}
