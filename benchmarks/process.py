"""A training process seen from outside: its lines with their times, and its summary."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ml_collections import ConfigDict

from benchmarks.problem import ROOT
from grokjax.recording.results import Results

EVALUATION = re.compile(r"\[step ([\d,]+)\] train loss")


class Training(NamedTuple):
    """What was seen of `python -m grokjax.train`; seconds count from the start of the process."""

    seconds_of_step: dict[int, float]  # when the evaluation after a step was known
    summary_seconds: float  # when the summary and the figures were written
    exit_seconds: float
    summary: dict


def train(config: ConfigDict, cache: str) -> Training:
    """Trains in a process of its own, in a folder that is gone afterwards.

    Args:
        config: what is trained.
        cache: folder of compiled programs.
    """
    asked = {**config.to_dict(), "log_every": 0}  # every evaluation is a line
    with TemporaryDirectory() as folder:
        file = Path(folder) / "config.py"
        results = Results(Path(folder) / "results")
        file.write_text(
            "from ml_collections import ConfigDict\n\n\n"
            f"def get_config():\n    return ConfigDict({asked!r})\n"
        )
        flags = [f"--config={file}", f"--workdir={results.folder}", f"--compilation_cache={cache}"]
        lines, exit_seconds = listen(["-m", "grokjax.train", *flags])
        summary = json.loads(results.summary.read_text("utf-8"))
    found = [(EVALUATION.match(line), seconds) for line, seconds in lines]
    seconds_of_step = {int(e[1].replace(",", "")): seconds for e, seconds in found if e}
    return Training(seconds_of_step, lines[-1][1], exit_seconds, summary)


def listen(words: Sequence[str]) -> tuple[list[tuple[str, float]], float]:
    """Runs Python: its lines, each with the second when it came, and the seconds to its end.

    Raises:
        RuntimeError: if it fails, with the last of its lines.
    """
    lines = []
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-u", *words],  # unbuffered
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        for line in process.stdout:
            lines.append((line.rstrip(), time.perf_counter() - began))
    if process.returncode:
        last = lines[-1][0] if lines else "nothing said"
        raise RuntimeError(f"{' '.join(words)} exited with {process.returncode}: {last}")
    return lines, time.perf_counter() - began


def _environment():
    """Ours without its compilation cache; of a GPU's memory, only what is needed."""
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    return environment
