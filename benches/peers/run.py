"""Compares this crate with PyTorch, ONNX Runtime, OpenVINO, CTranslate2 and, if asked for, candle, tract and rten. See README.md."""

import argparse
import contextlib
import functools
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import agreement
import machine
import results
import table
from cases import CASES, MODELS, PACKED, write_case
from contestants import CONTESTANTS
from prepare import OF_CASE
from processes import HERE, Failed, LongLived, Measure, build, fastest, prepare
from rounds import check_idle, counts, take_turns

REFERENCE = "PyTorch eager"
CONDITIONS = ("model", "threads", "rounds", "machine")  # Results of different ones are not mixed.
# Name: package, precision, settings of which the fastest is taken, what must have been prepared.
RUST = {
    "candle": ("candle", "f32", ("",), ()),
    "tract": ("tract", "f32", ("plain",), ("plain",)),
    "tract int8": ("tract", "int8", ("plain-int8",), ("plain-int8",)),
    "rten": ("rten", "f32", ("plain packed",), ("plain",)),
    "rten int8": ("rten", "int8", ("plain-int8 packed",), ("plain-int8",)),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="base")
    parser.add_argument("--cases", default=",".join(CASES), help="those named, or shapes such as 1x100; default: %(default)s")
    parser.add_argument("--only", default="", help="comma-separated beginnings of contestants' names; one that ends with $ is a whole name")
    parser.add_argument("--with", dest="extra", default="", help="candle,tract,rten: builds and runs them, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each contestant in each round; one iteration at least")
    parser.add_argument("--patience", type=float, default=60, help="seconds; a contestant whose forward takes longer is left out")
    parser.add_argument("--work", type=Path, help="where models are kept; default: a new temporary directory")
    parser.add_argument("--measure", help="command instead of this crate's example `measure`")
    parser.add_argument("--choose", action="store_true", help="only find the fastest setting and way of each, for later runs")
    parser.add_argument("--resume", action="store_true", help="go on with results.json: cases that are there are not measured again")
    parser.add_argument("--save", action="store_true", help="write the results to benches/results, too")
    parser.add_argument("--before", help="shell command before the rounds of a case, such as one that stops what else runs")
    parser.add_argument("--after", help="shell command after the rounds of a case")
    return parser.parse_args()


def begin(options, path):
    """What is known before the first case. With `--resume`, the results of `path` if they are of the same conditions."""
    result = {"date": date.today().isoformat(), "commit": None if options.measure else machine.commit()}
    result |= {"model": options.model, "threads": options.threads, "rounds": options.rounds}
    result |= {"machine": machine.describe(options.extra), "busy_before": machine.busy_share(), "prepared_s": {}, "tokens": {}, "cases": {}, "busy_meanwhile": {}}
    if options.resume and path.exists():
        earlier = json.loads(path.read_text())
        differing = [key for key in CONDITIONS if earlier[key] != result[key]]
        if differing:
            raise SystemExit(f"{path} was made under other conditions: {', '.join(differing)}")
        return earlier
    return result


def starters(options, directory):
    """Name, precision, and for every case the ways to start it: {(setting, way): how}."""
    common = {"patience": options.patience, "threads": options.threads}
    measure = shlex.split(options.measure) if options.measure else None

    def wanted(name):
        return name == REFERENCE or not options.only or any(f"{name}$".startswith(part) for part in options.only.split(","))

    def peer(case, command, settings):
        """`command` with every setting and every way to compute the case in pieces."""
        path = directory / f"{case}.json"
        starts = {}
        for setting in settings:
            for way in json.loads(path.read_text())["ways"]:
                words = [*command, setting, directory, path, way, options.threads]
                starts[setting, way] = functools.partial(LongLived, [str(word) for word in words], **common)
        return starts

    for precision in ("f32", "bf16", "int8"):
        name = f"ndalbert {precision}"
        if wanted(name):
            measure = measure or [build(HERE.parents[1] / "Cargo.toml", None, "--example", "measure")]

            def ours(case, precision=precision):
                ids, output = directory / f"{case}.ids.json", json.loads((directory / f"{case}.json").read_text())["output"]
                words = ["--model", directory, "--ids", ids, "--precision", precision, "--output", output]
                return {("", PACKED): lambda: Measure([*measure, *words], **common)}

            yield name, precision, ours
    for name, (precision, _, _, settings, step) in CONTESTANTS.items():
        if not wanted(name):
            continue
        if step in OF_CASE and find_spec(step) is None:
            print(f"{name} takes no part: {step} is not installed", file=sys.stderr)
            continue
        if step not in OF_CASE:
            prepare(directory, options.model, step)

        def python(case, name=name, settings=settings, step=step):
            prepare(directory, options.model, step, case)
            return peer(case, [sys.executable, HERE / "contestants.py", name], settings)

        yield name, precision, python
    executables = {}
    for package in filter(None, options.extra.split(",")):
        executables[package] = build(HERE / package / "Cargo.toml", directory.parent / f"cargo-{package}")
    for name, (package, precision, settings, steps) in RUST.items():
        if package in executables and wanted(name):
            for step in steps:
                prepare(directory, options.model, step)
            yield name, precision, functools.partial(peer, command=[executables[package]], settings=settings)


def choose(ways, key, directory):
    """The fastest of the ways, and its process. What was found is kept in `ways.json`, and then not tried again."""
    path = directory / "ways.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if tuple(known.get(key, ())) in ways:
        ways = {tuple(known[key]): ways[tuple(known[key])]}
    way, process = fastest(ways)
    path.write_text(json.dumps(known | {key: way}, indent=1))
    return way, process


def start_case(case, contestants, options, directory):
    """Starts all and checks that they agree. One row per contestant, and the processes of those that take part."""
    rows, running = {}, {}
    reference = directory / f"{case}.reference.f32"
    hidden = MODELS[options.model]["hidden_size"]
    for name, precision, ways in sorted(contestants, key=lambda entry: entry[0] != REFERENCE):
        row = rows[name] = {"precision": precision}
        try:
            (row["setting"], row["way"]), process = choose(ways(case), f"{case}, {name}, {options.threads} threads", directory)
            running[name] = process
            if process.second() > options.patience:
                raise Failed(f"too slow: {process.second():.0f} s")
            path = reference if name == REFERENCE else directory / f"{case}.output.f32"
            process.dump(path)
        except Failed as why:
            row["unavailable"] = str(why)
            if name in running:
                running.pop(name).close()
            print(f"{case}: {name} takes no part: {why}", file=sys.stderr)
            continue
        row["difference"], row["cosine"], row["wrong"] = agreement.check(path, reference, hidden, precision)
        row |= {key: process.load[key] for key in ("load_s", "compile_s")}
    return rows, running


def measure_case(case, contestants, options, directory):
    """Starts all, and lets them run in alternation. One row per contestant, and what share of the machine others used meanwhile."""
    rows, running = start_case(case, contestants, options, directory)
    try:
        check_idle(running)
        with between(options.before, options.after):
            watch = machine.Watch(running.values())
            turns = take_turns(running, counts(running, options.seconds), options.rounds, case)
            busy = watch.share_of_others()
        for name, rounds in turns.items():
            rows[name]["medians_s"] = [statistics.median(seconds) for seconds in rounds]
        for name, process in running.items():
            rows[name]["median_s"] = statistics.median(rows[name]["medians_s"])
            rows[name]["peak_bytes"] = process.peak_bytes()
    finally:
        for process in running.values():
            process.close()
    return rows, busy


@contextlib.contextmanager
def between(before, after):
    if before:
        subprocess.run(before, shell=True, check=True)
    try:
        yield
    finally:
        if after:
            subprocess.run(after, shell=True, check=True)


def main():
    options = arguments()
    work = options.work or Path(tempfile.mkdtemp(prefix="ndalbert-peers-"))
    directory = (work / options.model).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    prepare(directory, options.model, "checkpoint")
    contestants = list(starters(options, directory))
    result = begin(options, directory / "results.json")
    for case in options.cases.split(","):
        if case in result["cases"]:
            continue
        result["tokens"][case] = write_case(directory, options.model, case)
        if options.choose:
            for process in start_case(case, contestants, options, directory)[1].values():
                process.close()
            continue
        result["cases"][case], result["busy_meanwhile"][case] = measure_case(case, contestants, options, directory)
        result["prepared_s"] = {path.stem: json.loads(path.read_text())["seconds"] for path in sorted(directory.glob("*.done"))}
        # After each case, so that a run that is stopped is not lost.
        (directory / "results.json").write_text(results.as_text(result))
        if options.save:
            results.save(result)
    if options.choose:
        return
    text = table.markdown(result)
    (directory / "results.md").write_text(text)
    print(text)
    print(f"Written to results.json and results.md in {directory}", file=sys.stderr)
    wrong = [f"{case}, {name}: {row['wrong']}" for case, entries in result["cases"].items() for name, row in entries.items() if row.get("wrong")]
    if wrong:
        sys.exit("Outputs disagree:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
