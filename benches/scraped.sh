#!/usr/bin/env bash
# 10,000 series of one target scraped once a second, the shipped rules on: CPU a tick and memory a series of watchfire,
# beside Prometheus scraping the same page in the same run. The exporter is this script's own, on loopback; it ends by itself.
#
#   cargo build --release && bash benches/scraped.sh [SECONDS, default 180] [SERIES, default 10000]
#
# WARMUP gives the seconds before (default 30), WATCHFIRE another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/load/common.sh
need prometheus
seconds=${1:-180}
series=${2:-10000}
warmup=${WARMUP:-30}

# A third stands still, a third counts, a third wanders; 60 pages that come round.
cat > "$dir/exporter.py" <<'PY'
import gzip, http.server, sys
port, series = int(sys.argv[1]), int(sys.argv[2])
def page(tick):
    out = []
    for family in range(series // 100):
        kind = "counter" if family % 3 == 1 else "gauge"
        name = f"bench_{family}_total" if kind == "counter" else f"bench_{family}"
        out.append(f"# HELP {name} Made up.\n# TYPE {name} {kind}\n")
        for i in range(100):
            value = (i, tick * (i % 17 + 1) + i * 1000, (tick * 7919 + i * 104729) % 10000 / 100)[family % 3]
            out.append(f'{name}{{handler="/api/v1/{i % 20}",code="{200 + i // 20}",zone="eu-west-1"}} {value}\n')
    text = "".join(out).encode()
    return text, gzip.compress(text, 1)
pages = [page(tick) for tick in range(60)]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0
    def do_GET(self):
        Handler.count += 1
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        body = pages[Handler.count % 60][1 if packed else 0]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        if packed: self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
PY
page=$(port)
python3 "$dir/exporter.py" "$page" "$series" & pids+=($!)
up "http://127.0.0.1:$page/metrics"

wf_port=$(port); pr_port=$(port)
cat > "$dir/watchfire.yml" <<YAML
scrape_configs: [{job_name: bench, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:$page']}]}]
YAML
cat > "$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ['$PWD/rules/*.yml']
scrape_configs: [{job_name: bench, static_configs: [{targets: ['127.0.0.1:$page']}]}]
YAML
"$binary" --config.file="$dir/watchfire.yml" --web.listen-address="127.0.0.1:$wf_port" \
  --storage.path="$dir/watchfire" > "$dir/watchfire.log" 2>&1 & wf=$!
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/prometheus" \
  --web.listen-address="127.0.0.1:$pr_port" > "$dir/prometheus.log" 2>&1 & pr=$!
pids+=("$wf" "$pr")
up "http://127.0.0.1:$wf_port/-/ready"; up "http://127.0.0.1:$pr_port/-/ready"

sleep "$warmup"
wf_before=$(cpu "$wf"); pr_before=$(cpu "$pr"); memory="$(rss "$wf") → "; pr_memory="$(rss "$pr") → "
sleep "$seconds"
wf_after=$(cpu "$wf"); pr_after=$(cpu "$pr"); memory+="$(rss "$wf")"; pr_memory+="$(rss "$pr")"
row() { awk -v w="$1" -v d=$(($3 - $2)) -v s="$seconds" -v n="$series" -v m="$4" 'BEGIN {
  printf "| %s | %.2f ms | %.0f ns | %.2f %% | %s MB |\n", w, d / s / 1e6, d / s / n, d / s / 1e7, m}'; }
echo "| $series series at 1 Hz for $seconds s | CPU a tick, whole process | a sample | of one core | RSS, first → last |"
echo "|---|---|---|---|---|"
row watchfire "$wf_before" "$wf_after" "$memory"
row Prometheus "$pr_before" "$pr_after" "$pr_memory"
