#!/usr/bin/env bash
# Compiles tests for 64-bit ARM Linux and runs them under qemu's emulation of a process.
#
#   scripts/test-aarch64.sh                              the library's tests of the kernels
#   scripts/test-aarch64.sh gemm:: vector::              the library's tests whose names contain one of these
#   scripts/test-aarch64.sh --test parity                an integration test, or several; --lib is the library
#   scripts/test-aarch64.sh --test parity groups         those of its tests whose names contain this
#   scripts/test-aarch64.sh gemm:: -- --nocapture        what follows -- goes to the test program
#
# Other options are cargo's (--no-run, --offline, --jobs=1). What the emulated processor has is for QEMU_CPU to say:
# `max` (the default) has everything, `cortex-a76` has dotprod but neither i8mm nor bf16, `cortex-a57` has NEON alone.
#
# Emulation says whether results are right. It says nothing about speed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
linker=${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER:-aarch64-linux-gnu-gcc}

targets=() options=() filters=() harness=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' scripts/test-aarch64.sh; exit ;;
    --lib | --tests | --test=*) targets+=("$1") ;;
    --test) targets+=("$1" "${2:?--test needs a name}"); shift ;;
    --) shift; harness=("$@"); break ;;
    -*) options+=("$1") ;;
    *) filters+=("$1") ;;
  esac
  shift
done
if [ ${#targets[@]} -eq 0 ]; then
  targets=(--lib)
  [ ${#filters[@]} -gt 0 ] || filters=(kernels::)
fi

missing=()

# The compiler: the first on the path that has the target's standard library. cargo is taken from beside it.
rustc=
while IFS= read -r candidate; do
  std=$("$candidate" --print target-libdir --target "$target" 2>/dev/null) || continue
  if compgen -G "$std/libstd-*.rlib" >/dev/null; then rustc=$candidate; break; fi
done < <(if [ -n "${RUSTC:-}" ]; then echo "$RUSTC"; fi; type -ap rustc)
if [ -n "$rustc" ]; then
  cargo=$(dirname "$(type -P "$rustc")")/cargo
  [ -x "$cargo" ] || cargo=cargo
  type -P "$cargo" >/dev/null || missing+=("cargo")
else
  missing+=("a Rust compiler with the standard library of $target:
    rustup target add $target, or
    Debian's rustc, cargo and libstd-rust-dev:arm64 after dpkg --add-architecture arm64
    (rustc-web, cargo-web and libstd-rust-web-dev:arm64 in a release whose rustc is too old)")
fi

type -P "$linker" >/dev/null || missing+=("the linker $linker: Debian's gcc-aarch64-linux-gnu")

# The C library and its loader must be of one build, or the first thread that is started spins for ever. The loader would
# look into this machine's ld.so.cache, which may name another build; so it is told to look beside itself first.
libc=$("$linker" -print-file-name=libc.so.6 2>/dev/null) || libc=
if [ -f "$libc" ]; then
  libraries=$(cd "$(dirname "$libc")" && pwd -P)
else
  missing+=("the C library for 64-bit ARM: Debian's libc6-dev-arm64-cross")
fi

emulator=$(type -P qemu-aarch64 || type -P qemu-aarch64-static) ||
  missing+=("the emulator qemu-aarch64: Debian's qemu-user or qemu-user-static")

if [ ${#missing[@]} -gt 0 ]; then
  { echo "scripts/test-aarch64.sh needs what is not here:"; printf '  %s\n' "${missing[@]}"; } >&2
  exit 1
fi

export RUSTC=$rustc
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/aarch64
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$linker
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$emulator -L $(dirname "$libraries") -E LD_LIBRARY_PATH=$libraries"
export QEMU_CPU=${QEMU_CPU:-max}
# Emulated instructions are dear, so there should be few of them; assertions and overflow checks stay on.
export CARGO_PROFILE_DEV_OPT_LEVEL=3
export CARGO_PROFILE_DEV_DEBUG=line-tables-only

exec "$cargo" test --locked --target "$target" "${targets[@]}" ${options[@]+"${options[@]}"} -- \
  ${filters[@]+"${filters[@]}"} ${harness[@]+"${harness[@]}"}
