"""Makes tests/fixtures/tokenizers/: small vocabularies with the properties of the published ones.

    python train_fixtures.py <directory with the corpora> <tests/fixtures/tokenizers>

The corpora are text files, one sentence per line: `rust-book-en.txt`, `d2l-zh.txt`, `literature-zh.txt`. Versions:
requirements.txt in this directory. The result does not depend on anything but these files and the constants below.

* `sentencepiece/spiece.model`: trained with the flags of google-research/albert's README (control symbols, the user
  defined symbols, no sentence markers, `<pad>` 0 and `<unk>` 1), on English, Chinese, and made-up sentences full of
  numbers so that pieces such as `9,` exist, as they do in the published models. The charsmap is nmt_nfkc without
  Hangul and the CJK compatibility ideographs, which would be nine tenths of the file.
* `chinese/vocab.txt`: WordPiece with the layout of `bert-base-chinese`: [PAD] 0, [unusedN], [UNK] 100 ... [MASK] 103.
* `wordpiece/vocab.txt`: a small one that counts [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4.
"""

import collections
import io
import pathlib
import random
import sys
import unicodedata

import sentencepiece

SEED = 20240229
PIECES = 2000
USER_DEFINED = ["(", ")", '"', "-", ".", "–", "£", "€"]


def is_left_out(char: int) -> bool:
    hangul = 0x1100 <= char <= 0x11FF or 0x3130 <= char <= 0x318F or 0xA960 <= char <= 0xA97F
    hangul = hangul or 0xAC00 <= char <= 0xD7FF or 0xFFA0 <= char <= 0xFFDF
    ideographs = 0x2E80 <= char <= 0x2FDF or 0xF900 <= char <= 0xFAFF or 0x2F800 <= char <= 0x2FA1F
    arabic_ligatures = 0xFB50 <= char <= 0xFDFF or 0x1EE00 <= char <= 0x1EEFF
    return hangul or ideographs or arabic_ligatures or 0xD800 <= char <= 0xDFFF


def nmt_nfkc_rules() -> dict[str, str]:
    """The rules of sentencepiece's nmt_nfkc (builder.cc), less what `is_left_out`."""
    rules = {}
    for code in range(0x80, 0x20000):
        char = chr(code)
        if is_left_out(code):
            continue
        composed = unicodedata.normalize("NFKC", char)
        if composed != char:
            rules[char] = composed
        decomposed = unicodedata.normalize("NFD", char)
        if decomposed != char and code < 0x2000 or 0x3040 <= code <= 0x30FF and decomposed != char:
            rules[decomposed] = composed
    for code in [*range(1, 9), 0xB, *range(0xE, 0x20), 0x7F, 0x8F, 0x9F]:
        rules[chr(code)] = ""
    whitespace = [9, 0xA, 0xC, 0xD, 0x1680, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD]
    for code in whitespace:
        rules[chr(code)] = " "
    rules["\uff5e"] = "~"
    rules["\u301c"] = "~"
    rules = {key: value for key, value in rules.items() if key != value}
    return rules


def rules_as_tsv(rules: dict[str, str]) -> str:
    def hexadecimal(text):
        return " ".join(f"{ord(char):X}" for char in text)

    return "".join(f"{hexadecimal(key)}\t{hexadecimal(value)}\n" for key, value in sorted(rules.items()))


def sentences_with_numbers(count: int) -> list[str]:
    """Digits before commas, often enough that `9,` becomes a piece."""
    generator = random.Random(SEED)
    out = []
    for _ in range(count):
        year, day = generator.randint(1000, 2024), generator.randint(1, 31)
        many = f"{generator.randint(1, 99)},{generator.randint(0, 999):03}"
        out.append(f"in may {day}, {year}, there were {many} of them, in {year - 1}, {generator.randint(1, 9)}, not.")
    return out


def train_sentencepiece(english: list[str], chinese: list[str], directory: pathlib.Path) -> None:
    lines = [unicodedata.normalize("NFKC", line).lower() for line in english + chinese[:3000]]
    rules = directory / "rules.tmp"
    rules.write_text(rules_as_tsv(nmt_nfkc_rules()), encoding="utf-8")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines + sentences_with_numbers(2000)),
        model_writer=model,
        vocab_size=PIECES,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        user_defined_symbols=USER_DEFINED,
        character_coverage=0.985,
        model_type="unigram",
        normalization_rule_tsv=str(rules),
        num_threads=1,
        shuffle_input_sentence=False,
    )
    rules.unlink()
    (directory / "spiece.model").write_bytes(model.getvalue())


def word_pieces(english: list[str], count: int) -> list[str]:
    words = collections.Counter()
    for line in english:
        words.update(word for word in line.lower().split() if word.isascii() and word.isalpha())
    pieces = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    pieces += ["##" + piece for piece in pieces if piece.isalnum()]
    pieces += ["##s", "##ed", "##ing", "##er", "##ly", "##tion", "##able", "##10", "19", "20", "##00"]
    pieces += [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:count]]
    return list(dict.fromkeys(pieces))


def characters(chinese: list[str], count: int) -> list[str]:
    seen = collections.Counter(char for line in chinese for char in line if ord(char) > 0xA0 and not char.isspace())
    return [char for char, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:count]]


# In the vocabulary so that lower-casing, accents and the splitting of CJK decide about ids, not only about [UNK].
TELLING = ["Hello", "hello", "World", "É", "é", "##é", "café", "cafe", "Ä", "ä", "i̇", "σ", "ς", "ß", "ss", "🙂", "##🙂"]
TELLING += ["你好", "你", "##好", "##界", "が", "か", "##が", "ガ", "カ", "한", "##국", "ᄒ", "##ᅡ", "ｶ", "Ａ", "①", "½", "…", "“", "”"]
TELLING += ["А", "а", "й", "и", "##й", "α", "ά", "ו", "ב", "##ב", "ا", "##ا", "ก", "##า", "न", "##म", "##ा", "##्", "㐀", "𠀀", "𠮷"]


def write_vocabulary(path: pathlib.Path, tokens: list[str]) -> None:
    path.write_text("".join(token + "\n" for token in tokens), encoding="utf-8")


def main(corpora: pathlib.Path, out: pathlib.Path) -> None:
    english = (corpora / "rust-book-en.txt").read_text(encoding="utf-8").splitlines()
    chinese = (corpora / "d2l-zh.txt").read_text(encoding="utf-8").splitlines()
    with open(corpora / "literature-zh.txt", encoding="utf-8") as file:
        literature = [line for line, _ in zip(file, range(40_000))]
    for name in ["sentencepiece", "chinese", "wordpiece"]:
        (out / name).mkdir(parents=True, exist_ok=True)
    train_sentencepiece(english, chinese, out / "sentencepiece")
    unused = [f"[unused{number}]" for number in range(1, 100)]
    body = list(dict.fromkeys(word_pieces(english, 600) + TELLING + characters(chinese + literature, 3000)))
    write_vocabulary(out / "chinese/vocab.txt", ["[PAD]", *unused, "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<S>", "<T>", *body])
    small = word_pieces(english, 150) + TELLING + characters(chinese, 200)
    write_vocabulary(out / "wordpiece/vocab.txt", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(small)])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
