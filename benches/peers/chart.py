"""Draws results as bars, an SVG for docs/: those of `benches/results`, the newest of each processor, or those that are given.

    python chart.py OUTPUT.svg [RESULTS.json ...] [--cases 8x128,mixed]

A panel for each processor, in it a group for each case, a column for each precision, and a row for each library, whose fastest contestant is drawn. The longest
bar of each group fills its column.
"""

import argparse
import json
from pathlib import Path
from xml.sax.saxutils import escape

import results
from results import PRECISIONS, ours

WIDTH, MARGIN, GAP, NAMES = 860, 20, 18, 104
TITLE, PANEL, CASE, ROW, BAR = 58, 58, 30, 18, 14
INSIDE = 46  # Bars that are shorter have their number behind them.
OURS, FASTEST, PEER, GRAY, LINE = "#0072b2", "#aab2bd", "#d5d9df", "#5a6069", "#e2e4e8"
FONTS = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
LIBRARIES = ("ONNX Runtime", "PyTorch")  # of several contestants
FLAGS = {"avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "AVX-VNNI", "avx512_bf16": "BF16", "amx_tile": "AMX"}


def text(x, y, content, size=12, color="#000", anchor="start", bold=False):
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" text-anchor="{anchor}"{weight}>{escape(content)}</text>'


def rectangle(x, y, width, height, color):
    return f'<rect x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}" fill="{color}"/>'


def library(name):
    for word in (*LIBRARIES, *PRECISIONS):
        name = word if word in LIBRARIES and name.startswith(word) else name.removesuffix(f" {word}")
    return name


def speeds(rows, tokens, precision):
    """Tokens per second of each library that took part and was right, at its fastest."""
    found = {}
    for name, row in rows.items():
        if row["precision"] == precision and "median_s" in row and not row.get("wrong"):
            found[library(name)] = max(found.get(library(name), 0), tokens / row["median_s"])
    return found


def title_of(case):
    """8x128 in words; other names speak for themselves."""
    count, _, length = case.partition("x")
    if not (count.isdigit() and length.isdigit()):
        return {"mixed": "32 sequences of 8 to 128 tokens", "pooled": "8 × 128 tokens, pooled output only"}.get(case, case)
    return f"{count} × {length} tokens"


def bars(found, names, x, y, width):
    """One bar per library. Ours says, too, how many times as fast as the fastest peer it is."""
    fastest = max((speed for name, speed in found.items() if not ours(name)), default=None)
    for row, name in enumerate(names):
        top = y + ROW * row
        if name not in found:
            yield text(x, top + 11, "–", 11, GRAY)
            continue
        speed = found[name]
        length = width * speed / max(found.values())
        yield rectangle(x, top, length, BAR, OURS if ours(name) else FASTEST if speed == fastest else PEER)
        inside = length >= INSIDE
        color = "#fff" if ours(name) and inside else "#000"
        yield text(x + length + (-5 if inside else 5), top + 11, f"{speed:,.0f}", 11, color, "end" if inside else "start", ours(name))
        if ours(name) and fastest:
            yield text(x + 5, top + 11, f"{speed / fastest:.2f} ×", 11, "#fff", bold=True)


def panel(result, cases, y):
    """The parts, and where the panel ends."""
    groups = {case: {precision: speeds(result["cases"][case], result["tokens"][case], precision) for precision in PRECISIONS} for case in cases}
    columns = [precision for precision in PRECISIONS if any(group[precision] for group in groups.values())]
    found = dict.fromkeys(name for group in groups.values() for column in columns for name in group[column])
    first = groups[cases[0]][columns[0]]
    names = sorted(found, key=lambda name: (not ours(name), -first.get(name, 0)))
    width = (WIDTH - 2 * MARGIN - NAMES - GAP * (len(columns) - 1)) / len(columns)
    xs = [MARGIN + NAMES + (width + GAP) * index for index in range(len(columns))]
    processor = result["machine"]
    has = [name for flag, name in FLAGS.items() if flag in processor["flags"]]
    place = ", ".join([f"{result['threads']} threads", *has, f"medians of {result['rounds']} rounds in alternation", result["date"]])
    parts = [text(MARGIN, y + 14, results.title(processor), 14, bold=True), text(MARGIN, y + 31, place, color=GRAY)]
    parts += [text(x, y + PANEL - 4, precision, 13, bold=True) for x, precision in zip(xs, columns)]
    y += PANEL
    for case, group in groups.items():
        parts.append(f'<path d="M{MARGIN} {y + 4}H{WIDTH - MARGIN}" stroke="{LINE}"/>')
        parts.append(text(MARGIN, y + 21, title_of(case), 12, GRAY))
        parts += [text(MARGIN + NAMES - 8, y + CASE + ROW * row + 11, name, anchor="end", bold=ours(name)) for row, name in enumerate(names)]
        for x, precision in zip(xs, columns):
            parts += bars(group[precision], names, x, y + CASE, width)
        y += CASE + ROW * len(names) + 6
    return parts, y


def chart(all_results, cases):
    model = all_results[0]["model"]
    title = f"ALBERT {model}: tokens per second, longer is faster"
    legend = "n × : times as fast as the fastest peer. Every column of every group has its own scale."
    parts, y = [text(MARGIN, 28, title, 17), text(MARGIN, 46, legend, color=GRAY)], TITLE
    for result in all_results:
        more, y = panel(result, cases, y + 12)
        parts += more
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 8}" viewBox="0 0 {WIDTH} {y + 8}" role="img" font-family="{FONTS}">',
            f"<title>{escape(title)}</title>",
            rectangle(0, 0, WIDTH, y + 8, "#fff"),
            *parts,
            "</svg>\n",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("results", type=Path, nargs="*")
    parser.add_argument("--cases", default="8x128,mixed", help="which, and in which order; default: %(default)s")
    options = parser.parse_args()
    found = [json.loads(path.read_text()) for path in options.results] or results.latest()
    cases = options.cases.split(",")
    for result in found:
        missing = [case for case in cases if case not in result["cases"]]
        if missing:
            parser.error(f"the results of {results.title(result['machine'])} have no case {', '.join(missing)}, only {', '.join(result['cases'])}")
    if not found:
        parser.error("there are no results yet: run.py --save")
    options.output.write_text(chart(found, cases))


if __name__ == "__main__":
    main()
