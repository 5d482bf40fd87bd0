#!/usr/bin/env bash
# Builds the PromQL fuzz target and runs it for so many seconds (30): fuzz/run.sh [SECONDS]
# What it finds stays in fuzz/target/found; an input that fails is printed and left in fuzz/target/crash-*.
set -euo pipefail
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
CARGO_TARGET_DIR=target cargo build --release --quiet --locked --target "$host"
mkdir -p target/found
"target/$host/release/promql" -max_total_time="${1:-30}" -max_len=2048 -timeout=10 -rss_limit_mb=2048 \
  -artifact_prefix=target/ -dict=promql.dict -print_final_stats=1 target/found seeds
