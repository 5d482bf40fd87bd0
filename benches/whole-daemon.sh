#!/usr/bin/env bash
# CPU and memory of the whole daemon at 1 Hz with the shipped rules, beside node_exporter + Prometheus + Alertmanager
# doing the same, in one run. Prints the table of docs/performance.md. Loopback only; ends by itself.
#
#   cargo build --release && bash benches/whole-daemon.sh [SECONDS, default 120]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-120}
warmup=30
dir=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT

ticks=$(getconf CLK_TCK)
cpu() { local s=0 t; for p in "$@"; do t=$(sed 's/.*) //' "/proc/$p/stat" | awk '{print $12 + $13}'); s=$((s + t)); done; echo $s; }
rss() { local s=0 t; for p in "$@"; do t=$(awk '/^VmRSS/ {print $2}' "/proc/$p/status"); s=$((s + t)); done; echo $s; }
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
row() { printf '| %s | %s %% | %s MB |\n' "$1" "$2" "$3"; }
measure() { # LABEL PID...
  local label=$1; shift
  sleep "$warmup"
  local before after
  before=$(cpu "$@"); sleep "$seconds"; after=$(cpu "$@")
  row "$label" "$(awk -v d=$((after - before)) -v t="$ticks" -v s="$seconds" 'BEGIN {printf "%.2f", 100 * d / t / s}')" \
    "$(awk -v k="$(rss "$@")" 'BEGIN {printf "%.1f", k / 1024}')"
}

# 300 processes are present, 30 of them matched as a worker group.
for i in $(seq 300); do
  if [ "$i" -le 30 ]; then (exec -a wf-worker sleep $((seconds * 3 + 300))) & else sleep $((seconds * 3 + 300)) & fi
  pids+=($!)
done

echo "| what | CPU of one core | RSS |"
echo "|---|---|---|"

wf_port=$(port)
cat > "$dir/watchfire.yml" <<YAML
workers:
  groups: [{name: bench, cmdline: ['wf-worker']}]
YAML
./target/release/watchfire --config.file="$dir/watchfire.yml" --web.listen-address="127.0.0.1:$wf_port" \
  --storage.path="$dir/watchfire" > "$dir/watchfire.log" 2>&1 &
wf=$!; pids+=("$wf")
measure "watchfire: collect, store, evaluate shipped rules at 1 Hz" "$wf"
curl -s -o /dev/null "http://127.0.0.1:$wf_port/debug/pprof/profile?seconds=5"
sleep 15
row "watchfire, after one CPU profile of 5 s" "–" "$(awk -v k="$(rss "$wf")" 'BEGIN {printf "%.1f", k / 1024}')"
kill "$wf"; wait "$wf" 2>/dev/null || true

ne=$(port); pr=$(port); am=$(port)
cat > "$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ['$PWD/rules/*.yml']
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:$am']}]}]}
scrape_configs: [{job_name: node, static_configs: [{targets: ['127.0.0.1:$ne']}]}]
YAML
echo '{route: {receiver: none}, receivers: [{name: none}]}' > "$dir/alertmanager.yml"
prometheus-node-exporter --web.listen-address="127.0.0.1:$ne" > "$dir/ne.log" 2>&1 & a=$!
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/prometheus" \
  --web.listen-address="127.0.0.1:$pr" > "$dir/prometheus.log" 2>&1 & b=$!
prometheus-alertmanager --config.file="$dir/alertmanager.yml" --storage.path="$dir/am" --cluster.listen-address= \
  --web.listen-address="127.0.0.1:$am" > "$dir/am.log" 2>&1 & c=$!
pids+=("$a" "$b" "$c")
measure "node_exporter + Prometheus + Alertmanager: the same" "$a" "$b" "$c"
