"""Makes what the contestants load, once: a random checkpoint, ONNX graphs, OpenVINO models.

    python prepare.py DIRECTORY MODEL WHAT

WHAT is checkpoint, pretraining, plain, fused, fused-int8, openvino or openvino-int8. Graphs come in two versions, with an attention mask and without,
so that nobody pays for a mask where nothing is padded.
"""

import json
import sys
import time
from pathlib import Path

from cases import MODELS, SEED, padded, random_ids

VARIANTS = ("nomask", "mask")


def has_flag(flag):
    return flag in Path("/proc/cpuinfo").read_text().split()


def checkpoint(directory, model):
    import torch
    from transformers import AlbertConfig, AlbertModel

    torch.manual_seed(SEED)
    albert = AlbertModel(AlbertConfig(**MODELS[model]))  # weights with deviation 0.02
    draw_biases(albert)
    albert.save_pretrained(directory)


def pretraining(directory, model):
    """The model that training starts from, in a directory of its own; nothing has dropout."""
    import torch
    from transformers import AlbertConfig, AlbertForPreTraining

    torch.manual_seed(SEED)
    albert = AlbertForPreTraining(AlbertConfig(**MODELS[model], classifier_dropout_prob=0.0))
    draw_biases(albert)
    albert.save_pretrained(directory / "pretraining")


def draw_biases(albert):
    """They would be zero otherwise, which would hide mistakes."""
    import torch

    with torch.no_grad():
        for name, parameter in albert.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.02)


def load_torch(directory, attention):
    """The model as a function of ids and, perhaps, mask, with two outputs."""
    import torch
    from transformers import AlbertModel

    class Outputs(torch.nn.Module):
        def __init__(self, albert):
            super().__init__()
            self.albert = albert

        def forward(self, input_ids, attention_mask=None):
            output = self.albert(input_ids=input_ids, attention_mask=attention_mask)
            return output.last_hidden_state, output.pooler_output

    return Outputs(AlbertModel.from_pretrained(directory, attn_implementation=attention)).eval()


def example_inputs(model, variant):
    import torch

    ids, mask = padded(random_ids([24, 40], MODELS[model]["vocab_size"], SEED))
    inputs = {"input_ids": torch.tensor(ids)}
    if variant == "mask":
        inputs["attention_mask"] = torch.tensor(mask)
    return inputs


def plain(directory, model):
    """torch's older exporter: what the newer one writes is not recognised by the fusion (torch 2.15, ONNX Runtime 1.32)."""
    import torch

    albert = load_torch(directory, "eager")
    for variant in VARIANTS:
        inputs = example_inputs(model, variant)
        axes = {name: {0: "batch", 1: "seq"} for name in inputs}
        torch.onnx.export(
            albert,
            tuple(inputs.values()),
            directory / f"plain-{variant}.onnx",
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            output_names=["last_hidden_state", "pooler_output"],
            dynamic_axes=axes | {"last_hidden_state": {0: "batch", 1: "seq"}, "pooler_output": {0: "batch"}},
        )


def fused(directory, model):
    import onnx
    from onnxruntime.transformers import optimizer

    shape = MODELS[model]
    for variant in VARIANTS:
        graph = onnx.load(directory / f"plain-{variant}.onnx")
        put_attention_first(graph.graph)
        if variant == "nomask":
            divide_scores(graph.graph)
        swapped = directory / f"swapped-{variant}.onnx"
        onnx.save(graph, swapped)
        heads, hidden = shape["num_attention_heads"], shape["hidden_size"]
        result = optimizer.optimize_model(str(swapped), "bert", num_heads=heads, hidden_size=hidden, opt_level=1)
        swapped.unlink()
        # Each layer got its own copy of the joined query, key and value.
        result.remove_duplicated_initializer({})
        result.prune_graph()
        check_fusion(result.get_fused_operator_statistics(), shape)
        result.save_model_to_file(str(directory / f"fused-{variant}.onnx"))


def put_attention_first(graph):
    """The fusion follows the first input of a residual sum. In the first layer that is the mapping E -> H, and it would give up."""
    producers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        total = producers.get(node.input[0]) if node.op_type == "LayerNormalization" else None
        if total is not None and "embedding_hidden_mapping_in" in total.input[0]:
            total.input[:] = reversed(total.input)


def divide_scores(graph):
    """Without a mask, the fusion knows scores / sqrt(d), and not scores * (1 / sqrt(d)). (The fused node computes its own scale.)"""
    from onnx import numpy_helper

    producers = {output: node for node in graph.node for output in node.output}
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        scale = producers[softmax.input[0]]
        factor = producers[scale.input[1]].attribute[0].t
        if scale.op_type == "Mul" and producers[scale.input[1]].op_type == "Constant":
            factor.CopyFrom(numpy_helper.from_array(1 / numpy_helper.to_array(factor)))
            scale.op_type = "Div"


def check_fusion(counts, shape):
    layers = shape["num_hidden_layers"]
    gelus = counts["FastGelu"] + counts["BiasGelu"] + counts["Gelu"]
    found = {"attention": counts["Attention"], "norms": counts["SkipLayerNormalization"], "gelus": gelus}
    if found != {"attention": layers, "norms": 2 * layers, "gelus": layers}:
        raise SystemExit(f"not everything was fused: {found} in {layers} layers")


def fused_int8(directory, model):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    for variant in VARIANTS:
        quantize_dynamic(
            directory / f"fused-{variant}.onnx",
            directory / f"fused-int8-{variant}.onnx",
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            # Without VNNI, sums of two products saturate at 16 bits unless weights have 7.
            reduce_range=not has_flag("avx512_vnni") and not has_flag("avx_vnni"),
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": 1},
        )


def openvino(directory, model):
    import openvino as ov

    albert = load_torch(directory, "sdpa")
    for variant in VARIANTS:
        converted = ov.convert_model(albert, example_input=example_inputs(model, variant))
        ov.save_model(converted, directory / f"openvino-{variant}.xml", compress_to_fp16=False)


def openvino_int8(directory, model):
    import nncf
    import openvino as ov
    from nncf.quantization.advanced_parameters import OverflowFix

    vnni = has_flag("avx512_vnni") or has_flag("avx_vnni")
    overflow = OverflowFix.DISABLE if vnni else OverflowFix.ENABLE
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=overflow)
    vocab = MODELS[model]["vocab_size"]
    for variant in VARIANTS:
        samples = []
        for seed in range(32):  # other texts than those that are measured
            ids, mask = padded(random_ids([32 + 3 * seed, 128][: 2 if variant == "mask" else 1], vocab, seed))
            samples.append({"input_ids": ids} | ({"attention_mask": mask} if variant == "mask" else {}))
        quantized = nncf.quantize(
            ov.Core().read_model(directory / f"openvino-{variant}.xml"),
            nncf.Dataset(samples),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(samples),
            advanced_parameters=advanced,
        )
        ov.save_model(quantized, directory / f"openvino-int8-{variant}.xml", compress_to_fp16=False)


STEPS = {
    "checkpoint": checkpoint,
    "pretraining": pretraining,
    "plain": plain,
    "fused": fused,
    "fused-int8": fused_int8,
    "openvino": openvino,
    "openvino-int8": openvino_int8,
}
NEEDS = {"plain": ["checkpoint"], "fused": ["plain"], "fused-int8": ["fused"], "openvino": ["checkpoint"], "openvino-int8": ["openvino"]}

if __name__ == "__main__":
    directory, model, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    started = time.perf_counter()
    STEPS[step](directory, model)
    seconds = time.perf_counter() - started
    (directory / f"{step}.done").write_text(json.dumps({"seconds": seconds}))
