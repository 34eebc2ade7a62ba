#!/usr/bin/env bash
# A private PostgreSQL and a private Redis (or Valkey) for the tests: each with its data in a temporary
# folder (in memory if there is room), on a free port of the loopback interface, stopped by its own
# process id.
#
#   tests/services.sh COMMAND...       starts them, runs the command, stops them
#   source tests/services.sh           gives start_services FOLDER and stop_services
#
# DATABASE_URL, REDIS_URL and MCP_KEYS_REQUIRE_SERVICES=1 are exported. An address that is set already is
# used as it is, and nothing is started for it. PgBouncer is installed where PostgreSQL is started; a test
# starts it. Missing packages are installed with apt-get by root;
# whoever is not root is told what is missing.

services_postgres_folder='' services_postgres_data='' services_postgres_bin='' services_redis_pid=''
services_as=()

services_fail() {
    echo "services: $1" >&2
    return 1
}

# services_install PROGRAM PACKAGE...: installs the first package that there is.
services_install() {
    local program=$1 package
    shift
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        for package in "$@"; do
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$package" >/dev/null 2>&1 && return
        done
        apt-get update -q >/dev/null 2>&1 || true
        for package in "$@"; do
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$package" >/dev/null 2>&1 && return
        done
    fi
    services_fail "$program is missing; install one of the packages $*"
}

services_port() {
    echo $((20000 + RANDOM % 12000))
}

# The folder of the newest PostgreSQL's programs. Debian keeps them out of PATH.
services_postgres_programs() {
    local program
    program=$(command -v initdb) ||
        program=$(find /usr/lib/postgresql/*/bin -name initdb 2>/dev/null | sort -V | tail -n 1)
    [[ -n $program ]] && dirname "$(readlink -f "$program")"
}

services_start_postgres() {
    local folder port attempt user
    if ! services_postgres_bin=$(services_postgres_programs); then
        services_install postgres postgresql || return 1
        services_postgres_bin=$(services_postgres_programs) ||
            services_fail 'initdb is missing though PostgreSQL is installed' || return 1
    fi
    # In memory, where there is room: every commit waits for the disk.
    if [[ -w /dev/shm && $(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1) -gt 2000000 ]]; then
        services_postgres_folder=$(mktemp -d /dev/shm/mcp-keys-tests-XXXXXX)
    else
        services_postgres_folder=$(mktemp -d "$1/postgres-XXXXXX")
    fi
    if ! PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null; then
        services_install pgbouncer pgbouncer || return 1
    fi
    folder=$services_postgres_folder
    # PostgreSQL refuses to run as root.
    services_as=()
    if [[ $(id -u) == 0 ]]; then
        user=nobody
        id postgres >/dev/null 2>&1 && user=postgres
        chmod a+x "$1"
        chown "$user" "$folder"
        services_as=(runuser -u "$user" --)
    fi
    services_postgres_data=$folder/data
    # What is lost with the machine may be lost; only `fsync` stays on, which the store asks for.
    (cd "$folder" && "${services_as[@]}" "$services_postgres_bin/initdb" -D "$services_postgres_data" \
        -U mcp_keys -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1) || {
        cat "$folder/initdb.log" >&2
        services_fail 'initdb failed' || return 1
    }
    cat >>"$services_postgres_data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
max_connections = 200
full_page_writes = off
logging_collector = off
CONF
    for attempt in 1 2 3 4 5 6 7 8; do
        port=$(services_port)
        # Its output must not keep a pipe of the caller open.
        if (cd "$folder" && "${services_as[@]}" "$services_postgres_bin/pg_ctl" -D "$services_postgres_data" \
            -w -t 30 -s -l "$folder/log" -o "-p $port" start >/dev/null 2>&1 </dev/null); then
            export DATABASE_URL=postgres://mcp_keys@127.0.0.1:$port/postgres
            return
        fi
        grep -q 'could not bind' "$folder/log" || break
    done
    services_postgres_data=''
    cat "$folder/log" >&2
    services_fail "PostgreSQL did not start (attempt $attempt)"
}

# Whether the server at a port is the process with this id, and answers.
services_redis_answers() {
    local port=$1 pid=$2 line
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'INFO server\r\nQUIT\r\n' >&3
    while IFS= read -r -t 2 line <&3; do
        if [[ ${line%$'\r'} == "process_id:$pid" ]]; then
            exec 3>&-
            return 0
        fi
    done
    exec 3>&-
    return 1
}

services_start_redis() {
    local folder=$1/redis server port attempt
    server=$(command -v redis-server || command -v valkey-server || true)
    if [[ -z $server ]]; then
        services_install redis-server redis-server valkey-server || return 1
        server=$(command -v redis-server || command -v valkey-server) ||
            services_fail 'redis-server is missing though it is installed' || return 1
    fi
    mkdir -p "$folder"
    for attempt in 1 2 3 4 5 6 7 8; do
        port=$(services_port)
        "$server" --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' --appendonly no \
            --daemonize no >"$folder/log" 2>&1 </dev/null &
        services_redis_pid=$!
        for _ in {1..50}; do
            kill -0 "$services_redis_pid" 2>/dev/null || break
            if services_redis_answers "$port" "$services_redis_pid" 2>/dev/null; then
                export REDIS_URL=redis://127.0.0.1:$port
                return
            fi
            sleep 0.1
        done
        kill "$services_redis_pid" 2>/dev/null || true
        services_redis_pid=''
    done
    cat "$folder/log" >&2
    services_fail "$server did not start (attempt $attempt)"
}

# start_services FOLDER: starts what has no address yet, with its data in the folder.
start_services() {
    if [[ -z ${DATABASE_URL:-} ]]; then
        services_start_postgres "$1" || return 1
    fi
    if [[ -z ${REDIS_URL:-} ]]; then
        services_start_redis "$1" || return 1
    fi
    # A test that needs one of them fails rather than skip itself.
    export MCP_KEYS_REQUIRE_SERVICES=1
}

stop_services() {
    if [[ -n $services_postgres_data ]]; then
        (cd / && "${services_as[@]}" "$services_postgres_bin/pg_ctl" -D "$services_postgres_data" \
            -m immediate -w -s stop >/dev/null 2>&1) || true
        services_postgres_data=''
    fi
    if [[ -n $services_postgres_folder ]]; then
        rm -rf "$services_postgres_folder"
        services_postgres_folder=''
    fi
    if [[ -n $services_redis_pid ]]; then
        kill "$services_redis_pid" 2>/dev/null || true
        wait "$services_redis_pid" 2>/dev/null || true
        services_redis_pid=''
    fi
}

# Run, not sourced.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -euo pipefail
    if (($# == 0)); then
        echo "usage: tests/services.sh COMMAND..." >&2
        exit 2
    fi
    services_folder=$(mktemp -d)
    # Called by the trap.
    # shellcheck disable=SC2317
    services_end() {
        stop_services
        rm -rf "$services_folder"
    }
    trap services_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    start_services "$services_folder"
    echo "services: $DATABASE_URL $REDIS_URL" >&2
    "$@"
fi
