"""Writes `sentiment/`, `entities/` and `facts/`: small data sets for the examples that fine-tune.

    python make_tasks.py

All of it is made up here, from the lists and patterns below and a fixed seed, by Python's standard library alone (3.9 or later). Two runs
give the same bytes. No sentence of a training file is in the file that is held out.
"""

import json
import random
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


def distinct(draw, count):
    """`count` different draws; of two that have the same text, the first."""
    found = {}
    for _ in range(100 * count):
        text, value = draw()
        found.setdefault(text, value)
        if len(found) == count:
            return list(found.items())
    raise ValueError(f"only {len(found)} different ones")


def write(name, text):
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{name}: {len(text.encode())} bytes")


# Sentiment: praise and complaints. Words alone do not decide: `not` and `never` turn them round, and after `but` comes what counts.

THINGS = {
    "film": ["plot", "ending", "music", "dialogue", "lead actor", "camera work"],
    "book": ["first chapter", "style", "story", "translation", "hero", "cover"],
    "hotel": ["room", "breakfast", "staff", "view", "bathroom", "lobby"],
    "restaurant": ["soup", "waiter", "dessert", "menu", "fish", "table by the window"],
    "phone": ["battery", "screen", "camera", "speaker", "case", "keyboard"],
    "concert": ["singer", "sound", "drummer", "hall", "first song", "encore"],
    "course": ["teacher", "textbook", "homework", "first lesson", "exam", "classroom"],
    "train ride": ["seat", "conductor", "coffee", "scenery", "timetable", "dining car"],
}
GOOD = """wonderful delightful superb charming excellent brilliant lovely splendid pleasant perfect remarkable impressive
delicious graceful thoughtful elegant fresh clever warm generous""".split()
BAD = """terrible dreadful boring awful dull disappointing clumsy horrible poor tedious bland annoying noisy careless
broken dirty stale tiresome rude shabby""".split()
DEGREES = ["", "", "", "really ", "very ", "quite ", "simply ", "rather ", "truly "]
GOOD_ENDS = ["I would come back any day", "I told all my friends", "we smiled all evening", "I was sorry when it was over",
             "it was worth every penny", "my sister loved it too", "I could not ask for more", "we stayed longer than planned"]
BAD_ENDS = ["I want my money back", "I would warn anyone", "we left early", "I was glad when it was over",
            "it was a waste of time", "my sister hated it too", "I expected far more", "we will never return"]


def judgement(rng, part, is_good):
    """Says of a part that it is good, or that it is not."""
    is_turned = rng.random() < 0.3
    word = rng.choice(GOOD if is_good != is_turned else BAD)
    verb = rng.choice(["was", "was", "seemed", "felt"])
    if is_turned:
        return f"the {part} {rng.choice(['was not', 'was never', 'was by no means', 'was hardly'])} {word}"
    return f"the {part} {verb} {rng.choice(DEGREES)}{word}"


def opinion(rng):
    thing, parts = rng.choice(list(THINGS.items()))
    is_good = rng.random() < 0.5
    one, other = rng.sample(parts, 2)
    end = rng.choice(GOOD_ENDS if is_good else BAD_ENDS)
    pattern = rng.randrange(5)
    if pattern == 0:
        text = f"{judgement(rng, one, is_good)} and {judgement(rng, other, is_good)}."
    elif pattern == 1:
        text = f"{judgement(rng, one, not is_good)}, but {judgement(rng, other, is_good)}."
    elif pattern == 2:
        text = f"{rng.choice(['this', 'our', 'the'])} {thing}: {judgement(rng, one, is_good)}, so {end}."
    elif pattern == 3:
        text = f"although {judgement(rng, one, not is_good)}, {judgement(rng, other, is_good)}."
    else:
        text = f"{judgement(rng, one, is_good)}, and {end}."
    return text[0].upper() + text[1:], "positive" if is_good else "negative"


def make_sentiment():
    rng = random.Random(1)
    lines = [json.dumps({"text": text, "label": label}) for text, label in distinct(lambda: opinion(rng), 1700)]
    write("sentiment/held-out.jsonl", "\n".join(lines[:300]) + "\n")
    write("sentiment/train.jsonl", "\n".join(lines[300:]) + "\n")


# Entities: people, places and dates. Some names are both of people and of places, and some are in the held-out sentences only.

FIRST = """Anna Boris Clara David Elena Felix Greta Hugo Irene Jonas Karin Lukas Maria Niklas Olga Peter Rosa Simon Tilda Viktor
Florence Austin Sydney Chelsea Jordan""".split()
LAST = """Adler Bergman Castro Dumont Eriksen Ferrari Gruber Hansen Ivanov Jensen Keller Lindgren Moreau Novak Olsen Pereira
Quist Rossi Santos Tanaka Ulrich Vogel Weber Yilmaz Zeman""".split()
PLACES = """Oslo Lisbon Vienna Prague Dublin Athens Warsaw Helsinki Bern Riga Turin Ghent Porto Malmo Basel Florence Austin Sydney
Chelsea Jordan""".split() + ["New Haven", "San Marino", "Monte Carlo", "Cape Town", "Saint Malo"]
NEW_LAST = ["Abelson", "Brandt", "Corelli", "Dahl", "Engel", "Fontaine"]
NEW_PLACES = ["Krakow", "Leipzig", "Bilbao", "Tampere", "Port Louis"]
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
WORDS = {
    "{work}": ["book", "play", "painting", "letter", "film", "song", "garden", "report"],
    "{building}": ["museum", "library", "station", "school", "harbour", "theatre", "market", "hospital"],
}


def person(rng, lasts):
    form = rng.randrange(4)
    first, last = rng.choice(FIRST), rng.choice(lasts)
    return [[first, last], [first], ["Dr", last], [first, rng.choice("ABCDEFGH") + ".", last]][form]


def date(rng):
    day, month, year = str(rng.randrange(1, 29)), rng.choice(MONTHS), str(rng.randrange(1900, 2030))
    return rng.choice([[day, month, year], [month, year], [month], [year], [rng.choice(DAYS)], [month, day]])


def tagged(rng, lasts, places):
    """A sentence as lines of word and tag."""
    draws = {
        "P": ("PER", lambda: person(rng, lasts)),
        "L": ("LOC", lambda: rng.choice(places).split()),
        "D": ("DATE", lambda: date(rng)),
    }
    lines = []
    for word in rng.choice(PATTERNS).split():
        if word not in draws:
            lines.append((rng.choice(WORDS.get(word, [word])), "O"))
            continue
        kind, draw = draws[word]
        words = draw()
        if words[0] == "Dr":  # A title is not part of the name.
            lines.append((words.pop(0), "O"))
        lines += [(part, f"{'I' if i else 'B'}-{kind}") for i, part in enumerate(words)]
    return "".join(f"{word} {tag}\n" for word, tag in lines), None


def make_entities():
    rng = random.Random(2)
    held_out = dict(distinct(lambda: tagged(rng, LAST + NEW_LAST, PLACES + NEW_PLACES), 250))
    train = [text for text, _ in distinct(lambda: tagged(rng, LAST, PLACES), 1300) if text not in held_out]
    write("entities/held-out.txt", "\n".join(held_out))
    write("entities/train.txt", "\n".join(train[:1000]))


# Facts: a paragraph about somebody, and questions, some of which it does not answer.

TRADES = """baker carpenter surgeon pilot gardener painter tailor violinist translator geologist watchmaker librarian
photographer teacher fisherman architect""".split()
PETS = ["a grey cat", "two parrots", "an old dog", "a tortoise", "three goldfish", "a white horse", "a tame raven", "six hens"]
HOBBIES = ["chess", "rowing", "pottery", "sailing", "folk dancing", "mushroom picking", "astronomy", "cycling", "knitting"]
PRIZES = ["the Silver Quill", "the Golden Compass", "the Blue Ribbon", "the Harbour Medal", "the Northern Star", "the Oak Leaf"]
CITIES = [place for place in PLACES + NEW_PLACES if place not in FIRST]
# What it is about: how it is said (N for the name, or `she` or `he`), how it is asked for, and what the answers are.
FACTS = {
    "birthplace": (["N was born in {}.", "N came from {}."], ["Where was N born?", "Where did N come from?"], CITIES),
    "year": (["In {} N moved house.", "N moved house in {}."],
             ["When did N move house?", "In which year did N move house?"], [str(year) for year in range(1900, 2000)]),
    "trade": (["N worked as a {}.", "By trade N was a {}."], ["What did N work as?", "What was N by trade?"], TRADES),
    "home": (["Later N lived in {}.", "N spent the last years in {}."],
             ["Where did N live later?", "Where did N spend the last years?"], CITIES),
    "pet": (["At home N kept {}.", "N shared the house with {}."],
            ["Which animals did N keep at home?", "With what pet did N share the house?"], PETS),
    "hobby": (["In the evenings N loved {}.", "More than anything N liked {}."],
              ["What did N love in the evenings?", "What did N like more than anything?"], HOBBIES),
    "prize": (["One day N received {}.", "N was given {} by the town."],
              ["Which prize did N receive?", "What was N given by the town?"], PRIZES),
    "friend": (["N often wrote letters to {}.", "A close friend of N was {}."],
               ["To whom did N write letters?", "Who was a close friend of N?"],
               [f"{first} {last}" for first in FIRST[:20] for last in NEW_LAST]),
}
TOLD, UNTOLD = 4, 2


def paragraph(rng):
    """A text about somebody, and questions with the answer and where it begins, or with nothing if the text does not say."""
    first = rng.randrange(20)
    name, pronoun = f"{FIRST[first]} {rng.choice(LAST)}", ["she", "he"][first % 2]
    kinds = rng.sample(list(FACTS), TOLD + UNTOLD)
    text, answers = "", {}
    for kind in kinds[:TOLD]:
        sentences, _, values = FACTS[kind]
        called = pronoun if text and kind != "friend" else name
        sentence = re.sub(r"\bN\b", called, rng.choice(sentences))
        before, after = (sentence[0].upper() + sentence[1:]).split("{}")
        value = rng.choice(values)
        text += before
        answers[kind] = {"text": value, "answer_start": len(text)}
        text += f"{value}{after} "
    rng.shuffle(kinds)
    questions = [re.sub(r"\bN\b", name, rng.choice(FACTS[kind][1])) for kind in kinds]
    return text.rstrip(), [(question, answers.get(kind)) for question, kind in zip(questions, kinds)]


def squad(split, paragraphs):
    """The layout of SQuAD 2.0."""
    entries = []
    for i, (context, questions) in enumerate(paragraphs):
        qas = [
            {"id": f"{split}-{i}-{j}", "question": question, "answers": [answer] if answer else [], "is_impossible": not answer}
            for j, (question, answer) in enumerate(questions)
        ]
        entries.append({"context": context, "qas": qas})
    document = {"version": "v2.0", "data": [{"title": "Made-up people", "paragraphs": entries}]}
    return json.dumps(document, separators=(",", ":")) + "\n"


def make_facts():
    rng = random.Random(3)
    paragraphs = distinct(lambda: paragraph(rng), 195)
    write("facts/held-out.json", squad("held-out", paragraphs[:40]))
    write("facts/train.json", squad("train", paragraphs[40:]))


if __name__ == "__main__":
    make_sentiment()
    make_entities()
    make_facts()
