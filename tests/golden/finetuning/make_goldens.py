"""Writes what transformers' example scripts make of small data sets, and what the usual references make of predictions.

    python make_goldens.py <tests/fixtures/tokenizers> <tests/golden/finetuning>

Versions: requirements.txt in this directory. Nothing is downloaded. All texts were written for this purpose.

- `tokens.json`: words and labels through `tokenize_and_align_labels` of `run_ner.py`.
- `questions.json`: questions through `prepare_train_features` and `postprocess_qa_predictions` of `run_qa.py`.
- `metrics.json`: predictions and labels through scikit-learn, SciPy, seqeval, and the logic of the scorers of SQuAD 2.0 and
  CMRC 2018 (NLTK's word splitting replaced by white space).
"""

import json
import math
import os
import pathlib
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import scipy.stats  # noqa: E402
import seqeval.metrics as seqeval  # noqa: E402
import sklearn.metrics as sklearn  # noqa: E402
from answer_scorers import cmrc_scores, squad_scores  # noqa: E402
from seqeval.metrics.sequence_labeling import get_entities  # noqa: E402
from transformers import AlbertTokenizer, BertTokenizer  # noqa: E402

SEED = 20231
TOKENIZERS = {"sentencepiece": AlbertTokenizer, "chinese": BertTokenizer, "wordpiece": BertTokenizer}

# --- tokens ---

LABELS = ["B-LOC", "B-MISC", "B-PER", "I-LOC", "I-PER", "O"]
SENTENCES = [
    (["Anna", "Lindqvist", "lives", "in", "Uppsala", "."], ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]),
    (["Unbelievable", "Zwillingsbrüder", "(", "1984", ")"], ["O", "B-MISC", "O", "O", "O"]),
    (["New", "York", "café", "naïve", "9,"], ["B-LOC", "I-LOC", "O", "O", "O"]),
    (["小王", "住", "在", "北京市", "Rust语言"], ["B-PER", "O", "O", "B-LOC", "B-MISC"]),
    (["\u200b", "a", "\u00ad", "😀👍🏽", "b\u0301"], ["B-PER", "O", "B-LOC", "O", "O"]),
    (["[MASK]", "e-mail", "''", "x.y.z"], ["O", "B-MISC", "O", "O"]),
    (["word"] * 30, ["B-PER"] * 30),
    (["O"], ["O"]),
]


def align(tokenizer, words, tags, label_all_tokens, max_length):
    """`tokenize_and_align_labels` of run_ner.py."""
    label_to_id = {label: i for i, label in enumerate(LABELS)}
    b_to_i_label = []
    for idx, label in enumerate(LABELS):
        if label.startswith("B-") and label.replace("B-", "I-") in LABELS:
            b_to_i_label.append(LABELS.index(label.replace("B-", "I-")))
        else:
            b_to_i_label.append(idx)
    inputs = tokenizer([words], truncation=True, max_length=max_length, is_split_into_words=True, return_offsets_mapping=True)
    label_ids, previous = [], None
    for word in inputs.word_ids(batch_index=0):
        if word is None:
            label_ids.append(-100)
        elif word != previous:
            label_ids.append(label_to_id[tags[word]])
        elif label_all_tokens:
            label_ids.append(b_to_i_label[label_to_id[tags[word]]])
        else:
            label_ids.append(-100)
        previous = word
    return {
        "ids": inputs["input_ids"][0], "words_of_tokens": inputs.word_ids(0), "labels": label_ids,
        "offsets": [place for span in inputs["offset_mapping"][0] for place in span],
    }


def tokens(fixtures):
    cases = []
    for name, kind in TOKENIZERS.items():
        tokenizer = kind.from_pretrained(fixtures / name)
        for words, tags in SENTENCES:
            for all_tokens, max_length in [(False, 128), (True, 128), (True, 7)]:
                case = {"tokenizer": name, "words": words, "tags": tags, "all_tokens": all_tokens, "max_length": max_length}
                cases.append({**case, **align(tokenizer, words, tags, all_tokens, max_length)})
    return {"labels": LABELS, "cases": cases}


# --- questions ---

ENGLISH = (
    "The lighthouse at Gull Point was built in 1871 by the engineer Martha Quill. It stands 42 metres high, and its lamp could be "
    "seen from a ship 30 kilometres away. In the winter of 1903 a storm broke the windows of the lantern room; the keeper, Tom Ash, "
    "kept the lamp burning for nine nights. Since 1988 it has been a museum, open from April to October"
)
CHINESE = (
    "海鸥角灯塔建于1871年，由工程师马莎·奎尔设计。灯塔高42米，灯光在30公里外也能看到。1903年冬天，一场暴风雨打碎了灯室的玻璃，"
    "守塔人汤姆连续九个夜晚守着那盏灯。1988年以后，它成了一座博物馆，每年四月到十月开放"
)


def question(id, context, text, *answers):
    found = [{"text": answer, "answer_start": context.index(answer)} for answer in answers]
    return {"id": id, "question": text, "context": context, "answers": found}


def examples():
    return [
        question("year", ENGLISH, "  When was it built?", "1871", "in 1871"),
        question("first", ENGLISH, "What stands at Gull Point?", "The lighthouse"),
        question("last", ENGLISH, "Until when is it open?", "October"),
        question("long", ENGLISH, "What happened in 1903?", "a storm broke the windows of the lantern room; the keeper, Tom Ash, kept the lamp burning"),
        question("inside", ENGLISH, "Which letters?", "uil"),
        question("none", ENGLISH, "Who painted it?"),
        question("short", "Ada wrote it.", "Who wrote it?", "Ada"),
        question("whole", "Ada", "Who?", "Ada"),
        question("zh-engineer", CHINESE, "谁设计了灯塔？", "马莎·奎尔"),
        question("zh-last", CHINESE, "什么时候开放？", "四月到十月开放"),
        question("zh-none", CHINESE, "谁画了它？"),
        question("accents", "Über café Ωmega 😀 the naïve façade is old.", "Which façade?", "naïve façade"),
        question("spaces", "  \u3000 leading   and  trailing words \u200b ", "Which words?", "trailing words"),
    ]


def windows(tokenizer, examples, max_length, stride):
    """`prepare_train_features` and `prepare_validation_features` of run_qa.py."""
    tokenized = tokenizer(
        [example["question"].lstrip() for example in examples], [example["context"] for example in examples], truncation="only_second",
        max_length=max_length, stride=stride, return_overflowing_tokens=True, return_offsets_mapping=True, padding=False, return_token_type_ids=True,
    )
    features = []
    for i, offsets in enumerate(tokenized["offset_mapping"]):
        input_ids, sequence_ids = tokenized["input_ids"][i], tokenized.sequence_ids(i)
        example = tokenized["overflow_to_sample_mapping"][i]
        start, end = positions(input_ids.index(tokenizer.cls_token_id), offsets, sequence_ids, examples[example]["answers"])
        last = len(input_ids) - 1
        if start == last:
            # The answer's first token is the window's last: `run_qa` goes past it, to [SEP], and past the end.
            assert sequence_ids[last] is None and end == last - 1
            start = last - 1
        features.append({
            "example": example, "ids": input_ids, "types": "".join(map(str, tokenized["token_type_ids"][i])), "start": start, "end": end,
            "offsets": [offset if sequence_ids[k] == 1 else None for k, offset in enumerate(offsets)],
        })
    return features


def positions(cls_index, offsets, sequence_ids, answers):
    if not answers:
        return cls_index, cls_index
    start_char = answers[0]["answer_start"]
    end_char = start_char + len(answers[0]["text"])
    start, end = 0, len(offsets) - 1
    while sequence_ids[start] != 1:
        start += 1
    while sequence_ids[end] != 1:
        end -= 1
    if not (offsets[start][0] <= start_char and offsets[end][1] >= end_char):
        return cls_index, cls_index
    while start < len(offsets) and offsets[start][0] <= start_char:
        start += 1
    while offsets[end][1] >= end_char:
        end -= 1
    return start - 1, end + 1


def postprocess(example, windows, n_best_size, max_answer_length, version_2, threshold):
    """`postprocess_qa_predictions` of utils_qa.py, for one example and the offsets and logits of its windows."""
    min_null, prelim = None, []
    for offsets, start_logits, end_logits in windows:
        null_score = start_logits[0] + end_logits[0]
        if min_null is None or min_null["score"] > null_score:
            min_null = {"offsets": (0, 0), "score": null_score, "start": start_logits[0], "end": end_logits[0]}
        start_indexes = np.argsort(start_logits)[-1 : -n_best_size - 1 : -1].tolist()
        end_indexes = np.argsort(end_logits)[-1 : -n_best_size - 1 : -1].tolist()
        for start in start_indexes:
            for end in end_indexes:
                if offsets[start] is None or offsets[end] is None:
                    continue
                if end < start or end - start + 1 > max_answer_length:
                    continue
                prelim.append({
                    "offsets": (offsets[start][0], offsets[end][1]), "score": start_logits[start] + end_logits[end],
                    "start": start_logits[start], "end": end_logits[end],
                })
    if version_2:
        prelim.append(min_null)
    predictions = sorted(prelim, key=lambda x: x["score"], reverse=True)[:n_best_size]
    if version_2 and not any(p["offsets"] == (0, 0) for p in predictions):
        predictions.append(min_null)
    for prediction in predictions:
        begin, end = prediction["offsets"]
        prediction["text"] = example["context"][begin:end]
    if all(prediction["text"] == "" for prediction in predictions):
        return None  # `run_qa` answers "empty" here, or fails
    scores = np.array([prediction["score"] for prediction in predictions])
    exp_scores = np.exp(scores - np.max(scores))
    probabilities = exp_scores / exp_scores.sum()
    answer = {"text": predictions[0]["text"], "difference": None, "count": len(predictions)}
    if version_2:
        best = next(prediction for prediction in predictions if prediction["text"] != "")
        answer["difference"] = float(min_null["score"] - best["start"] - best["end"])
        answer["text"] = "" if answer["difference"] > threshold else best["text"]
    candidates = list(zip(predictions, probabilities))
    chosen = candidates[:2] + candidates[-1:]
    answer["candidates"] = [[candidate["text"], float(candidate["score"]), round(float(probability), 7)] for candidate, probability in chosen]
    return answer


def draw_logits(generator, tokens):
    """Multiples of 1/64, none of them twice: of equal ones, NumPy's order is not defined."""
    return [generator.choice(np.arange(-400, 400), tokens, replace=False).tolist() for _ in range(2)]


SETTINGS = [(20, 30, False, 0.0), (20, 30, True, 0.0), (8, 6, True, -4.5), (5, 30, False, 0.0), (10, 12, True, 9.0)]


def compact(feature):
    """The offsets of the paragraph's tokens one after the other, and where they begin."""
    offsets = feature["offsets"]
    first = next((k for k, offset in enumerate(offsets) if offset is not None), len(offsets))
    assert all(offset is not None for offset in offsets[first:-1]) and offsets[-1] is None
    flat = [place for offset in offsets[first:-1] for place in offset]
    return {**feature, "context": first, "offsets": flat}


def questions(fixtures):
    generator = np.random.default_rng(SEED)
    runs = []
    for name, max_length, stride in [("sentencepiece", 60, 16), ("chinese", 56, 20), ("wordpiece", 96, 0), ("sentencepiece", 384, 128)]:
        tokenizer = TOKENIZERS[name].from_pretrained(fixtures / name)
        given = examples()
        features = windows(tokenizer, given, max_length, stride)
        run = {"tokenizer": name, "max_length": max_length, "stride": stride, "features": [compact(feature) for feature in features], "logits": [], "answers": []}
        if max_length < 384:
            run["logits"] = [draw_logits(generator, len(feature["ids"])) for feature in features]
            logits = [np.array(pair, dtype=np.float32) / 64 for pair in run["logits"]]
            for settings in SETTINGS:
                answers = [
                    postprocess(example, [(f["offsets"], *pair) for f, pair in zip(features, logits) if f["example"] == index], *settings)
                    for index, example in enumerate(given)
                ]
                keys = ["n_best_size", "max_answer_length", "version_2", "threshold"]
                run["answers"].append({**dict(zip(keys, settings)), "answers": answers})
        runs.append(run)
    return {"examples": examples(), "runs": runs}


# --- metrics ---

CLASSES = [
    ([0, 1, 2, 1, 0], [0, 1, 1, 1, 2], 3), ([1, 1, 1, 1], [0, 1, 0, 1], 2), ([0, 0, 0], [0, 0, 0], 2), ([0, 0, 0], [1, 1, 1], 2), ([1], [1], 4),
    ([0, 1, 0, 1], [1, 0, 1, 0], 2), ([3, 3, 0], [3, 0, 0], 5), ([0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1], 2),
]
VALUES = [
    ([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 9.0]), ([1.0, 1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 2.0, 2.0, 0.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),
    ([1.0, 2.0], [0.1, 0.1]), ([1.0, 2.0], [2.0, 1.0]), ([0.0, -0.0, 1.0], [0.0, 1.0, 2.0]), ([1e9, 1e9 + 1, 1e9 + 2], [3.0, 1.0, 2.0]),
    ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1]),
]
TAGS = [
    (["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "I-PER", "O", "B-LOC"]), (["O", "O"], ["O", "O"]), (["O", "O", "O"], ["B-PER", "I-PER", "O"]),
    (["I-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"]), (["B-PER", "B-PER"], ["B-PER", "I-PER"]), (["B-PER", "I-LOC", "O"], ["B-PER", "I-PER", "O"]),
    (["B-LOC", "I-LOC"], ["I-LOC", "I-LOC"]), (["S-PER", "B-LOC", "I-LOC", "E-LOC"], ["S-PER", "B-LOC", "E-LOC", "O"]),
    (["E-PER", "E-PER", "I-PER"], ["B-PER", "E-PER", "O"]), (["B", "I", "O"], ["B", "I", "I"]), (["I-A-B", "I-A-B", "I-A"], ["B-A-B", "I-A-B", "O"]),
    (["O", "I", "O"], ["O", "I", "I"]),
]
ANSWERS = [
    ("1871", ["1871", "in 1871"]), ("The Lighthouse!", ["lighthouse"]), ("", []), ("something", []), ("", ["something"]), ("the", ["a"]), ("the", []),
    ("an apple a day", ["apple the day", "a pear"]), ("Tom   Ash's lamp", ["tom ash lamp"]), ("theatre", ["the atre"]), ("U.S.A.", ["usa"]),
    ("nine nine nights", ["nine nights nights"]), ("—dash—", ["dash"]), ("Straße", ["straße"]), ("a_b", ["b"]), ("9,000", ["9000 ships"]), ("...", ["..."]),
    ("İzmir", ["izmir"]), ("a\x1cb", ["b"]),
]
CHINESE_ANSWERS = [
    ("马莎·奎尔", ["马莎奎尔"]), ("工程师马莎", ["马莎·奎尔", "马莎"]), ("", ["九个夜晚"]), ("1871年", ["建于1871年", "1871"]), ("Rust语言", ["rust语言。"]),
    ("用 Rust 语言 写", ["Rust语言"]), ("《海》", ["海"]), ("……", ["…"]), ("甲乙丙丁", ["丁丙乙甲"]), ("甲乙", ["丙"]), ("ＡＢ", ["ab"]), ("a-b c", ["ab c"]),
]


def number(value):
    return None if math.isnan(value) else float(value)


def class_cases():
    generator = np.random.default_rng(SEED)
    cases = [*CLASSES, (generator.integers(0, 4, 60).tolist(), generator.integers(0, 4, 60).tolist(), 4)]
    for predictions, labels, classes in cases:
        averages = {
            average: list(map(float, sklearn.precision_recall_fscore_support(labels, predictions, average=average, zero_division=0)[:3]))
            for average in ["micro", "macro"]
        }
        each = np.array(sklearn.precision_recall_fscore_support(labels, predictions, labels=range(classes), zero_division=0)[:3]).T.tolist()
        yield {
            "predictions": predictions, "labels": labels, "classes": classes, "accuracy": float(sklearn.accuracy_score(labels, predictions)),
            **averages, "each": each, "matthews": float(sklearn.matthews_corrcoef(labels, predictions)),
        }


def multi_label_cases():
    generator = np.random.default_rng(SEED + 1)
    for rows, columns, rate in [(1, 1, 0.0), (5, 3, 0.5), (20, 4, 0.2), (4, 2, 0.0)]:
        predictions, labels = generator.random((2, rows, columns)) < rate
        averages = {
            average: list(map(float, sklearn.precision_recall_fscore_support(labels, predictions, average=average, zero_division=0)[:3]))
            for average in (["micro", "macro"] if columns > 1 else [])
        }
        yield {"predictions": predictions.astype(int).tolist(), "labels": labels.astype(int).tolist(), **averages}


def value_cases():
    generator = np.random.default_rng(SEED + 2)
    cases = [*VALUES, (generator.integers(0, 6, 50).astype(float).tolist(), generator.integers(0, 6, 50).astype(float).tolist())]
    for predictions, labels in cases:
        yield {
            "predictions": predictions, "labels": labels, "pearson": number(scipy.stats.pearsonr(predictions, labels)[0]),
            "spearman": number(scipy.stats.spearmanr(predictions, labels)[0]),
        }


def tag_case(sentences):
    predictions, labels = [list(tags) for tags in zip(*sentences)]
    averages = {
        average: [float(score(labels, predictions, average=average)) for score in [seqeval.precision_score, seqeval.recall_score, seqeval.f1_score]]
        for average in ["micro", "macro"]
    }
    if not any(get_entities(tags) for tags in predictions + labels):
        averages["macro"] = [0.0] * 3  # seqeval takes the mean of nothing
    spans = [[[kind, start, end + 1] for kind, start, end in get_entities(tags)] for tags in predictions]
    return {
        "predictions": predictions, "labels": labels, **averages, "spans": spans, "accuracy": float(seqeval.accuracy_score(labels, predictions)),
    }


def metrics():
    generator = np.random.default_rng(SEED + 3)
    names = ["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]
    drawn = [tuple(generator.choice(names, 12).tolist() for _ in range(2)) for _ in range(30)]
    return {
        "classes": list(class_cases()), "multi_label": list(multi_label_cases()), "values": list(value_cases()),
        "tags": [*[tag_case([sentence]) for sentence in TAGS], tag_case(TAGS), *[tag_case([sentence]) for sentence in drawn], tag_case(drawn)],
        "squad": [{"prediction": p, "answers": a, "scores": squad_scores(p, a)} for p, a in ANSWERS],
        "cmrc": [{"prediction": p, "answers": a, "scores": cmrc_scores(p, a)} for p, a in CHINESE_ANSWERS],
    }


def main(fixtures: pathlib.Path, out: pathlib.Path) -> None:
    warnings.filterwarnings("ignore")
    for name, value in [("tokens", tokens(fixtures)), ("questions", questions(fixtures)), ("metrics", metrics())]:
        path = out / f"{name}.json"
        path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
