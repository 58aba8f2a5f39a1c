"""Makes what the contestants load, once: a checkpoint, ONNX graphs, OpenVINO models.

    python prepare.py DIRECTORY MODEL WHAT [CASE]

WHAT is checkpoint, pretraining, plain, plain-int8, fused, fused-int8, openvino, openvino-int8 or, for one case, ctranslate2. Graphs come in two versions, with an attention mask and without,
so that nobody pays for a mask where nothing is padded.
"""

import json
import sys
import time
from pathlib import Path

import bert
import kokoro
from cases import MODELS, SEED, TRAINED, calibration, padded, random_ids

VARIANTS = ("nomask", "mask")


def has_flag(flag):
    return flag in Path("/proc/cpuinfo").read_text().split()


def checkpoint(directory, model):
    import torch
    from transformers import AlbertConfig, AlbertModel

    config = AlbertConfig(**MODELS[model])
    if model in TRAINED:
        config.save_pretrained(directory)
        return kokoro.write_checkpoint(directory)
    torch.manual_seed(SEED)
    albert = AlbertModel(config)  # weights with deviation 0.02
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
    """The model as a function of ids and, perhaps, mask, with the outputs of `outputs`."""
    import torch
    from transformers import AlbertModel

    class Outputs(torch.nn.Module):
        def __init__(self, albert):
            super().__init__()
            self.albert = albert

        def forward(self, input_ids, attention_mask=None):
            output = self.albert(input_ids=input_ids, attention_mask=attention_mask)
            return tuple(output[name] for name in names)

    names = outputs(directory)
    pooler = "pooler_output" in names
    return Outputs(AlbertModel.from_pretrained(directory, attn_implementation=attention, add_pooling_layer=pooler)).eval()


def outputs(directory):
    """Their names. A checkpoint without a pooler has one."""
    from safetensors import safe_open

    with safe_open(directory / "model.safetensors", "np") as file:
        pooler = "pooler.weight" in file.keys()
    return ["last_hidden_state", "pooler_output"] if pooler else ["last_hidden_state"]


def example_inputs(variant):
    import torch

    ids, mask = padded([[1] * 24, [1] * 40])
    inputs = {"input_ids": torch.tensor(ids)}
    if variant == "mask":
        inputs["attention_mask"] = torch.tensor(mask)
    return inputs


def plain(directory, model):
    """torch's older exporter: what the newer one writes is not recognised by the fusion (torch 2.15, ONNX Runtime 1.32)."""
    import torch

    albert = load_torch(directory, "eager")
    for variant in VARIANTS:
        inputs, names = example_inputs(variant), outputs(directory)
        axes = {name: {0: "batch", 1: "seq"} for name in [*inputs, names[0]]} | {name: {0: "batch"} for name in names[1:]}
        torch.onnx.export(
            albert,
            tuple(inputs.values()),
            directory / f"plain-{variant}.onnx",
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            output_names=names,
            dynamic_axes=axes,
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


def plain_int8(directory, model):
    """For quantisation, a matrix is an initializer. In the export only its first application reads it, and the others a copy."""
    import onnx

    layers = MODELS[model]["num_hidden_layers"]
    for variant in VARIANTS:
        graph = onnx.load(directory / f"plain-{variant}.onnx")
        read_initializers(graph.graph)
        quantize(graph, directory / f"plain-int8-{variant}.onnx", {"MatMulInteger": len(outputs(directory)) + 6 * layers, "QAttention": 0})


def read_initializers(graph):
    """Without the `Identity` nodes between them and who reads them."""
    initializers = {tensor.name for tensor in graph.initializer}
    copies = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity" and node.input[0] in initializers}
    kept = [node for node in graph.node if node.output[0] not in copies]
    for node in kept:
        node.input[:] = [copies.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend(kept)


def fused_int8(directory, model):
    import onnx

    layers = MODELS[model]["num_hidden_layers"]
    for variant in VARIANTS:
        graph = onnx.load(directory / f"fused-{variant}.onnx")
        expected = {"MatMulInteger": len(outputs(directory)) + 3 * layers, "QAttention": layers}
        quantize(graph, directory / f"fused-int8-{variant}.onnx", expected)


def quantize(graph, path, expected):
    """Stops unless there are as many integer operators as expected: those of the layers, the mapping E -> H, and the pooler if there is one."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        graph,
        path,
        op_types_to_quantize=["MatMul", "Attention"],
        per_channel=True,
        # Without VNNI, sums of two products saturate at 16 bits unless weights have 7.
        reduce_range=not has_flag("avx512_vnni") and not has_flag("avx_vnni"),
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": 1},
    )
    operators = [node.op_type for node in onnx.load(path).graph.node]
    found = {name: operators.count(name) for name in expected}
    if found != expected:
        raise SystemExit(f"not everything was quantised: {found}, and not {expected}")


def openvino(directory, model):
    import openvino as ov

    albert = load_torch(directory, "sdpa")
    for variant in VARIANTS:
        converted = ov.convert_model(albert, example_input=example_inputs(variant))
        ov.save_model(converted, directory / f"openvino-{variant}.xml", compress_to_fp16=False)


def openvino_int8(directory, model):
    import nncf
    import openvino as ov
    from nncf.quantization.advanced_parameters import OverflowFix

    vnni = has_flag("avx512_vnni") or has_flag("avx_vnni")
    overflow = OverflowFix.DISABLE if vnni else OverflowFix.ENABLE
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=overflow)
    for variant in VARIANTS:
        samples = []
        for sequences in calibration(directory, model, variant == "mask"):
            ids, mask = padded(sequences)
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
    "plain-int8": plain_int8,
    "fused": fused,
    "fused-int8": fused_int8,
    "openvino": openvino,
    "openvino-int8": openvino_int8,
    "ctranslate2": bert.write,
}
NEEDS = {
    "plain": ["checkpoint"],
    "plain-int8": ["plain"],
    "fused": ["plain"],
    "fused-int8": ["fused"],
    "openvino": ["checkpoint"],
    "openvino-int8": ["openvino"],
    "ctranslate2": ["checkpoint"],
}
OF_CASE = ("ctranslate2",)  # made for each case anew

if __name__ == "__main__":
    directory, model, step, *case = Path(sys.argv[1]), *sys.argv[2:]
    started = time.perf_counter()
    STEPS[step](directory, model, *case)
    seconds = time.perf_counter() - started
    (directory / f"{'-'.join([step, *case])}.done").write_text(json.dumps({"seconds": seconds}))
