"""Folders of results: where they are, what they are called, and what their files hold.

Shape letters: E evaluations, R runs, K numbers of a measure.
"""

import collections
import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokjax.reading.soundness import check_history, check_record
from grokjax.recording.results import Results

METRICS = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
REMEDY = "train again or choose another folder"


def find(path: Path) -> list[Path]:
    """The folder itself if it holds a history, else all results folders beneath it, sorted."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise ValueError(f"{path} {what}; choose a folder that grokjax.train has written")
    found = [results.folder for results in _walk(path) if results.history.is_file()]
    if not found:
        raise ValueError(no_history(path))
    return sorted(found)


def without_history(path: Path) -> list[Path]:
    """The folders that `find` leaves out because their training has not been evaluated yet."""
    waiting = [results for results in _walk(path) if not results.history.is_file()]
    return sorted(results.folder for results in waiting if results.metadata.is_file())


def _walk(path):
    """Every folder but those beneath a folder with a history."""
    for folder, below in walk(path):
        results = Results(folder)
        yield results
        if results.history.is_file():
            below.clear()


def walk(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder at or beneath a path once, and the names of those in it, to clear or change.

    Links are followed; a folder that is there by itself too is called by its own name.
    """
    seen = set()
    linked = [path]
    while linked:
        for folder, below, _ in os.walk(linked.pop(0)):
            here = Path(folder)
            place = here.resolve()
            if place in seen:
                below.clear()
                continue
            seen.add(place)
            below.sort()
            yield here, below
            linked += [here / name for name in below if (here / name).is_symlink()]


def names(folders: Sequence[Path]) -> dict[Path, str]:
    """The last name of each folder; where several share it, as much of the path as tells them."""
    ends = {
        folder: [str(Path(*folder.parts[-length:])) for length in range(1, len(folder.parts) + 1)]
        for folder in folders
    }
    count = collections.Counter(itertools.chain(*ends.values()))
    return {f: next(end for end in ends_of if count[end] == 1) for f, ends_of in ends.items()}


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """What history.npz holds: [E, R] throughout, of measures also [E, R, K]."""
    try:
        with path.open("rb") as file, np.load(file) as stored:  # NumPy leaves damaged files open
            arrays = dict(stored)
    except Exception as error:  # whatever damage makes zip and NumPy raise
        raise ValueError(f"{path} is damaged ({error!r}); {REMEDY}") from error
    if lacking := [name for name in ("step", "label", *METRICS) if name not in arrays]:
        raise ValueError(f"{path} lacks {', '.join(lacking)}; {REMEDY}")
    shape = (arrays["step"].size, arrays["label"].size)
    if not all(shape):
        raise ValueError(f"{path} has no evaluation yet; wait or choose another folder")
    for name in sorted(arrays.keys() - {"step", "label"}):
        if arrays[name].shape[:2] != shape or arrays[name].ndim > 2 + ("/" in name):
            raise ValueError(f"{path}: {name} is {arrays[name].shape}, not {shape}; {REMEDY}")
    with _about(path):
        check_history(arrays)
    return arrays


def record_of(path: Path) -> dict[str, Any]:
    """What config.json holds, as far as arms need it."""
    config = object_of(path)
    with _about(path):
        check_record(config)
    return config


@contextlib.contextmanager
def _about(path):
    """Says of which file a ValueError is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {REMEDY}") from error


def object_of(path: Path) -> dict:
    """What a file of JSON holds."""
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}; {REMEDY}")
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); {REMEDY}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged (it holds no object); {REMEDY}")
    return value


def no_history(folder: Path) -> str:
    """Why a folder has no history, and what to do."""
    if status := Results(folder).status():
        if status == "finished":
            return f"{folder} is finished and has no history.npz; {REMEDY}"
        return f"{folder} has no evaluation yet (status {status}); wait or choose another folder"
    return f"{folder} holds no results; choose a folder that grokjax.train has written"
