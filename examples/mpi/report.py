#!/usr/bin/env python3
"""Tables and the picture of docs/distributed.md, from what measure.sh has measured.

    examples/mpi/report.py RESULTS.jsonl [PICTURE.svg]
"""

import json
import math
import sys
from html import escape

PAPER = {"base": 5.6, "bert-base": 4.7, "large": 1.7, "bert-large": 1.0}
PAIRS = [("base", "bert-base"), ("large", "bert-large")]
NAMES = {"base": "ALBERT-base", "bert-base": "BERT-base", "large": "ALBERT-large", "bert-large": "BERT-large"}
GIGABITS = {"1gbit": 1, "10gbit": 10}
MACHINES = [2, 16, 64]

# Of a step on one machine, about how much is the backward pass: two of its three products.
BACKWARD = 2 / 3


def read(path):
    runs = [json.loads(line) for line in open(path)]
    return {(run["preset"], run.get("ranks", 1), run.get("link"), run.get("gradients")): run for run in runs}


class Exchange:
    """Seconds for what is sent: a part goes with the link's rate, the other is the processor's work.

    Both parts are those of BERT-base's exchanges at two rates.
    """

    def __init__(self, runs):
        slow, fast = (runs["bert-base", 2, link, "f32"] for link in GIGABITS)
        per_gigabit = [run["exchange_s"] / gigabits(run["bytes_sent"]) for run in (slow, fast)]
        self.link = (per_gigabit[0] - per_gigabit[1]) / (1 - 1 / 10)
        self.work = per_gigabit[0] - self.link

    def seconds(self, parameters, machines, rate):
        return gigabits(sent(parameters, machines)) * (self.link / rate + self.work)


def gigabits(count):
    return count * 8 / 1e9


def sent(parameters, machines):
    """Bytes that a machine sends in a step."""
    return 2 * (1 - 1 / machines) * 4 * parameters


class Model:
    def __init__(self, runs, preset):
        alone = runs[preset, 1, None, None]
        self.name, self.paper, self.rule = NAMES[preset], PAPER[preset], Exchange(runs)
        self.parameters, self.alone = alone["parameters"], alone["median_s"]
        keys = {link: (preset, 2, link, "f32") for link in GIGABITS}
        self.measured = {link: runs[key] for link, key in keys.items() if key in runs}
        self.others = [runs[key] for key in [(preset, 2, "1gbit", "bf16"), (preset, 4, "1gbit", "f32")] if key in runs]

    def exchange(self, machines, rate):
        return self.rule.seconds(self.parameters, machines, rate)

    def step(self, machines, rate):
        return self.alone + self.exchange(machines, rate)

    def overlapped(self, machines, rate):
        """A bound: the whole backward pass hides what is exchanged."""
        return self.alone + max(0, self.exchange(machines, rate) - BACKWARD * self.alone)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def measured(models):
    rows = []
    for model in models.values():
        for link, rate in GIGABITS.items():
            run = model.measured.get(link)
            count = run["bytes_sent"] if run else sent(model.parameters, 2)
            exchange = run["exchange_s"] if run else model.exchange(2, rate)
            step = model.alone + exchange
            rows.append([f"{model.name}, {rate} Gbit/s", f"{count / 1e6:.0f}", f"{model.alone:.2f}",
                         f"{exchange:.2f}" + ("" if run else " (by the formula)"),
                         f"{gigabits(count) / exchange:.2f}", f"{step:.2f}", f"{100 * exchange / step:.0f} %"])
    return table(["2 ranks", "MB sent by each", "step of one, s", "exchange, s", "Gbit/s reached", "both, s",
                  "share of exchange"], rows)


def others(models):
    rows = []
    for model in models.values():
        for run in model.others:
            exchange = run["exchange_s"]
            rows.append([f"{model.name}, {run['ranks']} ranks, {run['gradients']}", f"{run['bytes_sent'] / 1e6:.0f}",
                         f"{exchange:.2f}", f"{gigabits(run['bytes_sent']) / exchange:.2f}"])
    return table(["1 Gbit/s", "MB sent by each", "exchange, s", "Gbit/s reached"], rows)


def predicted(models):
    rows = []
    for albert, bert in PAIRS:
        a, b = models[albert], models[bert]
        for rate in GIGABITS.values():
            row = [f"{a.name} / {b.name}, {rate} Gbit/s", f"{b.alone / a.alone:.2f}×"]
            row += [f"{b.step(n, rate) / a.step(n, rate):.2f}×" for n in MACHINES]
            row += [f"{b.overlapped(64, rate) / a.step(64, rate):.2f}×", f"{a.paper / b.paper:.2f}×"]
            rows.append(row)
    header = ["", "1 machine", *(f"{n} machines" for n in MACHINES), "64, BERT's hidden", "paper"]
    return table(header, rows)


def others(models):
    rows = []
    for model in models.values():
        for run in model.others:
            exchange, megabytes = run["exchange_s"], run["bytes_sent"] / 1e6
            rows.append([f"{model.name}, {run['ranks']} ranks, {run['gradients']}", f"{megabytes:.0f}",
                         f"{exchange:.2f}", f"{megabytes * 8 / 1e3 / exchange:.2f}"])
    return table(["1 Gbit/s", "MB sent by each rank", "exchange, s", "Gbit/s reached"], rows)


WIDTH, HEIGHT, TOP, LEFT, PANEL = 860, 400, 60, 60, 350
RATES = (0.5, 100)
COLORS = {True: "rgb(0,114,178)", False: "rgb(213,94,0)"}


def picture(models):
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="12">',
           "<title>Time of a training step against the speed of the link</title>",
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="24" font-size="16">Time of a training step against the speed of the link</text>']
    for index, pair in enumerate(PAIRS):
        panel(out, LEFT + index * (PANEL + 60), [models[preset] for preset in pair])
    return "\n".join(out) + "\n</svg>\n"


def panel(out, left, models):
    top, bottom, right = TOP, HEIGHT - 50, left + PANEL
    times = [model.step(n, rate) for model in models for n in (2, 64) for rate in RATES]
    low, high = math.log10(min(times) * 0.8), math.log10(max(times) * 1.25)
    x = lambda rate: left + PANEL * math.log(rate / RATES[0]) / math.log(RATES[1] / RATES[0])
    y = lambda time: bottom - (bottom - top) * (math.log10(time) - low) / (high - low)
    text = lambda at, label, anchor="start", color="black": out.append(
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" fill="{color}">{escape(label)}</text>')
    line = lambda points, color, width, dash="": out.append(
        f'<polyline fill="none" stroke="{color}" stroke-width="{width}"{dash} points="'
        + " ".join(f"{px:.1f},{py:.1f}" for px, py in points) + '"/>')
    for rate in (0.5, 1, 2.5, 10, 25, 100):
        line([(x(rate), top), (x(rate), bottom)], "#e2e4e8", 1)
        text((x(rate), bottom + 18), f"{rate:g}", "middle", "#555")
    for time in (t * 10 ** e for e in range(-2, 4) for t in (1, 2, 5)):
        if low <= math.log10(time) <= high:
            line([(left, y(time)), (right, y(time))], "#e2e4e8", 1)
            text((left - 6, y(time) + 4), f"{time:g}", "end", "#555")
    text(((left + right) / 2, HEIGHT - 12), "Gbit/s", "middle", "#555")
    text((left, top - 10), "seconds", "start", "#555")
    rates = [RATES[0] * (RATES[1] / RATES[0]) ** (i / 80) for i in range(81)]
    for index, model in enumerate(models):
        color = COLORS[index == 0]
        for machines, dash in [(2, ""), (64, ' stroke-dasharray="6 4"')]:
            line([(x(rate), y(model.step(machines, rate))) for rate in rates], color, 1.8, dash)
            at = top + 16 + 18 * (2 * index + (machines == 64))
            line([(right - 190, at - 4), (right - 166, at - 4)], color, 1.8, dash)
            text((right - 160, at), f"{model.name}, {machines} machines")
        for link, run in model.measured.items():
            time = model.alone + run["exchange_s"]
            out.append(f'<circle cx="{x(GIGABITS[link]):.1f}" cy="{y(time):.1f}" r="4" fill="{color}"/>')


def main():
    runs = read(sys.argv[1])
    models = {preset: Model(runs, preset) for pair in PAIRS for preset in pair}
    rule = models["base"].rule
    print(f"exchange: {rule.link:.3f} / rate + {rule.work:.3f} seconds for 10⁹ bits\n")
    print(measured(models))
    print(others(models))
    print(predicted(models))
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            file.write(picture(models))


main()
