"""Writes `sentiment/`, `entities/` and `facts/`: small data sets for the examples that fine-tune.

    python make_tasks.py

All of it is made up here, from the lists and patterns below and a fixed seed, by Python's standard library alone (3.9 or later). Two runs
give the same bytes.

What is held out differs from what is trained on in more than its sentences, so that learning by heart does not help:

* sentiment: nothing is called what it is called in training, and no negation comes with a word that it comes with there;
* entities: no name of a person or a place is in the training file, and a third of the sentences are of patterns that are not;
* facts: no name, place, year, trade, animal, hobby or prize is in the training file, though the words of the latter four are.
"""

import json
import random
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


def distinct(draw, count):
    """`count` different draws."""
    found = {}
    for _ in range(100 * count):
        found.setdefault(draw())
        if len(found) == count:
            return list(found)
    raise ValueError(f"only {len(found)} different ones")


def write(name, text):
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    print(f"{name}: {len(text.encode())} bytes")


class Names:
    """Names of syllables, none of which is drawn twice."""

    ENDS = "n r s l m nd rk sk th ss ra la na mi do".split()

    def __init__(self, rng):
        self.rng, self.drawn = rng, set()

    def draw(self):
        rng = self.rng
        while True:
            syllables = [rng.choice("bdfghklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.choice([1, 2, 2]))]
            name = ("".join(syllables) + rng.choice(self.ENDS)).capitalize()
            if len(name) > 3 and name not in self.drawn:
                self.drawn.add(name)
                return name


# Sentiment: praise and complaints. Words alone do not decide: `not` and `never` turn them round, and after `but` comes what counts.

PARTS = """plot ending music dialogue story hero cover room breakfast staff view bathroom soup waiter dessert menu fish battery screen
    camera""".split()
GOOD = "wonderful delightful superb charming excellent brilliant lovely splendid".split()
BAD = "terrible dreadful boring awful dull disappointing clumsy horrible".split()
DEGREES = ["", "", "really ", "very ", "quite ", "truly "]
NEGATIONS = ["was not", "was never", "was by no means", "was hardly"]
SENTIMENT_COUNTS = {"train": 420, "held-out": 100}


def is_of(split, i, j):
    """Whether a pair of words is of a split: a quarter of all pairs are held out."""
    return ((i + j) % 4 == 0) == (split == "held-out")


def judgement(rng, split, part, is_good):
    """Says of a part that it is good, or that it is not."""
    is_negated = rng.random() < 0.2
    words = GOOD if is_good != is_negated else BAD
    i = rng.choice([i for i in range(len(words)) if is_of(split, PARTS.index(part), i)])
    if is_negated:
        return f"the {part} {rng.choice([negation for j, negation in enumerate(NEGATIONS) if is_of(split, i, j)])} {words[i]}"
    return f"the {part} {rng.choice(['was', 'seemed'])} {rng.choice(DEGREES)}{words[i]}"


def opinion(rng, split, is_good):
    one, other = rng.sample(PARTS, 2)
    last = judgement(rng, split, other, is_good)
    pattern = rng.random()
    if pattern < 0.3:
        text = f"{last}."
    elif pattern < 0.65:
        text = f"{judgement(rng, split, one, is_good)} and {last}."
    elif pattern < 0.85:
        text = f"{judgement(rng, split, one, not is_good)}, but {last}."
    else:
        text = f"although {judgement(rng, split, one, not is_good)}, {last}."
    return json.dumps({"text": text[0].upper() + text[1:], "label": "positive" if is_good else "negative"})


def make_sentiment():
    rng = random.Random(1)
    for split, count in SENTIMENT_COUNTS.items():
        lines = [line for is_good in (True, False) for line in distinct(lambda: opinion(rng, split, is_good), count // 2)]
        rng.shuffle(lines)
        write(f"sentiment/{split}.jsonl", "\n".join(lines) + "\n")


# Entities: people, places and dates. Nothing but what stands around it says whether a name is of a person or a place.

MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
# P, L and D stand for a person, a place and a date; {} for a word of a list.
PATTERNS = [
    "P was born in L on D .", "P moved to L in D .", "In D , P left L for good .", "On D the {work} of P opened in L .",
    "P met P at the {building} in L .", "The {building} in L was closed on D .", "P and P will travel from L to L .",
    "Has anyone seen P since D ?", "L is known for its {building} .", "It rained in L until D .", "P wrote the {work} in D .",
    "Nobody in L remembers P .", "Call P before D .", "The {work} was sold to P for a {work} from L .",
    "P , who lives near L , teaches at the {building} .", "A train to L leaves on D .", "Since D , P has run the {building} .",
    "The {building} of L thanked P for the {work} .", "We may see P in D .", "She gave P her {work} .",
]
NEW_PATTERNS = [
    "On D , P met P in L .", "P has not left L since D .", "The {work} that P wrote was sold in L .", "Nobody has seen P at the {building} .",
    "In L the {building} of P opened on D .", "From D on , P lives in L .",
]
WORDS = {
    "{work}": ["book", "play", "painting", "letter", "film", "song", "garden", "report"],
    "{building}": ["museum", "library", "station", "school", "harbour", "theatre", "market", "hospital"],
}
ENTITY_COUNTS = {"train": 300, "held-out": 80}


def person(rng, names):
    form = rng.randrange(4)
    if form == 0:
        return [names.draw()]
    if form == 1:
        return ["Dr", names.draw()]
    return [names.draw(), names.draw()] if form == 2 else [names.draw(), rng.choice("ABCDEFGH") + ".", names.draw()]


def place(rng, names):
    return rng.choice([[], [], [], ["New"], ["Port"], ["Saint"]]) + [names.draw()]


def date(rng):
    day, month, year = str(rng.randrange(1, 29)), rng.choice(MONTHS), str(rng.randrange(1900, 2030))
    return rng.choice([[day, month, year], [month, year], [month], [year], [rng.choice(DAYS)], [month, day]])


def tagged(rng, names, pattern):
    """A sentence as lines of word and tag."""
    draws = {"P": ("PER", lambda: person(rng, names)), "L": ("LOC", lambda: place(rng, names)), "D": ("DATE", lambda: date(rng))}
    lines = []
    for word in pattern.split():
        if word not in draws:
            lines.append((rng.choice(WORDS.get(word, [word])), "O"))
            continue
        kind, draw = draws[word]
        words = draw()
        if words[0] == "Dr":  # A title is not part of the name.
            lines.append((words.pop(0), "O"))
        lines += [(part, f"{'I' if i else 'B'}-{kind}") for i, part in enumerate(words)]
    return "".join(f"{word} {tag}\n" for word, tag in lines)


def make_entities():
    rng = random.Random(2)
    names = Names(rng)
    for split, count in ENTITY_COUNTS.items():
        def draw():
            is_new = split == "held-out" and rng.random() < 1 / 3
            return tagged(rng, names, rng.choice(NEW_PATTERNS if is_new else PATTERNS))
        write(f"entities/{split}.txt", "\n".join(distinct(draw, count)))


# Facts: a paragraph about somebody, and questions, some of which it does not answer.
# What it is about: how it is said and how it is asked for (N for the name, or `she` or `he`).
FACTS = {
    "birthplace": ("N came from {} as a child.", ["Where did N come from?", "Where was N as a child?"]),
    "year": ("In {} N moved house.", ["When did N move house?", "In which year did N move?"]),
    "trade": ("N worked as a {} for years.", ["What did N work as?", "What was N by trade?"]),
    "animal": ("N kept {} at home.", ["Which animal did N keep?", "What did N have at home?"]),
    "hobby": ("N liked {} most of all.", ["What did N like most?", "What was it that N liked?"]),
    "prize": ("N received {} one day.", ["Which prize did N receive?", "What was N given?"]),
}
# Of two words each: a quarter of the pairs are held out.
VALUES = {
    "trade": ("village town ship's royal travelling", "baker carpenter surgeon gardener painter tailor teacher cook"),
    "animal": ("a grey|a tame|a small|a white|an old", "cat dog parrot tortoise horse raven rabbit lizard"),
    "hobby": ("drawing collecting watching painting", "birds stones maps flowers boats stamps stars clouds"),
    "prize": ("the Silver|the Golden|the Blue|the Northern", "Quill Compass Ribbon Star Leaf Anchor Lantern Crown"),
}
TOLD, UNTOLD = 3, 1
FACT_COUNTS = {"train": 104, "held-out": 26}


def value(rng, names, split, kind):
    """What the text says of somebody."""
    if kind == "birthplace":
        return " ".join(place(rng, names))
    if kind == "year":
        return str(2 * rng.randrange(900, 1000) + (split == "held-out"))
    first, second = (words.split("|" if "|" in words else " ") for words in VALUES[kind])
    return rng.choice([f"{one} {other}" for i, one in enumerate(first) for j, other in enumerate(second) if is_of(split, i, j)])


def paragraph(rng, names, split):
    """A text about somebody, and questions with the answer and where it begins, or with nothing if the text does not say."""
    name, pronoun = names.draw(), rng.choice(["she", "he"])
    kinds = rng.sample(list(FACTS), TOLD + UNTOLD)
    text, answers = "", {}
    for kind in kinds[:TOLD]:
        sentence = re.sub(r"\bN\b", pronoun if text else name, FACTS[kind][0])
        before, after = (sentence[0].upper() + sentence[1:]).split("{}")
        answers[kind] = {"text": value(rng, names, split, kind), "answer_start": len(text + before)}
        text += f"{before}{answers[kind]['text']}{after} "
    rng.shuffle(kinds)
    questions = [re.sub(r"\bN\b", pronoun, rng.choice(FACTS[kind][1])) for kind in kinds]
    return text.rstrip(), [(question, answers.get(kind)) for question, kind in zip(questions, kinds)]


def squad(split, paragraphs):
    """The layout of SQuAD 2.0."""
    entries = []
    for i, (context, questions) in enumerate(paragraphs):
        qas = []
        for j, (question, answer) in enumerate(questions):
            answers = {"answers": [answer]} if answer else {"answers": [], "is_impossible": True}
            qas.append({"id": f"{split[0]}{i}-{j}", "question": question, **answers})
        entries.append({"context": context, "qas": qas})
    document = {"version": "v2.0", "data": [{"title": "Made-up people", "paragraphs": entries}]}
    return json.dumps(document, separators=(",", ":")) + "\n"


def make_facts():
    rng = random.Random(3)
    names = Names(rng)
    for split, count in FACT_COUNTS.items():
        write(f"facts/{split}.json", squad(split, [paragraph(rng, names, split) for _ in range(count)]))


if __name__ == "__main__":
    make_sentiment()
    make_entities()
    make_facts()
