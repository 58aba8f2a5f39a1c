"""Makes the checkpoint fixtures of tests/fixtures/checkpoints.

Versions: torch==2.15.0, transformers==5.23.0, safetensors==0.8.0. Seeded: the values are the same on every run (the
keys of the old format's storages are memory addresses, so those files differ in these).

    python tests/golden/make_checkpoint_fixtures.py
"""

import json
import shutil
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AlbertConfig, AlbertModel

ROOT = Path(__file__).resolve().parent.parent / "fixtures" / "checkpoints"


def tensors():
    """Every element type, and every way in which a tensor can lie in its storage."""
    g = torch.Generator().manual_seed(20200207)
    base = torch.randn(6, 5, generator=g)
    edge = torch.tensor([0.0, -0.0, 1e-40, 65504.0, 3.4e38, float("inf"), float("-inf"), 1 / 3])
    half = torch.tensor([0.0, -0.0, 6e-8, 65504.0, 1 / 3, -2.5, float("inf"), float("-inf")])
    return OrderedDict(
        [
            ("f32", base),
            ("edge", edge),
            ("f16", half.to(torch.float16)),
            ("bf16", edge.to(torch.bfloat16)),
            ("f64", torch.randn(2, 3, 4, generator=g, dtype=torch.float64)),
            ("i64", torch.arange(7).unsqueeze(0)),
            ("scalar", torch.tensor(2.5)),
            ("empty", torch.zeros(0, 3)),
            ("shared", base),
            ("transposed", base.t()),
            ("rows", base[2:4]),
            ("columns", base[:, 1:3]),
            ("steps", base[::2, ::3]),
            ("permuted", torch.randn(2, 3, 4, generator=g).permute(2, 0, 1)),
            ("expanded", torch.randn(3, 1, generator=g).expand(3, 4)),
            ("parameter", torch.nn.Parameter(torch.randn(4, generator=g))),
        ]
    )


def expected(state):
    """The floating-point tensors as f32, plain."""
    return {
        name: tensor.detach().to(torch.float32).contiguous().clone()
        for name, tensor in state.items()
        if tensor.is_floating_point()
    }


def save_both(obj, stem):
    torch.save(obj, ROOT / f"{stem}_zip.bin")
    torch.save(obj, ROOT / f"{stem}_legacy.bin", _use_new_zipfile_serialization=False)


def flat():
    state = tensors()
    save_file(expected(state), ROOT / "expected.safetensors")
    save_both(state, "tensors")
    plain = {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}
    save_file(plain, ROOT / "tensors.safetensors", metadata={"format": "pt"})
    for protocol in (3, 4, 5):
        torch.save(state, ROOT / f"protocol{protocol}.bin", pickle_protocol=protocol)
    nested = {
        "epoch": 3,
        "loss": 0.25,
        "big": 1 << 200,
        "name": "albert",
        "none": None,
        "flags": (True, False),
        "sizes": [1, -2, 70000, torch.Size([2, 3])],
        "dtype": torch.float16,
        "raw": b"bytes",
        "state_dict": state,
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-3}]},
    }
    # Protocol 3: in protocol 2, `bytes` are a call of `_codecs.encode`, which is not on the list.
    torch.save(nested, ROOT / "nested_zip.bin", pickle_protocol=3)
    torch.save(
        nested, ROOT / "nested_legacy.bin", pickle_protocol=3, _use_new_zipfile_serialization=False
    )


def sharded():
    """A tiny ALBERT, whole and in shards, as transformers saves it and as it did."""
    torch.manual_seed(7)
    config = AlbertConfig(
        vocab_size=13, embedding_size=4, hidden_size=8, num_attention_heads=2, intermediate_size=12,
        num_hidden_layers=2, max_position_embeddings=6,
    )
    model = AlbertModel(config).eval()
    for name, size in (("albert", "1GB"), ("albert_sharded", "1KB")):
        directory = ROOT / name
        shutil.rmtree(directory, ignore_errors=True)
        model.save_pretrained(directory, max_shard_size=size)
        (directory / "config.json").unlink()
    directory = ROOT / "albert_sharded_bin"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    items = list(model.state_dict().items())
    middle = len(items) // 2
    weight_map = {}
    for number, part in enumerate((items[:middle], items[middle:]), 1):
        shard = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save(
            OrderedDict(part), directory / shard, _use_new_zipfile_serialization=number == 1
        )
        weight_map |= {name: shard for name, _ in part}
    total = sum(tensor.nbytes for _, tensor in items)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def refused():
    """What is not a checkpoint of tensors."""

    class Call:
        def __reduce__(self):
            import os

            return os.system, ("touch should-not-exist",)

    save_both({"weight": torch.zeros(2), "call": Call()}, "os_system")
    script = torch.jit.script(torch.nn.Linear(2, 2))
    script.save(str(ROOT / "torchscript.bin"))
    torch.save(torch.nn.Linear(2, 2), ROOT / "whole_module.bin")


if __name__ == "__main__":
    ROOT.mkdir(parents=True, exist_ok=True)
    flat()
    sharded()
    refused()
    total = sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file())
    print(f"{total} bytes")
    assert total < 300_000
