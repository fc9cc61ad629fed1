"""What a checkpoint tells without its experiment: how far it came and how well it did."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grokjax.config.config import flat
from grokjax.config.grid import RUNS, grid_points, label, share
from grokjax.reading.survival import Median, delay_times, median_time, times_until
from grokjax.recording import checkpoints
from grokjax.recording.history import (
    Grokking,
    History,
    finite_median,
    grokking,
    observed_until,
)
from grokjax.recording.results import Results


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


class Inspected(NamedTuple):
    """What a checkpoint holds; its history ends with the last evaluation before it."""

    place: Place
    config: dict  # plain
    history: History
    grok: Grokking | None  # none while there is no evaluation.
    params_R: Any  # None of a merged training, which has no checkpoint of its own

    @property
    def labels(self) -> list[str]:
        """One for each run."""
        runs = {name: entry.default for name, entry in RUNS.items()} | self.config["runs"]
        varied = [name for name in RUNS if len(runs[name]) > 1] or ["seed"]
        labels = [label({name: point[name] for name in varied}) for point in grid_points(runs)]
        i, n = map(int, self.config.get("chunk", "1/1").split("/"))
        return [labels[r] for r in share(len(labels), i, n)]

    @property
    def num_runs(self) -> int:
        return len(self.labels)

    @property
    def num_grokked(self) -> int:
        return 0 if self.grok is None else int(self.grok.has_grokked_R.sum())

    def latest(self, metric: str) -> np.ndarray:
        """[R]: a metric at the last evaluation; NaN while there is none."""
        return self.history[metric][-1] if len(self.history) else np.full(self.num_runs, np.nan)

    def median(self, metric: str) -> float:
        """Of `latest`, over the runs in which it is finite."""
        return finite_median(self.latest(metric))


class Milestones(NamedTuple):
    """Medians over runs; a run that has not come so far yet counts with how long it was watched."""

    memorised: Median
    grokked: Median
    delay: Median  # of the runs that have memorised


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
    folders = [whole] if whole.name == "checkpoints" else sorted(path.rglob("checkpoints"))
    places = [
        Place(Results(folder.parent), step)
        for folder in folders
        for step in checkpoints.steps(folder)
    ]
    if not places:
        raise ValueError(f"no checkpoint in {str(path)!r}; choose a results folder or one above")
    return places


def inspect(place: Place) -> Inspected:
    """Reads one checkpoint.

    Raises:
        Damaged: if it does not hold what was written.
    """
    try:
        found = checkpoints.read(place.results.checkpoints, place.step)
    except OSError as error:  # such as a folder that only its owner may read
        raise checkpoints.Damaged(f"checkpoint {place.step} cannot be read ({error})") from error
    history = History(found.history)
    grok = grokking(history, **found.config.get("grok", {})) if len(history) else None
    return Inspected(place, found.config, history, grok, found.state_R["params"])


def merged(results: Results) -> Inspected | None:
    """What shares of a training were put together to, without its weights; None if it is none."""
    if results.checkpoints.exists() or not results.history.is_file():
        return None
    history = History.load(results.history)
    config = results.stored_config()
    grok = grokking(history, **config["grok"])
    return Inspected(Place(results, int(history["step"][-1])), config, history, grok, None)


def of_one_training(path: Path) -> list[Place]:
    """What `find` finds, if all of it is of one results folder; else a ValueError."""
    places = find(path)
    folders = sorted({str(place.results.folder) for place in places})
    if len(folders) > 1:
        raise ValueError(f"{str(path)!r} holds several results; choose one of {', '.join(folders)}")
    return places


def newest_sound(places: Sequence[Place]) -> Inspected:
    """The newest of some checkpoints that is as it was written; a ValueError if none is."""
    for place in places[::-1]:
        try:
            return inspect(place)
        except checkpoints.Damaged as damage:
            reason = damage
    raise ValueError(f"no sound checkpoint in {str(places[0].results.folder)!r}: {reason}")


def label_of(labels: Sequence[str], run: int) -> str:
    """The label of a run; a ValueError if there is no such run."""
    if not 0 <= run < len(labels):
        raise ValueError(f"run = {run}; there are {len(labels)}, choose 0 to {len(labels) - 1}")
    return labels[run]


def metadata(results: Results) -> dict:
    """Status, device and versions of the training that a checkpoint is of; {} if it is not said."""
    try:
        return json.loads(results.metadata.read_text())
    except (OSError, ValueError):
        return {}


def milestones(of: Inspected) -> Milestones | None:
    """When the runs memorised and grokked; None while there is no evaluation."""
    if not len(of.history):
        return None
    rule, schedule = (of.config.get(section, {}) for section in ("grok", "schedule"))
    observed_until_R = observed_until(of.history, schedule, rule)
    return Milestones(
        median_time(times_until(of.grok.memorised_R, observed_until_R)),
        median_time(times_until(of.grok.grok_R, observed_until_R)),
        median_time(delay_times(of.grok, observed_until_R)),
    )


def differences(configs: Sequence[dict]) -> dict[str, list]:
    """The entries in which configs differ: {dotted path: a value for each, None where missing}."""
    known = [dict(flat(config)) for config in configs]
    paths = dict.fromkeys(path for entries in known for path in entries)
    values = {path: [entries.get(path) for entries in known] for path in paths}
    return {path: of for path, of in values.items() if any(value != of[0] for value in of)}
