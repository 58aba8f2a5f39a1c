"""Writes what transformers' fast tokenizers answer on the awkward texts, one JSON-lines file per directory and options.

    python make_goldens.py <tests/fixtures/tokenizers> <tests/golden/tokenizer>

Versions: requirements.txt in this directory. Fixtures are read, and those that transformers itself writes
(`converted`, `saved`, `saved-wordpiece`) are made first. Nothing is downloaded.

The first line of a golden file says which fixture, and which JSON files to put next to it; `special`, `type_ids` and
`sequences` are one character per token (`-` in `sequences`: no sequence), `offsets` is flat (start, end, start, ...),
in characters; a null word is a token that belongs to no word.
"""

import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import types

os.environ["HF_HUB_OFFLINE"] = "1"

import awkward  # noqa: E402
import tokenizers  # noqa: E402
import transformers  # noqa: E402
from transformers import AlbertTokenizer, BertTokenizer, PreTrainedTokenizerFast  # noqa: E402
from transformers.convert_slow_tokenizer import AlbertConverter  # noqa: E402

SEED = 271828
TYPED_MASK = {"__type": "AddedToken", "content": "[MASK]", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
LEGACY_MAP = {
    "bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "<unk>", "sep_token": "[SEP]", "pad_token": "<pad>", "cls_token": "[CLS]",
    "mask_token": {key: value for key, value in TYPED_MASK.items() if key != "__type"},
}


def added(content, special, **flags):
    base = {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    return {**base, **flags}


def config(**values):
    return {"tokenizer_config.json": values}


DECODER = {
    "0": added("<pad>", True), "1": added("<unk>", True), "2": added("[CLS]", True), "3": added("[SEP]", True),
    "4": added("[MASK]", True, lstrip=True), "2000": added("Hello", False), "2001": added("[E1]", True, rstrip=True),
}

# What transformers 4 saved next to a tokenizer.json.
CONFIG_OF_4 = dict(
    added_tokens_decoder={key: value for key, value in DECODER.items() if int(key) < 5}, bos_token="[CLS]", cls_token="[CLS]", eos_token="[SEP]", sep_token="[SEP]",
    clean_up_tokenization_spaces=True, do_lower_case=True, extra_special_tokens={}, keep_accents=False, mask_token="[MASK]", model_max_length=512,
    pad_token="<pad>", remove_space=True, tokenizer_class="AlbertTokenizer", unk_token="<unk>",
)
BERT_CONFIG_OF_4 = dict(
    added_tokens_decoder={str(id): added(token, True) for id, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])}, cls_token="[CLS]",
    clean_up_tokenization_spaces=False, do_basic_tokenize=True, do_lower_case=False, mask_token="[MASK]", model_max_length=512, never_split=None,
    pad_token="[PAD]", sep_token="[SEP]", strip_accents=None, tokenize_chinese_chars=True, tokenizer_class="BertTokenizerFast", unk_token="[UNK]",
)

# name, fixture, reference class, files next to it, every n-th case
SETS = [
    ("sentencepiece", "sentencepiece", AlbertTokenizer, {}, 1),
    ("sentencepiece-cased", "sentencepiece", AlbertTokenizer, config(do_lower_case=False), 5),
    ("sentencepiece-accents", "sentencepiece", AlbertTokenizer, config(keep_accents=True), 5),
    ("sentencepiece-cased-accents", "sentencepiece", AlbertTokenizer, config(do_lower_case=False, keep_accents=True), 5),
    ("sentencepiece-no-prefix", "sentencepiece", AlbertTokenizer, config(add_prefix_space=False), 5),
    ("sentencepiece-legacy-map", "sentencepiece", AlbertTokenizer, {"special_tokens_map.json": LEGACY_MAP}, 5),
    ("sentencepiece-typed-mask", "sentencepiece", AlbertTokenizer, config(mask_token=TYPED_MASK, model_max_length=512, additional_special_tokens=[]), 5),
    ("sentencepiece-decoder", "sentencepiece", AlbertTokenizer, {
        **config(added_tokens_decoder=DECODER, extra_special_tokens=["<S>"], mask_token="[MASK]", clean_up_tokenization_spaces=True),
        "special_tokens_map.json": {"mask_token": "never read"}}, 5),
    ("sentencepiece-added", "sentencepiece", AlbertTokenizer, {
        **config(bos_token=None, image_token="<T>"), "added_tokens.json": {"world": 2001, "[e0]": 2000},
        "special_tokens_map.json": {"additional_special_tokens": ["[e0]"], "cls_token": "[CLS]"}}, 5),
    ("sentencepiece-split", "sentencepiece", AlbertTokenizer, config(split_special_tokens=True), 5),
    ("converted", "converted", AlbertTokenizer, {}, 1),
    ("converted-cased", "converted", AlbertTokenizer, config(tokenizer_class="AlbertTokenizerFast", do_lower_case=False), 5),
    ("converted-verbatim", "converted", PreTrainedTokenizerFast, config(tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False, cls_token="[CLS]"), 5),
    ("converted-saved-by-4", "converted", AlbertTokenizer, {**config(**CONFIG_OF_4), "special_tokens_map.json": LEGACY_MAP}, 5),
    ("saved", "saved", AlbertTokenizer, {}, 5),
    ("chinese", "chinese", BertTokenizer, {}, 1),
    ("chinese-cased", "chinese", BertTokenizer, config(do_lower_case=False), 5),
    ("chinese-cased-stripped", "chinese", BertTokenizer, config(do_lower_case=False, strip_accents=True), 5),
    ("chinese-accents", "chinese", BertTokenizer, config(strip_accents=False), 5),
    ("chinese-unsplit", "chinese", BertTokenizer, config(tokenize_chinese_chars=False, strip_accents=None), 5),
    ("chinese-cleaned", "chinese", BertTokenizer, config(clean_up_tokenization_spaces=True, mask_token=TYPED_MASK, model_max_length=512), 5),
    ("chinese-added", "chinese", BertTokenizer, {
        "added_tokens.json": {"World": 3868, "<new>": 3867}, "special_tokens_map.json": {"additional_special_tokens": ["<S>", "<new>"], "unk_token": "[UNK]"}}, 5),
    ("wordpiece", "wordpiece", BertTokenizer, {}, 5),
    ("saved-wordpiece", "saved-wordpiece", BertTokenizer, {}, 5),
    ("saved-wordpiece-by-4", "saved-wordpiece", BertTokenizer, config(**BERT_CONFIG_OF_4), 5),
]
TRUNCATED = ["sentencepiece", "chinese"]


def write_json(path: pathlib.Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def make_fixtures(fixtures: pathlib.Path) -> None:
    """Directories with a tokenizer.json: as on the Hub (the old converter's), and as transformers saves it today."""
    for name, source, kind in [("saved", "sentencepiece", AlbertTokenizer), ("saved-wordpiece", "wordpiece", BertTokenizer)]:
        options = {"do_lower_case": False} if name == "saved" else {"tokenize_chinese_chars": False}
        with tempfile.TemporaryDirectory() as directory:
            kind.from_pretrained(fixtures / source, **options).save_pretrained(directory)
            (fixtures / name).mkdir(exist_ok=True)
            for file in ["tokenizer.json", "tokenizer_config.json"]:
                value = json.loads(pathlib.Path(directory, file).read_text(encoding="utf-8"))
                for key in ["name_or_path", "is_local", "local_files_only"]:
                    value.pop(key, None)
                write_json(fixtures / name / file, value)
    (fixtures / "converted").mkdir(exist_ok=True)
    write_json(fixtures / "converted/tokenizer.json", json.loads(converted(fixtures / "sentencepiece").to_str()))


def converted(source: pathlib.Path) -> tokenizers.Tokenizer:
    """What transformers 4 made of a spiece.model, and what the published tokenizer.json files hold."""
    plain = AlbertTokenizer.from_pretrained(source)
    slow = types.SimpleNamespace(
        vocab_file=str(source / "spiece.model"), keep_accents=False, do_lower_case=True, convert_tokens_to_ids=plain.convert_tokens_to_ids
    )
    converter = AlbertConverter(slow)
    for piece in converter.proto.pieces:
        piece.type = 1 if piece.type == 4 else piece.type  # the converters of that time left these to the model
    tokenizer = converter.converted()
    tokenizer.add_special_tokens(["<pad>", "<unk>", "[CLS]", "[SEP]", tokenizers.AddedToken("[MASK]", lstrip=True, special=True, normalized=False)])
    return tokenizer


def directory_of(fixture: pathlib.Path, files: dict, directory: str) -> str:
    shutil.copytree(fixture, directory, dirs_exist_ok=True)
    for name, value in files.items():
        write_json(pathlib.Path(directory, name), value)
    return directory


def encoded(tokenizer, text, pair, **options):
    pairs = {} if pair is None else {"text_pair": [pair]}
    return tokenizer([text], **pairs, return_offsets_mapping=True, return_special_tokens_mask=True, return_token_type_ids=True, **options)


def case(tokenizer, text, pair, **options):
    out = encoded(tokenizer, text, pair, **options)
    sequences = "".join("-" if sequence is None else str(sequence) for sequence in out.sequence_ids(0))
    return {
        "text": text, **({} if pair is None else {"pair": pair}),
        "ids": out["input_ids"][0],
        "type_ids": "".join(map(str, out["token_type_ids"][0])),
        "offsets": [place for span in out["offset_mapping"][0] for place in span],
        "words": out.word_ids(0),
        "sequences": sequences,
        "special": "".join(map(str, out["special_tokens_mask"][0])),
    }


def encode_cases(tokenizer, step):
    for text, pair in awkward.cases()[::step]:
        answer = case(tokenizer, text, pair)
        answer["decoded"] = tokenizer.decode(answer["ids"])
        answer["decoded_without_special"] = tokenizer.decode(answer["ids"], skip_special_tokens=True)
        yield answer


def decode_cases(tokenizer):
    generator = random.Random(SEED)
    for length in [0, 1, 2, 3] + [12] * 20:
        ids = [generator.randrange(len(tokenizer)) for _ in range(length)]
        yield {"decode": ids, "decoded": tokenizer.decode(ids), "decoded_without_special": tokenizer.decode(ids, skip_special_tokens=True)}


def truncated_cases(tokenizer):
    """Every third case, cut to lengths from nothing but special tokens upwards."""
    for text, pair in awkward.cases()[1::3]:
        for strategy in ["longest_first", "only_first", "only_second"]:
            for side in ["right", "left"]:
                generator = random.Random(f"{SEED}{text}{pair}{strategy}{side}")
                max_length = generator.choice([3, 4, 5, 7, 10, 16])
                tokenizer.truncation_side = side
                settings = {"max_length": max_length, "strategy": strategy, "side": side}
                try:
                    yield {**settings, **case(tokenizer, text, pair, truncation=strategy, max_length=max_length)}
                except Exception as error:
                    yield {**settings, "text": text, **({} if pair is None else {"pair": pair}), "error": str(error)}


def write_lines(path: pathlib.Path, lines) -> int:
    lines = list(lines)
    path.write_text("".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines), encoding="utf-8")
    return len(lines) - 1


def main(fixtures: pathlib.Path, out: pathlib.Path) -> None:
    make_fixtures(fixtures)
    for name, fixture, kind, files, step in SETS:
        with tempfile.TemporaryDirectory() as temporary:
            tokenizer = kind.from_pretrained(directory_of(fixtures / fixture, files, temporary))
            header = {"fixture": fixture, "files": files, "class": kind.__name__, "transformers": transformers.__version__, "size": len(tokenizer)}
            header["special"] = [tokenizer.convert_tokens_to_ids(token) for token in [
                tokenizer.pad_token or "<pad>", tokenizer.unk_token or "<unk>", tokenizer.cls_token or "[CLS]", tokenizer.sep_token or "[SEP]", tokenizer.mask_token or "[MASK]"]]
            count = write_lines(out / f"{name}.jsonl", [header, *encode_cases(tokenizer, step), *decode_cases(tokenizer)])
            print(name, count)
            if name in TRUNCATED:
                print(name, "truncated", write_lines(out / f"truncated-{name}.jsonl", [header, *truncated_cases(tokenizer)]))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
