"""Answers are those of the golden files, which are transformers' and what the Rust pipelines are compared with."""

import json

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file
from support import (
    CHOICES,
    DEMO,
    TOKENIZERS,
    cases,
    checkpoint,
    near,
    same,
)

import ndalbert


def listed(answers):
    return [answers] if isinstance(answers, dict) else answers


@pytest.mark.parametrize("case", cases("classification.json", 13))
def test_text_classification(case, tmp_path):
    options = dict(case["options"])
    directory = checkpoint(tmp_path, case["model"], "wordpiece", case["config"])
    classify = ndalbert.pipeline("text-classification", directory, **options)
    together = classify(case["inputs"])
    same([listed(found) for found in together], case["outputs"])
    # Alone, everything is the same to the bit.
    assert [classify(one) for one in case["inputs"]] == together


@pytest.mark.parametrize("case", cases("zero_shot.json", 9))
def test_zero_shot_classification(case, tmp_path):
    directory = checkpoint(tmp_path, "classifier", "wordpiece", case["config"])
    classify = ndalbert.pipeline("zero-shot-classification", directory, **case["options"])
    found = classify(case["inputs"])
    for text, answer, expected in zip(case["inputs"], found, case["outputs"], strict=True):
        assert answer["sequence"] == text
        pairs = zip(answer["labels"], answer["scores"], strict=True)
        same([{"label": label, "score": score} for label, score in pairs], expected)


@pytest.mark.parametrize("case", cases("fill_mask.json", 6))
def test_fill_mask(case, tmp_path):
    is_demo = case["model"] == "demo"
    directory = DEMO if is_demo else checkpoint(tmp_path, case["model"], "converted")
    fill = ndalbert.pipeline("fill-mask", directory, **case["options"])
    for text, expected in zip(case["inputs"], case["outputs"], strict=True):
        found = fill(text)
        same(found if len(expected) > 1 else [found], expected)
        assert fill([text]) == [found]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_token_classification(kind, tmp_path):
    suffix = "" if kind == "wordpiece" else f"-{kind}"
    nameless = {"id2label": None, "label2id": None, "num_labels": 5}
    pipelines, compared = {}, 0
    for case in cases("tags.json", 90):
        for run in case["runs"] if case["kind"] == kind else []:
            options = {name: run[name] for name in run if name not in ("entities", "nameless")}
            key = str((options, run.get("nameless", False)))
            if key not in pipelines:
                config = nameless if run.get("nameless") else {}
                directory = checkpoint(tmp_path, "tagger" + suffix, TOKENIZERS[kind], config)
                pipelines[key] = ndalbert.pipeline("token-classification", directory, **options)
            found = pipelines[key](case["text"])
            rows = []
            for entity in found:
                label = entity.get("entity", entity.get("entity_group"))
                index = [entity["index"]] if "index" in entity else []
                word, start, end = entity["word"], entity["start"], entity["end"]
                rows.append([label, entity["score"], word, start, end, *index])
            same(rows, run["entities"])
            compared += len(rows)
    assert compared > 100


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_question_answering(kind, tmp_path):
    suffix = "" if kind == "wordpiece" else f"-{kind}"
    directory = checkpoint(tmp_path, "answerer" + suffix, TOKENIZERS[kind])
    pipelines, compared = {}, 0
    for case in cases("answers.json", 48):
        for run in case["runs"] if case["kind"] == kind else []:
            options = {name: run[name] for name in run if name != "answers"}
            if str(options) not in pipelines:
                loaded = ndalbert.pipeline("question-answering", directory, **options)
                pipelines[str(options)] = loaded
            ask = pipelines[str(options)]
            found = listed(ask(question=case["question"], context=case["context"]) or [])
            rows = [[a["score"], a["start"], a["end"], a["answer"]] for a in found]
            same(rows, run["answers"])
            compared += len(rows)
    assert compared > 40


@pytest.mark.parametrize("case", cases("embeddings.json", 20))
def test_embeddings(case, tmp_path):
    directory = checkpoint(tmp_path, "sentence_transformer")
    for name, content in case["files"].items():
        path = directory / name
        if content is None:
            path.unlink()
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
    embed = ndalbert.pipeline("feature-extraction", directory)
    found = embed(case["inputs"])
    assert found.dtype == np.float32
    assert np.abs(found - np.array(case["outputs"])).max() <= 1e-5
    assert np.array_equal(embed(case["inputs"][0]), found[0])


def test_multiple_choice():
    choose = ndalbert.pipeline("multiple-choice", CHOICES)
    for case in cases("multiple_choice.json", 5):
        same(choose(prompt=case["prompt"], choices=case["choices"]), case["output"])
        same(choose([(case["prompt"], case["choices"])]), [case["output"]])


def test_sentence_order():
    order = ndalbert.pipeline("sentence-order", DEMO)
    for case in cases("sentence_order.json", 5):
        found = order((case["first"], case["second"]))
        near(found["in_order"], case["in_order"])
        same(found["logits"], case["logits"])


def test_precisions():
    """int8 differs from single precision, and by little."""
    exact = ndalbert.pipeline("feature-extraction", DEMO, normalize=True)
    bytes_ = ndalbert.pipeline("feature-extraction", DEMO, normalize=True, precision="int8")
    texts = ["我们先介绍线性回归.", "下面介绍线性回归."]
    similar = (exact(texts) * bytes_(texts)).sum(axis=1)
    assert not np.array_equal(exact(texts), bytes_(texts)) and similar.min() > 0.99


def test_leaving_early(tmp_path):
    """A model of two layers with the same classifier after each: who leaves after one says so."""
    directory = checkpoint(tmp_path, "classifier", config={"exit_layers": [1, 2]})
    weights = directory / "model.safetensors"
    tensors = load_file(weights)
    for part in ("weight", "bias"):
        for place in (0, 1):
            tensors[f"classifiers.{place}.{part}"] = tensors[f"classifier.{part}"]
    save_file(tensors, weights, {"format": "pt"})
    whole = ndalbert.pipeline("text-classification", directory, top_k=None)
    early = ndalbert.pipeline("text-classification", directory, top_k=None, exit="confidence=0.1")
    never = ndalbert.pipeline("text-classification", directory, top_k=None, exit="patience=2")
    text = "the compiler shows an error"
    assert "layers" not in whole(text)[0]
    assert {one["layers"] for one in early(text)} == {1}
    assert {one["layers"] for one in never(text)} == {2}
    scores = {one["label"]: one["score"] for one in whole(text)}
    assert {one["label"]: one["score"] for one in never(text)} == scores
    assert {one["label"]: one["score"] for one in early(text)} != scores
    kind = early(pa.array([text])).type.value_type
    assert [field.name for field in kind] == ["label", "score", "layers"]
