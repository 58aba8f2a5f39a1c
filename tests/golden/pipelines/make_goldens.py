"""Writes tiny models, and what transformers' pipelines answer with them and with the models that this crate ships.

    python make_goldens.py            write everything
    python make_goldens.py --check    write to a temporary directory and compare with what is here, byte for byte

Versions: requirements.txt in this directory. Nothing is downloaded. All texts were written for this purpose.
"""

import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"

import transformers  # noqa: E402
from fixtures import SHAPE, save  # noqa: E402
from transformers import AlbertConfig, AlbertForSequenceClassification  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TOKENIZERS = ROOT / "tests/fixtures/tokenizers"


def models(out):
    labels = ["contradiction", "neutral", "entailment"]
    config = AlbertConfig(vocab_size=524, id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)}, **SHAPE)
    save(out / "classifier", AlbertForSequenceClassification, config, 1, TOKENIZERS / "wordpiece")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    models(HERE)
