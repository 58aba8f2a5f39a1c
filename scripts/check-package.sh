#!/usr/bin/env bash
# Packs the crate as for a registry, and uses the package as a new user would: each program of README and guide is
# built in a fresh crate, with the dependencies that the text above it adds, and run. Needs a Rust toolchain alone.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
limit=$((7 * 1024 * 1024))

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The newest file is this package, whatever its version.
cargo package --no-verify --allow-dirty --quiet
package=$(ls -t "$CARGO_TARGET_DIR"/package/ndalbert-*.crate | head -n 1)
size=$(wc -c < "$package")
echo "$(basename "$package"): $size bytes"
[ "$size" -le "$limit" ] || { echo "the package has more than $limit bytes" >&2; exit 1; }

mkdir "$work/package" "$work/users"
tar -xzf "$package" -C "$work/package" --strip-components 1

# Each program of FILE becomes users/PREFIX-N.rs; the `cargo add` commands since the one before, PREFIX-N.add.
programs() {
  awk -v prefix="$work/users/$1" '
    /^```/ && inside { inside = 0; if (language == "rust") { close(program); added = "" }; next }
    /^```/ {
      inside = 1; language = substr($0, 4)
      if (language == "rust") { program = prefix "-" ++count ".rs"; printf "%s", added > (prefix "-" count ".add") }
      next
    }
    inside && language == "rust" { print > program }
    inside && language == "sh" && /^cargo add / && !/^cargo add ndalbert/ { added = added $0 "\n" }
  ' "$2"
}
programs readme README.md
programs readme-chinese README.zh-CN.md
programs guide docs/guide.md
programs guide-chinese docs/guide.zh-CN.md

# One workspace, with the versions and the profile of this repository, so that dependencies are compiled once.
cd "$work/users"
cp "$repository/Cargo.lock" .
printf '%s\n' '[workspace]' 'resolver = "3"' 'members = []' \
  '[profile.dev]' 'opt-level = 1' 'debug = "line-tables-only"' > Cargo.toml
names=()
seen=" "
for program in *.rs; do
  name=${program%.rs}
  # Translations differ in their comments; a program is tried once.
  code=$(sed 's|//.*||; s|#.*||; s|[[:space:]]*$||' "$program" "$name.add" | cksum | tr ' ' -)
  case $seen in *" $code "*) continue ;; esac
  seen="$seen$code "
  names+=("$name")
  cargo new --quiet --vcs none "$name"
  (
    cd "$name"
    cargo add --quiet ndalbert --path "$work/package"
    while read -r command; do
      CARGO_TERM_QUIET=true bash -euc "$command"
    done < "../$name.add"
    mv "../$program" src/main.rs
  )
done
[ "${#names[@]}" -ge 10 ] || { echo "only ${#names[@]} programs were found" >&2; exit 1; }

cargo build --quiet --workspace
for name in "${names[@]}"; do
  echo "--- $name"
  "$CARGO_TARGET_DIR/debug/$name"
  rm "$CARGO_TARGET_DIR/debug/$name"
done

echo "--- the command line, from the package"
cargo build --quiet --locked --features cli,hub --manifest-path "$work/package/Cargo.toml"
"$CARGO_TARGET_DIR/debug/ndalbert" choose -m "$work/package/examples/data/albert-chinese-next-sentence" \
  '算法组的成员们精通各种AI算法.' '我没吃上吉士果.' '他们主要负责AI算法的研究和落地.'
