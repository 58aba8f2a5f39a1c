"""Makes the checkpoint fixtures of tests/fixtures/checkpoints.

Versions: torch==2.15.0, transformers==5.23.0, safetensors==0.8.0. Seeded: the values are the same on every run (the
keys of the old format's storages are memory addresses, so those files differ in these).

    python tests/golden/make_checkpoint_fixtures.py
"""

import argparse
import datetime
import json
import shutil
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from safetensors.torch import load_file, save_file
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


class Settings:
    """Of a class that nobody else has."""

    def __init__(self):
        self.rate, self.tensor = 1e-3, torch.ones(2)


class Attributes(dict):
    """A dictionary of such a class."""


def accepted_by_torch(is_zip):
    """Values of every kind that `torch.load(..., weights_only=True)` accepts, tensors of every kind among them.

    Of the old format, torch cannot read what has no class of storages, nor tensors without one.
    """
    newer = [
        torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e8m0fnu, torch.uint16, torch.uint32,
        torch.uint64,
    ]
    g = torch.Generator().manual_seed(3)
    dense = torch.randn(3, 2, generator=g)
    attributed = torch.ones(2)
    attributed.note = "attribute"
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.note = "attribute"
    quantized = torch.quantize_per_tensor(dense, 0.1, 3, torch.quint8)
    channels = torch.quantize_per_channel(
        dense, torch.ones(3) * 0.1, torch.zeros(3, dtype=torch.int64), 0, torch.qint8
    )
    return {
        "values": {
            "bytes": b"\x01\xff", "bytearray": bytearray(b"abc"), "counter": Counter("aab"), "set": {1, 2},
            "complex": 1 + 2j, "size": torch.Size([2, 3]), "device": torch.device("cuda:1"), "dtype": torch.float8_e5m2,
            "layout": torch.strided, "ordered": OrderedDict(a=1), "surrogate": "\ud800", ("a", 1): 2, 3: 4, None: 5,
            "scheme": torch.per_channel_affine, "large": 1 << 300, "empty": bytearray(), "inf": float("inf"),
        },
        "types": [
            dense.to(dtype)
            for dtype in [
                torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64,
                torch.complex128, torch.float64, torch.bfloat16, *(newer if is_zip else []),
            ]
        ],
        "parameters": (parameter, torch.nn.Parameter(dense), torch.nn.Parameter(dense, requires_grad=False)),
        "attributed": attributed,
        "conjugated": dense.to(torch.complex64).conj(),
        "negated": torch._neg_view(dense),
        "sparse": dense.to_sparse(),
        "rows": dense.to_sparse_csr(),
        "quantized": quantized,
        "channels": channels,
        "meta": torch.empty(2, 3, device="meta"),
        "deep": torch.zeros([1] * 12),
        "repeated": torch.ones(1).expand(1 << 20),
    }


def passed_over():
    """What torch refuses, and what is passed over here: nothing of it is called."""
    return {
        "arguments": argparse.Namespace(lr=1e-3, layers=[1, 2]),
        "settings": Settings(),
        "attributes": Attributes(a=1),
        "class": torch.nn.GELU,
        "score": np.float64(0.5),
        "array": np.arange(3),
        "path": PurePosixPath("a/b"),
        "time": datetime.datetime(2020, 2, 7, tzinfo=datetime.timezone.utc),
        "default": defaultdict(list, a=[1]),
        "deque": deque([1, 2]),
        "frozen": frozenset([1]),
        "range": range(3),
        "type": int,
    }


def published():
    """The tiny ALBERT of `albert`, as training scripts and speech models keep one among other things."""
    directory = ROOT / "published"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    state = load_file(ROOT / "albert" / "model.safetensors")
    prefixed = lambda prefix, tensors: {prefix + name: tensor for name, tensor in tensors.items()}
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    sum(parameter.sum() for parameter in parameters).backward()
    optimizer.step()

    def save(name, obj, **options):
        torch.save(obj, directory / name, **options)

    old = {"_use_new_zipfile_serialization": False}
    net = prefixed("module.encoder.", state)
    net |= {
        "module.encoder.embeddings.position_ids": torch.arange(6).unsqueeze(0),
        "module.mask_predictor.weight": torch.ones(13, 8),
        "module.word_predictor.bias": torch.ones(5),
    }
    save("pl_bert.t7", {"net": net, "step": 10, "optimizer": optimizer.state_dict()})
    networks = {
        "bert": prefixed("module.", state),
        "bert_encoder": {"module.weight": torch.ones(4, 8), "module.bias": torch.ones(4)},
        "predictor": {"module.text_encoder.lstms.0.weight_ih_l0": torch.ones(2, 2)},
        "decoder": {"module.norm.gamma": torch.ones(2), "module.norm.weight": torch.ones(2)},
        "text_encoder": {"module.embedding.weight": torch.ones(13, 4)},
    }
    save("kokoro.pth", networks)
    save("styletts2.pth", {"net": networks, "optimizer": {"bert": optimizer.state_dict()}, "iters": 3}, **old)
    loss = torch.tensor(0.5)
    save("with_loss.bin", {"model_state_dict": state, "optimizer_state_dict": optimizer.state_dict(), "loss": loss})
    average = {name: tensor + 1 for name, tensor in state.items()}
    save("averaged.pt", {"model": state, "ema": average, "step": 3})
    save("twice.pt", {"model": dict(state), "state_dict": dict(state)}, **old)
    save("listed.pt", [{"epoch": 1}, optimizer.state_dict(), prefixed("_orig_mod.", state)])
    for name, options in (("accepted_zip.bin", {}), ("accepted_legacy.bin", old)):
        save(name, {"before": accepted_by_torch(not options), "state_dict": state}, **options)
        torch.load(directory / name, weights_only=True)
    save("passed_over_zip.bin", {"before": passed_over(), "state_dict": state})
    save("passed_over_legacy.bin", {"before": passed_over(), "state_dict": state}, **old)
    quantized = torch.quantize_per_tensor(state["pooler.weight"], 0.1, 3, torch.quint8)
    save("quantized.bin", state | {"encoder.embedding_hidden_mapping_in.weight": quantized})


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
    published()
    refused()
    total = sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file())
    print(f"{total} bytes")
    assert total < 500_000
