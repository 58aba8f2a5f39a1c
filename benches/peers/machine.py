"""What the figures depend on: processor, versions, and what else ran."""

import os
import platform
import subprocess
import time
import tomllib
from importlib import metadata
from pathlib import Path

import psutil

FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "bf16")
PACKAGES = ("torch", "transformers", "onnxruntime", "openvino", "nncf", "ctranslate2")
OTHERS = {"candle": "candle-core", "tract": "tract-onnx", "rten": "rten"}
HERE = Path(__file__).resolve().parent
# Vendor and family: the first model of each, in ascending order. Virtual machines often tell no more than "EPYC" or "Xeon".
MICROARCHITECTURES = {
    ("AuthenticAMD", 23): {0: "Zen", 0x30: "Zen 2"},
    ("AuthenticAMD", 25): {0: "Zen 3", 0x10: "Zen 4", 0x20: "Zen 3", 0x60: "Zen 4"},
    ("AuthenticAMD", 26): {0: "Zen 5"},
    ("GenuineIntel", 6): {85: "Skylake-SP", 86: "", 106: "Ice Lake-SP", 109: "", 143: "Sapphire Rapids", 144: "", 173: "Granite Rapids", 175: "", 207: "Emerald Rapids", 208: ""},
}


def describe(extra="", packages=PACKAGES):
    entries = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    info = {key.strip(): value.strip() for key, value in entries}
    flags = info.get("flags", info.get("Features", "")).split()
    versions = {"ndalbert": crate_version()}
    versions |= {package: version for package in packages if (version := installed_version(package))}
    for name in filter(None, extra.split(",")):
        versions[name] = locked_version(HERE / name / "Cargo.lock", OTHERS[name])
    return {
        "cpu": info.get("model name", platform.machine()),
        "microarchitecture": microarchitecture(info),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "flags": [flag for flag in FLAGS if flag in flags],
        "missing": [flag for flag in FLAGS if flag not in flags and flag.startswith(("avx", "amx")) and "flags" in info],
        "system": f"{platform.system()} {platform.release()}",
        "versions": versions | {"python": platform.python_version()},
    }


def microarchitecture(info):
    """The vendor's name for this kind of core; where it is not known, the numbers that identify it."""
    if "vendor_id" not in info:
        return platform.machine()
    family, model = int(info["cpu family"]), int(info["model"])
    since = MICROARCHITECTURES.get((info["vendor_id"], family), {})
    name = since[max(first for first in since if first <= model)] if any(first <= model for first in since) else ""
    return name or f"family {family} model {model}"


def crate_version():
    return tomllib.loads((HERE.parents[1] / "Cargo.toml").read_text())["package"]["version"]


def commit():
    """Of this repository; None if it is not one."""
    done = subprocess.run(["git", "-C", HERE, "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or None


def installed_version(package):
    try:
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


def locked_version(lock, package):
    return lock.read_text().split(f'name = "{package}"\nversion = "')[1].split('"')[0]


def busy_share(seconds=3):
    """The part of all cores that is in use while nothing of ours runs."""
    return psutil.cpu_percent(seconds) / 100


class Watch:
    """How busy the machine was with other things, from its creation on. Ours are this process, children that ended, and those that are given."""

    def __init__(self, running=()):
        self.running = running
        self.started, self.all, self.own = time.monotonic(), busy_seconds(), self.own_seconds()

    def share_of_others(self):
        elapsed = (time.monotonic() - self.started) * psutil.cpu_count()
        others = (busy_seconds() - self.all) - (self.own_seconds() - self.own)
        return max(0.0, others / elapsed)

    def own_seconds(self):
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return own + sum(process.cpu_seconds() for process in self.running)


def busy_seconds():
    times = psutil.cpu_times()
    return sum(times[:3]) + times.irq + times.softirq  # user (guests included), nice, system
