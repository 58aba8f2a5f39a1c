#!/bin/sh
# Runs the tests of threads that stay together, and of whole models on several threads, under the thread sanitizer. Needs a
# nightly toolchain with its sources (`rustup component add rust-src --toolchain nightly`). Not part of CI.
set -eu
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Zsanitizer=thread" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/threads}"
test_with() {
    cargo +nightly test -Zbuild-std --target "$target" "$@"
}
test_with --lib -- kernels::crew kernels::parallel kernels::gemm
test_with --test invariance
