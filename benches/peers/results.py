"""Results as JSON: what run.py writes, and the files of benches/results that chart.py draws."""

import json
from datetime import date
from pathlib import Path

import machine

KEPT = Path(__file__).resolve().parents[1] / "results"
# Results of other conditions than these are not mixed.
CONDITIONS = ("model", "threads", "rounds", "machine")


def begin(options, path):
    """What is known before the first case. With `--resume`, the results of `path` if they are of the same conditions."""
    result = {"date": date.today().isoformat(), "commit": None if options.measure else machine.commit()}
    result |= {"model": options.model, "threads": options.threads, "rounds": options.rounds}
    result |= {"machine": machine.describe(options.extra), "busy_before": machine.busy_share(), "prepared_s": {}, "cases": {}, "busy_meanwhile": {}}
    if options.resume and path.exists():
        earlier = json.loads(path.read_text())
        differing = [key for key in CONDITIONS if earlier[key] != result[key]]
        if differing:
            raise SystemExit(f"{path} was made under other conditions: {', '.join(differing)}")
        return earlier
    return result


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
    directory = KEPT / machine.slug(result["machine"])
    directory.mkdir(parents=True, exist_ok=True)
    model = "" if result["model"] == "base" else f"-{result['model']}"
    (directory / f"{result['date']}{model}.json").write_text(as_text(result))


def latest(directory=KEPT):
    """The newest results of each processor of ALBERT-base, in the order of the processors' names."""
    newest = {}
    for path in sorted(directory.glob("*/????-??-??.json")):
        newest[path.parent.name] = json.loads(path.read_text())
    return list(newest.values())
