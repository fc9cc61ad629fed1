"""The grid of `config.runs` as runs [R], each with its rows and its slots of a batch."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from grokjax.config import registry
from grokjax.core import losses, schedules
from grokjax.core.hparams import Hparam, Range, above, at_least
from grokjax.core.run import Run
from grokjax.core.split import Strata
from grokjax.optimizers._hparams import SHARED

SEEDS = Range("0 to 2**31 - 1", lambda x: 0 <= x < 2**31)
HPARAMS = {  # of every run, whatever its parts
    "seed": Hparam(0, int, SEEDS),
    "split_seed": Hparam(None, int, SEEDS),  # None: the seed
    "train_fraction": Hparam(0.5, float, Range("above 0, at most 1", lambda x: 0 < x <= 1)),
    "mix": Hparam(None, str, Range("shares such as '90:10'", lambda x: ":" in x)),  # None: equal
    "label_noise": Hparam(0, int, at_least(0, "labels")),
    "init_scale": Hparam(1.0, float, above(0)),
}
FIELDS = ("seed", "split_seed", "train_fraction", "mix")  # a `Run` has fields of its own for these
FIRST = (
    *HPARAMS,
    *schedules.HPARAMS,
    *SHARED,
)  # the order of entries in a grid; the last varies fastest
LAST = tuple(losses.HPARAMS)


def entries(chain: Sequence[str]) -> dict[str, Hparam]:
    """What `config.runs` has for a chain of optimizers."""
    of_chain = {}
    for name in chain:
        of_chain |= registry.hparams(name)
    return HPARAMS | schedules.HPARAMS | of_chain | losses.HPARAMS


def read_by(config: ConfigDict) -> set[str]:
    """The entries of `config.runs` that something in a config reads."""
    read = {*HPARAMS, *losses.HPARAMS, *schedules.reads(config.schedule.learning_rate)}
    for name in config.optimizer.chain:
        read |= set(registry.reads(name, config.optimizer.get(name, {})))
    return read


def expand(config: ConfigDict, group_sizes: Sequence[int], strata: Strata) -> tuple[Run, list[str]]:
    """The grid of `config.runs` as runs [R] and a label for each, the last entry fastest.

    Args:
        config: with its entries of `runs`, which are checked here.
        group_sizes: [G] rows of each task of a mixture.
        strata: of the task's rows.

    Raises:
        ValueError: for a value that is out of range, or that nothing reads.
    """
    known = entries(config.optimizer.chain)
    read = read_by(config)
    runs = {}
    for name, hparam in known.items():
        runs[name] = typed(name, hparam, config.runs.get(name, hparam.values))
        if name not in read and runs[name] != hparam.values:
            raise ValueError(_unread(name, config))
    points = grid_points(runs)

    def column(name, dtype):
        return np.array([point[name] for point in points], dtype)

    num_train_RxG, slots_RxG = _rows_and_slots(config, group_sizes, strata, points)
    runs_R = Run(
        seed=column("seed", np.int32),
        split_seed=column("split_seed", np.int32),
        num_train_G=num_train_RxG,
        share_G=slots_RxG,
        hparams={name: column(name, np.float32) for name in known if name in read - set(FIELDS)},
    )
    return runs_R, labels(runs)


def grid_points(runs: Mapping[str, Sequence]) -> list[dict[str, Any]]:
    """The value of every entry in each run, in the order of the runs.

    Args:
        runs: `config.runs`, or the record of it: a sequence of values for each entry.
    """
    runs = {name: hparam.values for name, hparam in HPARAMS.items()} | dict(runs)
    names = sorted(runs, key=_place)
    values = [runs[name] or (None,) for name in names]
    points = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]
    for point in points:
        if point["split_seed"] is None:
            point["split_seed"] = point["seed"]
    return points


def labels(runs: Mapping[str, Sequence]) -> list[str]:
    """A label for each run of a grid: the entries that vary."""
    return [label(point) for point in varying_points(runs)]


def varying_points(runs: Mapping[str, Sequence]) -> list[dict[str, Any]]:
    """`grid_points` of the entries that vary, or of the seed if none does."""
    varied = {name for name, values in runs.items() if len(values) > 1} or {"seed"}
    points = grid_points(runs)
    return [{name: point[name] for name in point if name in varied} for point in points]


def count(runs: Mapping[str, Sequence]) -> int:
    """How many runs `config.runs` has."""
    return math.prod(max(1, len(values)) for values in runs.values())


def shard(num_runs: int, i: int, n: int) -> range:
    """Which runs are in the i-th of n shards, i = 1 .. n; there may be none."""
    return range((i - 1) * num_runs // n, i * num_runs // n)


def label(values: Mapping[str, Any]) -> str:
    """Such as `seed=0 learning_rate=0.001`."""
    return " ".join(f"{name}={_short(value)}" for name, value in values.items())


def typed(name: str, hparam: Hparam, values: Any) -> tuple:
    """One entry of `config.runs`, every element checked and of its type."""
    if not isinstance(values, tuple) or not (values or not hparam.values):
        raise ValueError(f"runs.{name} = {values!r}; choose a tuple of one value or more")
    for value in values:
        if not _fits(value, hparam.type):
            raise ValueError(
                f"runs.{name} has {value!r}; choose {hparam.type.__name__}s, {hparam.range.text}"
            )
        if not hparam.range.holds(value):
            raise ValueError(f"runs.{name} has {value!r}; choose {hparam.range.text}")
    if len(set(values)) < len(values):
        raise ValueError(f"runs.{name} = {values!r} has a value twice; choose each once")
    return tuple(hparam.type(value) for value in values)


def shares(mix: str | None, num_groups: int) -> np.ndarray:
    """[G]: the shares of a batch that `'90:10'` gives to each task, adding up to one.

    None is equal shares.

    Raises:
        ValueError: for another number of shares than tasks, a negative one, or only zeros.
    """
    if mix is None:
        return np.full(num_groups, 1 / num_groups)
    try:
        share_G = np.array([float(part) for part in mix.split(":")])
    except ValueError:
        share_G = np.array([np.nan])
    if not np.isfinite(share_G).all() or (share_G < 0).any() or not share_G.any():
        raise ValueError(
            f"runs.mix has {mix!r}; choose shares of 0 or more, not all 0, such as '90:10'"
        )
    if share_G.size != num_groups:
        raise ValueError(
            f"runs.mix has {mix!r}, {share_G.size} shares for {num_groups} tasks; choose one each"
        )
    return share_G / share_G.sum()


def apportion(share_G: np.ndarray, total: int) -> np.ndarray:
    """[G] whole numbers that add up to `total`, by largest remainder; one at least where wanted.

        shares .33, .33, .34 of 512 = 168.96, 168.96, 174.08  ->  169, 169, 174

    Raises:
        ValueError: if there are more tasks with a share than slots.
    """
    wanted_G = share_G > 0
    if wanted_G.sum() > total:
        raise ValueError(
            f"{wanted_G.sum()} tasks of a mixture need {wanted_G.sum()} places or more, "
            f"not batch_size = {total}"
        )
    quota_G = share_G * total
    count_G = np.maximum(np.floor(quota_G + 1e-9), wanted_G).astype(np.int32)
    while count_G.sum() != total:  # each slot moves the task that it brings nearest to its quota
        missing = np.sign(total - count_G.sum())
        can_G = wanted_G & (count_G + missing >= 1)
        count_G[np.argmax(np.where(can_G, missing * (quota_G - count_G), -np.inf))] += missing
    return count_G


def largest_subsets(share_G: np.ndarray, rows_G: np.ndarray) -> np.ndarray:
    """[G]: how many of each task's rows to take so that their numbers are as the shares."""
    wanted_G = share_G > 0
    total = (rows_G[wanted_G] / share_G[wanted_G]).min()
    return np.maximum(np.floor(share_G * total + 1e-9), wanted_G).astype(np.int32)


def _unread(name, config):
    chain = config.optimizer.chain
    readers = [optimizer for optimizer in registry.readers(name) if optimizer not in chain]
    readers += [schedule for schedule in schedules.SCHEDULES if name in schedules.reads(schedule)]
    return (
        f"runs.{name} = {config.runs[name]} is read by nothing in this config (optimizer "
        f"{'+'.join(chain)}, schedule {config.schedule.learning_rate}); "
        f"it belongs to {', '.join(readers)}"
    )


def _place(name):
    """The rank of an entry in the order of a grid."""
    if name in FIRST:
        return 0, FIRST.index(name), name
    return 1 + (name in LAST), 0, name


def _rows_and_slots(config, group_sizes, strata, points):
    """Two int32 [R, G]: training rows of each group, and its slots of a batch."""
    rows_G = np.bincount(strata.group_N[~strata.held_out_N], minlength=len(group_sizes))
    num_train, slots = [], []
    for point in points:
        share_G = shares(point["mix"], len(rows_G))
        train_G = np.where(share_G > 0, np.rint(point["train_fraction"] * rows_G), 0)
        if config.split.proportional:
            train_G = largest_subsets(share_G, train_G)
        num_train.append(train_G)
        slots.append(apportion(share_G, config.batch_size))
    return np.array(num_train, np.int32), np.array(slots, np.int32)


def _short(value):
    """`0.001`, `1`; all digits where fewer would not give the same value."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _fits(value, type_):
    """A whole number is a float too, a truth value is no number, and NaN is nothing."""
    if type_ is str or isinstance(value, bool):
        return type_ is str and isinstance(value, str)
    return isinstance(value, int | float if type_ is float else int) and math.isfinite(value)
