"""Arms of a comparison: the runs of a results folder that differ in nothing but their seeds."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokjax.config.grid import label, varying_points
from grokjax.reading.folders import arrays_of, find, names, no_history, record_of
from grokjax.reading.survival import Durations, Median, median_time, times_until
from grokjax.recording.early_stopping import last_steps, observed_until
from grokjax.recording.history import Grokking, History, grokking
from grokjax.recording.results import Results
from grokjax.recording.summary import first_step
from grokjax.recording.times import Crossing, times
from grokjax.recording.trained import Trained

SEEDS = ("seed", "split_seed")
SAME = "both files have to be of the same training"


@dataclasses.dataclass(frozen=True)
class Arm:
    """R runs of one setting, and how they came out."""

    name: str  # "moddiv", or with what varies in its folder: "moddiv learning_rate=0.001"
    family: str  # the folder's part of the name
    values: dict[str, Any]  # the entries that vary inside its folder, without the seeds
    config: dict  # plain
    history: History  # of its R runs
    labels: Sequence[str] = ()  # of each run
    seconds_per_step: float = np.nan  # of one run, its share of all wall time; NaN: not known
    flops_per_step: float = np.nan  # of one run, where they were counted
    folder: Path | None = None  # of its results

    def since(self, step: int) -> "Arm":
        """The arm without the evaluations before a step; all of it if none is left."""
        kept_E = self.history["step"] >= step
        if kept_E.all() or not kept_E.any():
            return self
        history = History({name: x[kept_E] for name, x in self.history.arrays().items()})
        return dataclasses.replace(self, history=history)

    @functools.cached_property
    def grokking(self) -> Grokking:
        """When its runs memorised and grokked all examples."""
        return self.grokking_of("")

    def grokking_of(self, task: str) -> Grokking:
        """When its runs memorised and grokked one task of a mixture; "" is all examples."""
        return grokking(self.history, task, **self.config.get("grok", {}))

    def times_of(self, task: str) -> dict[float, Crossing]:
        """When its runs came to each threshold on one task of a mixture; "" is all examples."""
        return times(self.history, self.last_R, self._sections[1], task)

    @property
    def _sections(self):
        return [self.config.get(section, {}) for section in ("schedule", "grok")]

    @functools.cached_property
    def last_R(self) -> np.ndarray:
        """The step that each run was trained to."""
        return last_steps(self.history, *self._sections)

    @functools.cached_property
    def observed_until_R(self) -> np.ndarray:
        """The step up to which each run was followed, if it did not grok."""
        return observed_until(self.history, *self._sections)

    @functools.cached_property
    def durations(self) -> Durations:
        """When each run grokked, or how long it was followed."""
        return times_until(self.grokking.grok_R, self.observed_until_R)

    @functools.cached_property
    def median(self) -> Median:
        """The median step at which its runs grokked."""
        return median_time(self.durations)

    @property
    def trained_tasks(self) -> list[str]:
        """The tasks of a mixture of which some of its runs have training examples."""
        accuracies = {task: self.history[f"train_accuracy/{task}"] for task in self.history.groups}
        return [task for task, train_ExR in accuracies.items() if np.isfinite(train_ExR).any()]

    @property
    def counts_anew(self) -> bool:
        """Is it a branch whose steps count from its first state, not from its trunk's start?"""
        took_weights = self.config.get("branch", {}).get("take")
        return not self.config.get("branched", {}).get("goes_on", True) and not took_weights

    @property
    def diverged_R(self) -> np.ndarray:
        """Bool: training loss is finite no longer."""
        return ~np.isfinite(self.history["train_loss"][-1])


def read_all(paths: Sequence[str | Path], warn: Callable[[str], None] | None = None) -> list[Arm]:
    """The arms of all results folders at or beneath some paths, each folder once.

    Args:
        paths: folders of results, or above some.
        warn: is told of each damaged folder, which is left out as long as another is sound;
            None: the first is an error.
    """
    folders = {folder.resolve(): folder for path in paths for folder in find(Path(path))}
    families = names(list(folders))
    arms = []
    damaged = []
    for place, folder in folders.items():
        try:
            arms += read(folder, families[place])
        except ValueError as error:
            damaged.append(error)
    if damaged and not (arms and warn):
        raise damaged[0]
    for error in damaged:
        warn(f"warning: left out {error}")
    return arms


def of(trained: Trained, name: str = "") -> list[Arm]:
    """The arms of a training in memory, in the order of its grid.

    Args:
        trained: what `grokjax.train` gave.
        name: of the family.
    """
    record = trained.experiment.record
    return _arms(name, name, record, trained.history.arrays(), trained.experiment.labels)


def read(folder: Path, name: str | None = None) -> list[Arm]:
    """The arms of one results folder, in the order of its grid, as far as it has come.

    Args:
        folder: what `grokjax.train` wrote, or is writing.
        name: of the family; the folder's own if not given.

    Raises:
        ValueError: if a file is missing or damaged, or the files are not of the same runs.
    """
    results = Results(Path(folder))
    family = name or Path(folder).resolve().name
    if not results.history.is_file():
        raise ValueError(no_history(results.folder))
    arrays = arrays_of(results.history)
    config = record_of(results.config)
    labels = arrays.pop("label").tolist()
    arms = _arms(results.folder, family, config, arrays, labels)
    first = first_step(config)  # those before took none
    seconds = results.seconds() / sum((arm.last_R - first).sum() for arm in arms)
    known = dict(seconds_per_step=seconds or np.nan, folder=results.folder)
    return [dataclasses.replace(arm, **known) for arm in arms]


def _arms(place, family, config, arrays, labels):
    """The runs that differ in nothing but their seeds; `place` is for errors."""
    arms = []
    for values, runs, own_labels in _columns(place, config, labels):
        own = {n: array if n == "step" else array[:, runs] for n, array in arrays.items()}
        own_name = f"{family} {label(values)}".strip()
        arms.append(Arm(own_name, family, values, config, History(own), own_labels))
    return arms


def _columns(folder, config, labels):
    """(what varies, columns, labels); the labels say which runs of the grid there are."""
    points = {label(point): point for point in varying_points(config["runs"])}
    if strange := [text for text in labels if text not in points]:
        raise ValueError(f"{folder}: config.json lacks run {strange[0]!r} of history.npz; {SAME}")
    lacking = [text for text in points if text not in labels]
    if lacking and "shard" not in config:
        raise ValueError(f"{folder}: history.npz lacks run {lacking[0]!r} of config.json; {SAME}")
    columns = collections.defaultdict(list)
    for r, text in enumerate(labels):
        key = tuple((n, value) for n, value in points[text].items() if n not in SEEDS)
        columns[key].append(r)
    return [(dict(key), runs, [labels[r] for r in runs]) for key, runs in columns.items()]
