#!/usr/bin/env bash
# CPU and memory of the whole daemon at 1 Hz with the shipped rules, everything on and no page open, beside node_exporter +
# process-exporter + Prometheus + Alertmanager doing the same over the same seconds. Prints the table of docs/performance.md.
# Loopback only; ends by itself.
#
#   cargo build --release && bash benches/whole-daemon.sh [SECONDS, default 120]
#
# WARMUP gives the seconds before (default 30), WATCHFIRE another binary, PROCESSES how many are to be present (default 300).
# PAGE=10 adds a last line: the same with a stream that follows at so many samples a second. PROFILE=no leaves the CPU profile out.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/load/common.sh
need prometheus prometheus-node-exporter prometheus-process-exporter prometheus-alertmanager
seconds=${1:-120}
warmup=${WARMUP:-30}
processes=${PROCESSES:-300}

# The share of a core that CPU times before and after make.
share() { awk -v d=$(($2 - $1)) -v s="${3:-$seconds}" 'BEGIN {printf "%.2f", d / s / 1e7}'; }
ratio() { awk -v a=$(($2 - $1)) -v b=$(($4 - $3)) 'BEGIN {printf "%.1f", b / (a > 0 ? a : 1)}'; }

# Processes that sleep: 30 of them in three worker groups, the rest so that enough are present.
present=$(ls /proc | grep -c '^[0-9]')
lasting=$((warmup + seconds * 2 + 300))
for i in $(seq 30); do (exec -a "wf-worker-$((i % 3))" sleep "$lasting") & pids+=($!); done
for _ in $(seq $((processes - present - 30))); do sleep "$lasting" & pids+=($!); done

wf_port=$(port); ne=$(port); pe=$(port); pr=$(port); am=$(port)
cat > "$dir/watchfire.yml" <<YAML
workers:
  groups:
    - {name: bench-0, cmdline: ['wf-worker-0']}
    - {name: bench-1, cmdline: ['wf-worker-1']}
    - {name: bench-2, cmdline: ['wf-worker-2']}
YAML
cat > "$dir/process-exporter.yml" <<YAML
process_names:
  - {name: bench-0, cmdline: ['wf-worker-0']}
  - {name: bench-1, cmdline: ['wf-worker-1']}
  - {name: bench-2, cmdline: ['wf-worker-2']}
YAML
cat > "$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ['$PWD/rules/*.yml']
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:$am']}]}]}
scrape_configs:
  - {job_name: node, static_configs: [{targets: ['127.0.0.1:$ne']}]}
  - {job_name: worker, static_configs: [{targets: ['127.0.0.1:$pe']}]}
YAML
echo '{route: {receiver: none}, receivers: [{name: none}]}' > "$dir/alertmanager.yml"

"$binary" --config.file="$dir/watchfire.yml" --web.listen-address="127.0.0.1:$wf_port" \
  --storage.path="$dir/watchfire" > "$dir/watchfire.log" 2>&1 & wf=$!
pids+=("$wf")
prometheus-node-exporter --web.listen-address="127.0.0.1:$ne" > "$dir/ne.log" 2>&1 & a=$!
prometheus-process-exporter -config.path "$dir/process-exporter.yml" -web.listen-address "127.0.0.1:$pe" > "$dir/pe.log" 2>&1 & p=$!
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/prometheus" \
  --web.listen-address="127.0.0.1:$pr" > "$dir/prometheus.log" 2>&1 & b=$!
prometheus-alertmanager --config.file="$dir/alertmanager.yml" --storage.path="$dir/am" --cluster.listen-address= \
  --web.listen-address="127.0.0.1:$am" > "$dir/am.log" 2>&1 & c=$!
pids+=("$a" "$p" "$b" "$c")

url=http://127.0.0.1:$wf_port
up "$url/-/ready"
for peer in "$ne/metrics" "$pe/metrics" "$pr/-/ready" "$am/-/ready"; do up "http://127.0.0.1:$peer"; done
# value URL QUERY: the one number that it answers.
value() {
  curl -s --max-time 20 --data-urlencode "query=$2" "$1/api/v1/query" \
    | python3 -c 'import json, sys; r = json.load(sys.stdin)["data"]["result"]; print(r[0]["value"][1] if r else 0)'
}

sleep "$warmup"
before=($(cpu "$wf") $(cpu "$a") $(cpu "$p") $(cpu "$b") $(cpu "$c"))
sleep "$seconds"
after=($(cpu "$wf") $(cpu "$a") $(cpu "$p") $(cpu "$b") $(cpu "$c"))
theirs_before=$((before[1] + before[2] + before[3] + before[4]))
theirs_after=$((after[1] + after[2] + after[3] + after[4]))

# Both must have done their work, or the figures compare nothing.
matched=$(value "$url" 'sum(worker_group_procs{group=~"bench-.*"})')
grouped=$(value "http://127.0.0.1:$pr" 'sum(namedprocess_namegroup_num_procs{groupname=~"bench-.*"})')
[ "${matched%.*}" = 30 ] && [ "${grouped%.*}" = 30 ] || fail "expected 30 matched processes on both sides, found $matched and $grouped"
series=$(value "$url" 'count({__name__!=""})')
peers=$(value "http://127.0.0.1:$pr" 'count({__name__!=""})')
present=$(ls /proc | grep -c '^[0-9]')
size=$(rss "$wf")
echo "| $seconds s at 1 Hz, $present processes present, 30 matched in 3 groups, load $(cut -d' ' -f1 /proc/loadavg) | CPU of one core | RSS | series |"
echo "|---|---|---|---|"
echo "| **watchfire**: collect, store with fsync, evaluate shipped rules (target 0.5 %, 40 MB) | $(share "${before[0]}" "${after[0]}") % | $size MB | $series |"
echo "| node_exporter + process-exporter + Prometheus + Alertmanager: the same, $(ratio "${before[0]}" "${after[0]}" "$theirs_before" "$theirs_after") times the CPU | $(share "$theirs_before" "$theirs_after") % | $(rss "$a" "$p" "$b" "$c") MB | $peers |"
echo "| – node_exporter | $(share "${before[1]}" "${after[1]}") % | $(rss "$a") MB | |"
echo "| – process-exporter | $(share "${before[2]}" "${after[2]}") % | $(rss "$p") MB | |"
echo "| – Prometheus | $(share "${before[3]}" "${after[3]}") % | $(rss "$b") MB | |"
echo "| – Alertmanager | $(share "${before[4]}" "${after[4]}") % | $(rss "$c") MB | |"

if [ -n "${PAGE:-}" ]; then
  curl -s -N -o /dev/null "$url/api/watchfire/v1/live?hz=$PAGE&match[]=node_cpu_seconds_total&match[]=node_memory_MemAvailable_bytes" -g & pids+=($!)
  sleep 3
  start=$(cpu "$wf"); sleep 30; end=$(cpu "$wf")
  echo "| watchfire, a stream of CPU and memory at $(value "$url" watchfire_live_hertz) Hz beside | $(share "$start" "$end" 30) % | $(rss "$wf") MB | |"
fi
if [ "${PROFILE:-yes}" = yes ]; then
  curl -s -o /dev/null "$url/debug/pprof/profile?seconds=5"
  sleep 10
  echo "| watchfire, after one CPU profile of 5 s | – | $(rss "$wf") MB | |"
fi
# Where watchfire's time goes, by its own account: milliseconds that each collector's last tick took, the dearest first.
echo
echo "| collector | ms a tick, mean of 30 s |"
echo "|---|---|"
curl -s --data-urlencode 'query=topk(8, avg_over_time(watchfire_collector_duration_seconds[30s])) * 1000' "$url/api/v1/query" \
  | python3 -c 'import json, sys
for r in sorted(json.load(sys.stdin)["data"]["result"], key=lambda r: -float(r["value"][1])):
    print("| %s | %.2f |" % (r["metric"].get("collector"), float(r["value"][1])))'
