"""One arm of a study, trained by a process of its own, so that it can fail alone."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from grokjax.config import grid
from grokjax.reading.folders import arrays_of
from grokjax.recording import checkpoints
from grokjax.recording.files import Lock
from grokjax.recording.history import grokking
from grokjax.recording.results import Results
from grokjax.running.signals import Interrupts

POLL = 0.1  # seconds between polls of the process
TAIL = 4096  # bytes of its output that are looked at for the latest step


class Progress(NamedTuple):
    """How far an arm has come."""

    status: str  # waiting, that of its `Results`, or how many of its shards are finished
    step: int
    runs: int
    grokked: int
    seconds: float

    def __str__(self) -> str:
        grokked = f"{self.grokked} of {self.runs} runs grokked"
        return f"step {self.step:,}, {grokked}, {self.seconds:,.0f} seconds"


class ArmProcess:
    """Trains in a folder by the command that a user would type; one at a time in each folder."""

    def __init__(self, config_file: str, config: ConfigDict, folder: Path, flags: Sequence[str]):
        """Takes what `grokjax.train` is to be given: the config, where, and further flags."""
        self.results = Results(folder)
        self.config = config
        self.output = folder / "output.log"
        self._lock = Lock(folder / "study.lock")
        self._said_before: int | None = None  # bytes of the output when the process began
        self._command = [sys.executable, "-m", "grokjax.train", f"--config={config_file}"]
        self._command += [f"--workdir={folder}", f"--parent={os.getpid()}", *flags]

    def run(self, interrupts: Interrupts) -> str:
        """Trains from where it is; returns `finished`, `failed`, `interrupted` or `busy`.

        A signal that `interrupts` receives is handed on, and the process saves before it stops.
        """
        if not self._lock.acquire():
            return "busy"
        try:
            while self.results.lock.is_held():  # what an earlier study started is still saving
                if interrupts.received:
                    return "interrupted"
                time.sleep(POLL)
            if self.results.is_complete():
                return "finished"
            code = self._train(interrupts)
            stopped = "interrupted" if interrupts.received else "failed"
            return stopped if code else "finished"
        finally:
            self._lock.release()

    def progress(self) -> Progress:
        """What the folder shows at this moment; nothing in it is changed."""
        results = self.results
        status = results.status() or "waiting"
        shards = list(results.folder.glob("shard-*-of-*"))
        if status == "waiting" and shards:
            finished = sum(Results(folder).is_complete() for folder in shards)
            status = f"{finished} of {shards[0].name.rpartition('-')[2]} shards"
        try:
            arrays = arrays_of(results.history)
        except ValueError:  # there is none yet
            return Progress(status, 0, 0, 0, results.seconds())
        has_grokked_R = grokking(arrays, **self.config.grok).has_grokked_R
        step = int(arrays["step"][-1])
        grokked = int(has_grokked_R.sum())
        return Progress(status, step, has_grokked_R.size, grokked, results.seconds())

    def step(self) -> int | None:
        """The latest that its process has said it evaluated; None before the first."""
        if self._said_before is None:
            return None
        with self.output.open("rb") as output:
            size = output.seek(0, os.SEEK_END)
            output.seek(max(self._said_before, size - TAIL))
            said = re.findall(rb"^\[step ([\d,]+)\]", output.read(), re.MULTILINE)
        return int(said[-1].replace(b",", b"")) if said else None

    def work(self) -> int:
        """Steps of all its runs together."""
        return self.config.schedule.num_steps * grid.count(self.config.runs)

    def last_lines(self, count: int = 12) -> str:
        """The end of what the process said."""
        said = self.output.read_text("utf-8", errors="replace") if self.output.exists() else ""
        return "\n".join(f"    {line}" for line in said.splitlines()[-count:])

    def _train(self, interrupts):
        with self.output.open("ab") as output:
            self._said_before = output.tell()
            process = subprocess.Popen(
                [*self._command, *self._start()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once, through us
            )
            forwarded = False
            while process.poll() is None:
                if interrupts.received and not forwarded:
                    process.send_signal(interrupts.received)
                    forwarded = True
                time.sleep(POLL)
        return process.returncode

    def _start(self):
        """The flags that go on from what is there."""
        folder = self.results.checkpoints
        begun = any(checkpoints.is_readable(folder, step) for step in checkpoints.steps(folder))
        if begun or any(self.results.folder.glob("shard-*-of-*")):  # it did not fit at once
            return ["--resume=latest"]
        return ["--overwrite"] if self.results.status() else []
