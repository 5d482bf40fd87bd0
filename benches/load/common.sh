# What the load scripts share; sourced by them. Everything is on loopback, under $dir, and ends with the script.
binary=${WATCHFIRE:-./target/release/watchfire}
load=benches/load
dir=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() { echo "$*" >&2; exit 1; }
# need PROGRAM…: ours and these peers must be there.
need() {
  [ -x "$binary" ] || fail "no $binary: cargo build --release"
  local peers="prometheus prometheus-node-exporter prometheus-alertmanager victoria-metrics"
  for peer in "$@"; do
    command -v "$peer" > /dev/null || fail "no $peer: apt-get install --no-install-recommends $peers"
  done
}
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Nanoseconds on a core since their start, of all threads that the processes have or had.
cpu() { python3 -c 'import sys, time; print(sum(time.clock_gettime_ns((~int(p) << 3) | 2) for p in sys.argv[1:]))' "$@"; }
rss() { local p; for p in "$@"; do cat "/proc/$p/status"; done | awk '/^VmRSS/ {s += $2} END {printf "%.1f", s / 1024}'; }
get() { curl -s --retry 10 --retry-connrefused --retry-delay 1 --max-time 60 "$1" || fail "nobody answers at $1"; }
up() {
  for _ in $(seq 150); do curl -s -o /dev/null "$1" && return; sleep 0.2; done
  fail "nobody answers at $1: $(tail -n 5 "$dir"/*.log)"
}

# exporter INTERVAL: the page that all scrape; also takes vmalert's notifications. Sets $page and $exporter.
exporter() {
  page=$(port)
  python3 $load/exporter.py "$page" "$1" & exporter=$!
  pids+=("$exporter")
  up "http://127.0.0.1:$page/metrics"
}

# start_all INTERVAL: all three scrape the page; rules come from $dir/rules/*.yml, at first none. Sets wf, pr, vm (process
# ids) and wf_url, pr_url, vm_url.
start_all() {
  local interval=$1
  mkdir -p "$dir/rules"
  local scrape="[{job_name: bench, honor_labels: true, scrape_interval: $interval, scrape_timeout: $interval,
    static_configs: [{targets: ['127.0.0.1:$page']}]}]"
  cat > "$dir/watchfire.yml" <<YAML
# The peers measure nothing by themselves: neither does watchfire here.
global: {evaluation_interval: 5s}
collectors: {enabled: []}
rules: {shipped: false}
rule_files: ['$dir/rules/*.yml']
scrape_configs: $scrape
YAML
  cat > "$dir/prometheus.yml" <<YAML
global: {evaluation_interval: 5s}
rule_files: ['$dir/rules/*.yml']
scrape_configs: $scrape
YAML
  echo "scrape_configs: $scrape" > "$dir/victoria.yml"
  local wf_at pr_at vm_at
  wf_at=127.0.0.1:$(port); pr_at=127.0.0.1:$(port); vm_at=127.0.0.1:$(port)
  wf_url=http://$wf_at; pr_url=http://$pr_at; vm_url=http://$vm_at
  "$binary" --config.file="$dir/watchfire.yml" --web.listen-address="$wf_at" \
    --storage.path="$dir/watchfire" > "$dir/watchfire.log" 2>&1 & wf=$!
  prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/prometheus" \
    --web.listen-address="$pr_at" > "$dir/prometheus.log" 2>&1 & pr=$!
  victoria-metrics -promscrape.config="$dir/victoria.yml" -storageDataPath="$dir/victoria" \
    -httpListenAddr="$vm_at" > "$dir/victoria.log" 2>&1 & vm=$!
  pids+=("$wf" "$pr" "$vm")
  up "$wf_url/-/ready"; up "$pr_url/-/ready"; up "$vm_url/health"
}
