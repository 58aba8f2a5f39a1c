#!/usr/bin/env bash
# Training over MPI on this machine: the same bits on 1, 2 and 4 ranks, going on on other numbers of
# ranks, and what happens when a rank is killed or is not like the others.
# Needs MPICH or OpenMPI with its compiler wrapper, and libclang (Debian: mpich libclang-dev).
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --locked --bins
bin=$CARGO_TARGET_DIR/debug
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
data=../data/sentiment

# Several ranks on few cores: each with one thread.
export RAYON_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
oversubscribe=
if mpiexec --version 2>&1 | grep -q "Open MPI"; then oversubscribe=--oversubscribe; fi
on() { timeout 120 mpiexec $oversubscribe -n "$@"; }
train() {
  local ranks=$1 output=$2
  shift 2
  on "$ranks" "$bin/finetune_classification" --train $data/train.jsonl --validation $data/held-out.jsonl \
    --batch 2 --accumulation 8 --output "$work/$output" --every 6 "$@"
}

echo "== the same bits on 1, 2 and 4 ranks"
for ranks in 1 2 4; do train $ranks "ranks-$ranks" --steps 12 > /dev/null 2> "$work/log" || { cat "$work/log"; exit 1; }; done
for ranks in 2 4; do cmp "$work/ranks-1/checkpoint-12/model.safetensors" "$work/ranks-$ranks/checkpoint-12/model.safetensors"; done
cmp "$work/ranks-1/checkpoint-12/optimizer.safetensors" "$work/ranks-4/checkpoint-12/optimizer.safetensors"

echo "== begun on 4 ranks, killed, gone on with on 2"
train 4 killed --steps 12 > "$work/killed.out" 2>&1 &
run=$!
until [ -d "$work/killed/checkpoint-6" ]; do
  kill -0 $run 2> /dev/null || { cat "$work/killed.out"; exit 1; }
  sleep 0.02
done
pkill -9 -n -f "$bin/finetune_classification" || true
start=$SECONDS
if wait $run; then echo "all ranks ended before one was killed"; else echo "ended after $((SECONDS - start)) s"; fi
[ $((SECONDS - start)) -le 10 ]
train 2 killed --steps 12 --resume > /dev/null 2>&1
cmp "$work/ranks-1/checkpoint-12/model.safetensors" "$work/killed/checkpoint-12/model.safetensors"

echo "== a rank with another seed or instruction set is refused by name"
one="$bin/finetune_classification --train $data/train.jsonl --validation $data/held-out.jsonl --batch 2 --accumulation 8 --steps 12 --output $work/other"
if on 1 $one --seed 1 : -n 1 $one --seed 2 > "$work/log" 2>&1; then echo "seeds were not compared"; exit 1; fi
grep -E "(seed|data|parameters) of rank 1" "$work/log"
if on 1 env NDALBERT_ISA=portable $one --seed 1 : -n 1 $one --seed 1 > "$work/log" 2>&1; then echo "instruction sets were not compared"; exit 1; fi
grep "instruction_set of rank 1" "$work/log"

echo "== all passed"
