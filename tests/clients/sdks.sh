# shellcheck shell=bash
# What the scripts with real clients share: installing them, running them against a server, and
# counting what they report. Sourced, with `set -euo pipefail`; sets `here` (this folder),
# `repository`, `work` and `cache`. The clients are installed once into a cache folder
# (MCP_KEYS_TEST_CACHE, by default target/clients) and used again until a pin changes.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
work='' servers=() key=''

die() {
    printf 'clients: %s\n' "$*" >&2
    exit 1
}

note() {
    printf '== %s\n' "$*"
}

# stop PROCESS: asks first; open streams may hold up a graceful shutdown.
stop() {
    kill "$1" 2>/dev/null || true
    for _ in {1..50}; do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# Called by the trap.
# shellcheck disable=SC2317
cleanup() {
    for server in "${servers[@]}"; do
        stop "$server"
    done
    [[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# apt_install PACKAGE…: false where this is not ours to do or does not work.
apt_install() {
    [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null || return 1
    note "installing $* with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq "$@"; } </dev/null >"$work/apt.out" 2>&1 ||
        { cat "$work/apt.out" >&2; return 1; }
}

need_python() {
    if ! command -v python3 >/dev/null || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3 python3-venv ||
            die 'Python 3 with venv is missing; install Python 3.10 or newer and its venv module (Debian: apt-get install python3-venv)'
    fi
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "the Python SDK needs Python 3.10 or newer, this is $(python3 -V); put a newer python3 first in PATH"
}

need_node() {
    local missing=()
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    if ((${#missing[@]})); then
        apt_install "${missing[@]}" ||
            die "missing: ${missing[*]}; install Node.js 20 or newer with npm (Debian: apt-get install nodejs npm)"
    fi
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ||
        die "the TypeScript clients need Node.js 20 or newer, this is $(node -v); put a newer node first in PATH"
}

# Sets chromium to the browser's program.
need_chromium() {
    local name
    for name in "${MCP_KEYS_TEST_CHROMIUM:-chromium}" chromium-browser google-chrome; do
        chromium=$(command -v "$name") && return
    done
    apt_install chromium ||
        die 'Chromium is missing; install it (Debian: apt-get install chromium), or name its program in MCP_KEYS_TEST_CHROMIUM'
    chromium=$(command -v chromium) || die 'Chromium was installed, and there is no program chromium'
}

# A stamp, written last, says what a folder was built from; a run cut short leaves none.
fresh() { # FOLDER STAMP
    [[ -f $1/stamp && $(<"$1/stamp") == "$2" ]]
}

install_python() { # NAME [MODULE]: what requirements-NAME.txt pins, with which MODULE is there
    local folder=$cache/python-$1 pins=$here/python/requirements-$1.txt module=${2:-mcp} stamp
    stamp=$(python3 -c 'import sys; print(sys.executable, sys.version)'; cat "$pins")
    if fresh "$folder" "$stamp" && "$folder/bin/python" -c "import $module" 2>/dev/null; then
        return
    fi
    note "installing ${pins#"$repository/"}"
    rm -rf "$folder"
    python3 -m venv "$folder" || die "cannot make a virtual environment in $folder (see above)"
    "$folder/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$pins" ||
        die "pip could not install $pins (see above); it needs the Python package registry, or a pip configuration that names a mirror"
    printf '%s\n' "$stamp" >"$folder/stamp"
}

# install_npm NAME FOLDER [ARGUMENT…]: what the lock file in FOLDER pins, to $cache/NAME.
install_npm() {
    local folder=$cache/$1 from=$2 stamp
    shift 2
    stamp=$(echo "$@"; cat "$from/package.json" "$from/package-lock.json")
    mkdir -p "$folder"
    if fresh "$folder" "$stamp"; then
        return
    fi
    note "installing ${from#"$repository/"}/package.json"
    rm -f "$folder/stamp"
    cp "$from/"{.npmrc,package.json,package-lock.json} "$folder/"
    (cd "$folder" && npm ci "$@" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error </dev/null) ||
        die "npm could not install $from/package.json (see above); it needs the npm registry, or an npm configuration that names a mirror"
    printf '%s\n' "$stamp" >"$folder/stamp"
}

# place FOLDER FILE…: copies what has changed, each file at once, since other scripts may be reading it.
place() {
    local folder=$1 file to
    shift
    for file; do
        to=$folder/$(basename "$file")
        cmp -s "$file" "$to" && continue
        cp "$file" "$to.$$" && mv "$to.$$" "$to"
    done
}

install_typescript() {
    install_npm typescript "$here/typescript"
    # Modules are looked up from where a program lies, so the programs lie beside node_modules.
    place "$cache/typescript" "$here/typescript/"*.mjs
}

# start NAME COMMAND…: runs a server in the background, its output in files named after it, until
# it has printed its line `listening URL`; sets process and url.
start() {
    local name=$1 how='did not print within 30 s'
    shift
    # The server's own redirections may come after the first look into these files.
    touch "$work/$name.out" "$work/$name.err"
    "$@" </dev/null >"$work/$name.out" 2>"$work/$name.err" &
    process=$!
    servers+=("$process")
    for _ in {1..300}; do
        url=$(sed -n 's/^listening //p' "$work/$name.out")
        [[ -z $url ]] || return 0
        kill -0 "$process" 2>/dev/null || { how='ended before it printed'; break; }
        sleep 0.1
    done
    sed -E 's/^(key|restricted) .*/\1 …/' "$work/$name.out" "$work/$name.err" >&2
    die "$1 $how its 'listening' line (what it wrote is above)"
}

# read_key NAME: sets key to what the server named so shows in its line `key KEY`.
read_key() {
    for _ in {1..50}; do
        key=$(sed -n 's/^key //p' "$work/$1.out")
        [[ -z $key ]] || return 0
        sleep 0.1
    done
    die "$1 did not print its 'key' line"
}

passed=0 failed=0

run_client() { # NAME COMMAND…
    local name=$1 out=$work/client.out status=0 last
    shift
    note "$name"
    if ! kill -0 "$process" 2>/dev/null; then
        echo "FAILED $name: the server is no longer running"
        failed=$((failed + 1))
        return
    fi
    "$@" "$url" "$key" </dev/null | tee "$out" || status=$?
    last=$(tail -n 1 "$out")
    passed=$((passed + $(grep -c '^ok ' "$out" || true)))
    failed=$((failed + $(grep -c '^FAILED ' "$out" || true)))
    if [[ ! $last =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]] || { ((status)) && ! grep -q '^FAILED ' "$out"; }; then
        echo "FAILED $name: it ended early, with status $status"
        failed=$((failed + 1))
    fi
}

# No eight characters in a row of the secret part may reach what the server writes, other than in
# the lines that are there to show the key.
check_output() { # NAME
    local secret=${key: -30:24} at
    for ((at = 0; at <= 16; at++)); do
        printf '%s\n' "${secret:at:8}"
    done >"$work/parts"
    if grep -vE '^(key|restricted|curl) ' "$work/$1.out" | cat - "$work/$1.err" | grep -qFf "$work/parts"; then
        echo "FAILED $1 output: it holds a part of the key's secret"
        failed=$((failed + 1))
    else
        echo "ok $1 output holds no part of the secret"
        passed=$((passed + 1))
    fi
}

prepare_folders() {
    cache=${MCP_KEYS_TEST_CACHE:-$repository/target/clients}
    mkdir -p "$cache" || die "cannot make the cache folder $cache; name another in MCP_KEYS_TEST_CACHE"
    cache=$(cd "$cache" && pwd)
    [[ -n $work ]] || work=$(mktemp -d)
}

prepare() { # Everything that the clients need.
    prepare_folders
    need_python
    need_node
    install_python 1.30
    install_python 2.3
    install_typescript
}

run_clients() { # Against url, with key.
    run_client 'Python SDK 1.30' "$cache/python-1.30/bin/python" -I "$here/python/client.py"
    run_client 'Python SDK 2.3' "$cache/python-2.3/bin/python" -I "$here/python/client.py"
    run_client 'TypeScript SDK 1.32' node "$cache/typescript/sdk1.mjs"
    run_client 'TypeScript client 2.4' node "$cache/typescript/client2.mjs"
}

report() { # NAME of the server whose last words help
    if ((failed)); then
        note 'the end of what the server wrote to standard error'
        tail -n 40 "$work/$1.err"
    fi
    echo "$passed passed, $failed failed"
    ((failed == 0 && passed > 0))
}
