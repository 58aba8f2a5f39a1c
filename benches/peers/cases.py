"""The models and the inputs that are compared."""

import json

import numpy as np

import kokoro

SEED = 20240917
FIRST_ORDINARY_ID = 200  # beyond the special tokens of every ALBERT vocabulary


def _model(hidden, heads, layers, vocab, activation, intermediate=None):
    return {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": intermediate or 4 * hidden,
        "num_hidden_layers": layers,
        "vocab_size": vocab,
        "embedding_size": 128,
        "hidden_act": activation,
    }


MODELS = {
    "tiny": _model(312, 12, 4, 21128, "gelu"),
    "small": _model(384, 12, 6, 21128, "gelu"),
    "base": _model(768, 12, 12, 30000, "gelu_new"),
    "large": _model(1024, 16, 24, 30000, "gelu_new"),
    "xxlarge": _model(4096, 64, 12, 30000, "gelu_new"),
    "kokoro": _model(768, 12, 12, 178, "gelu_new", intermediate=2048),
}
TRAINED = ("kokoro",)  # the others have random weights

ONE_BATCH = "one batch"
PACKED = "packed"  # this crate: all at once, without padding
# How many sequences those who pad compute together. They are sorted by length first.
TOGETHER = {ONE_BATCH: None, "buckets of 8": 8, "buckets of 4": 4, "one by one": 1}

# Name: lengths of the sequences, and which output is wanted.
CASES = {
    "1x16": ([16], "base"),
    "1x128": ([128], "base"),
    "8x128": ([128] * 8, "base"),
    "1x512": ([512], "base"),
    "mixed": ([int(n) for n in np.linspace(8, 128, 32).round()], "base"),
    "pooled": ([128] * 8, "pooled"),
}


def random_ids(lengths, vocab, seed):
    """One list of ids per sequence; no padding, no zeros, nothing special."""
    rng = np.random.default_rng(seed)
    return [rng.integers(FIRST_ORDINARY_ID, vocab, n).tolist() for n in lengths]


def case(name):
    """Lengths and output; the name of one that is not among those above is its shape, such as 1x100."""
    if name in CASES:
        return CASES[name]
    batch, length = map(int, name.split("x"))
    return [length] * batch, "base"


def write_case(directory, model, name):
    """Writes NAME.json for contestants.py, and NAME.ids.json for this crate. How many tokens it has."""
    lengths, output = case(name)
    if model in TRAINED:
        ids = kokoro.text(directory, lengths)
    else:
        seed = SEED + (sorted(CASES).index(name) if name in CASES else len(CASES))
        ids = random_ids(lengths, MODELS[model]["vocab_size"], seed)
    write_ids(directory, name, ids, output)
    return sum(lengths)


def write_ids(directory, name, ids, output):
    case = {"ids": ids, "output": output, "ways": ways(list(map(len, ids)))}
    (directory / f"{name}.json").write_text(json.dumps(case))
    (directory / f"{name}.ids.json").write_text(json.dumps(ids))


def calibration(directory, model, padding):
    """Batches of other texts than those that are measured, with and without padding."""
    if model in TRAINED:
        _, ids = kokoro.sentences(directory)
        return [ids[first : first + 2] for first in range(0, len(ids), 2)] if padding else [[sequence] for sequence in ids]
    return [random_ids([32 + 3 * seed, 128][: 2 if padding else 1], MODELS[model]["vocab_size"], seed) for seed in range(32)]


def padded(ids):
    """Ids padded to the longest as [B, S], and the mask: None where there is no padding."""
    longest = max(map(len, ids))
    batch = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros_like(batch)
    for row, sequence in enumerate(ids):
        batch[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return batch, None if mask.all() else mask


def ways(lengths):
    """Ways to compute sequences in pieces: name, and the numbers of the sequences of each piece. Buckets are for those of different lengths."""
    order, found = sorted(range(len(lengths)), key=lengths.__getitem__), {}
    for name, size in TOGETHER.items():
        if name.startswith("buckets") and len(set(lengths)) == 1:
            continue
        size = size or len(order)
        pieces = [order[first : first + size] for first in range(0, len(order), size)]
        if pieces not in found.values():
            found[name] = pieces
    return found


def in_order(outputs, pieces, lengths):
    """Rows of real tokens, packed, in the order of the sequences. An output per piece: [B, S, H], or [B, H] if pooled."""
    rows = {}
    for output, sequences in zip(outputs, pieces, strict=True):
        for number, values in zip(sequences, output, strict=True):
            rows[number] = values[: lengths[number]] if output.ndim == 3 else values[None]
    return np.concatenate([rows[number] for number in range(len(lengths))])
