#!/usr/bin/env bash
# Instructions that reading a page takes, by format, for series that are known and for new ones: valgrind counts eleven rounds and one, and the
# difference is ten. Wants valgrind, and the bench built: cargo bench --no-run --bench exposition.
set -euo pipefail
cd "$(dirname "$0")/.."
bench=$(find "${CARGO_TARGET_DIR:-target}"/release/deps -name 'exposition-*' -type f -executable -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
instructions() { # FORMAT HOW ROUNDS
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" count "$@" 2>"$out/log" >"$out/bytes"
    sed -n 's/.*Collected : //p' "$out/log"
}
for format in text openmetrics protobuf; do
    for how in known new; do
        one=$(instructions $format $how 1)
        many=$(instructions $format $how 11)
        bytes=$(cut -d' ' -f1 "$out/bytes")
        awk -v f=$format -v h=$how -v i=$(((many - one) / 10)) -v b="$bytes" \
            'BEGIN { printf "%-12s %-6s %9d bytes %10d instructions %6.2f a byte %6.0f a series\n", f, h, b, i, i / b, i / 10000 }'
    done
done
