#!/usr/bin/env bash
# CPU and memory of the whole daemon at 1 Hz with the shipped rules, beside node_exporter + Prometheus + Alertmanager
# doing the same over the same seconds. Prints the table of docs/performance.md. Loopback only; ends by itself.
#
#   cargo build --release && bash benches/whole-daemon.sh [SECONDS, default 120]
#
# WARMUP gives the seconds before (default 30), WATCHFIRE another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/load/common.sh
need prometheus prometheus-node-exporter prometheus-alertmanager
seconds=${1:-120}
warmup=${WARMUP:-30}

# The share of a core that CPU times before and after make.
share() { awk -v d=$(($2 - $1)) -v s="$seconds" 'BEGIN {printf "%.2f", d / s / 1e7}'; }

# 300 processes are present or more, 30 of them matched as a worker group.
present=$(ls /proc | grep -c '^[0-9]')
for i in $(seq $((present < 270 ? 300 - present : 30))); do
  if [ "$i" -le 30 ]; then (exec -a wf-worker sleep $((seconds + 300))) & else sleep $((seconds + 300)) & fi
  pids+=($!)
done

wf_port=$(port); ne=$(port); pr=$(port); am=$(port)
cat > "$dir/watchfire.yml" <<YAML
workers:
  groups: [{name: bench, cmdline: ['wf-worker']}]
YAML
cat > "$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ['$PWD/rules/*.yml']
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:$am']}]}]}
scrape_configs: [{job_name: node, static_configs: [{targets: ['127.0.0.1:$ne']}]}]
YAML
echo '{route: {receiver: none}, receivers: [{name: none}]}' > "$dir/alertmanager.yml"

"$binary" --config.file="$dir/watchfire.yml" --web.listen-address="127.0.0.1:$wf_port" \
  --storage.path="$dir/watchfire" > "$dir/watchfire.log" 2>&1 & wf=$!
prometheus-node-exporter --web.listen-address="127.0.0.1:$ne" > "$dir/ne.log" 2>&1 & a=$!
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/prometheus" \
  --web.listen-address="127.0.0.1:$pr" > "$dir/prometheus.log" 2>&1 & b=$!
prometheus-alertmanager --config.file="$dir/alertmanager.yml" --storage.path="$dir/am" --cluster.listen-address= \
  --web.listen-address="127.0.0.1:$am" > "$dir/am.log" 2>&1 & c=$!
pids+=("$wf" "$a" "$b" "$c")

sleep "$warmup"
before=($(cpu "$wf") $(cpu "$a") $(cpu "$b") $(cpu "$c"))
sleep "$seconds"
after=($(cpu "$wf") $(cpu "$a") $(cpu "$b") $(cpu "$c"))
theirs=$(share $((before[1] + before[2] + before[3])) $((after[1] + after[2] + after[3])))
present=$(ls /proc | grep -c '^[0-9]')
echo "| $seconds s at 1 Hz, $present processes present, 30 matched | CPU of one core | RSS |"
echo "|---|---|---|"
echo "| **watchfire**: collect, store with fsync, evaluate shipped rules | $(share "${before[0]}" "${after[0]}") % | $(rss "$wf") MB |"
echo "| node_exporter + Prometheus + Alertmanager: the same | $theirs % | $(rss "$a" "$b" "$c") MB |"
echo "| – node_exporter | $(share "${before[1]}" "${after[1]}") % | $(rss "$a") MB |"
echo "| – Prometheus | $(share "${before[2]}" "${after[2]}") % | $(rss "$b") MB |"
echo "| – Alertmanager | $(share "${before[3]}" "${after[3]}") % | $(rss "$c") MB |"
curl -s -o /dev/null "http://127.0.0.1:$wf_port/debug/pprof/profile?seconds=5"
sleep 10
echo "| watchfire, after one CPU profile of 5 s | – | $(rss "$wf") MB |"
