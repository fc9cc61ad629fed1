"""Arms of a comparison: the runs of a results folder that differ in nothing but their seeds."""

import collections
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grokjax.config.grid import label, varying_points
from grokjax.reading.survival import Times, times_until
from grokjax.recording.history import Grokking, History, grokking_of_runs, watched_steps
from grokjax.recording.results import Results

SEEDS = ("seed", "split_seed")
METRICS = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
DAMAGED = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
REMEDY = "train again or choose another folder"
SAME = "both files have to be of the same training"


class Arm(NamedTuple):
    """R runs of one setting, and how they came out."""

    name: str  # "moddiv", or with what varies in its folder: "moddiv learning_rate=0.001"
    family: str  # the folder's part of the name
    values: dict[str, Any]  # the entries that vary inside its folder, without the seeds
    config: dict  # plain
    history: History  # of its R runs
    groks: list[Grokking]  # R

    @property
    def last_step(self) -> int:
        """How far they were trained, or might have been."""
        return int(self.watched_R.max())

    @property
    def watched_R(self) -> np.ndarray:
        """The step to which each run was watched, if it did not grok."""
        rule, schedule = (self.config.get(section, {}) for section in ("grok", "schedule"))
        return watched_steps(self.history, schedule, **rule)

    @property
    def diverged_R(self) -> np.ndarray:
        """Bool: training loss is finite no longer."""
        return ~np.isfinite(self.history["train_loss"][-1])

    @property
    def times(self) -> Times:
        """When each run grokked, or how long it was watched."""
        return times_until([grok.grok_step for grok in self.groks], self.watched_R)

    def groks_of(self, task: str) -> list[Grokking]:
        """R: memorising and grokking of one task of a mixture, or with "" of all examples."""
        return grokking_of_runs(self.history, task, **self.config.get("grok", {}))


def read_all(paths: Sequence[str | Path]) -> list[Arm]:
    """The arms of all results folders at or beneath some paths, each folder once."""
    folders = {folder.resolve(): folder for path in paths for folder in find(Path(path))}
    families = names(list(folders))
    return [arm for place, folder in folders.items() for arm in read(folder, families[place])]


def find(path: Path) -> list[Path]:
    """The folder itself if it holds a history, else all results folders beneath it, sorted."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise ValueError(f"{path} {what}; choose a folder that grokjax.train has written")
    history = Results(path).history.name
    found = sorted(folder for folder, files in _walk(path) if history in files)
    if not found:
        raise ValueError(_no_history(path))
    return found


def without_history(path: Path) -> list[Path]:
    """The folders that `find` leaves out because their training has not been evaluated yet."""
    metadata, history = Results(path).metadata.name, Results(path).history.name
    files_of = dict(_walk(path))
    return sorted(f for f, files in files_of.items() if metadata in files and history not in files)


def _walk(path):
    """Every folder beneath, with its files, but nothing beneath a folder with a history."""
    for folder, below, files in os.walk(path):
        yield Path(folder), files
        if Results(path).history.name in files:
            below.clear()


def names(folders: Sequence[Path]) -> dict[Path, str]:
    """The last name of each folder; where several share it, as much of the path as tells them."""
    own = {}
    for length in itertools.count(1):
        ends = {folder: str(Path(*folder.parts[-length:])) for folder in folders}
        times = collections.Counter(ends.values())
        own |= {f: end for f, end in ends.items() if f not in own and times[end] == 1}
        if len(own) == len(ends):
            return own


def read(folder: Path, name: str | None = None) -> list[Arm]:
    """The arms of one results folder, in the order of its grid, as far as it has come.

    Args:
        folder: what `grokjax.train` wrote, or is writing.
        name: of the family; the folder's own if not given.

    Raises:
        ValueError: if a file is missing or damaged, or the files are not of the same runs.
    """
    results, family = Results(Path(folder)), name or Path(folder).resolve().name
    if not results.history.is_file():
        raise ValueError(_no_history(results.folder))
    arrays, config = _arrays(results.history), _json(results.config)
    columns = _columns(results.folder, config, arrays.pop("label").tolist())
    return [_arm(family, dict(key), config, arrays, r) for key, r in columns.items()]


def _arm(family, values, config, arrays, columns):
    """The arm of some columns of a folder's arrays."""
    own = {n: array if n == "step" else array[:, columns] for n, array in arrays.items()}
    name = f"{family} {label(values)}".strip()
    arm = Arm(name, family, values, config, History(own), [])
    return arm._replace(groks=arm.groks_of(""))


def _columns(folder, config, labels):
    """{what varies: columns of the history}; the labels say which runs of the grid there are."""
    points = _points(folder, config)
    if strange := [text for text in labels if text not in points]:
        raise ValueError(f"{folder}: config.json lacks run {strange[0]!r} of history.npz; {SAME}")
    lacking = [text for text in points if text not in labels]
    if lacking and "shard" not in config:
        raise ValueError(f"{folder}: history.npz lacks run {lacking[0]!r} of config.json; {SAME}")

    columns = collections.defaultdict(list)
    for r, text in enumerate(labels):
        key = tuple((n, value) for n, value in points[text].items() if n not in SEEDS)
        columns[key].append(r)
    return columns


def _points(folder, config):
    """{label: the entries that vary} for every run of the grid, an older program's too."""
    known = config.get("runs")
    if not isinstance(known, dict) or not all(isinstance(v, list) for v in known.values()):
        raise ValueError(f"{folder}: config.json says nothing of its runs; {REMEDY}")
    return {label(point): point for point in varying_points(known)}


def _arrays(path):
    """What history.npz holds, checked to be [E, R] throughout."""
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except DAMAGED as error:
        raise ValueError(f"{path} is damaged ({_line(error)}); {REMEDY}") from error
    if lacking := [name for name in ("step", "label", *METRICS) if name not in arrays]:
        raise ValueError(f"{path} lacks {', '.join(lacking)}; {REMEDY}")
    shape = (arrays["step"].size, arrays["label"].size)
    if not all(shape):
        raise ValueError(f"{path} has no evaluation yet; wait or choose another folder")
    for name in sorted(arrays.keys() - {"step", "label"}):
        if arrays[name].shape != shape:
            raise ValueError(f"{path}: {name} is {arrays[name].shape}, not {shape}; {REMEDY}")
    return arrays


def _json(path):
    """The object that a JSON file holds."""
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}; {REMEDY}")
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({_line(error)}); {REMEDY}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged (it holds no object); {REMEDY}")
    return value


def _no_history(folder):
    """Why there is nothing to read."""
    metadata = Results(folder).metadata
    if metadata.is_file():
        status = _json(metadata).get("status", "unknown")
        if status == "finished":
            return f"{folder} is finished and has no history.npz; {REMEDY}"
        return f"{folder} has no evaluation yet (status {status}); wait or choose another folder"
    return f"{folder} holds no results; choose a folder that grokjax.train has written"


def _line(error):
    return " ".join(str(error).split()) or type(error).__name__
