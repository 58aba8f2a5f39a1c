#!/usr/bin/env bash
# Compiles the crate for another platform, where a warning is an error, and runs tests on an emulator of it.
#
#   scripts/test-platform.sh TARGET                      the tests that are chosen for it below
#   scripts/test-platform.sh TARGET --test parity        what `cargo test` is told instead
#   scripts/test-platform.sh TARGET --check              compiles the library and runs nothing
#
# TARGET is one of
#
#   wasm32-wasip1                 Node's WASI
#   i686-unknown-linux-gnu        this machine
#   riscv64gc-unknown-linux-gnu   qemu-user
#   s390x-unknown-linux-gnu       qemu-user: big endian
#   x86_64-pc-windows-gnu         Wine
#   aarch64-apple-darwin          compiled only
#   wasm32-unknown-unknown        compiled only
#
# `rustup target add TARGET` installs the standard library, and the packages of Debian that are missing are named. 64-bit ARM has a
# script of its own, test-aarch64.sh. Emulation says whether results are right. It says nothing about speed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }
need() { type -P "$1" >/dev/null || { echo "$1 is missing: Debian's package $2 has it" >&2; exit 1; }; }

target=${1:-}
shift || { usage; exit 2; }
name=$(tr 'a-z-' 'A-Z_' <<<"$target")
set_for_target() { export "CARGO_TARGET_${name}_$1=$2"; }

# Where threads are emulated, too, as many of them as there are processors only get into each other's way.
export RAYON_NUM_THREADS=${RAYON_NUM_THREADS:-2}
# Nobody looks at a backtrace of these programs, and debugging information is most of what is written.
export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-0}

models=(--test parity --test heads --test sharing --test reference)
readers=(--test checkpoint_formats --test tokenizer_golden --test tensorflow)
case $target in
  wasm32-wasip1)
    need node nodejs
    set_for_target RUNNER "node --no-warnings $PWD/scripts/wasi.mjs"
    tests=(--lib "${models[@]}")
    ;;
  i686-unknown-linux-gnu)
    need i686-linux-gnu-gcc "gcc-i686-linux-gnu and libc6-dev-i386-cross"
    set_for_target LINKER i686-linux-gnu-gcc
    # The loader and the C library are beside the cross compiler, not where such a program looks for them.
    set_for_target RUNNER "/usr/i686-linux-gnu/lib/ld-linux.so.2 --library-path /usr/i686-linux-gnu/lib"
    tests=(--lib "${models[@]}" "${readers[@]}")
    ;;
  riscv64gc-unknown-linux-gnu | s390x-unknown-linux-gnu)
    cpu=${target%%-*}
    gcc=${cpu%gc}-linux-gnu
    need "$gcc-gcc" "gcc-$gcc and libc6-dev-${cpu%gc}-cross"
    need "qemu-${cpu%gc}" qemu-user
    set_for_target LINKER "$gcc-gcc"
    # The loader would look into this machine's ld.so.cache, which may name another C library.
    set_for_target RUNNER "qemu-${cpu%gc} -L /usr/$gcc -E LD_LIBRARY_PATH=/usr/$gcc/lib"
    tests=("${models[@]}" "${readers[@]}")
    ;;
  x86_64-pc-windows-gnu)
    need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
    need wine "wine and wine64"
    set_for_target LINKER x86_64-w64-mingw32-gcc
    set_for_target RUNNER "$PWD/scripts/wine.sh"
    tests=(--features hub --lib --test parity --test hub --test saving)
    ;;
  aarch64-apple-darwin | wasm32-unknown-unknown) tests=(--check) ;;
  -h | --help) usage; exit ;;
  *) usage >&2; exit 2 ;;
esac
[ $# -eq 0 ] || tests=("$@")

# rustc takes the last value of a flag, and cargo's own list of flags is not to be lost.
export RUSTFLAGS="-D warnings ${RUSTFLAGS:-}"
if [ "$target" = wasm32-unknown-unknown ]; then
  # Where randomness comes from is for the program to say, which this is none of; see docs/platforms.md.
  RUSTFLAGS="$RUSTFLAGS --cfg getrandom_backend=\"custom\""
fi
if [ "${tests[0]}" = --check ]; then
  cargo check --lib --target "$target" "${tests[@]:1}"
else
  cargo test --target "$target" "${tests[@]}"
fi
