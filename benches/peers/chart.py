"""Draws results.json of run.py as bars, an SVG for docs/: python chart.py DIR/base/results.json OUTPUT.svg [--cases 8x128,1x16]"""

import argparse
import json
from pathlib import Path
from xml.sax.saxutils import escape

from table import PRECISIONS, ours

WIDTH, MARGIN, GAP = 860, 20, 22
HEADER, CASE, ROW, BAR = 84, 34, 20, 14
LABEL, NUMBER = 130, 58  # beside a bar: the name, the milliseconds
OURS, PEER, GRAY = "#0072b2", "#c9ced6", "#5a6069"
FONTS = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


def text(x, y, content, size=12, color="#000", anchor="start", bold=False):
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" text-anchor="{anchor}"{weight}>{escape(content)}</text>'


def rectangle(x, y, width, height, color):
    return f'<rect x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height}" fill="{color}"/>'


def measured(rows, precision):
    """Names and milliseconds of those who took part and were right, the fastest first."""
    found = [
        (name.removesuffix(f" {precision}"), 1000 * row["median_s"], ours(name))
        for name, row in rows.items()
        if row["precision"] == precision and "median_s" in row and not row.get("wrong")
    ]
    return sorted(found, key=lambda entry: entry[1])


def title_of(case):
    """8x128 in words; other names speak for themselves."""
    count, _, length = case.partition("x")
    if not (count.isdigit() and length.isdigit()):
        return {"mixed": "32 sequences of 8 to 128 tokens", "pooled": "8 × 128 tokens, pooled output only"}.get(case, case)
    return f"{count} × {length} tokens"


def bars(entries, x, y, width, longest):
    """One bar per contestant, below each other; all of a case have one scale."""
    for index, (name, milliseconds, is_ours) in enumerate(entries):
        top = y + ROW * index
        length = (width - LABEL - NUMBER) * milliseconds / longest
        digits = 0 if milliseconds >= 100 else 1
        yield text(x + LABEL - 8, top + 11, name, anchor="end", bold=is_ours)
        yield rectangle(x + LABEL, top, max(length, 1), BAR, OURS if is_ours else PEER)
        yield text(x + LABEL + length + 6, top + 11, f"{milliseconds:.{digits}f}", bold=is_ours)


def chart(result, cases):
    columns = [p for p in PRECISIONS if any(measured(result["cases"][case], p) for case in cases)]
    width = (WIDTH - 2 * MARGIN - GAP * (len(columns) - 1)) / len(columns)
    machine = result["machine"]
    title = f"ALBERT {result['model']}, {result['threads']} threads: milliseconds, shorter is faster"
    flags = [name for flag, name in (("avx512f", "AVX-512"), ("avx512_vnni", "VNNI"), ("avx512_bf16", "BF16")) if flag in machine["flags"]]
    place = f"{machine['cpu']}, {machine['cores']} cores" + (f", {', '.join(flags)}" if flags else "")
    parts = [text(MARGIN, 28, title, 17), text(MARGIN, 48, f"{place}; medians of {result['rounds']} rounds in alternation", color=GRAY)]
    xs = [MARGIN + (width + GAP) * index for index in range(len(columns))]
    parts += [text(x, HEADER - 8, precision, 13, bold=True) for x, precision in zip(xs, columns)]
    y = HEADER
    for case in cases:
        groups = [measured(result["cases"][case], precision) for precision in columns]
        longest = max((milliseconds for group in groups for _, milliseconds, _ in group), default=1)
        parts.append(f'<path d="M{MARGIN} {y + 4}H{WIDTH - MARGIN}" stroke="#e2e4e8"/>')
        parts.append(text(MARGIN, y + 22, title_of(case), 12, GRAY))
        for x, group in zip(xs, groups):
            parts += bars(group, x, y + CASE, width, longest)
        y += CASE + ROW * max(map(len, groups)) + 6
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--cases", help="which, and in which order; default: all that were run")
    options = parser.parse_args()
    result = json.loads(options.results.read_text())
    cases = options.cases.split(",") if options.cases else list(result["cases"])
    missing = [case for case in cases if case not in result["cases"]]
    if missing:
        parser.error(f"{options.results} has no case {', '.join(missing)}, only {', '.join(result['cases'])}")
    options.output.write_text(chart(result, cases))


if __name__ == "__main__":
    main()
