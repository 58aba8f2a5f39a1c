"""The models and the inputs that are compared."""

import json
from pathlib import Path

import numpy as np

SEED = 20240917
FIRST_ORDINARY_ID = 200  # beyond the special tokens of every ALBERT vocabulary


def _model(hidden, heads, layers, vocab, activation):
    return {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
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
}

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


def write_case(path, model, name):
    lengths, output = CASES[name]
    seed = SEED + sorted(CASES).index(name)
    ids = random_ids(lengths, MODELS[model]["vocab_size"], seed)
    Path(path).write_text(json.dumps({"ids": ids, "output": output}))
    return ids


def padded(ids):
    """Ids padded to the longest as [B, S], and the mask: None where there is no padding."""
    longest = max(map(len, ids))
    batch = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros_like(batch)
    for row, sequence in enumerate(ids):
        batch[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return batch, None if mask.all() else mask


def real_rows(output, mask):
    """Rows of real tokens, packed; a pooled output [B, H] is that already."""
    if output.ndim == 2:
        return output
    return output.reshape(-1, output.shape[-1]) if mask is None else output[mask.astype(bool)]
