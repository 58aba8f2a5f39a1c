"""Compares a pre-training step of this crate with PyTorch's: time, peak memory, and the losses of the first steps. See README.md."""

import argparse
import functools
import json
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

import machine
import train_table
from cases import MODELS, SEED, TRAINED, random_ids
from processes import HERE, Failed, LongLived, Measure, build, fastest, prepare
from rounds import check_idle, counts, take_turns
from train_torch import FIRST_STEPS

REFERENCE = "PyTorch eager f32"

# Name: precision, settings of train_torch.py of which the fastest is taken.
PEERS = {
    REFERENCE: ("f32", ("eager attention", "sdpa")),
    "PyTorch compiled f32": ("f32", ("compiled",)),
    "PyTorch bf16 autocast": ("bf16", ("eager attention", "sdpa", "compiled")),
}

# Precision: what the losses of the first steps may differ by from PyTorch's in f32, as a part of them. All but the first depend on the
# gradients of every parameter.
BOUNDS = {"f32": 1e-5, "bf16": 5e-3}

MASKED = 0.15
IGNORED = -100


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[name for name in MODELS if name not in TRAINED], default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq", type=int, default=128)
    parser.add_argument("--only", default="", help="comma-separated beginnings of contestants' names")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10, help="of each contestant in each round; one step at least")
    parser.add_argument("--patience", type=float, default=120, help="seconds; a contestant whose step takes longer is left out")
    parser.add_argument("--work", type=Path, help="where models are kept; default: a new temporary directory")
    parser.add_argument("--measure", help="command instead of this crate's example `measure_training`")
    return parser.parse_args()


def write_batch(directory, options):
    """Random words, of which some are to be guessed to have been others."""
    vocab = MODELS[options.model]["vocab_size"]
    ids = random_ids([options.seq] * options.batch, vocab, SEED)
    rng = np.random.default_rng(SEED + 1)
    labels = np.full((options.batch, options.seq), IGNORED)
    for row, words in zip(labels, random_ids([options.seq] * options.batch, vocab, SEED + 2)):
        places = rng.choice(options.seq, max(1, round(MASKED * options.seq)), replace=False)
        row[places] = np.array(words)[places]
    order = rng.integers(0, 2, options.batch)
    (directory / "ids.json").write_text(json.dumps(ids))
    (directory / "labels.json").write_text(json.dumps({"masked_lm": labels.tolist(), "sentence_order": order.tolist()}))


def starters(options, directory):
    """Name, precision, and the ways to start it."""
    common = {"patience": options.patience, "threads": options.threads}

    def wanted(name):
        return name == REFERENCE or not options.only or any(name.startswith(part) for part in options.only.split(","))

    for name, (precision, settings) in PEERS.items():
        if wanted(name):
            commands = [[sys.executable, HERE / "train_torch.py", precision, setting, directory, options.threads] for setting in settings]
            yield name, precision, [functools.partial(LongLived, [str(word) for word in command], **common) for command in commands]
    measure = shlex.split(options.measure) if options.measure else [build(HERE.parents[1] / "Cargo.toml", None, "--example", "measure_training")]
    files = ["--model", directory / "pretraining", "--ids", directory / "ids.json", "--labels", directory / "labels.json"]
    for precision in ("f32", "bf16"):
        for activations in ("keep", "recompute"):
            name = f"ndalbert {precision} {activations}"
            if wanted(name):
                command = [*measure, *files, "--precision", precision, "--activations", activations]
                # Two steps are not timed.
                yield name, precision, [functools.partial(Measure, command, first=FIRST_STEPS - 2, **common)]


def start(contestants, options):
    """Starts all. One row per contestant, and the processes of those that take part."""
    rows, running = {}, {}
    for name, precision, ways in contestants:
        row = rows[name] = {"precision": precision}
        try:
            _, process = fastest(dict(enumerate(ways)))
            if process.second() > options.patience:
                process.close()
                raise Failed(f"too slow: {process.second():.0f} s")
        except Failed as why:
            row["unavailable"] = str(why)
            print(f"{name} takes no part: {why}", file=sys.stderr)
            continue
        running[name] = process
        row |= {key: process.load[key] for key in ("compile_s", "note", "losses")}
        row["imports_bytes"] = process.load.get("imports_bytes", 0)
    return rows, running


def check_losses(rows):
    """How far the losses of the first steps are from the reference's, as a part of them."""
    reference = np.array(rows[REFERENCE]["losses"])
    for row in rows.values():
        if "losses" in row:
            row["difference"] = float(np.abs(np.array(row["losses"]) / reference - 1).max())
            bound = BOUNDS[row["precision"]]
            if not row["difference"] <= bound:  # also where it is not a number
                row["wrong"] = f"losses {row['losses']} differ from {reference.tolist()} by {row['difference']:.2g} of them (bound {bound})"


def measure(contestants, options):
    rows, running = start(contestants, options)
    try:
        if REFERENCE not in running:
            sys.exit(f"{REFERENCE}, with which all are compared, takes no part")
        check_losses(rows)
        check_idle(running)
        turns = take_turns(running, counts(running, options.seconds), options.rounds, f"{options.batch}x{options.seq}")
        for name, rounds in turns.items():
            rows[name]["medians_s"] = [statistics.median(seconds) for seconds in rounds]
            rows[name]["median_s"] = statistics.median(rows[name]["medians_s"])
            rows[name]["peak_bytes"] = running[name].peak_bytes()
    finally:
        for process in running.values():
            process.close()
    return rows


def main():
    options = arguments()
    work = options.work or Path(tempfile.mkdtemp(prefix="ndalbert-peers-"))
    directory = (work / options.model).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    prepare(directory, options.model, "pretraining")
    write_batch(directory, options)
    contestants = list(starters(options, directory))
    result = {key: getattr(options, key) for key in ("model", "batch", "seq", "threads", "rounds")}
    result |= {"machine": machine.describe(packages=("torch", "transformers")), "busy_before": machine.busy_share()}
    watch = machine.Watch()
    result["rows"] = measure(contestants, options)
    result["busy_meanwhile"] = watch.share_of_others()
    text = train_table.markdown(result)
    (directory / "training.json").write_text(json.dumps(result, indent=1))
    (directory / "training.md").write_text(text)
    print(text)
    print(f"Written to training.json and training.md in {directory}", file=sys.stderr)
    wrong = [f"{name}: {row['wrong']}" for name, row in result["rows"].items() if row.get("wrong")]
    if wrong:
        sys.exit("Losses disagree:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
