"""Results as JSON: what run.py writes, and the files of benches/results that chart.py draws."""

import json
import re
from pathlib import Path

KEPT = Path(__file__).resolve().parents[1] / "results"
PRECISIONS = ("f32", "bf16", "int8")


def ours(name):
    return name.startswith("ndalbert")


def title(machine):
    """What people call the processor."""
    name = re.sub(r"\((R|TM)\)| Processor| CPU", "", machine["cpu"]).split("@")[0].strip()
    return f"{name}, {machine['microarchitecture']}"


def slug(machine):
    """The name of the processor's directory of results: maker, line and microarchitecture, such as amd-epyc-zen4."""
    words = re.findall(r"[a-z0-9]+", title(machine).split(",")[0].lower())
    line = [word for word in words if not any(digit in word for digit in "0123456789")][:3]
    return "-".join([*line, re.sub(r"\W", "", machine["microarchitecture"].lower())])


def as_text(result):
    """JSON with a line for each contestant, so that a difference can be read."""
    head = json.dumps({key: value for key, value in result.items() if key != "cases"}, indent=1)
    cases = ",\n".join(f"  {json.dumps(case)}: {{\n{lines(rows)}\n  }}" for case, rows in result["cases"].items())
    return f'{head.removesuffix("}").rstrip()},\n "cases": {{\n{cases}\n }}\n}}\n'


def lines(rows):
    return ",\n".join(f"   {json.dumps(name)}: {json.dumps(rounded(row))}" for name, row in rows.items())


def rounded(value):
    """With six digits: more would say nothing."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value


def save(result):
    """One file for each processor and day: benches/results/PROCESSOR/DATE.json, of other models DATE-MODEL.json."""
    directory = KEPT / slug(result["machine"])
    directory.mkdir(parents=True, exist_ok=True)
    model = "" if result["model"] == "base" else f"-{result['model']}"
    (directory / f"{result['date']}{model}.json").write_text(as_text(result))


def latest(directory=KEPT):
    """The newest results of each processor of ALBERT-base, in the order of the processors' names."""
    newest = {}
    for path in sorted(directory.glob("*/????-??-??.json")):
        newest[path.parent.name] = json.loads(path.read_text())
    return list(newest.values())
