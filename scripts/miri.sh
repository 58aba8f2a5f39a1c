#!/usr/bin/env bash
# Runs tests under Miri, which finds undefined behaviour: reads of memory that is not initialised or not there, references that may not
# be, data races.
#
#   scripts/miri.sh              the selection below
#   scripts/miri.sh FILTER...    the library's tests whose names contain one of these
#
# Miri knows no vector instructions, so the kernels are the portable ones. Needs a nightly toolchain with its sources:
# rustup component add miri rust-src --toolchain nightly
set -euo pipefail
cd "$(dirname "$0")/.."

# Files and clocks are this machine's. The threads of rayon's pool never end.
export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks ${MIRIFLAGS:-}"
export RAYON_NUM_THREADS=2 NDALBERT_ISA=portable
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/miri

filters=("$@")
cargo +nightly miri test --lib -- "${filters[@]}"
