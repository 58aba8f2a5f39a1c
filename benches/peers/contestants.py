"""One contestant in its own process. It loads, then does what it is told, line by line, on standard input:

    run N        N iterations            -> {"seconds": [...]}
    dump FILE    one forward, real rows  -> {}

    python contestants.py NAME SETTING DIRECTORY CASE THREADS

What it sends first is {"load_s": ..., "compile_s": ..., "note": ...}, or {"unavailable": why}. Loading is from files to a model that can be
called; compiling is what the first call costs beyond that. Imports are not counted.
"""

import json
import sys
import time
from pathlib import Path

from cases import padded, real_rows


class Unavailable(Exception):
    pass


class Torch:
    def __init__(self, how, setting, directory, inputs, mask, output, threads):
        import torch
        from transformers import AlbertModel

        self.torch, self.output = torch, output
        torch.set_num_threads(threads)
        self.inputs = {"input_ids": torch.from_numpy(inputs)}
        if mask is not None:
            self.inputs["attention_mask"] = torch.from_numpy(mask)
        self.started = time.perf_counter()
        attention = "eager" if how == "eager" else "sdpa"
        model = AlbertModel.from_pretrained(directory, attn_implementation=attention).eval()
        if how == "bf16":
            model = model.to(torch.bfloat16)
        if how == "int8":
            model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, torch.qint8)
        if setting == "compiled":
            if how == "bf16" and "avx512_bf16" not in Path("/proc/cpuinfo").read_text().split():
                raise Unavailable("not worth compiling: this processor has no bf16 instructions")
            import torch._inductor.config

            torch._inductor.config.freezing = True  # packs the weights: twice as fast
            torch._inductor.config.compile_threads = 1  # no pool that outlives the compilation
            model = torch.compile(model)
        self.model = model

    def __call__(self):
        with self.torch.no_grad():
            result = self.model(**self.inputs)
        return result.last_hidden_state if self.output == "base" else result.pooler_output

    def numpy(self, result):
        return result.float().numpy()


class OnnxRuntime:
    def __init__(self, graph, setting, directory, inputs, mask, output, threads):
        import onnxruntime as ort

        self.feed = {"input_ids": inputs} | ({} if mask is None else {"attention_mask": mask})
        self.outputs = ["last_hidden_state" if output == "base" else "pooler_output"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Threads spin while a graph runs, which is faster, and sleep when it has.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if setting == "static":
            options.add_free_dimension_override_by_name("batch", inputs.shape[0])
            options.add_free_dimension_override_by_name("seq", inputs.shape[1])
        variant = "nomask" if mask is None else "mask"
        self.started = time.perf_counter()
        path = str(directory / f"{graph}-{variant}.onnx")
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self):
        return self.session.run(self.outputs, self.feed)[0]

    def numpy(self, result):
        return result


class OpenVino:
    def __init__(self, precision, setting, directory, inputs, mask, output, threads):
        import openvino as ov

        core = ov.Core()
        native_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not native_bf16:
            # It takes the hint even so, and then emulates: several hundred times slower than f32.
            raise Unavailable("this processor has no bf16 instructions; OpenVINO would emulate them")
        self.feed = {"input_ids": inputs} | ({} if mask is None else {"attention_mask": mask})
        config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if precision != "int8":  # there, what is not quantised may be bf16: its default
            config["INFERENCE_PRECISION_HINT"] = precision
        variant = "nomask" if mask is None else "mask"
        name = "openvino-int8" if precision == "int8" else "openvino"
        self.started = time.perf_counter()
        model = core.read_model(directory / f"{name}-{variant}.xml")
        if setting == "static":
            model.reshape({port.any_name: list(inputs.shape) for port in model.inputs})
        self.request = core.compile_model(model, "CPU", config).create_infer_request()
        self.index = 0 if output == "base" else 1

    def __call__(self):
        self.request.infer(self.feed, share_inputs=True)
        return self.request.get_output_tensor(self.index).data

    def numpy(self, result):
        return result


SHAPES = ("static", "dynamic")

# Name: precision, class, its first argument, settings of which the fastest is taken, what must have been prepared.
CONTESTANTS = {
    "PyTorch eager": ("f32", Torch, "eager", ("",), "checkpoint"),
    "PyTorch sdpa": ("f32", Torch, "sdpa", ("",), "checkpoint"),
    "PyTorch compile": ("f32", Torch, "sdpa", ("compiled",), "checkpoint"),
    "ONNX Runtime plain": ("f32", OnnxRuntime, "plain", SHAPES, "plain"),
    "ONNX Runtime fused": ("f32", OnnxRuntime, "fused", SHAPES, "fused"),
    "OpenVINO": ("f32", OpenVino, "f32", SHAPES, "openvino"),
    "PyTorch bf16": ("bf16", Torch, "bf16", ("", "compiled"), "checkpoint"),
    "OpenVINO bf16": ("bf16", OpenVino, "bf16", SHAPES, "openvino"),
    "PyTorch dynamic int8": ("int8", Torch, "int8", ("",), "checkpoint"),
    "ONNX Runtime plain int8": ("int8", OnnxRuntime, "plain-int8", SHAPES, "plain-int8"),
    "ONNX Runtime int8": ("int8", OnnxRuntime, "fused-int8", SHAPES, "fused-int8"),
    "OpenVINO int8": ("int8", OpenVino, "int8", SHAPES, "openvino-int8"),
}


def timed(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def send(**message):
    print(json.dumps(message), flush=True)


def main(name, setting, directory, case, threads):
    case = json.loads(Path(case).read_text())
    inputs, mask = padded(case["ids"])
    _, kind, how, _, _ = CONTESTANTS[name]
    try:
        run = kind(how, setting, Path(directory), inputs, mask, case["output"], int(threads))
    except Unavailable as why:
        return send(unavailable=str(why))
    load = time.perf_counter() - run.started
    first, second = timed(run), timed(run)
    send(load_s=load, compile_s=max(0.0, first - second), second_s=second, note=setting)
    for line in sys.stdin:
        command, argument = line.split(maxsplit=1)
        if command == "run":
            send(seconds=[timed(run) for _ in range(int(argument))])
        elif command == "dump":
            rows = real_rows(run.numpy(run()), mask)
            rows.astype("<f4").tofile(argument.strip())
            send()


if __name__ == "__main__":
    main(*sys.argv[1:])
