#!/usr/bin/env bash
# Measures what docs/distributed.md shows, in about four minutes on two quiet cores:
#
#   (cd ../.. && cargo build --release --example measure_training)
#   cargo build --release --bin communication
#   sudo ./measure.sh ../../target/release/examples/measure_training target/release/communication results.jsonl
#   ./report.py results.jsonl ../../docs/images/distributed.svg
#
# A step of one rank on one core; and the exchange of two ranks on a core each, whose link has a
# limited rate, which does not depend on the batch and is measured with a tiny one.
set -euo pipefail
alone=$1 communication=$(realpath "$2") results=$(realpath "$3")
links=$(dirname "$0")/links.sh

for preset in base bert-base large bert-large; do
  taskset -c 1 "$alone" --preset $preset --threads 1 --batch 4 --seq 128 --iterations 1 |
    sed "s/^{/{\"preset\":\"$preset\",/" >> "$results"
done

# exchange RANKS LINK GRADIENTS PRESET
exchange() {
  timeout 120 "$links" "$1" "$2" "$communication" --gradients "$3" --preset "$4" --batch 1 --seq 16 --steps 2 |
    sed "s/^{/{\"link\":\"$2\",\"gradients\":\"$3\",/" >> "$results"
}
# Not BERT-large, of which two ranks need some 18 GB.
for preset in base bert-base large; do
  for link in 1gbit 10gbit; do exchange 2 $link f32 $preset; done
done
exchange 4 1gbit f32 base
exchange 2 1gbit bf16 bert-base
