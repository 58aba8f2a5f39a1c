"""Writes `models/<case>/{config.json, model.safetensors, golden.safetensors}` and the tables of `README.md`.

Every case is a tiny ALBERT with seeded weights, made, run and saved by transformers. The reference outputs are computed
in float64 from the float32 weights and stored as float32. `README.md`, beside this file, says what is in the files.

    python make_models.py            write everything
    python make_models.py --check    write to a temporary directory and compare with what is here, byte for byte

Two runs with the versions below give the same bytes. One thread, and a generator of our own for the weights, so that
nothing depends on how a library orders its draws.
"""

import copy
import filecmp
import json
import shutil
import sys
import tempfile
import zlib
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
)
from transformers.activations import ACT2FN
from transformers.models.albert import modeling_albert

VERSIONS = {"numpy": np, "safetensors": safetensors, "torch": torch, "transformers": transformers}
PINNED = {"numpy": "2.4.6", "safetensors": "0.8.0", "torch": "2.15.0", "transformers": "5.23.0"}
for package, module in VERSIONS.items():
    found = module.__version__.split("+")[0]
    assert found == PINNED[package], f"{package} is {found}, these files are made with {PINNED[package]}"

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

HERE = Path(__file__).resolve().parent
TOLERANCE = 2e-5  # what the Rust tests allow; the unit of the table of margins
EXACT = 1e-11  # two orders of the same float64 arithmetic


# --------------------------------------------------------------------------------------------------------- cases

Run = namedtuple("Run", "name inputs extras")
Case = namedtuple("Case", "name model config runs options", defaults=[{}])
CASES = []


def case(name, model, shape, runs, **options):
    """Declares a case. `shape` is "H A E I V L", the six sizes in that order; `options` goes to the config, except for
    the names in OWN_OPTIONS."""
    sizes = dict(zip("hidden_size num_attention_heads embedding_size intermediate_size vocab_size num_hidden_layers"
                     .split(), map(int, shape.split())))
    own = {key: options.pop(key) for key in list(options) if key in OWN_OPTIONS}
    config = {"max_position_embeddings": 24, "layer_norm_eps": 1e-12, **sizes, **options}
    rng = np.random.default_rng(zlib.crc32(f"inputs of {name}".encode()))
    CASES.append(Case(name, model, config, [make(rng, config) for make in runs], own))


# `pooler`: add_pooling_layer. `flat`: give some rows of the embeddings almost no variance. `gain`: of the weights.
# `coarse`: weights that f16 and bf16 hold exactly. `share`: the strategy, which transformers does not have.
# `untie`: what of the decoder ("weight", "bias") has other values than what the config ties it to.
OWN_OPTIONS = ("pooler", "flat", "gain", "coarse", "share", "untie")


def mask_of(kind, rng, batch, seq):
    """[B,S] of 0 and 1. `kind` is a list of strings of 0 and 1, or one of the words below."""
    mask = np.ones((batch, seq), np.int64)
    if isinstance(kind, list):
        return np.array([[int(digit) for digit in row] for row in kind])
    for row in range(batch):
        length = max(1, seq - row * (seq // max(batch, 2)))  # the first row is full, the last is short
        if kind == "right":
            mask[row, length:] = 0
        elif kind == "left":
            mask[row, : seq - length] = 0
        elif kind == "holes":
            mask[row] = rng.random(seq) < 0.6
            mask[row, row % seq] = 0  # row 0: a hole at position 0, where the pooler looks
            mask[row, (row + 2) % seq] = 1
        elif kind == "fully" and row % 2 == 1:
            mask[row] = 0
    return mask


def run(name, batch, seq, *extras, choices=None, mask=None, types=False, positions=None, embeds=False, labels=None,
        flat=False):
    """A run of `batch` sequences (times `choices`) of `seq` tokens. `extras` names what is stored besides the outputs
    proper: "hidden_states", "attentions". `labels` is a function of (rng, config, inputs)."""

    def make(rng, config):
        shape = (batch, seq) if choices is None else (batch, choices, seq)
        rows = batch * (choices or 1)
        inputs = {}
        if embeds:
            inputs["inputs_embeds"] = rng.standard_normal((*shape, config["embedding_size"])).astype(np.float32)
        else:
            inputs["input_ids"] = rng.integers(4, config["vocab_size"], shape)
        if flat:  # ids 1, 2 and 3 are the flat rows; their neighbours are not
            inputs["input_ids"][:, : seq - 1 : 2] = rng.integers(1, 4, inputs["input_ids"][:, : seq - 1 : 2].shape)
        if mask is not None:
            inputs["attention_mask"] = mask_of(mask, rng, rows, seq).reshape(shape)
            if not embeds:
                inputs["input_ids"][inputs["attention_mask"] == 0] = 0
        if types == "pair":  # 0 up to somewhere in the middle, 1 from there on
            inputs["token_type_ids"] = (np.arange(seq) >= rng.integers(1, seq, (*shape[:-1], 1))).astype(np.int64)
        elif types:
            inputs["token_type_ids"] = rng.integers(0, config.get("type_vocab_size", 2), shape)
        if positions == "permuted":
            inputs["position_ids"] = rng.permuted(np.broadcast_to(np.arange(seq), shape), axis=-1)
        elif positions == "offset":
            offsets = rng.integers(1, config["max_position_embeddings"] - seq + 1, (*shape[:-1], 1))
            inputs["position_ids"] = offsets + np.arange(seq)
        if labels is not None:
            inputs.update(labels(rng, config, inputs))
        tensors = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in inputs.items()}
        return Run(name, tensors, extras)

    return make


def token_labels(classes=None, every=2):
    """Labels for one token in `every`, −100 for the others and wherever the mask is 0."""

    def make(rng, config, inputs):
        shape = inputs["input_ids"].shape
        labels = rng.integers(0, classes or config["vocab_size"], shape)
        chosen = np.arange(labels.size).reshape(shape) % every == 0
        return {"labels": np.where(chosen & (inputs.get("attention_mask", 1) == 1), labels, -100)}

    return make


def pretraining_labels(order):
    return lambda rng, config, inputs: {
        **token_labels()(rng, config, inputs),
        "sentence_order_label": np.array(order),
    }


def given(dtype=np.int64, **arrays):
    return lambda rng, config, inputs: {key: np.array(value, dtype) for key, value in arrays.items()}


def span(start, end):
    return given(start_positions=start, end_positions=end)


HS, ATT = "hidden_states", "attentions"

# The backbone: every way of feeding it.
case("base", AlbertModel, "18 3 10 37 61 2", [
    run("plain", 3, 7, HS, ATT),
    run("padded", 4, 9, mask="right", types="pair"),
    run("left_padded", 3, 8, mask="left"),
    run("holes", 5, 7, mask="holes"),
    run("fully_masked", 3, 6, mask="fully"),
    run("length_one", 2, 1, HS, ATT),
    run("length_one_masked", 2, 1, mask=["1", "0"]),
    run("positions", 2, 8, positions="permuted"),
    run("positions_padded", 2, 8, positions="offset", mask="right"),
    run("token_types", 2, 8, types=True),
    run("embeds", 2, 6, embeds=True),
    run("embeds_padded", 3, 6, embeds=True, mask="right", types="pair", positions="offset"),
])
# E = H, where a norm after the projection instead of before would fit; one token type; five heads of three.
case("base_no_pooler", AlbertModel, "15 5 15 37 43 3", [
    run("plain", 2, 6, HS, ATT), run("padded", 3, 7, mask="right"), run("positions", 2, 5, positions="offset"),
], pooler=False, hidden_act="gelu", type_vocab_size=1)
# E > H, a single head, three token types, the larger eps.
case("base_wide_embedding", AlbertModel, "20 1 27 33 39 2", [
    run("plain", 1, 9, HS, ATT), run("token_types", 4, 7, types=True),
    run("everything", 3, 8, HS, mask="holes", types=True, positions="offset"),
], hidden_act="silu", type_vocab_size=3, layer_norm_eps=1e-5)

# Groups and inner groups.
case("groups_3_of_7", AlbertModel, "18 3 7 23 31 7", [
    run("plain", 2, 6, HS), run("padded", 3, 7, mask="right"),
], num_hidden_groups=3, hidden_act="gelu_pytorch_tanh", gain=0.8)
case("groups_2_of_5_inner_2", AlbertModel, "14 7 9 13 33 5", [
    run("plain", 1, 5, HS, ATT), run("holes", 3, 6, mask="holes"),
], num_hidden_groups=2, inner_group_num=2, hidden_act="tanh", gain=0.8)
case("groups_3_of_4", AlbertModel, "15 5 11 29 37 4", [
    run("plain", 2, 6, HS), run("padded", 3, 7, mask="right", types="pair"),
], num_hidden_groups=3, hidden_act="mish")
case("groups_2_of_4_inner_2", AlbertModel, "14 2 9 17 35 4", [
    run("plain", 2, 6, HS), run("padded", 3, 7, mask="right"),
], num_hidden_groups=2, inner_group_num=2, hidden_act="relu", gain=0.8)
case("inner_3", AlbertModel, "13 1 6 22 35 2", [
    run("plain", 2, 6, HS), run("padded", 3, 7, mask="right"),
], inner_group_num=3, hidden_act="gelu_fast")
# int(i / (L / G)) in floating point is 6 for layer 9; exact arithmetic gives 7.
case("groups_14_of_18", AlbertModel, "6 3 5 7 30 18", [
    run("plain", 2, 5, HS), run("padded", 2, 6, mask="right"),
], num_hidden_groups=14, hidden_act="gelu_new", gain=0.6)

# Where eps and the two passes of the variance can be seen.
case("eps_small", AlbertModel, "16 2 8 27 33 2", [
    run("plain", 2, 8, HS, flat=True), run("padded", 3, 8, mask="right", flat=True),
], hidden_act="gelu", flat=True)
case("eps_large", AlbertModel, "16 2 8 27 33 2", [
    run("plain", 2, 8, HS, flat=True), run("padded", 3, 8, mask="right", flat=True),
], hidden_act="gelu_new", layer_norm_eps=1e-5, flat=True)

# Long sequences.
case("long_130", AlbertModel, "15 3 6 31 47 2", [
    run("long", 1, 130), run("long_padded", 2, 130, mask="right", types="pair"), run("long_holes", 1, 130, mask="holes"),
], max_position_embeddings=130, hidden_act="gelu")
case("long_512", AlbertModel, "12 2 5 21 53 2", [
    run("long", 1, 512),
], max_position_embeddings=512, pooler=False)

# The heads.
case("masked_lm", AlbertForMaskedLM, "22 2 9 35 59 3", [
    run("plain", 2, 7, HS, labels=token_labels()), run("padded", 3, 8, mask="right", labels=token_labels()),
    run("holes", 2, 7, mask="holes", labels=token_labels()), run("one_label", 1, 5, labels=token_labels(every=5)),
    run("fully_masked", 2, 6, mask="fully", labels=token_labels()), run("length_one", 2, 1, labels=token_labels()),
])
case("masked_lm_gelu", AlbertForMaskedLM, "18 3 21 35 41 3", [
    run("plain", 2, 7, ATT, labels=token_labels()), run("padded", 3, 8, mask="right", labels=token_labels()),
], hidden_act="gelu", type_vocab_size=1)
case("pretraining", AlbertForPreTraining, "24 4 11 30 51 2", [
    run("plain", 2, 8, HS, types="pair", labels=pretraining_labels([0, 1])),
    run("padded", 4, 9, mask="right", types="pair", labels=pretraining_labels([1, 0, 0, 1])),
    run("sop_ignored", 3, 6, types="pair", labels=pretraining_labels([1, -100, 0])),
], hidden_act="relu")
# Decoders of their own: by the config, and by their values alone.
case("masked_lm_untied", AlbertForMaskedLM, "16 2 7 22 37 2", [
    run("plain", 2, 7, labels=token_labels()), run("padded", 3, 8, mask="right", labels=token_labels()),
], tie_word_embeddings=False)
case("masked_lm_untied_bias", AlbertForMaskedLM, "12 3 6 20 33 2", [
    run("plain", 2, 6, labels=token_labels()), run("padded", 3, 7, mask="right", labels=token_labels()),
], untie=["bias"])
case("pretraining_untied_weight", AlbertForPreTraining, "14 2 9 18 35 2", [
    run("plain", 2, 7, types="pair", labels=pretraining_labels([0, 1])),
    run("padded", 3, 8, mask="right", types="pair", labels=pretraining_labels([1, 0, 0])),
], untie=["weight"])
case("multiple_choice", AlbertForMultipleChoice, "21 3 8 34 57 2", [
    run("float_labels", 1, 14, choices=4, mask="right", types="pair", labels=given(np.float32, labels=[[0, 1, 0, 0]])),
    run("soft_labels", 2, 7, choices=3, types="pair",
        labels=given(np.float32, labels=[[0.25, 0.5, 0.25], [0.0, 0.125, 0.875]])),
    run("integer_labels", 3, 6, HS, choices=2, mask="right", labels=given(labels=[1, 0, 1])),
    run("positions", 1, 6, choices=5, positions="offset", types="pair", mask="holes"),
    run("one_choice", 2, 5, choices=1, labels=given(labels=[0, 0])),
    run("embeds", 1, 5, choices=3, embeds=True, labels=given(labels=[2])),
], hidden_act="gelu")
case("sequence_classification_1", AlbertForSequenceClassification, "17 1 6 30 41 2", [
    run("plain", 1, 6, labels=given(np.float32, labels=[0.7])),
    run("padded", 4, 8, mask="right", types="pair", labels=given(np.float32, labels=[-1.5, 0.25, 2, 0])),
], hidden_act="gelu_python", num_labels=1)
case("sequence_classification_3", AlbertForSequenceClassification, "20 5 8 26 41 2", [
    run("plain", 2, 6, HS, labels=given(labels=[2, 0])),
    run("padded", 4, 8, mask="right", types="pair", labels=given(labels=[0, 1, 2, 1])),
], hidden_act="swish", num_labels=3)
case("sequence_classification_3_single_label", AlbertForSequenceClassification, "12 3 8 18 31 2", [
    run("plain", 3, 6, labels=given(labels=[2, 0, 1])),
], hidden_act="linear", num_labels=3, problem_type="single_label_classification")
case("sequence_classification_3_multi_label", AlbertForSequenceClassification, "12 3 8 18 31 2", [
    run("plain", 2, 6, labels=given(np.float32, labels=[[1, 0, 1], [0, 0, 1]])),
    run("padded", 2, 6, mask="right", labels=given(np.float32, labels=[[0.25, 0, 1], [0, 0, 0]])),
], hidden_act="gelu_pytorch_tanh", num_labels=3, problem_type="multi_label_classification")
case("sequence_classification_3_float_labels", AlbertForSequenceClassification, "12 2 8 18 31 1", [
    run("plain", 2, 6, labels=given(np.float32, labels=[[0, 1, 1], [1, 0, 0]])),
], hidden_act="silu", num_labels=3)
case("sequence_classification_3_regression", AlbertForSequenceClassification, "12 3 8 18 31 2", [
    run("plain", 2, 6, labels=given(np.float32, labels=[[1.5, -0.5, 0], [0.25, 1, -2]])),
], hidden_act="gelu_fast", num_labels=3, problem_type="regression")
case("sequence_classification_1_multi_label", AlbertForSequenceClassification, "12 3 8 18 31 1", [
    run("plain", 3, 6, labels=given(np.float32, labels=[[1], [0], [0.5]])),
], hidden_act="mish", num_labels=1, problem_type="multi_label_classification")
case("token_classification", AlbertForTokenClassification, "19 1 7 31 45 3", [
    run("plain", 2, 7, HS, labels=token_labels(5, every=3)),
    run("padded", 3, 8, mask="right", types="pair", labels=token_labels(5)),
    run("holes", 2, 6, mask="holes", labels=token_labels(5, every=1)),
], hidden_act="gelu_python", num_labels=5, gain=1.4)
case("question_answering", AlbertForQuestionAnswering, "20 4 10 36 49 2", [
    run("plain", 2, 9, HS, types="pair", labels=span([3, 0], [5, 8])),
    run("out_of_range", 3, 9, types="pair", labels=span([3, 9, 40], [12, 4, 7])),
    run("negative", 2, 9, labels=span([-1, 2], [3, -7])),
    run("padded", 3, 10, mask="right", types="pair", labels=span([2, 5, 1], [9, 10, 3])),
    run("no_labels", 1, 4),
])

# Sharing strategies; transformers has only "all" (the cases above) and, by one group per layer, "none".
STRATEGY = [run("plain", 2, 6, HS), run("padded", 3, 7, mask="right", types="pair")]
case("sharing_none", AlbertModel, "13 1 6 22 33 4", STRATEGY, num_hidden_groups=4, share="none", hidden_act="gelu")
case("sharing_attention", AlbertModel, "15 3 6 22 33 3", STRATEGY, share="attention")
case("sharing_ffn", AlbertModel, "15 3 6 22 33 3", STRATEGY, share="ffn")
case("sharing_attention_2_of_5_inner_2", AlbertModel, "10 2 6 13 31 5", STRATEGY,
     num_hidden_groups=2, inner_group_num=2, share="attention", gain=0.7)
case("sharing_ffn_2_of_5_inner_2", AlbertModel, "10 2 6 13 31 5", STRATEGY,
     num_hidden_groups=2, inner_group_num=2, share="ffn", gain=0.7)

# Its weights are exact in f16 and bf16, so that the `legacy_*` copies of it have one reference.
case("legacy_base", AlbertForMaskedLM, "14 2 6 20 30 2", [
    run("plain", 2, 6, HS, labels=token_labels()), run("padded", 3, 7, mask="right", labels=token_labels()),
], max_position_embeddings=12, hidden_act="gelu_pytorch_tanh", coarse=True)


# ------------------------------------------------------------------------------------------------------- weights

FLAT_TINY, FLAT_DYADIC, FLAT_ZERO = 1, 2, 3  # ids of the flat rows


def draw(name, shape, rng, config, gain):
    """Weights that keep activations O(1), put every activation function to use and make the attention choose."""
    normal = rng.standard_normal(shape)
    if "LayerNorm" in name or "layer_norm" in name:
        return 0.3 * normal + (1.0 if name.endswith("weight") else 0.0)
    if "embeddings" in name:
        return 0.7 * normal
    if name.endswith("bias"):
        return 0.3 * normal
    if ".query." in name or ".key." in name:
        gain *= 1.15
    if ".ffn" in name:  # far enough out for the forms of gelu to differ
        gain *= 1.5
    return 1.3 * gain * normal / np.sqrt(shape[1])


def flatten(state, rng, config):
    """Rows of the word embeddings with almost no variance, at a type and at positions whose rows are zero.

    FLAT_TINY is 1e-6 of a normal row: 1e-12 and 1e-5 as eps are worlds apart. FLAT_DYADIC is 1 plus multiples of 2⁻¹²
    that add up to zero: in f32 the mean is exact in any order, E[x²]−E[x]² is not. FLAT_ZERO is zero: only eps keeps
    it finite."""
    embed = config.embedding_size
    assert embed & (embed - 1) == 0, "the mean of the dyadic row is exact for powers of two"
    word = state["embeddings.word_embeddings.weight"]
    word[FLAT_TINY] = 1e-6 * rng.standard_normal(embed)
    steps = rng.integers(-8, 9, embed)
    steps[-1] = -steps[:-1].sum()
    word[FLAT_DYADIC] = 1 + steps / 4096
    word[FLAT_ZERO] = 0
    state["embeddings.token_type_embeddings.weight"][0] = 0
    state["embeddings.position_embeddings.weight"][::2] = 0


def tie_shared(state, config, shared, layers_in):
    """Gives the shared half of every layer the weights of the first layer of its group."""
    for name in state:
        if (layer := layer_of(name)) is not None and part_of(name) == shared:
            group = layers_in.index(layers_in[layer])  # the first layer of this layer's group
            state[name] = state[name.replace(f"groups.{layer}.", f"groups.{group}.", 1)].copy()


def layer_of(name):
    return int(name.split("albert_layer_groups.")[1].split(".")[0]) if "albert_layer_groups." in name else None


def part_of(name):
    return "attention" if name.split("albert_layers.")[1].split(".", 1)[1].startswith("attention.") else "ffn"


def group_of_layer(config):
    return [int(i / (config["num_hidden_layers"] / config.get("num_hidden_groups", 1)))
            for i in range(config["num_hidden_layers"])]


def build(case):
    """The f32 model of a case."""
    options = dict(case.config)
    shared = case.options.get("share")
    if shared in ("attention", "ffn"):
        options["num_hidden_groups"] = options["num_hidden_layers"]
    config = AlbertConfig(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout_prob=0.1,
                          **options)
    arguments = {} if case.options.get("pooler", True) else {"add_pooling_layer": False}
    model = case.model(config, **arguments).eval()
    for part in case.options.get("untie", []):
        decoder = model.predictions.decoder
        setattr(decoder, part, nn.Parameter(torch.empty_like(getattr(decoder, part))))
    rng = np.random.default_rng(zlib.crc32(f"weights of {case.name}".encode()))
    gain = case.options.get("gain", 1.0)
    parameters = dict(model.named_parameters())  # each tied one once
    state = {name: draw(name, tuple(parameters[name].shape), rng, config, gain) for name in sorted(parameters)}
    if case.options.get("flat"):
        flatten(state, rng, config)
    if shared in ("attention", "ffn"):
        tie_shared(state, config, shared, group_of_layer(case.config))
    with torch.no_grad():
        for name, value in state.items():
            tensor = torch.from_numpy(np.asarray(value, np.float32))
            if case.options.get("coarse"):
                tensor = tensor.to(torch.bfloat16).float()
                tensor[tensor.abs() < 2.0**-14] = 0  # below f16's normal numbers
                assert torch.equal(tensor, tensor.half().float())
            parameters[name].copy_(tensor)
    if (tied := getattr(model, "predictions", None)) is not None:
        own = case.options.get("untie", ["weight", "bias"] if not config.tie_word_embeddings else [])
        assert (tied.decoder.weight is model.albert.embeddings.word_embeddings.weight) == ("weight" not in own)
        assert (tied.decoder.bias is tied.bias) == ("bias" not in own)
    return model


def save(case, model, directory):
    """What transformers writes; for the sharing strategies, renamed to what ndalbert reads."""
    model.save_pretrained(directory)
    if case.options.get("untie"):  # that transformers reads it as it was
        read = dict(case.model.from_pretrained(directory).named_parameters())
        assert read.keys() == dict(model.named_parameters()).keys()
        assert all(torch.equal(read[name], parameter) for name, parameter in model.named_parameters())
    strategy = case.options.get("share")
    if strategy is None:
        return
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["num_hidden_groups"] = case.config.get("num_hidden_groups", 1)
    config["parameter_sharing"] = strategy
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if strategy == "none":
        return
    groups = group_of_layer(case.config)
    saved = load_file(directory / "model.safetensors")
    renamed = {}
    for name, tensor in saved.items():
        if (layer := layer_of(name)) is not None and part_of(name) == strategy:
            if groups.index(groups[layer]) != layer:
                assert torch.equal(tensor, saved[name.replace(f"groups.{layer}.", f"groups.{groups.index(groups[layer])}.")])
                continue
            name = name.replace(f"groups.{layer}.", f"groups.{groups[layer]}.")
        renamed[name] = tensor
    save_file(renamed, directory / "model.safetensors", {"format": "pt"})


# ---------------------------------------------------------------------------------------------------- references

def forward(model, inputs, attention, dtype, extras=()):
    """All outputs of a run, flat, by the names of the golden files."""
    model = copy.deepcopy(model).to(dtype)  # a copy too because the first labels fix config.problem_type
    model.set_attn_implementation(attention)
    inputs = {key: value.to(dtype) if value.is_floating_point() else value for key, value in inputs.items()}
    with torch.no_grad():
        outputs = model(**inputs, output_hidden_states=HS in extras, output_attentions=ATT in extras)
    flat = {}
    for key, value in outputs.items():
        if isinstance(value, tuple):
            flat.update({f"{key}.{i}": tensor for i, tensor in enumerate(value)})
        elif value is not None:
            flat[key] = value
    if isinstance(model, AlbertForMaskedLM):
        flat["prediction_logits"] = flat.pop("logits")
    if isinstance(model, AlbertForQuestionAnswering) and "attention_mask" in inputs and "loss" in flat:
        flat["loss_unpadded"] = unpadded_span_loss(flat, inputs)
    return flat


def unpadded_span_loss(outputs, inputs):
    """The loss that does not depend on the padding: no probability for masked positions."""
    losses = []
    for end in ("start", "end"):
        logits = outputs[f"{end}_logits"].masked_fill(inputs["attention_mask"] == 0, -torch.inf)
        seq = logits.shape[1]
        target = inputs[f"{end}_positions"].clamp(0, seq)
        losses.append(nn.functional.cross_entropy(logits, target, ignore_index=seq))
    return sum(losses) / 2


def rows_with_keys(inputs):
    """[B·N] of bool: the sequences with at least one key that is not masked."""
    if (mask := inputs.get("attention_mask")) is None:
        return slice(None)
    return mask.reshape(-1, mask.shape[-1]).any(-1)


def difference(a, b):
    assert a.shape == b.shape
    return (a.double() - b.double()).abs().max().item() if a.numel() else 0.0


def reference(model, run):
    """float64 outputs, and how far transformers' own f32 (sdpa, its default) is from them.

    float64 sdpa is the reference. It is checked against float64 eager attention, on all but the sequences without any
    key: there sdpa, in f32 and f64 alike, gives a context of exactly zero, which is checked too, and eager attention
    averages over all positions."""
    contexts = []

    def hook(_, args):
        contexts.append(args[0])

    spied = copy.deepcopy(model)
    for module in spied.modules():
        if isinstance(module, modeling_albert.AlbertAttention):
            module.dense.register_forward_pre_hook(hook)
    f64 = forward(spied, run.inputs, "sdpa", torch.float64, run.extras)
    f32 = forward(spied, run.inputs, "sdpa", torch.float32, run.extras)
    keys = rows_with_keys(run.inputs)
    all_rows_have_keys = isinstance(keys, slice) or bool(keys.all())
    if not all_rows_have_keys:
        assert all(context[~keys].abs().max() == 0 for context in contexts), "sdpa without keys is not zero"
        assert ATT not in run.extras, "attention probabilities without keys are not defined"
    eager = forward(model, run.inputs, "eager", torch.float64, run.extras)
    for key, value in f64.items():
        if all_rows_have_keys:
            assert difference(eager[key], value) < EXACT, (run.name, key)
        elif key not in ("loss",):
            assert difference(eager[key][keys], value[keys]) < EXACT, (run.name, key)
    f64.update({key: value for key, value in eager.items() if key.startswith(ATT)})
    noise = max(difference(f32[key], f64[key]) for key in f32)
    assert all(value.isfinite().all() for value in f64.values()), run.name
    return f64, noise


def write_case(case, directory, tables):
    model = build(case)
    save(case, model, directory)
    golden, noises, largest = {}, {}, 0.0
    for run in case.runs:
        outputs, noises[run.name] = reference(model, run)
        largest = max(largest, *(value.abs().max().item() for value in outputs.values()))
        for key, value in [*run.inputs.items(), *outputs.items()]:
            stored = value.float() if value.is_floating_point() else value
            golden[f"{run.name}.{key}"] = stored.contiguous().clone()
    save_file(golden, directory / "golden.safetensors")
    tables["cases"].append((case, directory_size(directory), max(noises.values()), largest))
    for name, noise in noises.items():
        print(f"{case.name:40} {name:20} f32 sdpa against f64: {noise:.1e}")
        assert noise < TOLERANCE / 2, "transformers' own f32 would barely pass: the case is too chaotic"


# ------------------------------------------------------------------------------------------------- legacy copies


def rename_norms(state):
    return {name.replace("orm.weight", "orm.gamma").replace("orm.bias", "orm.beta"): tensor
            for name, tensor in state.items()}


def with_prefix(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


def with_position_ids(state):
    length = state["albert.embeddings.position_embeddings.weight"].shape[0]
    return {**state, "albert.embeddings.position_ids": torch.arange(length).unsqueeze(0)}


def with_decoder(state):
    return {**state, "predictions.decoder.weight": state["albert.embeddings.word_embeddings.weight"].clone(),
            "predictions.decoder.bias": state["predictions.bias"].clone()}


def only_decoder_bias(state):
    return {name.replace("predictions.bias", "predictions.decoder.bias"): tensor for name, tensor in state.items()}


def with_other_heads(state):
    hidden = state["albert.encoder.embedding_hidden_mapping_in.bias"].shape[0]
    return {**state, "albert.pooler.weight": torch.eye(hidden), "albert.pooler.bias": torch.ones(hidden),
            "sop_classifier.classifier.weight": torch.ones(2, hidden), "sop_classifier.classifier.bias": torch.ones(2)}


def as_dtype(dtype):
    return lambda state: {name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                          for name, tensor in state.items()}


LEGACY = {
    "legacy_gamma_beta": [rename_norms],
    "legacy_module_prefix": [with_prefix],
    "legacy_position_ids": [with_position_ids],
    "legacy_decoder": [with_decoder],
    "legacy_only_decoder_bias": [only_decoder_bias],
    "legacy_other_heads": [with_other_heads],
    "legacy_f16": [as_dtype(torch.float16)],
    "legacy_bf16": [as_dtype(torch.bfloat16)],
    "legacy_f64": [as_dtype(torch.float64)],
    "legacy_all_at_once": [with_other_heads, with_position_ids, with_decoder, rename_norms, with_prefix,
                           as_dtype(torch.float16)],
}


def write_legacy(models):
    """Copies of `legacy_base` under the names and in the types of older files. `golden_of.txt` names the reference."""
    base = models / "legacy_base"
    state = load_file(base / "model.safetensors")
    for name, changes in LEGACY.items():
        directory = models / name
        directory.mkdir()
        shutil.copyfile(base / "config.json", directory / "config.json")
        changed = state
        for change in changes:
            changed = change(changed)
        save_file({key: tensor.contiguous() for key, tensor in changed.items()}, directory / "model.safetensors",
                  {"format": "pt"})
        (directory / "golden_of.txt").write_text("legacy_base\n")


# ------------------------------------------------------------------------------------------------------- margins
#
# Each mutant is a model with one planted mistake. How far it moves the outputs says whether a test could miss it.

MUTANTS = []


def mutant(mistake, *cases):
    """Declares `apply(model, inputs) -> (model, inputs)`, or a context manager of the same arguments, for `cases`."""
    return lambda apply: MUTANTS.append((mistake, cases, apply)) or apply


def layers(model):
    return [module for module in model.modules() if isinstance(module, modeling_albert.AlbertLayer)]


def modules(model, kind):
    return [module for module in model.modules() if isinstance(module, kind)]


def backbone(model):
    return getattr(model, "albert", model)


def replace_forward(module, forward):
    module.forward = forward.__get__(module)


def swap_activation(to):
    def apply(model, inputs):
        for module in modules(model, (modeling_albert.AlbertLayer, modeling_albert.AlbertMLMHead)):
            module.activation = ACT2FN[to]
        return model, inputs
    return apply


mutant("`gelu_new` computed as `gelu`", "base", "masked_lm", "question_answering")(swap_activation("gelu"))
mutant("`gelu` computed as `gelu_new`", "base_no_pooler", "masked_lm_gelu", "multiple_choice")(
    swap_activation("gelu_new"))
mutant("`gelu_python` computed as `gelu_new`", "token_classification", "sequence_classification_1")(
    swap_activation("gelu_new"))
mutant("`gelu_fast` computed as `gelu`", "inner_3", "sequence_classification_3_regression")(swap_activation("gelu"))
mutant("`gelu_pytorch_tanh` computed as `gelu`", "groups_3_of_7", "legacy_base")(
    swap_activation("gelu"))
mutant("`silu` computed as `gelu`", "base_wide_embedding")(swap_activation("gelu"))
mutant("`mish` computed as `silu`", "groups_3_of_4")(swap_activation("silu"))


@mutant("activation missing in the MLM head", "masked_lm", "pretraining")
def no_head_activation(model, inputs):
    model.predictions.activation = nn.Identity()
    return model, inputs


@mutant("a decoder of its own taken for a tied one", "masked_lm_untied", "pretraining_untied_weight")
def decoder_tied(model, inputs):
    model.predictions.decoder.weight = model.albert.embeddings.word_embeddings.weight
    return model, inputs


@mutant("`predictions.bias` added instead of the decoder's", "masked_lm_untied", "masked_lm_untied_bias")
def head_bias(model, inputs):
    model.predictions.decoder.bias = model.predictions.bias
    return model, inputs


def set_eps(eps):
    def apply(model, inputs):
        for norm in modules(model, nn.LayerNorm):
            norm.eps = eps
        return model, inputs
    return apply


mutant("eps 1e-5 instead of 1e-12", "eps_small")(set_eps(1e-5))
mutant("eps 1e-12 instead of 1e-5", "eps_large")(set_eps(1e-12))


@mutant("eps outside the root", "eps_small", "eps_large")
def eps_outside(model, inputs):
    def norm(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True).sqrt() + self.eps) * self.weight + self.bias
    for module in modules(model, nn.LayerNorm):
        replace_forward(module, norm)
    return model, inputs


@mutant("variance of n−1", "base", "eps_small")
def sample_variance(model, inputs):
    def norm(self, x):
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + self.eps).sqrt() * self.weight + self.bias
    for module in modules(model, nn.LayerNorm):
        replace_forward(module, norm)
    return model, inputs


@mutant("variance as E[x²]−E[x]² in f32", "eps_small")
def one_pass(model, inputs):
    def norm(self, x):
        single = x.float()
        mean = single.mean(-1, keepdim=True)
        variance = (single.square().mean(-1, keepdim=True) - mean.square()).clamp(min=0)
        return ((single - mean) / (variance + self.eps).sqrt()).to(x.dtype) * self.weight + self.bias
    for module in modules(model, nn.LayerNorm):
        replace_forward(module, norm)
    return model, inputs


def without(key):
    return lambda model, inputs: (model, {name: value for name, value in inputs.items() if name != key})


mutant("mask ignored", "base", "masked_lm", "multiple_choice", "long_130")(without("attention_mask"))
mutant("token types ignored", "base", "base_wide_embedding", "pretraining", "multiple_choice")(
    without("token_type_ids"))
mutant("position ids ignored", "base", "base_no_pooler", "multiple_choice")(without("position_ids"))


@mutant("positions counted over unmasked tokens only", "base", "long_130", "token_classification")
def packed_positions(model, inputs):
    mask = inputs.get("attention_mask")
    if mask is None or "position_ids" in inputs:
        return model, inputs
    return model, {**inputs, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


@mutant("types and positions not added to `inputs_embeds`", "base")
def bare_embeds(model, inputs):
    if "inputs_embeds" not in inputs:
        return model, inputs
    embeddings = backbone(model).embeddings
    replace_forward(embeddings, lambda self, ids=None, *, inputs_embeds, **_: self.LayerNorm(inputs_embeds))
    return model, inputs


@mutant("a sequence without keys averages all positions (eager)", "base", "masked_lm")
def eager_without_keys(model, inputs):
    model.set_attn_implementation("eager")
    return model, inputs


@contextmanager
def patched(owner, name, value):
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def encoder_with(walk):
    """Replaces the encoder's loop by `walk(encoder, hidden, apply)`."""
    def apply(model, inputs):
        def forward(self, hidden, mask=None, **kwargs):
            hidden = self.embedding_hidden_mapping_in(hidden)
            hidden = walk(self, hidden, lambda group, inner, x: self.albert_layer_groups[group].albert_layers[inner](
                x, mask, **kwargs))
            return modeling_albert.BaseModelOutput(last_hidden_state=hidden)
        replace_forward(backbone(model).encoder, forward)
        return model, inputs
    return apply


def by_index(index):
    def walk(encoder, hidden, apply):
        config = encoder.config
        for i in range(config.num_hidden_layers):
            for j in range(config.inner_group_num):
                hidden = apply(index(i, config.num_hidden_layers, config.num_hidden_groups), j, hidden)
        return hidden
    return encoder_with(walk)


mutant("group min(i//(L//G), G−1)", "groups_3_of_7", "groups_2_of_5_inner_2", "groups_3_of_4")(
    by_index(lambda i, L, G: min(i // (L // G), G - 1)))
mutant("group i % G", "groups_3_of_7", "groups_2_of_5_inner_2", "groups_2_of_4_inner_2")(
    by_index(lambda i, L, G: i % G))
mutant("group i·G//L, exactly instead of in floating point", "groups_14_of_18")(
    by_index(lambda i, L, G: i * G // L))
mutant("group 0 always", "groups_3_of_7", "groups_2_of_4_inner_2", "sharing_none")(by_index(lambda i, L, G: 0))


def group(i, config):
    return int(i / (config.num_hidden_layers / config.num_hidden_groups))


@mutant("only the first inner layer", "inner_3", "groups_2_of_5_inner_2", "groups_2_of_4_inner_2")
@encoder_with
def first_inner(encoder, hidden, apply):
    for i in range(encoder.config.num_hidden_layers):
        hidden = apply(group(i, encoder.config), 0, hidden)
    return hidden


@mutant("one inner layer per layer, j = i % inner", "inner_3", "groups_2_of_5_inner_2", "groups_2_of_4_inner_2")
@encoder_with
def alternating_inner(encoder, hidden, apply):
    for i in range(encoder.config.num_hidden_layers):
        hidden = apply(group(i, encoder.config), i % encoder.config.inner_group_num, hidden)
    return hidden


@mutant("inner loop outside the layer loop", "inner_3", "groups_2_of_5_inner_2", "groups_2_of_4_inner_2")
@encoder_with
def inner_outermost(encoder, hidden, apply):
    for j in range(encoder.config.inner_group_num):
        for i in range(encoder.config.num_hidden_layers):
            hidden = apply(group(i, encoder.config), j, hidden)
    return hidden


@mutant("inner layers in reverse", "inner_3", "groups_2_of_5_inner_2", "groups_2_of_4_inner_2")
@encoder_with
def inner_reversed(encoder, hidden, apply):
    for i in range(encoder.config.num_hidden_layers):
        for j in reversed(range(encoder.config.inner_group_num)):
            hidden = apply(group(i, encoder.config), j, hidden)
    return hidden


@mutant("embedding norm skipped", "base", "base_no_pooler", "base_wide_embedding")
def no_embedding_norm(model, inputs):
    backbone(model).embeddings.LayerNorm = nn.Identity()
    return model, inputs


@mutant("embedding norm after the projection", "base_no_pooler")
def norm_after_projection(model, inputs):
    body = backbone(model)
    body.encoder.embedding_hidden_mapping_in = nn.Sequential(
        body.encoder.embedding_hidden_mapping_in, body.embeddings.LayerNorm)
    body.embeddings.LayerNorm = nn.Identity()
    return model, inputs


@mutant("E→H mapping skipped where E = H", "base_no_pooler")
def no_mapping(model, inputs):
    backbone(model).encoder.embedding_hidden_mapping_in = nn.Identity()
    return model, inputs


def set_scaling(scale):
    def apply(model, inputs):
        for module in modules(model, modeling_albert.AlbertAttention):
            module.scaling = scale(module)
        return model, inputs
    return apply


mutant("attention scale missing", "base", "base_wide_embedding", "long_512")(set_scaling(lambda a: 1.0))
mutant("attention scale 1/√H", "base", "groups_2_of_5_inner_2")(set_scaling(lambda a: a.hidden_size**-0.5))


@mutant("heads interleaved, [D,A] instead of [A,D]", "base", "base_no_pooler")
def heads_interleaved(model, inputs):
    for module in modules(model, modeling_albert.AlbertAttention):
        order = torch.arange(module.hidden_size).view(module.num_attention_heads, -1).T.reshape(-1)
        for linear in (module.query, module.key, module.value):
            linear.weight = nn.Parameter(linear.weight[order])
            linear.bias = nn.Parameter(linear.bias[order])
    return model, inputs


@mutant("FFN residual from the layer's input", "base", "groups_3_of_4", "inner_3")
def wrong_residual(model, inputs):
    def forward(self, hidden, mask=None, **kwargs):
        attended, _ = self.attention(hidden, mask, **kwargs)
        return self.full_layer_layer_norm(self.ff_chunk(attended) + hidden)
    for layer in layers(model):
        replace_forward(layer, forward)
    return model, inputs


@mutant("FFN residual missing", "base", "groups_3_of_4")
def no_residual(model, inputs):
    def forward(self, hidden, mask=None, **kwargs):
        attended, _ = self.attention(hidden, mask, **kwargs)
        return self.full_layer_layer_norm(self.ff_chunk(attended))
    for layer in layers(model):
        replace_forward(layer, forward)
    return model, inputs


@mutant("the two norms of a layer exchanged", "base", "sharing_ffn")
def norms_exchanged(model, inputs):
    for layer in layers(model):
        layer.attention.LayerNorm, layer.full_layer_layer_norm = layer.full_layer_layer_norm, layer.attention.LayerNorm
    return model, inputs


@mutant("pooler without tanh", "base", "multiple_choice", "pretraining")
def no_tanh(model, inputs):
    backbone(model).pooler_activation = nn.Identity()
    return model, inputs


@mutant("decoder bias added twice", "masked_lm", "pretraining", "legacy_base")
def bias_twice(model, inputs):
    decoder = model.predictions.decoder
    replace_forward(decoder, lambda self, x: nn.functional.linear(x, self.weight, self.bias) + self.bias)
    return model, inputs


@mutant("decoder bias missing", "masked_lm", "pretraining", "legacy_base")
def no_bias(model, inputs):
    decoder = model.predictions.decoder
    replace_forward(decoder, lambda self, x: nn.functional.linear(x, self.weight))
    return model, inputs


@mutant("MLM norm before the activation", "masked_lm", "masked_lm_gelu", "pretraining")
def norm_before_activation(model, inputs):
    head = model.predictions
    replace_forward(head, lambda self, x: self.decoder(self.activation(self.LayerNorm(self.dense(x)))))
    return model, inputs


@mutant("start and end exchanged", "question_answering")
def ends_exchanged(model, inputs):
    model.qa_outputs.weight = nn.Parameter(model.qa_outputs.weight.flip(0))
    model.qa_outputs.bias = nn.Parameter(model.qa_outputs.bias.flip(0))
    return model, inputs


@mutant("spans out of range clamped to S−1 and counted", "question_answering")
def spans_counted(model, inputs):
    seq = inputs["input_ids"].shape[1]
    return model, {name: value.clamp(0, seq - 1) if name.endswith("_positions") else value
                   for name, value in inputs.items()}


@mutant("ignored labels counted as class 0", "masked_lm", "token_classification", "pretraining")
def ignored_counted(model, inputs):
    return model, {name: value.clamp(min=0) if name.endswith(("labels", "label")) else value
                   for name, value in inputs.items()}


@mutant("soft labels read as their argmax", "multiple_choice")
def hard_labels(model, inputs):
    labels = inputs.get("labels")
    if labels is None or not labels.is_floating_point():
        return model, inputs
    return model, {**inputs, "labels": labels.argmax(-1)}


@mutant("the unshared half is the first layer's everywhere", "sharing_attention", "sharing_ffn",
        "sharing_attention_2_of_5_inner_2", "sharing_ffn_2_of_5_inner_2")
def all_shared(model, inputs):
    groups = backbone(model).encoder.albert_layer_groups
    for other in groups:
        other.load_state_dict(groups[0].state_dict())
    return model, inputs


def changed(model, run, apply):
    """The largest change of an output at a position that is not masked, and the name of that output."""
    clean = forward(model, run.inputs, "sdpa", torch.float64, ())
    broken = copy.deepcopy(model).double()
    broken.set_attn_implementation("sdpa")
    broken, inputs = apply(broken, dict(run.inputs))
    dirty = forward(broken, inputs, broken.config._attn_implementation, torch.float64, ())
    mask = run.inputs.get("attention_mask")
    worst = (0.0, "-")
    for key, value in clean.items():
        if key == "loss_unpadded":  # not what transformers returns
            continue
        other = dirty[key]
        if mask is not None and apply is not eager_without_keys and not isinstance(model, AlbertForMultipleChoice):
            if value.shape[:2] == mask.shape:
                value, other = value[mask.bool()], other[mask.bool()]
            elif value.dim() > 0:  # what comes from the first position
                value, other = value[mask[:, 0].bool()], other[mask[:, 0].bool()]
        worst = max(worst, (difference(value, other), key))
    return worst


def measure_mutants(tables):
    models = {case.name: (build(case), case.runs) for case in CASES}
    for mistake, names, apply in MUTANTS:
        measured = []
        for name in names:
            model, runs = models[name]
            measured += [(*changed(model, run, apply), name, run.name) for run in runs]
        change, key, name, run_name = max(measured)
        found = sum(change >= TOLERANCE for change, *_ in measured)
        tables["margins"].append((mistake, f"`{name}`/{run_name}", key, change, f"{found} of {len(measured)}"))
        print(f"{mistake:60} {name}/{run_name} {key} {change:.2g} = {change / TOLERANCE:.0f} × {TOLERANCE}")
    missed = [f"{mistake}: {change / TOLERANCE:.0f}" for mistake, *_, change, _ in tables["margins"] if change < 50 * TOLERANCE]
    assert not missed, f"a test could miss: {missed}"


# --------------------------------------------------------------------------------------------------------- readme


def directory_size(directory):
    return sum(path.stat().st_size for path in directory.iterdir())


def case_table(rows):
    yield "| case | class | H A E I V L | groups, inner | activation | types | eps | runs | KB | largest | f32 noise |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for case, size, noise, largest in rows:
        config = AlbertConfig(**case.config)
        kind = case.model.__name__ + ("" if case.options.get("pooler", True) else ", no pooler")
        sizes = " ".join(str(value) for value in (
            config.hidden_size, config.num_attention_heads, config.embedding_size, config.intermediate_size,
            config.vocab_size, config.num_hidden_layers))
        runs = ", ".join(f"{run.name} {'×'.join(map(str, shape_of(run)))}" for run in case.runs)
        yield (f"| `{case.name}` | {kind} | {sizes} | {config.num_hidden_groups}, {config.inner_group_num} | "
               f"{config.hidden_act} | {config.type_vocab_size} | {config.layer_norm_eps:g} | {runs} | "
               f"{size / 1024:.0f} | {largest:.1f} | {noise:.0e} |")


def shape_of(run):
    return run.inputs["input_ids"].shape if "input_ids" in run.inputs else run.inputs["inputs_embeds"].shape[:-1]


def margin_table(rows):
    yield "| mistake | seen most in | output | change | × 2e-5 | runs that see it |"
    yield "|---|---|---|---|---|---|"
    for mistake, where, key, change, found in rows:
        yield f"| {mistake} | {where} | {key} | {change:.2g} | {change / TOLERANCE:.0f} | {found} |"


def fill(readme, section, lines):
    begin, end = f"<!-- {section}: begin -->\n", f"<!-- {section}: end -->"
    before, rest = readme.split(begin)
    return before + begin + "".join(line + "\n" for line in lines) + end + rest.split(end)[1]


def main(check):
    target = Path(tempfile.mkdtemp()) if check else HERE
    models = target / "models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir()
    tables = {"cases": [], "margins": []}
    for case in CASES:
        (models / case.name).mkdir()
        write_case(case, models / case.name, tables)
    write_legacy(models)
    measure_mutants(tables)
    readme = (HERE / "README.md").read_text()
    readme = fill(readme, "cases", case_table(tables["cases"]))
    readme = fill(readme, "margins", margin_table(tables["margins"]))
    (target / "README.md").write_text(readme)
    total = sum(path.stat().st_size for path in models.rglob("*.*"))
    print(f"{len(CASES)} cases, {len(LEGACY)} legacy copies, {total / 1024:.0f} KB")
    if check:
        ours, theirs = ({str(path.relative_to(root)) for path in [root / "README.md", *(root / "models").rglob("*.*")]}
                        for root in (HERE, target))
        different = ours ^ theirs | {name for name in ours & theirs
                                     if not filecmp.cmp(HERE / name, target / name, shallow=False)}
        shutil.rmtree(target)
        print("\n".join(f"different: {name}" for name in sorted(different)) or "all the same")
        sys.exit(bool(different))


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
