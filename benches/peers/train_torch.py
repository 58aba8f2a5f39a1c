"""PyTorch in its own process, a pre-training step at a time. It speaks the protocol of contestants.py, but for `dump`:

    run N        N steps            -> {"seconds": [...]}

    python train_torch.py PRECISION SETTING DIRECTORY THREADS

What it sends first has the losses of the first steps, too, and the memory that was resident once everything was imported. DIRECTORY has the
checkpoint (`pretraining`) and the batch (`ids.json`, `labels.json`).
"""

import contextlib
import json
import sys
import time
from pathlib import Path

from contestants import Unavailable, send, timed

# What examples/measure_training/step.rs has.
LEARNING_RATE = 1e-4
MAX_NORM = 1.0
FIRST_STEPS = 5

SETTINGS = ("eager attention", "sdpa", "compiled")


class Step:
    def __init__(self, precision, setting, directory, threads):
        if precision == "bf16" and "avx512_bf16" not in Path("/proc/cpuinfo").read_text().split():
            raise Unavailable("this processor has no bf16 instructions; PyTorch would emulate them")

        import torch
        from transformers import AlbertForPreTraining

        self.torch, self.precision, self.losses = torch, precision, []
        torch.set_num_threads(threads)
        self.imports_bytes = resident_bytes()
        self.started = time.perf_counter()
        ids, labels = (json.loads((directory / f"{name}.json").read_text()) for name in ("ids", "labels"))
        self.inputs = {
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor(labels["masked_lm"]),
            "sentence_order_label": torch.tensor(labels["sentence_order"]),
        }
        attention = "eager" if setting == "eager attention" else "sdpa"
        self.model = AlbertForPreTraining.from_pretrained(directory / "pretraining", attn_implementation=attention).train()
        self.optimizer = self.adamw()
        if setting == "compiled":
            import torch._inductor.config

            torch._inductor.config.compile_threads = 1  # no pool that outlives the compilation
            self.model = torch.compile(self.model)

    def adamw(self):
        """No decay of LayerNorms and biases, as here and in transformers' Trainer; `fused` is the fastest that PyTorch has."""
        groups = {True: [], False: []}
        for name, parameter in self.model.named_parameters():
            groups[not ("norm" in name.lower() or name.endswith("bias"))].append(parameter)
        groups = [{"params": groups[True], "weight_decay": 0.01}, {"params": groups[False], "weight_decay": 0.0}]
        return self.torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, fused=True)

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=True)
        autocast = self.torch.autocast("cpu", self.torch.bfloat16) if self.precision == "bf16" else contextlib.nullcontext()
        with autocast:
            loss = self.model(**self.inputs).loss
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        self.optimizer.step()
        self.losses.append(loss.item())


def resident_bytes():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


def main(precision, setting, directory, threads):
    try:
        step = Step(precision, setting, Path(directory), int(threads))
    except Unavailable as why:
        return send(unavailable=str(why))
    load = time.perf_counter() - step.started
    first, second, *_ = [timed(step) for _ in range(FIRST_STEPS)]
    send(
        load_s=load,
        compile_s=max(0.0, first - second),
        second_s=second,
        note=setting,
        losses=step.losses,
        imports_bytes=step.imports_bytes,
    )
    for line in sys.stdin:
        command, argument = line.split(maxsplit=1)
        if command == "run":
            send(seconds=[timed(step) for _ in range(int(argument))])


if __name__ == "__main__":
    main(*sys.argv[1:])
