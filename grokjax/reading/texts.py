"""Checkpoints as tables and lines on a terminal."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
from humanize import naturalsize
from rich.table import Table

from grokjax.config.config import flat
from grokjax.config.experiment import check
from grokjax.core import weight_stats
from grokjax.reading.checkpoint import Checkpoint, Place, read
from grokjax.reading.rebuild import Pruned, config_of
from grokjax.reading.rows import COLUMNS, columns, rows
from grokjax.recording.checkpoints import Damaged
from grokjax.recording.history import finite_median
from grokjax.recording.results import STOPPED, Results
from grokjax.recording.summary import summarise, task_table

MOST_RUNS = 20


def listed(places: Iterable[Place]) -> Table:
    """A row for each checkpoint: how well it does, or how it is damaged."""
    table = _table("step", "size", "training", "validation", "runs")
    for place in places:
        try:
            checkpoint = read(place)
        except Damaged as damage:
            cells = ("", "", f"damaged: {damage}")
        else:
            sides = (_percent(checkpoint.median(f"{side}_accuracy")) for side in ("train", "val"))
            cells = (*sides, checkpoint.num_grokked)
        table.add_row(f"{place.step:,}", naturalsize(place.size), *cells)
    return table


def inspected(checkpoint: Checkpoint) -> Iterator[str]:
    """How far a checkpoint is, how each run does, how large it is, and its config."""
    place = checkpoint.place
    num_steps = checkpoint.config["schedule"]["num_steps"]
    facts = place.results.facts()
    known = facts.get("versions")
    versions = ", ".join(f"{n} {v}" for n, v in known.items()) if isinstance(known, dict) else ""
    yield f"checkpoint: {place.folder}, {naturalsize(place.size)} on disk"
    yield f"progress: step {place.step:,} of {num_steps:,} ({place.step / num_steps:.0%})"
    yield f"status of training: {place.results.status() or 'unknown'}"
    yield from filter(None, [how_to_go_on(place.results)])
    yield f"device: {facts.get('device', 'unknown')}"
    yield f"versions: {versions or 'unknown'}"
    yield f"runs: {checkpoint.num_runs}, {checkpoint.num_grokked}"
    tasks_R = _tasks(checkpoint)
    for r, label in enumerate(checkpoint.labels[:MOST_RUNS]):
        yield "\n  ".join([f"  {label}: {_run(checkpoint, r)}", *task_table(tasks_R[r])])
    if checkpoint.num_runs > MOST_RUNS:
        yield f"  ... and {checkpoint.num_runs - MOST_RUNS} more runs"
    yield from _weights(checkpoint)
    yield "config:"
    for path, value in flat(checkpoint.config):
        yield f"  {path} = {_value(value)}"


def how_to_go_on(results: Results) -> str:
    """The line to type where a training has stopped before its end; empty elsewhere."""
    folder = results.folder
    if results.status() not in (STOPPED, "interrupted", "failed"):
        return ""
    if re.fullmatch(r"shard-\d+-of-\d+", folder.name):
        folder = folder.parent  # all shards, which are merged in the end
    command = shlex.join(["python", "-m", "grokjax.train", "--resume", str(folder)])
    return f"go on with: {command}"


def compared(checkpoints: Sequence[Checkpoint]) -> Iterator[Table | str]:
    """A column for each checkpoint; below, the entries in which their configs differ."""
    folders = [str(checkpoint.place.results.folder) for checkpoint in checkpoints]
    facts = columns([row for row in rows([c.arm for c in checkpoints]) if not row["task"]])
    table = _table("", *folders)
    table.add_row("step", *(f"{checkpoint.place.step:,}" for checkpoint in checkpoints))
    for name, cells in facts.items():
        if name != "arm":
            table.add_row(COLUMNS[name], *cells)
    table.add_row("weight norm", *(f"{c.median('weight_norm'):.4g}" for c in checkpoints))
    yield table

    configs = [dict(flat(checkpoint.config)) for checkpoint in checkpoints]
    entries = _table("", *folders)
    for path in dict.fromkeys(path for config in configs for path in config):
        values = [config.get(path) for config in configs]
        if any(value != values[0] for value in values):
            entries.add_row(path, *map(_value, values))
    if entries.row_count:
        yield "entries of the config that differ:"
        yield entries
    else:
        yield "their configs are the same"


def pruned(found: Pruned, labels: Sequence[str]) -> Table:
    """For each threshold the median over runs; below it every run, if there are several."""
    table = _table("threshold", "run", "weights set to 0", "training", "validation")
    for threshold, *values in zip(*found, strict=True):
        name = f"{threshold:g}" if threshold else "0 (before)"
        middle = labels[0] if len(labels) == 1 else f"median of {len(labels)}"
        table.add_row(name, middle, *(_percent(finite_median(value_R)) for value_R in values))
        if len(labels) > 1:
            for label, *numbers in zip(labels, *values, strict=True):
                table.add_row("", label, *map(_percent, numbers))
    return table


def _table(*headers):
    return Table(*headers, box=None, pad_edge=False)


def _run(checkpoint, r):
    if not len(checkpoint.history):
        return "not evaluated yet"
    parts = []
    for name, side in {"training": "train", "validation": "val"}.items():
        accuracy, loss = (checkpoint.latest(f"{side}_{m}")[r] for m in ("accuracy", "loss"))
        parts.append(f"{name} {_percent(accuracy)} (loss {loss:.4g})")
    memorised, grokked, delay = (column_R[r] for column_R in checkpoint.arm.grokking[:3])
    steps = [
        f"{name} at {step:,.0f}" if np.isfinite(step) else f"not {name}"
        for name, step in {"memorised": memorised, "grokked": grokked}.items()
    ]
    if np.isfinite(delay):
        steps.append(f"delay {delay:,.0f}")
    return f"{', '.join(parts)}; {', '.join(steps)}"


def _tasks(checkpoint):
    """[R] what came of each task of a mixture so far; empty ones for other tasks."""
    history = checkpoint.history
    if not history.groups:
        return [{}] * checkpoint.num_runs
    try:
        sizes = check(config_of(checkpoint.config)).sizes_of_tasks()
    except ValueError:  # of another version
        sizes = None
    schedule, rule = (checkpoint.config.get(name, {}) for name in ("schedule", "grok"))
    summary = summarise(history, checkpoint.labels, 0, schedule, rule, sizes)
    return [run["tasks"] for run in summary["runs"]]


def _weights(checkpoint):
    """Number and size of the weights, and medians of their sparsity and norms over some runs."""
    one_run = jax.tree.map(lambda w_R: w_R[0], checkpoint.params_R)
    size = naturalsize(sum(w.nbytes for w in jax.tree.leaves(one_run)))
    some_R = jax.tree.map(lambda w_R: w_R[:MOST_RUNS], checkpoint.params_R)  # norms take long
    sparsity = finite_median(jax.vmap(weight_stats.sparsity)(some_R))
    small = f"{_percent(sparsity)} of them smaller than {weight_stats.SMALL}"
    yield f"parameters: {weight_stats.count(one_run):,} a run, {size}; {small}"
    yield "spectral norms:"
    for name, norm_R in jax.vmap(weight_stats.spectral_norms)(some_R).items():
        yield f"  {name} = {finite_median(norm_R):.3g}"


def _percent(fraction):
    return f"{fraction:.2%}" if np.isfinite(fraction) else "unknown"


def _value(value):
    """As a config writes it; lists of one, as most entries of `runs` are, by what is in them."""
    if isinstance(value, list):
        return f"({', '.join(map(_value, value))})" if len(value) != 1 else _value(value[0])
    return "-" if value is None else str(value)
