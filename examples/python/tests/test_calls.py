"""How pipelines are called, and what they say of what they cannot take."""

import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from support import CHOICES, DEMO, GOLDEN, checkpoint

import ndalbert

CLASSIFIER = GOLDEN / "classifier"
TEXTS = ["hello world", "the compiler shows an error", "", "Create 🙂🙂 café É!"]


def test_transformers_shapes():
    classify = ndalbert.pipeline("text-classification", CLASSIFIER)
    one, many = classify("hello world"), classify(TEXTS)
    assert one == many[:1] and [list(answer) for answer in many] == [["label", "score"]] * 4
    assert classify({"text": "hello world"}) == one[0]
    assert classify(text="hello world", text_pair="a") == classify([("hello world", "a")])[0]
    assert classify(iter(TEXTS)) == many and classify([]) == []
    all_classes = ndalbert.pipeline("text-classification", CLASSIFIER, top_k=None)
    assert len(all_classes("hello world")) == 3 and len(all_classes(TEXTS)[0]) == 3
    labels = ndalbert.pipeline("zero-shot-classification", CLASSIFIER)
    by_list = labels({"sequence": "a", "candidate_labels": ["b", "c"]})
    assert by_list == labels(sequence="a", candidate_labels=" b, c,")
    assert list(by_list) == ["sequence", "labels", "scores"]


def test_embeddings_are_numpys_without_a_copy():
    embed = ndalbert.pipeline("feature-extraction", DEMO)
    matrix = embed(["回归", "分类"])
    assert matrix.flags.c_contiguous and matrix.flags.writeable and matrix.shape == (2, 256)
    # The owner of the memory is Rust's array, not a copy of NumPy's.
    assert not matrix.flags.owndata and "Slice" in type(matrix.base).__name__
    array = embed(pa.array(["回归", "分类"]))
    assert array.type == pa.list_(pa.float32(), 256)
    assert np.array_equal(np.array(array.to_pylist(), np.float32), matrix)
    # Engines have empty batches, too.
    assert embed([]).shape == (0, 256) and embed([]).dtype == np.float32
    assert embed(pa.array([], pa.string())).type == array.type


class Foreign:
    """An array of another library, that only speaks Arrow's C interface."""

    def __init__(self, array):
        self.array = array

    def __arrow_c_array__(self, requested_schema=None):
        return self.array.__arrow_c_array__(requested_schema)


def test_arrow():
    classify = ndalbert.pipeline("text-classification", CLASSIFIER)
    array = pa.array(TEXTS)
    expected = pa.array(classify(TEXTS), type=classify.arrow_type())
    for inputs in (array, array.cast(pa.large_string()), Foreign(array)):
        assert classify(inputs).equals(expected)
    assert classify(pa.chunked_array([TEXTS[:1], TEXTS[1:]])).equals(expected)
    assert classify(array[:0]).type == expected.type
    pairs = pa.array([{"text": "a", "text_pair": "b"}, {"text": "a", "text_pair": None}])
    assert classify(pairs).to_pylist()[1] == classify(pa.array(["a"])).to_pylist()[0]
    with pytest.raises(ValueError, match="input 1: expected a string or a dictionary"):
        classify(pa.array(["a", None]))


@pytest.mark.parametrize(
    "task, model, options, one",
    [
        ("text-classification", CLASSIFIER, {"top_k": 2}, "a"),
        ("zero-shot-classification", CLASSIFIER, {"candidate_labels": ["b"]}, "a"),
        ("token-classification", GOLDEN / "tagger", {}, "Anna lives"),
        ("ner", GOLDEN / "tagger", {"aggregation_strategy": "first"}, "Anna lives"),
        ("question-answering", GOLDEN / "answerer", {}, {"question": "Who?", "context": "Anna"}),
        ("fill-mask", DEMO, {"top_k": 2}, "线性[MASK]归"),
        ("multiple-choice", CHOICES, {}, {"prompt": "a", "choices": ["b", "c"]}),
        ("sentence-order", DEMO, {}, {"first": "a", "second": "b"}),
    ],
)
def test_types_of_arrow_hold_all_of_an_answer(task, model, options, one):
    pipeline = ndalbert.pipeline(task, model, **options)
    answers = pipeline(pa.array([one, one]))
    assert answers.type == pipeline.arrow_type() and answers.null_count == 0
    # No field of a dictionary is lost, none is made up.
    plain = pipeline([one])[0]
    if task == "fill-mask":
        plain = [plain]
    single = pa.array([plain], type=pipeline.arrow_type())
    assert answers[0] == single[0]

    def names(value):
        if isinstance(value, list):
            return names(value[0])
        return set(value) if isinstance(value, dict) else None

    assert names(answers.to_pylist()[0]) == names(plain)


def test_other_threads_run_meanwhile():
    embed = ndalbert.pipeline("feature-extraction", DEMO)
    texts = ["我们先介绍线性回归." * 20] * 300
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    clock = threading.Thread(target=tick)
    clock.start()
    begin = time.perf_counter()
    embed(texts)
    end = time.perf_counter()
    done.set()
    clock.join()
    during = [moment for moment in ticks if begin < moment < end]
    assert len(during) >= 3, (len(during), end - begin)


def test_ctrl_c_ends_a_call():
    program = f"""
import ndalbert
embed = ndalbert.pipeline("feature-extraction", {str(DEMO)!r}, tokens_per_batch=1000)
print("ready", flush=True)
embed(["我们先介绍线性回归." * 20] * 1_000_000)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode != 0 and "KeyboardInterrupt" in errors


def test_calls_from_several_threads():
    embed = ndalbert.pipeline("feature-extraction", DEMO)
    expected = embed(TEXTS)
    found = [None] * 8
    threads = [
        threading.Thread(target=lambda i=i: found.__setitem__(i, embed(TEXTS))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, expected) for one in found)


def test_pickled_by_its_arguments():
    classify = ndalbert.pipeline("text-classification", CLASSIFIER, top_k=2, precision="bf16")
    again = pickle.loads(pickle.dumps(classify))
    assert again.options == classify.options and again(TEXTS) == classify(TEXTS)
    assert len(pickle.dumps(classify)) < 1000


def test_shared_pipelines_are_loaded_once():
    one = ndalbert.shared_pipeline("text-classification", CLASSIFIER, top_k=2)
    assert ndalbert.shared_pipeline("text-classification", CLASSIFIER, top_k=2) is one
    assert ndalbert.shared_pipeline("text-classification", CLASSIFIER, top_k=3) is not one


def test_errors(tmp_path):
    def load(task="text-classification", model=CLASSIFIER, **options):
        return ndalbert.pipeline(task, model, **options)

    with pytest.raises(ValueError, match='found "translation"'):
        load("translation")
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        load(model="/nowhere")
    with pytest.raises(ValueError, match="trained for something else"):
        load(model=DEMO)
    with pytest.raises(TypeError, match="text-classification: unexpected option `stride`"):
        load(stride=3)
    with pytest.raises(TypeError, match="top_k"):
        load(top_k="many")
    with pytest.raises(ValueError, match='precision: expected f32, bf16 or int8, found "f8"'):
        load(precision="f8")
    with pytest.raises(ValueError, match="function_to_apply: expected one of softmax"):
        load(function_to_apply="relu")
    with pytest.raises(ValueError, match="exit_layers"):
        load(exit="patience=1")
    with pytest.raises(ValueError, match="patience=N"):
        load(exit="patience")
    directory = checkpoint(tmp_path, "classifier")
    (directory / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="model.safetensors"):
        load(model=directory)
    classify = load()
    for wrong, message in [
        ([7], "input 0: expected a string or a dictionary with `text`, found int"),
        (["a", None], "input 1: .*found NoneType"),
        ([{"text": 7}], "input 0: `text`"),
        (["\ud800"], "input 0: .*surrogates"),
    ]:
        with pytest.raises(ValueError, match=message):
            classify(wrong)
    with pytest.raises(TypeError, match="found both"):
        classify("a", text_pair="b")
    fill = load("fill-mask", DEMO)
    with pytest.raises(ValueError, match=r"input 1: text: expected at least one \[MASK\]"):
        fill(["[MASK]", "x"])
