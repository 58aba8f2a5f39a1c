"""Parquet → embeddings → Parquet with Spark's mapInArrow, on a local cluster: two workers, each a process of its own.

    python on_spark.py MODEL INPUT OUTPUT [--precision int8] [--kill]

Needs Java 17 or later (Debian: default-jre-headless). Spark keeps its Python processes, and `shared_pipeline` loads the
model once in each. With --kill, one of them is killed while it works: Spark tries its task again in another.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from pyspark.sql import SparkSession

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("model", type=Path)
parser.add_argument("input", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--precision", default="f32")
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--threads", type=int, default=1, help="of each worker")
parser.add_argument("--kill", action="store_true", help="kill a Python process while it works")
options = parser.parse_args()


def embedder(model: str, precision: str, notes: str):
    """The function for mapInArrow. It takes strings alone with it, no model."""

    def embed(batches):
        import os
        from pathlib import Path

        import ndalbert
        import pyarrow as pa

        note = Path(notes) / f"{os.getpid()}"
        before = ndalbert.shared_pipeline.cache_info().misses
        pipeline = ndalbert.shared_pipeline("feature-extraction", model, precision=precision)
        if ndalbert.shared_pipeline.cache_info().misses > before:
            with note.with_suffix(".loaded").open("a") as loads:
                loads.write("loaded\n")
        for batch in batches:
            # Spark has no lists of a fixed size.
            vectors = pipeline(batch["text"]).cast(pa.list_(pa.float32()))
            yield pa.RecordBatch.from_arrays([batch["id"], vectors], ["id", "embedding"])
            with note.with_suffix(".batches").open("a") as done:
                done.write(f"{batch.num_rows}\n")

    return embed


def kill_one(notes: Path, killed: list[int]) -> None:
    """Kills the first process that has answered three batches, as the system does when memory runs out."""
    while not killed:
        for note in notes.glob("*.batches"):
            if len(note.read_text().splitlines()) >= 3:
                killed.append(int(note.stem))
                os.kill(killed[0], signal.SIGKILL)
                return
        time.sleep(0.05)


os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
spark = (
    SparkSession.builder.master(f"local-cluster[{options.workers},1,1024]")
    .appName("ndalbert")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false")
    .config("spark.executor.memory", "512m")
    .config("spark.executorEnv.RAYON_NUM_THREADS", str(options.threads))
    .config("spark.sql.execution.arrow.maxRecordsPerBatch", "2048")
    .config("spark.sql.files.maxPartitionBytes", str(256 << 10))
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
print(f"Spark {spark.version}, {spark.sparkContext.master}")

with tempfile.TemporaryDirectory() as place:
    notes, killed = Path(place), []
    if options.kill:
        threading.Thread(target=kill_one, args=(notes, killed), daemon=True).start()
    begin = time.perf_counter()
    texts = spark.read.parquet(str(options.input.resolve()))
    function = embedder(str(options.model.resolve()), options.precision, place)
    answers = texts.mapInArrow(function, "id long, embedding array<float>")
    answers.write.parquet(str(options.output.resolve()))
    seconds = time.perf_counter() - begin
    loads = {path.stem: len(path.read_text().splitlines()) for path in notes.glob("*.loaded")}
    batches = {path.stem: len(path.read_text().splitlines()) for path in notes.glob("*.batches")}

count = spark.read.parquet(str(options.output.resolve())).count()
print(f"Spark: {count} texts in {seconds:.1f} s, {count / seconds:.0f} a second, with start-up")
for process, times in loads.items():
    end = ", killed" if int(process) in killed else ""
    print(f"  process {process}: model loaded {times} time(s), {batches.get(process, 0)} batches{end}")
spark.stop()
if options.kill and not killed:
    raise SystemExit("no process was killed: give more texts")
