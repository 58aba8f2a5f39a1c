"""The logic of two official scorers of answers."""

import collections
import re
import string

CMRC_PUNCTUATION = [
    "-", ":", "_", "*", "^", "/", "\\", "~", "`", "+", "=", "，", "。", "：", "？", "！", "“", "”", "；", "’", "《", "》", "……", "·", "、", "「", "」", "（", "）", "－",
    "～", "『", "』",
]


def squad_scores(prediction, answers):
    """[exact match, F1] as evaluate-v2.0.py of SQuAD."""
    gold_answers = [answer for answer in answers if normalize_answer(answer)]
    if not gold_answers:
        gold_answers = [""]
    exact = max(int(normalize_answer(answer) == normalize_answer(prediction)) for answer in gold_answers)
    return [float(exact), float(max(compute_f1(answer, prediction) for answer in gold_answers))]


def normalize_answer(s):
    s = s.lower()
    s = "".join(ch for ch in s if ch not in set(string.punctuation))
    s = re.sub(r"\b(a|an|the)\b", " ", s)
    return " ".join(s.split())


def compute_f1(a_gold, a_pred):
    gold_toks, pred_toks = normalize_answer(a_gold).split(), normalize_answer(a_pred).split()
    num_same = sum((collections.Counter(gold_toks) & collections.Counter(pred_toks)).values())
    if not gold_toks or not pred_toks:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision, recall = num_same / len(pred_toks), num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def cmrc_scores(prediction, answers):
    """[exact match, F1] as cmrc2018_evaluate.py, but for what NLTK does there."""
    exact = any(remove_punctuation(answer) == remove_punctuation(prediction) for answer in answers)
    return [float(exact), float(max(longest_stretch_f1(answer, prediction) for answer in answers))]


def remove_punctuation(text):
    return "".join(char for char in text.lower().strip() if char not in CMRC_PUNCTUATION)


def mixed_segmentation(text):
    segments, rest = [], ""
    for char in text.lower().strip():
        if char in CMRC_PUNCTUATION:
            continue
        if re.search(r"[\u4e00-\u9fa5]", char):
            segments.extend(rest.split())
            rest = ""
            segments.append(char)
        else:
            rest += char
    return segments + rest.split()


def longest_stretch_f1(answer, prediction):
    gold, predicted = mixed_segmentation(answer), mixed_segmentation(prediction)
    table = [[0] * (len(predicted) + 1) for _ in range(len(gold) + 1)]
    longest = 0
    for i in range(len(gold)):
        for j in range(len(predicted)):
            if gold[i] == predicted[j]:
                table[i + 1][j + 1] = table[i][j] + 1
                longest = max(longest, table[i + 1][j + 1])
    if longest == 0:
        return 0
    precision, recall = longest / len(predicted), longest / len(gold)
    return (2 * precision * recall) / (precision + recall)
