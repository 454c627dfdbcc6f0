#!/bin/sh
# run.sh [CHECK...]: builds the fuzzer and runs each check, or those named, for FUZZ_SECONDS (60). What it finds that is
# new goes to .cache/fuzz/CHECK, and an input that fails to .cache/fuzz/failed. libFuzzer is C++ in the crate
# libfuzzer-sys, and its instrumentation is a pass that stable rustc has too.
set -eu
cd "$(dirname "$0")"
out=$(mkdir -p ../.cache/fuzz/failed && cd ../.cache/fuzz && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-$out/target}
flags='--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1'
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    flags="$flags -Cllvm-args=-sanitizer-coverage-$flag"
done
RUSTFLAGS="$flags" CARGO_TARGET_DIR="$target" cargo build --release --target "$host"
[ $# -gt 0 ] || set -- corpus/*
for check in "$@"; do
    check=$(basename "$check")
    echo "fuzz: $check for ${FUZZ_SECONDS:-60} seconds"
    mkdir -p "$out/$check"
    ALCOVE_FUZZ=$check "$target/$host/release/fuzz" "$out/$check" "corpus/$check" -dict=words.txt -timeout=10 \
        -max_total_time="${FUZZ_SECONDS:-60}" -max_len=16384 -artifact_prefix="$out/failed/$check-" \
        -print_final_stats=1 -verbosity=0
done
