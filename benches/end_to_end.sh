#!/bin/sh
# A server over HTTP/1.1 on loopback, with the layer and without: requests a second, processor time
# for each request, and the 99th percentile of latency, as ratios of rounds that take turns.
#
# usage: benches/end_to_end.sh [ROUNDS [SECONDS]]      (default: 9 rounds of 3 seconds each)
#
# The server has core 0 to itself, the load core 1, so two quiet cores are needed. The load is made
# by wrk or oha, or without them by the client in benches/end_to_end.rs, and it says which. Everything
# ends by itself; what was started is stopped by its process id.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-9}
seconds=${2:-3}
connections=32

for tool in taskset awk getconf; do
    command -v "$tool" >/dev/null || { echo "end_to_end: $tool is missing" >&2; exit 1; }
done
[ "$(getconf _NPROCESSORS_ONLN)" -ge 2 ] || { echo "end_to_end: two cores are needed" >&2; exit 1; }

if command -v wrk >/dev/null; then load=wrk
elif command -v oha >/dev/null; then load=oha
else load=own; fi
case $load in
    own) echo "neither wrk nor oha is installed: the load comes from the benchmark's own client" ;;
    *) echo "the load comes from $load" ;;
esac

program=$(cargo bench --quiet --features full --bench end_to_end --no-run --message-format=json |
    sed -n 's/.*"name":"end_to_end".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$program" ] || { echo "end_to_end: the server was not built" >&2; exit 1; }

folder=$(mktemp -d)
children=
cleanup() {
    for child in $children; do kill "$child" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap cleanup EXIT INT TERM

# No round may take longer than this, whatever happens.
most=$((rounds * (seconds + 3) * 2 + 60))
for which in bare ours; do
    taskset -c 0 "$program" --serve "$which" --for "$most" >"$folder/$which" &
    eval "pid_$which=$!"
    children="$children $!"
done
for which in bare ours; do
    tries=0
    until [ -s "$folder/$which" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { echo "end_to_end: no server" >&2; exit 1; }
        sleep 0.1
    done
done

ticks=$(getconf CLK_TCK)
# Processor time of a process so far, in ticks; its name holds no blanks.
spent() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# Prints requests a second and the 99th percentile in microseconds.
make_load() {
    port=$1 key=$2 time=$3
    case $load in
        wrk)
            taskset -c 1 wrk -t1 -c$connections -d"${time}s" --latency \
                -H "Authorization: Bearer $key" "http://127.0.0.1:$port/mcp" |
                awk '/Requests\/sec/ { rate = $2 }
                     $1 == "99%" {
                         late = $2 + 0
                         if ($2 ~ /ms$/) late *= 1000; else if ($2 ~ /[0-9]s$/) late *= 1000000
                     }
                     /Non-2xx/ { exit 1 }
                     END { print rate, late }' ;;
        oha)
            taskset -c 1 oha --no-tui -c $connections -z "${time}s" \
                -H "Authorization: Bearer $key" "http://127.0.0.1:$port/mcp" |
                awk '/Requests\/sec/ { rate = $2 }
                     $1 == "99.00%" { late = $3 * ($4 ~ /^ms/ ? 1000 : 1000000) }
                     END { print rate, late }' ;;
        own) taskset -c 1 "$program" --load "$port" "$key" --for "$time" ;;
    esac
}

round=0
while [ "$round" -le "$rounds" ]; do
    for which in bare ours; do
        eval "pid=\$pid_$which"
        read -r port key <"$folder/$which"
        before=$(spent "$pid")
        result=$(make_load "$port" "$key" "$seconds")
        after=$(spent "$pid")
        # The first round warms up.
        [ "$round" -eq 0 ] || echo "$round $which $result $((after - before))" >>"$folder/results"
    done
    round=$((round + 1))
done

awk -v ticks="$ticks" -v seconds="$seconds" '
    function sorted(values, n,    i, j, t) {
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && values[j - 1] > values[j]; j--) {
                t = values[j]; values[j] = values[j - 1]; values[j - 1] = t
            }
    }
    function quantile(values, n, part) { return values[int(part * (n - 1) + 1.5)] }
    function judge(name, values, n, target, above,    m, ok) {
        sorted(values, n)
        m = quantile(values, n, 0.5)
        ok = above ? m >= target : m <= target
        printf "%-22s %6.3f  [%.3f..%.3f]  %s %.2f  %s\n", name, m, quantile(values, n, 0.25),
            quantile(values, n, 0.75), above ? "at least" : "at most ", target, ok ? "yes" : "no"
    }
    { rate[$2, $1] = $3; late[$2, $1] = $4; cpu[$2, $1] = $5 / ticks * 1e6 / ($3 * seconds); n = $1 }
    END {
        printf "%5s %12s %12s %10s %10s %10s %10s\n", "round", "bare_rps", "ours_rps", "bare_us",
            "ours_us", "bare_p99", "ours_p99"
        for (r = 1; r <= n; r++) {
            printf "%5d %12.0f %12.0f %10.2f %10.2f %10.0f %10.0f\n", r, rate["bare", r],
                rate["ours", r], cpu["bare", r], cpu["ours", r], late["bare", r], late["ours", r]
            rates[r] = rate["ours", r] / rate["bare", r]
            cpus[r] = cpu["ours", r] / cpu["bare", r]
            lates[r] = late["ours", r] / late["bare", r]
        }
        print "\nS6: medians and quartiles of the ratios of rounds, with the layer over without"
        judge("throughput", rates, n, 0.97, 1)
        judge("processor time", cpus, n, 1.05, 0)
        judge("99th percentile", lates, n, 1.10, 0)
    }' "$folder/results"
