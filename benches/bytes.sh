#!/usr/bin/env bash
# The same samples in watchfire, VictoriaMetrics and Prometheus: bytes on disk a sample, CPU time of writing them, and the time
# from SIGKILL to ready. The samples are node data at 1 Hz replayed 20 times, the same once (30 minutes, nothing repeats itself),
# and the fleet page of the storage bench.
#
#   cargo build --release && bash benches/bytes.sh [DATA, default "node node-once page"]
#
# watchfire's ring is written through the library as the daemon writes it (a commit every half minute or minute of the
# samples' time, sealing and merging as they fall due); the peers get remote write, 12 ticks a request, in the order of time.
# The node data comes from $WATCHFIRE_SHARED/data (default ../shared). WATCHFIRE names another binary, STORAGE_BENCH a
# storage bench that is built already. Takes some minutes; everything ends with the script.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/load/common.sh
need prometheus victoria-metrics
sets=${1:-node node-once page}
bench() { if [ -n "${STORAGE_BENCH:-}" ]; then "$STORAGE_BENCH" "$@"; else cargo bench --quiet --bench storage -- "$@"; fi; }

# Allocated bytes under some paths.
disk() { du --block-size=1 --summarize --total "$@" | tail -n 1 | cut -f1; }
a_sample() { awk -v b="$1" -v n="$samples" 'BEGIN {printf "%.3f", b / n}'; }
# serve PORT PATH COMMAND…: starts a server; sets $ms until it was ready, and $pid.
serve() {
  read -r ms pid < <(bench ready "$@")
  pids+=("$pid")
}
# Ends the server.
stop() {
  kill "${1:--TERM}" "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}
# Kills the server and starts it again: sets $warm.
again() {
  warm=""
  for _ in 1 2 3; do
    stop -KILL
    serve "$@"
    warm+="${warm:+, }$ms"
  done
}
# sent NAME PORT: sends the samples to a server; sets $ns, CPU of the server a sample.
sent() {
  local before; before=$(cpu "$pid")
  samples=$(bench send "$data" "127.0.0.1:$1")
  ns=$(awk -v d=$(($(cpu "$pid") - before)) -v n="$samples" 'BEGIN {printf "%.0f", d / n}')
}
row() { echo "| $data | $1 | $2 | $3 | $4 |"; }

echo "| data | system | bytes/sample | CPU of writing, ns/sample | ms from SIGKILL to ready, three times |"
echo "|---|---|---|---|---|"
for data in $sets; do
  at=$(port)
  vm=(victoria-metrics -storageDataPath="$dir/vm-$data" -httpListenAddr="127.0.0.1:$at" -retentionPeriod=100y)
  serve "$at" /health "${vm[@]}"
  sent "$at"
  # What is in memory goes to disk when it stops; then the parts that queries read are merged into one a month.
  stop
  before=$(disk "$dir/vm-$data/data" "$dir/vm-$data/indexdb")
  serve "$at" /health "${vm[@]}"
  get "http://127.0.0.1:$at/internal/force_merge" > /dev/null
  sleep 5
  stop
  after=$(disk "$dir/vm-$data/data" "$dir/vm-$data/indexdb")
  serve "$at" /health "${vm[@]}"
  again "$at" /health "${vm[@]}"
  row VictoriaMetrics "$(a_sample "$before"), $(a_sample "$after") after force_merge" "$ns" "$warm"
  kill "$pid"

  echo 'global: {}' > "$dir/prometheus.yml"
  at=$(port)
  pr=(prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/pr-$data" --web.listen-address="127.0.0.1:$at"
    --storage.tsdb.retention.time=100y --web.enable-remote-write-receiver --web.enable-admin-api)
  serve "$at" /-/ready "${pr[@]}"
  sent "$at"
  before=$(disk "$dir/pr-$data")
  curl -s -o /dev/null -X POST "http://127.0.0.1:$at/api/v1/admin/tsdb/snapshot"
  after=$(disk "$dir/pr-$data/snapshots")
  rm -r "$dir/pr-$data/snapshots"
  again "$at" /-/ready "${pr[@]}"
  row Prometheus "$(a_sample "$before") (head, WAL and what it has compacted), $(a_sample "$after") as blocks" "$ns" "$warm"
  kill "$pid"

  bench ring "$data" "$dir/wf-$data" > "$dir/ring.log"
  [ "$(awk '/^samples/ {print $2}' "$dir/ring.log")" = "$samples" ] || fail "not the same samples: $samples, $(cat "$dir/ring.log")"
  pages=$(awk '/^segment_page_bytes/ {print $2}' "$dir/ring.log")
  at=$(port)
  wf=("$binary" --storage.path="$dir/wf-$data" --web.listen-address="127.0.0.1:$at")
  serve "$at" /-/ready "${wf[@]}"
  again "$at" /-/ready "${wf[@]}"
  row "**watchfire**" "$(a_sample "$pages") (pages of segments, index, series table), $(a_sample "$(awk '/^file/ {print $2}' "$dir/ring.log")") the whole file" \
    "$(awk '/^cpu/ {print $2}' "$dir/ring.log")" "$warm"
  kill "$pid"
done
