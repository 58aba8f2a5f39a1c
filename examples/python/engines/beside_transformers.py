"""Texts a second beside transformers' pipeline, in one process: the same texts, each at its best batch size.

    python beside_transformers.py TEXTS --vocabulary vocab.txt [--count 512] [--rounds 3]

TEXTS is a file with a text a line. The model has the sizes of ALBERT-base, seeded weights
and three classes: only the time is of interest, and that answers agree. The int8 peer is PyTorch's dynamic quantization.
Needs torch and transformers besides this package.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

import ndalbert

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("texts", type=Path)
parser.add_argument("--vocabulary", type=Path, required=True, help="a WordPiece vocab.txt")
parser.add_argument("--count", type=int, default=512)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 8, 16, 32, 64])
parser.add_argument("--tokens-per-batch", type=int, nargs="+", default=[512, 2048, 8192])
parser.add_argument("--threads", type=int, default=torch.get_num_threads())
options = parser.parse_args()


def model_directory(place: Path) -> Path:
    """A checkpoint of ALBERT-base's sizes."""
    words = options.vocabulary.read_text(encoding="utf-8").splitlines()
    torch.manual_seed(0)
    config = transformers.AlbertConfig(
        vocab_size=len(words),
        hidden_size=768,
        num_attention_heads=12,
        intermediate_size=3072,
        num_labels=3,
    )
    transformers.AlbertForSequenceClassification(config).save_pretrained(place)
    (place / "vocab.txt").write_bytes(options.vocabulary.read_bytes())
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 512}
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    return place


def processor() -> str:
    """What /proc calls it, with the instructions that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    return f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']})"


def best(calls: dict[int, Callable], texts: list[str]) -> tuple[float, int, list]:
    """The least time of any setting over some rounds, the setting, and its answers. One round of a setting that is half as
    slow again as the best so far is enough."""
    found = (float("inf"), 0, [])
    for setting, call in calls.items():
        call(texts[: len(texts) // 8])
        for _ in range(options.rounds):
            begin = time.perf_counter()
            answers = call(texts)
            seconds = time.perf_counter() - begin
            if seconds < found[0]:
                found = (seconds, setting, answers)
            if seconds > 1.5 * found[0]:
                break
    return found


def ours(directory: Path, precision: str) -> dict[int, Callable]:
    def load(tokens: int):
        return ndalbert.pipeline(
            "text-classification", directory, precision=precision, tokens_per_batch=tokens
        )

    return {tokens: load(tokens) for tokens in options.tokens_per_batch}


def theirs(directory: Path, quantized: bool) -> dict[int, Callable]:
    model = transformers.AlbertForSequenceClassification.from_pretrained(directory).eval()
    if quantized:
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(directory)
    pipe = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
    return {
        size: lambda texts, size=size: pipe(texts, batch_size=size, truncation=True)
        for size in options.batch_sizes
    }


texts = [line.strip() for line in options.texts.read_text(encoding="utf-8").splitlines()]
texts = [text for text in texts if text][: options.count]
torch.set_num_threads(options.threads)
ndalbert.set_num_threads(options.threads)
transformers.logging.set_verbosity_error()
print(f"{processor()}, {options.threads} threads, {ndalbert.instruction_set()}")
print(f"torch {torch.__version__}, transformers {transformers.__version__}, {len(texts)} texts")
print("| | transformers | at batch size | ndalbert | at tokens | ratio | greatest difference |")
print("|---|---|---|---|---|---|---|")
with tempfile.TemporaryDirectory() as place:
    directory = model_directory(Path(place))
    for precision in ("f32", "int8"):
        peer, size, expected = best(theirs(directory, precision == "int8"), texts)
        own, tokens, found = best(ours(directory, precision), texts)
        pairs = list(zip(found, expected, strict=True))
        agree = [abs(a["score"] - b["score"]) for a, b in pairs if a["label"] == b["label"]]
        rates = [len(texts) / seconds for seconds in (peer, own)]
        row = [precision, f"{rates[0]:.1f} texts/s", size, f"{rates[1]:.1f} texts/s", tokens]
        row += [f"{peer / own:.2f}", f"{max(agree):.1e} in {len(agree)} of {len(pairs)}"]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
