"""Writes `exit_gradients/<case>.safetensors`: as `make_gradients.py`, of models with classifiers after several layers.

transformers has no such models: here, they are its `AlbertModel`, whose pooler is put on the hidden states after every exit,
and one linear layer each (as in PABEE). `README.md`, beside this file, says what is in the files.

    python make_exit_gradients.py            write everything
    python make_exit_gradients.py --check    write to a temporary directory and compare with what is here, byte for byte
"""

import sys

import torch
from torch import nn
from torch.nn import functional
from transformers import AlbertModel

import make_gradients as plain

OUTPUTS = {"choice_by_class": 1, "choice_by_distribution": 1, "sentence_order": 2, "regression": 1}


# ---------------------------------------------------------------------------------------------------------- models

class Exits(nn.Module):
    """The backbone, and the logits of every exit."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.albert = AlbertModel(config)
        outputs = getattr(config, "exit_outputs", None) or config.num_labels
        classifiers = nn.ModuleList(nn.Linear(config.hidden_size, outputs) for _ in config.exit_layers)
        self.place(classifiers)

    def place(self, classifiers):
        self.classifiers = classifiers

    def forward(self, input_ids, attention_mask, token_type_ids):
        inputs = [x.flatten(0, -2) for x in (input_ids, attention_mask, token_type_ids)]
        states = self.albert(*inputs, output_hidden_states=True).hidden_states
        first = [states[layer * self.config.inner_group_num][:, 0] for layer in self.config.exit_layers]
        pooled = [self.albert.pooler_activation(self.albert.pooler(state)) for state in first]
        logits = [classifier(state) for classifier, state in zip(self.own_classifiers(), pooled)]
        return [x.view(input_ids.shape[:2]) for x in logits] if input_ids.dim() == 3 else logits

    def own_classifiers(self):
        return self.classifiers


class SentenceOrderExits(Exits):
    def place(self, classifiers):
        self.sop_classifier = nn.Module()
        self.sop_classifier.classifiers = classifiers

    def own_classifiers(self):
        return self.sop_classifier.classifiers


# ---------------------------------------------------------------------------------------------------------- losses

def own_loss(problem, logits, labels):
    if problem == "regression":
        return functional.mse_loss(logits.squeeze(-1), labels)
    if problem == "multi_label":
        return functional.binary_cross_entropy_with_logits(logits, labels)
    return functional.cross_entropy(logits, labels)


def divergence(problem, student, teacher, labels, temperature):
    """T²·KL(teacher ‖ student), a mean over what counts."""
    student, teacher = student / temperature, teacher.detach() / temperature
    if problem == "multi_label":
        # A label is a choice of two: the logits x and 0 have the probabilities σ(x) and 1 − σ(x).
        student, teacher = (torch.stack([x, torch.zeros_like(x)], -1).flatten(0, 1) for x in (student, teacher))
    elif labels.dtype == torch.int64:
        student, teacher = student[labels != -100], teacher[labels != -100]
    student, teacher = (functional.log_softmax(x, -1) for x in (student, teacher))
    return temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def loss_of(problem, exit_loss, distillation):
    def loss(model, inputs):
        inputs = dict(inputs)
        labels = inputs.pop("sentence_order_label" if problem == "sentence_order" else "labels")
        logits = model(**inputs)
        losses = [own_loss(problem, x, labels) for x in logits]
        if distillation:
            for i, x in enumerate(logits[:-1]):
                further = divergence(problem, x, logits[-1], labels, distillation["temperature"])
                losses[i] = losses[i] + distillation["weight"] * further
        layers = model.config.exit_layers if exit_loss == "by_layer" else [1] * len(losses)
        return sum(layer * x for layer, x in zip(layers, losses)) / sum(layers)
    return loss


# ----------------------------------------------------------------------------------------------------------- cases

ALL, GROUPS, INNER, NONE = ("all", 4, 1, 1), ("all", 3, 2, 1), ("all", 2, 1, 2), ("none", 3, 3, 1)
FAR = {"weight": 0.5, "temperature": 2.0}
CASES = [
    ("single_label", ALL, [1, 2, 3, 4], "by_layer", None),
    ("single_label", ALL, [2, 4], "mean", None),
    ("single_label", GROUPS, [1, 3], "by_layer", FAR),
    ("regression", ALL, [2, 4], "by_layer", None),
    ("regression", NONE, [1, 2, 3], "mean", None),
    ("multi_label", GROUPS, [1, 2, 3], "by_layer", None),
    ("multi_label", INNER, [1, 2], "mean", {"weight": 2.0, "temperature": 0.5}),
    ("choice_by_class", ALL, [1, 2, 3, 4], "by_layer", None),
    ("choice_by_class", NONE, [2, 3], "mean", FAR),
    ("choice_by_distribution", INNER, [1, 2], "by_layer", {"weight": 1.0, "temperature": 1.0}),
    ("sentence_order", ALL, [1, 2, 3, 4], "by_layer", None),
    ("sentence_order", INNER, [1, 2], "mean", FAR),
]


def write(directory, index, case):
    problem, layout, exits, exit_loss, distillation = case
    _, options, labels, _, mask = plain.PROBLEMS[problem]
    model_class = SentenceOrderExits if problem == "sentence_order" else Exits
    options = {**options, "exit_layers": exits}
    if problem in OUTPUTS:
        options["exit_outputs"] = OUTPUTS[problem]
    name = f"{problem}_exits_{'_'.join(map(str, exits))}_{exit_loss}" + ("_distilled" if distillation else "")
    plain.ALL_PROBLEMS[name] = (model_class, options, labels, loss_of(problem, exit_loss, distillation), mask)
    described = {"problem": problem, "exit_loss": exit_loss, "distillation": distillation}
    return plain.write(directory, name, layout, index, described=described)


def write_all(directory):
    return [write(directory, index, case) for index, case in enumerate(CASES)]


if __name__ == "__main__":
    plain.main("exit_gradients", write_all, "--check" in sys.argv[1:])
