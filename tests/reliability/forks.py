"""Commands in forked processes: what they import is imported once, and each can be killed."""

import atexit
import importlib
import os
import runpy
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

MOST_LINES = 10  # a full disk takes several things away, each a line
PRELOADED = (
    *("clu.parameter_overview", "scipy.stats", "tensorboardX"),
    *("grokjax.config.experiment", "grokjax.recording.checkpoints", "grokjax.running.command_line"),
)


class Ended(NamedTuple):
    """How a process ended; its code is minus the number of the signal that killed it."""

    code: int
    out: str
    err: str

    @property
    def is_refusal(self) -> bool:
        """Is it what a user's mistake gives: exit code 2 and one line that begins with error?"""
        lines = [line for line in self.err.splitlines() if not line.startswith("warning: ")]
        return self.code == 2 and len(lines) == 1 and lines[0].startswith("error: ")

    @property
    def is_noisy(self) -> bool:
        """Does it say more than a user would read?"""
        return "Traceback" in self.out + self.err or len(self.err.splitlines()) > MOST_LINES

    @property
    def complaint(self) -> str:
        """The end of what it said, on one line."""
        return f"exit {self.code}: {' | '.join(self.err.splitlines())[-300:]}"


class Child:
    """A forked process that calls a function."""

    def __init__(self, function: Callable, *arguments: Any):
        self._files = [tempfile.TemporaryFile("w+", errors="replace") for _ in "oe"]  # noqa: SIM115
        self._status = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(function, arguments, self._files)

    def is_alive(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is None

    def send(self, number: int) -> None:
        """Does nothing if it has ended."""
        if self.is_alive():
            os.kill(self.pid, number)

    def wait_for(self, true: Callable[[], bool]) -> None:
        """Returns when something is true, or the process has ended."""
        while self.is_alive() and not true():
            time.sleep(0.002)

    def end(self, seconds: float = 120) -> Ended:
        """Waits; kills what takes longer than so many seconds."""
        deadline = time.monotonic() + seconds
        self.wait_for(lambda: time.monotonic() > deadline)
        self.send(signal.SIGKILL)
        self.wait_for(lambda: False)
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read())
            file.close()
        return Ended(os.waitstatus_to_exitcode(self._status), *texts)


def preload() -> None:
    """Imports what the commands need; JAX itself must start in each of them."""
    for name in PRELOADED:
        importlib.import_module(name)
    Figure.savefig = _save_nothing
    warnings.filterwarnings("ignore", message=".*fork.*")
    assert threading.active_count() == 1


def start(module: str, *words: object) -> Child:
    """`python -m MODULE WORD ...`."""
    return Child(_run_module, module, list(map(str, words)))


def run(module: str, *words: object) -> Ended:
    return start(module, *words).end()


def _run_module(module, words):
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _save_nothing(_, path, **options):
    """To draw takes a second; that a file is written is all that matters here."""
    Path(path).write_bytes(b"a picture")


def _become(function, arguments, files):
    """The forked process, which ends here as an interpreter would."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, start=1):
        os.dup2(file.fileno(), number)
    code = 1
    try:
        function(*arguments)
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 255)
