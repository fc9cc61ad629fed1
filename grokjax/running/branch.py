"""Branching: the runs of a config begin with states that another training has saved.

`results/A@5000` is the state at step 5,000, and training goes on at that step, with the history up
to there: without any other change it is the training undisturbed, bit for bit. `@memorised` and
`@grokked` are the states of the first checkpoint at or after that step of each run, no later than
the one that was due; steps are then counted from 0, for the loop has one step number for all runs.
A run begins with the state of the run that has its seed, and its values of whatever else varies
there; the grid of the new config may repeat that run with values of its own.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from grokjax.config import grid
from grokjax.config.experiment import Experiment
from grokjax.core import loop
from grokjax.reading.arms import arrays_of
from grokjax.reading.rebuild import rebuild
from grokjax.recording import checkpoints
from grokjax.recording.early_stopping import RunTracker, last_steps
from grokjax.recording.history import History, grokking
from grokjax.recording.results import Results
from grokjax.running.inheritance import inherited

EVENTS = ("memorised", "grokked")
SHOWN = 8  # steps or runs that an error lists


class Begun(NamedTuple):
    """What the loop is to begin with, and what the record says of it."""

    step: int
    state_R: Any  # None: initial weights
    history: History
    facts: Mapping[str, Any]


class Parent(NamedTuple):
    """A run of the other training, and where its state is."""

    source: "Source"
    r: int  # its number in there
    checkpoint: int
    step: int  # of its state; before the checkpoint if the run had stopped


class Source:
    """A folder of the other training, or one of its shards."""

    def __init__(self, folder: Path):
        """Builds its experiment; a ValueError if that is not as it was."""
        self._rebuilt = rebuild(Results(folder))
        self.experiment = self._rebuilt.experiment
        self._name = f"--branch: {str(folder)!r}"
        self._present = checkpoints.steps(self._rebuilt.results.checkpoints)
        self._restored: dict[int, checkpoints.Restored] = {}
        config = self.experiment.config
        self._schedule = config.schedule
        arrays = arrays_of(self._rebuilt.results.history)
        del arrays["label"]
        history = History(arrays)
        grok = grokking(history, **config.grok)
        self._event_R = {"memorised": grok.memorised_R, "grokked": grok.grok_R}
        self._last_R = last_steps(history, config.schedule, config.grok)

    def restore(self, step: int) -> checkpoints.Restored:
        """A checkpoint with its state and history, read once."""
        if step not in self._restored:
            self._restored[step] = self._rebuilt.restore(step)
        return self._restored[step]

    def parent(self, r: int, at: int | str) -> Parent:
        """The state of a run at a step or an event.

        Raises:
            ValueError: if there is none, with what would have kept it.
        """
        label = self.experiment.labels[r]
        checkpoint = self._of_event(r, at) if isinstance(at, str) else at
        if checkpoint not in self._present:
            every = self._schedule.num_steps // self._schedule.checkpoint_every + 1
            raise ValueError(
                f"{self._name} has no checkpoint of step {checkpoint:,}, as {label} needs; choose "
                f"from {_some(self._present)}, or train it with schedule.keep = {every}, for all"
            )
        stopped = self._last_R[r] if self._schedule.stop_after_grok else checkpoint
        if stopped < checkpoint == at:
            raise ValueError(
                f"{self._name}: {label} had stopped at step {stopped:,}; choose at most that, or "
                "@grokked"
            )
        return Parent(self, r, checkpoint, int(min(checkpoint, stopped)))

    def _of_event(self, r, event):
        """The first checkpoint there is, from the event to the step at which one was due."""
        came_R = self._event_R[event]
        if not np.isfinite(came_R[r]):
            labels = self.experiment.labels
            those = [labels[i] for i in np.flatnonzero(np.isfinite(came_R))]
            raise ValueError(
                f"{self._name}: {labels[r]} has not {event}; choose seeds of runs that have: "
                f"{_some(those) or 'none'}"
            )
        step = int(came_R[r])
        due = -(-step // self._schedule.checkpoint_every) * self._schedule.checkpoint_every
        return next((s for s in self._present if step <= s <= due), due)


def begin(experiment: Experiment, workdir: Path | None = None) -> Begun:
    """What an experiment begins with, as `config.branch` says.

    Args:
        experiment: all its runs, or a shard of them.
        workdir: where it is trained; not where the states are, which that might delete.

    Raises:
        ValueError: if there are no such states, or they do not fit.
    """
    section = experiment.config.branch
    if not section.origin:
        if section.take or section.from_zero:
            raise ValueError("branch.take and branch.from_zero need branch.origin (--branch)")
        return Begun(0, None, History(), {})
    folder, at = _parsed(section.origin)
    from_zero = isinstance(at, str) or bool(section.take) or section.from_zero
    parents = _parents(experiment.config, _sources(folder, workdir), at)
    if not from_zero:
        _check_step(experiment.config, at)
    number = {label: n for n, label in enumerate(grid.labels(experiment.config.runs))}
    own = [parents[number[label]] for label in experiment.labels]
    state_R, taken = inherited(experiment, own[0].source.experiment, *_states(own))
    facts = {
        "folder": str(folder.absolute()),
        "runs": [parent.source.experiment.labels[parent.r] for parent in parents],
        "steps": [parent.step for parent in parents],
        "goes_on": not from_zero,
        **taken,
    }
    history = History() if from_zero else _history_until(experiment, state_R, own)
    _check_active(experiment.config, history)
    return Begun(0 if from_zero else int(at), state_R, history, {"branched": facts})


def sentence(facts: Mapping[str, Any]) -> str:
    """For people: where the states come from, and what was taken."""
    low, high = min(facts["steps"]), max(facts["steps"])
    steps = f"step {low:,}" if low == high else f"steps {low:,} to {high:,}"
    clock = "steps go on from there" if facts["goes_on"] else "steps count from 0"
    optimizer = ", ".join(f"{name} {how}" for name, how in facts["optimizer"].items())
    return (
        f"branch: {facts['folder']} at {steps}, {clock}; taken: {facts['parameters']}; "
        f"optimizer: {optimizer}; split: {facts['split']}"
    )


def _parsed(origin):
    """The folder, and a step or one of EVENTS."""
    folder, _, at = origin.rpartition("@")
    if not folder or not (at.isdecimal() or at in EVENTS):
        raise ValueError(f"--branch {origin}; choose FOLDER@STEP, @memorised or @grokked")
    return Path(os.path.expanduser(folder)), int(at) if at.isdecimal() else at


def _sources(folder, workdir):
    """The training in a folder, or in its shards."""
    if not folder.is_dir():
        raise ValueError(f"--branch: there is no folder {str(folder)!r}; choose a results folder")
    folders = [folder, *sorted(folder.glob("shard-*-of-*"))]
    folders = [place for place in folders if checkpoints.steps(Results(place).checkpoints)]
    if not folders:
        raise ValueError(f"--branch: {str(folder)!r} has no checkpoint; choose another folder")
    if workdir and workdir.resolve() in [place.resolve() for place in (folder, *folders)]:
        raise ValueError(f"--branch: {str(folder)!r} is trained there; choose another --workdir")
    return [Source(place) for place in folders]


def _parents(config, sources, at):
    """The parent of every run of the whole grid."""
    runs = sources[0].experiment.config.runs
    points = grid.grid_points(runs)
    names = [name for name in points[0] if name == "seed" or len(runs[name]) > 1]
    keys = [tuple(point[name] for name in names) for point in points]
    places = {}
    for source in sources:
        places |= {label: (source, r) for r, label in enumerate(source.experiment.labels)}
    place_of = {
        key: places[label]
        for key, label in zip(keys, grid.labels(runs), strict=True)
        if label in places
    }
    found = {}
    parents = []
    for point in grid.grid_points(config.runs):
        key = tuple(point.get(name) for name in names)
        if key not in place_of:
            given = ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
            raise ValueError(
                f"--branch {config.branch.origin}: there is no run with {given}; choose from "
                f"{_some(places)}"
            )
        if key not in found:
            source, r = place_of[key]
            found[key] = source.parent(r, at)
        parents.append(found[key])
    return parents


def _states(parents):
    """The states [R] of the parents, and what they are as runs."""

    def row(source, r, checkpoint):
        state_and_run_R = (source.restore(checkpoint).state_R, source.experiment.runs_R)
        return jax.tree.map(lambda x_R: x_R[r], state_and_run_R)

    rows = [row(source, r, checkpoint) for source, r, checkpoint, _ in parents]
    return jax.tree.map(lambda *x: np.stack(x), *rows)


def _history_until(experiment, state_R, parents):
    """The history up to the states; metrics that the other training did not have are NaN."""
    stored = [parent.source.restore(parent.checkpoint).history for parent in parents]
    if not stored[0]:
        return History()
    shapes = loop.no_metrics(
        experiment.trainer,
        state_R,
        experiment.runs_R,
        experiment.dataset,
        lift=experiment.config.lift,
    )
    step_E = stored[0]["step"]

    def column(history, parent, name, zero_R):
        if name in history and history[name].shape[2:] == zero_R.shape[1:]:
            return history[name][:, parent.r]
        return np.full((len(step_E), *zero_R.shape[1:]), np.nan, zero_R.dtype)

    columns = {"step": step_E}
    for name, zero_R in shapes.items():
        of_runs = [column(h, p, name, zero_R) for h, p in zip(stored, parents, strict=True)]
        columns[name] = np.stack(of_runs, axis=1)
    return History(columns)


def _check_step(config, step):
    """Training can go on at a step."""
    what = f"--branch {config.branch.origin}"
    num_steps = config.schedule.num_steps
    if step >= num_steps:
        raise ValueError(
            f"{what}: schedule.num_steps = {num_steps:,} is no later; choose more than {step:,}, "
            "or --from_zero"
        )
    if step % config.schedule.eval_every:
        raise ValueError(
            f"{what}: its step is no multiple of schedule.eval_every = "
            f"{config.schedule.eval_every:,}; choose a divisor of {step:,}, or --from_zero"
        )


def _check_active(config, history):
    """No run has stopped before it begins."""
    schedule = config.schedule
    if schedule.stop_after_grok and len(history):
        tracker = RunTracker.replay(history, schedule, config.grok)
        if np.any(tracker.last_evaluation_R < np.inf):
            raise ValueError(
                f"--branch {config.branch.origin}: schedule.stop_after_grok = "
                f"{schedule.stop_after_grok} stops runs that have grokked before; choose 0, or "
                "--from_zero"
            )


def _some(names: Iterable[object]) -> str:
    """A list that an error can show."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:SHOWN]) + (f" ... {shown[-1]}" if len(shown) > SHOWN else "")
