"""Parquet → embeddings → Parquet, in one process: what Ray and Spark are compared with.

    python one_process.py MODEL INPUT OUTPUT [--precision int8] [--threads N]
"""

import argparse
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

import ndalbert

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("model", type=Path)
parser.add_argument("input", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--precision", default="f32")
parser.add_argument("--threads", type=int)
options = parser.parse_args()

if options.threads:
    ndalbert.set_num_threads(options.threads)
embed = ndalbert.pipeline("feature-extraction", options.model, precision=options.precision)
options.output.mkdir(parents=True)
begin, count, writer = time.perf_counter(), 0, None
for batch in ds.dataset(options.input).to_batches(batch_size=4096):
    if batch.num_rows == 0:
        continue
    answers = pa.table({"id": batch["id"], "embedding": embed(batch["text"])})
    if writer is None:
        writer = pq.ParquetWriter(options.output / "part-00000.parquet", answers.schema)
    writer.write_table(answers)
    count += answers.num_rows
if writer:
    writer.close()
seconds = time.perf_counter() - begin
print(f"one process: {count} texts in {seconds:.1f} s, {count / seconds:.0f} a second")
