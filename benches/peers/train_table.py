"""Results of train.py as markdown."""

import statistics

from table import line, processor

# What the others are compared with, of the same precision where it took part.
REFERENCES = {"f32": "PyTorch eager f32", "bf16": "PyTorch bf16 autocast"}


def speed_up(rows, name, reference):
    """How many times as fast as the reference: the median over rounds, within which both had the same machine."""
    if "medians_s" not in rows.get(reference, {}):
        return "—"
    ratios = [theirs / own for theirs, own in zip(rows[reference]["medians_s"], rows[name]["medians_s"])]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def cells(rows, name):
    row = rows[name]
    reference = rows[REFERENCES["f32"]]
    losses = row["losses"]
    return [
        name + (" **wrong**" if row.get("wrong") else ""),
        f"{1000 * row['median_s']:.0f}",
        speed_up(rows, name, REFERENCES["f32"]),
        speed_up(rows, name, REFERENCES["bf16"]),
        f"{row['peak_bytes'] / 1e6:.0f}",
        f"{row['peak_bytes'] / reference['peak_bytes']:.2f}",
        f"{losses[0]:.4f} → {losses[-1]:.4f}",
        f"{row['difference']:.1e}",
        row["note"],
    ]


def markdown(result):
    rows = result["rows"]
    shape = f"{result['batch']}×{result['seq']}"
    steps = len(rows[REFERENCES["f32"]]["losses"])
    header = ["", "step, ms", "× PyTorch eager", "× PyTorch bf16", "peak MB", "of PyTorch eager's", "loss", "largest difference", "setting"]
    lines = [line(header), line(["---", *["---:"] * 7, "---"])]
    lines += [line(cells(rows, name)) for name, row in rows.items() if "median_s" in row]
    remarks = [f"* {name}: {row[key]}" for name, row in rows.items() for key in ("unavailable", "wrong") if row.get(key)]
    imports = ", ".join(f"{name} {row['imports_bytes'] / 1e6:.0f} MB" for name, row in rows.items() if row.get("imports_bytes"))
    return "\n".join(
        [
            f"A step of pre-training ALBERT {result['model']} (masked LM and sentence order, AdamW, gradients clipped, no dropout), {shape}, random weights, "
            f"{result['threads']} threads, medians of {result['rounds']} rounds in alternation.",
            *processor(result["machine"]),
            f"Other processes used {result['busy_before']:.0%} of the machine before the run, {result['busy_meanwhile']:.0%} during it.",
            "",
            "× is how many times as fast: the median over rounds of the ratio within a round, with the least and the largest. Peak memory is that of the "
            f"whole process; what was resident once everything was imported: {imports}. Losses are those of the first and of step {steps}; the largest "
            "difference of all of these from PyTorch eager f32 is given as a part of them.",
            "",
            *lines,
            "",
            *remarks,
            "",
        ]
    )
