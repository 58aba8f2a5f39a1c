"""The answers of the Python package are those of the golden files that the crate is tested with."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest

import ndalbert

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/pipelines"
NEXT_SENTENCE = ROOT / "examples/data/albert-chinese-next-sentence"
DEMO = ROOT / "examples/data/albert-chinese-demo"


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def test_multiple_choice():
    choose = ndalbert.pipeline("multiple-choice", NEXT_SENTENCE)
    for case in golden("multiple_choice"):
        found = choose({"prompt": case["prompt"], "choices": case["choices"]})
        assert [choice["index"] for choice in found] == [c["index"] for c in case["output"]]
        for choice, expected in zip(found, case["output"]):
            assert choice["score"] == pytest.approx(expected["score"], abs=1e-4)
            assert choice["logit"] == pytest.approx(expected["logit"], abs=1e-3)


def test_one_input_and_many_have_the_same_answers():
    fill = ndalbert.pipeline("fill-mask", DEMO)
    texts = ["今天天[MASK]很好。", "我们先介绍线性[MASK]归。"]
    many = fill(texts)
    assert len(many) == 2 and [fill(text) for text in texts] == many
    assert set(many[0][0]) == {"score", "token", "token_str", "sequence"}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fill, texts * 4)) == many * 4


def test_embeddings_are_a_matrix():
    embed = ndalbert.pipeline("feature-extraction", DEMO, normalize=True)
    matrix = embed(["今天天气很好。", "下雨了。"])
    assert matrix.shape == (2, 256) and matrix.dtype == numpy.float32
    assert numpy.linalg.norm(matrix, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert (embed("下雨了。") == matrix[1]).all()
    assert embed([]).shape[0] == 0


def test_arrow():
    pyarrow = pytest.importorskip("pyarrow")
    classify = ndalbert.pipeline("text-classification", GOLDEN / "classifier")
    texts = ["the compiler shows an error", "hello world"]
    found = classify(pyarrow.array(texts))
    assert isinstance(found, pyarrow.Array) and found.to_pylist() == classify(texts)
    vectors = ndalbert.pipeline("feature-extraction", DEMO)(pyarrow.array(["下雨了。"]))
    assert vectors.type.list_size == 256


def test_precisions_and_pickles():
    for precision in ["f32", "bf16", "int8"]:
        choose = ndalbert.pipeline("multiple-choice", NEXT_SENTENCE, precision=precision)
        item = ("算法组的成员们精通各种AI算法.", ["我没上吃吉士果.", "他们主要负责AI算法的研究和落地."])
        assert choose(item)[0]["index"] == 1
        assert pickle.loads(pickle.dumps(choose))(item) == choose(item)


def test_errors():
    with pytest.raises(ValueError, match="task"):
        ndalbert.pipeline("translation", DEMO)
    with pytest.raises(TypeError, match="temperature"):
        ndalbert.pipeline("fill-mask", DEMO, temperature=1)
    with pytest.raises(Exception, match="config.json|no-such-model"):
        ndalbert.pipeline("fill-mask", ROOT / "no-such-model")
    with pytest.raises(ValueError, match="precision"):
        ndalbert.pipeline("fill-mask", DEMO, precision="int4")
    fill = ndalbert.pipeline("fill-mask", DEMO)
    with pytest.raises(ValueError, match="1"):
        fill(["今天天[MASK]很好。", 7])
