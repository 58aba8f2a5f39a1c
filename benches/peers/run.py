"""Compares this crate with PyTorch, ONNX Runtime, OpenVINO and, if asked for, candle and tract. See README.md."""

import argparse
import functools
import json
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

import agreement
import machine
import table
from cases import CASES, MODELS, output_of, write_case
from contestants import CONTESTANTS
from processes import HERE, Failed, LongLived, Measure, build, fastest, prepare
from rounds import check_idle, counts, take_turns

REFERENCE = "PyTorch eager"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="base")
    parser.add_argument("--cases", default=",".join(CASES), help="those named, or shapes such as 1x100; default: %(default)s")
    parser.add_argument("--only", default="", help="comma-separated beginnings of contestants' names; one that ends with $ is a whole name")
    parser.add_argument("--with", dest="extra", default="", help="candle,tract: builds and runs them, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each contestant in each round; one iteration at least")
    parser.add_argument("--patience", type=float, default=60, help="seconds; a contestant whose forward takes longer is left out")
    parser.add_argument("--work", type=Path, help="where models are kept; default: a new temporary directory")
    parser.add_argument("--measure", help="command instead of this crate's example `measure`")
    return parser.parse_args()


def starters(options, directory):
    """Name, precision, and for every case the ways to start it."""
    common = {"patience": options.patience, "threads": options.threads}
    measure = shlex.split(options.measure) if options.measure else None

    def wanted(name):
        return name == REFERENCE or not options.only or any(f"{name}$".startswith(part) for part in options.only.split(","))

    for precision in ("f32", "bf16", "int8"):
        name = f"ndalbert {precision}"
        if wanted(name):
            measure = measure or [build(HERE.parents[1] / "Cargo.toml", None, "--example", "measure")]

            def ours(case, precision=precision):
                ids = directory / f"{case}.ids.json"
                words = ["--model", directory, "--ids", ids, "--precision", precision, "--output", output_of(case)]
                return [lambda: Measure([*measure, *words], **common)]

            yield name, precision, ours
    for name, (precision, _, _, settings, step) in CONTESTANTS.items():
        if wanted(name):
            prepare(directory, options.model, step)

            def peer(case, name=name, settings=settings):
                for setting in settings:
                    words = [name, setting, directory, directory / f"{case}.json", options.threads]
                    command = [sys.executable, HERE / "contestants.py", *map(str, words)]
                    yield functools.partial(LongLived, command, **common)

            yield name, precision, peer
    for name in filter(None, options.extra.split(",")):
        if name == "tract":
            prepare(directory, options.model, "plain")
        executable = build(HERE / name / "Cargo.toml", directory.parent / f"cargo-{name}")

        def other(case, executable=executable):
            command = [executable, str(directory), str(directory / f"{case}.json"), str(options.threads)]
            return [functools.partial(LongLived, command, **common)]

        yield name, "f32", other


def measure_case(case, contestants, options, directory):
    """Starts all, checks that they agree, and lets them run in alternation. One row per contestant."""
    rows, running = {}, {}
    reference = directory / f"{case}.reference.f32"
    hidden = MODELS[options.model]["hidden_size"]
    try:
        for name, precision, ways in sorted(contestants, key=lambda entry: entry[0] != REFERENCE):
            row = rows[name] = {"precision": precision}
            try:
                process = fastest(list(ways(case)))
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
            row |= {key: process.load[key] for key in ("load_s", "compile_s", "note")}
        check_idle(running)
        turns = take_turns(running, counts(running, options.seconds), options.rounds, case)
        for name, rounds in turns.items():
            rows[name]["medians_s"] = [statistics.median(seconds) for seconds in rounds]
        for name, process in running.items():
            rows[name]["median_s"] = statistics.median(rows[name]["medians_s"])
            rows[name]["peak_bytes"] = process.peak_bytes()
    finally:
        for process in running.values():
            process.close()
    return rows


def main():
    options = arguments()
    work = options.work or Path(tempfile.mkdtemp(prefix="ndalbert-peers-"))
    directory = (work / options.model).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    prepare(directory, options.model, "checkpoint")
    contestants = list(starters(options, directory))
    result = {"model": options.model, "threads": options.threads, "rounds": options.rounds, "machine": machine.describe(options.extra)}
    result["busy_before"] = machine.busy_share()
    result["prepared_s"] = {path.stem: json.loads(path.read_text())["seconds"] for path in sorted(directory.glob("*.done"))}
    result["cases"], result["busy_meanwhile"] = {}, {}
    for case in options.cases.split(","):
        write_case(directory, options.model, case)
        watch = machine.Watch()
        result["cases"][case] = measure_case(case, contestants, options, directory)
        result["busy_meanwhile"][case] = watch.share_of_others()
        text = table.markdown(result)  # after each case, so that a run that is stopped is not lost
        (directory / "results.json").write_text(json.dumps(result, indent=1))
        (directory / "results.md").write_text(text)
    print(text)
    print(f"Written to results.json and results.md in {directory}", file=sys.stderr)
    wrong = [f"{case}, {name}: {row['wrong']}" for case, entries in result["cases"].items() for name, row in entries.items() if row.get("wrong")]
    if wrong:
        sys.exit("Outputs disagree:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
