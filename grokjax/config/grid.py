"""`config.runs`: what may differ from run to run, and the grid of it as runs [R]."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from grokjax.config import mix
from grokjax.core.data import Task
from grokjax.core.run import Run
from grokjax.core.split import find_strata


class Entry(NamedTuple):
    """One entry of `config.runs`: its default and what its values may be."""

    default: tuple
    type: type
    range: str  # as an error names it
    holds: Callable[[Any], bool]


RUNS = {
    "seed": Entry((0,), int, "0 to 2**31 - 1", lambda x: 0 <= x < 2**31),
    "split_seed": Entry((), int, "0 to 2**31 - 1", lambda x: 0 <= x < 2**31),  # () is the seed
    "train_fraction": Entry((0.5,), float, "above 0, at most 1", lambda x: 0 < x <= 1),
    "mix": Entry((), str, "shares such as '90:10'", lambda x: ":" in x),  # () is equal shares
    "label_noise": Entry((0,), int, "0 or more labels", lambda x: x >= 0),
    "init_scale": Entry((1.0,), float, "above 0", lambda x: x > 0),
    "learning_rate": Entry((1e-3,), float, "above 0", lambda x: x > 0),
    "warmup": Entry((10.0,), float, "0 or more steps", lambda x: x >= 0),
    "weight_decay": Entry((1.0,), float, "0 or more", lambda x: x >= 0),
    "b1": Entry((0.9,), float, "0 to below 1", lambda x: 0 <= x < 1),
    "b2": Entry((0.98,), float, "0 to below 1", lambda x: 0 <= x < 1),
    "eps": Entry((1e-8,), float, "above 0", lambda x: x > 0),
    "momentum": Entry((0.9,), float, "0 to below 1", lambda x: 0 <= x < 1),
    "max_norm": Entry((1.0,), float, "above 0", lambda x: x > 0),
    "alpha": Entry((0.98,), float, "0 to below 1", lambda x: 0 <= x < 1),
    "lamb": Entry((2.0,), float, "0 or more", lambda x: x >= 0),
    "filter_start": Entry((0,), int, "0 or more steps", lambda x: x >= 0),
    "adam_ratio": Entry((0.05,), float, "above 0", lambda x: x > 0),
    "ema_rate": Entry((0.999,), float, "0 to below 1", lambda x: 0 <= x < 1),
    "update_noise": Entry((1.0,), float, "0 or more", lambda x: x >= 0),
    "weight_noise": Entry((0.01,), float, "0 or more", lambda x: x >= 0),
    "norm_factor": Entry((0.8,), float, "above 0", lambda x: x > 0),
    "raise_step": Entry((1000,), int, "0 or more steps", lambda x: x >= 0),
    "raise_factor": Entry((1.0,), float, "above 0", lambda x: x > 0),
    "l1": Entry((0.0,), float, "0 or more", lambda x: x >= 0),
}
NOT_HPARAMS = ("seed", "split_seed", "train_fraction", "mix")  # a `Run` has fields for these


def expand(config: ConfigDict, task: Task) -> tuple[Run, list[str]]:
    """The grid of `config.runs` as runs [R] and a label for each, the last entry fastest."""
    runs = {name: typed(name, config.runs[name]) for name in RUNS}
    points = grid_points(runs)
    labels = [label(values) for values in varying(runs)]

    def column(name, dtype):
        return np.array([point[name] for point in points], dtype)

    num_train_RxG, share_RxG = _rows_and_slots(config, task, points)
    hparams = {name: column(name, np.float32) for name in RUNS if name not in NOT_HPARAMS}
    seeds = column("seed", np.int32), column("split_seed", np.int32)
    return Run(*seeds, num_train_RxG, share_RxG, hparams), labels


def grid_points(runs: Mapping) -> list[dict[str, Any]]:
    """The value of every entry in each run, in the order of the runs.

    Args:
        runs: `config.runs`: a sequence of values for each entry.
    """
    values = [runs[name] or (None,) for name in RUNS]
    points = [dict(zip(RUNS, chosen, strict=True)) for chosen in itertools.product(*values)]
    for point in points:
        if point["split_seed"] is None:
            point["split_seed"] = point["seed"]
    return points


def varying(runs: Mapping) -> list[dict[str, Any]]:
    """The entries in which the runs of a grid differ, for each run; the seed if in none.

    Args:
        runs: `config.runs`, maybe of an older program, without some entries.
    """
    runs = {name: entry.default for name, entry in RUNS.items()} | dict(runs)
    names = [name for name in RUNS if len(runs[name]) > 1] or ["seed"]
    return [{name: point[name] for name in names} for point in grid_points(runs)]


def count(runs: Mapping) -> int:
    """How many runs `config.runs` has."""
    return math.prod(max(1, len(values)) for values in runs.values())


def share(num_runs: int, i: int, n: int) -> range:
    """Which runs are in the i-th of n shares, i = 1 .. n; there may be none."""
    return range((i - 1) * num_runs // n, i * num_runs // n)


def label(values: Mapping) -> str:
    """Such as `seed=0 learning_rate=0.001`."""
    return " ".join(f"{name}={_short(value)}" for name, value in values.items())


def _rows_and_slots(config, task, points):
    """Two int32 [R, G]: training rows of each group, and its slots of a batch."""
    strata = find_strata(task, config.split.held_out, config.split.symmetric)
    rows_G = np.bincount(strata.group_N[~strata.held_out_N], minlength=len(task.group_sizes))
    num_train, slots = [], []
    for point in points:
        share_G = mix.shares(point["mix"], len(rows_G))
        train_G = np.where(share_G > 0, np.rint(point["train_fraction"] * rows_G), 0)
        if config.split.proportional:
            train_G = mix.largest_subsets(share_G, train_G)
        num_train.append(train_G)
        slots.append(mix.apportion(share_G, config.batch_size))
    return np.array(num_train, np.int32), np.array(slots, np.int32)


def _short(value):
    """`0.001`, `1`; all digits where fewer would not give the same value."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def typed(name: str, values) -> tuple:
    """One entry of `config.runs`, every element checked and of its type."""
    entry = RUNS[name]
    if not isinstance(values, tuple) or not (values or not entry.default):
        raise ValueError(f"runs.{name} = {values!r}; choose a tuple of one value or more")
    for value in values:
        if not _fits(value, entry.type):
            raise ValueError(
                f"runs.{name} has {value!r}; choose {entry.type.__name__}s, {entry.range}"
            )
        if not entry.holds(value):
            raise ValueError(f"runs.{name} has {value!r}; choose {entry.range}")
    if len(set(values)) < len(values):
        raise ValueError(f"runs.{name} = {values!r} has a value twice; choose each once")
    return tuple(entry.type(value) for value in values)


def _fits(value, type_):
    """A whole number is a float too, a truth value is no number, and NaN is nothing."""
    if type_ is str or isinstance(value, bool):
        return type_ is str and isinstance(value, str)
    return isinstance(value, int | float if type_ is float else int) and math.isfinite(value)
