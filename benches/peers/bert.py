"""ALBERT as a BERT for CTranslate2, which has BERT's encoder and no ALBERT.

All layers hold the values of the shared one; CTranslate2 keeps such copies once, in the file and in memory. It has no factorised embeddings: their sum,
LayerNorm and the mapping E -> H depend on a token's id and position only, and are computed here for the tokens of one case. The table that BERT's
embeddings are read from has a row for each of these tokens, its positions are zeros, and there is no LayerNorm behind it. So outputs are ALBERT's. What
CTranslate2 does not compute is this LayerNorm and mapping, a part in a thousand of the arithmetic.
"""

import json
import shutil

import numpy as np

from cases import MODELS

LAYER = "encoder.albert_layer_groups.0.albert_layers.0"
EPSILON = 1e-12


def embeddings(weights, ids):
    """What the first layer gets, [tokens, H]."""
    tables = [weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")]
    rows = np.concatenate([tables[0][sequence] + tables[1][: len(sequence)] + tables[2][0] for sequence in ids]).astype(np.float64)
    centred = rows - rows.mean(1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(1, keepdims=True) + EPSILON)
    normal = normal * weights["embeddings.LayerNorm.weight"] + weights["embeddings.LayerNorm.bias"]
    mapping = "encoder.embedding_hidden_mapping_in"
    return (normal @ weights[f"{mapping}.weight"].T + weights[f"{mapping}.bias"]).astype(np.float32)


def specification(weights, shape, table):
    """BERT's, as CTranslate2's converter makes it."""
    from ctranslate2.specs import common_spec, transformer_spec

    activations = {"gelu": common_spec.Activation.GELU, "gelu_new": common_spec.Activation.GELUTanh}

    def set_linear(spec, *names):
        spec.weight = np.concatenate([weights[f"{name}.weight"] for name in names])
        spec.bias = np.concatenate([weights[f"{name}.bias"] for name in names])

    def set_norm(spec, name):
        spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]

    encoder = transformer_spec.TransformerEncoderSpec(
        shape["num_hidden_layers"],
        shape["num_attention_heads"],
        pre_norm=False,
        activation=activations[shape["hidden_act"]],
    )
    pooler = "pooler.weight" in weights
    spec = transformer_spec.TransformerEncoderModelSpec(encoder, pooling_layer=pooler)
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = table
    encoder.position_encodings.encodings = np.zeros((512, shape["hidden_size"]), np.float32)
    if pooler:
        set_linear(spec.pooler_dense, "pooler")
    for layer in encoder.layer:
        set_linear(layer.self_attention.linear[0], *(f"{LAYER}.attention.{name}" for name in ("query", "key", "value")))
        set_linear(layer.self_attention.linear[1], f"{LAYER}.attention.dense")
        set_norm(layer.self_attention.layer_norm, f"{LAYER}.attention.LayerNorm")
        set_linear(layer.ffn.linear_0, f"{LAYER}.ffn")
        set_linear(layer.ffn.linear_1, f"{LAYER}.ffn_output")
        set_norm(layer.ffn.layer_norm, f"{LAYER}.full_layer_layer_norm")
    spec.register_vocabulary([str(row) for row in range(len(table))])
    spec.config.unk_token = "0"
    spec.config.layer_norm_epsilon = EPSILON
    return spec


def write(directory, model, case):
    """Makes the directories ctranslate2-{f32,int8}-CASE, whose words are the tokens of the case, one after the other."""
    from safetensors.numpy import load_file

    weights = load_file(directory / "model.safetensors")
    table = embeddings(weights, json.loads((directory / f"{case}.ids.json").read_text()))
    for precision, quantization in (("f32", "float32"), ("int8", "int8_float32")):
        output = directory / f"ctranslate2-{precision}-{case}"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        spec = specification(weights, MODELS[model], table)
        spec.validate()
        spec.optimize(quantization=quantization)
        spec.save(str(output))
