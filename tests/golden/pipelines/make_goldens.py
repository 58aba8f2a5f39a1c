"""Writes tiny models, and what transformers' pipelines answer with them and with the models that this crate ships.

    python make_goldens.py            write everything
    python make_goldens.py --check    write to a temporary directory and compare with what is here, byte for byte

Versions: requirements.txt in this directory. Nothing is downloaded. All texts were written for this purpose. `README.md`,
beside this file, says what is in the files.
"""

import filecmp
import json
import os
import pathlib
import shutil
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import sentence_transformers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from fixtures import SHAPE, save, write_json  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.sentence_transformer import modules as parts  # noqa: E402
from transformers import (  # noqa: E402
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForSequenceClassification,
    AlbertModel,
    AlbertTokenizer,
    BertTokenizer,
    pipeline,
)

PINNED = {torch: "2.15.0", transformers: "5.23.0", sentence_transformers: "6.2.0"}
for module, version in PINNED.items():
    assert module.__version__.split("+")[0] == version, f"{module.__name__} is {module.__version__}, not {version}"

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TOKENIZERS = ROOT / "tests/fixtures/tokenizers"
WORDPIECE, SENTENCEPIECE = TOKENIZERS / "wordpiece", TOKENIZERS / "converted"
DEMO, CHOICES = ROOT / "examples/data/albert-chinese-demo", ROOT / "examples/data/albert-chinese-next-sentence"
GAP = 3e-5  # ranks are compared, so scores that follow each other must differ by more than rounding, of their size


def number(value):
    """A single-precision number, to the bit, in as few digits as that takes."""
    return float(f"{float(value):.9g}")


def ranked(entries):
    """Entries of a pipeline that come best first, and differ enough for that."""
    scores = [entry["score"] for entry in entries]
    assert all(a - b > GAP * abs(a) for a, b in zip(scores, scores[1:])), scores
    return [{**entry, "score": number(entry["score"])} for entry in entries]


class patched:
    """A copy of a checkpoint, with some entries of its `config.json` changed, or removed where they are None."""

    def __init__(self, directory, entries):
        self.directory, self.entries = directory, entries

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory()
        copy = pathlib.Path(self.temporary.name)
        for file in self.directory.iterdir():
            shutil.copy(file, copy / file.name)
        config = {**json.loads((copy / "config.json").read_text()), **self.entries}
        (copy / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        return copy

    def __exit__(self, *_):
        self.temporary.cleanup()


def load(kind, directory):
    return kind.from_pretrained(directory, dtype=torch.float32).eval()


# --- models ---


def models(out):
    labels = ["contradiction", "neutral", "entailment"]
    ids = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    save(out / "classifier", AlbertForSequenceClassification, AlbertConfig(vocab_size=524, **ids, **SHAPE), 1, WORDPIECE)
    write_json(out / "classifier/tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    one = {"id2label": {0: "score"}, "label2id": {"score": 0}}
    save(out / "regressor", AlbertForSequenceClassification, AlbertConfig(vocab_size=524, **one, **SHAPE), 2)
    save(out / "masked_lm", AlbertForMaskedLM, AlbertConfig(vocab_size=2000, **SHAPE), 3)
    sentence_transformer(out / "sentence_transformer")


def sentence_transformer(out):
    with tempfile.TemporaryDirectory() as directory:
        plain = pathlib.Path(directory)
        save(plain, AlbertModel, AlbertConfig(vocab_size=524, **SHAPE), 4, WORDPIECE)
        write_json(plain / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
        transformer = parts.Transformer(directory, max_seq_length=12)
        pooling = parts.Pooling(SHAPE["hidden_size"], "mean")
        model = SentenceTransformer(modules=[transformer, pooling, parts.Normalize()])
        model.half().save(str(out), create_model_card=False)
    (out / "model.safetensors").chmod(0o644)


# --- classification ---

TEXTS = [
    "hello world", "the compiler shows an error", "", "   ", "Create \U0001F642\U0001F642 cafe\u0301 E\u0301!", "\u4f60\u597d \u754c, Hello",
    "[MASK] could [SEP] be named", "a\u0000b \u200b c\ufffd", "now add then implement another pattern, they look different " * 9,
]
PAIRS = [("the compiler shows an error", "the code is right"), ("", ""), ("hello", ""), ("", "world"), ("hello " * 60, "world " * 9)]


def classification(out):
    nli = out / "classifier"
    three = {"id2label": None, "label2id": None, "num_labels": 3}
    cases = [
        (nli, {}, {}), (nli, {}, {"top_k": 2}), (nli, {}, {"top_k": None}), (nli, {}, {"top_k": 9}),
        (nli, {}, {"top_k": None, "function_to_apply": "sigmoid"}), (nli, {}, {"top_k": None, "function_to_apply": "none"}),
        (nli, three, {"top_k": None}), (nli, {"problem_type": "multi_label_classification"}, {"top_k": None}),
        (nli, {"problem_type": "single_label_classification"}, {"top_k": None}),
        (nli, {"problem_type": "regression"}, {"top_k": None}), (out / "regressor", {}, {}),
        (out / "regressor", {"problem_type": "regression"}, {}), (out / "regressor", {}, {"function_to_apply": "softmax"}),
    ]
    tokenizer = BertTokenizer.from_pretrained(WORDPIECE)
    results = []
    for directory, entries, options in cases:
        with patched(directory, entries) as copy:
            pipe = pipeline("text-classification", model=load(AlbertForSequenceClassification, copy), tokenizer=tokenizer)
        inputs = [{"text": text} for text in TEXTS] + [{"text": text, "text_pair": pair} for text, pair in PAIRS]
        outputs = []
        for one in inputs:
            answer = pipe(one, truncation=True, max_length=SHAPE["max_position_embeddings"], **options)
            outputs.append(ranked(answer if isinstance(answer, list) else [answer]))
        results.append({"model": directory.name, "config": entries, "options": options, "inputs": inputs, "outputs": outputs})
    write_json(out / "classification.json", results)


def zero_shot(out):
    labels = ["compiler", "library", "write a book", "caf\u00e9", ""]
    swapped = {"id2label": {"0": "ENTAILMENT", "1": "neutral", "2": "contradiction"}, "label2id": {"ENTAILMENT": 0, "neutral": 1, "contradiction": 2}}
    generic = {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}}
    cases = [
        ({}, {"candidate_labels": labels}), ({}, {"candidate_labels": labels, "multi_label": True}), ({}, {"candidate_labels": labels[:1]}),
        ({}, {"candidate_labels": labels[:2], "hypothesis_template": "{}"}), (swapped, {"candidate_labels": labels, "hypothesis_template": "now {} then"}),
        (swapped, {"candidate_labels": labels, "multi_label": True}), (swapped, {"candidate_labels": labels[:1], "multi_label": False}),
        # Which class is entailment is asked of `label2id`, whatever `id2label` says.
        (generic | {"label2id": {"no": 0, "Entails": 1, "unknown": 2}}, {"candidate_labels": labels}), ({"label2id": swapped["label2id"]}, {"candidate_labels": labels, "multi_label": True}),
    ]
    texts = [text for text in TEXTS if text]  # an empty text is an error there
    tokenizer = BertTokenizer.from_pretrained(WORDPIECE, model_max_length=SHAPE["max_position_embeddings"])
    results = []
    for entries, options in cases:
        with patched(out / "classifier", entries) as copy:
            pipe = pipeline("zero-shot-classification", model=load(AlbertForSequenceClassification, copy), tokenizer=tokenizer)
        answers = pipe(texts, **options)
        outputs = [ranked([{"label": l, "score": s} for l, s in zip(a["labels"], a["scores"])]) for a in answers]
        results.append({"config": entries, "options": options, "inputs": texts, "outputs": outputs})
    write_json(out / "zero_shot.json", results)


# --- masks, choices, order ---


def fill_mask(out):
    english = [
        "The [MASK] shows an error.", "[MASK]", "  [MASK]  ", "Is [MASK] (or [MASK]) na\u00efve \U0001F642?", "e\u0301[MASK]\u0301x",
        "one [MASK] " + "more and more words " * 20, "[MASK] [MASK] [MASK] " * 3, "un[MASK]able [SEP] <pad> [MASK]",
    ]
    chinese = [
        "\u5317\u4eac\u662f\u4e2d\u56fd\u7684[MASK]\u90fd.", "\u6211\u4eec\u53ef\u4ee5\u4f7f\u7528\u795e\u7ecf\u7f51[MASK]\u6765\u8bad[MASK]\u6a21\u578b\u3002", "[MASK]", "\U0001F642 [MASK]!",
        "\u6df1\u5ea6\u5b66[MASK]" + "\u6df1\u5ea6\u5b66\u4e60" * 150,
    ]
    rust = ["the", "compiler", "\u2581error", "zzz", "", "the"]
    characters = ["\u7edc", "\u7ec3", "\u9996", "Hello\u4e16\u754c", "\u7edc\u7ec3"]
    cases = [
        ("masked_lm", out / "masked_lm", SENTENCEPIECE, AlbertTokenizer, english, [{}, {"top_k": 1}, {"targets": rust}, {"targets": rust[:1], "top_k": 2}]),
        ("demo", DEMO, DEMO, BertTokenizer, chinese, [{}, {"targets": characters, "top_k": 3}]),
    ]
    results = []
    for name, directory, vocabulary, kind, texts, settings in cases:
        model, tokenizer = load(AlbertForMaskedLM, directory), kind.from_pretrained(vocabulary)
        pipe = pipeline("fill-mask", model=model, tokenizer=tokenizer)
        limit = {"truncation": True, "max_length": model.config.max_position_embeddings}
        for options in settings:
            answers = [pipe(text, tokenizer_kwargs=limit, **options) for text in texts]
            outputs = [[ranked(mask) for mask in (a if isinstance(a[0], list) else [a])] for a in answers]
            results.append({"model": name, "options": options, "inputs": texts, "outputs": outputs})
    write_json(out / "fill_mask.json", results)


def multiple_choice(out):
    """The logits of `AlbertForMultipleChoice`, and their softmax; there is no pipeline for it."""
    prompt = "\u7b97\u6cd5\u7ec4\u7684\u6210\u5458\u4eec\u7cbe\u901a\u5404\u79cdAI\u7b97\u6cd5."
    article = [
        "\u6210\u90fd\u52a8\u7269\u56ed\u91cc\u7684\u5927\u718a\u732b\u4eba\u4eba\u90fd\u60f3\u6478\u4e00\u4e0b.", "\u4ed6\u4eec\u4e3b\u8981\u8d1f\u8d23AI\u7b97\u6cd5\u7684\u7814\u7a76\u548c\u843d\u5730.",
        "\u6211\u6ca1\u4e0a\u5403\u5409\u58eb\u679c.", "\u4f60\u5403\u996d\u4e86\u5417?",
    ]
    inputs = [
        (prompt, article), (prompt, article[1:2]), ("", ["", "\u4e0d"]), (" ", [" \U0001F642", "e\u0301"]), (prompt * 60, [article[0] * 60, article[1]]),
    ]
    model, tokenizer = load(AlbertForMultipleChoice, CHOICES), BertTokenizer.from_pretrained(CHOICES)
    results = []
    for prompt, choices in inputs:
        pairs = [[prompt, choice] for choice in choices]
        encoded = tokenizer(pairs, truncation=True, max_length=512, padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**{key: value[None] for key, value in encoded.items()}).logits[0]
        scores = logits.softmax(-1)
        order = logits.argsort(descending=True).tolist()
        entries = [{"index": i, "choice": choices[i], "score": number(scores[i]), "logit": number(logits[i])} for i in order]
        assert all(a["logit"] - b["logit"] > GAP for a, b in zip(entries, entries[1:]))
        results.append({"prompt": prompt, "choices": choices, "output": entries})
    write_json(out / "multiple_choice.json", results)


def sentence_order(out):
    """The logits of `AlbertForPreTraining`, and their softmax; there is no pipeline for it."""
    first, second = "\u6211\u4eec\u5148\u4ecb\u7ecd\u7ebf\u6027\u56de\u5f52\u3002", "\u7136\u540e\u6211\u4eec\u4ece\u96f6\u5f00\u59cb\u5b9e\u73b0\u5b83\u3002"
    inputs = [(first, second), (second, first), ("", ""), (" ", "\U0001F642"), (first * 40, second * 70)]
    model, tokenizer = load(AlbertForPreTraining, DEMO), BertTokenizer.from_pretrained(DEMO)
    results = []
    for pair in inputs:
        encoded = tokenizer([pair], truncation=True, max_length=512, return_tensors="pt")
        with torch.no_grad():
            logits = model(**encoded).sop_logits[0]
        results.append({"first": pair[0], "second": pair[1], "in_order": number(logits.softmax(-1)[0]), "logits": list(map(number, logits))})
    write_json(out / "sentence_order.json", results)


# --- embeddings ---


def embeddings(out):
    """`SentenceTransformer.encode` of the saved directory, and of copies of it with other files in them."""
    old = "sentence_transformers.models."
    modules = [{"idx": 0, "name": "0", "path": "", "type": old + "Transformer"}, {"idx": 1, "name": "1", "path": "1_Pooling", "type": old + "Pooling"}]
    flags = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}
    cased = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    prompts = {"prompts": {"query": "look now: "}, "default_prompt_name": "query"}
    pool = lambda mode: {"modules.json": modules, "1_Pooling/config.json": {"embedding_dimension": 16, "pooling_mode": mode}}  # noqa: E731
    sentences = lambda entries: {"config_sentence_transformers.json": entries}  # noqa: E731
    unprompted = lambda mode: sentences(prompts) | {  # noqa: E731
        "1_Pooling/config.json": {"embedding_dimension": 16, "pooling_mode": mode, "include_prompt": False}
    }
    cases = [
        {}, {"modules.json": modules, "1_Pooling/config.json": flags, "sentence_bert_config.json": {"max_seq_length": 20, "do_lower_case": False}},
        {"modules.json": modules, "1_Pooling/config.json": {"word_embedding_dimension": 16, "pooling_mode_max_tokens": True}}, pool("cls"), pool("max"),
        pool("mean_sqrt_len_tokens"), pool("weightedmean"), pool("lasttoken"), pool(["lasttoken", "cls"]), {"config_sentence_transformers.json": prompts},
        {"tokenizer_config.json": cased}, {"tokenizer_config.json": cased, "sentence_bert_config.json": {"max_seq_length": None, "do_lower_case": True}},
        {"modules.json": None}, sentences({"truncate_dim": 4}), sentences({"truncate_dim": 4}) | {"modules.json": modules}, sentences({"truncate_dim": 99}),
        sentences({"truncate_dim": None, "prompts": {"query": None}, "default_prompt_name": "query"}), unprompted("mean"), unprompted(["cls", "weightedmean"]),
        {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "max_len": 9, "model_input_names": ["input_ids", "attention_mask"]}, "sentence_bert_config.json": {}},
    ]
    results = []
    for files in cases:
        with tempfile.TemporaryDirectory() as directory:
            copy = pathlib.Path(directory) / "copy"
            shutil.copytree(out / "sentence_transformer", copy)
            for name, value in files.items():
                write_json(copy / name, value) if value is not None else (copy / name).unlink()
            model = SentenceTransformer(str(copy), device="cpu").float()
            vectors = [model.encode(text) for text in TEXTS]
        results.append({"files": files, "inputs": TEXTS, "outputs": [list(map(number, vector)) for vector in vectors]})
    write_json(out / "embeddings.json", results)


# --- all ---


def make(out):
    for part in (models, classification, zero_shot, fill_mask, multiple_choice, sentence_order, embeddings):
        part(out)


def check():
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory)
        make(out)
        made = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
        differing = [str(path) for path in made if not (HERE / path).is_file() or not filecmp.cmp(out / path, HERE / path, False)]
        print(f"{len(made)} files; differing: {differing or 'none'}")
        sys.exit(bool(differing))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    check() if "--check" in sys.argv else make(HERE)
