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
from typing import Any

import jax
import numpy as np

from grokjax.config import grid
from grokjax.config.experiment import Experiment
from grokjax.core import loop
from grokjax.reading.folders import arrays_of
from grokjax.reading.rebuild import rebuild
from grokjax.recording import checkpoints
from grokjax.recording.early_stopping import RunTracker, last_steps
from grokjax.recording.history import History, grokking
from grokjax.recording.results import Results
from grokjax.running.inheritance import inherited

EVENTS = {"memorised": "memorised_R", "grokked": "grok_R"}  # as `Grokking` has them
SHOWN = 8  # steps or runs that an error lists


def begin(
    experiment: Experiment, workdir: Path | None = None
) -> tuple[int, Any, History, dict[str, Any]]:
    """What an experiment begins with: step, state, history, and what the record says of them.

    Args:
        experiment: all its runs, or a shard of them; its `config.branch` names the states. None
            are named: initial weights, for which the state is None.
        workdir: where it is trained; not where the states are, which that might delete.

    Raises:
        ValueError: if there are no such states, or they do not fit.
    """
    config = experiment.config
    if config.branch.origin == "none":
        if config.branch.take or config.branch.from_zero:
            raise ValueError("branch.take and branch.from_zero need branch.origin (--branch)")
        return 0, None, History(), {}
    folder, at = _parsed(config.branch.origin, workdir)
    source = rebuild(Results(folder))
    parents = _parents(config, source.experiment)
    places = _places(source, at, sorted(set(parents)))
    from_zero = isinstance(at, str) or bool(config.branch.take) or config.branch.from_zero
    if not from_zero:
        _check_step(config, at)

    number = {label: n for n, label in enumerate(grid.labels(config.runs))}
    own = [parents[number[label]] for label in experiment.labels]
    restored = {step: source.restore(step) for step in {places[r][0] for r in own}}
    states_R = {step: one.state_R for step, one in restored.items()}
    rows = [_row((states_R[places[r][0]], source.experiment.runs_R), r) for r in own]
    state_R, taken = inherited(
        experiment,
        source.experiment,
        *jax.tree.map(lambda *x: np.stack(x), *rows),
        from_zero=from_zero,
    )
    facts = {
        "folder": str(folder.absolute()),
        "runs": [source.experiment.labels[r] for r in parents],
        "steps": [places[r][1] for r in parents],
        "goes_on": not from_zero,
        **taken,
    }
    history = History()
    if not from_zero:
        history = _history(experiment, state_R, restored[at].history, own)
    return 0 if from_zero else int(at), state_R, history, {"branched": facts}


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


def _parsed(origin, workdir):
    """The folder, and a step or one of EVENTS."""
    name, _, at = origin.rpartition("@")
    if not name or not (at.isdecimal() or at in EVENTS):
        raise ValueError(f"--branch {origin}; choose FOLDER@STEP, @memorised or @grokked")
    folder = Path(os.path.expanduser(name))
    if not folder.is_dir():
        raise ValueError(f"--branch: there is no folder {name!r}; choose a results folder")
    if workdir and workdir.resolve() == folder.resolve():
        raise ValueError(f"--branch: {name!r} is trained there; choose another --workdir")
    return folder, int(at) if at.isdecimal() else at


def _parents(config, other):
    """The number of the run whose state each run of the whole grid takes."""
    runs = other.config.runs
    points = grid.grid_points(runs)
    names = [name for name in points[0] if name == "seed" or len(runs[name]) > 1]
    number = {label: r for r, label in enumerate(other.labels)}  # a shard has some of them
    labels = zip(points, grid.labels(runs), strict=True)
    found = {tuple(point[n] for n in names): number.get(label) for point, label in labels}
    parents = []
    for point in grid.grid_points(config.runs):
        key = tuple(point.get(name) for name in names)
        if found.get(key) is None:
            given = ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
            raise ValueError(
                f"--branch {config.branch.origin}: there is no run with {given}; choose from "
                f"{_some(other.labels)}"
            )
        parents.append(found[key])
    return parents


def _row(tree_R, r):
    return jax.tree.map(lambda x_R: x_R[r], tree_R)


def _places(source, at, wanted):
    """{run: (checkpoint, step of its state)}; the step is earlier if the run had stopped."""
    config = source.experiment.config
    every = config.schedule.checkpoint_every
    labels = source.experiment.labels
    name = f"--branch: {str(source.results.folder)!r}"
    present = checkpoints.steps(source.results.checkpoints)
    arrays = arrays_of(source.results.history)
    del arrays["label"]
    if isinstance(at, str):
        came_R = getattr(grokking(arrays, **config.grok), EVENTS[at])
    else:
        came_R = np.full(len(labels), at)
    stopped_R = np.full(len(labels), np.inf)
    if config.schedule.stop_after_grok:
        stopped_R = last_steps(History(arrays), config.schedule, config.grok)

    places = {}
    for r in wanted:
        if not np.isfinite(came_R[r]):
            those = _some(labels[i] for i in np.flatnonzero(np.isfinite(came_R)))
            choose = f"choose seeds of runs that have: {those}" if those else "no run has"
            raise ValueError(f"{name}: {labels[r]} has not {at}; {choose}")
        step = int(came_R[r])
        due = step if step == at else -(-step // every) * every
        checkpoint = next((s for s in present if step <= s <= due), None)
        if checkpoint is None:
            keep = f"schedule.keep = {config.schedule.num_steps // every + 1}, for all"
            divisor = f"a schedule.checkpoint_every that divides {due:,}"
            raise ValueError(
                f"{name} has no checkpoint of step {due:,}, as {labels[r]} needs; choose from "
                f"{_some(present)}, or train it with {divisor if due % every else keep}"
            )
        if stopped_R[r] < checkpoint == at:
            raise ValueError(
                f"{name}: {labels[r]} had stopped at step {stopped_R[r]:,}; choose at most that, "
                "or @grokked"
            )
        places[r] = (checkpoint, int(min(checkpoint, stopped_R[r])))
    return places


def _check_step(config, step):
    """Training can go on at a step."""
    what = f"--branch {config.branch.origin}"
    num_steps = config.schedule.num_steps
    eval_every = config.schedule.eval_every
    if step >= num_steps:
        raise ValueError(
            f"{what}: schedule.num_steps = {num_steps:,} is no later; choose more than {step:,}, "
            "or --from_zero"
        )
    if step % eval_every:
        raise ValueError(
            f"{what}: its step is no multiple of schedule.eval_every = {eval_every:,}; choose a "
            f"divisor of {step:,}, or --from_zero"
        )


def _history(experiment, state_R, arrays, parents):
    """The history up to the states; metrics that the other training did not have are NaN."""
    if not arrays:
        return History()
    trainer, runs_R, dataset = experiment.trainer, experiment.runs_R, experiment.dataset
    lift = experiment.config.lift
    columns = {"step": arrays["step"]}
    for name, zero_R in loop.no_metrics(trainer, state_R, runs_R, dataset, lift=lift).items():
        before = arrays.get(name)
        if before is None or before.shape[2:] != zero_R.shape[1:]:
            columns[name] = np.full((len(arrays["step"]), *zero_R.shape), np.nan, np.float32)
        else:
            columns[name] = before[:, parents]
    history = History(columns)

    schedule = experiment.config.schedule
    tracker = RunTracker.replay(history, schedule, experiment.config.grok)
    if np.isfinite(tracker.last_evaluation_R).any():
        raise ValueError(
            f"--branch {experiment.config.branch.origin}: schedule.stop_after_grok = "
            f"{schedule.stop_after_grok} stops runs that have grokked before; choose 0, or "
            "--from_zero"
        )
    return history


def _some(names: Iterable[object]) -> str:
    """A list that an error can show."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:SHOWN]) + (f" ... {shown[-1]}" if len(shown) > SHOWN else "")
