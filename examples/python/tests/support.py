"""What the tests share: checkpoints and golden files of the repository."""

import json
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/pipelines"
DEMO = ROOT / "examples/data/albert-chinese-demo"
CHOICES = ROOT / "examples/data/albert-chinese-next-sentence"

#: How far a score may be from transformers', as in the Rust tests.
SCORE = 1e-5

#: The tokenizers of the golden models.
TOKENIZERS = {"wordpiece": "wordpiece", "sentencepiece": "converted", "chinese": "chinese"}


def cases(name, least):
    """The cases of a golden file, at least so many."""
    found = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    assert len(found) >= least
    return found


def checkpoint(place, model, tokenizer=None, config=None):
    """A copy of a golden model in `place`, with the files of a tokenizer, and entries of its config changed (null: removed)."""
    directory = place / "checkpoint"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(GOLDEN / model, directory)
    if tokenizer:
        for vocabulary in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
            (directory / vocabulary).unlink(missing_ok=True)
        shutil.copytree(
            ROOT / "tests/fixtures/tokenizers" / tokenizer, directory, dirs_exist_ok=True
        )
    if config:
        path = directory / "config.json"
        merged = {**json.loads(path.read_text(encoding="utf-8")), **config}
        merged = {name: value for name, value in merged.items() if value is not None}
        path.write_text(json.dumps(merged), encoding="utf-8")
    return directory


def near(found, expected, tolerance=SCORE):
    assert abs(found - expected) <= tolerance * max(1.0, abs(expected)), (found, expected)


def same(found, expected):
    """The same dictionaries, whose numbers that are not whole may differ by rounding."""
    assert isinstance(found, type(expected)) or isinstance(expected, (int, float))
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            same(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for pair in zip(found, expected):
            same(*pair)
    elif isinstance(expected, float):
        near(found, expected)
    else:
        assert found == expected
