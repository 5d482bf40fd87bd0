# Short names for the usual commands; each line is what it runs.

# Run with defaults; the page is on http://127.0.0.1:9480
run:
    cargo run --release

# Everything that must pass before a change lands
ci:
    bash .ci/run

test:
    cargo test

lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Rebuild the page
page:
    cd dashboards/web && npm ci --ignore-scripts && npm run build

# All benchmarks; each prints ns per series or sample
bench:
    cargo bench

# Write the goldens anew, then read the diff
goldens:
    WATCHFIRE_GOLDENS=write cargo test --lib
