"""Contestants as processes: those that stay, and this crate's example, which starts anew each time."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from prepare import NEEDS, OF_CASE

HERE = Path(__file__).resolve().parent
HOPELESS = 1.2  # A way whose second iteration takes so many times as long as the best one's is not tried for longer,
LONG = 1.0  # and neither is one whose iterations take so many seconds.


class Failed(Exception):
    pass


class LongLived:
    """A process that speaks the protocol of contestants.py and idles between rounds."""

    def __init__(self, command, patience, threads):
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "RAYON_NUM_THREADS": str(threads),
            "KMP_BLOCKTIME": "0",
            "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # so that compile times are true
            "PYTHONWARNINGS": "ignore",
        }
        self.patience = patience
        self.errors = tempfile.TemporaryFile("w+")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.errors, text=True, env=environment)
        try:
            self.load = self.receive(10 * patience)
            if "unavailable" in self.load:
                raise Failed(self.load["unavailable"])
        except Failed:
            self.close()
            raise

    def receive(self, seconds):
        deadline = time.monotonic() + seconds
        while select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            line = self.process.stdout.readline()
            if line.startswith("{"):  # libraries print, too
                return json.loads(line)
            if not line:
                self.errors.seek(0)
                raise Failed("it ended: " + (self.errors.read().strip().splitlines() or ["no message"])[-1][:200])
        raise Failed(f"no answer within {seconds:.0f} s")

    def ask(self, command, seconds):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.receive(seconds)

    def run(self, iterations):
        return self.ask(f"run {iterations}", 10 * self.patience)["seconds"]

    def dump(self, path):
        self.ask(f"dump {path}", 10 * self.patience)

    def second(self):
        return self.load["second_s"]

    def idle_share(self, seconds=0.5):
        """The part of one core that it uses while it should do nothing."""
        before = self.cpu_seconds()
        time.sleep(seconds)
        return (self.cpu_seconds() - before) / seconds

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Measure:
    """This crate: `examples/measure` or `measure_training`, one process per round, which warms up by itself."""

    def __init__(self, command, patience, threads, first=1):
        """`first` is how many iterations the first of them does; what comes of it is kept."""
        self.command = [str(word) for word in [*command, "--threads", threads]]
        self.patience = patience
        self.peak = 0
        first = self.start(first)
        self.load = first | {"compile_s": first["build_s"], "note": first["isa"]}
        self.seconds = first["median_s"]

    def start(self, iterations, *more):
        command = [*self.command, "--iterations", str(iterations), *more]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10 * self.patience)
        except subprocess.TimeoutExpired:
            raise Failed(f"no answer within {10 * self.patience:.0f} s") from None
        if done.returncode != 0:
            raise Failed((done.stderr.strip().splitlines() or ["no message"])[-1][:200])
        result = json.loads(done.stdout.strip().splitlines()[-1])
        self.peak = max(self.peak, result["peak_rss_bytes"])
        return result

    def run(self, iterations):
        return [self.start(iterations)["median_s"]]

    def dump(self, path):
        peak = self.peak
        self.start(1, "--dump", str(path))
        self.peak = peak  # without what writing the file may need

    def second(self):
        return self.seconds

    def idle_share(self):
        return 0.0

    def cpu_seconds(self):
        return 0.0  # it has ended, and counts as a child

    def peak_bytes(self):
        return self.peak

    def close(self):
        pass


def prepare(directory, model, step, case=None):
    """Runs prepare.py for a step and what it needs, where that was not done before."""
    for needed in NEEDS.get(step, []):
        prepare(directory, model, needed)
    arguments = [step, case] if step in OF_CASE else [step]
    name = "-".join(arguments)
    if not (directory / f"{name}.done").exists():
        print(f"preparing {name} …", file=sys.stderr)
        log = directory / f"{name}.log"
        command = [sys.executable, HERE / "prepare.py", directory, model, *arguments]
        with log.open("w") as file:
            if subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode != 0:
                sys.exit(f"preparing {name} failed:\n" + "\n".join(log.read_text().splitlines()[-5:]))


def build(manifest, target=None, *arguments):
    """Builds one executable with cargo and returns its path. Peers are built for this very processor, which this crate needs not be."""
    command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
    command += ["--manifest-path", str(manifest), *arguments]
    environment = dict(os.environ)
    if target:
        command += ["--target-dir", str(target)]
        environment["RUSTFLAGS"] = "-C target-cpu=native"
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"cargo could not build {manifest}")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [message["executable"] for message in messages if message.get("executable")][-1]


def fastest(starters, trial=1):
    """Starts each way of a contestant, {name: how}, and keeps the one that is fastest: its name and the process. Closes the others."""
    best, best_name, best_seconds, failure = None, None, float("inf"), None
    for name, start in starters.items():
        try:
            candidate = start()
        except Failed as error:
            failure = error
            continue
        seconds = candidate.second()
        if len(starters) > 1 and seconds < min(LONG, HOPELESS * best_seconds):
            count = max(1, min(20, int(trial / seconds)))
            seconds = min(seconds, *candidate.run(count))  # what disturbs can only make it slower
        print(f"  {name}: {1000 * seconds:.1f} ms", file=sys.stderr)
        if seconds < best_seconds:
            candidate, best, best_name, best_seconds = best, candidate, name, seconds
        if candidate is not None:
            candidate.close()
    if best is None:
        raise failure
    return best_name, best
