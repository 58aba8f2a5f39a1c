"""How near are each precision and each peer to f32 on a trained ALBERT? See README.md."""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import agreement
import kokoro
import machine
import table
from cases import MODELS, ONE_BATCH, write_ids
from contestants import CONTESTANTS
from processes import HERE, Failed, LongLived, Measure, build, prepare

MANIFEST = HERE.parents[1] / "Cargo.toml"
MODEL = "kokoro"
CASE = "sentences"
REFERENCE = "ndalbert f32"
PRECISIONS = ("f32", "bf16", "int8")  # of this crate
LEAST = {"ndalbert bf16": 0.9998, "ndalbert int8": 0.9985, "PyTorch eager": 0.999999}  # mean cosines that are accepted
PEERS = ("PyTorch eager", "OpenVINO bf16", "OpenVINO int8", "ONNX Runtime plain int8", "ONNX Runtime int8")
UNSTABLE = 3143  # The last layers make any difference about ten times as large at this token.
HEAD = ("", "mean cosine", "1 in 100", "least", "second least", f"token {UNSTABLE}", "file MB")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=60, help="seconds; a tenth of what an answer may take")
    parser.add_argument("--work", type=Path, help="where models are kept; default: a new temporary directory")
    return parser.parse_args()


def contestants(directory, options):
    """Name, how to start it, and the files of its model."""
    common = {"patience": options.patience, "threads": options.threads}
    case, ids = directory / f"{CASE}.json", directory / f"{CASE}.ids.json"
    measure, command = [build(MANIFEST, None, "--features", "cli", *what) for what in (("--example", "measure"), ("--bin", "ndalbert"))]
    for precision in PRECISIONS:
        converted = directory / precision  # for its size: all start from the same floats
        subprocess.run([command, "convert", directory, converted, "--dtype", precision, "--force"], check=True, capture_output=True)
        words = [measure, "--model", directory, "--ids", ids, "--precision", precision]
        yield f"ndalbert {precision}", partial(Measure, words, **common), converted.glob("*.safetensors")
    for name in PEERS:
        settings, step = CONTESTANTS[name][-2:]
        setting = "dynamic" if "dynamic" in settings else settings[0]
        prepare(directory, MODEL, step)
        words = [sys.executable, HERE / "contestants.py", name, setting, directory, case, ONE_BATCH, str(options.threads)]
        pattern = "model.safetensors" if step == "checkpoint" else f"{step}-mask.*"
        yield name, partial(LongLived, words, **common), directory.glob(pattern)


def rows_of(start, path):
    """The last hidden states of all real tokens."""
    process = start()
    try:
        process.dump(path)
    finally:
        process.close()
    return agreement.read(path, MODELS[MODEL]["hidden_size"])


def cells(cosines, files):
    least = sorted(cosines)
    figures = [cosines.mean(), least[len(least) // 100], least[0], least[1], cosines[UNSTABLE]]
    size = sum(file.stat().st_size for file in files)
    return [*(f"{figure:.6f}" for figure in figures), f"{size / 1e6:.1f}"]


def main():
    options = arguments()
    directory = ((options.work or Path(tempfile.mkdtemp(prefix="ndalbert-real-"))) / MODEL).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    prepare(directory, MODEL, "checkpoint")
    ids, _ = kokoro.sentences(directory)
    write_ids(directory, CASE, ids, "base")
    lines, remarks, wrong, reference = [table.line(HEAD), table.line(["---", *["---:"] * (len(HEAD) - 1)])], [], [], None
    for name, start, files in contestants(directory, options):
        print(name, file=sys.stderr)
        try:
            rows = rows_of(start, directory / f"{name}.f32")
        except Failed as why:
            remarks.append(f"* {name} takes no part: {why}")
            continue
        reference = rows if name == REFERENCE else reference
        _, cosines = agreement.compare(rows, reference)
        lines.append(table.line([name, *cells(cosines, files)]))
        if not cosines.mean() >= LEAST.get(name, 0):
            wrong.append(f"{name}: mean cosine {cosines.mean():.6f}, and not {LEAST[name]}")
    title = f"Cosine with `{REFERENCE}` of the last hidden states by token: {len(ids)} sentences, {sum(map(len, ids))} tokens."
    text = "\n".join([title, *table.processor(machine.describe()), "", *lines, "", *remarks])
    (directory / "real.md").write_text(text)
    print(text)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
