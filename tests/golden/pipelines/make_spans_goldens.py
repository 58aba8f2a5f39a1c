"""Trains tiny models that tag tokens and answer questions, and writes what transformers' pipelines answer with them.

    python make_spans_goldens.py             train, and write `tags.json`: transformers 5.23, requirements.txt
    python make_spans_goldens.py questions   write `answers.json`: transformers 4.57, requirements-questions.txt
    … --check                                write to a temporary directory and compare with what is here, byte for byte

transformers 5 has no pipeline for questions any more; 4.57's runs on the models that the first step has written. Nothing is
downloaded. All texts were written for this purpose.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402
from spans_data import AWKWARD, LONG, QUESTIONS, SHORT, answered, tagged  # noqa: E402
from transformers import AlbertConfig, AlbertForQuestionAnswering, AlbertForTokenClassification, pipeline  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TOKENIZERS = HERE.parents[1] / "fixtures/tokenizers"
SEED = 20261129
POSITIONS = 64
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]

# Of the models' names: which tokenizer, how wide the embeddings, and what language they are trained on.
KINDS = {
    "wordpiece": ("wordpiece", 8, "en"),
    "sentencepiece": ("converted", 8, "en"),
    "chinese": ("chinese", 4, "zh"),
}


def tokenizer_of(kind):
    fixture, _, _ = KINDS[kind]
    name = "AlbertTokenizer" if kind == "sentencepiece" else "BertTokenizer"
    fast = getattr(transformers, name + "Fast", None) or getattr(transformers, name)
    return fast.from_pretrained(TOKENIZERS / fixture, model_max_length=POSITIONS)


def config_of(kind, **options):
    return AlbertConfig(
        vocab_size=len(tokenizer_of(kind)), embedding_size=KINDS[kind][1], hidden_size=24, intermediate_size=48, num_attention_heads=2,
        num_hidden_layers=2, max_position_embeddings=POSITIONS, classifier_dropout_prob=0.0, initializer_range=0.2, **options,
    )


# --- training ---


def tagging_batch(tokenizer, language, generator):
    texts, spans = zip(*[tagged(language, generator) for _ in range(16)])
    batch = tokenizer(list(texts), return_tensors="pt", return_offsets_mapping=True, padding=True, truncation=True)
    labels = torch.full(batch["input_ids"].shape, -100)
    for row, offsets in enumerate(batch.pop("offset_mapping").tolist()):
        for column, (start, end) in enumerate(offsets):
            if start == end:
                continue
            inside = [(at, label) for at, to, label in spans[row] if at < end and start < to]
            name = "O" if not inside else ("B-" if inside[0][0] >= start else "I-") + inside[0][1]
            labels[row, column] = LABELS.index(name)
    return {**batch, "labels": labels}


def answering_batch(tokenizer, language, generator):
    questions, contexts, spans = zip(*[answered(language, generator) for _ in range(16)])
    batch = tokenizer(list(questions), list(contexts), return_tensors="pt", return_offsets_mapping=True, padding=True, truncation="only_second")
    places = {"start_positions": [], "end_positions": []}
    offsets = batch.pop("offset_mapping").tolist()
    for row, span in enumerate(spans):
        columns = []
        if span is not None:
            of_context = [column for column, sequence in enumerate(batch.sequence_ids(row)) if sequence == 1]
            columns = [column for column in of_context if offsets[row][column][0] < span[1] and span[0] < offsets[row][column][1]]
        places["start_positions"].append(columns[0] if columns else 0)
        places["end_positions"].append(columns[-1] if columns else 0)
    return {**batch, **{name: torch.tensor(values) for name, values in places.items()}}


def train(model, kind, batch_of):
    """Seeded; the weights end as ones that half precision holds exactly."""
    tokenizer, language = tokenizer_of(kind), KINDS[kind][2]
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    steps = 300
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / 20) * (1 - step / steps))
    model.train()
    for step in range(steps):
        loss = model(**batch_of(tokenizer, language, generator)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    print(f"{type(model).__name__} {kind}: loss {loss.item():.3f}", file=sys.stderr)
    return model.half().eval()


def models(out):
    for kind in KINDS:
        torch.manual_seed(SEED)
        labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: id for id, label in enumerate(LABELS)}}
        tagger = train(AlbertForTokenClassification(config_of(kind, **labels)), kind, tagging_batch)
        answerer = train(AlbertForQuestionAnswering(config_of(kind)), kind, answering_batch)
        for name, model in [("tagger", tagger), ("answerer", answerer)]:
            # The small one is a whole checkpoint, for examples; the others are put together with a tokenizer of the fixtures.
            directory = out / (name if kind == "wordpiece" else f"{name}-{kind}")
            model.save_pretrained(directory)
            (directory / "model.safetensors").chmod(0o644)
            (directory / "generation_config.json").unlink(missing_ok=True)
            if kind == "wordpiece":
                shutil.copy(TOKENIZERS / "wordpiece/vocab.txt", directory)


def load(out, name, kind, model):
    directory = out / (name if kind == "wordpiece" else f"{name}-{kind}")
    return model.from_pretrained(directory).float().eval()


# --- tags ---


def entity(found):
    """Label, score, word, start, end and, of a single token, its index."""
    label = found.get("entity", found.get("entity_group"))
    index = [int(found["index"])] if "index" in found else []
    return [label, round(float(found["score"]), 6), found["word"], int(found["start"]), int(found["end"]), *index]


AGGREGATED = ["simple", "first", "average", "max"]


def runs_of(text):
    """The options of all runs with a text: of `pipeline`, and whether the labels have names."""
    yield from ({"aggregation_strategy": aggregation} for aggregation in ["none", *AGGREGATED])
    if text in SHORT[:3] + AWKWARD[3:6]:
        yield {"aggregation_strategy": "none", "ignore_labels": ["B-PER", "I-LOC"]}
        yield {"aggregation_strategy": "average", "ignore_labels": ["PER"]}
        yield {"aggregation_strategy": "max", "ignore_labels": []}
        yield {"aggregation_strategy": "none", "nameless": True}
        yield {"aggregation_strategy": "first", "nameless": True, "ignore_labels": ["LABEL_0"]}
    if text in LONG + SHORT[:1]:
        yield from ({"aggregation_strategy": aggregation, "stride": stride} for aggregation in AGGREGATED for stride in [0, 20])
        yield {"aggregation_strategy": "simple", "stride": 40, "ignore_labels": []}


def tags(out):
    cases = []
    for kind in KINDS:
        model, tokenizer = load(out, "tagger", kind, AlbertForTokenClassification), tokenizer_of(kind)
        run = pipeline("token-classification", model=model, tokenizer=tokenizer)
        for text in SHORT + AWKWARD + LONG:
            runs = []
            for options in runs_of(text):
                nameless = options.get("nameless", False)
                model.config.id2label = {id: f"LABEL_{id}" if nameless else label for id, label in enumerate(LABELS)}
                found = run(text, **{key: value for key, value in options.items() if key != "nameless"})
                runs.append({**options, "entities": [entity(found) for found in found]})
            cases.append({"kind": kind, "text": text, "runs": runs})
    write(out / "tags.json", cases)


# --- answers ---

OPTIONS = [
    {}, {"top_k": 4}, {"top_k": 3, "max_answer_len": 2}, {"top_k": 3, "handle_impossible_answer": True}, {"handle_impossible_answer": True},
    {"top_k": 4, "align_to_words": False}, {"align_to_words": False}, {"top_k": 3, "max_seq_len": 40, "doc_stride": 10},
    {"top_k": 2, "max_seq_len": 36, "doc_stride": 3, "handle_impossible_answer": True}, {"top_k": 25, "max_answer_len": 40},
]


def answers(out):
    cases = []
    for kind in KINDS:
        model, tokenizer = load(out, "answerer", kind, AlbertForQuestionAnswering), tokenizer_of(kind)
        run = pipeline("question-answering", model=model, tokenizer=tokenizer)
        for question, context in QUESTIONS:
            runs = []
            for options in OPTIONS:
                found = run(question=question, context=context, **options)
                found = [found] if isinstance(found, dict) else found
                # Where it lacks answers, it fills up with impossible ones, in no order.
                found = [[round(f["score"], 6), f["start"], f["end"], f["answer"]] for f in found if f["score"] > 0]
                runs.append({**options, "answers": found})
            cases.append({"kind": kind, "question": question, "context": context, "runs": runs})
    write(out / "answers.json", cases)


# --- files ---


def write(path, cases):
    lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def check_versions(name):
    for line in (HERE / name).read_text().splitlines():
        package, _, version = line.partition("==")
        module = sys.modules.get(package)  # of the others, none is used here
        found = module and module.__version__.partition("+")[0]
        if found and found != version:
            sys.exit(f"{name} says {line}, found {found}")


def check(write_all):
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory)
        if write_all is answers:
            for kind in HERE.glob("answerer*"):
                shutil.copytree(kind, out / kind.name)
        write_all(out)
        for path in filter(pathlib.Path.is_file, out.rglob("*")):
            if path.read_bytes() != (HERE / path.relative_to(out)).read_bytes():
                sys.exit(f"{path.relative_to(out)} differs")


def models_and_tags(out):
    models(out)
    tags(out)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    of_questions = "questions" in sys.argv[1:]
    check_versions("requirements-questions.txt" if of_questions else "requirements.txt")
    chosen = answers if of_questions else models_and_tags
    check(chosen) if "--check" in sys.argv[1:] else chosen(HERE)
