"""One arm of a study, trained by a process of its own, so that it can fail alone."""

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from grokjax.recording import checkpoints
from grokjax.recording.history import History, grokking
from grokjax.recording.locks import Lock
from grokjax.recording.results import Results
from grokjax.running.signals import Interrupts

POLL = 0.1  # seconds between looks at the process


class Progress(NamedTuple):
    """How far an arm has come."""

    status: str  # waiting, running, finished, interrupted, failed; or how many of its shares are
    step: int
    runs: int
    grokked: int
    seconds: float


class ArmProcess:
    """Trains in a folder by the command that a user would type; one at a time in each folder."""

    def __init__(self, config_file: str, config: ConfigDict, folder: Path, flags: Sequence[str]):
        """Takes what `grokjax.train` is to be given: the config, where, and further flags."""
        self.results, self.config = Results(folder), config
        self._lock, self.output = Lock(folder / "study.lock"), folder / "output.log"
        self._command = [sys.executable, "-m", "grokjax.train", f"--config={config_file}"]
        self._command += [f"--workdir={folder}", f"--parent={os.getpid()}", *flags]

    def run(self, interrupts: Interrupts) -> str:
        """Trains from where it is; returns `finished`, `failed`, `interrupted` or `busy`.

        A signal that `interrupts` receives is handed on, and the process saves before it stops.
        """
        if not self._lock.take():
            return "busy"
        try:
            while self.results.lock.is_taken():  # what an earlier study started is still saving
                if interrupts.received:
                    return "interrupted"
                time.sleep(POLL)
            if self.results.is_complete():
                return "finished"
            code = self._train(interrupts)
            stopped = "interrupted" if interrupts.received else "failed"
            return stopped if code else "finished"
        finally:
            self._lock.give()

    def progress(self) -> Progress:
        """What the folder shows at this moment; nothing in it is changed."""
        results, status = self.results, self.results.status() or self._shares() or "waiting"
        if status == "running" and not results.lock.is_taken():  # its process is gone
            status = "interrupted"
        try:
            history = History.load(results.history)
            grok = grokking(history, **self.config.grok)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # there is none yet
            return Progress(status, 0, 0, 0, results.seconds())
        grokked_R = grok.has_grokked_R
        step = int(history["step"][-1])
        return Progress(status, step, grokked_R.size, int(grokked_R.sum()), results.seconds())

    def _shares(self):
        """Where the runs are trained apart: how many shares of how many are finished."""
        folders = list(self.results.folder.glob("chunk-*-of-*"))
        finished = sum(Results(folder).is_complete() for folder in folders)
        return f"{finished} of {folders[0].name.rpartition('-')[2]} shares" if folders else None

    def last_lines(self, count: int = 12) -> str:
        """The end of what the process said."""
        said = self.output.read_text(errors="replace") if self.output.exists() else ""
        return "\n".join(f"    {line}" for line in said.splitlines()[-count:])

    def _train(self, interrupts):
        with self.output.open("a") as output:
            process = subprocess.Popen(
                [*self._command, *self._start()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once, through us
            )
            told = False
            while process.poll() is None:
                if interrupts.received and not told:
                    process.send_signal(interrupts.received)
                    told = True
                time.sleep(POLL)
        return process.returncode

    def _start(self):
        """The flags that go on from what is there."""
        folder = self.results.checkpoints
        if any(checkpoints.is_readable(folder, step) for step in checkpoints.steps(folder)):
            return ["--resume=latest"]
        if any(self.results.folder.glob("chunk-*-of-*")):  # it did not fit at once
            return ["--resume=latest"]
        return ["--overwrite"] if self.results.status() else []
