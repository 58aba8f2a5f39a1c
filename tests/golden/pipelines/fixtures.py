"""Tiny ALBERT models with seeded weights, for pipelines: a directory each, with a tokenizer's files or without."""

import json
import shutil
import zlib

import numpy as np
import torch

# H, E, I, A, L are as small as they may be for the answers to depend on all of a text; weights are far from their scale at
# initialisation, where all scores are alike.
SHAPE = {
    "hidden_size": 16, "embedding_size": 8, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2,
    "max_position_embeddings": 40, "classifier_dropout_prob": 0.0, "hidden_act": "gelu_new",
}


def draw(model, seed):
    """Seeded weights that half precision holds exactly."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            rng = np.random.default_rng(zlib.crc32(f"{seed} {name}".encode()))
            drawn = rng.standard_normal(tuple(values.shape))
            if "LayerNorm" in name or "layer_norm" in name:
                drawn = 0.2 * drawn + name.endswith("weight")
            elif name.endswith("bias"):
                drawn = 0.2 * drawn
            elif "embeddings" not in name:
                drawn = 1.5 * drawn / np.sqrt(values.shape[-1])
            values.copy_(torch.from_numpy(drawn).half())


def save(directory, kind, config, seed, tokenizer=None):
    """Writes `config.json` and `model.safetensors` in half precision, and copies a tokenizer's files beside them."""
    model = kind(config).eval()
    draw(model, seed)
    model.half().save_pretrained(directory)
    for leftover in directory.glob("generation_config.json"):
        leftover.unlink()
    (directory / "model.safetensors").chmod(0o644)
    if tokenizer is not None:
        for file in tokenizer.iterdir():
            shutil.copy(file, directory / file.name)


def write_json(path, value):
    """An entry of a list on each line."""
    if isinstance(value, list):
        text = "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value) + "\n]"
    else:
        text = json.dumps(value, ensure_ascii=False)
    path.write_text(text + "\n")
