#!/usr/bin/env bash
# Ten dashboard queries, instant and as ranges of 180 steps, over HTTP in watchfire, Prometheus and VictoriaMetrics, which have
# scraped the same page of 10,000 series 420 times. Prints wall time at the client and CPU of the server for each, medians.
#
#   cargo build --release && bash benches/dashboard-queries.sh [SCRAPE INTERVAL in seconds, default 1] [ROUNDS, default 30]
#
# With an interval of 1 s it takes 7 minutes of scraping and two of queries; windows and steps are multiples of the interval, so
# that each query reads as many samples as over 35 minutes at 5 s, the usual case (give 5 for that: 37 minutes). What is different:
# after 7 minutes all three have everything in their heads, after 35 watchfire and VictoriaMetrics read files too.
# VictoriaMetrics is asked with nocache=1, because no dashboard asks for the same range twice. WATCHFIRE names another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/load/common.sh
need prometheus victoria-metrics
interval=${1:-1}
rounds=${2:-30}

exporter "$interval"
start_all "${interval}s"
sleep $((425 * interval))
end=$(($(date +%s) - 3 * interval))
# VictoriaMetrics shows nothing younger than its -search.latencyOffset of 30 s, whatever the query's time; by then the page
# is gone, and nobody scrapes while queries are timed.
sleep 2
kill "$exporter"
sleep 35
python3 $load/queries.py "$interval" "$end" "$rounds" "$wf_url,$wf,watchfire" "$pr_url,$pr,Prometheus" "$vm_url,$vm,VictoriaMetrics"
