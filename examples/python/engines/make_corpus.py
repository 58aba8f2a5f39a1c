"""Texts of plain files → a directory of Parquet files with columns `id` and `text`.

    python make_corpus.py OUTPUT FILE... [--count 100000] [--parts 16]

A line is a text; empty ones are left out. Where the files have fewer, they are gone through again.
"""

import argparse
import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("output", type=Path)
parser.add_argument("files", type=Path, nargs="+")
parser.add_argument("--count", type=int, default=100_000)
parser.add_argument("--parts", type=int, default=16)
options = parser.parse_args()

lines = [
    line.strip()
    for path in options.files
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.strip()
]
texts = list(itertools.islice(itertools.cycle(lines), options.count))
table = pa.table({"id": pa.array(range(len(texts)), pa.int64()), "text": texts})
options.output.mkdir(parents=True)
size = -(-len(texts) // options.parts)
for part in range(options.parts):
    path = options.output / f"part-{part:05}.parquet"
    pq.write_table(table.slice(part * size, size), path)
characters = sum(map(len, texts)) / len(texts)
print(f"{len(texts)} texts of {characters:.0f} characters on average, {options.parts} files")
