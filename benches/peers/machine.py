"""What the figures depend on: processor, versions, and what else ran."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path

import psutil

FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "bf16")
PACKAGES = ("torch", "transformers", "onnxruntime", "openvino", "nncf")
OTHERS = {"candle": "candle-core", "tract": "tract-onnx"}


def describe(extra="", packages=PACKAGES):
    entries = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    info = {key.strip(): value.strip() for key, value in entries}
    flags = info.get("flags", info.get("Features", "")).split()
    versions = {package: metadata.version(package).split("+")[0] for package in packages}
    for name in filter(None, extra.split(",")):
        versions[name] = locked_version(Path(__file__).parent / name / "Cargo.lock", OTHERS[name])
    return {
        "cpu": info.get("model name", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in flags],
        "missing": [flag for flag in FLAGS if flag not in flags and flag.startswith(("avx", "amx")) and "flags" in info],
        "versions": versions | {"python": platform.python_version()},
    }


def locked_version(lock, package):
    return lock.read_text().split(f'name = "{package}"\nversion = "')[1].split('"')[0]


def busy_share(seconds=3):
    """The part of all cores that is in use while nothing of ours runs."""
    return psutil.cpu_percent(seconds) / 100


class Watch:
    """How busy the machine was with other things, from its creation on."""

    def __init__(self):
        self.started, self.all, self.own = time.monotonic(), busy_seconds(), own_seconds()

    def share_of_others(self):
        """Call it when all children have ended: only those count as ours."""
        elapsed = (time.monotonic() - self.started) * psutil.cpu_count()
        others = (busy_seconds() - self.all) - (own_seconds() - self.own)
        return max(0.0, others / elapsed)


def busy_seconds():
    times = psutil.cpu_times()
    return sum(times[:3]) + times.irq + times.softirq  # user (guests included), nice, system


def own_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
