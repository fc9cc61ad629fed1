"""What a training ran on: device, processor, software, and what else may change bits or speed."""

import functools
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import jax

from grokjax.core.run import PRNG

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
CPU_INFO = Path("/proc/cpuinfo")  # of Linux


def machine() -> dict[str, Any]:
    """What trains, for JSON."""
    device = jax.local_devices()[0]
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "device": f"{jax.local_device_count()} x {device.device_kind} ({device.platform})",
        "versions": {"python": platform.python_version(), **versions},
        "git_commit": _git_commit(),
        "processor": processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "prng": PRNG,
    }


@functools.cache
def processor() -> str:
    """The name of the processor; with its family and model where the name has no number.

    Virtual machines call both a Zen 4 and a Zen 5 `AMD EPYC`, which differ in speed and in bits.
    """
    info = CPU_INFO.read_text("utf-8", "replace") if CPU_INFO.is_file() else ""
    facts = dict(re.findall(r"^(model name|cpu family|model)\s*: (.+)$", info, re.MULTILINE))
    name = facts.get("model name") or platform.processor() or platform.machine()
    if re.search(r"\d{3}", name) or not {"cpu family", "model"} <= facts.keys():
        return name
    return f"{name}, family {facts['cpu family']} model {facts['model']}"


@functools.cache
def _git_commit():
    here = Path(__file__)
    command = ["git", "-C", here.parent, "rev-parse", "HEAD", f"HEAD:./{here.name}"]
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True).split()[0]
    except (OSError, subprocess.CalledProcessError):  # there is no git, or no repository of ours
        return None
