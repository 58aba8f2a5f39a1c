"""Makes tests/golden/optimizers: trajectories of optimizers, and learning rates.

    python make_optimizers.py            write them, and print how far mistakes lead away
    python make_optimizers.py --check    compare with what is here, byte for byte

Versions are those of requirements.txt. Everything is computed in double precision from seeded numbers that are exact in
single precision.

trajectories.safetensors has, for the parameters of a small AlbertForPreTraining,

    initial.NAME              the weights before the first step
    gradient.STEP.NAME        the gradients of each of 20 steps, before clipping
    OPTIMIZER.weights.NAME    the weights after the last step
    OPTIMIZER.MOMENT.NAME     the moments after the last step

for adamw (torch.optim.AdamW, with clip_grad_norm_ and get_linear_schedule_with_warmup), adam_weight_decay and lamb (as
google-research/albert has them, in NumPy). schedules.json has what transformers' schedules give for each step.
"""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save
from transformers import AlbertConfig, AlbertForPreTraining

HERE = Path(__file__).resolve().parent
TARGET = HERE / "optimizers"
STEPS, WARMUP, TOTAL = 20, 4, 30
BETAS, DECAY, MAX_NORM = (0.9, 0.999), 0.1, 1.0  # with the usual decay of 0.01, it would hardly show
RATES = {"adamw": 2e-3, "adam_weight_decay": 2e-3, "lamb": 2e-2}
MOMENTS = {"adamw": ("exp_avg", "exp_avg_sq"), "adam_weight_decay": ("adam_m", "adam_v"), "lamb": ("adam_m", "adam_v")}
TOLERANCE, MARGIN = 1e-5, 50
# Of gradients, one parameter after the other: some are so small that it shows where an epsilon is.
SCALES = [0.3, 1e-7, 1e-3, 1e-6, 0.05, 1e-5]


def excluded(name):
    return "LayerNorm" in name or "layer_norm" in name or name.endswith("bias")


def problem():
    """Initial weights and gradients, by name."""
    config = AlbertConfig(vocab_size=11, embedding_size=4, hidden_size=6, num_attention_heads=2, intermediate_size=9,
                          num_hidden_layers=2, max_position_embeddings=5)
    rng = np.random.default_rng(20190926)
    weights, gradients = {}, [{} for _ in range(STEPS)]
    tied = "predictions.decoder."
    named = [(name, tuple(p.shape)) for name, p in AlbertForPreTraining(config).named_parameters() if not name.startswith(tied)]
    for i, (name, shape) in enumerate(named):
        values = rng.standard_normal(shape)
        scale = 0.1 if name.endswith("bias") else 0.2
        weights[name] = (1 + scale * values) if excluded(name) and name.endswith("weight") else scale * values
        if name == "sop_classifier.classifier.weight":
            weights[name][:] = 0  # LAMB's ratio is 1
        direction = rng.standard_normal(shape)
        for step in range(STEPS):
            size = SCALES[i % len(SCALES)] * (0.02 if step % 3 == 1 else 1)  # every third step is not clipped
            gradients[step][name] = size * (0.5 * direction + rng.standard_normal(shape))
    single = lambda tree: {name: values.astype(np.float32) for name, values in tree.items()}
    return single(weights), [single(tree) for tree in gradients]


def torch_adamw(weights, gradients):
    parameters = {name: torch.nn.Parameter(torch.tensor(values, dtype=torch.float64)) for name, values in weights.items()}
    groups = [{"params": [p for name, p in parameters.items() if excluded(name)], "weight_decay": 0.0},
              {"params": [p for name, p in parameters.items() if not excluded(name)]}]
    optimizer = torch.optim.AdamW(groups, lr=RATES["adamw"], betas=BETAS, eps=1e-8, weight_decay=DECAY)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, WARMUP, TOTAL)
    for step in gradients:
        for name, p in parameters.items():
            p.grad = torch.tensor(step[name], dtype=torch.float64)
        torch.nn.utils.clip_grad_norm_(parameters.values(), MAX_NORM)
        optimizer.step()
        schedule.step()
    tree = lambda value: {name: value(p).detach().numpy() for name, p in parameters.items()}
    first, second = MOMENTS["adamw"]
    return {"weights": tree(lambda p: p), first: tree(lambda p: optimizer.state[p][first]),
            second: tree(lambda p: optimizer.state[p][second])}


def norm(arrays):
    return math.sqrt(sum(float((values**2).sum()) for values in arrays))


def adam(kind, weights, gradients, mistake=None):
    """All three, from their papers' formulas, right or with a mistake."""
    torch_like = kind == "adamw"
    eps = 1e-8 if torch_like else 1e-6
    corrected = torch_like != (mistake == "bias correction the other way")
    beta1, beta2 = BETAS[::-1] if mistake == "betas swapped" else BETAS
    w = {name: values.astype(np.float64) for name, values in weights.items()}
    m = {name: np.zeros_like(values) for name, values in w.items()}
    v = {name: np.zeros_like(values) for name, values in w.items()}
    for step, given in enumerate(gradients):
        g = {name: values.astype(np.float64) for name, values in given.items()}
        at = step + (mistake == "schedule one step ahead")
        rate = RATES[kind] * (at / WARMUP if at < WARMUP else (TOTAL - at) / (TOTAL - WARMUP))
        if mistake == "no warm-up":
            rate = RATES[kind] * (TOTAL - at) / TOTAL
        total = norm(g.values())
        for name in w:
            own = norm([g[name]]) if mistake == "each parameter clipped by itself" else total
            factor = min(1.0, MAX_NORM / (own + (1e-6 if torch_like else 0))) if mistake != "no clipping" else 1.0
            gradient = g[name] * factor
            decay = 0.0 if excluded(name) and mistake != "decay of norms and biases" else DECAY
            if mistake == "no decay":
                decay = 0.0
            if mistake == "decay in the gradient":
                gradient, decay = gradient + decay * w[name], 0.0
            m[name] = beta1 * m[name] + (1 - beta1) * gradient
            v[name] = beta2 * v[name] + (1 - beta2) * gradient**2
            t = step + 1 + (mistake == "steps counted from 2")
            c1, c2 = (1 - beta1**t, 1 - beta2**t) if corrected else (1.0, 1.0)
            root = np.sqrt(v[name] / c2) + eps
            if mistake == "epsilon inside the root":
                root = np.sqrt(v[name] / c2 + eps)
            if mistake == "epsilon of the other":
                root = np.sqrt(v[name] / c2) + (1e-6 if torch_like else 1e-8)
            if mistake == "epsilon before the correction":
                root = (np.sqrt(v[name]) + eps) / math.sqrt(c2)
            update = m[name] / c1 / root
            bare = norm([update])
            update = update + decay * w[name]
            ratio = 1.0
            if kind == "lamb" and (not excluded(name) or mistake == "trust ratio of norms and biases"):
                own, other = norm([w[name]]), bare if mistake == "ratio without the decay" else norm([update])
                if mistake == "ratio 0 for weights that are 0":
                    ratio = own / other
                else:
                    ratio = own / other if own > 0 and other > 0 else 1.0
            if mistake == "no trust ratio":
                ratio = 1.0
            w[name] = w[name] - rate * ratio * update
    first, second = MOMENTS[kind]
    return {"weights": w, first: m, second: v}


COMMON = ["bias correction the other way", "betas swapped", "schedule one step ahead", "no warm-up", "no clipping",
          "each parameter clipped by itself", "decay of norms and biases", "no decay", "decay in the gradient",
          "epsilon inside the root", "epsilon of the other"]
MISTAKES = {
    "adamw": [*COMMON, "steps counted from 2", "epsilon before the correction"],
    "adam_weight_decay": COMMON,
    "lamb": [*COMMON, "trust ratio of norms and biases", "ratio without the decay", "ratio 0 for weights that are 0",
             "no trust ratio"],
}


def distance(found, expected):
    """The largest difference as the test measures it: relative to a value, or to its parameter's root mean square if that is more."""
    worst = 0.0
    for tree, values in expected.items():
        for name, right in values.items():
            scale = np.maximum(np.abs(right), math.sqrt((right**2).mean()))
            error = np.abs(found[tree][name] - right)
            worst = max(worst, float((error / np.where(scale > 0, scale, 1)).max()))
    return worst


def trajectories():
    weights, gradients = problem()
    lengths = [norm(step.values()) for step in gradients]
    assert min(lengths) < 0.9 * MAX_NORM and max(lengths) > 1.1 * MAX_NORM, lengths
    expected = {"adamw": torch_adamw(weights, gradients)}
    assert distance(adam("adamw", weights, gradients), expected["adamw"]) < 1e-12
    for kind in ["adam_weight_decay", "lamb"]:
        expected[kind] = adam(kind, weights, gradients)
    for kind, mistakes in MISTAKES.items():
        for mistake in mistakes:
            change = distance(adam(kind, weights, gradients, mistake), expected[kind]) / TOLERANCE
            print(f"{kind}, {mistake}: {change:.0f} × the tolerance")
            assert change >= MARGIN
    tensors = {f"initial.{name}": values for name, values in weights.items()}
    for step, tree in enumerate(gradients):
        tensors |= {f"gradient.{step}.{name}": values for name, values in tree.items()}
    for kind, trees in expected.items():
        for tree, values in trees.items():
            tensors |= {f"{kind}.{tree}.{name}": array.astype(np.float32) for name, array in values.items()}
    return save(tensors)


def schedules():
    rate, steps, cases = 0.00176, 24, []

    def case(function, decay, warmup, *arguments, **options):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
        schedule = function(optimizer, *([warmup] if warmup is not None else []), *arguments, **options)
        rates = []
        for _ in range(steps):
            rates.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        fields = {"learning_rate": rate, "warmup_steps": warmup or 0, "decay": decay}
        cases.append({"source": f"transformers.{function.__name__}", "schedule": fields, "rates": rates})

    t = transformers
    case(t.get_constant_schedule, "constant", None)
    case(t.get_constant_schedule_with_warmup, "constant", 7)
    for warmup, total in [(0, 20), (1, 2), (7, 20), (19, 20)]:
        case(t.get_linear_schedule_with_warmup, {"linear": {"total_steps": total}}, warmup, total)
        for power, end in [(1.0, 1e-7), (2.0, 0.0), (0.5, 1e-3)]:
            decay = {"polynomial": {"total_steps": total, "power": power, "end_rate": end}}
            case(t.get_polynomial_decay_schedule_with_warmup, decay, warmup, total, power=power, lr_end=end)
    for warmup, total in [(0, 23), (7, 23), (7, 40)]:  # not beyond their ends, where transformers' rises again
        case(t.get_cosine_schedule_with_warmup, {"cosine": {"total_steps": total}}, warmup, total)
    for warmup, power, end in [(0, 1.0, 0.0), (7, 1.0, 0.0), (7, 2.0, 1e-4)]:
        # google-research/albert's create_optimizer: tf.train.polynomial_decay, and a warm-up in its place.
        decayed = [(rate - end) * (1 - min(step, 20) / 20) ** power + end for step in range(steps)]
        rates = [rate * step / warmup if step < warmup else decayed[step] for step in range(steps)]
        decay = {"polynomial_from_start": {"total_steps": 20, "power": power, "end_rate": end}}
        fields = {"learning_rate": rate, "warmup_steps": warmup, "decay": decay}
        cases.append({"source": "google-research/albert", "schedule": fields, "rates": rates})
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"


def main(check):
    for requirement in (HERE / "requirements.txt").read_text().split():
        package, wanted = requirement.split("==")
        assert version(package).split("+")[0] == wanted, f"{package}: {version(package)} is not {wanted}"
    files = {"trajectories.safetensors": trajectories(), "schedules.json": schedules().encode()}
    if check:
        different = [name for name, data in files.items() if (TARGET / name).read_bytes() != data]
        print("\n".join(f"different: {name}" for name in different) or "all the same")
        sys.exit(bool(different))
    TARGET.mkdir(exist_ok=True)
    for name, data in files.items():
        (TARGET / name).write_bytes(data)
        print(f"{name}: {len(data) / 1024:.0f} KB")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
