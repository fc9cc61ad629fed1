"""Reads a checkpoint without building its experiment."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from grokjax.config import grid
from grokjax.reading.arms import Arm
from grokjax.reading.folders import arrays_of, record_of, walk
from grokjax.recording import checkpoints
from grokjax.recording.checkpoints import Damaged
from grokjax.recording.history import History, finite_median
from grokjax.recording.output import warn
from grokjax.recording.results import Results

T = TypeVar("T")


class Place(NamedTuple):
    """Where a checkpoint lies."""

    results: Results
    step: int

    @property
    def folder(self) -> Path:
        return self.results.checkpoints / str(self.step)

    @property
    def size(self) -> int:
        """Bytes on disk; 0 if training has deleted it meanwhile, to keep newer ones."""
        try:
            return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        except FileNotFoundError:
            return 0


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds; its history ends with the last evaluation before it."""

    place: Place
    config: dict  # plain
    history: History
    params_R: Any  # None of merged shards, which have no checkpoint of their own

    @functools.cached_property
    def labels(self) -> list[str]:
        """One for each run."""
        labels = grid.labels(self.config["runs"])
        i, n = map(int, self.config.get("shard", "1/1").split("/"))
        return [labels[r] for r in grid.shard(len(labels), i, n)]

    @property
    def num_runs(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def arm(self) -> Arm:
        """All its runs as one arm of a comparison; a ValueError while there is no evaluation."""
        if not len(self.history):
            what = f"checkpoint {self.place.step} of {str(self.place.results.folder)!r}"
            raise ValueError(f"{what} has no evaluation yet; choose a later one")
        name = str(self.place.folder)
        return Arm(name, name, {}, self.config, self.history)

    @property
    def num_grokked(self) -> str:
        """Such as `2 of 3 grokked`."""
        grokked = self.arm.grokking.has_grokked_R.sum() if len(self.history) else 0
        return f"{grokked} of {self.num_runs} grokked"

    def latest(self, metric: str) -> np.ndarray:
        """[R]: a metric at the last evaluation; NaN if there is none, or it lacks the metric."""
        metric_ExR = self.history.arrays().get(metric, ())
        return metric_ExR[-1] if len(metric_ExR) else np.full(self.num_runs, np.nan)

    def median(self, metric: str) -> float:
        """Of `latest`, over the runs in which it is finite."""
        return finite_median(self.latest(metric))


def find(path: Path) -> list[Place]:
    """The checkpoints at or below a path, folder by folder, the oldest first.

    Args:
        path: a results folder, its `checkpoints` folder, a step folder in that, or a folder
            above several results.

    Raises:
        ValueError: if there are none.
    """
    whole = path.absolute()
    if whole.name.isdigit() and whole.parent.name == "checkpoints" and whole.is_dir():
        return [Place(Results(whole.parent.parent), int(whole.name))]
    folders = [whole] if whole.name == "checkpoints" else []
    for folder, below in walk(path) if not folders else ():
        folders += [folder / name for name in below if name == "checkpoints"]
        below[:] = [name for name in below if name not in ("checkpoints", "tensorboard")]
    places = [
        Place(Results(folder.parent), step)
        for folder in sorted(folders)
        for step in checkpoints.steps(folder)
    ]
    if not places:
        raise ValueError(f"no checkpoint in {str(path)!r}; choose a results folder or one above")
    return places


def find_of_one_training(path: Path) -> list[Place]:
    """What `find` finds, if all of it is of one results folder; else a ValueError."""
    places = find(path)
    folders = sorted({str(place.results.folder) for place in places})
    if len(folders) > 1:
        raise ValueError(f"{str(path)!r} holds several results; choose one of {', '.join(folders)}")
    return places


def read(place: Place) -> Checkpoint:
    """Reads one checkpoint.

    Raises:
        Damaged: if it does not hold what was written.
    """
    try:
        stored = checkpoints.restore(place.results.checkpoints, place.step)
    except OSError as error:  # such as a folder that only its owner may read
        raise Damaged(f"checkpoint {place.step} cannot be read ({error})") from error
    return Checkpoint(place, stored.config, History(stored.history), stored.state_R["params"])


def newest(places: Sequence[Place], reader: Callable[[Place], T] = read) -> T:
    """Reads the newest sound one of some checkpoints, and says which it has passed over.

    Raises:
        ValueError: if none is sound.
    """
    damages = []
    for place in reversed(places):
        try:
            found = reader(place)
        except Damaged as damage:
            damages.append(damage)
            continue
        for damage in damages:
            warn(f"warning: {damage}; this is {place.step}")
        return found
    raise ValueError(f"no sound checkpoint in {str(places[0].results.folder)!r}: {damages[-1]}")


def read_newest(path: Path) -> Checkpoint:
    """The newest sound checkpoint at or below a path, all of one training."""
    return newest(find_of_one_training(path))


def read_merged(results: Results) -> Checkpoint | None:
    """The history of merged shards, without weights; None if the folder is not one of them."""
    if checkpoints.steps(results.checkpoints) or not results.history.is_file():
        return None
    arrays = arrays_of(results.history)
    del arrays["label"]
    place = Place(results, int(arrays["step"][-1]))
    return Checkpoint(place, record_of(results.config), History(arrays), None)
