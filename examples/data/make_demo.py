"""Writes `albert-chinese-demo/`, a small UNTRAINED checkpoint in the layout of the Chinese ALBERT models.

    python make_demo.py

What it answers means nothing; it is there so that the examples run without a download. The weights are transformers'
own initialisation (normal, 0.02) from a fixed seed, stored as f16. The vocabulary comes from Python's GB2312 codec and
from the lists below, not from any other model. Versions: `tests/golden/requirements.txt`.
"""

import json
import shutil
import string
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AlbertConfig, AlbertForPreTraining

assert transformers.__version__ == "5.23.0", transformers.__version__
assert torch.__version__.split("+")[0] == "2.15.0", torch.__version__
torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()

DIRECTORY = Path(__file__).resolve().parent / "albert-chinese-demo"

# The multiple-choice question that the examples ask.
DEMO_TEXTS = [
    "算法组的成员们精通各种AI算法.",
    "成都动物园里的大熊猫人人都想摸一下.",
    "他们主要负责AI算法的研究和落地.",
    "我没吃上吉士果.",
    "你吃饭了吗?",
]
FULL_WIDTH = "，。、；：？！…—～·‘’“”（）《》〈〉【】「」『』〔〕￥％＋－＝／＆＃＠＊０１２３４５６７８９"
WORDS = ["ai", "nlp", "gpu", "albert", "bert"]


def vocabulary():
    """[PAD] 0, [UNK] 100, [CLS] 101, [SEP] 102, [MASK] 103, as in the vocabulary of bert-base-chinese."""
    pieces = ["[PAD]", *(f"[unused{i}]" for i in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<S>", "<T>"]
    pieces += [chr(code) for code in range(0x21, 0x7F)]
    pieces += FULL_WIDTH
    pieces += gb2312_level_1()
    pieces += [f"##{character}" for character in string.digits + string.ascii_letters]
    pieces += WORDS
    assert len(pieces) == len(set(pieces))
    assert [pieces.index(special) for special in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 100, 101, 102, 103]
    return pieces


def gb2312_level_1():
    """The 3755 common characters: rows 16 to 55 of GB2312, the last of which ends early."""
    characters = []
    for row in range(16, 56):
        for cell in range(1, 95):
            try:
                characters.append(bytes([0xA0 + row, 0xA0 + cell]).decode("gb2312"))
            except UnicodeDecodeError:
                assert row == 55, (row, cell)
    assert len(characters) == 3755
    return characters


def main():
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir()
    pieces = vocabulary()
    (DIRECTORY / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    tokenizer = {
        "do_lower_case": True,
        "model_max_length": 512,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    (DIRECTORY / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")

    torch.manual_seed(20240229)
    config = AlbertConfig(
        vocab_size=len(pieces), embedding_size=64, hidden_size=192, num_hidden_layers=6, num_attention_heads=6,
        intermediate_size=768, hidden_act="gelu", pad_token_id=0, bos_token_id=101, eos_token_id=102,
    )
    model = AlbertForPreTraining(config)
    model.half().save_pretrained(DIRECTORY)

    # The published Chinese checkpoints have the backbone, the pooler and the MLM head, but no SOP classifier.
    path = DIRECTORY / "model.safetensors"
    weights = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("sop_classifier.")}
    save_file(weights, path, {"format": "pt"})
    path = DIRECTORY / "config.json"
    written = json.loads(path.read_text())
    written["architectures"] = ["AlbertForMaskedLM"]
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")

    check(pieces)


def check(pieces):
    """That the tokenizer of transformers knows every piece of the demo's texts, and that the model loads and runs."""
    tokenizer = transformers.BertTokenizer.from_pretrained(DIRECTORY)
    assert len(tokenizer) == len(pieces)
    for text in DEMO_TEXTS:
        assert "[UNK]" not in tokenizer.tokenize(text), text
    prompt, *choices = DEMO_TEXTS
    encoding = tokenizer([prompt] * len(choices), choices, return_tensors="pt", padding=True)
    model = transformers.AlbertForMultipleChoice.from_pretrained(DIRECTORY, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(**{key: value.unsqueeze(0) for key, value in encoding.items()}).logits
    assert logits.shape == (1, len(choices)) and logits.isfinite().all()
    print(tokenizer.tokenize(prompt), encoding["input_ids"].shape)
    print({path.name: path.stat().st_size for path in sorted(DIRECTORY.iterdir())})


if __name__ == "__main__":
    main()
