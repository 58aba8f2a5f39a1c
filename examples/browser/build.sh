#!/bin/sh
# Builds the page into `dist/`, which any static server can serve. Needs the target wasm32-unknown-unknown and
# `wasm-bindgen` of the version in Cargo.lock; uses `wasm-opt` if there is one.
set -eu
cd "$(dirname "$0")"
cargo build --release --locked
rm -rf dist
cp -R page dist
wasm=${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/release/browser.wasm
wasm-bindgen --target web --no-typescript --out-dir dist "$wasm"
if command -v wasm-opt >/dev/null; then
  wasm-opt -O3 --all-features dist/browser_bg.wasm -o dist/smaller.wasm && mv dist/smaller.wasm dist/browser_bg.wasm
fi
# What the progress bar counts to.
cd dist
{
  printf '{'
  separator=
  for file in browser_bg.wasm model/*/*; do
    printf '%s"%s":%s' "$separator" "$file" "$(wc -c <"$file" | tr -d ' ')"
    separator=,
  done
  printf '}\n'
} >sizes.json
