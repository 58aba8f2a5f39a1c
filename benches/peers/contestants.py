"""One contestant in its own process. It loads, then does what it is told, line by line, on standard input:

    run N        N iterations            -> {"seconds": [...]}
    dump FILE    one forward, real rows  -> {}

    python contestants.py NAME SETTING DIRECTORY CASE WAY THREADS

What it sends first is {"load_s": ..., "compile_s": ...}, or {"unavailable": why}. Loading is from files to a model that can be
called; compiling is what the first call costs beyond that. Imports are not counted.

WAY says in which pieces the sequences are computed (`cases.py`). With the setting "streams" every thread computes pieces of its own; with the others
all threads share one piece after the other. Every piece's output is kept until all are there.
"""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import util
from pathlib import Path

import numpy as np

from cases import in_order, padded

STREAMS = "streams"
MOST_SHAPES = 8  # of fixed ones: a model for each keeps its own packed weights


class Unavailable(Exception):
    pass


class Contestant:
    """What all have in common. `run` computes one piece, ids [B, S] and mask (or None), and what it returns stays valid."""

    def __init__(self, setting, case, way, threads):
        pieces = case["ways"][way]
        self.pieces = [padded([case["ids"][number] for number in piece]) for piece in pieces]
        self.pooled = case["output"] == "pooled"
        self.map, self.threads = map, threads  # of one piece
        if setting == "static" and len({ids.shape for ids, _ in self.pieces}) > MOST_SHAPES:
            raise Unavailable("too many shapes")
        if setting.endswith(STREAMS):
            if len(pieces) < threads:
                raise Unavailable("there are fewer pieces than threads")
            self.pieces.reverse()  # the longest first: threads end together
            self.map, self.threads = ThreadPoolExecutor(threads).map, 1

    def __call__(self):
        return [*self.map(self.run, self.pieces)]

    def numpy(self, output):
        return output

    def outputs(self):
        """One of each piece, in the order of the pieces."""
        outputs = [self.numpy(output) for output in self()]
        return outputs if self.map is map else outputs[::-1]


def named(ids, mask):
    return {"input_ids": ids} | ({} if mask is None else {"attention_mask": mask})


def variant(mask):
    """Nobody pays for a mask where nothing is padded."""
    return "nomask" if mask is None else "mask"


class Torch(Contestant):
    MOST_COMPILED = 4  # Each shape is compiled by itself, which takes up to a minute.

    def __init__(self, how, setting, directory, *case):
        super().__init__(setting, *case)
        import torch
        from transformers import AlbertModel

        self.torch = torch
        torch.set_num_threads(self.threads)
        self.pieces = [tuple(None if part is None else torch.from_numpy(part) for part in piece) for piece in self.pieces]
        compiled = setting.startswith("compiled")
        dynamic = setting.startswith("compiled dynamic")
        if compiled and how == "bf16" and "avx512_bf16" not in Path("/proc/cpuinfo").read_text().split():
            raise Unavailable("not worth compiling: this processor has no bf16 instructions")
        shapes = len({ids.shape for ids, _ in self.pieces})
        if compiled and not dynamic and shapes > self.MOST_COMPILED:
            raise Unavailable("too many shapes")
        if dynamic and shapes == 1:
            raise Unavailable("there is one shape only")
        self.started = time.perf_counter()
        attention = "eager" if how == "eager" else "sdpa"
        model = AlbertModel.from_pretrained(directory, attn_implementation=attention).eval()
        if how == "bf16":
            model = model.to(torch.bfloat16)
        if how == "int8":
            model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, torch.qint8)
        if compiled:
            import torch._inductor.config

            torch._inductor.config.freezing = True  # packs the weights: twice as fast
            torch._inductor.config.compile_threads = 1  # no pool that outlives the compilation
            model = torch.compile(model, dynamic=dynamic)
        self.model = model

    def run(self, piece):
        with self.torch.no_grad():
            result = self.model(**named(*piece))
        return result.pooler_output if self.pooled else result.last_hidden_state

    def numpy(self, output):
        return output.float().numpy()


class OnnxRuntime(Contestant):
    def __init__(self, graph, setting, directory, *case):
        super().__init__(setting, *case)
        import onnxruntime

        self.runtime, self.path, self.static = onnxruntime, f"{directory}/{graph}", setting == "static"
        self.started, self.sessions = time.perf_counter(), {}
        for ids, mask in self.pieces:
            if self.key(ids, mask) not in self.sessions:
                self.sessions[self.key(ids, mask)] = self.session(ids, mask)

    def key(self, ids, mask):
        return variant(mask), ids.shape if self.static else None

    def session(self, ids, mask):
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        # Threads spin while a graph runs, which is faster, and sleep when it has.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if self.static:
            options.add_free_dimension_override_by_name("batch", ids.shape[0])
            options.add_free_dimension_override_by_name("seq", ids.shape[1])
        return self.runtime.InferenceSession(f"{self.path}-{variant(mask)}.onnx", options, providers=["CPUExecutionProvider"])

    def run(self, piece):
        output = "pooler_output" if self.pooled else "last_hidden_state"
        return self.sessions[self.key(*piece)].run([output], named(*piece))[0]


class OpenVino(Contestant):
    def __init__(self, precision, setting, directory, *case):
        super().__init__(setting, *case)
        import openvino

        self.core = openvino.Core()
        native_bf16 = "BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not native_bf16:
            # It takes the hint even so, and then emulates: several hundred times slower than f32.
            raise Unavailable("this processor has no bf16 instructions; OpenVINO would emulate them")
        streams = setting == STREAMS
        self.config = {"INFERENCE_NUM_THREADS": case[-1], "PERFORMANCE_HINT": "THROUGHPUT" if streams else "LATENCY"}
        self.config["NUM_STREAMS"] = case[-1] if streams else 1
        if precision != "int8":  # there, what is not quantised may be bf16: its default
            self.config["INFERENCE_PRECISION_HINT"] = precision
        self.path = f"{directory}/openvino-int8" if precision == "int8" else f"{directory}/openvino"
        self.static = setting == "static"
        self.started, self.models, self.own = time.perf_counter(), {}, threading.local()
        for ids, mask in self.pieces:
            if self.key(ids, mask) not in self.models:
                self.models[self.key(ids, mask)] = self.compile(ids, mask)

    def key(self, ids, mask):
        return variant(mask), ids.shape if self.static else None

    def compile(self, ids, mask):
        model = self.core.read_model(f"{self.path}-{variant(mask)}.xml")
        if self.static:
            model.reshape({port.any_name: list(ids.shape) for port in model.inputs})
        return self.core.compile_model(model, "CPU", self.config)

    def run(self, piece):
        requests = self.own.__dict__  # of this thread
        key = self.key(*piece)
        if key not in requests:
            requests[key] = self.models[key].create_infer_request()
        requests[key].infer(named(*piece), share_inputs=True)
        output = requests[key].get_output_tensor(1 if self.pooled else 0).data
        return output if len(self.pieces) == 1 else output.copy()  # the next piece's goes to the same place


class CTranslate2(Contestant):
    """BERT's encoder with ALBERT's layers; `bert.py` says how. It removes padding by itself."""

    def __init__(self, precision, setting, directory, case, way, threads):
        super().__init__(setting, case, way, threads)
        if util.find_spec("ctranslate2") is None:
            raise Unavailable("ctranslate2 is not installed")
        backend = setting.removesuffix(STREAMS).split()
        os.environ["CT2_USE_MKL"] = str(int("MKL" in backend))
        os.environ["CT2_USE_EXPERIMENTAL_PACKED_GEMM"] = str(int("packed" in backend))
        os.environ["KMP_BLOCKTIME"] = "1"  # ms: threads stay awake between two products, and sleep when all is done
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        import ctranslate2

        self.library = ctranslate2
        kinds = {"f32": "float32", "int8": "int8_float32"}
        ends = np.cumsum([0, *map(len, case["ids"])])
        pieces = case["ways"][way]
        rows = [[[*range(ends[number], ends[number + 1])] for number in piece] for piece in pieces]
        self.pieces = rows[::-1] if setting.endswith(STREAMS) else rows
        self.started = time.perf_counter()
        self.encoder = ctranslate2.Encoder(
            str(directory / f"ctranslate2-{precision}-{case['name']}"),
            "cpu",
            compute_type=kinds[precision],
            inter_threads=1 if self.map is map else threads,
            intra_threads=self.threads,
        )

    def run(self, piece):
        output = self.encoder.forward_batch(piece)
        return output.pooler_output if self.pooled else output.last_hidden_state

    def numpy(self, output):
        return np.array(output)


EAGER = ("", STREAMS)
COMPILED = ("compiled", "compiled dynamic")
SHAPES = ("static", "dynamic", STREAMS)
BACKENDS = ("oneDNN", "MKL packed", f"oneDNN {STREAMS}", f"MKL packed {STREAMS}")

# Name: precision, class, its first argument, settings of which the fastest is taken, what must have been prepared.
CONTESTANTS = {
    "PyTorch eager": ("f32", Torch, "eager", EAGER, "checkpoint"),
    "PyTorch sdpa": ("f32", Torch, "sdpa", EAGER, "checkpoint"),
    "PyTorch compile": ("f32", Torch, "sdpa", COMPILED, "checkpoint"),
    "ONNX Runtime plain": ("f32", OnnxRuntime, "plain", SHAPES, "plain"),
    "ONNX Runtime fused": ("f32", OnnxRuntime, "fused", SHAPES, "fused"),
    "OpenVINO": ("f32", OpenVino, "f32", SHAPES, "openvino"),
    "CTranslate2": ("f32", CTranslate2, "f32", BACKENDS, "ctranslate2"),
    "PyTorch bf16": ("bf16", Torch, "bf16", (*EAGER, *COMPILED), "checkpoint"),
    "OpenVINO bf16": ("bf16", OpenVino, "bf16", SHAPES, "openvino"),
    "PyTorch dynamic int8": ("int8", Torch, "int8", EAGER, "checkpoint"),
    "ONNX Runtime plain int8": ("int8", OnnxRuntime, "plain-int8", SHAPES, "plain-int8"),
    "ONNX Runtime int8": ("int8", OnnxRuntime, "fused-int8", SHAPES, "fused-int8"),
    "OpenVINO int8": ("int8", OpenVino, "int8", SHAPES, "openvino-int8"),
    "CTranslate2 int8": ("int8", CTranslate2, "int8", BACKENDS, "ctranslate2"),
}


def timed(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def send(**message):
    print(json.dumps(message), flush=True)


def main(name, setting, directory, case, way, threads):
    path = Path(case)
    case = json.loads(path.read_text()) | {"name": path.stem}
    _, kind, how, _, _ = CONTESTANTS[name]
    try:
        run = kind(how, setting, Path(directory), case, way, int(threads))
    except Unavailable as why:
        return send(unavailable=str(why))
    load = time.perf_counter() - run.started
    first, second = timed(run), timed(run)
    send(load_s=load, compile_s=max(0.0, first - second), second_s=second)
    for line in sys.stdin:
        command, argument = line.split(maxsplit=1)
        if command == "run":
            send(seconds=[timed(run) for _ in range(int(argument))])
        elif command == "dump":
            rows = in_order(run.outputs(), case["ways"][way], [*map(len, case["ids"])])
            rows.astype("<f4").tofile(argument.strip())
            send()


if __name__ == "__main__":
    main(*sys.argv[1:])
