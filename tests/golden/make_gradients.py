"""Writes `gradients/<case>.safetensors`: tiny models, a batch with labels, and the gradient of the loss in every parameter.

Weights are float32; loss and gradients are computed by PyTorch's autograd through transformers' own modules in float64
and stored as float32. `README.md`, beside this file, says what is in the files.

    python make_gradients.py            write everything
    python make_gradients.py --check    write to a temporary directory and compare with what is here, byte for byte
"""

import copy
import filecmp
import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)

from make_models import HERE, draw, group_of_layer, layer_of, part_of, unpadded_span_loss

SIZES = dict(hidden_size=9, num_attention_heads=3, embedding_size=5, intermediate_size=11, vocab_size=23,
             max_position_embeddings=8, layer_norm_eps=1e-12)
ACTIVATIONS = ["gelu_new", "gelu", "relu", "silu", "tanh", "mish", "linear", "gelu_python", "gelu_fast",
               "gelu_pytorch_tanh", "swish"]
ZERO = 1e-12  # of the whole gradient's length: what is shorter is zero but for rounding, as the keys' biases
NOISE = 2e-5  # how far transformers' own f32 gradients may be from those in f64; the Rust tests allow 1e-4

# What the mask leaves: all, the beginning, all but a hole, and some tokens of which the first is not one.
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 0, 1, 1, 0], [0, 1, 0, 1, 1, 0]])


# -------------------------------------------------------------------------------------------------------- problems

def class_labels(rng, config, mask):
    return {"labels": np.array([2, 0, -100, 1])}


def token_labels(classes=None):
    def make(rng, config, mask):
        labels = rng.integers(0, classes or config.vocab_size, mask.shape)
        return {"labels": np.where((mask == 1) & (np.arange(mask.shape[1]) % 3 != 1), labels, -100)}
    return make


def pretraining_labels(rng, config, mask):
    return {**token_labels()(rng, config, mask), "sentence_order_label": np.array([0, 1, -100, 1])}


def order_labels(rng, config, mask):
    return {"sentence_order_label": np.array([0, 1, -100, 1])}


def floats(values):
    return lambda rng, config, mask: {"labels": np.array(values, np.float32)}


def spans(start, end):
    return lambda rng, config, mask: {"start_positions": np.array(start), "end_positions": np.array(end)}


def own_loss(model, inputs):
    return model(**inputs).loss


def order_loss(model, inputs):
    """The second half of the loss of AlbertForPreTraining, alone."""
    labels = inputs.pop("sentence_order_label")
    return nn.functional.cross_entropy(model(**inputs).sop_logits, labels)


def span_loss(model, inputs):
    """transformers' loss, but padding has no part in the softmax; where there is none, the two are the same."""
    outputs = model(**inputs)
    loss = unpadded_span_loss(outputs, inputs)
    if inputs["attention_mask"].all():
        assert abs(loss - outputs.loss) < 1e-12
    return loss


NO_PADDING = np.ones_like(MASK)
PROBLEMS = {
    "masked_lm": (AlbertForMaskedLM, {}, token_labels(), own_loss, MASK),
    "pretraining": (AlbertForPreTraining, {}, pretraining_labels, own_loss, MASK),
    "sentence_order": (AlbertForPreTraining, {}, order_labels, order_loss, MASK),
    "choice_by_class": (AlbertForMultipleChoice, {}, lambda *_: {"labels": np.array([1, 0])}, own_loss, MASK),
    "choice_by_distribution": (AlbertForMultipleChoice, {}, floats([[0, 1], [0.75, 0.25]]), own_loss, MASK),
    "regression": (AlbertForSequenceClassification, {"num_labels": 1, "problem_type": "regression"},
                   floats([0.5, -1.25, 2, 0]), own_loss, MASK),
    "single_label": (AlbertForSequenceClassification,
                     {"num_labels": 3, "problem_type": "single_label_classification"}, class_labels, own_loss, MASK),
    "multi_label": (AlbertForSequenceClassification,
                    {"num_labels": 3, "problem_type": "multi_label_classification"},
                    floats([[1, 0, 1], [0, 0, 1], [0.25, 1, 0], [0, 1, 1]]), own_loss, MASK),
    "tokens": (AlbertForTokenClassification, {"num_labels": 4}, token_labels(4), own_loss, MASK),
    # Negative positions count as 0, and S as no position at all.
    "questions": (AlbertForQuestionAnswering, {}, spans([1, -1, 6, 3], [4, 2, 5, 6]), span_loss, NO_PADDING),
    "questions_padded": (AlbertForQuestionAnswering, {}, spans([1, -1, 6, 3], [4, 2, 4, 6]), span_loss, MASK),
}
# Decoders with a matrix and a bias, or with a bias alone, of their own: in one layout each.
UNTIED = {
    "masked_lm_untied": (AlbertForMaskedLM, {"tie_word_embeddings": False}, token_labels(), own_loss, MASK),
    "masked_lm_untied_bias": (AlbertForMaskedLM, {"tie_decoder_bias": False}, token_labels(), own_loss, MASK),
    "pretraining_untied": (AlbertForPreTraining, {"tie_word_embeddings": False}, pretraining_labels, own_loss, MASK),
}
ALL_PROBLEMS = PROBLEMS | UNTIED

# Strategy, layers, groups, inner layers: for every problem, and further ones for pre-training alone.
LAYOUTS = [("all", 2, 1, 1), ("all", 3, 2, 1), ("attention", 2, 1, 1), ("ffn", 2, 1, 1), ("none", 2, 2, 1)]
MORE_LAYOUTS = [("all", 2, 1, 3), ("all", 3, 2, 2), ("attention", 3, 2, 2), ("ffn", 3, 2, 2), ("none", 2, 2, 2)]


# ---------------------------------------------------------------------------------------------------------- models

def build(model_class, options, layout, seed):
    """The model, with the modules that layers share put in the place of their own, and its config in this crate's words."""
    strategy, layers, groups, inner = layout
    shape = dict(num_hidden_layers=layers, num_hidden_groups=groups, inner_group_num=inner)
    config = AlbertConfig(**SIZES, **shape, **options, attn_implementation="sdpa", hidden_dropout_prob=0.0,
                          attention_probs_dropout_prob=0.0, classifier_dropout_prob=0.0)
    described = {**config.to_diff_dict(), "parameter_sharing": strategy, "architectures": [model_class.__name__]}
    if strategy != "all":
        config.num_hidden_groups = layers  # a group for each layer, some of whose modules are one
    model = model_class(config)
    if not getattr(config, "tie_decoder_bias", True):  # this crate's word for what transformers reads from the values
        model.predictions.decoder.bias = nn.Parameter(torch.empty(config.vocab_size))
    if strategy in ("attention", "ffn"):
        share(model.albert.encoder.albert_layer_groups, strategy, group_of_layer(shape))
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = draw(name, tuple(parameter.shape), rng, config, 1.0).astype(np.float32)
            parameter.copy_(torch.from_numpy(values))
    return model, described


def share(layers, part, group_of):
    for layer, group in enumerate(group_of):
        for block, first in zip(layers[layer].albert_layers, layers[group_of.index(group)].albert_layers):
            modules = ["attention"] if part == "attention" else ["ffn", "ffn_output", "full_layer_layer_norm"]
            for module in modules:
                setattr(block, module, getattr(first, module))


def stored_name(name, layout):
    """A shared block stands under its group, others under their layer."""
    strategy, layers, groups, _ = layout
    layer = layer_of(name)
    if layer is None or strategy in ("all", "none") or part_of(name) != strategy:
        return name
    group = group_of_layer(dict(num_hidden_layers=layers, num_hidden_groups=groups))[layer]
    return name.replace(f"albert_layer_groups.{layer}.", f"albert_layer_groups.{group}.")


# ---------------------------------------------------------------------------------------------------------- inputs

def inputs_of(problem, config, seed, pad_in_text):
    """A batch with every kind of padding. What is padding has id 0, except first tokens, which the pooler reads."""
    _, _, labels, _, mask = ALL_PROBLEMS[problem]
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, config.vocab_size, mask.shape)
    ids[:, 1:][mask[:, 1:] == 0] = 0
    if pad_in_text:
        ids[0, 0] = ids[1, 2] = 0
    types = (np.arange(mask.shape[1]) >= np.array([[3], [2], [4], [1]])).astype(np.int64)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if problem.startswith("choice"):
        inputs = {name: values.reshape(2, 2, -1) for name, values in inputs.items()}
    inputs.update(labels(rng, config, mask))
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in inputs.items()}


# ------------------------------------------------------------------------------------------------------- gradients

def gradients(model, problem, inputs, dtype):
    """The loss, and its gradient in every parameter that it depends on."""
    model = copy.deepcopy(model).to(dtype)
    loss_of = ALL_PROBLEMS[problem][3]
    inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    loss = loss_of(model, inputs)
    loss.backward()
    if problem in UNTIED:  # The head's bias is a parameter that nothing reads.
        model.predictions.bias.grad = torch.zeros_like(model.predictions.bias)
    return loss.detach(), {name: parameter.grad for name, parameter in model.named_parameters()
                           if parameter.grad is not None}


def noise(exact, single):
    """The largest relative error of a gradient in float32, of those that are not zero but for rounding."""
    total = sum(value.square().sum() for value in exact.values()).sqrt()
    return max(((single[name] - value).norm() / value.norm()).item() for name, value in exact.items()
               if value.norm() > ZERO * total)


def well_conditioned(name, problem, layout, options, pad_in_text):
    """The first weights and inputs, by a number in their seed, whose gradients float32 is able to compute. In others,
    tokens become so alike in the last layers that little is left of the difference that attention makes."""
    for attempt in range(200):
        model, config = build(ALL_PROBLEMS[problem][0], options, layout, zlib.crc32(f"weights {attempt} of {name}".encode()))
        inputs = inputs_of(problem, model.config, zlib.crc32(f"inputs {attempt} of {name}".encode()), pad_in_text)
        loss, exact = gradients(model, problem, inputs, torch.float64)
        _, single = gradients(model, problem, inputs, torch.float32)
        if (worst := noise(exact, single)) < NOISE:
            return model, config, inputs, loss, exact, f"float32 {worst:.1e}, attempt {attempt}"
    raise AssertionError(f"{name}: transformers' own float32 gradients are never less than {NOISE} away")


def write(directory, problem, layout, index, pad_in_text=False, described=None):
    strategy, layers, groups, inner = layout
    name = f"{problem}_{strategy}_{groups}_of_{layers}_inner_{inner}" + ("_pad_in_text" if pad_in_text else "")
    options = {**ALL_PROBLEMS[problem][1], "hidden_act": ACTIVATIONS[index % len(ACTIVATIONS)]}
    model, config, inputs, loss, exact, remark = well_conditioned(name, problem, layout, options, pad_in_text)
    parameters = {name: value for name, value in model.named_parameters() if name in exact}
    total = sum(value.square().sum() for value in exact.values()).sqrt()
    tensors = {f"inputs.{key}": value for key, value in inputs.items()}
    tensors["outputs.loss"] = loss.float()
    for tensor, values in exact.items():
        assert values.isfinite().all()
        tensors[f"parameters.{stored_name(tensor, layout)}"] = parameters[tensor].detach().clone()
        # The rounding itself differs from run to run.
        tensors[f"gradients.{stored_name(tensor, layout)}"] = torch.where(values.abs() < ZERO * total, 0, values).float()
    path = directory / f"{name}.safetensors"
    # One key only: safetensors writes several in any order.
    save_file(tensors, path, {"golden": json.dumps({"config": config, **(described or {"problem": problem})}, sort_keys=True)})
    print(f"{name:50} {config.get('hidden_act', 'gelu_new'):18} {path.stat().st_size / 1024:5.1f} KB, {remark}")
    return path.stat().st_size


def write_all(directory):
    cases = [(problem, layout) for problem in PROBLEMS for layout in LAYOUTS]
    cases += [("pretraining", layout) for layout in MORE_LAYOUTS]
    sizes = [write(directory, *case, index) for index, case in enumerate(cases)]
    sizes += [write(directory, problem, LAYOUTS[0], index, pad_in_text=True)
              for index, problem in enumerate(["masked_lm", "sentence_order"])]
    return sizes + [write(directory, problem, LAYOUTS[0], index) for index, problem in enumerate(UNTIED)]


def main(folder, write_all, check):
    """Writes all files of a folder beside this script, or compares them."""
    target = Path(tempfile.mkdtemp()) if check else HERE / folder
    if not check:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
    sizes = write_all(target)
    print(f"{len(sizes)} files, {sum(sizes) / 1024:.0f} KB")
    if check:
        names = {path.name for directory in (target, HERE / folder) for path in directory.iterdir()}
        same, *_ = filecmp.cmpfiles(target, HERE / folder, names, shallow=False)
        shutil.rmtree(target)
        print("\n".join(f"different: {name}" for name in sorted(names - set(same))) or "all the same")
        sys.exit(set(same) != names)


if __name__ == "__main__":
    main("gradients", write_all, "--check" in sys.argv[1:])
