"""Texts for `make_spans_goldens.py`: people and places, tagged and asked for; and awkward ones."""

import torch

PEOPLE = {"en": ["Anna", "Tom Ash", "Martha", "Zoé Quill", "Ferris", "Wei Li"], "zh": ["小王", "李明", "马莎", "赵小花", "汤姆"]}
PLACES = {"en": ["Uppsala", "Gull Point", "New York", "Rome", "Rust Bay"], "zh": ["北京市", "上海", "海南", "新城", "中山路"]}
PLAIN = {"en": ["The code is new.", "It will run.", "So we see.", "You can use this."], "zh": ["代码是新的.", "这样就好.", "今天下雨.", "我们看书."]}
FACT = {"en": ["{} lives in {}.", "{} has a house in {}."], "zh": ["{}住在{}.", "{}的家在{}."]}
ASKED = {"en": ["Where does {} live?", "Who lives in {}?"], "zh": ["{}住在哪里?", "谁住在{}?"]}
SPACE = {"en": " ", "zh": ""}


def pick(values, generator):
    return values[torch.randint(len(values), (1,), generator=generator).item()]


def fact(language, generator):
    """A sentence with its person and place, and where they stand."""
    person, place = pick(PEOPLE[language], generator), pick(PLACES[language], generator)
    pattern = pick(FACT[language], generator)
    middle = pattern.split("{}")[1]
    at = len(person) + len(middle)
    return pattern.format(person, place), person, place, [(0, len(person), "PER"), (at, at + len(place), "LOC")]


def tagged(language, generator):
    """A text and its entities."""
    text, spans = "", []
    for _ in range(1 + torch.randint(3, (1,), generator=generator).item()):
        text += SPACE[language] if text else ""
        if torch.rand((), generator=generator) < 0.3:
            text += pick(PLAIN[language], generator)
            continue
        sentence, _, _, found = fact(language, generator)
        spans += [(len(text) + start, len(text) + end, label) for start, end, label in found]
        text += sentence
    return text, spans


def answered(language, generator):
    """A question, its context, and where the answer stands, if there is one."""
    first, person, place, spans = fact(language, generator)
    plain = pick(PLAIN[language], generator)
    before = torch.rand((), generator=generator) < 0.5
    parts = [plain, first] if before else [first, plain]
    context = SPACE[language].join(parts)
    shift = len(plain) + len(SPACE[language]) if before else 0
    kind = torch.randint(3, (1,), generator=generator).item()
    if kind == 2:
        return ASKED[language][0].format(pick(PEOPLE[language], generator)), plain, None
    start, end, _ = spans[1 - kind]
    return ASKED[language][kind].format([person, place][kind]), context, (shift + start, shift + end)


SHORT = [
    "Anna lives in Uppsala.",
    "Tom Ash has a house in New York and Zoé Quill lives in Gull Point",
    "小王住在北京市, 李明的家在上海.",
    "赵小花和汤姆住在海南。我们看书。",
    "Wei Li,Martha;Rome",
    "Hello world, we use Rust.",
]

AWKWARD = [
    "",
    "   ",
    "\n\t \u3000",
    "😀👍🏽 Anna 👩‍👩‍👧 lives in 🇸🇪 Uppsala",
    "Zoe\u0301 Quill lives in Rome\u0301",
    "ZOÉ QUILL LIVES IN ROME",
    "naïve façade ﬁne Ⅷ ½ ㎏ ＡＢ",
    "Anna  lives   in    New  York",
    "[MASK] lives in [CLS] Rome [SEP] <pad>",
    "Anna\u200blives\u00adin\u00a0Uppsala",
    "𠀀𠮷小王𝔘住在北京市",
    "คนไทย हिन्दी العربية Ελλάς Привет 한국어",
    "a",
    ".",
    "\u0301",
    "Anna's New-York (Rome) “Gull Point” 1,234.5",
    "Donaudampfschifffahrtsgesellschaftskapitän Anna",
    "x" * 120,
    "\u0000Anna\u0007 lives\ufffd in Rome\r\n",
]

LONG = [
    "Anna lives in Uppsala. The code is new. Tom Ash has a house in New York. " * 4,
    "小王住在北京市. 今天下雨. 赵小花的家在中山路, 马莎住在新城. " * 4,
    "So we see 😀 that Zoé Quill lives in Gull Point, " * 7,
    "word" * 40,
    "北京市" * 40,
]

ENGLISH = "The code is new. Anna lives in Uppsala. It will run. Tom Ash has a house in New York. So we see. Zoé Quill lives in Gull Point."
CHINESE = "今天下雨. 小王住在北京市. 我们看书. 李明的家在上海. 这样就好. 赵小花住在海南."

QUESTIONS = [
    ("Where does Anna live?", "Anna lives in Uppsala."),
    ("Where does Tom Ash live?", ENGLISH),
    ("Who lives in Gull Point?", ENGLISH),
    ("  Where does Martha live?  ", "So we see. You can use this."),
    ("Who?", "Anna"),
    ("Who lives in Rome?", "Rome rome ROME Anna anna ANNA"),
    ("Where does Anna live?", ENGLISH * 4),
    ("小李住在哪里?", "小王住在北京市, 小李住在上海."),
    ("李明住在哪里?", CHINESE),
    ("谁住在海南?", CHINESE * 5),
    ("谁住在新城?", "代码是新的."),
    ("Where does Zoé live?", "Zoe\u0301 😀👍🏽 lives   in\u00a0Ro\u200bme, 🇸🇪 naïve façade ﬁne Ⅷ ＡＢ 𠀀𠮷 小王"),
    ("[MASK]?", "[MASK] lives in [SEP] Rome [CLS] and Anna <pad>"),
    ("?", "\n\t Anna \u3000 lives\r\nin Rome \n"),
    ("Who?", "कौन है? Кто? ใคร? 누구? x" + "y" * 130 + " Anna"),
    ("Where does Anna live in the new code that you use?", "word " * 70 + "Anna lives in Uppsala. " * 3),
]
