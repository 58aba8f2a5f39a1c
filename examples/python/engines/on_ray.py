"""Parquet → embeddings → Parquet with Ray Data, on two nodes of this machine that talk over the loopback address.

    python on_ray.py MODEL INPUT OUTPUT [--precision int8] [--kill]

Each worker is an actor, which loads the model once, when it is made. With --kill, one of them is killed while it works:
Ray makes another, which loads the model again, and what the first had begun is computed anew.
"""

import argparse
import atexit
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import ray

#: Of the head node.
PORT = 6399

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("model", type=Path)
parser.add_argument("input", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--precision", default="f32")
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--threads", type=int, default=1, help="of each worker")
parser.add_argument("--kill", action="store_true", help="kill a worker while it works")
options = parser.parse_args()


class Embed:
    """A worker."""

    def __init__(self, model, precision, threads, notes):
        import ndalbert

        ndalbert.set_num_threads(threads)
        self.embed = ndalbert.pipeline("feature-extraction", model, precision=precision)
        self.note = Path(notes) / f"{os.getpid()}"
        node = ray.get_runtime_context().get_node_id()
        self.note.with_suffix(".loaded").write_text(node)

    def __call__(self, table: pa.Table) -> pa.Table:
        answers = pa.table({"id": table["id"], "embedding": self.embed(table["text"])})
        with self.note.with_suffix(".batches").open("a") as note:
            note.write(f"{table.num_rows}\n")
        return answers


def kill_one(notes: Path, killed: list[int]) -> None:
    """Kills the first worker that has answered three batches, as the system does when memory runs out."""
    while not killed:
        for note in notes.glob("*.batches"):
            if len(note.read_text().splitlines()) >= 3:
                killed.append(int(note.stem))
                os.kill(killed[0], signal.SIGKILL)
                return
        time.sleep(0.05)


def start(*arguments: str) -> subprocess.Popen:
    """Starts a node: what `ray start` does on each machine. It has twice the cores that workers take, so that reading and
    writing do not wait for a worker to end."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments]
    command += ["--node-ip-address=127.0.0.1", f"--num-cpus={options.workers}"]
    command += [f"--object-store-memory={256 << 20}", "--disable-usage-stats"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


nodes = [start("--head", f"--port={PORT}", "--include-dashboard=false")]
atexit.register(lambda: [node.terminate() for node in nodes])
nodes.append(start(f"--address=127.0.0.1:{PORT}"))
ray.init(
    address=f"127.0.0.1:{PORT}",
    _node_ip_address="127.0.0.1",
    log_to_driver=False,
    logging_level="warning",
)
while len([node for node in ray.nodes() if node["Alive"]]) < len(nodes):
    time.sleep(0.2)
ray.data.DataContext.get_current().enable_progress_bars = False
logging.getLogger("ray.data").setLevel(logging.WARNING)
print(f"Ray {ray.__version__}, {len(ray.nodes())} nodes")

with tempfile.TemporaryDirectory() as place:
    notes, killed = Path(place), []
    if options.kill:
        threading.Thread(target=kill_one, args=(notes, killed), daemon=True).start()
    begin = time.perf_counter()
    # Blocks are what is handed out, and what is computed again when a worker is lost.
    texts = ray.data.read_parquet(str(options.input.resolve()))
    texts.repartition(target_num_rows_per_block=2048).map_batches(
        Embed,
        fn_constructor_args=(
            str(options.model.resolve()),
            options.precision,
            options.threads,
            place,
        ),
        batch_format="pyarrow",
        batch_size=1024,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=options.workers),
    ).write_parquet(str(options.output.resolve()))
    seconds = time.perf_counter() - begin
    loads = {path.stem: path.read_text()[:8] for path in notes.glob("*.loaded")}
    batches = {path.stem: len(path.read_text().splitlines()) for path in notes.glob("*.batches")}

count = ray.data.read_parquet(str(options.output.resolve())).count()
print(f"Ray: {count} texts in {seconds:.1f} s, {count / seconds:.0f} a second, with start-up")
for process, where in loads.items():
    end = ", killed" if int(process) in killed else ""
    print(f"  process {process} on node {where}: model loaded once, {batches.get(process, 0)} batches{end}")
ray.shutdown()
if options.kill and not killed:
    raise SystemExit("no worker was killed: give more texts")
