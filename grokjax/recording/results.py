"""One run directory: its files and its status."""

import contextlib
import datetime
import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from grokjax.recording.files import Lock, remove_scratch, replacing
from grokjax.recording.history import History
from grokjax.recording.machine import machine
from grokjax.recording.summary import summary_text

STOPPED = "stopped without notice"  # the process is gone: killed, or the power was cut
STATUSES = ("running", "finished", "interrupted", "failed")
LATEST = ("device", "versions", "git_commit")  # of the metadata: of the session that wrote last
BITS = ("versions jax", "versions jaxlib", "device", "processor", "threads", "xla_flags")


def check_writable(what: str, folder: Path) -> None:
    """Raises a ValueError if a folder cannot be made or written to; makes nothing."""
    folder = folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise ValueError(f"{what} {str(folder)!r}: {str(existing)!r} is a file; choose a folder")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"{what} {str(folder)!r} cannot be written to; choose another")


class Busy(ValueError):
    """Another process is training in the folder."""


class Session:
    """One stretch of training, from a start or a resume to a stop; without `end` it failed."""

    def __init__(self, path: Path, metadata: dict, step: int):
        self._path = path
        self._metadata = metadata
        self._facts = {"from_step": step, "to_step": step, "started": _now(), "ended": None}
        self._facts["machine"] = machine()
        self._clock = time.perf_counter()
        self._outcome = "failed"
        self.reached(step)

    def reached(self, step: int) -> None:
        """Writes how far training has come."""
        self._facts["to_step"] = step
        self._write("running")

    def end(self, status: str) -> None:
        self._outcome = status

    def close(self) -> None:
        """Writes the outcome."""
        self._facts["ended"] = _now()
        self._write(self._outcome)

    def _write(self, status):
        self._facts["seconds"] = round(time.perf_counter() - self._clock, 2)
        sessions = [*self._metadata["sessions"], self._facts]
        _write_json(self._path, self._metadata | {"status": status, "sessions": sessions})


class Results:
    """`results/<name>/`: everything an experiment leaves behind."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.metadata = folder / "experiment_metadata.json"
        self.config = folder / "config.json"
        self.lock = Lock(folder / "lock")
        self.log = folder / "training.log"
        self.history = folder / "history.npz"
        self.summary = folder / "summary.json"
        self.final_metrics = folder / "final_metrics.txt"
        self.tensorboard = folder / "tensorboard"
        self.checkpoints = folder / "checkpoints"
        self.accuracy_figure = folder / "accuracy.png"
        self.loss_figure = folder / "loss.png"
        self.overview_figure = folder / "overview.png"
        self.pruned = folder / "pruned.json"
        self.embeddings_figure = folder / "embeddings.png"
        self.embeddings_film = folder / "embeddings.gif"
        self.exported = folder / "exported"  # weights for other libraries, a folder for each step

    @property
    def figures(self) -> list[Path]:
        """Those that a finished training leaves."""
        return [self.accuracy_figure, self.loss_figure, self.overview_figure]

    def status(self) -> str | None:
        """One of STATUSES, STOPPED, `damaged` if the file is; None if nothing ran here."""
        if not self.metadata.exists():
            return None
        status = self.facts().get("status")
        if status == "running" and not self.lock.is_held():
            return STOPPED
        return status if status in STATUSES else "damaged"

    def facts(self) -> dict:
        """What is known of the training: device, versions, sessions; empty if it is damaged."""
        return _read_json(self.metadata)

    def foreign(self) -> list[str]:
        """Names in the folder that training would write, though it has not written them."""
        shards = self.folder.glob("shard-*-of-*")
        if self.metadata.exists() or any(p.name.isdigit() for p in _inside(self.checkpoints)):
            return []
        present = [p for p in self.written() if p.is_file() or any(_inside(p))]
        return [] if any(shards) else sorted(path.name for path in present)

    def written(self) -> set[Path]:
        """Every file and folder that training writes, or a tool next to them."""
        return {p for p in vars(self).values() if isinstance(p, Path)} - {self.folder}

    def clear(self) -> None:
        """Deletes what an experiment left here, and nothing else; links to folders stay."""
        for path in self.written():
            for each in _inside(path) if path.is_dir() else [path]:
                if each.is_dir() and not each.is_symlink():
                    shutil.rmtree(each)
                else:
                    each.unlink(missing_ok=True)

    def is_complete(self) -> bool:
        """Is it finished, with what others read of it?"""
        there = self.history.is_file() and self.read_summary() and self.stored_config()
        return self.status() == "finished" and bool(there)

    def hold(self) -> None:
        """Keeps other processes out of the folder until this one ends, however it ends.

        Raises:
            Busy: if another process holds it.
        """
        if not self.lock.acquire(timeout=1.0):  # `is_held` of another process holds it for a moment
            where = f"{str(self.folder)!r} is being trained by another process"
            raise Busy(f"{where}; wait for it or choose another --workdir")

    def session(
        self, config: Mapping, step: int, before: Sequence[Mapping] = ()
    ) -> contextlib.closing[Session]:
        """A block of training from `step` on, whose status is `failed` on an exception.

        Args:
            config: the record of the experiment.
            step: where it starts.
            before: sessions of other folders that it puts together.
        """
        for path in self.written():
            remove_scratch(path)
        metadata = {
            "name": self.folder.name,
            "status": None,
            "config": config,
            "sessions": [*before, *self.sessions()],
            **{name: fact for name, fact in machine().items() if name in LATEST},
        }
        session = Session(self.metadata, metadata, step)  # first: the folder is then known as ours
        _write_json(self.config, config)
        return contextlib.closing(session)

    def seconds(self) -> float:
        """Wall time of all sessions."""
        return sum(session.get("seconds", 0.0) for session in self.sessions())

    def sessions(self) -> list[dict]:
        """Those that are sound, of all that were begun here."""
        sessions = self.facts().get("sessions")
        known = sessions if isinstance(sessions, list) else []
        sound = [s for s in known if isinstance(s, dict) and isinstance(s.get("machine", {}), dict)]
        return [session for session in sound if is_time(session.get("seconds", 0.0))]

    def changes(self) -> list[str]:
        """What a resume has otherwise than the last session, of what can change bits."""
        then = {"machine": {}} | (self.sessions() or [{}])[-1]
        then = flatten_dict(then["machine"] or _read_json(self.metadata), sep=" ")
        now = flatten_dict(machine(), sep=" ")
        return [
            f"{name} was {then[name]}, is {now.get(name)}"
            for name in BITS
            if name in then and then[name] != now.get(name)
        ]

    def write_history(self, history: History, labels: Sequence[str]) -> None:
        arrays = history.arrays()
        if arrays:
            with replacing(self.history) as path, path.open("wb") as file:
                np.savez(file, label=np.array(labels), **arrays)

    def write_summary(self, summary: Mapping) -> None:
        _write_json(self.summary, summary)
        with replacing(self.final_metrics) as path:
            path.write_text(summary_text(summary), "utf-8")

    def read_summary(self) -> dict:
        """Empty if there is none, or a damaged one."""
        return _read_json(self.summary)

    def stored_config(self) -> dict:
        """The config of what ran here; empty if nothing did, or the file is damaged."""
        return _read_json(self.config)


def _read_json(path):
    """The object in a file; empty if there is none: what matters is in the checkpoints too."""
    try:
        value = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError):
        value = {}
    return value if isinstance(value, dict) else {}


def _inside(folder):
    return folder.iterdir() if folder.is_dir() else iter(())


def is_time(value: Any) -> bool:
    """Is it a number of seconds, read from a file that may be damaged?"""
    return isinstance(value, int | float) and 0 <= value < math.inf


def _write_json(path, value):
    with replacing(path) as scratch:
        scratch.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
