"""Writes `trajectories/<optimizer>.safetensors`: twenty steps of training of a tiny model, by three optimizers.

A plain loop over four batches: loss of AlbertForPreTraining, gradients clipped to a norm of 1, a learning rate that rises
and falls, weight decay on all but LayerNorms and biases. `adamw` is `torch.optim.AdamW` (`adamw_untied`: of a model whose
decoder has a matrix and a bias of its own); `adam_weight_decay` and `lamb` are
google-research/albert's optimizers, written out here after `optimization.py` and `lamb_optimizer.py`. All of it in float64,
from float32 weights; `README.md`, beside this file, says what is in the files.

    python make_trajectories.py            write everything
    python make_trajectories.py --check    compare with what is here, byte for byte
"""

import copy
import json
import sys
import zlib

import numpy as np
import torch
from safetensors.torch import save
from transformers import AlbertConfig, AlbertForPreTraining

from make_models import HERE, draw

CONFIG = dict(hidden_size=18, num_attention_heads=3, embedding_size=7, intermediate_size=25, vocab_size=41,
              max_position_embeddings=12, num_hidden_layers=3, layer_norm_eps=1e-12, hidden_act="gelu_new")
STEPS, WARMUP, BATCHES = 20, 5, 4
# No loss depends on the keys' biases: their gradients are rounding, which optimizers divide by its own size.
NO_PART = "attention.key.bias"
SETTINGS = {
    "adamw": dict(peak=6e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01),
    "adamw_untied": dict(peak=6e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01),
    "adam_weight_decay": dict(peak=3e-3, beta1=0.9, beta2=0.999, epsilon=1e-6, weight_decay=0.01),
    "lamb": dict(peak=2e-2, beta1=0.9, beta2=0.999, epsilon=1e-6, weight_decay=0.01),
}


def batch(index):
    """Eight sequences of up to ten tokens, a third of them with a label."""
    rng = np.random.default_rng(zlib.crc32(f"batch {index}".encode()))
    mask = (np.arange(10) < rng.integers(5, 11, (8, 1))).astype(np.int64)
    ids = np.where(mask == 1, rng.integers(1, CONFIG["vocab_size"], mask.shape), 0)
    labels = np.where((mask == 1) & (np.arange(10) % 3 == index % 3), rng.integers(1, CONFIG["vocab_size"], mask.shape), -100)
    types = (np.arange(10) >= rng.integers(2, 5, (8, 1))).astype(np.int64)
    arrays = dict(input_ids=ids, attention_mask=mask, token_type_ids=types, labels=labels,
                  sentence_order_label=rng.integers(0, 2, 8))
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def model(name):
    """The model of that trajectory before the first step."""
    ties = {"tie_word_embeddings": False} if name.endswith("untied") else {}
    config = AlbertConfig(**CONFIG, **ties, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout_prob=0.0)
    model = AlbertForPreTraining(config)
    rng = np.random.default_rng(zlib.crc32(b"weights of the trajectories"))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = draw(name, tuple(parameter.shape), rng, config, 0.7)
            if "word_embeddings" in name or "decoder.weight" in name:  # a tied decoder's, too: the norm of the gradients is to fall below 1
                values *= 0.05
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    return model


def learning_rate(name, step):
    """Of steps 0, 1, …: linear warm-up, then linear decay to 0 after the last step. In transformers'
    `get_linear_schedule_with_warmup`, the decay begins after the warm-up; in google-research's `create_optimizer`, at step 0."""
    start = WARMUP if name.startswith("adamw") else 0
    return SETTINGS[name]["peak"] * (step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - start))


def decays(name):
    return not ("LayerNorm" in name or "layer_norm" in name or name.endswith("bias"))


class TorchAdamW:
    def __init__(self, named, settings):
        groups = [{"params": [p for n, p in named if decays(n)], "weight_decay": settings["weight_decay"]},
                  {"params": [p for n, p in named if not decays(n)], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(settings["beta1"], settings["beta2"]), eps=settings["epsilon"])

    def step(self, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()


class Google:
    """`AdamWeightDecayOptimizer.apply_gradients` and `LAMBOptimizer.apply_gradients`, which differ in the ratio alone."""

    def __init__(self, named, settings, has_ratio=False):
        self.named, self.settings, self.has_ratio = named, settings, has_ratio
        self.moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in named}

    @torch.no_grad()
    def step(self, rate):
        s = self.settings
        for name, param in self.named:
            m, v = self.moments[name]
            m.mul_(s["beta1"]).add_((1 - s["beta1"]) * param.grad)
            v.mul_(s["beta2"]).add_((1 - s["beta2"]) * param.grad.square())
            update = m / (v.sqrt() + s["epsilon"])
            ratio = 1.0
            if decays(name):
                update = update + s["weight_decay"] * param
                if self.has_ratio:
                    w_norm, g_norm = param.norm(), update.norm()
                    ratio = w_norm / g_norm if w_norm > 0 and g_norm > 0 else 1.0
            param.sub_(ratio * rate * update)


OPTIMIZERS = {"adamw": TorchAdamW, "adamw_untied": TorchAdamW, "adam_weight_decay": Google,
              "lamb": lambda named, settings: Google(named, settings, has_ratio=True)}


def train(name, dtype):
    """Losses, norms before clipping, learning rates, and the model after the last step."""
    trained = copy.deepcopy(model(name)).to(dtype)
    named = list(trained.named_parameters())
    optimizer = OPTIMIZERS[name](named, SETTINGS[name])
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        trained.zero_grad()
        loss = trained(**batch(step % BATCHES)).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0).item())
        rates.append(learning_rate(name, step))
        optimizer.step(rates[-1])
        losses.append(loss.item())
    return losses, norms, rates, trained


def trajectory(name):
    losses, norms, rates, final = train(name, torch.float64)
    initial = model(name)
    tensors = {f"batch_{i}.{key}": value for i in range(BATCHES) for key, value in batch(i).items()}
    tensors |= {f"initial.{key}": value.detach().clone() for key, value in initial.named_parameters()}
    tensors |= {f"final.{key}": value.detach().float() for key, value in final.named_parameters()
                if not key.endswith(NO_PART)}
    for key, values in [("losses", losses), ("norms", norms), ("rates", rates)]:
        tensors[f"steps.{key}"] = torch.tensor(values, dtype=torch.float32)
    single, _, _, found = train(name, torch.float32)
    pairs = zip(found.named_parameters(), final.parameters())
    distance = max((a.double() - b).abs().max().item() for (key, a), b in pairs if not key.endswith(NO_PART))
    moved = max((a.double() - b).abs().max().item() for a, b in zip(initial.parameters(), final.parameters()))
    print(f"{name}: losses {losses[0]:.4f} → {losses[-1]:.4f}, norms {min(norms):.2f} to {max(norms):.2f}, weights move by "
          f"up to {moved:.3f}; in float32, losses {max(abs(a - b) for a, b in zip(single, losses)):.1e} and weights "
          f"{distance:.1e} away")
    assert distance < 2e-5 and losses[-1] < losses[0] and min(norms) < 1 < max(norms)
    settings = SETTINGS[name] | dict(steps=STEPS, warmup=WARMUP)
    metadata = {"golden": json.dumps({"config": initial.config.to_diff_dict(), "settings": settings}, sort_keys=True)}
    return save(tensors, metadata)


def main(check):
    directory = HERE / "trajectories"
    directory.mkdir(exist_ok=True)
    different = []
    for name in OPTIMIZERS:
        path, found = directory / f"{name}.safetensors", trajectory(name)
        if not check:
            path.write_bytes(found)
        elif not path.exists() or path.read_bytes() != found:
            different.append(name)
    print(f"different: {different}" if different else "done")
    sys.exit(bool(different))


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
