#!/usr/bin/env bash
# The design load of the rule engine: 10,000 series scraped every 5 s and 1,000 alert rules every 5 s, in watchfire, Prometheus
# and vmalert + VictoriaMetrics. Prints CPU a tick of the whole processes, scrape included.
#
#   cargo build --release && bash benches/rules-load.sh [SECONDS measured, default 50] [MIXES, default "shared distinct"]
#
# Takes 5.5 minutes until the rules' windows are full, then 6 times 15 s + SECONDS: 12 minutes as it stands. All three scrape
# the same page all the time; the rules run in one of them at a time, so that nobody pays for the caches that another one
# spoils. PROFILE=FILE writes watchfire's own CPU profile of the shared mix there. WATCHFIRE names another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/load/common.sh
need prometheus victoria-metrics vmalert
seconds=${1:-50}
mixes=${2:-shared distinct}
fill=${FILL:-330}
settle=15

# "HEALTHY FIRING": rules that are healthy, and alerts that fire.
rules_of() {
  get "$1/api/v1/rules" > "$dir/rules.json"; get "$1/api/v1/alerts" > "$dir/alerts.json"
  python3 - "$dir" <<'PY'
import json, sys
read = lambda name: json.load(open(f"{sys.argv[1]}/{name}.json"))["data"]
rules = [rule for group in read("rules")["groups"] for rule in group["rules"]]
firing = [alert for alert in read("alerts")["alerts"] if alert["state"] == "firing"]
print(sum(rule["health"] == "ok" for rule in rules), len(firing))
PY
}

# Ticks that a system has evaluated so far. A system that cannot keep up skips some: its CPU is divided by those it did.
ticks_of() {
  get "$1/metrics" > "$dir/metrics"
  awk '/^(watchfire_rule_evaluations|prometheus_rule_evaluations|vmalert_execution)_total/ {s += $2 / 1000}
    END {printf "%.3f", s}' "$dir/metrics"
}

# measure NAME URL PROCESS…: keeps a table row and the CPU a tick in milliseconds.
declare -A tick_ms
measure() {
  local name=$1 url=$2 before after from to found; shift 2
  sleep "$settle"
  from=$(ticks_of "$url"); before=$(cpu "$@")
  sleep "$seconds"
  to=$(ticks_of "$url"); after=$(cpu "$@")
  found=$(rules_of "$url")
  tick_ms[$name]=$(awk -v d=$((after - before)) -v n="$to" -v m="$from" 'BEGIN {printf "%.1f", (n > m ? d / (n - m) / 1e6 : 1e9)}')
  ticks=$(awk -v n="$to" -v m="$from" -v s="$seconds" 'BEGIN {printf "%.1f of %.0f", n - m, s / 5}')
  echo "| $mix | $name | ${tick_ms[$name]} ms | $ticks | $(rss "$@") MB | ${found% *} | ${found#* } |"
  [ "${found% *}" = 1000 ] || echo "NOT ALL RULES OF $name ARE HEALTHY" >&2
}
ratio() { awk -v a="${tick_ms[$1]}" -v b="${tick_ms[watchfire]}" 'BEGIN {printf "1/%.1f", a / b}'; }

exporter 5
start_all 5s
sleep "$fill"
echo "| mix | system | CPU a tick | ticks | RSS | healthy rules | firing alerts |"
echo "|---|---|---|---|---|---|---|"
ratios=""
for mix in $mixes; do
  python3 $load/rules.py "$mix" > "$dir/rules.yml"

  cp "$dir/rules.yml" "$dir/rules/"; kill -HUP "$wf"
  measure watchfire "$wf_url" "$wf"
  if [ -n "${PROFILE:-}" ]; then curl -s -o "$PROFILE.$mix" "$wf_url/debug/pprof/profile?seconds=20"; fi
  rm "$dir/rules/rules.yml"; kill -HUP "$wf"

  cp "$dir/rules.yml" "$dir/rules/"; kill -HUP "$pr"
  measure Prometheus "$pr_url" "$pr"
  rm "$dir/rules/rules.yml"; kill -HUP "$pr"

  at=127.0.0.1:$(port)
  vmalert -rule="$dir/rules.yml" -evaluationInterval=5s -datasource.url="$vm_url" -remoteWrite.url="$vm_url" \
    -remoteRead.url="$vm_url" -notifier.url="http://127.0.0.1:$page" -httpListenAddr="$at" > "$dir/vmalert.log" 2>&1 & va=$!
  pids+=("$va")
  measure "vmalert + VictoriaMetrics" "http://$at" "$va" "$vm"
  kill "$va"

  ratios+="$mix: $(ratio Prometheus) of Prometheus, $(ratio "vmalert + VictoriaMetrics") of vmalert + VictoriaMetrics"$'\n'
done
echo
echo "watchfire's CPU against the targets (shared: 1/50 and 1/100, distinct: 1/10 of Prometheus):"
echo "$ratios"
