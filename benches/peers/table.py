"""Results as markdown."""

from cases import TRAINED
from results import PRECISIONS, ours


def fastest_peer(rows, precision):
    times = [row["median_s"] for name, row in rows.items() if row["precision"] == precision and "median_s" in row and not ours(name)]
    return min(times, default=None)


def line(cells):
    return "| " + " | ".join(cells) + " |"


def cell(row, best):
    """Milliseconds, and how they compare with the fastest peer of the same precision."""
    if "median_s" not in row:
        return "—"
    text = f"{1000 * row['median_s']:.1f}"
    if best:
        text += f" ({row['median_s'] / best:.2f})"
    return text + (" **wrong**" if row.get("wrong") else "")


def times(result):
    cases = result["cases"]
    names = list(dict.fromkeys(name for rows in cases.values() for name in rows))
    order = {name: index for index, name in enumerate(names)}
    precision = {name: next(rows[name]["precision"] for rows in cases.values() if name in rows) for name in names}
    names.sort(key=lambda name: (PRECISIONS.index(precision[name]), not ours(name), order[name]))
    lines = [line(["", "precision", *cases]), line(["---", "---", *["---:"] * len(cases)])]
    for name in names:
        cells = [cell(rows[name], fastest_peer(rows, precision[name])) for rows in cases.values()]
        lines.append(line([name, precision[name], *cells]))
    return names, lines


def most(rows, key):
    values = [row[key] for row in rows if row.get(key) is not None]
    return max(values, default=None)


def costs(result, names):
    """The worst over all cases: loading, first call, memory, agreement."""
    lines = [
        line(["", "load s", "compile s", "peak MB", "largest difference", "least cosine", "settings"]),
        line(["---", "---:", "---:", "---:", "---:", "---:", "---"]),
    ]
    for name in names:
        rows = {case: rows[name] for case, rows in result["cases"].items() if "median_s" in rows.get(name, {})}
        if not rows:
            continue
        chosen = settings(rows)
        rows = rows.values()
        lines.append(
            line(
                [
                    name,
                    f"{most(rows, 'load_s'):.2f}",
                    f"{most(rows, 'compile_s'):.2f}",
                    f"{most(rows, 'peak_bytes') / 1e6:.0f}",
                    f"{most(rows, 'difference') or 0:.2g}",
                    f"{min((row['cosine'] for row in rows if row['cosine'] is not None), default=0):.6f}",
                    chosen,
                ]
            )
        )
    return lines


def settings(rows):
    """The settings that were the fastest, and the ways to compute a batch in pieces, each with its cases."""
    found = {}
    for case, row in rows.items():
        found.setdefault(", ".join(filter(None, [row["setting"], row["way"]])), []).append(case)
    return "; ".join(f"{name}: {', '.join(cases)}" for name, cases in found.items())


def remarks(result):
    found = {}
    for case, rows in result["cases"].items():
        for name, row in rows.items():
            for key in ("unavailable", "wrong"):
                if row.get(key):
                    found.setdefault(f"{name}: {row[key]}", []).append(case)
    return [f"* {text} ({', '.join(cases)})" for text, cases in found.items()]


def processor(machine):
    """What the processor has and lacks, and versions."""
    return [
        f"{machine['cpu']}, {machine['cores']} cores; has {', '.join(machine['flags'])}"
        + (f"; lacks {', '.join(machine['missing'])}." if machine["missing"] else "."),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in machine["versions"].items()) + ".",
    ]


def markdown(result):
    names, time_lines = times(result)
    meanwhile = ", ".join(f"{case} {share:.0%}" for case, share in result["busy_meanwhile"].items())
    prepared = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in result["prepared_s"].items())
    return "\n".join(
        [
            f"ALBERT {result['model']}, {'trained' if result['model'] in TRAINED else 'random'} weights, {result['threads']} threads, medians of {result['rounds']} rounds in alternation.",
            *processor(result["machine"]),
            f"Other processes used {result['busy_before']:.0%} of the machine before the run; during rounds: {meanwhile}.",
            "",
            "Everyone at its fastest setting, and in the fastest way to compute a batch in pieces. Milliseconds, and in parentheses the ratio to the fastest peer of the same precision (less than 1 is faster):",
            "",
            *time_lines,
            "",
            "The worst over these cases; imports are not counted. Made beforehand, not counted either: " + prepared + ".",
            "",
            *costs(result, names),
            "",
            *remarks(result),
            "",
        ]
    )
