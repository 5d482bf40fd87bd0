#!/bin/sh
# Stands before rustc for this package's own crate, and adds the coverage that libFuzzer steers by. Stable rustc has it.
rustc="$1"
shift
case " $* " in
  *" --crate-name promql "*)
    exec "$rustc" "$@" -Cpasses=sancov-module \
      -Cllvm-args=-sanitizer-coverage-level=4 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table \
      -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
  *) exec "$rustc" "$@" ;;
esac
